// permessage-deflate: agreed with each side on its own, by independent ends, and bombs.

import { once as event } from 'node:events'
import { deflateRawSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import WebSocket, { WebSocketServer } from 'ws'
import { Outcome } from '../../runtime/phases.ts'
import { until } from './journey-tools.ts'
import { frame, handUpstream, hookedGateway, openEnd, TEXT } from './ws-tools.ts'

const MESSAGES = ['', 'short', 'long '.repeat(1000), 'x'.repeat(300_000), 'é'.repeat(2000)]

async function echoServer(perMessageDeflate: boolean) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate })
  server.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }))
    socket.on('error', () => {})
  })
  await event(server, 'listening')
  const { port } = server.address() as { port: number }
  return { server, address: `127.0.0.1:${port}` }
}
const yes = await echoServer(true)
const no = await echoServer(false)
const byHand = await handUpstream()

const sluice = await hookedGateway(`
  ws_close_timeout 300ms;
  location /yes { proxy_pass http://${yes.address}; }
  location /no { proxy_pass http://${no.address}; }
  location /off { proxy_pass http://${yes.address}; ws_permessage_deflate off; }
  location /hand { proxy_pass http://${byHand.address}; ws_max_message_size 100k; }
`)
const seen: number[] = []
for (const path of ['/yes', '/no', '/off', '/hand']) {
  sluice.hook(path, {
    wsMessage: (x) => {
      seen.push(x.webSocket!.message!.data.length)
      return Outcome.PASS
    },
  })
}
test.after(async () => {
  await sluice.close()
  for (const { server } of [yes, no]) {
    for (const client of server.clients) client.terminate()
    server.close()
  }
  await byHand.close()
})

for (const path of ['/yes', '/no', '/off']) {
  for (const perMessageDeflate of [true, false]) {
    test(`${path}: a client that ${perMessageDeflate ? 'offers' : 'does not offer'} it`, async () => {
      seen.length = 0
      const socket = new WebSocket(`ws://127.0.0.1:${sluice.port}${path}`, { perMessageDeflate })
      await event(socket, 'open')
      assert.is(socket.extensions, perMessageDeflate && path !== '/off' ? 'permessage-deflate' : '')
      const back: string[] = []
      socket.on('message', (data) => back.push(String(data)))
      for (const message of MESSAGES) socket.send(message)
      await until('all messages', () => back.length === MESSAGES.length)
      assert.ok(back.every((message, i) => message === MESSAGES[i]))
      // Hooks see them as they were before compression, once in each direction.
      assert.equal(
        seen.sort((a, b) => a - b),
        MESSAGES.flatMap((message) => [Buffer.byteLength(message), Buffer.byteLength(message)]).sort(
          (a, b) => a - b,
        ),
      )
      socket.close(1000)
      const [code] = (await event(socket, 'close')) as [number]
      assert.is(code, 1000)
    })
  }
}

/** A message compressed as RFC 7692 says. */
function deflated(data: Buffer): Buffer {
  return deflateRawSync(data, { finishFlush: 2 /* Z_SYNC_FLUSH */ }).subarray(0, -4)
}

const OFFER = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n'

async function pair(fields = OFFER) {
  const count = byHand.ends.length + 1
  const client = await openEnd(sluice.port, '/hand', fields)
  return { client, peer: await byHand.next(count) }
}

test('what is agreed stands in the two heads', async () => {
  const { client, peer } = await pair()
  assert.match(
    client.head,
    /\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n/,
  )
  assert.match(
    peer.head,
    /\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; client_max_window_bits\r\n/,
  )
  client.socket.destroy()
  const bits = await pair('Sec-WebSocket-Extensions: foo, permessage-deflate; server_max_window_bits=10\r\n')
  assert.match(
    bits.client.head,
    /permessage-deflate; server_max_window_bits=10; server_no_context_takeover\r\n/,
  )
  bits.client.socket.destroy()
  const odd = await pair('Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=77\r\n')
  assert.not.match(odd.client.head, /Extensions/)
  odd.client.socket.destroy()
  const bad = await openEnd(sluice.port, '/hand', 'Sec-WebSocket-Extensions: permessage-deflate;;\r\n')
  assert.match(bad.head, /^HTTP\/1\.1 400 /)
  bad.socket.destroy()
})

