import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isFault } from '../../runtime/http1/fault.ts'
import { type HeadLimits, RequestHead, RequestReader } from '../../runtime/http1/request-reader.ts'
import { bytes, conversation, cut, LIMITS } from './conversation.ts'

/** Reads one head; fails if there is none. */
function headOf(text: string, limits: Partial<HeadLimits> = {}): RequestHead {
  const reader = new RequestReader({ ...LIMITS, ...limits })
  reader.push(bytes(text))
  const head = reader.next()
  assert.instance(head, RequestHead, JSON.stringify(head))
  return head as RequestHead
}

/** The status and words of the fault in the text. */
function faultOf(text: string, limits: Partial<HeadLimits> = {}): string {
  const reader = new RequestReader({ ...LIMITS, ...limits })
  reader.push(bytes(text))
  const fault = reader.next()
  assert.ok(isFault(fault), JSON.stringify(fault))
  return isFault(fault) ? `${fault.status} ${fault.reason}` : ''
}

function linesOf(head: RequestHead): string[] {
  return Array.from({ length: head.fields.count }, (_, i) => head.fields.line(i))
}

const SIMPLE = 'GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nX-One:two\r\nAccept: \t*/* \r\n\r\n'

test('a head is split into method, target, version and fields', () => {
  const head = headOf(SIMPLE)
  assert.is(head.method, 'GET')
  assert.is(head.target, '/a?b=c')
  assert.is(head.version, 11)
  assert.is(head.lineText, 'GET /a?b=c HTTP/1.1')
  assert.equal(linesOf(head), ['Host: example.com\r\n', 'X-One: two\r\n', 'Accept: */*\r\n'])
  assert.equal(
    [0, 1, 2].map((i) => head.fields.isCanonical(i)),
    [true, false, false],
  )
})

test('every cut of a head into two chunks reads the same', () => {
  for (let at = 0; at <= SIMPLE.length; at++) {
    const reader = new RequestReader(LIMITS)
    const [first, second] = cut(SIMPLE, at)
    reader.push(first)
    const early = reader.next()
    reader.push(second)
    const head = (early ?? reader.next()) as RequestHead
    assert.is(head.lineText, 'GET /a?b=c HTTP/1.1', `cut at ${at}`)
    assert.equal(linesOf(head), linesOf(headOf(SIMPLE)), `cut at ${at}`)
    assert.is(reader.takeRest(), null)
  }
})

test('a head that arrives byte by byte reads the same, and the chunk may be reused', () => {
  const reader = new RequestReader(LIMITS)
  const reused = Buffer.alloc(1)
  let head = null
  for (const octet of bytes(SIMPLE)) {
    assert.is(head, null)
    reused[0] = octet
    reader.push(reused)
    head = reader.next()
  }
  assert.equal(linesOf(head as RequestHead), linesOf(headOf(SIMPLE)))
})

test('lines may end in a lone LF, also mixed with CRLF', () => {
  const head = headOf('GET / HTTP/1.0\nHost: a\r\nX: y\n\n')
  assert.is(head.version, 10)
  assert.equal(linesOf(head), ['Host: a\r\n', 'X: y\r\n'])
  assert.equal(
    [0, 1].map((i) => head.fields.isCanonical(i)),
    [true, false],
  )
})

test('a value that ends in white space and a lone LF is not canonical', () => {
  const head = headOf('GET / HTTP/1.1\r\nHost: a\r\nX: y \nZ: \r\n\r\n')
  assert.equal(
    [0, 1, 2].map((i) => head.fields.isCanonical(i)),
    [true, false, true],
  )
  assert.equal(linesOf(head).slice(1), ['X: y\r\n', 'Z: \r\n'])
})

test('versions', () => {
  assert.is(headOf('GET / HTTP/1.0\r\n\r\n').version, 10)
  assert.is(headOf('GET / HTTP/1.2\r\nHost: a\r\n\r\n').version, 11)
  assert.is(headOf('GET / HTTP/1.9\r\nHost: a\r\n\r\n').version, 11)
  const old = headOf('GET /x\r\n')
  assert.is(old.version, 9)
  assert.is(old.target, '/x')
  assert.is(old.fields.count, 0)
  assert.is(headOf('GET /x\n').version, 9)
})

