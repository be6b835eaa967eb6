// Slow readers hold fast writers back, not memory; a thousand WebSockets at once.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { until } from './journey-tools.ts'
import { BINARY, type End, frame, handUpstream, hookedGateway, openEnd } from './ws-tools.ts'

const upstream = await handUpstream()
const sluice = await hookedGateway(
  `
  ws_permessage_deflate off; ws_close_timeout 300ms;
  location /ws { proxy_pass http://${upstream.address}; }
  location /echo { proxy_pass http://${upstream.address}; ws_send_queue 200k; }
`,
  '',
  'events { worker_connections 3000; }',
)
test.after(async () => {
  await sluice.close()
  await upstream.close()
})

async function pair(path = '/ws') {
  const count = upstream.ends.length + 1
  const client = await openEnd(sluice.port, path)
  return { client, peer: await upstream.next(count) }
}

const TOTAL = 36_000_000
const MESSAGE = 60_000

/** Sends as fast as the other side takes it; how much has gone. */
function pour(from: End, mask: boolean): () => number {
  const message = frame(BINARY, Buffer.alloc(MESSAGE, 'x'), { mask })
  let sent = 0
  const more = () => {
    while (sent < TOTAL) {
      sent += MESSAGE
      if (!from.socket.write(message)) return
    }
  }
  from.socket.on('drain', more)
  more()
  return () => sent - from.socket.writableLength
}

/** Resolves when the number has stopped growing. */
async function standstill(count: () => number): Promise<void> {
  for (let before = -1; count() !== before; await new Promise((next) => setTimeout(next, 50)))
    before = count()
}

for (const hooks of [{ wsClose: () => Outcome.PASS }, { wsMessage: () => Outcome.PASS }]) {
  test(`who does not read holds the other side back (${Object.keys(hooks)})`, async () => {
    sluice.hook('/ws', hooks)
    const { client, peer } = await pair()
    for (const [from, to, mask] of [
      [peer, client, false],
      [client, peer, true],
    ] as const) {
      to.socket.pause()
      const gone = pour(from, mask)
      await standstill(gone)
      await new Promise((next) => setTimeout(next, 300))
      assert.ok(gone() < 20_000_000, `${gone()} bytes taken`)
      to.socket.resume()
      await until('all of it', () => to.frames.length === TOTAL / MESSAGE, 20_000)
    }
    client.socket.destroy()
  })
}

test('what waits behind a hook stays with its sender', async () => {
  let settle: (() => void) | null = null
  sluice.hook('/ws', {
    wsMessage: (x) => {
      if (settle !== null) return Outcome.PASS
      settle = () => x.hookSettled(Outcome.PASS)
      return Outcome.SUSPENDED
    },
  })
  const { client, peer } = await pair()
  const gone = pour(client, true)
  await until('the hook', () => settle !== null)
  await new Promise((next) => setTimeout(next, 300))
  assert.ok(gone() < 20_000_000, `${gone()} bytes taken`)
  settle!()
  await until('all of it', () => peer.frames.length === TOTAL / MESSAGE, 20_000)
  client.socket.destroy()
})

test('ws.send stops at ws_send_queue; a client that talks and does not listen is read no further', async () => {
  let refused = 0
  let calls = 0
  sluice.hook('/echo', {
    wsMessage: (x) => {
      calls++
      try {
        for (let i = 0; i < 2; i++) x.webSocket!.send('client', Buffer.alloc(30_000), true)
      } catch (error) {
        assert.instance(error, RangeError)
        assert.match((error as Error).message, /^\d+ bytes wait for the client already \(ws_send_queue\)$/)
        refused++
      }
      return Outcome.DROPPED
    },
  })
  const { client } = await pair('/echo')
  client.socket.pause()
  const ask = frame(BINARY, Buffer.alloc(10), { mask: true })
  for (let i = 0; i < 20_000; i++) client.socket.write(ask)
  await standstill(() => calls)
  await new Promise((next) => setTimeout(next, 200))
  assert.ok(calls < 2000, `${calls} messages read`)
  assert.is(refused, 0)
  client.socket.destroy()
  const burst = await pair('/echo')
  burst.client.socket.pause()
  sluice.hook('/echo', {
    wsMessage: (x) => {
      try {
        for (let i = 0; i < 1000; i++) x.webSocket!.send('client', Buffer.alloc(30_000), true)
      } catch {
        refused++
      }
      return Outcome.DROPPED
    },
  })
  burst.client.send(BINARY, 'go')
  await until('the refusal', () => refused === 1)
  burst.client.socket.destroy()
})

test('a thousand WebSockets, each with its own messages', async () => {
  let messages = 0
  sluice.hook('/ws', {
    wsMessage: () => {
      messages++
      return Outcome.PASS
    },
  })
  const first = upstream.ends.length
  const clients: End[] = []
  for (let i = 0; i < 1000; i += 50)
    clients.push(...(await Promise.all(Array.from({ length: 50 }, () => openEnd(sluice.port, '/ws')))))
  await upstream.next(first + 1000)
  clients.forEach((client, i) => {
    client.text(`to ${i}`)
  })
  const peers = upstream.ends.slice(first)
  await until('all at the upstream', () => peers.every(({ frames }) => frames.length === 1))
  for (const peer of peers) peer.text(`re ${peer.words[0]}`)
  await until('all back', () => clients.every(({ frames }) => frames.length === 1))
  clients.forEach((client, i) => {
    assert.equal(client.words, [`text re text to ${i}`])
  })
  assert.is(messages, 2000)
  await sluice.swap('/ws', {})
  assert.is(sluice.gateway.liveGenerations, 1)
  for (const client of clients) client.socket.destroy()
  const { gateway } = sluice
  await until('all is over', () => gateway.connectionCount === 0 && gateway.generation.pins === 0)
})

test.run()