test('an answer with parameters that make no sense is refused', async () => {
  for (const answer of [
    'permessage-deflate; server_max_window_bits=99',
    'permessage-deflate; unknown',
    'permessage-deflate, permessage-deflate',
    'permessage-deflate, foo',
    'foo',
    ';',
  ]) {
    byHand.fields = `Sec-WebSocket-Extensions: ${answer}\r\n`
    const { head, socket } = await openEnd(sluice.port, '/hand')
    assert.match(head, /^HTTP\/1\.1 502 /, answer)
    socket.destroy()
  }
  byHand.fields = ''
})

test('compressed fragments, with a control frame between them, one side only', async () => {
  const { client, peer } = await pair()
  const data = deflated(Buffer.from('some compressed text'))
  client.send(TEXT, data.subarray(0, 5), { fin: false, rsv: 4 })
  client.send(9, 'ping')
  client.send(0, data.subarray(5))
  client.text('not compressed')
  assert.equal(await peer.seen(2), ['text some compressed text', 'text not compressed'])
  assert.equal(await client.seen(1), ['pong ping'])
  peer.text('back '.repeat(500))
  await client.seen(2)
  assert.is(client.frames[1]!.rsv, 4)
  assert.ok(client.frames[1]!.payload.length < 100)
  client.socket.destroy()
})

test('a bomb is no larger than ws_max_message_size: 1009', async () => {
  const { client, peer } = await pair()
  const before = process.memoryUsage().rss
  const bomb = deflated(Buffer.alloc(50_000_000))
  assert.ok(bomb.length < 100_000)
  client.send(2, bomb, { rsv: 4 })
  assert.equal(await client.seen(1), ['close 1009 message too large'])
  assert.equal(await peer.seen(1), ['close 1001'])
  assert.ok(process.memoryUsage().rss - before < 60e6)
  client.socket.destroy()
})

test('many bombs in one read are unpacked one at a time', async () => {
  let held: (() => void) | null = null
  const sizes: number[] = []
  sluice.hook('/hand', {
    wsMessage: (x) => {
      sizes.push(x.webSocket!.message!.data.length)
      held = () => x.hookSettled(Outcome.DROPPED)
      return Outcome.SUSPENDED
    },
  })
  const { client } = await pair()
  const one = frame(2, deflated(Buffer.alloc(100_000)), { mask: true, rsv: 4 })
  client.socket.write(Buffer.concat(Array.from({ length: 200 }, () => one)))
  for (let i = 1; i <= 200; i++) {
    await until(`message ${i}`, () => sizes.length === i && held !== null)
    const go = held!
    held = null
    go()
  }
  assert.ok(sizes.every((size) => size === 100_000))
  client.socket.destroy()
})

test('bytes that are no compressed data: 1007', async () => {
  const { client } = await pair()
  client.send(2, Buffer.from('ffffffff', 'hex'), { rsv: 4 })
  assert.equal(await client.seen(1), ['close 1007 compressed data cannot be read'])
  client.socket.destroy()
})

test('leaving while messages are being unpacked holds nothing up', async () => {
  const data = deflated(Buffer.alloc(90_000, 'abcdefg'))
  for (let i = 0; i < 50; i++) {
    const { client } = await pair()
    client.send(2, data, { rsv: 4 })
    client.socket.destroy()
  }
  const { client, peer } = await pair()
  sluice.hook('/hand', { wsMessage: () => Outcome.PASS })
  client.send(TEXT, deflated(Buffer.from('still served')), { rsv: 4 })
  assert.equal(await peer.seen(1), ['text still served'])
  client.socket.destroy()
})

test.run()
