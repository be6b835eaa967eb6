// Every limit towards clients has an end, and who runs into it harms nobody else.

import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort, freePorts } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { descriptors, openClient, readToEnd, residentMiB, until } from './journey-tools.ts'

const BIG = 20_000_000
const big = Buffer.from(ok('x'.repeat(BIG)), 'latin1')
const upstream = await recordingUpstream((_, { target, body }) =>
  target === '/big' ? big : ok(`${target} ${body.length}`),
)
const [port, brief, small] = (await freePorts(3)) as [number, number, number]
const sluice = await startSluice(`
http {
  log_format short '$request $status $body_bytes_sent';
  access_log access.log short;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://${upstream.address}; }
    location /four { proxy_pass http://${upstream.address}; client_max_body_size 4; }
    location /four-streamed { proxy_pass http://${upstream.address}; client_max_body_size 4; proxy_request_buffering off; }
    location /any { proxy_pass http://${upstream.address}; client_max_body_size 0; }
    location /file { proxy_pass http://${upstream.address}; client_body_buffer_size 16; client_body_temp_path temp; }
    location /hello { return 200 hello; }
  }
  server {
    listen 127.0.0.1:${brief};
    client_header_timeout 300ms;
    client_body_timeout 300ms;
    send_timeout 300ms;
    lingering_time 1s;
    lingering_timeout 300ms;
    location / { proxy_pass http://${upstream.address}; }
    location /streamed { proxy_pass http://${upstream.address}; proxy_request_buffering off; }
    location /four { client_max_body_size 4; proxy_pass http://${upstream.address}; }
    location /hello { return 200 hello; }
  }
  server {
    listen 127.0.0.1:${small};
    client_header_buffer_size 256;
    large_client_header_buffers 2 1k;
    location / { return 200 small; }
  }
}
`)
test.after(async () => {
  await upstream.close()
  await sluice.stop()
})

const pause = (ms: number) => new Promise((next) => setTimeout(next, ms))
const get = (path: string, fields = '') =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`
const status = async (at: number, bytes: string | string[]) =>
  Number((await rawRequest(at, bytes)).slice(9, 12))
const long = (length: number) => 'x'.repeat(length)

/** Resolves with ms until the connection is closed by the proxy. */
async function lifetime(socket: Socket): Promise<number> {
  const began = Date.now()
  await readToEnd(socket)
  return Date.now() - began
}

test('a request line: 414 when it does not fit a large buffer', async () => {
  assert.is(await status(small, get(`/${long(900)}`)), 200)
  assert.is(await status(small, get(`/${long(1100)}`)), 414)
  assert.is(await status(small, `GET /${long(3000)}`), 414)
  assert.is(await status(port, get(`/hello?${long(8000)}`)), 200)
  assert.is(await status(port, get(`/hello?${long(8192)}`)), 414)
})

test('a field: 400 when it does not fit a large buffer; 400 when all of them are used', async () => {
  const fields = (count: number, length: number) =>
    Array.from({ length: count }, (_, i) => `X-${i}: ${long(length)}\r\n`).join('')
  assert.is(await status(small, get('/', fields(1, 900))), 200)
  assert.is(await status(small, get('/', fields(1, 1100))), 400)
  assert.is(await status(small, get('/', fields(2, 900))), 200)
  assert.is(await status(small, get('/', fields(3, 900))), 400)
  assert.is(await status(small, `GET / HTTP/1.1\r\nX: ${long(5000)}`), 400)
  await sluice.waitForLog(/client sent too long header line/)
})

test('more fields than max_headers allows: 400', async () => {
  const fields = (count: number) => Array.from({ length: count }, (_, i) => `X-${i}: 1\r\n`).join('')
  assert.is(await status(port, get('/hello', fields(900))), 200)
  assert.is(await status(port, get('/hello', fields(1100))), 400)
})

test('a head that never ends is not kept', async () => {
  const before = residentMiB(sluice.pid)
  const sockets = await Promise.all(
    Array.from({ length: 100 }, () => openClient(port, `GET / HTTP/1.1\r\nHost: a\r\n`)),
  )
  const ends = sockets.map((socket) => readToEnd(socket, 3000))
  for (const socket of sockets) for (let i = 0; i < 20; i++) socket.write(`X-${i}: ${long(7000)}\r\n`)
  for (const end of await Promise.all(ends)) assert.match(String(end), /^HTTP\/1.1 400 /)
  assert.ok(residentMiB(sluice.pid) - before < 60)
})

test('client_max_body_size: by its length at once, chunked as soon as it is too much, streamed as well', async () => {
  const seen = upstream.requests.length
  for (const path of ['/four', '/four-streamed']) {
    assert.is(await status(port, `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n`), 413)
    const chunked = (body: string) =>
      `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${body}`
    assert.is(await status(port, chunked('5\r\nabcde\r\n')), 413)
    assert.is(await status(port, [chunked('3\r\nabc\r\n'), '2\r\nde\r\n']), 413)
    assert.is(upstream.requests.length, seen)
  }
  for (const path of ['/four', '/four-streamed']) {
    assert.is(
      await status(
        port,
        `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nabcd`,
      ),
      200,
    )
  }
  assert.is(await status(port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n`), 413)
  const any = `POST /any HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1048577\r\n\r\n${long(1_048_577)}`
  assert.is(await status(port, any), 200)
})

