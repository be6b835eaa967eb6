// The tools that every other test trusts: the strict reader, the raw client, the recording upstream.

import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MessageReader } from './message-reader.ts'
import { freePorts } from './ports.ts'
import { HttpClient, rawRequest } from './raw-http.ts'
import { ok, recordingUpstream } from './recording-upstream.ts'
import { tempDir, writeFiles } from './temp.ts'

test('a request is read whole however it is cut', () => {
  const text =
    'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n'
  for (let cut = 1; cut < text.length; cut++) {
    const reader = new MessageReader('request')
    reader.push(text.slice(0, cut))
    assert.is(reader.next(), null)
    reader.push(text.slice(cut))
    const message = reader.next()
    assert.is(message?.body, 'abc0123456789')
    assert.equal(message?.trailers, [['T', '1']])
    assert.is(reader.rest, '')
  }
})

const NOT_HTTP: readonly [string, string][] = [
  ['two lengths', 'GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n'],
  [
    'length and chunked',
    'GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['bare LF', 'GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n'],
  ['space before colon', 'GET / HTTP/1.1\r\nA : b\r\n\r\n'],
  ['control byte in value', 'GET / HTTP/1.1\r\nA: \x01\r\n\r\n'],
  ['signed length', 'GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\na'],
  ['chunk without CRLF', 'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n'],
  ['chunk size 0x', 'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n'],
]
for (const [what, bytes] of NOT_HTTP) {
  test(`the strict reader throws on ${what}`, () => {
    const reader = new MessageReader('request')
    reader.push(bytes)
    assert.throws(() => reader.next())
  })
}

test('a response ends as its status, method and close say', () => {
  const head = 'HTTP/1.1 200 OK\r\n\r\n'
  const open = new MessageReader('response')
  open.push(`${head}until`)
  assert.is(open.next(), null)
  assert.is(open.next('GET', true)?.body, 'until')
  const toHead = new MessageReader('response')
  toHead.push('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
  assert.is(toHead.next('HEAD')?.body, '')
  const notModified = new MessageReader('response')
  notModified.push('HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n')
  assert.is(notModified.next()?.body, '')
})

test('client and upstream keep a connection and record its bytes', async () => {
  const upstream = await recordingUpstream((_, { target }) =>
    target === '/last' ? ok('bye', 'Connection: close\r\n') : ok(target),
  )
  const client = new HttpClient(upstream.port)
  assert.is((await client.get('/one')).body, '/one')
  const second = await client.request('POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  assert.is(second.status, 200)
  assert.is(second.header('content-LENGTH'), '4')
  client.send('GET /three HTTP/1.1\r\nHost: a\r\n\r\nGET /last HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.is((await client.response()).body, '/three')
  assert.is((await client.response()).body, 'bye')
  await client.waitForClose()
  assert.is(upstream.connections.length, 1)
  assert.equal(
    upstream.requests.map((request) => request.target),
    ['/one', '/two', '/three', '/last'],
  )
  assert.is(upstream.requests[1]!.body, 'abc')
  assert.ok(upstream.connections[0]!.startsWith('GET /one HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /two'))
  await upstream.close()
})

test('a raw request ends at close, at a pattern, or with an error that shows what came', async () => {
  const upstream = await recordingUpstream((_, { target }) => (target === '/null' ? null : ok()))
  const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`
  assert.is(await rawRequest(upstream.port, get('/null')), '')
  assert.match(await rawRequest(upstream.port, get('/'), { until: /ok$/ }), /^HTTP\/1.1 200/)
  assert.match(await rawRequest(upstream.port, [...get('/')], { until: /ok$/ }), /^HTTP\/1.1 200/)
  const error = await rawRequest(upstream.port, get('/'), { timeout: 100 }).catch(
    (reason: Error) => reason.message,
  )
  assert.match(error, /no end after 100 ms; received "HTTP\/1.1 200 OK/)
  await upstream.close()
  const refused = await rawRequest(upstream.port, get('/')).catch((reason: Error) => reason.message)
  assert.match(refused, /ECONNREFUSED/)
})

test('an upstream that is sent nonsense records it and closes', async () => {
  const upstream = await recordingUpstream()
  assert.is(await rawRequest(upstream.port, 'GET / HTTP/1.1\r\nA : b\r\n\r\n'), '')
  assert.is(upstream.requests.length, 0)
  assert.match(upstream.faults[0]!, /bad field line: "A : b"/)
  await upstream.close()
})

test('free ports are different and can be listened on', async () => {
  const ports = await freePorts(5)
  assert.is(new Set(ports).size, 5)
  const server = createServer()
  await new Promise<void>((done) => server.listen(ports[0], '127.0.0.1', done))
  await new Promise((done) => server.close(done))
})

test('files are written with the folders they need', () => {
  const folder = tempDir()
  writeFiles(folder, { 'a/b/c.txt': 'x', 'd.txt': 'y' })
  assert.ok(existsSync(join(folder, 'a/b/c.txt')))
})

test.run()
