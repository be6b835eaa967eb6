// HTTP/2 in cleartext towards clients, HTTP/1.1 towards upstreams: how a connection begins, heads both ways, who leaves.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePorts } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { rawRequest } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { ask, askOnce, Frame, frame, get, PREFACE, RawHttp2, session } from './http2-client.ts'
import { once, socketUpstream, until } from './journey-tools.ts'

/** What the upstreams do, as the test that runs says. */
let answer: (head: string) => string | null = () => ok()
let serve: (socket: Socket, head: string) => void = () => {}
const upstream = await recordingUpstream((head) => answer(head))
const bare = await socketUpstream((socket) => once(socket, '\r\n\r\n', (head) => serve(socket, head)))

const [port, plainPort] = await freePorts(2)
const sluice = await startSluice(
  `
http {
  server {
    listen 127.0.0.1:${port};
    server_name one;
    http2 on;
    root files;
    location = /variables { return 200 "$request|$server_protocol|$http2|$scheme|$host|$connection_requests|$http_cookie"; }
    location = /close { return 444; }
    location = /odd { return 777 odd; }
    location /empty { return 204; }
    location /trailers/ { alias files/; add_trailer X-Sum $uri; }
    location /up/ { proxy_pass http://${upstream.address}; }
    location /passing/ { proxy_pass http://${upstream.address}; proxy_pass_trailers on; }
    location /bare/ { proxy_pass http://${bare.address}; }
  }
  server { listen 127.0.0.1:${port}; server_name two; http2 off; return 200 two; }
  server { listen 127.0.0.1:${plainPort} http2; server_name plain; return 200 $server_protocol; }
}
`,
  { 'files/page': 'A PAGE' },
)
test.after(async () => {
  await upstream.close()
  await bare.close()
  await sluice.stop()
})

const lastRequest = () => upstream.requests.at(-1)!

test('a request and its variables', async () => {
  const client = session(port)
  const first = await ask(client, { ':path': '/variables?a', ':authority': 'one', cookie: ['a=1', 'b=2'] })
  const second = await ask(client, { ':path': '/variables', ':authority': 'one' })
  client.destroy()
  assert.is(first.status, 200)
  assert.is(first.body, 'GET /variables?a HTTP/2.0|HTTP/2.0|h2c|http|one|1|a=1; b=2')
  assert.is(second.body, 'GET /variables HTTP/2.0|HTTP/2.0|h2c|http|one|2|')
  assert.match(first.headers.server as string, /^sluice/)
  assert.is(first.headers['content-length'], String(first.body.length))
  assert.ok(first.headers.date)
})

test('HTTP/1 is served on the same port, whatever it begins with', async () => {
  for (const method of ['GET', 'P', 'PRI', 'POST']) {
    const request = `${method} /variables HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n`
    assert.match(await rawRequest(port, request), /^HTTP\/1\.1 (200|405) /, method)
    assert.match(await rawRequest(port, [...request]), /^HTTP\/1\.1 (200|405) /, method)
  }
  assert.match(await rawRequest(port, 'PRI * HTTP/1.1\r\nHost: one\r\n\r\n'), /^HTTP\/1\.1 400 /)
})

test('`listen … http2` without `http2 on`', async () => {
  assert.is((await askOnce(plainPort, '/')).body, 'HTTP/2.0')
})

test('a server with `http2 off` on the same address is not served over HTTP/2', async () => {
  assert.is((await askOnce(port, { ':path': '/', ':authority': 'two' })).status, 421)
  assert.match(await rawRequest(port, 'GET / HTTP/1.1\r\nHost: two\r\nConnection: close\r\n\r\n'), /two$/)
})

test('a connection that arrives byte by byte', async () => {
  const bytes = Buffer.concat([Buffer.from(PREFACE), frame(Frame.SETTINGS, 0, 0), get(1, '/variables')])
  const client = await RawHttp2.open(port)
  for (const octet of bytes) {
    client.socket.write(Buffer.from([octet]))
    await new Promise((next) => setTimeout(next, 1))
  }
  assert.match((await client.first(Frame.DATA, 1)).payload.toString(), /^GET \/variables HTTP\/2\.0/)
  client.socket.destroy()
})

test('a client that waits for SETTINGS, or sends none of its own, is served', async () => {
  const client = await RawHttp2.open(port, PREFACE)
  await client.first(Frame.SETTINGS)
  client.send(frame(Frame.SETTINGS, 1, 0), get(1, '/variables'))
  assert.match((await client.first(Frame.DATA, 1)).payload.toString(), /^GET \/variables HTTP\/2\.0/)
  client.socket.destroy()
})

