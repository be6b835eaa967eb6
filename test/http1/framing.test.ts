import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { HttpFault } from '../../runtime/http1/fault.ts'
import { isFault } from '../../runtime/http1/fault.ts'
import { FieldBlock } from '../../runtime/http1/fields.ts'
import { type Framing, requestFraming, responseFraming } from '../../runtime/http1/framing.ts'
import { RequestHead } from '../../runtime/http1/request-reader.ts'
import { ResponseHead } from '../../runtime/http1/response-reader.ts'

type Pairs = readonly (readonly [string, string])[]

const LENGTH_5: Pairs = [['Content-Length', '5']]
const CHUNKED: Pairs = [['Transfer-Encoding', 'Chunked']]

function say(framing: Framing | HttpFault): string {
  if (isFault(framing)) return String(framing.status)
  return framing.kind === 'length' ? String(`length ${framing.length}`) : framing.kind
}

const request = (pairs: Pairs, version: 9 | 10 | 11 = 11) =>
  say(requestFraming(new RequestHead('POST', '/', version, FieldBlock.from(pairs), '')))

const response = (status: number, pairs: Pairs, method = 'GET', version: 10 | 11 = 11) =>
  say(responseFraming(method, new ResponseHead(version, status, '', FieldBlock.from(pairs))))

test('requests', () => {
  assert.is(request([]), 'none')
  assert.is(request(LENGTH_5), 'length 5')
  assert.is(request([['Content-Length', '0']]), 'length 0')
  assert.is(request([['Content-Length', '9007199254740991']]), 'length 9007199254740991')
  assert.is(request(CHUNKED), 'chunked')
  assert.is(request(CHUNKED, 10), '400')
  assert.is(request([['Transfer-Encoding', 'gzip']]), '501')
  assert.is(request([['Transfer-Encoding', 'gzip']], 10), '400')
  assert.is(request([...LENGTH_5, ...CHUNKED]), '400')
  assert.is(request([...LENGTH_5, ...LENGTH_5]), '400')
  assert.is(request([...CHUNKED, ...CHUNKED]), '400')
  assert.is(request([['Content-Length', '9007199254740992']]), '400')
  assert.is(request([['Content-Length', 'x'], ...CHUNKED]), '400')
})

test('responses', () => {
  assert.is(response(200, []), 'close')
  assert.is(response(200, LENGTH_5), 'length 5')
  assert.is(response(200, CHUNKED), 'chunked')
  assert.is(response(200, CHUNKED, 'GET', 10), 'chunked')
  assert.is(response(200, [['Transfer-Encoding', 'foo']]), '502')
  assert.is(response(200, [['Content-Length', 'foo']]), '502')
  assert.is(response(200, [...LENGTH_5, ...LENGTH_5]), '502')
  assert.is(response(200, [...CHUNKED, ...CHUNKED]), '502')
  assert.is(response(200, [...LENGTH_5, ...CHUNKED]), '502')
  assert.is(response(200, [...CHUNKED, ...LENGTH_5]), '502')
})

test('responses that never have a body', () => {
  for (const fields of [LENGTH_5, CHUNKED, []]) {
    assert.is(response(200, fields, 'HEAD'), 'none')
    for (const status of [100, 101, 103, 204, 304]) assert.is(response(status, fields), 'none')
    assert.is(response(200, fields, 'CONNECT'), 'none')
  }
  assert.is(response(404, LENGTH_5, 'CONNECT'), 'length 5')
})

test('a response whose length is in doubt is refused even where it has no body', () => {
  assert.is(response(304, [...LENGTH_5, ...CHUNKED]), '502')
  assert.is(response(200, [...LENGTH_5, ...LENGTH_5], 'HEAD'), '502')
})

test('common framings are shared, not made anew', () => {
  const head = () => new RequestHead('GET', '/', 11, FieldBlock.from([]), '')
  assert.is(requestFraming(head()), requestFraming(head()))
})

test.run()