test('pipelined requests and bodies come out one after the other', () => {
  const stream =
    '\r\nPOST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc' +
    'POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n' +
    '\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n' +
    'GET /4 HTTP/1.1\r\nHos'
  const expected = ['POST /1 length "abc"', 'POST /2 chunked "xyz"', 'GET /3', 'incomplete']
  assert.equal(conversation(stream), expected)
  for (let at = 0; at < stream.length; at++)
    assert.equal(conversation(cut(stream, at)), expected, `cut at ${at}`)
  for (let at = 0; at < stream.length - 7; at++) {
    assert.equal(conversation(cut(stream, at, at + 3, at + 7)), expected, `cuts at ${at}`)
  }
})

test('what follows a head can be taken and given back', () => {
  const reader = new RequestReader(LIMITS)
  reader.push(bytes('GET /1 HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n'))
  assert.is((reader.next() as RequestHead).target, '/1')
  assert.ok(reader.hasBytes)
  const rest = reader.takeRest() as Buffer
  assert.not.ok(reader.hasBytes)
  assert.is(reader.next(), null)
  reader.push(rest)
  assert.is((reader.next() as RequestHead).target, '/2')
  assert.is(reader.takeRest(), null)
})

test('chunks pushed while a request is served wait behind it', () => {
  const reader = new RequestReader(LIMITS)
  reader.push(bytes('GET /1 HTTP/1.0\r\n\r\nGET /2'))
  assert.is((reader.next() as RequestHead).target, '/1')
  reader.push(bytes(' HTTP/1.0\r\n'))
  reader.push(bytes('\r\n'))
  assert.is((reader.next() as RequestHead).target, '/2')
  assert.is(reader.next(), null)
})

test('empty lines alone are no bytes of a request', () => {
  const reader = new RequestReader(LIMITS)
  reader.push(bytes('\r\n\n'))
  assert.is(reader.next(), null)
  assert.not.ok(reader.hasBytes)
  reader.push(bytes('G'))
  assert.is(reader.next(), null)
  assert.ok(reader.hasBytes)
})

test('empty lines without end are refused', () => {
  const reader = new RequestReader(LIMITS)
  let fault = null
  let pushed = 0
  for (; fault === null && pushed < 1000; pushed++) {
    reader.push(bytes('\r\n'))
    fault = reader.next()
  }
  assert.ok(isFault(fault))
  assert.ok(pushed < 150)
})

test('an empty line behind every request of a long connection is fine', () => {
  assert.equal(conversation('GET / HTTP/1.0\r\n\r\n\r\n'.repeat(300)), Array(300).fill('GET /'))
})

test('the first byte decides at once that it is no HTTP', () => {
  assert.is(faultOf('\x16\x03\x01\x02'), '400 client sent invalid method')
})

test('a fault stays, and the line is there for the log', () => {
  const reader = new RequestReader(LIMITS)
  reader.push(bytes('GET / HTTP/3.0\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\n\r\n'))
  assert.is((reader.next() as { status: number }).status, 505)
  assert.is((reader.next() as { status: number }).status, 505)
  assert.is(reader.faultLine, 'GET / HTTP/3.0')
})

test('Host is required from HTTP/1.1 on, and only once', () => {
  assert.is(faultOf('GET / HTTP/1.1\r\n\r\n'), '400 client sent HTTP/1.1 request without "Host" header')
  assert.is(faultOf('GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n'), '400 client sent duplicate host header')
  assert.is(headOf('GET / HTTP/1.0\r\n\r\n').fields.count, 0)
})

test('fields that nginx wants once are refused twice', () => {
  const once = [
    'Content-Length',
    'Transfer-Encoding',
    'Expect',
    'Authorization',
    'Proxy-Authorization',
    'If-Range',
    'If-Modified-Since',
    'If-Unmodified-Since',
    'If-Match',
    'If-None-Match',
    'Content-Range',
  ]
  for (const name of once) {
    const text = `GET / HTTP/1.1\r\nHost: a\r\n${name}: 1\r\n${name.toUpperCase()}: 1\r\n\r\n`
    assert.is(faultOf(text), '400 client sent duplicate header line', name)
  }
  assert.is(headOf('GET / HTTP/1.1\r\nHost: a\r\nCookie: a\r\nCookie: b\r\n\r\n').fields.count, 3)
})

test('TRACE is not allowed', () => {
  assert.is(faultOf('TRACE / HTTP/1.1\r\nHost: a\r\n\r\n'), '405 client sent TRACE method')
})

