// WebSockets while the gateway changes: a new generation takes them over, a graceful stop says goodbye, a stop ends them.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type HookRequest, Outcome } from '../../runtime/phases.ts'
import { modelOf } from '../config/parsed.ts'
import { freePort } from '../lib/ports.ts'
import { until } from './journey-tools.ts'
import { type End, type HookedGateway, handUpstream, hookedGateway, openEnd, PING } from './ws-tools.ts'

const upstream = await handUpstream()
test.after(() => upstream.close())

const LOCATIONS = `
  ws_permessage_deflate off; ws_close_timeout 300ms;
  location /ws { proxy_pass http://${upstream.address}; }
  location /raw { proxy_pass http://${upstream.address}; }
`

async function pair(sluice: HookedGateway, path: string): Promise<{ client: End; peer: End }> {
  const count = upstream.ends.length + 1
  const client = await openEnd(sluice.port, path)
  return { client, peer: await upstream.next(count) }
}

/** Prefixes every message, and remembers in `ws.states` who has done so. */
function prefix(word: string) {
  return (x: HookRequest) => {
    const ws = x.webSocket!
    const before = ws.states.get('versions')?.json ?? ''
    ws.states.set('versions', { json: `${before}${word}`, version: word })
    ws.replace(Buffer.from(`${word}:${before}:${Buffer.from(ws.message!.data)}`), false)
    return Outcome.REPLACED
  }
}

test('an open WebSocket moves to the new generation, its state with it; the old one goes', async () => {
  const sluice = await hookedGateway(LOCATIONS)
  sluice.hook('/ws', { wsMessage: prefix('1') })
  const { client, peer } = await pair(sluice, '/ws')
  const idle = await pair(sluice, '/ws')
  client.text('a')
  assert.equal(await peer.seen(1), ['text 1::a'])
  const old = sluice.gateway.generation
  await sluice.swap('/ws', { wsMessage: prefix('2') })
  client.text('b')
  assert.equal((await peer.seen(2))[1], 'text 2:1:b')
  idle.peer.text('c')
  assert.equal(await idle.client.seen(1), ['text 2::c'])
  await until('the old generation is gone', () => sluice.gateway.liveGenerations === 1 && old.pins === 0)
  assert.is(sluice.gateway.generation.pins, 2)
  client.socket.destroy()
  idle.client.socket.destroy()
  await sluice.close()
})

test('a hook in progress ends on its own generation; the next message is for the new one', async () => {
  const sluice = await hookedGateway(LOCATIONS)
  let waiting: HookRequest | null = null
  sluice.hook('/ws', {
    wsMessage: (x) => {
      waiting = x
      return Outcome.SUSPENDED
    },
  })
  const { client, peer } = await pair(sluice, '/ws')
  client.text('old')
  client.text('new')
  await until('the hook', () => waiting !== null)
  await sluice.swap('/ws', { wsMessage: prefix('2') })
  assert.is(sluice.gateway.liveGenerations, 2)
  waiting!.hookSettled(Outcome.PASS)
  assert.equal(await peer.seen(2), ['text old', 'text 2::new'])
  assert.is(sluice.gateway.liveGenerations, 1)
  client.socket.destroy()
  await sluice.close()
})

test('hooks that are gone in the new generation let messages pass, also where the location itself is gone', async () => {
  const sluice = await hookedGateway(LOCATIONS)
  sluice.hook('/ws', { wsMessage: prefix('1') })
  const { client, peer } = await pair(sluice, '/ws')
  await sluice.gateway.reload(
    modelOf(`http { server { listen 127.0.0.1:${sluice.port}; location /other { return 200; } } }`),
  )
  client.text('a')
  assert.equal(await peer.seen(1), ['text a'])
  assert.is(sluice.gateway.liveGenerations, 1)
  client.socket.destroy()
  await sluice.close()
})

test('an address that is listened on no more keeps its WebSockets as they are', async () => {
  const sluice = await hookedGateway(LOCATIONS)
  sluice.hook('/ws', { wsMessage: prefix('1') })
  const { client, peer } = await pair(sluice, '/ws')
  await sluice.gateway.reload(
    modelOf(`http { server { listen 127.0.0.1:${await freePort()}; return 200; } }`),
  )
  client.text('a')
  assert.equal(await peer.seen(1), ['text 1::a'])
  client.close(1000)
  await peer.seen(2)
  peer.close(1000)
  await client.gone()
  await until('the old generation is gone', () => sluice.gateway.liveGenerations === 1)
  await sluice.close()
})

