// sluice:redis: commands to the Redis that `store` names. The host checks each against a list, and settles what waits.

import * as host from 'sluice:internal'

const Later = Promise
const { stringify, parse } = JSON
const { isArray } = Array
const { entries } = Object
// What the host tells of a call.
const VALUE = 0
const FAILED = 2

/** Why there is no reply, or Redis's own error. */
export class RedisError extends Error {
  constructor(code, message) {
    super(message)
    this.name = 'RedisError'
    this.code = code
  }
}

// ---- calls under way ----

const calls = new Map()

function settle(id, told, value) {
  const waiting = calls.get(id)
  if (waiting === undefined) return
  calls.delete(id)
  if (told === VALUE) waiting.resolve(value)
  else if (told === FAILED) waiting.reject(new RedisError(...parse(value)))
  // Else its request is over, and nobody waits any more.
}
host.redisReady(settle)

/** @param commands made of words that `wordsOf` has looked at: none of the script's code runs meanwhile */
function send(commands, atomic, asBytes) {
  host.redisBegin()
  for (const [name, ...words] of commands) {
    host.redisCommand(name)
    for (const word of words) {
      if (typeof word === 'string') host.redisWord(word)
      else host.redisWord(word.buffer, word.byteOffset, word.byteLength)
    }
  }
  const id = host.redisSend(atomic ? 1 : 0, asBytes ? 1 : 0)
  return new Later((resolve, reject) => {
    calls.set(id, { resolve, reject })
  })
}

// ---- any command ----

/** Sends one command; its reply: texts, numbers, null, or arrays of them. */
export async function call(command, ...words) {
  return only(await send([commandOf(command, words)], false, false))
}

/** As `call`; what Redis gives as text comes as a Uint8Array. */
export async function bytes(command, ...words) {
  const { replies, bytes: all } = await send([commandOf(command, words)], false, true)
  return only(replies, ({ at, length }) => all.slice(at, at + length))
}

/** Sends many commands at once: their replies, of which each may be a RedisError. */
export async function pipeline(commands) {
  return revived(await send(listOf('pipeline', commands), false, false))
}

/** The same with nothing between them (MULTI and EXEC). */
export async function transaction(commands) {
  return revived(await send(listOf('transaction', commands), true, false))
}

function only([reply], bytesOf) {
  const value = revived(reply, bytesOf)
  if (value instanceof RedisError) throw value
  return value
}

/** Objects in a reply are errors and, where bytes are wanted, places of them. */
function revived(reply, bytesOf) {
  if (typeof reply !== 'object' || reply === null) return reply
  if (isArray(reply)) return reply.map((each) => revived(each, bytesOf))
  if (bytesOf !== undefined && reply.refusal === undefined) return bytesOf(reply)
  const { refusal } = reply
  return new RedisError(/^[A-Z]+\b/.exec(refusal)?.[0] ?? 'ERR', refusal)
}

// ---- words ----

function commandOf(name, words) {
  if (typeof name !== 'string') throw new TypeError(`a command is a text such as "GET", not ${shown(name)}`)
  return [name, ...wordsOf(words)]
}

function listOf(what, commands) {
  if (!isArray(commands)) throw new TypeError(`${what} takes an array of arrays, not ${shown(commands)}`)
  return commands.map((each) => {
    if (isArray(each)) return commandOf(each[0], each.slice(1))
    throw new TypeError(`${what}: a command is an array such as ["GET", "key"], not ${shown(each)}`)
  })
}

/** Arrays stand for their elements. */
function wordsOf(given) {
  return given.flatMap((word) => {
    if (typeof word === 'string' || word instanceof Uint8Array) return [word]
    if (typeof word === 'number' && word - word === 0) return [`${word}`]
    if (isArray(word)) return wordsOf(word)
    throw new TypeError(`a word of a command is a text, a number or a Uint8Array, not ${shown(word)}`)
  })
}

function shown(value) {
  return typeof value === 'string' ? stringify(value) : String(value)
}

// ---- the common ones ----

export function get(key) {
  return call('GET', key)
}

/** `options` as Redis has them: `'EX', 60, 'NX'`. */
export function set(key, value, ...options) {
  return call('SET', key, value, ...options)
}

export function del(...keys) {
  return call('DEL', ...keys)
}

export function exists(...keys) {
  return call('EXISTS', ...keys)
}

export function incr(key, by = 1) {
  return call('INCRBY', key, by)
}

export function expire(key, seconds) {
  return call('EXPIRE', key, seconds)
}

export function ttl(key) {
  return call('TTL', key)
}

export function hget(key, field) {
  return call('HGET', key, field)
}

/** Fields and values, or objects of them. */
export function hset(key, ...fields) {
  return call('HSET', key, ...fields.map((each) => (isPlain(each) ? entries(each) : each)))
}

function isPlain(value) {
  return typeof value === 'object' && value !== null && !isArray(value) && !(value instanceof Uint8Array)
}

/** An object without a prototype; empty when there is nothing. */
export async function hgetall(key) {
  const pairs = await call('HGETALL', key)
  const found = { __proto__: null }
  for (let i = 0; i < pairs.length; i += 2) found[pairs[i]] = pairs[i + 1]
  return found
}

export function hdel(key, ...fields) {
  return call('HDEL', key, ...fields)
}

export function sadd(key, ...members) {
  return call('SADD', key, ...members)
}

export function srem(key, ...members) {
  return call('SREM', key, ...members)
}

export function smembers(key) {
  return call('SMEMBERS', key)
}

export async function sismember(key, member) {
  return (await call('SISMEMBER', key, member)) === 1
}

/** Scores and members, with Redis's options before them. */
export function zadd(key, ...scores) {
  return call('ZADD', key, ...scores)
}

export function zrem(key, ...members) {
  return call('ZREM', key, ...members)
}

export function zrange(key, start, stop, ...options) {
  return call('ZRANGE', key, start, stop, ...options)
}

export function lpush(key, ...values) {
  return call('LPUSH', key, ...values)
}

export function rpush(key, ...values) {
  return call('RPUSH', key, ...values)
}

export function lrange(key, start, stop) {
  return call('LRANGE', key, start, stop)
}

export function publish(channel, message) {
  return call('PUBLISH', channel, message)
}

/** Lua in Redis, where `store` has `allow_eval`. */
function evaluate(lua, keys = [], args = []) {
  return call('EVAL', lua, keys.length, keys, args)
}

export { evaluate as eval }
