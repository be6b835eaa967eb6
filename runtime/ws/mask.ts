/** Masking of RFC 6455 section 5.3: its own inverse, in place. */
import { randomFillSync } from 'node:crypto'

/** From here on words are cheaper than bytes. */
const LONG = 64

const keys = Buffer.allocUnsafeSlow(8192)
let used = keys.length

/** A key that nobody can foresee, as four bytes in one number, the first byte lowest. */
export function newMask(): number {
  if (used === keys.length) {
    randomFillSync(keys)
    used = 0
  }
  const key = keys.readInt32LE(used)
  used += 4
  return key
}

/**
 * Masks `bytes[from, to)`.
 * @param key the first byte lowest
 * @param phase bytes of the payload that came before, modulo 4
 */
export function applyMask(bytes: Uint8Array, from: number, to: number, key: number, phase = 0): void {
  let at = from
  let turned = rotate(key, phase)
  if (to - from >= LONG) {
    while (((bytes.byteOffset + at) & 3) !== 0) {
      bytes[at++] ^= turned & 0xff
      turned = rotate(turned, 1)
    }
    const count = (to - at) >>> 2
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, count)
    // The words are in the byte order of the machine; so must the key be.
    const word = LITTLE_ENDIAN ? turned : swap(turned)
    for (let i = 0; i < count; i++) words[i] ^= word
    at += count << 2
  }
  const b0 = turned & 0xff
  const b1 = (turned >>> 8) & 0xff
  const b2 = (turned >>> 16) & 0xff
  const b3 = turned >>> 24
  for (; at + 3 < to; at += 4) {
    bytes[at] ^= b0
    bytes[at + 1] ^= b1
    bytes[at + 2] ^= b2
    bytes[at + 3] ^= b3
  }
  if (at < to) bytes[at] ^= b0
  if (at + 1 < to) bytes[at + 1] ^= b1
  if (at + 2 < to) bytes[at + 2] ^= b2
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** The key as seen from `by` bytes further on. */
function rotate(key: number, by: number): number {
  const bits = (by & 3) << 3
  return bits === 0 ? key : (key >>> bits) | (key << (32 - bits))
}

function swap(key: number): number {
  return ((key & 0xff) << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | (key >>> 24)
}
