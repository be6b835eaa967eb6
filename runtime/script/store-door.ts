/** The host functions behind `sluice:store`: what `stdlib/store.js` asks for, checked. */
import { parseTime } from '../config/values.ts'
import type { MapValue, ScriptMap } from '../phases.ts'
import { MAX_KEY } from '../store/limits.ts'
import { argument, type DoorContext, type HostFunctions, isAbsent, MAX_BODY, MAX_NAME } from './door.ts'
import { fromBytes, GuestError } from './guest-values.ts'
import type { MapAnswer, MapQuestion } from './map-calls.ts'
import { guestValue } from './map-values.ts'
import type { Address } from './quickjs-module.ts'

/** Entries that a page of `entries` brings: with the largest values they fit into the smallest sandboxes. */
const PAGE = 16
/** Values are given as text, or as buffer, offset and length. */
const VALUE_WORDS = 3
const FIRST_VALUE = 4
const SECOND_VALUE = FIRST_VALUE + VALUE_WORDS

export function storeDoor(door: DoorContext): HostFunctions {
  const { values } = door
  return {
    /** How the host settles what the guest waits for. */
    mapReady(_self, argv) {
      door.maps.ready(door.instance.duplicate(argv))
      return 0
    },
    mapOpen(_self, argv) {
      const name = values.text(argv, 'the name of a map', MAX_NAME)
      return values.int(door.maps.open(name))
    },
    /** `(map, key)`: what is known at once; undefined: ask. */
    mapPeek(_self, argv) {
      const value = peek(door, argv)
      return value === undefined ? 0 : cellOf(door, value)
    },
    /** `(map, key)`: the same for `getOrSet`, which replaces what names a lost peer. */
    mapPeekMade(_self, argv) {
      const value = peek(door, argv)
      return value === undefined || door.maps.isLost(value) ? 0 : cellOf(door, value)
    },
    /** `(operation, map, key, ttl, value, second value)`, all given: an id. */
    mapCall(_self, argv) {
      const name = values.text(argv, 'the operation', MAX_NAME)
      if (!Object.hasOwn(OPERATIONS, name)) throw new GuestError('TypeError', 'no such operation')
      const map = door.maps.at(values.low(argument(argv, 1)))
      const key = keyAt(door, argument(argv, 2))
      const ttl = ttlAt(door, argument(argv, 3))
      return values.int(
        door.maps.start(map, key, OPERATIONS[name as Operation](door, argv, { map, key, ttl })),
      )
    },
    /** `(map, key, ttl)`: an id; the guest is told when it is the one to make the value. */
    mapGetOrSet(_self, argv) {
      const ttl = ttlAt(door, argument(argv, 2))
      return values.int(door.maps.getOrSet(values.low(argv), keyAt(door, argument(argv, 1)), ttl))
    },
    /** `(id, value)`; undefined: there is nothing to store. */
    mapMade(_self, argv) {
      const id = values.low(argv)
      if (isAbsent(door, argument(argv, 1))) door.maps.madeNothing(id)
      else door.maps.made(id, valueAt(door, argv, 1))
      return 0
    },
    /** `(id, error)` */
    mapNotMade(_self, argv) {
      door.maps.notMade(values.low(argv), argument(argv, 1))
      return 0
    },
  }
}

/** undefined: it is not known, or nothing to ask for: whoever asks is told what is wrong with it. */
function peek(door: DoorContext, argv: Address): MapValue | null | undefined {
  const { values } = door
  const cell = argument(argv, 1)
  if (!values.isString(cell) && !values.isNumber(cell)) return undefined
  const key = values.text(cell, 'the key', MAX_BODY)
  return key.length > MAX_KEY ? undefined : door.maps.at(values.low(argv)).peek(fromBytes(key))
}

/** 0 for what cannot be read. */
function cellOf(door: DoorContext, value: MapValue | null): Address {
  return value === null ? door.values.null() : (guestValue(door, value) ?? 0)
}

interface Asked {
  readonly map: ScriptMap
  readonly key: string
  /** undefined: the map's own. */
  readonly ttl: number | undefined
}

