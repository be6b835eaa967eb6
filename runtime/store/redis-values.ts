/** Entries as Redis holds them: a type byte (`j` JSON text, `b` bytes) and the value; the time to live is the key's. Pure. */
import type { StoreEntry, StoreValue } from './store.ts'

export function encode(value: StoreValue): string | Buffer {
  return typeof value === 'string' ? `j${value}` : Buffer.concat([BYTES, value])
}

const BYTES = Buffer.from('b')

/** `{ value, pttl }` of a script. */
export function entryOf(key: string, reply: unknown): StoreEntry | null {
  if (!Array.isArray(reply)) return null
  const [stored, ttl] = reply as [Buffer, number]
  const value = stored[0] === BYTES[0] ? new Uint8Array(stored.subarray(1)) : stored.toString('utf8', 1)
  return { key, value, expires: ttl < 0 ? Infinity : Date.now() + ttl }
}

export function millis(ttl: number): string {
  return ttl === Infinity ? '0' : String(Math.max(1, Math.ceil(ttl)))
}
