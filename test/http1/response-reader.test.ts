import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isFault } from '../../runtime/http1/fault.ts'
import { ResponseHead, ResponseReader } from '../../runtime/http1/response-reader.ts'
import { bytes, cut } from './conversation.ts'

const MAX = 4096

/** `version status reason | field lines`, `502 words`, or `incomplete`; and the rest if there is any. */
function read(chunks: readonly Buffer[], max = MAX): string {
  const reader = new ResponseReader(max)
  const said: string[] = []
  for (const chunk of chunks) {
    reader.push(chunk)
    for (let head = reader.next(); head !== null; head = reader.next()) {
      said.push(describe(head))
      if (isFault(head) || (head as ResponseHead).status >= 200) return withRest(said, reader)
    }
  }
  return [...said, 'incomplete'].join('\n')
}

function withRest(said: readonly string[], reader: ResponseReader): string {
  const rest = reader.takeRest()
  return (
    said.join('\n') +
    (rest === null || said.at(-1)!.startsWith('502 ups') ? '' : `\n${rest.toString('latin1')}`)
  )
}

function describe(head: unknown): string {
  if (isFault(head)) return `${head.status} ${head.reason}`
  const { version, status, reason, fields } = head as ResponseHead
  const lines = Array.from({ length: fields.count }, (_, i) => fields.line(i).trim())
  return `${version} ${status} ${reason} | ${lines.join(' | ')}`
}

const SIMPLE = 'HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 4\r\n\r\nbody'

test('a head is split into version, status, reason and fields', () => {
  assert.is(read([bytes(SIMPLE)]), '11 200 OK | Server: x | Content-Length: 4\nbody')
})

test('every cut of a head reads the same', () => {
  const head = SIMPLE.slice(0, -4)
  for (let at = 0; at < head.length; at++) {
    assert.is(read(cut(head, at)), '11 200 OK | Server: x | Content-Length: 4', `cut at ${at}`)
  }
  assert.is(read([...head].map((octet) => bytes(octet))), '11 200 OK | Server: x | Content-Length: 4')
})

test('interim responses come out like others', () => {
  const text = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \nLink: </a.css>\n\nHTTP/1.1 200 OK\r\n\r\n'
  const expected = '11 100 Continue | \n11 103  | Link: </a.css>\n11 200 OK | '
  assert.is(read([bytes(text)]), expected)
  for (let at = 0; at < text.length; at++) assert.is(read(cut(text, at)), expected, `cut at ${at}`)
})

