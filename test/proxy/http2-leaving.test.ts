// A client that leaves gives its connection's slot back, whatever it did before and however it goes: `worker_connections`
// are not for those who have left. Every timeout but lingering_timeout is a minute here.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePorts } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { rawRequest } from '../lib/raw-http.ts'
import { Frame, frame, get, headerBlock, PREFACE, pseudo, RawHttp2 } from './http2-client.ts'
import { openClient, socketUpstream } from './journey-tools.ts'

const SIZE = 12_000_000
const EACH = 5
const LINGERING = 300
const SETTINGS = frame(Frame.SETTINGS, 0, 0)

/** Takes requests, answers none. */
const upstream = await socketUpstream((socket) => {
  socket.resume()
  socket.on('end', () => socket.end())
})

const locations = `
    location /hello { return 200 hello; }
    location /drop { return 444; }
    location /small { client_max_body_size 5; proxy_pass http://${upstream.address}; }
    location /held { proxy_pass http://${upstream.address}; }
    location /streamed { proxy_pass http://${upstream.address}; proxy_request_buffering off; }
`
const [port, plain, status] = await freePorts(3)
const sluice = await startSluice(
  `
http {
  client_body_temp_path temp;
  lingering_timeout ${LINGERING}ms;
  root files;
  server { listen 127.0.0.1:${port}; http2 on; ${locations} }
  server { listen 127.0.0.1:${plain}; ${locations} }
  server { listen 127.0.0.1:${status}; location / { stub_status; } }
}
`,
  { 'files/big': 'x'.repeat(SIZE) },
)
test.after(async () => {
  await upstream.close()
  await sluice.stop()
})

let asked = 0

