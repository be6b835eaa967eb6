/** MurmurHash3 (x86, 32 bits) over byte strings: a well-spread hash for sharding. Pure; not for secrets. */

const C1 = 0xcc9e2d51
const C2 = 0x1b873593

/** @returns an unsigned 32-bit number */
export function murmur3(text: string, seed = 0): number {
  let hash = seed | 0
  const whole = text.length & ~3
  for (let i = 0; i < whole; i += 4) {
    hash ^= scramble(bytes(text, i, 4))
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  hash ^= scramble(bytes(text, whole, text.length & 3))
  return finish(hash ^ text.length)
}

function bytes(text: string, at: number, count: number): number {
  let word = 0
  for (let i = 0; i < count; i++) word |= (text.charCodeAt(at + i) & 0xff) << (8 * i)
  return word
}

function scramble(word: number): number {
  const mixed = Math.imul(word, C1)
  return Math.imul((mixed << 15) | (mixed >>> 17), C2)
}

function finish(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
