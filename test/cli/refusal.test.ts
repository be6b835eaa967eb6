// A refused script on a terminal: the log's line, and the script's own with a caret; elsewhere the log's line alone.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { refusalText, showExcerpt } from '../../runtime/cli/refusal.ts'
import { makeStyle } from '../../runtime/cli/style.ts'
import { ScriptError } from '../../runtime/script/engine.ts'

const PLAIN = makeStyle(false)
const COLOURED = makeStyle(true, { TERM: 'xterm' })
const place = { file: '/s/a.js', line: 3, column: 2, excerpt: '    3 |  x\n      |  ^' }

/** What is written to a stream. */
function written(error: unknown, isTTY: boolean): string {
  let text = ''
  const stream = { isTTY, write: (part: string) => (text += part) }
  showExcerpt(error, stream as unknown as NodeJS.WriteStream, PLAIN)
  return text
}

test('the message in one line, then the excerpt', () => {
  const error = new ScriptError(place, 'no\n[emerg] forged \x1b[2J')
  assert.is(refusalText(error, PLAIN), `/s/a.js:3:2: no\\n[emerg] forged \\x1b[2J\n${place.excerpt}`)
  assert.is(refusalText(new ScriptError({ ...place, line: 0, excerpt: '' }, 'no'), PLAIN), '/s/a.js: no')
  assert.is(refusalText(new Error('other'), PLAIN), 'other')
  assert.is(refusalText('text', PLAIN), 'text')
})

test('colours leave the margin and the caret apart from the script', () => {
  const [, text, caret] = refusalText(new ScriptError(place, 'no'), COLOURED).split('\n')
  assert.is(text, '\x1b[2m    3 | \x1b[22m x')
  assert.is(caret, '\x1b[2m      | \x1b[22m \x1b[31m^\x1b[39m')
})

test('while the proxy runs, only a terminal gets the excerpt', () => {
  const error = new ScriptError(place, 'no')
  assert.is(written(error, true), `${place.excerpt}\n`)
  assert.is(written(error, false), '')
  assert.is(written(new Error('x'), true), '')
  assert.is(written(new ScriptError({ ...place, excerpt: '' }, 'no'), true), '')
})

test.run()
