// WebSockets and other upgrades: who may switch, bytes both ways, both ends' ends, silence, slowness.

import { once as event } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import WebSocket, { WebSocketServer } from 'ws'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { rawRequest } from '../lib/raw-http.ts'
import {
  descriptors,
  once,
  openClient,
  plainHead,
  readToEnd,
  residentMiB,
  socketUpstream,
  until,
} from './journey-tools.ts'

/** Echoes every message; closes as the message `close CODE REASON` says. */
const echo = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: true,
  maxPayload: 64 << 20,
})
echo.on('connection', (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data, binary) => {
    const [word, code, reason] = binary ? [] : String(data).split(' ')
    if (word === 'close') socket.close(Number(code), reason)
    else if (word === 'terminate') socket.terminate()
    else socket.send(data, { binary })
  })
})
await event(echo, 'listening')
const echoAddress = `127.0.0.1:${(echo.address() as { port: number }).port}`

/** What the upstream does once it has read the head. */
let serve: (socket: Socket, head: string) => void = () => {}
const bare = await socketUpstream((socket) => once(socket, '\r\n\r\n', (head) => serve(socket, head)))

const port = await freePort()
const sluice = await startSluice(`
http {
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:${port};
    location /echo { proxy_pass http://${echoAddress}; }
    location /explicit {
      proxy_pass http://${echoAddress};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
    location /refused-upgrade { proxy_pass http://${bare.address}; proxy_set_header Connection close; }
    location /bare { proxy_pass http://${bare.address}; }
    location /any {
      proxy_pass http://${bare.address};
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
    location /brief { proxy_pass http://${bare.address}; proxy_read_timeout 300ms; send_timeout 300ms; }
    location /hello { return 200 hello; }
  }
}
`)
test.after(async () => {
  for (const client of echo.clients) client.terminate()
  await new Promise((done) => echo.close(done))
  await bare.close()
  await sluice.stop()
})

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const upgrade = (path: string, protocol = 'websocket') =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'

async function connect(path: string, options = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, options)
  await event(socket, 'open')
  return socket
}

async function roundTrip(socket: WebSocket, message: string | Buffer): Promise<string | Buffer> {
  socket.send(message)
  const [data, binary] = (await event(socket, 'message')) as [Buffer, boolean]
  return binary ? data : String(data)
}

for (const path of ['/echo', '/explicit']) {
  test(`${path}: messages of all sizes come back, compressed or not`, async () => {
    for (const perMessageDeflate of [false, true]) {
      const socket = await connect(path, { perMessageDeflate })
      assert.is(socket.extensions, perMessageDeflate ? 'permessage-deflate' : '')
      for (const size of [0, 1, 125, 126, 65535, 65536, 3_000_000]) {
        assert.is(await roundTrip(socket, 'x'.repeat(size)), 'x'.repeat(size))
        const bytes = Buffer.alloc(size, Math.floor(size / 7))
        assert.ok(bytes.equals((await roundTrip(socket, bytes)) as Buffer))
      }
      socket.close()
      await event(socket, 'close')
    }
  })
}

test('closes pass with code and reason, from either end', async () => {
  const asked = await connect('/echo')
  asked.send('close 4001 enough')
  const [code, reason] = (await event(asked, 'close')) as [number, Buffer]
  assert.equal([code, String(reason)], [4001, 'enough'])
  const seen = event(echo, 'connection') as Promise<[WebSocket]>
  const closing = await connect('/echo')
  const [other] = await seen
  closing.close(4002, 'bye')
  const [otherCode, otherReason] = (await event(other, 'close')) as [number, Buffer]
  assert.equal([otherCode, String(otherReason)], [4002, 'bye'])
})

test('an upstream that dies ends the client; a client that dies ends the upstream', async () => {
  const socket = await connect('/echo')
  socket.on('error', () => {})
  socket.send('terminate')
  const [code] = (await event(socket, 'close')) as [number]
  assert.is(code, 1006)
  const seen = event(echo, 'connection') as Promise<[WebSocket]>
  const leaving = await connect('/echo')
  const [other] = await seen
  leaving.terminate()
  const [otherCode] = (await event(other, 'close')) as [number]
  assert.is(otherCode, 1006)
})

