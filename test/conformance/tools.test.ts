// The judges of the conformance tools: what counts as a pass, as smuggled, as unclean.

import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

interface FileResult {
  readonly whole: boolean
  readonly planned: number
  readonly passed: number
  readonly failed: number
  readonly todo: number
  readonly skipped: number
  readonly note: string | null
}
interface Forwarded {
  readonly smuggled: string | null
  readonly unclean: readonly string[]
}

// Plain JavaScript beside the sources, because it must run without a build.
const FOLDER = join(fileURLToPath(new URL('.', import.meta.url)), '../../../test/conformance')
const load = async (file: string) => (await import(pathToFileURL(join(FOLDER, file)).href)) as unknown
const { judge } = (await load('tap.mjs')) as { judge(output: string, ending: string | null): FileResult }
const { judgeForwarded } = (await load('readings.mjs')) as { judgeForwarded(bytes: string): Forwarded }

function counts(output: string, ending: string | null = null): readonly (number | boolean | string | null)[] {
  const { whole, planned, passed, failed, todo, skipped, note } = judge(output, ending)
  return [whole, planned, passed, failed, todo, skipped, note]
}

test('a file passes whole when all that was planned ran and nothing failed', () => {
  assert.equal(counts('1..3\nok 1 - a # b\nok 2\nnot ok 3 - c # TODO later\n'), [true, 3, 2, 0, 1, 0, null])
  assert.equal(counts('ok 1 - a\nok 2 # skip no IPv6\n1..2\n'), [true, 2, 1, 0, 0, 1, null])
})

test('failures, missing assertions, skips and bad ends do not pass', () => {
  assert.equal(counts('1..2\nok 1\nnot ok 2 - b\n', 'exit code 1'), [false, 2, 1, 1, 0, 0, null])
  assert.equal(counts('1..5\nok 1\n', 'exit code 255'), [false, 5, 1, 0, 0, 0, '1 of 5 ran, exit code 255'])
  assert.equal(counts('1..0 # SKIP no http_v2\n'), [false, 0, 0, 0, 0, 0, 'SKIP no http_v2'])
  assert.equal(counts('1..1\nok 1\n', 'stopped after 9 s'), [false, 1, 1, 0, 0, 0, 'stopped after 9 s'])
  assert.equal(counts(''), [false, 0, 0, 0, 0, 0, 'no plan'])
  assert.equal(counts('# ok 1\n  ok 2\n1..1\nok 1 - \\# TODO is part of the name\n'), [
    true,
    1,
    1,
    0,
    0,
    0,
    null,
  ])
})

const CLEAN = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 29\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n',
  'POST / HTTP/1.0\r\nX: caf\xe9\r\nContent-Length: 3\r\n\r\nab', // the client went away
]
for (const bytes of CLEAN) {
  test(`is clean: ${JSON.stringify(bytes)}`, () => {
    assert.equal(judgeForwarded(bytes), { smuggled: null, unclean: [] })
  })
}

const HIDDEN = '0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n'
const framed = (line: string, length = HIDDEN.length) =>
  `POST / HTTP/1.1\r\n${line}\r\nContent-Length: ${length}\r\n\r\n${HIDDEN}`
const SMUGGLED: readonly [string, RegExp][] = [
  [framed('Transfer-Encoding : chunked'), /lenient reader ends/],
  [framed('Transfer_Encoding: chunked'), /lenient reader ends/],
  [framed('\x0bTransfer-Encoding: chunked'), /lenient reader ends/],
  [framed('X: a\rTransfer-Encoding: chunked'), /lenient reader ends/],
  [framed('Transfer-Encoding: xchunked'), /lenient reader ends/],
  [framed('Transfer-Encoding: chunked'), /lengthFirst reader ends/],
  [framed('A: b', 5), /bytes after the request: GET \/hidden/],
  ['GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n', /bytes after the request/],
]
for (const [bytes, reason] of SMUGGLED) {
  test(`is smuggled: ${JSON.stringify(bytes.slice(0, 60))}`, () => {
    assert.match(judgeForwarded(bytes).smuggled ?? 'nothing', reason)
  })
}

const UNCLEAN: readonly [string, RegExp][] = [
  ['GET / HTTP/1.1\r\nA: \x01\r\n\r\n', /control byte/],
  ['GET / HTTP/1.1\r\nA b: c\r\n\r\n', /field name/],
  ['GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n', /bare CR or LF/],
  ['GET / HTTP/1.1\r\nTransfer_Encoding: gzip\r\n\r\n', /lookalike/],
  ['GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n', /Transfer-Encoding gzip/],
  ['GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n', /two lengths/],
  ['GET / HTTP/1.1\r\nContent-Length: +0\r\n\r\n', /length \+0/],
  ['GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\na\r\n0\r\n\r\n', /chunk line/],
  ['GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n', /does not end in CRLF/],
  ['GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n', /request line/],
]
for (const [bytes, reason] of UNCLEAN) {
  test(`is unclean: ${JSON.stringify(bytes)}`, () => {
    assert.match(judgeForwarded(bytes).unclean.join('; '), reason)
  })
}

test.run()
