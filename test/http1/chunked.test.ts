import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ChunkedDecoder, encodeChunkHead, LAST_CHUNK } from '../../runtime/http1/chunked.ts'
import { bytes, cut } from './conversation.ts'

interface Decoded {
  out: string
  /** Status of the fault, 0 if there is none. */
  status: number
  done: boolean
  /** What was not taken. */
  rest: string
  trailers: string[] | null
  dataBytes: number
}

function decode(
  mode: 'data' | 'framed',
  chunks: readonly Buffer[],
  side: 'client' | 'upstream' = 'client',
): Decoded {
  const decoder = new ChunkedDecoder(mode, side)
  const decoded: Decoded = { out: '', status: 0, done: false, rest: '', trailers: null, dataBytes: 0 }
  for (const chunk of chunks) {
    const fault = decoder.push(chunk)
    if (fault !== null) return { ...decoded, status: fault.status }
    for (let i = 0; i < decoder.rangeCount; i++) {
      decoded.out += chunk.toString('latin1', decoder.ranges[2 * i], decoder.ranges[2 * i + 1])
    }
    decoded.rest += chunk.toString('latin1', decoder.consumed)
  }
  const { trailers, done, dataBytes } = decoder
  const lines = trailers === null ? null : Array.from({ length: trailers.count }, (_, i) => trailers.line(i))
  return { ...decoded, done, dataBytes, trailers: lines }
}

/** The outcome in a word: the data, `400`, or what there is of an unfinished body in brackets. */
function verdict(text: string): string {
  const { out, status, done } = decode('data', [bytes(text)])
  if (status !== 0) return String(status)
  return done ? out : `[${out}]`
}

const BODY = '5\r\nhello\r\n00A;ext=1\r\n0123456789\r\n1\r\n!\r\n0;last\r\nX-Sum: 7\r\nHost: evil\r\n\r\nREST'

test('data, framing and trailers are told apart', () => {
  const data = decode('data', [bytes(BODY)])
  assert.is(data.out, 'hello0123456789!')
  assert.is(data.dataBytes, 16)
  assert.ok(data.done)
  assert.is(data.rest, 'REST')
  assert.equal(data.trailers, ['X-Sum: 7\r\n'])
})

test('framed: valid chunks without extensions, leading zeros, last chunk and trailers', () => {
  const framed = decode('framed', [bytes(BODY)])
  assert.is(framed.out, '5\r\nhello\r\nA\r\n0123456789\r\n1\r\n!\r\n')
  assert.is(framed.rest, 'REST')
  assert.equal(framed.trailers, ['X-Sum: 7\r\n'])
})

test('framed: a body without extensions is one range', () => {
  const decoder = new ChunkedDecoder('framed')
  const body = bytes(`5\r\nhello\r\n2\r\nab\r\n${LAST_CHUNK}`)
  assert.is(decoder.push(body), null)
  assert.is(decoder.rangeCount, 1)
  assert.equal(decoder.ranges.slice(0, 2), [0, body.length - LAST_CHUNK.length])
})

test('every cut into two, and into many, gives the same', () => {
  for (const mode of ['data', 'framed'] as const) {
    const whole = decode(mode, [bytes(BODY)])
    for (let at = 0; at <= BODY.length; at++) {
      assert.equal(decode(mode, cut(BODY, at)), whole, `${mode}, cut at ${at}`)
      if (at + 5 <= BODY.length)
        assert.equal(decode(mode, cut(BODY, at, at + 1, at + 5)), whole, `${mode}, cuts at ${at}`)
    }
    assert.equal(decode(mode, cut(BODY, ...Array.from({ length: BODY.length - 1 }, (_, i) => i + 1))), whole)
  }
})

test('decoding can start inside a buffer', () => {
  const decoder = new ChunkedDecoder('data')
  const buffer = bytes('head3\r\nabc\r\n0\r\n\r\nnext')
  assert.is(decoder.push(buffer, 4), null)
  assert.equal(decoder.ranges.slice(0, 2), [7, 10])
  assert.is(buffer.toString('latin1', decoder.consumed), 'next')
})

test('after the end nothing more is taken', () => {
  const decoder = new ChunkedDecoder('data')
  decoder.push(bytes(LAST_CHUNK))
  assert.ok(decoder.done)
  decoder.push(bytes('5\r\n'))
  assert.is(decoder.consumed, 0)
  assert.is(decoder.rangeCount, 0)
})

