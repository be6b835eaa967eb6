// An upstream that dies under an open WebSocket: another one takes its place, or the client is told to come back.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type HookRequest, Outcome, type WebSocketEnd } from '../../runtime/phases.ts'
import { freePort } from '../lib/ports.ts'
import { until } from './journey-tools.ts'
import { acceptFor, type End, frame, handUpstream, hookedGateway, KEY, openEnd, TEXT } from './ws-tools.ts'

const A = await handUpstream()
const B = await handUpstream()
const dead = await freePort()
const sluice = await hookedGateway(
  `
  ws_permessage_deflate off; ws_close_timeout 300ms;
  location /one { proxy_pass http://${A.address}; ws_reconnect on; }
  location /two { proxy_pass http://both; ws_reconnect on tries=4; }
  location /weak { proxy_pass http://weak; ws_reconnect on tries=4; }
  location /off { proxy_pass http://${A.address}; }
  location /lost { proxy_pass http://${A.address}; ws_reconnect on tries=2; }
`,
  `upstream both { server ${A.address} max_fails=1; server ${B.address}; server 127.0.0.1:${dead} backup; }
  upstream weak { server ${A.address}; server 127.0.0.1:${dead}; }`,
)
test.after(async () => {
  await sluice.close()
  await A.close()
  await B.close()
})

/** Connections of both upstreams so far. */
const ends = () => new Set([...A.ends, ...B.ends])

/** The one that was not there before. */
async function newest(before: ReadonlySet<End>): Promise<End> {
  const fresh = () => [...ends()].find((end) => !before.has(end))
  await until('an upstream connection', () => fresh() !== undefined)
  return fresh()!
}

async function pair(path: string) {
  const before = ends()
  const client = await openEnd(sluice.port, path)
  return { client, peer: await newest(before) }
}

test('the next peer takes over: wsOpen runs again, the balancer knows why, nothing is lost', async () => {
  const opens: string[] = []
  const balanced: string[] = []
  sluice.hook('/two', {
    balancer: (x) => {
      balanced.push(`${x.balancer!.tries} ${x.balancer!.lastFailure}`)
      return Outcome.PASS
    },
    wsOpen: (x) => {
      opens.push(`open ${x.webSocket!.reconnects}`)
      x.webSocket!.send('upstream', Buffer.from(`login ${x.webSocket!.reconnects}`), false)
      return Outcome.PASS
    },
    wsMessage: () => Outcome.PASS,
  })
  const { client, peer } = await pair('/two')
  client.text('before')
  peer.text('from the first')
  // Half a message that will never be whole.
  peer.socket.write(frame(TEXT, 'lost for ever').subarray(0, 6))
  assert.equal(await peer.seen(2), ['text login 0', 'text before'])
  assert.equal(await client.seen(1), ['text from the first'])
  const before = ends()
  peer.socket.resetAndDestroy()
  client.text('meanwhile')
  const next = await newest(before)
  assert.equal(await next.seen(2), ['text login 1', 'text meanwhile'])
  next.text('from the second')
  assert.equal(await client.seen(2), ['text from the first', 'text from the second'])
  assert.equal(opens, ['open 0', 'open 1'])
  assert.equal(balanced, ['0 null', '1 error'])
  assert.not.match(next.head, new RegExp(KEY.replaceAll('+', '\\+')))
  client.socket.destroy()
})

test('close 1012 and a plain end count as lost; other closes pass', async () => {
  sluice.hook('/one', { wsClose: () => Outcome.PASS })
  const { client, peer } = await pair('/one')
  let before = ends()
  peer.close(1012)
  const second = await newest(before)
  assert.equal(await peer.seen(1), ['close 1012'])
  before = ends()
  second.socket.end()
  const third = await newest(before)
  third.text('still here')
  assert.equal(await client.seen(1), ['text still here'])
  third.close(1000, 'done')
  assert.equal((await client.seen(2))[1], 'close 1000 done')
  client.socket.destroy()
})

test('no other peer answers: 1012 after all tries, wsClose once', async () => {
  const closes: WebSocketEnd[] = []
  sluice.hook('/lost', {
    wsClose: (x) => {
      closes.push(x.webSocket!.end!)
      return Outcome.PASS
    },
  })
  const { client, peer } = await pair('/lost')
  const before = A.ends.length
  A.answer = (head) =>
    A.ends.length === before
      ? 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
      : `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: ${acceptFor(head).replace(/./, '!')}\r\n\r\n`
  peer.socket.destroy()
  assert.equal(await client.seen(1), ['close 1012'])
  A.answer = null
  assert.is(A.ends.length, before + 2)
  await until('wsClose', () => closes.length > 0)
  await client.gone()
  assert.equal(closes, [{ by: 'upstream', code: 1006, reason: '' }])
})

