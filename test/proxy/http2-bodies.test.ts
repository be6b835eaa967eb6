// Bodies of HTTP/2 requests and responses: how long they are, who waits for whom, and what is never taken for whole.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import {
  askOnce,
  Frame,
  frame,
  get,
  headerBlock,
  PREFACE,
  pseudo,
  RawHttp2,
  session,
} from './http2-client.ts'
import { once, residentMiB, socketUpstream, until } from './journey-tools.ts'

const MB = 1_000_000
const BLOCK = Buffer.alloc(65536, 'x')

/** What the upstreams do, as the test that runs says. */
let answer: (head: string) => string | null = () => ok()
let serve: (socket: Socket, head: string) => void = () => {}
const upstream = await recordingUpstream((head) => answer(head))
const bare = await socketUpstream((socket) => once(socket, '\r\n\r\n', (head) => serve(socket, head)))

const port = await freePort()
const sluice = await startSluice(
  `
http {
  client_body_temp_path temp;
  server {
    listen 127.0.0.1:${port};
    http2 on;
    root files;
    location = /request { return 200 $request; }
    location /up/ { proxy_pass http://${upstream.address}; }
    location /unbuffered/ { proxy_pass http://${upstream.address}; proxy_request_buffering off; proxy_buffering off; }
    location /small/ { proxy_pass http://${upstream.address}; client_max_body_size 10; }
    location /bare/ { proxy_pass http://${bare.address}; client_max_body_size 0; proxy_request_buffering off; }
    location /again/ { proxy_pass http://${upstream.address}; proxy_request_buffering off; proxy_intercept_errors on; error_page 502 = /up/page; }
  }
}
`,
  { 'files/big': 'b'.repeat(3 * MB) },
)
test.after(async () => {
  await upstream.close()
  await bare.close()
  await sluice.stop()
})

const lastRequest = () => upstream.requests.at(-1)!

test('a body of known length', async () => {
  answer = () => ok('done')
  const fields = { ':method': 'POST', ':path': '/up/', 'content-length': 5 }
  assert.is((await askOnce(port, fields, ['he', 'llo'])).body, 'done')
  assert.is(lastRequest().header('content-length'), '5')
  assert.is(lastRequest().body, 'hello')
})

test('a body of unknown length is buffered and gets one', async () => {
  answer = () => ok('done')
  const body = 'x'.repeat(100_000)
  assert.is((await askOnce(port, { ':method': 'POST', ':path': '/up/' }, [body, body])).body, 'done')
  assert.is(lastRequest().header('content-length'), '200000')
  assert.is(lastRequest().body.length, 200_000)
})

test('a body of unknown length that is not buffered is chunked', async () => {
  answer = () => ok('done')
  assert.is((await askOnce(port, { ':method': 'POST', ':path': '/unbuffered/' }, ['he', 'llo'])).body, 'done')
  assert.is(lastRequest().header('transfer-encoding'), 'chunked')
  assert.is(lastRequest().header('content-length'), undefined)
  assert.is(lastRequest().body, 'hello')
})

test('an empty body', async () => {
  answer = () => ok('done')
  assert.is((await askOnce(port, { ':method': 'POST', ':path': '/up/' }, '')).body, 'done')
  assert.is(lastRequest().header('content-length'), '0')
})

test('a body that is too large, declared and not', async () => {
  const declared = await askOnce(
    port,
    { ':method': 'POST', ':path': '/small/', 'content-length': 11 },
    'x'.repeat(11),
  )
  assert.is(declared.status, 413)
  assert.is((await askOnce(port, { ':method': 'POST', ':path': '/small/' }, 'x'.repeat(11))).status, 413)
  assert.is((await askOnce(port, { ':method': 'POST', ':path': '/small/' }, 'x'.repeat(10))).status, 200)
})

test('a body shorter or longer than its length never reaches the upstream as a whole', async () => {
  const before = upstream.requests.length
  for (const body of ['four', 'sixsix']) {
    const client = await RawHttp2.open(port, PREFACE, frame(Frame.SETTINGS, 0, 0))
    const fields = [...pseudo('/unbuffered/', 'POST'), ['content-length', '5'] as const]
    client.send(frame(Frame.HEADERS, 4, 1, headerBlock(fields)), frame(Frame.DATA, 1, 1, body))
    await client.first(Frame.RST_STREAM, 1)
    client.socket.destroy()
  }
  assert.is(upstream.requests.length, before)
})

