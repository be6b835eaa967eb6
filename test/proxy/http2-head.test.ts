// Header lists of HTTP/2: what becomes a request, what is refused.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HttpFault } from '../../runtime/http1/fault.ts'
import { Http2HeadReader } from '../../runtime/proxy/http2-head.ts'

const LIMITS = {
  headerBuffer: 1024,
  largeCount: 4,
  largeSize: 8192,
  underscores: false,
  ignoreInvalid: true,
  maxFields: 5,
}
const PSEUDO = [':method', 'GET', ':scheme', 'http', ':path', '/a?b', ':authority', 'example.com']

function read(...list: string[]): string {
  const head = new Http2HeadReader(LIMITS).read(list)
  if (head instanceof HttpFault) return `${head.status} ${head.reason}`
  const fields = Array.from({ length: head.fields.count }, (_, i) => head.fields.line(i).trimEnd())
  return [head.lineText, ...fields].join('\n')
}

test('pseudo-headers make the request line and Host', () => {
  assert.is(read(...PSEUDO, 'x-a', '1'), 'GET /a?b HTTP/2.0\nhost: example.com\nx-a: 1')
})

test('Host stands in for :authority, and may repeat it', () => {
  const without = PSEUDO.slice(0, 6)
  assert.is(read(...without, 'host', 'h'), 'GET /a?b HTTP/2.0\nhost: h')
  assert.is(read(...PSEUDO, 'host', 'example.com'), 'GET /a?b HTTP/2.0\nhost: example.com')
})

test('the pieces of a cookie become one field', () => {
  assert.is(
    read(...PSEUDO, 'cookie', 'a=1', 'x-a', '1', 'cookie', 'b=2'),
    'GET /a?b HTTP/2.0\nhost: example.com\nx-a: 1\ncookie: a=1; b=2',
  )
})

test('names with an underscore are left out unless they are wanted, as in HTTP/1', () => {
  assert.is(read(...PSEUDO, 'x_a', '1', 'x-b', '2'), 'GET /a?b HTTP/2.0\nhost: example.com\nx-b: 2')
  const wanting = new Http2HeadReader({ ...LIMITS, underscores: true }).read([...PSEUDO, 'x_a', '1'])
  assert.ok(!(wanting instanceof HttpFault) && wanting.fields.findName('x_a') >= 0)
})

test('a reader is as new for each list', () => {
  const reader = new Http2HeadReader(LIMITS)
  assert.ok(reader.read([...PSEUDO, 'cookie', 'a=1', 'host', 'other']) instanceof HttpFault)
  const head = reader.read(PSEUDO)
  assert.ok(!(head instanceof HttpFault))
  assert.is(head.fields.count, 1)
})