const CASES: readonly (readonly [what: string, sent: string, understood: string])[] = [
  ['lone LFs', 'HTTP/1.1 200 OK\nA: b\n\n', '11 200 OK | A: b'],
  ['HTTP/1.0', 'HTTP/1.0 404 Not Found\r\n\r\n', '10 404 Not Found | '],
  ['a higher minor version', 'HTTP/1.3 200 OK\r\n\r\n', '11 200 OK | '],
  ['no reason', 'HTTP/1.1 200 \r\n\r\n', '11 200  | '],
  ['no reason and no space', 'HTTP/1.1 200\r\n\r\n', '11 200  | '],
  ['octets above 0x7f in the reason', 'HTTP/1.1 200 \xfcber\r\n\r\n', '11 200 \xfcber | '],
  ['names with underscores and dots', 'HTTP/1.1 200 OK\r\nx_y.z: 1\r\n\r\n', '11 200 OK | x_y.z: 1'],
  ['names that are no tokens are left out', 'HTTP/1.1 200 OK\r\nx(y: 1\r\nB: 2\r\n\r\n', '11 200 OK | B: 2'],
  [
    'so are lookalikes of framing fields',
    'HTTP/1.1 200 OK\r\nContent_Length: 1\r\nB: 2\r\n\r\n',
    '11 200 OK | B: 2',
  ],
  ['nothing yet', '', 'incomplete'],
  ['half a status line', 'HTTP/1.1 20', 'incomplete'],
  ['no empty line yet', 'HTTP/1.1 200 OK\r\nA: b\r\n', 'incomplete'],
  ['an answer without a status line', 'hello\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['the same, before its line ends', 'he', '502 upstream sent no valid HTTP/1.0 header'],
  ['a body where the head should be', '<html>', '502 upstream sent no valid HTTP/1.0 header'],
  ['HTTP/2', 'HTTP/2.0 200 OK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['HTTP/0.9', 'HTTP/0.9 200 OK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['lower case', 'http/1.1 200 OK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['an empty line first', '\r\nHTTP/1.1 200 OK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['two spaces before the status', 'HTTP/1.1  200 OK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['two digits', 'HTTP/1.1 20 OK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['four digits', 'HTTP/1.1 2000 OK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['letters for digits', 'HTTP/1.1 2x0 OK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['no status', 'HTTP/1.1\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['a control in the reason', 'HTTP/1.1 200 O\x07K\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  ['a bare CR in the reason', 'HTTP/1.1 200 O\rK\r\n\r\n', '502 upstream sent no valid HTTP/1.0 header'],
  [
    'early hints in HTTP/1.0',
    'HTTP/1.0 103 x\r\n\r\n',
    '502 upstream sent HTTP/1.0 response with early hints',
  ],
  ['no colon', 'HTTP/1.1 200 OK\r\nA\r\n\r\n', '502 upstream sent invalid header'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nA : b\r\n\r\n', '502 upstream sent invalid header'],
  ['folding', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', '502 upstream sent invalid header'],
  ['a NUL in a value', 'HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n', '502 upstream sent invalid header'],
  [
    'a bare CR in a value',
    'HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\n\r\n',
    '502 upstream sent invalid header',
  ],
  ['a control in a name', 'HTTP/1.1 200 OK\r\nA\x01: b\r\n\r\n', '502 upstream sent invalid header'],
  ['no name', 'HTTP/1.1 200 OK\r\n: b\r\n\r\n', '502 upstream sent invalid header'],
]

for (const [what, sent, understood] of CASES) {
  test(`${what}: ${understood}`, () => assert.is(read([bytes(sent)]), understood))
}

test('proxy_buffer_size bounds a head, in one piece and in many', () => {
  const head = (size: number) => {
    const start = 'HTTP/1.1 200 OK\r\nA: '
    return `${start}${'x'.repeat(size - start.length - 4)}\r\n\r\n`
  }
  assert.is(read([bytes(head(256))], 256).slice(0, 7), '11 200 ')
  assert.is(read([bytes(head(257))], 256), '502 upstream sent too big header')
  assert.is(read([bytes(head(400).slice(0, 256))], 256), '502 upstream sent too big header')
  assert.is(
    read(
      [...head(400)].map((octet) => bytes(octet)),
      256,
    ),
    '502 upstream sent too big header',
  )
  assert.is(read([bytes(`HTTP/1.1 200 ${'x'.repeat(300)}`)], 256), '502 upstream sent too big header')
  const short = 'HTTP/1.1 100 a\r\nA: b\r\n\r\n'
  assert.is(read([bytes(`${short.repeat(20)}HTTP/1.1 200 c\r\n\r\n`)], 64).split('\n').length, 21)
})

test('reset makes the reader ready for another response', () => {
  const reader = new ResponseReader(MAX)
  reader.push(bytes('nonsense'))
  assert.ok(isFault(reader.next()))
  assert.ok(isFault(reader.next()))
  reader.reset()
  reader.push(bytes('HTTP/1.1 200 O'))
  assert.is(reader.next(), null)
  reader.reset()
  reader.push(bytes(SIMPLE))
  assert.instance(reader.next(), ResponseHead)
})

test('a chunk may be reused once the head in it is read', () => {
  const reader = new ResponseReader(MAX)
  const shared = Buffer.alloc(64)
  const push = (text: string) => reader.push(shared.subarray(0, shared.write(text, 'latin1')))
  push('HTTP/1.1 200 OK\r\nA: o')
  assert.is(reader.next(), null)
  push('ne\r\nB: two\r\n\r\n')
  const head = reader.next() as ResponseHead
  shared.fill(0x21)
  assert.is(describe(head), '11 200 OK | A: one | B: two')
})

test.run()
