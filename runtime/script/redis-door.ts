/**
 * The host functions behind `sluice:redis`: what `stdlib/redis.js` asks for, checked. A call is told word by word, so
 * that bytes need no text and every bound holds before anything is kept; then it is sent.
 */
import type { RedisCommand, RedisReply, ScriptRedis } from '../phases.ts'
import { checkCommand, MAX_COMMANDS, MAX_SENT, MAX_WORDS } from '../store/redis-commands.ts'
import { StoreError } from '../store/store.ts'
import { argument, bytesAt, type DoorContext, type HostFunctions, MAX_NAME } from './door.ts'
import { fromBytes, GuestError } from './guest-values.ts'
import type { MapAnswer, MapGuest } from './map-calls.ts'
import { guestValue } from './map-values.ts'

/** Bytes that a reply may take in the sandbox, each element some of them. */
const MAX_REPLY = 1024 * 1024
const ELEMENT = 16

type Draft = [name: string, ...words: (string | Uint8Array)[]]

export function redisDoor(door: DoorContext): HostFunctions {
  const { values } = door
  let commands: Draft[] = []
  let words = 0
  let bytes = 0
  return {
    /** How the host settles what the guest waits for. Refused where there is no Redis. */
    redisReady(_self, argv) {
      redisOf(door)
      door.maps.ready(door.instance.duplicate(argv))
      return 0
    },
    /** A call begins: what was told of one that has failed is forgotten. */
    redisBegin() {
      commands = []
      words = bytes = 0
      return 0
    },
    /** `(name)`: a command of the call. */
    redisCommand(_self, argv) {
      if (commands.length === MAX_COMMANDS)
        throw new GuestError('RangeError', `a call has at most ${MAX_COMMANDS} commands`)
      commands.push([values.text(argv, 'the command', MAX_NAME).toUpperCase()])
      return 0
    },
    /** `(text)` or `(buffer, offset, length)`: a word of the command. */
    redisWord(_self, argv) {
      const isText = values.isString(argv)
      const word = isText ? values.text(argv, 'a word', MAX_SENT) : bytesAt(door, argv, 0, 'a word', MAX_SENT)
      words++
      bytes += word.length
      if (words > MAX_WORDS || bytes > MAX_SENT)
        throw new GuestError('RangeError', `a call has at most ${MAX_WORDS} words and ${MAX_SENT} bytes`)
      commands.at(-1)?.push(typeof word === 'string' ? fromBytes(word) : word)
      return 0
    },
    /** `(atomic, bytes)`: an id; the answer is an array of replies. */
    redisSend(_self, argv) {
      const [atomic, asBytes] = [values.low(argv) === 1, values.low(argument(argv, 1)) === 1]
      const redis = redisOf(door)
      const sent = commands
      commands = []
      for (const command of sent) check(command, redis)
      const ask = async (): Promise<MapAnswer> => {
        const replies = await redis.send(sent, atomic)
        if (sizeOf(replies) > MAX_REPLY) throw tooLarge()
        return asBytes ? bytesAnswer(replies) : textAnswer(replies)
      }
      return values.int(door.maps.start(null, '', { ask }))
    },
  }
}

function redisOf({ host }: DoorContext): ScriptRedis {
  if (host.redis === undefined)
    throw new GuestError(
      'Error',
      'sluice:redis needs a Redis; write "store redis://HOST:PORT/0;" in http, or use sluice:store',
    )
  return host.redis
}

function check(command: RedisCommand, redis: ScriptRedis): void {
  try {
    checkCommand(command, redis)
  } catch (error) {
    throw new GuestError('RangeError', (error as Error).message)
  }
}

function tooLarge(): StoreError {
  return new StoreError('too_large', `the reply is larger than ${MAX_REPLY} bytes; ask for less at a time`)
}

function sizeOf(reply: RedisReply): number {
  if (reply === null || typeof reply === 'number') return ELEMENT
  if (reply instanceof Uint8Array) return ELEMENT + reply.length
  if ('refusal' in reply) return ELEMENT + reply.refusal.length
  return reply.reduce<number>((sum, each) => sum + sizeOf(each), ELEMENT)
}

/** `[reply, …]`, texts as texts. */
function textAnswer(replies: readonly RedisReply[]): MapAnswer {
  return (guest) => guestValue(guest, JSON.stringify(shapeOf(replies, (data) => bufferOf(data).toString())))
}

/** `{ replies, bytes }`: each text is `{ at, length }` of the bytes, which are a Uint8Array. */
function bytesAnswer(replies: readonly RedisReply[]): MapAnswer {
  const blobs: Uint8Array[] = []
  let at = 0
  const shape = shapeOf(replies, (data) => {
    blobs.push(data)
    at += data.length
    return { at: at - data.length, length: data.length }
  })
  const json = JSON.stringify({ replies: shape, bytes: null })
  return (guest) => withBytes(guest, guestValue(guest, json), Buffer.concat(blobs))
}

type Receiver = Pick<MapGuest, 'instance' | 'values' | 'guest'>

function withBytes(guest: Receiver, object: number | null, bytes: Uint8Array): number | null {
  const data = object === null ? null : guestValue(guest, bytes)
  if (object === null) return null
  if (data !== null) {
    guest.instance.setProperty(object, 'bytes', data)
    guest.instance.free(data)
    return object
  }
  guest.instance.free(object)
  return null
}

/** As JSON has it. */
function shapeOf(reply: RedisReply, show: (data: Uint8Array) => unknown): unknown {
  if (reply === null || typeof reply === 'number') return reply
  if (reply instanceof Uint8Array) return show(reply)
  if ('refusal' in reply) return reply
  return reply.map((each) => shapeOf(each, show))
}

function bufferOf(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}