const without = (name: string) => {
  const at = PSEUDO.indexOf(name)
  return [...PSEUDO.slice(0, at), ...PSEUDO.slice(at + 2)]
}
const BAD: readonly (readonly [what: string, list: readonly string[], answer: string])[] = [
  ['no method', without(':method'), '400 client sent no :method, :scheme or :path header'],
  ['no scheme', without(':scheme'), '400 client sent no :method, :scheme or :path header'],
  ['no path', without(':path'), '400 client sent no :method, :scheme or :path header'],
  ['no host at all', without(':authority'), '400 client sent neither ":authority" nor "Host" header'],
  ['two paths', [...PSEUDO, ':path', '/'], '400 client sent invalid pseudo-header'],
  ['two authorities', [...PSEUDO, ':authority', 'b'], '400 client sent invalid pseudo-header'],
  ['an empty path', [...without(':path'), ':path', ''], '400 client sent invalid pseudo-header'],
  [
    'an unknown pseudo-header',
    [...PSEUDO, ':protocol', 'websocket'],
    '400 client sent invalid pseudo-header',
  ],
  ['a pseudo-header behind a field', ['x-a', '1', ...PSEUDO], '400 client sent invalid pseudo-header'],
  ['a pseudo-header behind Host', ['host', 'a', ...PSEUDO], '400 client sent invalid pseudo-header'],
  [
    'a line break in the authority',
    [...without(':authority'), ':authority', 'a\r\nx: y'],
    '400 client sent invalid pseudo-header',
  ],
  ['a lower-case method', [...without(':method'), ':method', 'get'], '400 client sent invalid method'],
  ['a method with a space', [...without(':method'), ':method', 'GET /x'], '400 client sent invalid method'],
  ['TRACE', [...without(':method'), ':method', 'TRACE'], '405 client sent TRACE method'],
  [
    'a scheme that is none',
    [...without(':scheme'), ':scheme', '1http'],
    '400 client sent invalid :scheme header',
  ],
  ['an absolute target', [...without(':path'), ':path', 'http://b/'], '400 client sent invalid :path header'],
  ['an asterisk', [...without(':path'), ':path', '*'], '400 client sent invalid :path header'],
  ['upper case in a name', [...PSEUDO, 'X-A', '1'], '400 client sent invalid header name'],
  ['an empty name', [...PSEUDO, '', '1'], '400 client sent invalid header name'],
  ['a colon in a name', [...PSEUDO, 'x:y', '1'], '400 client sent invalid header name'],
  ['a line break in a name', [...PSEUDO, 'x\r\ny', '1'], '400 client sent invalid header name'],
  ['a CR in a value', [...PSEUDO, 'x', 'a\rb'], '400 client sent header with invalid value'],
  ['a LF in a value', [...PSEUDO, 'x', 'a\nb'], '400 client sent header with invalid value'],
  ['a NUL in a value', [...PSEUDO, 'x', 'a\0b'], '400 client sent header with invalid value'],
  ['another control in a value', [...PSEUDO, 'x', 'a\x01b'], '400 client sent invalid header line'],
  [
    'a line break in a cookie',
    [...PSEUDO, 'cookie', 'a\r\nb: c'],
    '400 client sent header with invalid value',
  ],
  ['Connection', [...PSEUDO, 'connection', 'close'], '400 client sent connection-specific header'],
  ['Keep-Alive', [...PSEUDO, 'keep-alive', 'timeout=1'], '400 client sent connection-specific header'],
  [
    'Proxy-Connection',
    [...PSEUDO, 'proxy-connection', 'close'],
    '400 client sent connection-specific header',
  ],
  [
    'Transfer-Encoding',
    [...PSEUDO, 'transfer-encoding', 'chunked'],
    '400 client sent connection-specific header',
  ],
  ['Upgrade', [...PSEUDO, 'upgrade', 'websocket'], '400 client sent connection-specific header'],
  [
    'a lookalike of Transfer-Encoding',
    [...PSEUDO, 'transfer_encoding', 'chunked'],
    '400 client sent invalid header line',
  ],
  ['TE for more than trailers', [...PSEUDO, 'te', 'gzip'], '400 client sent invalid "TE" header'],
  [
    'two Hosts',
    [...PSEUDO, 'host', 'example.com', 'host', 'example.com'],
    '400 client sent duplicate host header',
  ],
  [
    'a Host unlike :authority',
    [...PSEUDO, 'host', 'b'],
    '400 client sent ":authority" and "Host" headers with different values',
  ],
  [
    'two lengths',
    [...PSEUDO, 'content-length', '1', 'content-length', '1'],
    '400 client sent duplicate header line',
  ],
  [
    'six fields where five may be',
    [...PSEUDO, ...'a 1 b 1 c 1 d 1 e 1 f 1'.split(' ')],
    '494 client sent too many header lines',
  ],
  [
    'a field larger than a buffer',
    [...PSEUDO, 'x', 'x'.repeat(8190)],
    '494 client sent too long header line',
  ],
  [
    'a path larger than a buffer',
    [...without(':path'), ':path', `/${'x'.repeat(8190)}`],
    '414 client sent too long URI',
  ],
]
for (const [what, list, answer] of BAD) {
  test(`refused: ${what}`, () => {
    assert.is(read(...list), answer)
  })
}

test('CONNECT keeps its authority as target, to be refused with it', () => {
  assert.is(read(':method', 'CONNECT', ':authority', 'b:443'), 'CONNECT b:443 HTTP/2.0\nhost: b:443')
})

test('TE: trailers is fine', () => {
  assert.is(read(...PSEUDO, 'te', 'Trailers'), 'GET /a?b HTTP/2.0\nhost: example.com\nte: Trailers')
})

test.run()
