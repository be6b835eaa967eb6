/** Letters as nginx compares them: only A to Z have two cases; every other byte is itself. Byte strings. */

import { octetAt } from './octet-at.ts'

const UPPER = /[A-Z]/
const UPPER_RUNS = /[A-Z]+/g

/** The text with A-Z in lower case. Unlike `toLowerCase`, bytes above 0x7f stay what they are. */
export function lowerAscii(text: string): string {
  return UPPER.test(text) ? text.replace(UPPER_RUNS, (run) => run.toLowerCase()) : text
}

/** True if `text` has `lower` (lower case) at `start`, whatever the case of its letters. */
export function hasAt(text: string, start: number, lower: string): boolean {
  const { length } = lower
  if (text.length - start < length) return false
  for (let i = 0; i < length; i++) {
    const wanted = octetAt(lower, i)
    const octet = octetAt(text, start + i)
    if (octet !== wanted && !(octet >= 0x41 && octet <= 0x5a && octet + 0x20 === wanted)) return false
  }
  return true
}

/** Percent-encodes every byte that the pattern (with the flag `g`) finds. */
export function percentEncode(text: string, bytes: RegExp): string {
  return text.replace(bytes, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}
