// Colours are for terminals, and for those who want them.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { makeStyle } from '../../runtime/cli/style.ts'

test('a terminal gets colours', () => {
  const style = makeStyle(true, { TERM: 'xterm' })
  assert.is(style.bold('x'), '\x1b[1mx\x1b[22m')
  assert.is(style.green('x'), '\x1b[32mx\x1b[39m')
})

test('a file, NO_COLOR and a dumb terminal get none', () => {
  assert.is(makeStyle(false, { TERM: 'xterm' }).bold('x'), 'x')
  assert.is(makeStyle(true, { TERM: 'xterm', NO_COLOR: '1' }).red('x'), 'x')
  assert.is(makeStyle(true, { TERM: 'dumb' }).dim('x'), 'x')
})

test('an empty NO_COLOR is none', () => {
  assert.is(makeStyle(true, { TERM: 'xterm', NO_COLOR: '' }).cyan('x'), '\x1b[36mx\x1b[39m')
})

test.run()
