// What scripts change about header fields, on top of the fields as received.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FieldBlock } from '../../runtime/http1/fields.ts'
import type { Exchange } from '../../runtime/proxy/exchange.ts'
import { checkField } from '../../runtime/proxy/field-edits.ts'
import { RequestHeaders } from '../../runtime/proxy/request-headers.ts'
import { ResponseHeaders } from '../../runtime/proxy/response-headers.ts'
import { requestFieldVariable } from '../../runtime/proxy/variables-named.ts'

type Pairs = readonly (readonly [string, string])[]

function request(...pairs: Pairs): RequestHeaders {
  return new RequestHeaders(FieldBlock.from(pairs))
}

function response(...pairs: Pairs): ResponseHeaders {
  const headers = new ResponseHeaders()
  headers.block = FieldBlock.from(pairs)
  return headers
}

function variable(name: string, requestHeaders: RequestHeaders): string | undefined {
  return requestFieldVariable(name)({ requestHeaders } as Exchange)
}

test('a name is a token, a value holds no controls: every octet', () => {
  for (let octet = 0; octet < 256; octet++) {
    const character = String.fromCharCode(octet)
    const inName = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(character)
    const inValue = !/[\x00-\x08\x0a-\x1f\x7f]/.test(character)
    const name = () => checkField(`x${character}y`, 'v')
    const value = () => checkField('x', `a${character}b`)
    if (inName) name()
    else assert.throws(name, /is not a header name/, `octet ${octet}`)
    if (inValue) value()
    else assert.throws(value, /holds a control character/, `octet ${octet}`)
  }
  assert.throws(() => checkField('', 'v'), /"" is not a header name/)
  checkField('x', '')
})

test('setting a request field takes the place of all of that name', () => {
  const headers = request(['Host', 'a'], ['X-User', '1'], ['x-user', '2'], ['Cookie', 'c=1'])
  headers.set('X-USER', '3')
  assert.equal(headers.entries(), [
    ['Host', 'a'],
    ['Cookie', 'c=1'],
    ['X-USER', '3'],
  ])
  headers.set('x-user', '4')
  assert.equal(headers.getAll('X-User'), ['4'])
  headers.delete('X-User')
  assert.is(headers.get('x-user'), undefined)
  assert.is(headers.has('host'), true)
})

test('several values are one text, cookies by semicolon', () => {
  const headers = request(['Cookie', 'a=1'], ['Accept', 'x'], ['cookie', 'b=2'], ['X-Tag', 'p'])
  assert.is(headers.get('COOKIE'), 'a=1; b=2')
  headers.append('Cookie', 'c=3')
  headers.append('X-Tag', 'q')
  headers.append('accept', 'y')
  assert.is(headers.get('cookie'), 'a=1; b=2; c=3')
  assert.is(headers.get('x-tag'), 'p, q')
  assert.is(headers.get('Accept'), 'x, y')
  assert.equal(headers.getAll('Accept'), ['x', 'y'])
})

test('variables see the fields as they were changed', () => {
  const headers = request(['X-Forwarded-For', '192.0.2.1'], ['User-Agent', 'curl'], ['X-Tag', 'p'])
  headers.set('X-User', '7')
  assert.is(variable('x_forwarded_for', headers), '192.0.2.1')
  assert.is(variable('user_agent', headers), 'curl')
  assert.is(variable('x_user', headers), '7')
  assert.is(variable('x_tag', headers), 'p')
  assert.is(variable('referer', headers), undefined)
  headers.append('X-Forwarded-For', '192.0.2.2')
  headers.delete('User-Agent')
  headers.delete('X-Tag')
  assert.is(variable('x_forwarded_for', headers), '192.0.2.1, 192.0.2.2')
  assert.is(variable('user_agent', headers), undefined)
  assert.is(variable('x_tag', headers), undefined)
})

test('response fields with a place of their own are set and removed there', () => {
  const headers = response(['X-Powered-By', 'x'], ['ETag', '"1"'])
  headers.set('Content-Type', 'text/plain')
  headers.set('content-type', 'text/html')
  headers.append('Location', '/a')
  assert.is(headers.contentType, 'text/html')
  assert.equal(headers.getAll('Content-Type'), ['text/html'])
  headers.delete('Content-Type')
  headers.delete('x-powered-by')
  headers.set('etag', '"2"')
  headers.append('Vary', 'a')
  headers.append('vary', 'b')
  assert.equal(headers.entries(), [
    ['Location', '/a'],
    ['etag', '"2"'],
    ['Vary', 'a'],
    ['vary', 'b'],
  ])
  assert.is(headers.get('VARY'), 'a, b')
})

test('fields that frame the message are refused, whatever is done with them', () => {
  for (const name of ['Content-Length', 'transfer-encoding', 'Connection', 'Upgrade', 'TE', 'Trailer']) {
    for (const headers of [request(), response()]) {
      assert.throws(() => headers.set(name, '1'), /is written by the proxy itself/)
      assert.throws(() => headers.append(name, '1'), /is written by the proxy itself/)
      assert.throws(() => headers.delete(name), /is written by the proxy itself/)
    }
  }
})

test.run()
