// The line that a message is about, with a caret below the place.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { excerpt } from '../../runtime/lib/excerpt.ts'

const shown = (text: string, line: number, column: number) => excerpt(text, line, column).split('\n')

test('the line with its number, and a caret below the column', () => {
  assert.equal(shown('one\n  return (\n}', 2, 10), ['    2 |   return (', '      |          ^'])
  assert.equal(shown('x', 1, 1), ['    1 | x', '      | ^'])
  assert.equal(shown('a\r\nb\r\n', 2, 2), ['    2 | b', '      |  ^'])
  assert.equal(shown(`${'\n'.repeat(123_455)}x`, 123_456, 1), ['123456 | x', '       | ^'])
})

test('a column behind the end stands at the end; a line that there is not is nothing', () => {
  assert.equal(shown('abc', 1, 99), ['    1 | abc', '      |    ^'])
  assert.is(excerpt('abc', 2, 1), '')
  assert.is(excerpt('abc', 0, 0), '')
  assert.is(excerpt('', 1, 0), '')
})

test('tabs are two columns, wide characters too, and characters of two units are one', () => {
  assert.equal(shown('\t\tx', 1, 3), ['    1 |     x', '      |     ^'])
  assert.equal(shown('\u6f22\u00e9x', 1, 3), ['    1 | \u6f22\u00e9x', '      |    ^'])
  assert.equal(shown("'\u{1f600}' x", 1, 5), ["    1 | '\u{1f600}' x", '      |      ^'])
})

test('a long line is cut around the place', () => {
  const line = `${'a'.repeat(200)}X${'b'.repeat(200)}`
  const [text, caret] = shown(line, 1, 201)
  assert.is(text, `    1 | \u2026${'a'.repeat(60)}X${'b'.repeat(35)}\u2026`)
  assert.is(text!.indexOf('X'), caret!.indexOf('^'))
  assert.equal(shown(line, 1, 1), [`    1 | ${'a'.repeat(96)}\u2026`, '      | ^'])
})

test('what would steer a terminal is shown as a dot', () => {
  assert.is(shown('a\x1b[31mb\x9bc\u202ed', 1, 1)[0], '    1 | a\u00b7[31mb\u00b7c\u00b7d')
})

test.run()