/** Connections of clients: how many came so far, how many are open. */
async function counts(): Promise<{ came: number; open: number }> {
  const page = await rawRequest(status, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const [, open, came] = /^Active connections: (\d+) \n.*\n (\d+) /m.exec(page)!.map(Number)
  return { came: came - ++asked, open: open - 1 }
}

async function countsAre(
  what: string,
  done: (now: { came: number; open: number }) => boolean,
): Promise<void> {
  const deadline = Date.now() + 5000
  for (;;) {
    const now = await counts()
    if (done(now)) return
    if (Date.now() > deadline) throw new Error(`${what}: not so, ${now.open} of ${now.came} are open`)
  }
}

const pause = (ms: number) => new Promise((next) => setTimeout(next, ms))

const HALF = 'closes its side'
const LEAVES: Readonly<Record<string, (socket: Socket) => void>> = {
  [HALF]: (socket) => void socket.end(),
  leaves: (socket) => void socket.destroy(),
  'resets the connection': (socket) => void socket.resetAndDestroy(),
}

async function comeAndGo(to: number, bytes: string | Buffer, leave: (socket: Socket) => void): Promise<void> {
  const { came } = await counts()
  const clients = await Promise.all(Array.from({ length: EACH }, () => openClient(to, bytes)))
  await countsAre('all have come', (now) => now.came === came + EACH)
  for (const client of clients) leave(client)
  await countsAre('all have left', (now) => now.open === 0)
  for (const client of clients) client.destroy()
}

const HTTP1: Readonly<Record<string, string>> = {
  'nothing sent': '',
  'a part of a request line': 'PRI',
  'a part of a head': 'GET /hello HTTP/1.1\r\nHost: a\r\n',
  'an idle connection': 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n',
  'a part of a body for the upstream': 'POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\npart',
  'a part of a body that is passed on': 'POST /streamed HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\npart',
  'a part of a chunk': 'POST /streamed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart',
  'a part of a body that nobody wants': 'POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\npart',
  'a body too large, which lingers': 'POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\npart',
  'a head that is wrong': 'GET /hello\r\nHost: a\r\n\r\nmore',
  'an upstream that does not answer': 'GET /held HTTP/1.1\r\nHost: a\r\n\r\n',
  'a second request behind one that is held': 'GET /held HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\n',
}
/** A client that has sent all it has to say may still want the answer. */
const HTTP1_TAKING: Readonly<Record<string, string>> = {
  'a response that is not taken': 'GET /big HTTP/1.1\r\nHost: a\r\n\r\n',
}

const h2 = (...frames: (Buffer | string)[]) =>
  Buffer.concat([PREFACE, SETTINGS, ...frames].map((bytes) => Buffer.from(bytes as string, 'latin1')))
const post = (path: string) => frame(Frame.HEADERS, 4, 1, headerBlock(pseudo(path, 'POST')))
const HTTP2: Readonly<Record<string, Buffer>> = {
  'a part of the preface': Buffer.from(PREFACE.slice(0, 20)),
  'the preface only': Buffer.from(PREFACE),
  'no SETTINGS': Buffer.from(PREFACE + get(1, '/held').toString('latin1'), 'latin1'),
  'an idle connection': h2(get(1, '/hello')),
  'a part of a frame': h2(get(1, '/hello').subarray(0, 20)),
  'a part of a body for the upstream': h2(post('/held'), frame(Frame.DATA, 0, 1, 'part')),
  'a part of a body that is passed on': h2(post('/streamed'), frame(Frame.DATA, 0, 1, 'part')),
  'a part of a body that nobody wants': h2(post('/hello'), frame(Frame.DATA, 0, 1, 'part')),
  'a response that is not taken': h2(get(1, '/big')),
  'an upstream that does not answer': h2(get(1, '/held')),
  'a request that is dropped': h2(get(1, '/drop'), get(3, '/held')),
}
/** Node's session ends at these without a word to us. */
const SILENT_ENDS: Readonly<Record<string, Buffer>> = {
  'DATA behind the end of a request': h2(get(1, '/held'), frame(Frame.DATA, 0, 1, 'more')),
  'DATA on the connection': h2(get(1, '/big'), frame(Frame.DATA, 0, 0, 'x')),
  'a PING of the wrong size': h2(get(1, '/held'), frame(Frame.PING, 0, 0, 'short')),
  'a header block that cannot be read': h2(get(1, '/held'), frame(Frame.HEADERS, 5, 3, '\xff\xff\xff\xff')),
  'a block that another frame breaks': h2(frame(Frame.HEADERS, 0, 1, headerBlock(pseudo('/'))), get(3, '/')),
  'DATA behind the end, without SETTINGS': Buffer.concat([
    Buffer.from(PREFACE),
    get(1, '/held'),
    frame(Frame.DATA, 0, 1, 'more'),
  ]),
}

for (const [how, leave] of Object.entries(LEAVES)) {
  for (const [what, bytes] of Object.entries(how === HALF ? HTTP1 : { ...HTTP1, ...HTTP1_TAKING })) {
    test(`HTTP/1, ${what}: the client ${how}`, async () => {
      await comeAndGo(plain, bytes, leave)
      await comeAndGo(port, bytes, leave)
    })
  }
  for (const [what, bytes] of Object.entries({ ...HTTP2, ...SILENT_ENDS })) {
    test(`HTTP/2, ${what}: the client ${how}`, () => comeAndGo(port, bytes, leave))
  }
}

for (const [what, bytes] of Object.entries(SILENT_ENDS)) {
  test(`HTTP/2, ${what}: GOAWAY, and the connection is closed though the client stays`, async () => {
    const client = await RawHttp2.open(port, bytes)
    assert.not.equal((await client.first(Frame.GOAWAY)).payload.readUInt32BE(4), 0)
    await client.untilClosed()
    await countsAre('closed', (now) => now.open === 0)
    client.socket.destroy()
  })
}

for (const [what, bytes] of [
  ['client', h2(get(1, '/hello'))],
  ['client that sent no SETTINGS', Buffer.concat([Buffer.from(PREFACE), get(1, '/hello')])],
] as const) {
  test(`an idle ${what} is not taken for one that has left`, async () => {
    const client = await RawHttp2.open(port, bytes)
    await client.first(Frame.DATA, 1)
    await client.first(Frame.PING)
    client.send(get(3, '/hello'))
    assert.is((await client.first(Frame.DATA, 3)).payload.toString(), 'hello')
    await pause(2 * LINGERING)
    client.send(get(5, '/hello'))
    assert.is((await client.first(Frame.DATA, 5)).payload.toString(), 'hello')
    assert.not.ok(client.frames.some(({ type }) => type === Frame.GOAWAY))
    assert.is(client.frames.filter(({ type }) => type === Frame.PING).length, 2, 'one for each silence')
    client.socket.destroy()
  })
}

test('nor is one that waits, for the upstream or for its own windows', async () => {
  const client = await RawHttp2.open(port, h2(get(1, '/held'), get(3, '/big')))
  await client.first(Frame.DATA, 3)
  await pause(3 * LINGERING)
  client.send(frame(Frame.WINDOW_UPDATE, 0, 0, '\0\0\x40\0'), get(5, '/hello'))
  assert.is((await client.first(Frame.DATA, 5)).payload.toString(), 'hello')
  assert.not.ok(client.closed)
  client.socket.destroy()
})

test('one that takes nothing for a while is asked to open no more streams, and gets all of its response', async () => {
  const wide = '\x7f\xff\0\0'
  const bytes = h2(
    frame(Frame.SETTINGS, 0, 0, `\0\x04${wide}`),
    frame(Frame.WINDOW_UPDATE, 0, 0, wide),
    get(1, '/big'),
  )
  const socket = await openClient(port, bytes)
  await pause(4 * LINGERING)
  const client = RawHttp2.on(socket)
  await client.untilClosed()
  const data = client.frames.filter(({ type }) => type === Frame.DATA)
  assert.is(
    data.reduce((sum, { payload }) => sum + payload.length, 0),
    SIZE,
  )
  assert.ok(client.frames.some(({ type }) => type === Frame.GOAWAY))
  socket.destroy()
})

test('whoever resets the connection at once is never taken for a client of a unix socket', async () => {
  for (let i = 0; i < 50; i++) {
    for (const [to, bytes] of [
      [plain, 'GET /none HTTP/1.1\r\nHost: a\r\n\r\n'],
      [port, h2(get(1, '/none'))],
    ] as const) {
      const socket = await openClient(to)
      socket.write(bytes, 'latin1', () => socket.resetAndDestroy())
    }
  }
  await sluice.waitForLog(/"[^"]*none" failed .* client: 127\.0\.0\.1/)
  await countsAre('all have left', (now) => now.open === 0)
  assert.not.match(sluice.errorLog(), /client: unix:/)
})

test('nothing alarming was logged', () => {
  assert.not.match(sluice.errorLog(), /\[(alert|emerg|crit)\]/)
})

test.run()
