// Connections to upstreams and what comes back on them: reuse, idle connections that die, answers that are none,
// redirects inside and out, cookies.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { ok, type RecordedRequest, recordingUpstream } from '../lib/recording-upstream.ts'
import { once, plainHead, socketUpstream, split, until } from './journey-tools.ts'

const kept = await recordingUpstream((_, request) => ANSWERS[request.target]?.(request) ?? ok(request.target))
/** Its bytes are the test's. */
let raw = ''
const bare = await socketUpstream((socket) => once(socket, '\r\n\r\n', () => socket.end(raw, 'latin1')))
/** Answers every request, with `behind` in the same packet, then does what `then` says. */
let then: (socket: Socket) => void = () => {}
let behind = ''
const moody = await socketUpstream((socket, index) => {
  const answer = () => {
    socket.write(ok(`connection ${index}`) + behind)
    then(socket)
    once(socket, '\r\n\r\n', answer)
  }
  once(socket, '\r\n\r\n', answer)
})

const ANSWERS: Record<string, (request: RecordedRequest) => string> = {
  '/close': () => ok('bye', 'Connection: close\r\n'),
  '/accel': () =>
    'HTTP/1.1 200 OK\r\nX-Accel-Redirect: /internal/file?x=1\r\nContent-Type: text/special\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Lost: 1\r\nContent-Length: 3\r\n\r\nno\n',
  '/accel-named': () => 'HTTP/1.1 200 OK\r\nX-Accel-Redirect: @named\r\nContent-Length: 0\r\n\r\n',
  '/accel-up': () => 'HTTP/1.1 200 OK\r\nX-Accel-Redirect: /internal/../secret\r\nContent-Length: 0\r\n\r\n',
  '/accel-loop': () => 'HTTP/1.1 200 OK\r\nX-Accel-Redirect: /accel-loop\r\nContent-Length: 0\r\n\r\n',
  '/ignored': () => 'HTTP/1.1 200 OK\r\nX-Accel-Redirect: /internal/file\r\nContent-Length: 3\r\n\r\nown',
  '/intercepted/404': () => 'HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\ntheirs',
  '/intercepted/500': () => 'HTTP/1.1 500 Oops\r\nContent-Length: 6\r\n\r\ntheirs',
  '/intercepted/401': () =>
    'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n',
  '/redirect/self': () =>
    `HTTP/1.1 302 Found\r\nLocation: http://${kept.address}/redirect/there\r\nContent-Length: 0\r\n\r\n`,
  '/redirect/path': () => 'HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n',
  '/redirect/far': () =>
    'HTTP/1.1 302 Found\r\nLocation: http://example.com/far\r\nRefresh: 5; url=http://example.com/far\r\nContent-Length: 0\r\n\r\n',
  '/cookies': () =>
    'HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Domain=example.com; Path=/app/x\r\nSet-Cookie: b=2; path=/other; domain=else.com\r\nContent-Length: 0\r\n\r\n',
}

const port = await freePort()
const sluice = await startSluice(`
http {
  upstream kept { server ${kept.address}; keepalive 2; }
  upstream moody { server ${moody.address}; keepalive 4; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://kept; }
    location /bare { proxy_pass http://${bare.address}; }
    location /small-head { proxy_pass http://${bare.address}; proxy_buffer_size 1k; }
    location /moody { proxy_pass http://moody; }
    location /moody-unsafe { proxy_pass http://moody; proxy_next_upstream error non_idempotent; }
    location /internal/ { internal; return 200 "internal $uri $args $request_method"; }
    location /secret { return 200 secret; }
    location @named { return 200 named; }
    location /ignored { proxy_pass http://kept; proxy_ignore_headers X-Accel-Redirect; }
    location /intercepted/ {
      proxy_pass http://kept;
      proxy_intercept_errors on;
      error_page 404 /internal/missing;
      error_page 401 =401 /internal/who;
    }
    location /redirect/ { proxy_pass http://${kept.address}; }
    location /redirect/far {
      proxy_pass http://kept;
      proxy_redirect http://example.com/ https://$host/near/;
    }
    location /cookies {
      proxy_pass http://kept;
      proxy_cookie_domain example.com example.org;
      proxy_cookie_path /app/ /;
    }
    location /slow-connect {
      # An address of TEST-NET-1: nobody answers there.
      proxy_pass http://192.0.2.1:81;
      proxy_connect_timeout 200ms;
    }
  }
}
`)
test.after(async () => {
  await Promise.all([kept.close(), bare.close(), moody.close()])
  await sluice.stop()
})

