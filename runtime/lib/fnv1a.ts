/** FNV-1a, 32 bits, over byte strings: a small quick hash. Pure; not for secrets. */

const OFFSET_BASIS = 0x811c9dc5
const PRIME = 0x01000193

/** @returns an unsigned 32-bit number */
export function fnv1a(text: string): number {
  let hash = OFFSET_BASIS
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ (text.charCodeAt(i) & 0xff), PRIME)
  return hash >>> 0
}
