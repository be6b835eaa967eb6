/** MurmurHash2, 32 bits, seed 0, as nginx's `split_clients` computes it. */

const MULTIPLIER = 0x5bd1e995

/** Hash of a byte string as an unsigned 32-bit number. */
export function murmur2(text: string): number {
  const length = text.length
  let hash = length
  let i = 0
  for (; length - i >= 4; i += 4) {
    let word =
      text.charCodeAt(i) |
      (text.charCodeAt(i + 1) << 8) |
      (text.charCodeAt(i + 2) << 16) |
      (text.charCodeAt(i + 3) << 24)
    word = Math.imul(word, MULTIPLIER)
    word = Math.imul(word ^ (word >>> 24), MULTIPLIER)
    hash = Math.imul(hash, MULTIPLIER) ^ word
  }
  const rest = length - i
  if (rest > 2) hash ^= text.charCodeAt(i + 2) << 16
  if (rest > 1) hash ^= text.charCodeAt(i + 1) << 8
  if (rest > 0) hash = Math.imul(hash ^ text.charCodeAt(i), MULTIPLIER)
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return (hash ^ (hash >>> 15)) >>> 0
}
