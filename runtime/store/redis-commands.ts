/**
 * Which raw commands scripts may send to Redis, and with which words: a list of those that are known to be harmless to
 * whoever shares the connection. Not on it: what blocks, what changes the connection or the server, what looks at keys
 * that it does not name, and what takes much memory for few words (SETBIT, SETRANGE; SRANDMEMBER and its like, which
 * repeat members as often as they are told). Pure.
 */
import type { RedisCommand } from '../phases.ts'

/** Of all commands of one call together: words, and bytes. */
export const MAX_COMMANDS = 128
export const MAX_WORDS = 4096
export const MAX_SENT = 1024 * 1024

/** Where the keys of a command stand among its words; `channel`: its first word is to be kept apart like a key. */
type KeyPlace = 'none' | 'first' | 'two' | 'all' | 'pairs' | 'channel' | 'counted' | 'streams'

const PLACES: Readonly<Record<KeyPlace, string>> = {
  none: 'ECHO PING TIME',
  channel: 'PUBLISH',
  first: `APPEND BITCOUNT BITPOS DECR DECRBY EXPIRE EXPIREAT EXPIRETIME GET GETBIT GETDEL GETEX GETRANGE GETSET INCR
    INCRBY INCRBYFLOAT PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PSETEX PTTL SET SETEX SETNX STRLEN TTL TYPE
    HDEL HEXISTS HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HSCAN HSET HSETNX HSTRLEN HVALS
    LINDEX LINSERT LLEN LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM RPOP RPUSH RPUSHX
    SADD SCARD SISMEMBER SMEMBERS SMISMEMBER SPOP SREM SSCAN
    ZADD ZCARD ZCOUNT ZINCRBY ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK
    ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN
    ZSCORE GEOADD GEODIST GEOHASH GEOPOS GEOSEARCH PFADD XADD XDEL XLEN XRANGE XREVRANGE XTRIM`,
  two: 'GEOSEARCHSTORE LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE',
  all: 'DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION SUNIONSTORE TOUCH UNLINK',
  pairs: 'MSET MSETNX',
  counted: 'EVAL EVALSHA EVAL_RO EVALSHA_RO',
  streams: 'XREAD',
}

const PLACE_OF: ReadonlyMap<string, KeyPlace> = new Map(
  (Object.keys(PLACES) as KeyPlace[]).flatMap((place) =>
    PLACES[place].split(/\s+/).map((name): [string, KeyPlace] => [name, place]),
  ),
)

export interface CommandRules {
  /** Begins the store's own keys, which scripts leave alone. */
  readonly prefix: string
  /** Lua may be run (`allow_eval`). */
  readonly allowsEval: boolean
}

/** @throws RangeError, whose message is safe for the script */
export function checkCommand(command: RedisCommand, { prefix, allowsEval }: CommandRules): void {
  const [name, ...words] = command
  const place = PLACE_OF.get(name)
  if (place === undefined)
    throw new RangeError(`"${shown(name)}" is none of the commands that scripts may send`)
  if (place === 'counted' && !allowsEval)
    throw new RangeError(
      `${name} runs Lua in Redis, where no limit of the sandbox holds; add "allow_eval" to "store" to allow it`,
    )
  const own = Buffer.from(prefix)
  for (const key of keysAt(place, name, words)) {
    if (beginsWith(key, own))
      throw new RangeError(`what begins with "${prefix}" belongs to the store itself; use sluice:store`)
  }
}

function keysAt(place: KeyPlace, name: string, words: readonly Word[]): readonly Word[] {
  switch (place) {
    case 'none':
      return []
    case 'first':
    case 'channel':
      return words.slice(0, 1)
    case 'two':
      return words.slice(0, 2)
    case 'all':
      return words
    case 'pairs':
      return words.filter((_, i) => i % 2 === 0)
    case 'counted':
      return words.slice(2, 2 + countOf(name, words[1]))
    case 'streams':
      return streamsOf(words)
  }
}

type Word = string | Uint8Array

function countOf(name: string, word: Word | undefined): number {
  const text = word === undefined ? '' : textOf(word)
  if (!/^\d{1,6}$/.test(text)) throw new RangeError(`${name}: the number of keys is a whole number`)
  return Number(text)
}

/** `XREAD [COUNT n] [BLOCK ms] STREAMS key … id …` */
function streamsOf(words: readonly Word[]): readonly Word[] {
  const names = words.map((word) => textOf(word).toUpperCase())
  const at = names.indexOf('STREAMS')
  if (names.slice(0, at < 0 ? names.length : at).includes('BLOCK'))
    throw new RangeError('XREAD with BLOCK would keep everybody else waiting')
  return at < 0 ? [] : words.slice(at + 1, at + 1 + Math.floor((words.length - at - 1) / 2))
}

function textOf(word: Word): string {
  return typeof word === 'string' ? word : Buffer.from(word).toString('latin1')
}

function beginsWith(key: Word, start: Buffer): boolean {
  return typeof key === 'string'
    ? key.startsWith(start.toString())
    : start.equals(key.subarray(0, start.length))
}

function shown(name: string): string {
  return name.slice(0, 40)
}
