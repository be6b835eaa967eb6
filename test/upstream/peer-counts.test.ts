// Requests in flight, counted over processes: what each learns of the others, and what it balances by.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LiveGroup } from '../../runtime/upstream/live-group.ts'
import { KEEPALIVE_DEFAULTS, type Method, type ServerOptions } from '../../runtime/upstream/options.ts'
import { CountLedger, type PeerCount, PeerCounts } from '../../runtime/upstream/peer-counts.ts'

// What waits to be told keeps no process alive.
const alive = setInterval(() => undefined, 1000)
test.after(() => clearInterval(alive))

/** A supervisor whose workers hear it at once. */
class Machine {
  readonly ledger = new CountLedger()
  #heard: () => void = () => undefined

  join(method: Method, servers: readonly ServerOptions[]) {
    let tell: (counts: readonly PeerCount[]) => void = () => undefined
    const counts = new PeerCounts((list) => tell(list))
    const { hear, leave } = this.ledger.join((list) => {
      counts.hear(list)
      this.#heard()
    })
    tell = hear
    const live = new LiveGroup(
      { name: 'app', method, servers, keepalive: KEEPALIVE_DEFAULTS, shared: true },
      { counts },
    )
    live.serve(null)
    return { live, leave }
  }

  /** Until `isSo`, looked at whenever somebody has heard something. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((done) => (this.#heard = done))
  }
}

const server = (port: number, more: Partial<ServerOptions> = {}): ServerOptions => ({
  name: `127.0.0.1:${port}`,
  addresses: [{ text: `127.0.0.1:${port}`, host: '127.0.0.1', port }],
  weight: 1,
  maxFails: 1,
  failTimeout: 10_000,
  maxConns: 0,
  backup: false,
  down: false,
  ...more,
})
const begin = (live: LiveGroup) => {
  const selection = live.group.select('')
  const peer = selection.next()
  return { peer, end: () => selection.release(peer!, 'ok') }
}

test('max_conns is of all processes', async () => {
  const machine = new Machine()
  const servers = [server(1, { maxConns: 2 }), server(2, { maxConns: 1 })]
  const [one, other] = [machine.join('round_robin', servers), machine.join('round_robin', servers)]
  const taken = [begin(one.live), begin(one.live)]
  await machine.until(() => other.live.group.peers[1].elsewhere === 1)
  const third = begin(other.live)
  assert.is(third.peer?.address.text, '127.0.0.1:1')
  await machine.until(() => one.live.group.peers[0].elsewhere === 1)
  assert.is(begin(one.live).peer, null)
  assert.is(begin(other.live).peer, null)
  taken[1].end()
  await machine.until(() => other.live.group.peers[1].elsewhere === 0)
  assert.is(begin(other.live).peer?.address.text, '127.0.0.1:2')
})

test('least_conn goes by the requests of all processes', async () => {
  const machine = new Machine()
  const servers = [server(1), server(2)]
  const [one, other] = [machine.join('least_conn', servers), machine.join('least_conn', servers)]
  const [first] = one.live.group.peers
  first.begin(one.live.group.now)
  await machine.until(() => other.live.group.peers[0].elsewhere === 1)
  for (let i = 0; i < 3; i++) {
    const { peer, end } = begin(other.live)
    assert.is(peer?.address.text, '127.0.0.1:2')
    end()
  }
})

test('who joins knows what is under way, and what a process had goes with it', async () => {
  const machine = new Machine()
  const one = machine.join('least_conn', [server(1), server(2)])
  one.live.group.peers[0].begin(one.live.group.now)
  one.live.group.peers[0].begin(one.live.group.now)
  const watcher = machine.join('least_conn', [server(1), server(2)])
  await machine.until(() => watcher.live.group.peers[0].elsewhere === 2)
  const late = machine.join('least_conn', [server(1), server(2)])
  assert.is(late.live.group.peers[0].elsewhere, 2)
  one.leave()
  await machine.until(() => late.live.group.peers[0].elsewhere === 0)
  assert.is(watcher.live.group.peers[0].elsewhere, 0)
})

test('servers that come and go, and another configuration, keep what is known', async () => {
  const machine = new Machine()
  const [one, other] = [0, 1].map(() => machine.join('least_conn', [server(1), server(2)]))
  const before = begin(one.live)
  await machine.until(() => other.live.group.peers[0].elsewhere === 1)
  for (const { live } of [one, other]) live.replace([server(2), server(1), server(3)])
  assert.is(other.live.group.peers[1].elsewhere, 1)
  before.end()
  await machine.until(() => other.live.group.peers[1].elsewhere === 0)
  // What ends at a server that has left is nobody's to count.
  one.live.group.peers[2].begin(one.live.group.now)
  await machine.until(() => other.live.group.peers[2].elsewhere === 1)
  one.live.replace([server(1), server(2)])
  await machine.until(() => other.live.group.peers[2].elsewhere === 0)
})

test('many changes are told together, and what is as it was is told once', async () => {
  const told: (readonly PeerCount[])[] = []
  const counts = new PeerCounts((list) => told.push(list))
  const live = new LiveGroup(
    { name: 'app', method: 'least_conn', servers: [server(1)], keepalive: KEEPALIVE_DEFAULTS, shared: true },
    { counts },
  )
  live.serve(null)
  const open = Array.from({ length: 1000 }, () => begin(live))
  for (const { end } of open.slice(1)) end()
  while (told.length === 0) await new Promise((done) => setImmediate(done))
  assert.equal(told, [[['app', '127.0.0.1:1', 0, 1]]])
})

test.run()