test('no peer is live: the search begins anew a little later, not at once', async () => {
  const looks: number[] = []
  sluice.hook('/weak', {
    balancer: (x) => {
      if (x.webSocket !== null && x.balancer!.lastFailure !== null) looks.push(performance.now())
      return Outcome.PASS
    },
    wsMessage: () => Outcome.PASS,
  })
  const { client, peer } = await pair('/weak')
  looks.length = 0
  A.answer = () => 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
  peer.socket.destroy()
  assert.equal(await client.seen(1), ['close 1012'])
  A.answer = null
  assert.is(looks.length, 4)
  // Each pause is twice as long as the one before.
  assert.ok(looks[3]! - looks[0]! >= 290, looks.join(' '))
  client.socket.destroy()
})

test('a client that leaves meanwhile ends the search', async () => {
  const closes: string[] = []
  let search: HookRequest | null = null
  sluice.hook('/lost', {
    balancer: (x) => {
      if (x.balancer!.lastFailure === null) return Outcome.PASS
      search = x
      return Outcome.SUSPENDED
    },
    wsClose: (x) => {
      closes.push(`${x.webSocket!.end!.by} ${x.webSocket!.end!.code}`)
      return Outcome.PASS
    },
  })
  const { client, peer } = await pair('/lost')
  peer.socket.destroy()
  await until('the balancer hook', () => search !== null)
  client.socket.destroy()
  await until('wsClose', () => closes.length > 0)
  assert.equal(closes, ['client 1006'])
  search!.hookSettled(Outcome.PASS)
  await until('all is over', () => sluice.gateway.connectionCount === 0)
})

test('an upstream that comes and goes is given up like one that does not come', async () => {
  sluice.hook('/one', { wsMessage: () => Outcome.PASS })
  const { client, peer } = await pair('/one')
  peer.socket.destroy()
  const before = A.ends.length
  const kill = setInterval(() => {
    for (const end of A.ends) end.socket.destroy()
  }, 5)
  assert.equal(await client.seen(1), ['close 1012'])
  clearInterval(kill)
  assert.ok(A.ends.length - before <= 3)
  client.socket.destroy()
})

test('a hook that waits when the upstream dies is waited for', async () => {
  let waiting: HookRequest | null = null
  sluice.hook('/one', {
    wsMessage: (x) => {
      waiting = x
      return Outcome.SUSPENDED
    },
  })
  const { client, peer } = await pair('/one')
  client.text('slow')
  await until('the hook', () => waiting !== null)
  const before = ends()
  peer.socket.destroy()
  await new Promise((next) => setTimeout(next, 50))
  assert.is(ends().size, before.size)
  waiting!.hookSettled(Outcome.PASS)
  const next = await newest(before)
  assert.equal(await next.seen(1), ['text slow'])
  client.socket.destroy()
})

test('without ws_reconnect the client is closed', async () => {
  sluice.hook('/off', { wsMessage: () => Outcome.PASS })
  const { client, peer } = await pair('/off')
  peer.socket.destroy()
  assert.equal(await client.seen(1), ['close 1011'])
  client.socket.destroy()
})

test('what was not taken by the dead upstream goes to the next one', async () => {
  sluice.hook('/one', { wsMessage: () => Outcome.PASS })
  const { client, peer } = await pair('/one')
  peer.socket.pause()
  const block = 'x'.repeat(500_000)
  let sent = 0
  while (sent < 40 && client.socket.writableLength < 1_000_000) {
    client.text(`${sent++} ${block}`)
    await new Promise((next) => setTimeout(next, 5))
  }
  const before = ends()
  peer.socket.resetAndDestroy()
  const next = await newest(before)
  await until('the last one', () => next.words.some((word) => word.startsWith(`text ${sent - 1} `)))
  const numbers = next.words.map((word) => Number(word.split(' ')[1]))
  assert.equal(
    numbers,
    Array.from({ length: numbers.length }, (_, i) => sent - numbers.length + i),
  )
  client.socket.destroy()
})

test('nothing is left', async () => {
  const { gateway } = sluice
  await until('all is over', () => gateway.connectionCount === 0 && gateway.generation.pins === 0)
  assert.equal(
    sluice.log.filter((line) => /^\[(alert|emerg|crit)\]/.test(line)),
    [],
  )
})

test.run()