const CASES: readonly (readonly [what: string, sent: string, verdict: string])[] = [
  ['an empty body', '0\r\n\r\n', ''],
  ['many zeros at the end', '3\r\nabc\r\n0000\r\n\r\n', 'abc'],
  ['upper and lower case', 'a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n', '01234567890123456789a'],
  ['an extension', '3;a=b;c="d e"\r\nabc\r\n0;x\r\n\r\n', 'abc'],
  ['an extension without name', '3;\r\nabc\r\n0\r\n\r\n', 'abc'],
  ['white space before an extension', '3 \t;a\r\nabc\r\n0\r\n\r\n', 'abc'],
  ['a quoted line end is none', '3;a="\\"\r\nabc\r\n0\r\n\r\n', 'abc'],
  ['no last chunk yet', '3\r\nabc\r\n', '[abc]'],
  ['no end of the last chunk yet', '3\r\nabc\r\n0\r\n', '[abc]'],
  ['data still to come', '5\r\nabc', '[abc]'],
  ['sixteen digits', '000000000000000a\r\n0123456789\r\n0\r\n\r\n', '0123456789'],
  ['seventeen digits', '0000000000000000a\r\n0123456789\r\n0\r\n\r\n', '400'],
  ['2^53', '20000000000000\r\n', '400'],
  ['2^64', '10000000000000000\r\n', '400'],
  ['2^63', '8000000000000000\r\n', '400'],
  ['zeros without end', '0'.repeat(17), '400'],
  ['no size', '\r\nabc\r\n0\r\n\r\n', '400'],
  ['empty lines for a last chunk', '\r\n\r\n', '400'],
  ['no size before an extension', ';a\r\n0\r\n\r\n', '400'],
  ['a prefix 0x', '0x3\r\nabc\r\n0\r\n\r\n', '400'],
  ['an underscore', '0_3\r\nabc\r\n0\r\n\r\n', '400'],
  ['a plus sign', '+3\r\nabc\r\n0\r\n\r\n', '400'],
  ['a minus sign', '-3\r\nabc\r\n0\r\n\r\n', '400'],
  ['minus zero', '-0\r\n\r\n', '400'],
  ['a letter beyond f', 'g\r\n', '400'],
  ['letters behind the size', '3xyz\r\nabc\r\n0\r\n\r\n', '400'],
  ['a comma', '3,\r\nabc\r\n0\r\n\r\n', '400'],
  ['white space before the size', ' 3\r\nabc\r\n0\r\n\r\n', '400'],
  ['white space behind the size', '3 \r\nabc\r\n0\r\n\r\n', '400'],
  ['words behind the size', '3 abc\r\nabc\r\n0\r\n\r\n', '400'],
  ['octet 0xa0 behind the size', '3\xa0\r\nabc\r\n0\r\n\r\n', '400'],
  ['a NUL behind the size', '3\0\r\nabc\r\n0\r\n\r\n', '400'],
  ['a lone LF behind the size', '3\nabc\r\n0\r\n\r\n', '400'],
  ['a bare CR behind the size', '3\rabc\r\n0\r\n\r\n', '400'],
  ['CR CR LF behind the size', '3\r\r\nabc\r\n0\r\n\r\n', '400'],
  ['CR CR and an extension', '3\r\r;abc\r\nabc\r\n0\r\n\r\n', '400'],
  ['a lone LF in an extension', '3;a\nabc\r\n0\r\n\r\n', '400'],
  ['a bare CR in an extension', '3;a\rb\r\nabc\r\n0\r\n\r\n', '400'],
  ['a control in an extension', '3;a\x01\r\nabc\r\n0\r\n\r\n', '400'],
  ['a NUL in an extension', '3;a\0\r\nabc\r\n0\r\n\r\n', '400'],
  ['data longer than said', '3\r\nabcd\r\n0\r\n\r\n', '400'],
  ['data shorter than said', '4\r\nabc\r\n0\r\n\r\n', '400'],
  ['no line end behind the data', '3\r\nabc0\r\n\r\n', '400'],
  ['a lone LF behind the data', '3\r\nabc\n0\r\n\r\n', '400'],
  ['a bare CR behind the data', '3\r\nabc\r0\r\n\r\n', '400'],
  ['an empty line between chunks', '3\r\nabc\r\n\r\n0\r\n\r\n', '400'],
  ['a lone LF at the end', '0\n\n', '400'],
  ['a lone LF behind the last chunk', '0\n\r\n', '400'],
  ['a lone LF for the empty line', '0\r\n\n', '400'],
  ['a request where the empty line should be', '0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
  ['a bare CR for the empty line', '0\r\n\rX', '400'],
  ['a trailer', '0\r\nX: y\r\n\r\n', ''],
  ['a trailer that ends in a lone LF', '0\r\nX: y\n\r\n', '400'],
  ['a trailer of two lines', '0\r\nX: y\r\n z\r\n\r\n', '400'],
  ['a trailer without colon', '0\r\nX\r\n\r\n', '400'],
  ['a trailer with a space before the colon', '0\r\nX : y\r\n\r\n', '400'],
  ['a trailer with a control', '0\r\nX: y\x01\r\n\r\n', '400'],
  ['a trailer with a bare CR', '0\r\nX: y\rz\r\n\r\n', '400'],
]

for (const [what, sent, expected] of CASES) {
  test(`${what}: ${JSON.stringify(expected)}`, () => {
    assert.is(verdict(sent), expected)
    const single = decode(
      'data',
      [...sent].map((octet) => bytes(octet)),
    )
    assert.is(
      single.status === 0 ? '' : String(single.status),
      expected === '400' ? '400' : '',
      'byte by byte',
    )
  })
}

test('faults name who sent them', () => {
  assert.is(decode('data', [bytes('x')], 'upstream').status, 502)
  assert.is(new ChunkedDecoder('data').push(bytes('x'))?.reason, 'client sent invalid chunked body')
  assert.is(
    new ChunkedDecoder('data', 'upstream').push(bytes('x'))?.reason,
    'upstream sent invalid chunked response',
  )
})

test('a fault stays', () => {
  const decoder = new ChunkedDecoder('data')
  const fault = decoder.push(bytes('x'))
  assert.is(decoder.push(bytes('0\r\n\r\n')), fault)
  assert.not.ok(decoder.done)
})

test('trailers that would frame, route or authenticate are left out', () => {
  const names = [
    'Host',
    'Content-Length',
    'Transfer-Encoding',
    'Transfer_Encoding',
    'Authorization',
    'Set-Cookie',
    'TE',
  ]
  const text = `0\r\n${names.map((name) => `${name}: 1\r\n`).join('')}X-A: b\r\nETag: "c"\r\n\r\n`
  assert.equal(decode('data', [bytes(text)]).trailers, ['X-A: b\r\n', 'ETag: "c"\r\n'])
  assert.is(decode('data', [bytes('0\r\nHost: a\r\n\r\n')]).trailers, null)
})

test('the trailer section is bounded, in one piece and in many', () => {
  const decoder = new ChunkedDecoder('data', 'client', 64)
  assert.is(decoder.push(bytes(`0\r\nX: ${'y'.repeat(80)}\r\n\r\n`))?.status, 400)
  const slow = new ChunkedDecoder('data', 'client', 64)
  slow.push(bytes('0\r\n'))
  let pushed = 0
  while (slow.push(bytes('X: y\r\n')) === null) pushed++
  assert.is(pushed, 10)
})

test('extensions are bounded by what they come with', () => {
  const large = (extension: number, size: number) =>
    `${encodeChunkHead(size).trim()};${'e'.repeat(extension)}\r\n${'d'.repeat(size)}\r\n`
  assert.is(decode('data', [bytes(large(4000, 1) + large(90, 1))]).status, 0)
  assert.is(decode('data', [bytes(large(5000, 1))]).status, 400)
  assert.is(decode('data', [bytes(large(100, 1).repeat(50))]).status, 400)
  assert.is(decode('data', [bytes(large(100, 100).repeat(500))]).status, 0)
  assert.is(decode('data', [bytes(`3${' '.repeat(5000)}`)]).status, 400)
})

test('a large chunk comes through in the pieces it arrives in', () => {
  const decoder = new ChunkedDecoder('framed')
  assert.is(decoder.push(bytes('fffffffff\r\n')), null)
  const piece = Buffer.alloc(65536)
  for (let i = 0; i < 100; i++) {
    assert.is(decoder.push(piece), null)
    assert.equal([decoder.rangeCount, decoder.ranges[0], decoder.ranges[1]], [1, 0, 65536])
  }
  assert.is(decoder.dataBytes, 6553600)
})

test('what the encoder writes', () => {
  assert.is(encodeChunkHead(10), 'a\r\n')
  assert.is(encodeChunkHead(65536), '10000\r\n')
  assert.is(verdict(`${encodeChunkHead(3)}abc\r\n${LAST_CHUNK}`), 'abc')
})

test.run()