const get = (path: string, fields = '') =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`
const body = async (path: string) => split(await rawRequest(port, get(path))).body

test('a connection is used again; Connection: close of the upstream ends it', async () => {
  const connections = () => kept.connections.length
  await body('/1')
  const before = connections()
  for (const path of ['/2', '/3', '/4']) assert.is(await body(path), path)
  assert.is(connections(), before)
  await body('/close')
  await body('/5')
  assert.is(connections(), before + 1)
})

test('no more connections idle than keepalive allows', async () => {
  const all = await Promise.all(Array.from({ length: 6 }, (_, i) => body(`/many/${i}`)))
  assert.equal(
    all,
    [0, 1, 2, 3, 4, 5].map((i) => `/many/${i}`),
  )
  const before = kept.connections.length
  await Promise.all([body('/x'), body('/y')])
  assert.is(kept.connections.length, before)
})

test('an idle connection that the upstream has closed is not used', async () => {
  then = (socket) => void socket.end()
  const first = await body('/moody')
  const socket = moody.sockets.at(-1)!
  await until('the proxy closes too', () => socket.destroyed || socket.readableEnded)
  assert.not.equal(await body('/moody'), first)
})

test('garbage on an idle connection closes it; nobody gets it as an answer', async () => {
  const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
  then = (socket) => void setTimeout(() => socket.write(evil), 30)
  await body('/moody')
  const socket = moody.sockets.at(-1)!
  await until('the proxy closes', () => socket.destroyed || socket.readableEnded)
  then = () => {}
  assert.match(await body('/moody'), /^connection \d+$/)
})

test('bytes behind an answer are not an answer to the next request', async () => {
  const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
  behind = evil
  for (let i = 0; i < 5; i++) assert.match(await body('/moody'), /^connection \d+$/)
  behind = ''
  await sluice.waitForLog(/upstream sent more data than specified/)
})

/** A pool with one connection that will close as soon as the next request comes on it. */
async function primeWithStale(): Promise<void> {
  then = () => {}
  await body('/moody')
  const socket = moody.sockets.at(-1)!
  socket.removeAllListeners('data')
  socket.once('data', () => socket.destroy())
}

test('a connection that closes under the next request is replaced: a GET never notices', async () => {
  for (let i = 0; i < 5; i++) {
    await primeWithStale()
    assert.match(await body('/moody'), /^connection \d+$/)
    // The one that replaced it goes as well.
    moody.sockets.at(-1)!.destroy()
    await until('gone', () => moody.sockets.at(-1)!.destroyed)
  }
})

test('a POST on it may have been acted upon: 502, unless non_idempotent says otherwise', async () => {
  const post = (path: string) =>
    rawRequest(port, `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx`)
  await primeWithStale()
  assert.match(await post('/moody'), /^HTTP\/1.1 502 /)
  await primeWithStale()
  assert.match(await post('/moody-unsafe'), /^HTTP\/1.1 200 /)
})

const NO_ANSWERS: readonly [string, string, RegExp][] = [
  ['nothing', '', /upstream prematurely closed connection while reading response header from upstream/],
  ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le', /upstream prematurely closed connection/],
  ['another protocol', 'SSH-2.0-OpenSSH\r\n', /upstream sent no valid HTTP\/1.0 header/],
  ['HTTP/0.9', 'just text', /upstream sent no valid HTTP\/1.0 header/],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n', /upstream sent no valid HTTP\/1.0 header/],
  [
    'two lengths',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    /upstream sent duplicate header/,
  ],
  [
    'a negative length',
    'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab',
    /upstream sent invalid "Content-Length"/,
  ],
  [
    'length and coding',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /at the same time/,
  ],
  [
    'an unknown coding',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    /unknown "Transfer-Encoding"/,
  ],
  [
    'a field with a space in its name',
    'HTTP/1.1 200 OK\r\nA B: c\r\nContent-Length: 0\r\n\r\n',
    /upstream sent invalid header/,
  ],
  [
    'a NUL in a value',
    'HTTP/1.1 200 OK\r\nA: \0\r\nContent-Length: 0\r\n\r\n',
    /upstream sent invalid header/,
  ],
  [
    'a switch that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    /unasked/,
  ],
]
for (const [what, bytes, reason] of NO_ANSWERS) {
  test(`${what} is no answer: 502`, async () => {
    raw = bytes
    const from = sluice.errorLog().length
    assert.match(await rawRequest(port, get('/bare')), /^HTTP\/1.1 502 Bad Gateway\r\n/)
    await sluice.waitForLog(reason, from)
  })
}

test('a head larger than proxy_buffer_size is 502, one that fits passes', async () => {
  const answer = (size: number) =>
    `HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(size)}\r\nContent-Length: 2\r\n\r\nok`
  raw = answer(900)
  assert.match(await rawRequest(port, get('/small-head')), /ok$/)
  const from = sluice.errorLog().length
  raw = answer(1100)
  assert.match(await rawRequest(port, get('/small-head')), /^HTTP\/1.1 502 /)
  await sluice.waitForLog(/upstream sent too big header while reading response header from upstream/, from)
})

test('no endless stream of interim answers is taken', async () => {
  raw = 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(100_000)
  assert.match(await rawRequest(port, get('/bare')), /^HTTP\/1.1 502 /)
})

test('X-Accel-Redirect: the internal location answers, with the fields that belong to the content', async () => {
  const response = await rawRequest(port, get('/accel'))
  assert.is(
    plainHead(response),
    'HTTP/1.1 200 OK\r\nContent-Type: text/special\r\nContent-Length: 31\r\nConnection: close\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n',
  )
  assert.is(split(response).body, 'internal /internal/file x=1 GET')
})

test('X-Accel-Redirect: a POST becomes a GET, its body is not mistaken for a request', async () => {
  const client = new HttpClient(port)
  const response = await client.request('POST /accel HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody')
  assert.is(response.body, 'internal /internal/file x=1 GET')
  assert.is((await client.get('/1')).body, '/1')
  client.close()
})

test('X-Accel-Redirect: to a named location; never out of the tree; never for ever; not when it is ignored', async () => {
  assert.is(await body('/accel-named'), 'named')
  assert.match(await rawRequest(port, get('/accel-up')), /^HTTP\/1.1 404 /)
  assert.match(await rawRequest(port, get('/accel-loop')), /^HTTP\/1.1 500 /)
  assert.is(await body('/ignored'), 'own')
})

test('what is internal is not found from outside', async () => {
  assert.match(await rawRequest(port, get('/internal/file')), /^HTTP\/1.1 404 /)
})

test('proxy_intercept_errors: statuses that have an error_page get it, others pass', async () => {
  const missing = await rawRequest(port, get('/intercepted/404'))
  assert.match(missing, /^HTTP\/1.1 404 Not Found\r\n/)
  assert.is(split(missing).body, 'internal /internal/missing  GET')
  const oops = await rawRequest(port, get('/intercepted/500'))
  assert.match(oops, /^HTTP\/1.1 500 Oops\r\n/)
  assert.is(split(oops).body, 'theirs')
  const who = await rawRequest(port, get('/intercepted/401'))
  assert.match(who, /^HTTP\/1.1 401 Unauthorized\r\n/)
  assert.match(who, /\r\nWWW-Authenticate: Basic realm="x"\r\n/)
})

test('Location: the address of the upstream becomes ours, others as proxy_redirect says', async () => {
  const location = async (path: string) => /^Location: (.*)\r$/m.exec(await rawRequest(port, get(path)))?.[1]
  assert.is(await location('/redirect/self'), `http://a:${port}/redirect/there`)
  assert.is(await location('/redirect/path'), '/elsewhere')
  assert.is(await location('/redirect/far'), 'https://a/near/far')
  assert.match(await rawRequest(port, get('/redirect/far')), /\r\nRefresh: 5; url=https:\/\/a\/near\/far\r\n/)
})

test('Set-Cookie: domain and path as configured', async () => {
  const cookies = [...(await rawRequest(port, get('/cookies'))).matchAll(/^Set-Cookie: (.*)\r$/gm)].map(
    ([, value]) => value,
  )
  assert.equal(cookies, ['a=1; Domain=example.org; Path=/x', 'b=2; path=/other; domain=else.com'])
})

test('an address that does not answer is given up after proxy_connect_timeout', async () => {
  const began = Date.now()
  assert.match(await rawRequest(port, get('/slow-connect')), /^HTTP\/1.1 50[24] /)
  assert.ok(Date.now() - began < 3000)
})

test('nothing broke', () => {
  assert.not.match(sluice.errorLog(), /\[(alert|emerg|crit)\]/)
  assert.equal(kept.faults, [])
})

test.run()
