/** Bounds that every store keeps, and comparing values. Pure. */
import { StoreError, type StoreValue } from './store.ts'

/** Bytes of a key. */
export const MAX_KEY = 1024
/** Bytes of a value. */
export const MAX_VALUE = 256 * 1024
/** Entries of a map whose `max` is not given. */
export const DEFAULT_MAX = 1_000_000

/** @throws StoreError */
export function checkKey(key: string): void {
  if (key.length > MAX_KEY || (key.length > MAX_KEY / 3 && Buffer.byteLength(key) > MAX_KEY))
    throw new StoreError('too_large', `a key is at most ${MAX_KEY} bytes; use a hash of what is longer`)
}

/** @throws StoreError */
export function checkValue(value: StoreValue): void {
  const size =
    typeof value !== 'string' || value.length <= MAX_VALUE / 3 ? value.length : Buffer.byteLength(value)
  if (size > MAX_VALUE)
    throw new StoreError('too_large', `a value is at most ${MAX_VALUE} bytes, not ${size}`)
}

const WIDE = /[^\x00-\xff]/

/** What a value or a key takes in memory. */
export function bytesOf(value: StoreValue): number {
  return typeof value === 'string' && WIDE.test(value) ? 2 * value.length : value.length
}

/** The same text on its own: as a part of another one it would keep all of that in memory. */
export function detached(text: string): string {
  const encoding = WIDE.test(text) ? 'utf16le' : 'latin1'
  return Buffer.from(text, encoding).toString(encoding)
}

/** Whether two values are the same; null stands for none. */
export function sameValue(a: StoreValue | null, b: StoreValue | null): boolean {
  if (a === null || b === null || typeof a === 'string' || typeof b === 'string') return a === b
  return Buffer.compare(a, b) === 0
}
