// What an HTTP/2 connection may cost: timeouts, how many requests, floods, and a graceful end.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort, freePorts } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { ok } from '../lib/recording-upstream.ts'
import { ask, Frame, frame, get, headerBlock, PREFACE, pseudo, RawHttp2, session } from './http2-client.ts'
import { once, openClient, readToEnd, socketUpstream, until } from './journey-tools.ts'

const SETTINGS = frame(Frame.SETTINGS, 0, 0)
const NO_ERROR = 0
const PROTOCOL_ERROR = 1
const INTERNAL_ERROR = 2
const REFUSED_STREAM = 7

/** Answers when told to. */
const held: (() => void)[] = []
const upstream = await socketUpstream((socket) =>
  once(socket, '\r\n\r\n', () => {
    held.push(() => socket.end(ok('late', 'Connection: close\r\n')))
    socket.on('end', () => socket.end())
  }),
)

const [port, few, brief] = await freePorts(3)
const sluice = await startSluice(
  `
http {
  http2 on;
  client_body_temp_path temp;
  client_header_timeout 400ms;
  root files;
  server {
    listen 127.0.0.1:${port};
    client_body_timeout 300ms;
    send_timeout 300ms;
    location /hello { return 200 hello; }
    location /held { proxy_pass http://${upstream.address}; }
  }
  server {
    listen 127.0.0.1:${few};
    keepalive_requests 2;
    http2_max_concurrent_streams 3;
    location /held { proxy_pass http://${upstream.address}; }
    location / { return 200 hello; }
  }
  server { listen 127.0.0.1:${brief}; keepalive_timeout 300ms; location / { return 200 hello; } }
}
`,
  { 'files/big': 'x'.repeat(8_000_000) },
)
test.after(async () => {
  await upstream.close()
  await sluice.stop()
})

const codeOf = (payload: Buffer, at = 0) => payload.readUInt32BE(at)
const open = (to: number) => RawHttp2.open(to, PREFACE, SETTINGS)

test('no preface in time: closed; a part of one too', async () => {
  assert.equal(await readToEnd(await openClient(port)), Buffer.alloc(0))
  assert.equal(await readToEnd(await openClient(port, PREFACE.slice(0, 20))), Buffer.alloc(0))
})

test('no request in time: GOAWAY', async () => {
  const client = await open(port)
  assert.is(codeOf((await client.first(Frame.GOAWAY)).payload, 4), NO_ERROR)
  await client.untilClosed()
})

test('what is no HTTP/2 behind the preface: GOAWAY, and closed without a request', async () => {
  const client = await RawHttp2.open(port, PREFACE, SETTINGS, frame(Frame.DATA, 0, 0, 'no stream'))
  assert.is(codeOf((await client.first(Frame.GOAWAY)).payload, 4), PROTOCOL_ERROR)
  await client.untilClosed()
})

test('an idle connection is closed after keepalive_timeout', async () => {
  const client = await open(brief)
  client.send(get(1, '/'))
  await client.first(Frame.DATA, 1)
  const goaway = (await client.first(Frame.GOAWAY)).payload
  assert.equal([codeOf(goaway), codeOf(goaway, 4)], [1, NO_ERROR])
  await client.untilClosed()
})

test('a body that stops coming', async () => {
  const client = await open(port)
  const fields = headerBlock(pseudo('/held', 'POST'))
  client.send(frame(Frame.HEADERS, 4, 1, fields), frame(Frame.DATA, 0, 1, 'part'))
  assert.is(codeOf((await client.first(Frame.RST_STREAM, 1)).payload), INTERNAL_ERROR)
  client.send(get(3, '/hello'))
  assert.is((await client.first(Frame.DATA, 3)).payload.toString(), 'hello')
  client.socket.destroy()
  await sluice.waitForLog(/client timed out .* while reading client request body/)
})

test('a response that is not taken', async () => {
  const client = await open(port)
  client.send(get(1, '/big'))
  assert.is(codeOf((await client.first(Frame.RST_STREAM, 1)).payload), INTERNAL_ERROR)
  client.socket.destroy()
  await sluice.waitForLog(/client timed out .* while sending to client/)
})

