// Client connections: one request after the other, several in one packet, cut anywhere; when they stay open and when
// they close.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { descriptors, openClient, plainHead, readToEnd, residentMiB, split, until } from './journey-tools.ts'

const port = await freePort()
const upstream = await recordingUpstream((_, { method, target, body }) => {
  if (target === '/big') return ok('b'.repeat(200_000))
  return ok(method === 'HEAD' ? '' : `${method} ${target} [${body}]`)
})
/** More than the kernel holds for a client that does not read. */
const PAGES = 8_000_000
const pages = tempDir()
writeFiles(pages, { page: 'p'.repeat(20_000), pages: 'p'.repeat(PAGES) })
const sluice = await startSluice(`
http {
  server {
    listen 127.0.0.1:${port};
    keepalive_requests 1000000;
    location / { proxy_pass http://${upstream.address}; }
    location /streamed { proxy_pass http://${upstream.address}; proxy_request_buffering off; }
    location /hello { return 200 hello; }
    location /text { return 200 "${'t'.repeat(4000)}"; }
    location /page { root ${pages}; }
    location /pages { root ${pages}; }
    location /brief-pages { alias ${pages}/pages; keepalive_timeout 200ms; }
    location /paged { deny all; error_page 403 /no; }
    location /no { return 200 no; }
    location /none { return 204; }
    location /three { return 200 3; keepalive_requests 3; }
    location /brief { return 200 brief; keepalive_timeout 200ms; }
    location /told { return 200 told; keepalive_timeout 75s 20s; }
    location /never { return 200 never; keepalive_timeout 0; }
    location /denied { deny all; }
    location /small { client_max_body_size 4; proxy_pass http://${upstream.address}; }
  }
}
`)
test.after(async () => {
  await upstream.close()
  await sluice.stop()
})

