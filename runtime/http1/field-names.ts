/**
 * The header fields that Sluice itself looks at, each with a small number, and the way from a name to its number.
 * Knows names only, no values.
 */
import { octetAt } from '../lib/octet-at.ts'
import { LOWER_CASE } from './octets.ts'

/** Numbers of the known fields. Those below 32 include every field that a request may hold only once. */
export const Field = {
  OTHER: 0,
  HOST: 1,
  CONNECTION: 2,
  CONTENT_LENGTH: 3,
  TRANSFER_ENCODING: 4,
  EXPECT: 5,
  AUTHORIZATION: 6,
  PROXY_AUTHORIZATION: 7,
  IF_RANGE: 8,
  IF_MODIFIED_SINCE: 9,
  IF_UNMODIFIED_SINCE: 10,
  IF_MATCH: 11,
  IF_NONE_MATCH: 12,
  CONTENT_RANGE: 13,
  KEEP_ALIVE: 14,
  UPGRADE: 15,
  TE: 16,
  TRAILER: 17,
  PROXY_CONNECTION: 18,
  COOKIE: 19,
  X_FORWARDED_FOR: 20,
  RANGE: 21,
  USER_AGENT: 22,
  REFERER: 23,
  CONTENT_TYPE: 24,
  ACCEPT: 25,
  ACCEPT_ENCODING: 26,
  ACCEPT_LANGUAGE: 27,
  VIA: 28,
  X_REAL_IP: 29,
  SEC_WEBSOCKET_KEY: 30,
  PRAGMA: 31,
  SERVER: 32,
  DATE: 33,
  LOCATION: 34,
  REFRESH: 35,
  SET_COOKIE: 36,
  CONTENT_ENCODING: 37,
  LAST_MODIFIED: 38,
  ETAG: 39,
  EXPIRES: 40,
  CACHE_CONTROL: 41,
  WWW_AUTHENTICATE: 42,
  ACCEPT_RANGES: 43,
  LINK: 44,
  VARY: 45,
  X_ACCEL_REDIRECT: 46,
  X_ACCEL_EXPIRES: 47,
  X_ACCEL_LIMIT_RATE: 48,
  X_ACCEL_BUFFERING: 49,
  X_ACCEL_CHARSET: 50,
} as const

/** One of the numbers in {@link Field}. */
export type FieldId = (typeof Field)[keyof typeof Field]

/** The number of a set of fields: one bit each. Ids of 32 and more do not fit. */
export function fieldBits(...ids: readonly FieldId[]): number {
  let bits = 0
  for (const id of ids) bits |= 1 << id
  return bits
}

/** Lower-case octets of each name by id. */
const NAMES: Uint8Array[] = []

/** Id by {@link slotOf}; no two known names share a slot. */
const SLOTS = new Uint8Array(256)

/** The multipliers were searched for so that the known names fall into slots of their own; first and last in lower case. */
function slotOf(length: number, first: number, middle: number, last: number): number {
  return (length + 12 * first + 5 * middle + 6 * last) & 255
}

for (const [key, id] of Object.entries(Field)) {
  const name = Buffer.from(key.toLowerCase().replaceAll('_', '-'), 'latin1')
  const length = name.length
  NAMES[id] = id === Field.OTHER ? new Uint8Array(0) : name
  if (id === Field.OTHER) continue
  const slot = slotOf(length, name[0], name[length >> 1], name[length - 1])
  if (SLOTS[slot] !== 0)
    throw new Error(`field names ${id} and ${SLOTS[slot]} share a slot: search new multipliers`)
  SLOTS[slot] = id
}

/**
 * The id of a field name in any case; `Field.OTHER` if it is none of the known ones.
 * @param name a byte string
 */
export function fieldId(name: string): FieldId {
  const length = name.length
  if (length === 0) return Field.OTHER
  const first = LOWER_CASE[octetAt(name, 0) & 255]
  const middle = LOWER_CASE[octetAt(name, length >> 1) & 255]
  const last = LOWER_CASE[octetAt(name, length - 1) & 255]
  const id = SLOTS[slotOf(length, first, middle, last)]
  const known = NAMES[id]
  if (known.length !== length) return Field.OTHER
  for (let i = 0; i < length; i++) if (LOWER_CASE[octetAt(name, i)] !== known[i]) return Field.OTHER
  return id as FieldId
}

/**
 * The id of the name in `bytes[start, end)`, which is not empty and holds no controls: so setting the bit that tells
 * lower case from upper is enough to compare with letters and `-`. Hot: see `test/bench/micro-http1.ts`.
 */
export function fieldIdAt(bytes: Uint8Array, start: number, end: number): FieldId {
  const length = end - start
  const first = bytes[start] | 0x20
  const middle = bytes[start + (length >> 1)] | 0x20
  const last = bytes[end - 1] | 0x20
  const id = SLOTS[slotOf(length, first, middle, last)]
  const known = NAMES[id]
  if (known.length !== length) return Field.OTHER
  for (let i = 0; i < length; i++) if ((bytes[start + i] | 0x20) !== known[i]) return Field.OTHER
  return id as FieldId
}

const LOOKALIKES = new Set(['transferencoding', 'contentlength'])

/**
 * True for a name that is not `Transfer-Encoding` or `Content-Length` but that a sloppy reader could take for it, like
 * `Transfer_Encoding` or `Content-Length\xa0`: letters and digits are the same. Two readers that disagree about such
 * a name disagree about where the message ends (request smuggling).
 */
export function looksLikeFraming(name: string): boolean {
  if (name.length > 64) return false
  const letters = name.toLowerCase().replace(/[^a-z0-9]/g, '')
  return LOOKALIKES.has(letters) && fieldId(name) === Field.OTHER
}