test('doubtful names are dropped, or kept where the configuration says so', () => {
  const text = 'GET / HTTP/1.1\r\nHost: a\r\nx_foo: 1\r\nx.foo: 2\r\n\xe4: 3\r\nx(y: 4\r\nX-1: 5\r\n\r\n'
  assert.equal(linesOf(headOf(text)), ['Host: a\r\n', 'X-1: 5\r\n'])
  assert.equal(linesOf(headOf(text, { underscores: true })), ['Host: a\r\n', 'x_foo: 1\r\n', 'X-1: 5\r\n'])
  const tokens = 'GET / HTTP/1.1\r\nHost: a\r\nx_foo: 1\r\n.foo: 2\r\n\r\n'
  assert.equal(linesOf(headOf(tokens, { ignoreInvalid: false })), [
    'Host: a\r\n',
    'x_foo: 1\r\n',
    '.foo: 2\r\n',
  ])
  assert.is(faultOf(text, { ignoreInvalid: false }), '400 client sent invalid header line')
})

test('max_headers', () => {
  const fields = 'X: y\r\n'.repeat(5)
  assert.is(headOf(`GET / HTTP/1.0\r\n${fields}\r\n`, { maxFields: 5 }).fields.count, 5)
  assert.is(
    faultOf(`GET / HTTP/1.0\r\n${fields}X: y\r\n\r\n`, { maxFields: 5 }),
    '494 client sent too many header lines',
  )
})

test('many fields', () => {
  const head = headOf(
    `GET / HTTP/1.0\r\n${Array.from({ length: 300 }, (_, i) => `X-${i}: v${i}\r\n`).join('')}\r\n`,
  )
  assert.is(head.fields.count, 300)
  assert.is(head.fields.value(299), 'v299')
  assert.is(head.fields.findName('x-298'), 298)
})

const SMALL = { headerBuffer: 128, largeCount: 2, largeSize: 256 }

test('a request line must fit into one buffer', () => {
  const line = (size: number) => `GET /${'x'.repeat(size - 'GET / HTTP/1.0\r\n'.length)} HTTP/1.0\r\n`
  assert.is(headOf(`${line(256)}\r\n`, SMALL).lineText.length, 254)
  assert.is(faultOf(`${line(257)}\r\n`, SMALL), '414 client sent too long URI')
  assert.is(faultOf(line(300).slice(0, 256), SMALL), '414 client sent too long URI')
  assert.is(conversation(line(300).slice(0, 255), { ...LIMITS, ...SMALL })[0], 'incomplete')
})

test('so must a field, and all of them into the buffers together', () => {
  const field = (size: number) => `X: ${'y'.repeat(size - 5)}\r\n`
  const start = 'GET / HTTP/1.0\r\n'
  assert.is(headOf(`${start}${field(256)}\r\n`, SMALL).fields.value(0).length, 251)
  assert.is(faultOf(`${start}${field(257)}\r\n`, SMALL), '494 client sent too long header line')
  assert.is(faultOf(start + field(300).slice(0, 256), SMALL), '494 client sent too long header line')
  assert.is(headOf(`${start}${field(256)}${field(250)}\r\n`, SMALL).fields.count, 2)
  assert.is(
    faultOf(`${start}${field(256)}${field(256)}${field(100)}\r\n`, SMALL),
    '494 client sent too long header line',
  )
  assert.is(headOf(`${start}${field(112)}${field(256)}${field(254)}\r\n`, SMALL).fields.count, 3)
})

test('limits hold for heads in pieces too', () => {
  const reader = new RequestReader({ ...LIMITS, ...SMALL })
  reader.push(bytes('GET / HTTP/1.0\r\n'))
  let result = reader.next()
  let sent = 0
  for (; result === null && sent < 2000; sent++) {
    reader.push(bytes('X: y\r\n'))
    result = reader.next()
  }
  assert.ok(isFault(result))
  assert.ok(6 * sent <= 128 + 2 * 256 + 6)
})

test('each pipelined request has the buffers for itself', () => {
  const request = `GET / HTTP/1.0\r\nX: ${'y'.repeat(200)}\r\nX: ${'y'.repeat(200)}\r\n\r\n`
  assert.equal(conversation(request.repeat(5), { ...LIMITS, ...SMALL }), Array(5).fill('GET /'))
})

test('a head sent byte by byte costs linear work', () => {
  const limits = { ...LIMITS, largeCount: 40, largeSize: 65536 }
  const reader = new RequestReader(limits)
  reader.push(bytes('GET / HTTP/1.0\r\nX: '))
  assert.is(reader.next(), null)
  const octet = bytes('y')
  const started = process.cpuUsage()
  for (let i = 0; i < 60000; i++) {
    reader.push(octet)
    assert.is(reader.next(), null)
  }
  const used = process.cpuUsage(started)
  // Rescanning the line each time would take 1.8e9 steps, seconds at best.
  assert.ok(used.user + used.system < 1_000_000, `${used.user + used.system} µs`)
})

test.run()