test('a client that goes on sending after 413 gets to read it', async () => {
  const client = new HttpClient(port)
  client.send(`POST /four HTTP/1.1\r\nHost: a\r\nContent-Length: ${BIG}\r\n\r\n`)
  client.send(long(BIG))
  assert.is((await client.response()).status, 413)
  await client.waitForClose()
})

test('nobody lingers longer than lingering_time', async () => {
  const socket = await openClient(brief, `POST /four HTTP/1.1\r\nHost: a\r\nContent-Length: ${BIG}\r\n\r\n`)
  socket.resume()
  const began = Date.now()
  const poke = setInterval(() => socket.write('x'), 50)
  await new Promise((done) => socket.once('close', done))
  clearInterval(poke)
  const took = Date.now() - began
  assert.ok(took >= 700 && took < 3000, `${took} ms`)
})

test('client_header_timeout: for the first byte, for the whole head; closed without an answer, logged as 408', async () => {
  for (const bytes of ['', 'GET / HT', 'GET /slow HTTP/1.1\r\nHost: a\r\n']) {
    const socket = await openClient(brief, bytes)
    const poke = setInterval(() => bytes !== '' && socket.write('X'), 50)
    const took = await lifetime(socket)
    clearInterval(poke)
    socket.destroy()
    assert.ok(took >= 280 && took < 2000, `${took} ms`)
  }
  await sluice.waitForLog(/client timed out/)
})

test('a second request has as much time for its head, and the connection is not cut before', async () => {
  const client = new HttpClient(brief)
  assert.is((await client.get('/hello')).body, 'hello')
  await pause(400)
  client.send('GET /hello HTTP/1.1\r\n')
  await pause(150)
  client.send('Host: a\r\n\r\n')
  assert.is((await client.response()).body, 'hello')
  client.close()
})

test('client_body_timeout: between reads, not for all of them; nothing goes upstream when it is buffered', async () => {
  const seen = upstream.requests.length
  for (const path of ['/', '/streamed']) {
    const socket = await openClient(
      brief,
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc`,
    )
    const took = await lifetime(socket)
    socket.destroy()
    assert.ok(took >= 280 && took < 2000, `${took} ms`)
    assert.is(upstream.requests.length, seen)
  }
  const client = await openClient(
    brief,
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 6\r\n\r\n',
  )
  const response = readToEnd(client)
  for (let i = 0; i < 6; i++) {
    await pause(100)
    client.write('x')
  }
  assert.match(String(await response), /\/ 6$/)
})

test('send_timeout: a client that takes nothing is dropped, one that takes it slowly is not', async () => {
  const before = descriptors(sluice.pid)
  const stuck = await openClient(brief, get('/big'))
  await until('the response begins', () => stuck.readableLength > 0)
  await until('both connections are closed', () => descriptors(sluice.pid) <= before, 3000)
  stuck.destroy()

  const slow = await openClient(brief, get('/big'))
  let received = 0
  slow.on('data', (chunk) => {
    received += chunk.length
    slow.pause()
    setTimeout(() => slow.resume(), 2)
  })
  await new Promise((done) => slow.once('end', done))
  assert.ok(received > BIG, `${received} of ${BIG}`)
  slow.destroy()
})

test('slow clients hold nobody up', async () => {
  const slow = await Promise.all(
    Array.from({ length: 200 }, (_, i) => openClient(port, i % 2 === 0 ? 'GET / HTTP/1.1\r\nX' : '')),
  )
  const drip = setInterval(() => {
    for (const socket of slow) socket.write('x')
  }, 20)
  const began = Date.now()
  for (let i = 0; i < 50; i++) assert.match(await rawRequest(port, get('/hello')), /hello$/)
  const took = Date.now() - began
  clearInterval(drip)
  for (const socket of slow) socket.destroy()
  assert.ok(took < 3000, `${took} ms for 50 requests`)
})

test('worker_connections: one too many is closed at once, those inside go on, room comes back', async () => {
  const own = await freePort()
  const limited = await startSluice(
    `events { worker_connections 4; }\nhttp { server { listen 127.0.0.1:${own}; location / { return 200 hello; } } }\n`,
  )
  const inside = Array.from({ length: 4 }, () => new HttpClient(own))
  for (const client of inside) assert.is((await client.get('/')).body, 'hello')
  assert.is(await rawRequest(own, get('/')), '')
  assert.is((await inside[0]!.get('/')).body, 'hello')
  inside[1]!.close()
  let answer = ''
  for (let i = 0; i < 100 && answer === ''; i++) answer = await rawRequest(own, get('/'))
  assert.match(answer, /hello$/)
  assert.match(limited.errorLog(), /4 worker_connections are not enough/)
  for (const client of inside) client.close()
  await limited.stop()
})

test('the access log knows what became of each', async () => {
  const lines = readFileSync(join(sluice.folder, 'access.log'), 'latin1')
  for (const line of [
    /^POST \/four HTTP\/1\.1 413 \d+$/m,
    /^GET \/slow HTTP\/1\.1 408 0$/m,
    /^POST \/ HTTP\/1\.1 408 0$/m,
    /^GET \/x+ HTTP\/1\.1 414 \d+$/m,
    /^GET \/ HTTP\/1\.1 400 \d+$/m,
  ])
    assert.match(lines, line)
  assert.not.match(sluice.errorLog(), /\[(alert|emerg|crit)\]/)
})

test.run()
