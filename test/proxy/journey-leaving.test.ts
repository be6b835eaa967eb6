// Who is slow holds nobody's memory, who leaves leaves nothing behind: back-pressure both ways, clients and upstreams
// that go in the middle.

import { existsSync, readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import {
  descriptors,
  once,
  openClient,
  readToEnd,
  residentMiB,
  type SocketUpstream,
  socketUpstream,
  split,
  until,
} from './journey-tools.ts'

const MB = 1_000_000
const BLOCK = Buffer.alloc(65536, 'x')

/** What the upstream does once it has read a head, with so many bytes of the body; the test that runs sets it. */
let serve: (socket: Socket, bodyBytes: number) => void = () => {}
const upstream: SocketUpstream = await socketUpstream((socket) =>
  once(socket, '\r\n\r\n', (text) => serve(socket, split(text).body.length)),
)

const port = await freePort()
const sluice = await startSluice(`
http {
  client_max_body_size 0;
  client_body_temp_path temp;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://${upstream.address}; }
    location /unbuffered { proxy_pass http://${upstream.address}; proxy_buffering off; proxy_request_buffering off; }
    location /ignoring { proxy_pass http://${upstream.address}; proxy_ignore_client_abort on; }
    location /patient { proxy_pass http://${upstream.address}; proxy_request_buffering off; client_body_timeout 300ms; }
    location /brisk { proxy_pass http://${upstream.address}; proxy_request_buffering off; proxy_send_timeout 300ms; }
    location /hello { return 200 hello; }
  }
}
`)
test.after(async () => {
  await upstream.close()
  await sluice.stop()
})

const pause = (ms: number) => new Promise((next) => setTimeout(next, ms))
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`

/** Writes `size` bytes as fast as they are taken; returns how many have left so far. */
function pour(
  socket: Socket,
  size: number,
  frame: (block: Buffer) => (Buffer | string)[] = (block) => [block],
): () => number {
  let left = size
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      const block = BLOCK.subarray(0, left)
      left -= block.length
      socket.cork()
      let room = true
      for (const part of frame(block)) room = socket.write(part)
      socket.uncork()
      if (!room) return
    }
  }
  socket.on('drain', more)
  more()
  return () => size - left
}

const chunk = (block: Buffer) => [`${block.length.toString(16)}\r\n`, block, '\r\n']
const temp = join(sluice.folder, 'temp')
const temporaryFiles = () => (existsSync(temp) ? readdirSync(temp).length : 0)

for (const path of ['/big', '/unbuffered']) {
  for (const [framing, size] of [
    ['length', 200 * MB],
    ['chunked', 60 * MB],
  ] as const) {
    test(`${path}: ${size / MB} MB by ${framing} for a client that reads late do not fill memory`, async () => {
      let poured = () => 0
      serve = (socket) => {
        if (framing === 'length') {
          socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n`)
          poured = pour(socket, size)
          return
        }
        socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n')
        const { length } = BLOCK
        poured = pour(socket, size - (size % length), chunk)
      }
      const before = residentMiB(sluice.pid)
      const client = await openClient(port, get(path))
      await until('the first bytes', () => client.readableLength > 0)
      await pause(500)
      const held = poured()
      assert.ok(held < 30 * MB, `${held} bytes were taken from the upstream for a client that does not read`)
      let received = 0
      let highest = 0
      let reads = 0
      client.on('data', (data) => {
        received += data.length
        if (++reads % 200 === 0) {
          highest = Math.max(highest, residentMiB(sluice.pid))
          client.pause()
          setTimeout(() => client.resume(), 2)
        }
      })
      await until('the response', () => received >= size - 65536, 20_000)
      client.destroy()
      assert.ok(highest - before < 70, `memory grew by ${highest - before} MiB`)
    })
  }
}

test('an upload that the upstream does not read holds the client back when it is not buffered', async () => {
  serve = (socket) => void socket.pause()
  const before = residentMiB(sluice.pid)
  const client = await openClient(
    port,
    `PUT /unbuffered HTTP/1.1\r\nHost: a\r\nContent-Length: ${200 * MB}\r\n\r\n`,
  )
  const poured = pour(client, 200 * MB)
  await pause(500)
  const taken = poured()
  const grown = residentMiB(sluice.pid) - before
  client.destroy()
  assert.ok(taken < 30 * MB, `${taken} bytes were taken`)
  assert.ok(grown < 50, `memory grew by ${grown} MiB`)
})

test('an upload that is buffered goes to a file, not to memory, and the file goes with the request', async () => {
  serve = (socket, begun) => {
    let received = begun
    socket.on('data', (data) => {
      received += data.length
      if (received === 100 * MB) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone')
    })
  }
  const before = residentMiB(sluice.pid)
  const client = await openClient(
    port,
    `PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${100 * MB}\r\n\r\n`,
  )
  const response = readToEnd(client, 20_000)
  pour(client, 100 * MB)
  await until('a temporary file', () => temporaryFiles() === 1)
  assert.match(String(await response), /done$/)
  const grown = residentMiB(sluice.pid) - before
  assert.ok(grown < 70, `memory grew by ${grown} MiB`)
  assert.is(temporaryFiles(), 0)
})

