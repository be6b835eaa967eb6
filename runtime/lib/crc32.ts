/**
 * CRC-32 (ISO-HDLC, the one of zlib and of nginx's hashes) over byte strings. Pure; knows no balancing.
 * A table over char codes beats `node:zlib`'s crc32 for short keys: half the time at 20 bytes, since no bytes have to be
 * encoded.
 */

import { octetAt } from './octet-at.ts'

const TABLE = makeTable()

/**
 * CRC of a byte string. `crc32(b, crc32(a))` is the CRC of `a + b`.
 * @param seed CRC of what goes before
 * @returns an unsigned 32-bit number
 */
export function crc32(text: string, seed = 0): number {
  let crc = ~seed
  const { length } = text
  for (let i = 0; i < length; i++) crc = TABLE[(crc ^ octetAt(text, i)) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

/** CRC of the four bytes of `word`, lowest first, after what `seed` is the CRC of. */
export function crc32Word(word: number, seed: number): number {
  let crc = ~seed ^ word
  for (let i = 0; i < 4; i++) crc = TABLE[crc & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

function makeTable(): Int32Array {
  const table = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
    table[byte] = crc
  }
  return table
}