/** One for each method of a map but `getOrSet`; reads its values at once, and asks the store when it is called. */
const OPERATIONS = {
  get: (_door, _argv, { map, key }) => ({ ask: async () => valueAnswer(await map.get(key)), hashes: true }),
  set(door, argv, { map, key, ttl }) {
    const value = valueAt(door, argv, FIRST_VALUE)
    return {
      ask: async () => {
        await map.set(key, value, ttl)
        return NOTHING
      },
    }
  },
  add(door, argv, { map, key, ttl }) {
    const value = valueAt(door, argv, FIRST_VALUE)
    return { ask: async () => booleanAnswer((await map.add(key, value, ttl)) === null) }
  },
  compareAndSet(door, argv, { map, key, ttl }) {
    const [expected, value] = [optionalAt(door, argv, FIRST_VALUE), optionalAt(door, argv, SECOND_VALUE)]
    return { ask: async () => booleanAnswer(await map.compareAndSet(key, expected, value, ttl)) }
  },
  replace(door, argv, { map, key, ttl }) {
    const [gone, value] = [valueAt(door, argv, FIRST_VALUE), valueAt(door, argv, SECOND_VALUE)]
    return { ask: async () => valueAnswer(await map.replace(key, gone, value, ttl)) }
  },
  incr(door, argv, { map, key, ttl }) {
    const cell = argument(argv, FIRST_VALUE)
    const by = door.values.isNumber(cell) ? door.values.number(cell) : Number.NaN
    if (!Number.isFinite(by)) throw new GuestError('TypeError', 'incr adds a number')
    return {
      ask: async () => {
        const number = await map.incr(key, by, ttl)
        return ({ values }) => values.double(number)
      },
    }
  },
  touch: (_door, _argv, { map, key, ttl }) => ({
    ask: async () => booleanAnswer(await map.touch(key, ttl)),
  }),
  delete: (_door, _argv, { map, key }) => ({ ask: async () => booleanAnswer(await map.delete(key)) }),
  /** The key is the cursor, '' at first. */
  entries: (_door, _argv, { map, key }) => ({
    ask: async () => {
      const page = await map.entries(key === '' ? null : key, PAGE)
      // Bytes are asked for one by one.
      const rows = page.entries.map(({ key, value }) => (typeof value === 'string' ? [key, value] : [key]))
      return textAnswer(JSON.stringify([page.cursor, rows]))
    },
  }),
} satisfies Record<string, (door: DoorContext, argv: Address, asked: Asked) => MapQuestion>

type Operation = keyof typeof OPERATIONS

const NOTHING: MapAnswer = ({ values }) => values.null()

function valueAnswer(value: MapValue | null): MapAnswer {
  return (guest) => (value === null ? guest.values.null() : guestValue(guest, value))
}

function booleanAnswer(value: boolean): MapAnswer {
  return ({ values }) => values.boolean(value)
}

function textAnswer(text: string): MapAnswer {
  return ({ values }) => values.string(Buffer.from(text).toString('latin1'))
}

/** What is too long the store itself refuses, for whoever asks. */
function keyAt(door: DoorContext, cell: Address): string {
  return fromBytes(door.values.text(cell, 'the key', MAX_BODY))
}

/** JSON as text, or bytes given as `(buffer, offset, length)`. */
function valueAt(door: DoorContext, argv: Address, index: number): MapValue {
  const { values } = door
  const first = argument(argv, index)
  if (values.isString(first)) return fromBytes(values.text(first, 'the value', MAX_BODY))
  const start = values.number(argument(argv, index + 1))
  const length = values.number(argument(argv, index + 2))
  return values.buffer(first, 'the value', MAX_BODY, start, length)
}

function optionalAt(door: DoorContext, argv: Address, index: number): MapValue | null {
  return isAbsent(door, argument(argv, index)) ? null : valueAt(door, argv, index)
}

/** Milliseconds, or a time as nginx writes it. */
function ttlAt(door: DoorContext, cell: Address): number | undefined {
  const { values } = door
  if (isAbsent(door, cell)) return undefined
  const ms = values.isNumber(cell) ? values.number(cell) : parseTime(values.text(cell, 'the ttl', MAX_NAME))
  if (ms === null || !(ms > 0))
    throw new GuestError('TypeError', 'a ttl is a time above 0, such as "1h", or milliseconds')
  return ms === Number.POSITIVE_INFINITY ? ms : Math.ceil(Math.min(ms, MAX_TTL))
}

/** ms that every store can count: a thousand years. */
const MAX_TTL = 1000 * 365 * 86_400_000
