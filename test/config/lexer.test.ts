// nginx's tokens: quoting, escapes, comments, variables with braces, places, and what is refused.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LexError, Lexer } from '../../runtime/config/lexer.ts'

/** Each statement as its words and what ended it. */
function statements(text: string): (string | string[])[] {
  const lexer = new Lexer(text, 'f')
  const found: (string | string[])[] = []
  for (;;) {
    const by = lexer.next()
    found.push(by === 'semicolon' || by === 'open' ? [...lexer.words.map((word) => word.text), by] : by)
    if (by === 'end') return found
  }
}

function failure(text: string): string {
  try {
    statements(text)
  } catch (error) {
    assert.instance(error, LexError)
    const { message, where } = error as LexError
    return `${where.line}:${where.column}: ${message}`
  }
  return 'read'
}

test('words are separated by blanks, statements end in a semicolon or open a block', () => {
  assert.equal(statements('a b;\n\tc\r\nd {e;}'), [
    ['a', 'b', 'semicolon'],
    ['c', 'd', 'open'],
    ['e', 'semicolon'],
    'close',
    'end',
  ])
})

test('quotes keep blanks, semicolons, braces and line feeds', () => {
  assert.equal(statements(`a "b; {c}" 'd "e"' "" 'x\ny';`), [
    ['a', 'b; {c}', 'd "e"', '', 'x\ny', 'semicolon'],
    'end',
  ])
})

test('escapes are the same inside and outside of quotes, and unknown ones stay as they are', () => {
  const raw = String.raw`a "\"\'\\\t\r\n\d\$" \"\'\\\t\r\n\d\$;`
  const read = `"'\\\t\r\n\\d\\$`
  assert.equal(statements(raw), [['a', read, read, 'semicolon'], 'end'])
})

test('a backslash takes blanks and terminators into the word, and stays in it', () => {
  assert.equal(statements(String.raw`a b\ c \;d e\{f \};`), [
    ['a', 'b\\ c', '\\;d', 'e\\{f', '\\}', 'semicolon'],
    'end',
  ])
})

test('braces of a variable do not open a block', () => {
  assert.equal(statements(`a \${b}c $d{e;}`), [
    ['a', `\${b}c`, '$d', 'open'],
    ['e', 'semicolon'],
    'close',
    'end',
  ])
  assert.equal(statements(`set $a \${{b;`), [['set', '$a', `\${{b`, 'semicolon'], 'end'])
})

test('a closing brace, a hash and a quote inside a word are part of it', () => {
  assert.equal(statements(`a b}c d#e f"g h'i;`), [['a', 'b}c', 'd#e', 'f"g', "h'i", 'semicolon'], 'end'])
})

test('a comment runs to the end of its line, also between words', () => {
  assert.equal(statements('# one; {\na # two "\nb;# three'), [['a', 'b', 'semicolon'], 'end'])
})

test('a closing parenthesis may follow a quoted word', () => {
  assert.equal(statements('if ($a = "b") {'), [['if', '($a', '=', 'b', ')', 'open'], 'end'])
})

test('a byte order mark is passed over', () => {
  assert.equal(statements('\xef\xbb\xbfa;'), [['a', 'semicolon'], 'end'])
})

test('every word has its place', () => {
  const lexer = new Lexer('a\n  "b\nc"  d;', 'f')
  lexer.next()
  assert.equal(
    lexer.words.map(({ where }) => `${where.line}:${where.column}`),
    ['1:1', '2:3', '3:5'],
  )
  assert.equal(lexer.terminator, { file: 'f', line: 3, column: 6 })
})

test('what cannot be read is refused where it stands', () => {
  assert.is(failure('a "b"c;'), '1:6: unexpected "c"; write a blank after the closing quote')
  assert.is(failure('a;\n;'), '2:1: unexpected ";"')
  assert.is(failure('{'), '1:1: unexpected "{"')
  assert.is(failure('a }'), '1:3: unexpected "}"')
  assert.is(failure('a "b"\x01;'), '1:6: unexpected "\\x01"; write a blank after the closing quote')
  assert.is(failure('a "b;\n\n'), '1:3: unexpected end of file, this " is never closed; write the second "')
  assert.is(failure('a\nb'), '1:1: unexpected end of file; write ";" or "{" at the end of this directive')
  assert.is(failure('a "b"'), '1:1: unexpected end of file; write ";" or "{" at the end of this directive')
})

test('reading goes on behind the next terminator', () => {
  const lexer = new Lexer('a "b"c d; e;', 'f')
  assert.throws(() => lexer.next(), /unexpected/)
  assert.is(lexer.recover(), 'semicolon')
  assert.is(lexer.next(), 'semicolon')
  assert.equal(
    lexer.words.map((word) => word.text),
    ['e'],
  )
})

test.run()
