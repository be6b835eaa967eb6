/**
 * Reads values that came from elsewhere, one shape after the other: whatever differs from what is asked for is no value,
 * and says so. Knows nothing of what they mean.
 */

/** What was read is not what it should be. */
export class Malformed extends Error {}

/** Where in a value something stands, for messages. */
type Place = string

const MAX_TEXT = 256
/** No word of a person holds these; line ends are for those that may. */
const CONTROLS = /[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]/

/** @param max characters @throws Malformed */
export function parseJson(text: string, max: number): unknown {
  if (text.length > max) throw new Malformed(`it is longer than ${max} characters`)
  try {
    return JSON.parse(text)
  } catch {
    throw new Malformed('it is no JSON')
  }
}

/** Its members, by name. @throws Malformed */
export function membersOf(value: unknown, place: Place): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new Malformed(`${place} is no object`)
}

/** @throws Malformed */
export function listOf<T>(value: unknown, place: Place, max: number, read: (item: unknown) => T): T[] {
  if (Array.isArray(value) && value.length <= max) return value.map(read)
  throw new Malformed(`${place} is no list of at most ${max}`)
}

/** Without control characters. @throws Malformed */
export function textOf(value: unknown, place: Place, max = MAX_TEXT): string {
  if (typeof value === 'string' && value.length <= max && !CONTROLS.test(value) && !value.includes('\n'))
    return value
  throw new Malformed(`${place} is no text of at most ${max} characters`)
}

/** The same, of several lines; what is no character of a text is left out. @throws Malformed */
export function linesOf(value: unknown, place: Place, max: number): string {
  if (typeof value === 'string' && value.length <= max) return cleaned(value)
  throw new Malformed(`${place} is no text of at most ${max} characters`)
}

/** Without what a terminal might obey. */
export function cleaned(text: string): string {
  return text.replace(new RegExp(CONTROLS, 'g'), ' ')
}

/** @throws Malformed */
export function matchOf(value: unknown, place: Place, pattern: RegExp): string {
  if (typeof value === 'string' && pattern.test(value)) return value
  throw new Malformed(`${place} is malformed`)
}

/** A whole number from 0 on. @throws Malformed */
export function countOf(value: unknown, place: Place, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max) return value
  throw new Malformed(`${place} is no number from 0 to ${max}`)
}

/** @throws Malformed */
export function oneOf<const T extends string>(value: unknown, place: Place, words: readonly T[]): T {
  const word = words.find((one) => one === value)
  if (word !== undefined) return word
  throw new Malformed(`${place} is none of ${words.join(', ')}`)
}