test('a client that leaves during a download closes the upstream connection', async () => {
  const before = descriptors(sluice.pid)
  const closed: Promise<void>[] = []
  serve = (socket) => {
    closed.push(new Promise((done) => socket.once('close', () => done())))
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${100 * MB}\r\n\r\n`)
    pour(socket, 100 * MB)
  }
  const clients = await Promise.all(Array.from({ length: 20 }, () => openClient(port, get('/'))))
  await until('all responses', () => clients.every((client) => client.readableLength > 0))
  for (const client of clients) client.destroy()
  await Promise.all(closed)
  await until('the descriptors are closed', () => descriptors(sluice.pid) <= before)
})

test('a client that leaves before the response closes the upstream connection: 499', async () => {
  for (const leave of ['destroy', 'end'] as const) {
    const arrived = new Promise<Socket>((done) => {
      serve = done
    })
    const client = await openClient(port, get('/'))
    const socket = await arrived
    const closed = new Promise((done) => socket.once('close', done))
    socket.once('end', () => socket.end())
    client[leave]()
    await closed
    client.destroy()
  }
  await sluice.waitForLog(/client prematurely closed connection, so upstream connection is closed too/)
})

test('proxy_ignore_client_abort lets the upstream finish', async () => {
  let finished = () => {}
  const taken = new Promise<void>((done) => {
    finished = done
  })
  const arrived = new Promise<Socket>((done) => {
    serve = done
  })
  const client = await openClient(port, get('/ignoring'))
  const socket = await arrived
  client.destroy()
  await pause(50)
  assert.ok(!socket.destroyed)
  socket.once('close', () => finished())
  socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc`)
  await taken
})

test('a client that leaves during a buffered upload: the upstream hears nothing, the file goes', async () => {
  const before = descriptors(sluice.pid)
  const connections = upstream.sockets.length
  const client = await openClient(port, `PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${MB}\r\n\r\n`)
  client.write(Buffer.alloc(MB / 2, 'x'))
  await until('a temporary file', () => temporaryFiles() === 1)
  client.destroy()
  await until('no temporary file', () => temporaryFiles() === 0)
  await until('the descriptors are closed', () => descriptors(sluice.pid) <= before)
  assert.is(upstream.sockets.length, connections)
})

test('a client that leaves during an upload that is not buffered closes the upstream connection', async () => {
  const before = descriptors(sluice.pid)
  for (const framing of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
    const arrived = new Promise<Socket>((done) => {
      serve = done
    })
    const client = await openClient(
      port,
      `PUT /unbuffered HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n3\r\nabc\r\n`,
    )
    const socket = await arrived
    socket.once('end', () => socket.end())
    const rest = readToEnd(socket)
    client.destroy()
    assert.not.match(String(await rest), /0\r\n\r\n$/)
  }
  await until('the descriptors are closed', () => descriptors(sluice.pid) <= before)
})

const BROKEN: readonly [string, string, RegExp][] = [
  ['a body shorter than its length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', /\r\n\r\nabc$/],
  [
    'a chunked body without its end',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    /\r\n\r\n3\r\nabc\r\n$/,
  ],
  [
    'a chunk that ends early',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc',
    /\r\n\r\n(?!.*\r\n0\r\n)/,
  ],
  [
    'a broken chunk',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n',
    /\r\n\r\n(?!.*\r\n0\r\n)/,
  ],
]
for (const [what, bytes, received] of BROKEN) {
  for (const fields of ['', 'Connection: close\r\n']) {
    test(`${what} is never made whole for the client${fields === '' ? '' : ' that closes'}`, async () => {
      serve = (socket) => void socket.end(bytes)
      const response = await rawRequest(port, `GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`)
      assert.match(response, /^HTTP\/1.1 (200|502) /)
      if (response.startsWith('HTTP/1.1 200')) assert.match(response, received)
      assert.not.match(split(response).body, /\r\n0\r\n\r\n$/)
    })
  }
}

test('an upstream that dies by a reset in the middle of the body ends the client connection short', async () => {
  serve = (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc')
    setTimeout(() => socket.resetAndDestroy(), 30)
  }
  assert.match(await rawRequest(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'), /\r\n\r\nabc$/)
})

for (const path of ['/', '/unbuffered']) {
  test(`${path}: an answer that comes before the body is sent reaches the client, and the connection is not used again`, async () => {
    serve = (socket) => {
      socket.pause()
      // By then nobody takes anything any more: client, proxy and upstream hold what they can.
      setTimeout(() => socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n'), 200)
    }
    const client = new HttpClient(port)
    const body = 'b'.repeat(30 * MB)
    client.send(`PUT ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`)
    client.send(body)
    const response = await client.response()
    assert.is(response.status, 403)
    assert.is(response.body, 'no\n')
    assert.is((await client.get('/hello')).body, 'hello')
    const connections = upstream.sockets.length
    serve = (socket) => void socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    assert.is((await client.get(path)).status, 404)
    assert.is(upstream.sockets.length, connections + 1)
    client.close()
  })
}

test('client_body_timeout does not run while the upstream is the one who is slow', async () => {
  serve = (socket, begun) => {
    socket.pause()
    setTimeout(() => {
      let received = begun
      socket.on('data', (data) => {
        received += data.length
        if (received === 20 * MB) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      })
      socket.resume()
    }, 800)
  }
  const client = await openClient(
    port,
    `PUT /patient HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${20 * MB}\r\n\r\n`,
  )
  pour(client, 20 * MB)
  assert.match(String(await readToEnd(client)), /ok$/)
})

test('proxy_send_timeout does not run while the client is the one who is slow', async () => {
  serve = (socket) => {
    let received = ''
    socket.on('data', (data) => {
      received += data.toString('latin1')
      if (received.endsWith('def')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  }
  const client = await openClient(
    port,
    'PUT /brisk HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 6\r\n\r\n',
  )
  const response = readToEnd(client)
  await pause(50)
  client.write('abc')
  await pause(600)
  client.write('def')
  assert.match(String(await response), /ok$/)
})

test('after all of this nothing is left open and nothing broke', async () => {
  await until('all requests are over', () => temporaryFiles() === 0)
  assert.not.match(sluice.errorLog(), /\[(alert|crit|emerg)\]/)
})

test.run()