test('a graceful stop closes both sides with 1001 when its time is over, raw tunnels too', async () => {
  const sluice = await hookedGateway(LOCATIONS, '', 'worker_shutdown_timeout 200ms;')
  const codes: number[] = []
  sluice.hook('/ws', {
    wsClose: (x) => {
      codes.push(x.webSocket!.end!.code)
      return Outcome.PASS
    },
  })
  const relayed = await pair(sluice, '/ws')
  const raw = await pair(sluice, '/raw')
  raw.client.text('x')
  await raw.peer.seen(1)
  // A frame is under way to this client: nothing can be put between.
  const torn = await pair(sluice, '/raw')
  torn.peer.socket.write(Buffer.from([0x81, 5, 0x61]))
  await until('the piece', () => torn.client.received === 3)
  const began = Date.now()
  const drained = sluice.gateway.drain()
  relayed.client.text('still')
  assert.equal(await relayed.peer.seen(1), ['text still'])
  assert.equal((await relayed.peer.seen(2))[1], 'close 1001')
  assert.equal(await relayed.client.seen(1), ['close 1001'])
  assert.equal(await raw.client.seen(1), ['close 1001'])
  assert.equal((await raw.peer.seen(2))[1], 'close 1001')
  assert.ok(raw.peer.frames[1]!.masked)
  assert.equal(await torn.peer.seen(1), ['close 1001'])
  assert.ok(Date.now() - began >= 190)
  relayed.client.close(1001)
  relayed.peer.close(1001)
  await drained
  assert.ok(Date.now() - began < 3000)
  assert.is(torn.client.received, 3)
  assert.equal(codes, [1001])
})

test('a stop ends everything at once, wsClose included', async () => {
  const sluice = await hookedGateway(LOCATIONS)
  const closes: number[] = []
  sluice.hook('/ws', {
    wsClose: (x) => {
      closes.push(x.webSocket!.end!.code)
      return Outcome.SUSPENDED
    },
  })
  const { client, peer } = await pair(sluice, '/ws')
  await sluice.close()
  assert.equal(closes, [1001])
  await client.gone()
  await peer.gone()
})

test('a side that does not answer pings is dead', async () => {
  const sluice = await hookedGateway(
    `location /ws { proxy_pass http://${upstream.address}; ws_ping_interval 100ms; ws_close_timeout 200ms; }`,
  )
  const ends: string[] = []
  sluice.hook('/ws', {
    wsClose: (x) => {
      ends.push(`${x.webSocket!.end!.by} ${x.webSocket!.end!.code}`)
      return Outcome.PASS
    },
  })
  const { client, peer } = await pair(sluice, '/ws')
  // The client talks, the upstream only answers pings: both live.
  const talk = setInterval(() => client.text('.'), 30)
  const answers = setInterval(() => {
    const pings = peer.frames.filter(({ opcode }) => opcode === PING).length
    for (; answered < pings; answered++) peer.send(10)
  }, 10)
  let answered = 0
  await new Promise((next) => setTimeout(next, 500))
  assert.ok(answered >= 2)
  assert.equal(ends, [])
  clearInterval(answers)
  await until('the upstream is given up', () => ends.length > 0)
  clearInterval(talk)
  assert.equal(ends, ['upstream 1006'])
  assert.equal(client.words.at(-1), 'close 1011')
  client.socket.destroy()
  await sluice.close()
})

test('silence ends it after proxy_read_timeout', async () => {
  const sluice = await hookedGateway(
    `location /ws { proxy_pass http://${upstream.address}; proxy_read_timeout 200ms; ws_ping_interval 0; ws_close_timeout 200ms; }`,
  )
  sluice.hook('/ws', { wsMessage: () => Outcome.PASS })
  const { client, peer } = await pair(sluice, '/ws')
  assert.equal(await client.seen(1), ['close 1001'])
  assert.equal(await peer.seen(1), ['close 1001'])
  client.socket.destroy()
  await sluice.close()
})

test.run()
