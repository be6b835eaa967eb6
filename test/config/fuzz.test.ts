// Whatever the text: the parser ends, throws nothing, and says where it does not understand.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { knownNames } from '../../runtime/config/directive-table.ts'
import { formatProblem } from '../../runtime/config/parse.ts'
import { translatePattern } from '../../runtime/config/pattern.ts'
import * as texts from './golden-texts.ts'
import { parse } from './parsed.ts'

/** Numbers that are the same in every run (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

function check(text: string): void {
  const { model, problems } = parse(text)
  assert.is(
    model === null,
    problems.some((problem) => problem.severity === 'error'),
    text,
  )
  for (const problem of problems)
    assert.match(formatProblem(problem), /^[^\0-\x1f]*:\d+:\d+: [^\0-\x1f]+$/, text)
}

test('random bytes', () => {
  const next = random(1)
  for (let run = 0; run < 500; run++) {
    check(Array.from({ length: next(60) }, () => String.fromCharCode(next(256))).join(''))
  }
})

const PIECES = [
  ...[
    '{',
    '}',
    ';',
    '"',
    "'",
    '#',
    '\n',
    ' ',
    '\\',
    '$',
    '${',
    '(',
    ')',
    '=',
    '~',
    '~*',
    '!',
    '@',
    '*',
    '',
    '0',
    '-1',
  ],
  ...[
    'on',
    'off',
    '10s',
    '1m',
    '$host',
    '$1',
    '/',
    '@a',
    'http://a',
    'http://$a',
    'unix:',
    '127.0.0.1:80',
    '[::1]',
  ],
  ...[
    'default',
    '(?<a>b)',
    '[',
    'weight=2',
    'http',
    'server',
    'location',
    'upstream',
    'map',
    'events',
    '=404',
  ],
]

test('random pieces of the language', () => {
  const names = [...knownNames()]
  const next = random(2)
  const piece = () => (next(3) === 0 ? names[next(names.length)]! : PIECES[next(PIECES.length)]!)
  for (let run = 0; run < 1500; run++)
    check(Array.from({ length: next(40) }, piece).join(next(2) === 0 ? ' ' : ''))
})

test('directives with random arguments, in every block', () => {
  const names = [...knownNames()].filter((name) => name !== 'include')
  const next = random(3)
  const argument = () => PIECES[20 + next(PIECES.length - 20)]!
  const blocks = [
    '',
    'events {',
    'http {',
    'http { server {',
    'http { server { location / {',
    'http { upstream u {',
  ]
  for (const name of names) {
    for (const open of blocks) {
      const args = Array.from({ length: next(4) }, () => `"${argument()}"`).join(' ')
      const end = next(4) === 0 ? '{ a b; }' : ';'
      check(`${open} ${name} ${args} ${end} ${'}'.repeat(open.split('{').length - 1)}`)
    }
  }
})

test('good configurations with one byte changed, left out or doubled', () => {
  const next = random(4)
  const good = Object.values(texts).map((text) => (text === texts.MAIN ? text : `http {${text}}`))
  for (let run = 0; run < 400; run++) {
    const text = good[next(good.length)]!
    const at = next(text.length)
    const instead = ['', text[at]! + text[at]!, '{', '}', ';', '"', '\0', '\xff'][next(8)]!
    check(text.slice(0, at) + instead + text.slice(at + 1))
  }
})

test('random patterns are translated or refused', () => {
  const next = random(5)
  const pieces = 'abA01-^$.*+?|()[]{},\\:=!<>PQEdwshRKgkpx#i \n\xe9'.split('')
  const where = { file: 'f', line: 1, column: 1 }
  for (let run = 0; run < 20_000; run++) {
    const source = Array.from({ length: next(14) }, () => pieces[next(pieces.length)]!).join('')
    const pattern = translatePattern(source, next(2) === 0, where)
    if ('severity' in pattern) assert.match(pattern.message, /^invalid regular expression /)
    else new RegExp(pattern.source, pattern.flags).test('abc\n')
  }
})

test.run()
