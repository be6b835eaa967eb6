/** The line of a text that a message is about, with a caret below the place: for terminals. Knows no files. */

/** Characters of a line that are shown. */
const WIDTH = 96
/** Of those, how many stand before the place when the line is cut. */
const BEFORE = 60

/** Letters that take two columns, as far as a caret needs to know. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
/** What drives a terminal, or turns its direction. */
const CONTROL = /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/**
 *       3 |   return (
 *         |          ^
 *
 * @param line from 1
 * @param column from 1, in characters
 * @returns two lines without an end, harmless for a terminal; '' when the text has no such line
 */
export function excerpt(text: string, line: number, column: number): string {
  const whole = text.split('\n', line)[line - 1]?.replace(/\r$/, '')
  if (whole === undefined || column < 1) return ''
  const characters = [...whole.slice(0, 64 * 1024)]
  const at = Math.min(column - 1, characters.length)
  const from = characters.length <= WIDTH ? 0 : Math.max(0, at - BEFORE)
  const shown = visible(characters.slice(from, from + WIDTH))
  const before = visible(characters.slice(from, at))
  const number = String(line).padStart(5)
  const head = from === 0 ? '' : '…'
  const tail = from + WIDTH < characters.length ? '…' : ''
  return `${number} | ${head}${shown}${tail}\n${' '.repeat(number.length)} | ${' '.repeat(columns(head + before))}^`
}

function visible(characters: readonly string[]): string {
  return characters.join('').replaceAll('\t', '  ').replace(CONTROL, '·')
}

function columns(text: string): number {
  let count = 0
  for (const character of text) count += WIDE.test(character) ? 2 : 1
  return count
}