const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`
const last = 'Connection: close\r\n'

test('a response of our own on a connection that stays open', async () => {
  const response = await rawRequest(port, get('/hello'), { until: /hello$/ })
  assert.is(
    plainHead(response),
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n',
  )
})

test('requests in one packet are answered in order, bodies between them belong to theirs', async () => {
  const bytes =
    get('/1') +
    'POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nGET /x HTTP/1.1\r\n\r\n\r' +
    get('/hello') +
    'PUT /streamed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n' +
    'DELETE /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n' +
    get('/5', last)
  const client = new HttpClient(port)
  client.send(bytes)
  const bodies: string[] = []
  for (let i = 0; i < 6; i++) bodies.push((await client.response()).body)
  assert.equal(bodies, [
    'GET /1 []',
    'POST /2 [GET /x HTTP/1.1\r\n\r\n\r]',
    'hello',
    'PUT /streamed [abcde]',
    'DELETE /4 []',
    'GET /5 []',
  ])
  await client.waitForClose()
  assert.is(client.rest, '')
  assert.equal(upstream.faults, [])
})

test('the same requests byte by byte, and cut in two at every place, are the same requests', async () => {
  const bytes =
    'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n' +
    'POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\ndef'
  const bodies = (text: string) => [...text.matchAll(/POST \/\w \[\w*\]/g)].map(([body]) => body)
  assert.equal(bodies(await rawRequest(port, [...bytes])), ['POST /a [abc]', 'POST /b [def]'])
  const cuts = Array.from({ length: bytes.length - 1 }, (_, i) => i + 1)
  const responses = cuts.map((cut) => rawRequest(port, [bytes.slice(0, cut), bytes.slice(cut)]))
  for (const response of await Promise.all(responses)) {
    assert.equal(bodies(response), ['POST /a [abc]', 'POST /b [def]'])
  }
})

test('a body that a location of ours does not want is read away, and the next request is served', async () => {
  const client = new HttpClient(port)
  const body = 'x'.repeat(300_000)
  client.send(`POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`)
  assert.is((await client.response()).body, 'hello')
  client.send(body + get('/1'))
  assert.is((await client.response()).body, 'GET /1 []')
  client.send(`POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel`)
  assert.is((await client.response()).status, 204)
  client.send(`lo\r\n0\r\n\r\n${get('/2')}`)
  assert.is((await client.response()).body, 'GET /2 []')
  client.close()
})

test('a malformed request in the middle is answered 400 and closes; what follows is not read as a request', async () => {
  const seen = upstream.requests.length
  const response = await rawRequest(
    port,
    `${get('/hello')}GET / HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n${get('/late')}`,
  )
  assert.match(
    response,
    /^HTTP\/1.1 200 OK\r\n[\s\S]*helloHTTP\/1.1 400 Bad Request\r\n[\s\S]*\r\nConnection: close\r\n[\s\S]*<\/html>\r\n$/,
  )
  assert.is(upstream.requests.length, seen)
})

const CLOSING: readonly [string, string, number][] = [
  ['a body that is too large', 'POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345', 413],
  [
    'a chunked body that is too large',
    'POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n',
    413,
  ],
  ['a chunk that is none', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n', 400],
  ['an unknown coding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nxyz', 501],
  ['a version of the future', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505],
]
for (const [what, bytes, status] of CLOSING) {
  test(`${what} is answered ${status} and closes the connection`, async () => {
    const seen = upstream.requests.length
    const response = await rawRequest(port, bytes + get('/late'))
    assert.match(response, new RegExp(`^HTTP/1.1 ${status} `))
    assert.match(response, /\r\nConnection: close\r\n/)
    assert.is(response.match(/HTTP\/1\.1/g)!.length, 1)
    assert.is(upstream.requests.length, seen)
  })
}

test('a refusal that leaves the framing intact keeps the connection', async () => {
  const client = new HttpClient(port)
  assert.is((await client.get('/denied')).status, 403)
  assert.is((await client.get('/hello')).body, 'hello')
  client.close()
})

const ENDS: readonly [string, string, string][] = [
  ['HTTP/1.1 with Connection: close', get('/hello', last), 'close'],
  ['HTTP/1.1 with Connection: Foo, CLOSE', get('/hello', 'Connection: Foo, CLOSE\r\n'), 'close'],
  ['HTTP/1.0', 'GET /hello HTTP/1.0\r\n\r\n', 'close'],
  ['keepalive_timeout 0', get('/never'), 'close'],
]
for (const [what, bytes, word] of ENDS) {
  test(`${what} closes after the response`, async () => {
    assert.match(await rawRequest(port, bytes), new RegExp(`\\r\\nConnection: ${word}\\r\\n`))
  })
}

test('HTTP/1.0 with Connection: keep-alive stays open when the length is known', async () => {
  const client = new HttpClient(port)
  const request = 'GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'
  assert.is((await client.request(request)).header('connection'), 'keep-alive')
  assert.is((await client.request(request)).body, 'hello')
  client.close()
})

test('keepalive_requests closes after so many requests of the connection', async () => {
  const client = new HttpClient(port)
  assert.is((await client.get('/hello')).header('connection'), 'keep-alive')
  assert.is((await client.get('/three')).header('connection'), 'keep-alive')
  assert.is((await client.get('/three')).header('connection'), 'close')
  await client.waitForClose()
})

test('keepalive_timeout closes an idle connection, its second value is told to the client', async () => {
  const client = new HttpClient(port)
  assert.is((await client.get('/told')).header('keep-alive'), 'timeout=20')
  const began = Date.now()
  await client.get('/brief')
  await client.waitForClose()
  const idle = Date.now() - began
  assert.ok(idle >= 190 && idle < 2000, `${idle} ms`)
})

test('empty lines before a request are skipped', async () => {
  const client = new HttpClient(port)
  assert.is((await client.request(`\r\n\r\n${get('/hello')}`)).body, 'hello')
  client.send('\r\n')
  assert.is((await client.get('/hello')).body, 'hello')
  client.close()
})

test('a client that half-closes after its last request gets its responses', async () => {
  const response = await rawRequest(port, get('/hello') + get('/hello'), { halfClose: true })
  assert.is(response.match(/hello$|hello(?=HTTP)/g)!.length, 2)
})

test('a client that half-closes and reads late loses nothing', async () => {
  for (const path of ['/page', '/pages']) {
    const socket = await openClient(port, get(path) + get('/hello'))
    await until('the first bytes', () => socket.readableLength > 0)
    socket.end()
    await new Promise((next) => setTimeout(next, 50))
    const text = String(await readToEnd(socket))
    assert.match(text, /^HTTP\/1.1 200 OK\r\n[\s\S]*pHTTP\/1.1 200 OK\r\n[\s\S]*hello$/)
  }
})

test('keepalive_timeout does not cut off a response that the client is still taking', async () => {
  const socket = await openClient(port, get('/brief-pages'))
  await until('the first bytes', () => socket.readableLength > 0)
  await new Promise((next) => setTimeout(next, 500))
  assert.is(split(String(await readToEnd(socket))).body.length, PAGES)
})

test('an error page for a request with a body does not mix up the requests behind it', async () => {
  const client = new HttpClient(port)
  const post = 'POST /paged HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc'
  client.send(post + get('/1') + post + get('/2') + get('/hello'))
  const bodies: string[] = []
  for (let i = 0; i < 5; i++) bodies.push((await client.response()).body)
  assert.equal(bodies, ['no', 'GET /1 []', 'no', 'GET /2 []', 'hello'])
  client.close()
  const broken = 'POST /paged HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'
  const response = await rawRequest(port, broken + get('/hello'), { timeout: 2000 })
  assert.is(response.match(/HTTP\/1\.1 /g)!.length, 1)
})

for (const [size, path] of [
  ['small', '/hello'],
  ['large', '/big'],
] as const) {
  test(`a client that keeps its side open after the close behind a ${size} response is let go of`, async () => {
    const before = descriptors(sluice.pid)
    const socket = await openClient(port, get(path, last))
    await until('the first bytes', () => socket.readableLength > 0)
    const response = await readToEnd(socket)
    assert.match(String(response), /(hello|b)$/)
    await until('the descriptor is closed', () => descriptors(sluice.pid) <= before, 2000)
    socket.destroy()
  })
}

for (const path of ['/text', '/big', '/none', '/page']) {
  test(`a client that pipelines ${path} without reading cannot fill memory with responses`, async () => {
    await rawRequest(port, get(path, last))
    const before = residentMiB(sluice.pid)
    const socket = await openClient(port, get(path).repeat(100_000))
    await new Promise((next) => setTimeout(next, 1500))
    const grown = residentMiB(sluice.pid) - before
    socket.destroy()
    assert.ok(grown < 60, `${grown} MiB`)
  })
}

test('a client that pipelines and reads late gets every response', async () => {
  const socket = await openClient(port, get('/big').repeat(19) + get('/big', last))
  await until('the first response', () => socket.readableLength > 0)
  const text = String(await readToEnd(socket))
  assert.is(text.match(/HTTP\/1\.1 200 OK/g)!.length, 20)
  assert.is([...text.matchAll(/b{200000}/g)].length, 20)
})

test.run()