test('a response that is taken slowly, but is taken, comes whole', async () => {
  const client = session(port)
  const stream = client.request({ ':path': '/big' })
  let received = 0
  stream.on('data', (chunk) => {
    received += chunk.length
    stream.pause()
    setTimeout(() => stream.resume(), received % 1_000_000 < 20_000 ? 100 : 0)
  })
  await new Promise((done) => stream.on('close', done))
  client.destroy()
  assert.is(received, 8_000_000)
})

test('after keepalive_requests the connection takes no more, and ends when they are answered', async () => {
  const client = await open(few)
  client.send(get(1, '/held'))
  await until('a request', () => held.length === 1)
  client.send(get(3, '/'))
  const goaway = (await client.first(Frame.GOAWAY)).payload
  assert.equal([codeOf(goaway), codeOf(goaway, 4)], [3, NO_ERROR])
  client.send(get(5, '/'))
  held.pop()!()
  assert.is((await client.first(Frame.DATA, 1)).payload.toString(), 'late')
  assert.is((await client.first(Frame.DATA, 3)).payload.toString(), 'hello')
  await client.untilClosed()
  assert.not.ok(client.frames.some(({ type, stream }) => type === Frame.HEADERS && stream === 5))
})

test('more streams than http2_max_concurrent_streams are refused', async () => {
  const port = await freePort()
  const own = await startSluice(
    `http { server { listen 127.0.0.1:${port}; http2 on; http2_max_concurrent_streams 2; location / { proxy_pass http://${upstream.address}; } } }`,
  )
  const client = await open(port)
  client.send(get(1, '/'), get(3, '/'), get(5, '/'))
  assert.is(codeOf((await client.first(Frame.RST_STREAM, 5)).payload), REFUSED_STREAM)
  await until('two requests', () => held.length === 2)
  for (const release of held.splice(0)) release()
  await client.first(Frame.DATA, 3)
  client.socket.destroy()
  await own.stop()
})

test('a client that resets what it asks for, again and again, is sent away', async () => {
  const client = await open(port)
  for (let id = 1; id < 2000 && !client.closed; id += 2) {
    client.send(get(id, '/held'), frame(Frame.RST_STREAM, 0, id, '\0\0\0\x08'))
    if (id % 100 === 1) await new Promise((next) => setTimeout(next, 5))
  }
  await client.untilClosed()
  held.length = 0
  await sluice.waitForLog(/http2 flood detected: too many resets/)
})

test('so is one that floods with PING or SETTINGS', async () => {
  for (const flood of [frame(Frame.PING, 0, 0, '12345678'), SETTINGS]) {
    const client = await open(port)
    const hundred = Array.from({ length: 100 }, () => flood)
    for (let i = 0; i < 20 && !client.closed; i++) {
      client.send(...hundred)
      await new Promise((next) => setTimeout(next, 2))
    }
    await client.untilClosed()
  }
  await sluice.waitForLog(/http2 flood detected: too many control frames/)
})

test('a header list beyond every limit costs the stream, not the process', async () => {
  const client = session(port)
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`x-${i}`, 'x'.repeat(4000)]))
  assert.is((await ask(client, { ':path': '/hello', ...many })).status, 0)
  client.destroy()
  const second = session(port)
  assert.is((await ask(second, '/hello')).body, 'hello')
  second.destroy()
})

test('a graceful stop answers what is under way, announces itself, and ends', async () => {
  const port = await freePort()
  const own = await startSluice(
    `http { server { listen 127.0.0.1:${port}; http2 on; location / { proxy_pass http://${upstream.address}; } } }`,
  )
  const idle = await open(port)
  const busy = await open(port)
  busy.send(get(1, '/'))
  await until('a request', () => held.length === 1)
  const code = own.stop('SIGQUIT')
  await idle.first(Frame.GOAWAY)
  await busy.first(Frame.GOAWAY)
  held.pop()!()
  assert.is((await busy.first(Frame.DATA, 1)).payload.toString(), 'late')
  await busy.untilClosed()
  await idle.untilClosed()
  assert.is(await code, 0)
})

test.run()