test('a body cut off by a reset without error is not taken for whole', async () => {
  const before = upstream.requests.length
  const client = await RawHttp2.open(port, PREFACE, frame(Frame.SETTINGS, 0, 0))
  client.send(
    frame(Frame.HEADERS, 4, 1, headerBlock(pseudo('/up/cut', 'POST'))),
    frame(Frame.DATA, 0, 1, 'part'),
  )
  client.send(frame(Frame.RST_STREAM, 0, 1, '\0\0\0\0'), get(3, '/request'))
  await client.first(Frame.DATA, 3)
  client.socket.destroy()
  assert.is(upstream.requests.length, before)
})

test('a client that expects 100 Continue gets it', async () => {
  answer = () => ok('done')
  const { interim, body } = await askOnce(
    port,
    { ':method': 'POST', ':path': '/up/', expect: '100-continue' },
    'hello',
  )
  assert.equal(interim, [100])
  assert.is(body, 'done')
})

test('a request whose body nobody wants is answered, and the rest of it declined', async () => {
  const client = await RawHttp2.open(port, PREFACE, frame(Frame.SETTINGS, 0, 0))
  client.send(frame(Frame.HEADERS, 4, 1, headerBlock(pseudo('/request', 'POST'))))
  const data = await client.first(Frame.DATA, 1)
  assert.match(data.payload.toString(), /^POST/)
  assert.equal((await client.first(Frame.RST_STREAM, 1)).payload, Buffer.alloc(4))
  client.socket.destroy()
})

test('after a body was streamed in vain the error page comes without it', async () => {
  answer = (head) => (head.includes('/up/page') ? ok('page') : 'HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n')
  const { status, body } = await askOnce(port, { ':method': 'POST', ':path': '/again/' }, 'x'.repeat(200_000))
  assert.is(status, 200)
  assert.is(body, 'page')
})

test('a large file', async () => {
  const { body, headers } = await askOnce(port, '/big')
  assert.is(headers['content-length'], String(3 * MB))
  assert.is(body, 'b'.repeat(3 * MB))
})

test('a client that takes nothing holds the upstream back, not our memory', async () => {
  const size = 60 * MB
  let left = size
  serve = (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`)
    const more = () => {
      while (left > 0 && socket.write(BLOCK.subarray(0, left))) left -= Math.min(left, BLOCK.length)
    }
    socket.on('drain', () => {
      left -= Math.min(left, BLOCK.length)
      more()
    })
    more()
  }
  const before = residentMiB(sluice.pid)
  const client = session(port)
  const stream = client.request({ ':path': '/bare/' })
  let last = -1
  await until('the upstream stands still', () => {
    const still = left === last && left < size
    last = left
    return still
  })
  assert.ok(left > size - 20 * MB, `${size - left} bytes went ahead`)
  assert.ok(residentMiB(sluice.pid) - before < 40)
  let received = 0
  stream.on('data', (chunk) => {
    received += chunk.length
  })
  await new Promise((done) => stream.on('close', done))
  client.destroy()
  assert.is(received, size)
})

test('an upstream that takes nothing holds the client back', async () => {
  let received = 0
  let open: Socket | null = null
  serve = (socket, head) => {
    received += head.length - head.indexOf('\r\n\r\n') - 4
    open = socket
    socket.pause()
    socket.on('data', (chunk) => {
      received += chunk.length
      if (chunk.subarray(-5).toString('latin1') === '0\r\n\r\n')
        socket.end(ok('done', 'Connection: close\r\n'))
    })
    socket.pause()
  }
  const client = session(port)
  const stream = client.request({ ':path': '/bare/', ':method': 'POST' })
  const size = 40 * MB
  let left = size
  const more = () => {
    while (left > 0) {
      const block = BLOCK.subarray(0, left)
      left -= block.length
      if (!stream.write(block)) return
    }
    stream.end()
  }
  stream.on('drain', more)
  more()
  let last = -1
  await until('the client stands still', () => {
    const still = left === last && open !== null
    last = left
    return still
  })
  assert.ok(left > size - 20 * MB, `${size - left} bytes went ahead`)
  open!.resume()
  let body = ''
  stream.setEncoding('latin1').on('data', (text) => {
    body += text
  })
  await new Promise((done) => stream.on('close', done))
  client.destroy()
  assert.is(body, 'done')
  assert.ok(received > size)
})

test('a response that the upstream cuts short does not look whole', async () => {
  const starts = [
    'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n',
  ]
  for (const start of starts) {
    serve = (socket) => {
      socket.write(`${start}part`)
      setTimeout(() => socket.destroy(), 20)
    }
    const { status, body, code } = await askOnce(port, '/bare/')
    assert.equal([status, body, code], [200, 'part', 2])
  }
})

test.run()