test('the head of the upgrade: what the upstream is asked, what the client is told', async () => {
  let asked = ''
  serve = (socket, head) => {
    asked = head
    socket.end(`${SWITCHED}Sec-WebSocket-Accept: x\r\nX-A: b\r\n\r\n`)
  }
  const response = await rawRequest(port, upgrade('/bare'))
  assert.is(
    asked,
    `GET /bare HTTP/1.1\r\nHost: ${bare.address}\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  )
  assert.is(
    plainHead(response),
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\nX-A: b\r\nUpgrade: websocket\r\n\r\n',
  )
})

test('bytes that come with the heads are part of the stream, both ways', async () => {
  let got = ''
  serve = (socket, head) => {
    socket.on('data', (chunk) => {
      got += chunk.toString('latin1')
      if (got.endsWith('later')) socket.end('last')
    })
    got = head.slice(head.indexOf('\r\n\r\n') + 4)
    socket.write(`${SWITCHED}\r\nearly from upstream `)
  }
  const client = await openClient(port, `${upgrade('/bare')}early from client `)
  const all = readToEnd(client)
  await until('the early bytes', () => got === 'early from client ')
  client.write('later')
  assert.match(String(await all), /\r\n\r\nearly from upstream last$/)
  assert.is(got, 'early from client later')
})

test('each side may end its half and still receive', async () => {
  serve = (socket) => {
    let got = ''
    socket.write(`${SWITCHED}\r\n`)
    socket.on('data', (chunk) => (got += chunk.toString('latin1')))
    socket.on('end', () => setTimeout(() => socket.end(`you said ${got}`), 30))
  }
  const client = await openClient(port, upgrade('/bare'))
  await until('the switch', () => client.readableLength > 0)
  const all = readToEnd(client)
  client.end('all of it')
  assert.match(String(await all), /\r\n\r\nyou said all of it$/)
})

test('other protocols are switched to only where the configuration passes the upgrade on', async () => {
  let asked = ''
  serve = (socket, head) => {
    asked = head
    if (/\r\nUpgrade: raw/.test(head))
      socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: upgrade\r\n\r\nraw bytes')
    else socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
  }
  assert.match(await rawRequest(port, upgrade('/any', 'raw')), /^HTTP\/1.1 101 [\s\S]*\r\n\r\nraw bytes$/)
  assert.match(await rawRequest(port, upgrade('/bare', 'raw'), { until: /plain$/ }), /^HTTP\/1.1 200 /)
  assert.not.match(asked, /upgrade/i)
  assert.match(await rawRequest(port, upgrade('/bare', 'h2c'), { until: /plain$/ }), /^HTTP\/1.1 200 /)
})

test('without an Upgrade field the same location is plain HTTP', async () => {
  serve = (socket, head) =>
    socket.end(
      `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n${/\nConnection:/.test(head) ? 'wrong' : 'plain'}`,
    )
  assert.match(await rawRequest(port, 'GET /any HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /plain$/)
})

test('a refusal passes back, body and all, and the connection goes on', async () => {
  serve = (socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nnot you')
  const response = await rawRequest(
    port,
    `${upgrade('/bare')}GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
  )
  assert.match(
    response,
    /^HTTP\/1.1 403 Forbidden\r\n[\s\S]*\r\n\r\nnot youHTTP\/1.1 200 OK\r\n[\s\S]*hello$/,
  )
})

test('a switch that nobody asked for is refused: no client of plain HTTP ends up in a tunnel', async () => {
  serve = (socket) => void socket.end(`${SWITCHED}\r\nevil`)
  for (const path of ['/bare', '/any']) {
    const response = await rawRequest(port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    assert.match(response, /^HTTP\/1.1 502 /)
    assert.not.match(response, /evil/)
  }
  // The client asked, but the configuration did not pass it on.
  assert.match(await rawRequest(port, upgrade('/refused-upgrade'), { until: /<\/html>/ }), /^HTTP\/1.1 502 /)
  // HTTP/1.0 knows no switching.
  assert.match(await rawRequest(port, upgrade('/any').replace('HTTP/1.1', 'HTTP/1.0')), /^HTTP\/1.1 502 /)
})

test('silence ends a tunnel after proxy_read_timeout; traffic in either direction keeps it', async () => {
  let peer: Socket | null = null
  serve = (socket) => {
    peer = socket
    socket.write(`${SWITCHED}\r\n`)
  }
  const client = await openClient(port, upgrade('/brief'))
  const ended = event(client, 'end')
  client.resume()
  const began = Date.now()
  for (let i = 0; i < 8; i++) {
    await new Promise((next) => setTimeout(next, 100))
    if (i % 2 === 0) client.write('.')
    else peer!.write('.')
  }
  const lastSign = Date.now()
  await ended
  assert.ok(lastSign - began > 700)
  const silence = Date.now() - lastSign
  assert.ok(silence >= 280 && silence < 2000, `${silence} ms`)
  client.destroy()
})

test('who does not read holds the other side back, not memory', async () => {
  const block = Buffer.alloc(65536, 'x')
  const pour = (socket: Socket) => {
    let sent = 0
    const more = () => {
      while (sent < 100_000_000) {
        sent += block.length
        if (!socket.write(block)) return
      }
    }
    socket.on('drain', more)
    more()
    return () => sent
  }
  const before = residentMiB(sluice.pid)
  let fromUpstream = () => 0
  serve = (socket) => {
    socket.pause()
    socket.write(`${SWITCHED}\r\n`)
    fromUpstream = pour(socket)
  }
  const client = await openClient(port, upgrade('/bare'))
  const fromClient = pour(client)
  await new Promise((next) => setTimeout(next, 700))
  assert.ok(fromUpstream() < 30_000_000, `${fromUpstream()} bytes from the upstream`)
  assert.ok(fromClient() < 30_000_000, `${fromClient()} bytes from the client`)
  const grown = residentMiB(sluice.pid) - before
  assert.ok(grown < 40, `memory grew by ${grown} MiB`)
  // Both read on: everything arrives.
  let received = 0
  client.on('data', (chunk) => (received += chunk.length))
  let upstreamReceived = 0
  bare.sockets.at(-1)!.on('data', (chunk) => (upstreamReceived += chunk.length))
  bare.sockets.at(-1)!.resume()
  await until('all bytes', () => received > 100_000_000 && upstreamReceived >= 100_000_000, 10_000)
  client.destroy()
})

test('a client that reads nothing does not keep a tunnel whose upstream is gone', async () => {
  const before = descriptors(sluice.pid)
  serve = (socket) => {
    socket.write(`${SWITCHED}\r\n`)
    const block = Buffer.alloc(65536, 'x')
    while (socket.write(block) && socket.writableLength < 10_000_000);
    setTimeout(() => socket.resetAndDestroy(), 200)
  }
  const client = await openClient(port, upgrade('/brief'))
  await until('the tunnel is gone', () => descriptors(sluice.pid) <= before, 5000)
  client.destroy()
})

test('nothing stays open, nothing broke', async () => {
  await until('tunnels are gone', () => [...echo.clients].length === 0)
  assert.not.match(sluice.errorLog(), /\[(alert|emerg|crit)\]/)
})

test.run()