test('a request goes upstream as HTTP/1.1', async () => {
  answer = () => ok('hello')
  const { status, body } = await askOnce(port, {
    ':path': '/up/a?b',
    ':authority': 'one',
    'x-a': '1',
    te: 'trailers',
  })
  assert.is(status, 200)
  assert.is(body, 'hello')
  assert.is(lastRequest().head, `GET /up/a?b HTTP/1.1\r\nHost: ${upstream.address}\r\nx-a: 1\r\n\r\n`)
})

test('fields of an HTTP/1 connection do not get through', async () => {
  answer = () =>
    'HTTP/1.1 200 OK\r\nConnection: Upgrade, X-Hop\r\nUpgrade: websocket\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n' +
    'Proxy-Connection: close\r\nHTTP2-Settings: x\r\nX-Kept: yes\r\n\r\n2\r\nok\r\n0\r\n\r\n'
  const { headers, body } = await askOnce(port, '/up/')
  assert.is(body, 'ok')
  assert.is(headers['x-kept'], 'yes')
  for (const name of [
    'connection',
    'upgrade',
    'keep-alive',
    'transfer-encoding',
    'proxy-connection',
    'http2-settings',
  ]) {
    assert.is(headers[name], undefined, name)
  }
})

test('repeated fields stay apart, or are joined where HTTP/2 in Node has one', async () => {
  answer = () =>
    ok(
      'ok',
      'Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-A: 1\r\nX-A: 2\r\nContent-Language: de\r\nContent-Language: en\r\n',
    )
  const { headers } = await askOnce(port, '/up/')
  assert.equal(headers['set-cookie'], ['a=1', 'b=2'])
  assert.is(headers['x-a'], '1, 2')
  assert.is(headers['content-language'], 'de, en')
})

test('101 from the upstream is a bad gateway', async () => {
  answer = () => 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n'
  assert.is((await askOnce(port, '/up/')).status, 502)
})

test('HEAD, 204, and a status that HTTP/2 has not', async () => {
  answer = () => 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
  const head = await askOnce(port, { ':method': 'HEAD', ':path': '/up/' })
  assert.is(head.headers['content-length'], '5')
  assert.is(head.body, '')
  const empty = await askOnce(port, '/empty')
  assert.equal([empty.status, empty.body, empty.code], [204, '', 0])
  const odd = await askOnce(port, '/odd')
  assert.equal([odd.status, odd.body], [500, 'odd'])
})

test('`return 444` resets the stream', async () => {
  const { status, code } = await askOnce(port, '/close')
  assert.equal([status, code], [0, 2])
})

test('trailers of our own and of the upstream', async () => {
  const own = await askOnce(port, '/trailers/page')
  assert.is(own.body, 'A PAGE')
  assert.is(own.trailers?.['x-sum'], '/trailers/page')
  answer = () =>
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nConnection: close\r\n\r\n'
  const passed = await askOnce(port, '/passing/')
  assert.is(passed.body, 'ok')
  assert.equal({ ...passed.trailers }, { 'x-sum': '7' })
  answer = () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'
  const none = await askOnce(port, '/passing/')
  assert.equal([none.body, none.trailers, none.code], ['ok', null, 0])
})

test('a hundred streams at once on one connection', async () => {
  answer = (head) => ok(/GET (\S+)/.exec(head)![1])
  const client = session(port)
  const paths = Array.from({ length: 100 }, (_, i) => `/up/${i}`)
  const answers = await Promise.all(paths.map((path) => ask(client, path)))
  client.destroy()
  assert.equal(
    answers.map(({ body }) => body),
    paths,
  )
})

test('a client that resets its stream frees the upstream, and the connection lives on', async () => {
  const gone = new Promise<void>((done) => {
    serve = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart')
      socket.on('close', () => done())
      socket.on('end', () => socket.end())
    }
  })
  const client = session(port)
  const stream = client.request({ ':path': '/bare/' })
  stream.on('error', () => {})
  stream.on('data', () => stream.close(8))
  await gone
  assert.is((await ask(client, '/variables')).status, 200)
  client.destroy()
  await sluice.waitForLog(/client prematurely closed connection, so upstream connection is closed too/)
})

test('a client that is gone frees every upstream of its streams', async () => {
  let open = 0
  serve = (socket) => {
    open++
    socket.on('close', () => open--)
    socket.on('end', () => socket.end())
  }
  const client = session(port)
  const asked = [1, 2, 3].map(() => ask(client, '/bare/'))
  await until('three requests', () => open === 3)
  client.destroy()
  await until('no request', () => open === 0)
  await Promise.all(asked)
})

test.run()
