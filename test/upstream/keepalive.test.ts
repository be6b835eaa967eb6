// Idle connections: which one is used again, which one has to go, and when.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { IdlePool, type IdlePoolOptions, type Reusable } from '../../runtime/upstream/keepalive.ts'
import type { Peer } from '../../runtime/upstream/peer.ts'
import { group } from './groups.ts'

class Connection implements Reusable {
  readonly name: string
  requests = 1
  openedAt = Date.now()
  place: Reusable['place'] = null
  /** Names of closed connections, in order; shared by those of one test. */
  readonly #log: string[]
  onClose: () => void = () => {}

  constructor(name: string, log: string[]) {
    this.name = name
    this.#log = log
  }

  close(): void {
    this.#log.push(this.name)
    this.onClose()
  }
}

const { peers } = group('round_robin', ['a', 'b', 'c'])
const [a, b, c] = peers as [(typeof peers)[0], (typeof peers)[0], (typeof peers)[0]]

function pool(options: Partial<IdlePoolOptions> = {}) {
  const closed: string[] = []
  const idle = new IdlePool<Connection>({ size: 32, timeout: 60_000, ...options })
  return { idle, closed, make: (name: string) => new Connection(name, closed) }
}

test('the connection used last is used first, each for its own peer', () => {
  const { idle, make } = pool()
  idle.put(a, make('a1'))
  idle.put(b, make('b1'))
  idle.put(a, make('a2'))
  assert.is(idle.count, 3)
  assert.equal([idle.take(a)?.name, idle.take(a)?.name, idle.take(a), idle.take(c)], ['a2', 'a1', null, null])
  assert.is(idle.count, 1)
})

test('peers of the same address share connections', () => {
  const { idle, make } = pool()
  idle.put(a, make('a1'))
  assert.is(idle.take(group('round_robin', ['other', 'name -> a']).peers[1]!)?.name, 'a1')
})

test('over the size the one idle longest is closed, whichever peer it is of', () => {
  const { idle, closed, make } = pool({ size: 2 })
  idle.put(a, make('a1'))
  idle.put(b, make('b1'))
  idle.put(b, make('b2'))
  assert.equal(closed, ['a1'])
  idle.put(b, idle.take(b)!)
  idle.put(c, make('c1'))
  assert.equal(closed, ['a1', 'b1'])
  assert.is(idle.count, 2)
})

test('size 0 and timeout 0 keep nothing', () => {
  for (const options of [{ size: 0 }, { timeout: 0 }]) {
    const { idle, closed, make } = pool(options)
    idle.put(a, make('a1'))
    assert.equal(closed, ['a1'])
    assert.is(idle.take(a), null)
  }
})

test('a connection that has served its requests or its time is not kept', () => {
  const { idle, closed, make } = pool({ requests: 3, time: 1000 })
  const busy = make('busy')
  busy.requests = 2
  idle.put(a, busy)
  assert.is(idle.take(a), busy)
  busy.requests = 3
  idle.put(a, busy)
  const old = make('old')
  old.openedAt -= 1001
  idle.put(a, old)
  assert.equal(closed, ['busy', 'old'])
  assert.is(idle.count, 0)
})

test("nginx's limits hold when none are given: 1000 requests, an hour", () => {
  const { idle, closed, make } = pool()
  const young = make('young')
  young.requests = 999
  young.openedAt -= 3_599_000
  idle.put(a, young)
  const many = make('many')
  many.requests = 1000
  idle.put(a, many)
  const old = make('old')
  old.openedAt -= 3_601_000
  idle.put(a, old)
  assert.equal(closed, ['many', 'old'])
  assert.is(idle.take(a), young)
})

test('one that its peer closed is forgotten, wherever it stands', () => {
  const names = ['1', '2', '3', '4']
  for (const gone of names) {
    const { idle, closed, make } = pool()
    const made = names.map(make)
    for (const connection of made) idle.put(a, connection)
    idle.remove(made[Number(gone) - 1]!)
    idle.remove(made[Number(gone) - 1]!)
    assert.is(idle.count, 3)
    const rest = [idle.take(a), idle.take(a), idle.take(a)].map((connection) => connection?.name)
    assert.equal(rest, names.filter((name) => name !== gone).reverse())
    assert.equal(closed, [])
  }
})

test('one that is in use or unknown is not removed', () => {
  const { idle, make } = pool()
  const known = make('a1')
  idle.put(a, known)
  idle.take(a)
  idle.remove(known)
  idle.remove(make('never seen'))
  assert.is(idle.count, 0)
  idle.put(a, known)
  assert.is(idle.take(a), known)
})

test('the same connection twice is an error of the caller', () => {
  const { idle, make } = pool()
  const connection = make('a1')
  idle.put(a, connection)
  assert.throws(() => idle.put(a, connection), /put into its idle pool twice/)
})

test('after the timeout connections are closed, oldest first; those used meanwhile stay', async () => {
  const { idle, closed, make } = pool({ timeout: 60 })
  const [first, second, used] = [make('first'), make('second'), make('used')]
  idle.put(a, first)
  idle.put(a, used)
  idle.put(b, second)
  const keptAlive = setInterval(() => {
    // Also holds the process, which the pool's own timer must not do.
    idle.put(a, idle.take(a)!)
  }, 15)
  await new Promise<void>((done) => {
    second.onClose = done
  })
  clearInterval(keptAlive)
  assert.equal(closed, ['first', 'second'])
  assert.is(idle.take(a), used)
})

test('the timer does not keep the process alive', () => {
  const { idle, make } = pool()
  const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  idle.put(a, make('a1'))
  const after = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  assert.is(after, before, 'unref-ed timers are not listed')
})

test('closeAll closes what is idle and whatever comes later', () => {
  const { idle, closed, make } = pool()
  idle.put(a, make('a1'))
  const used = make('used')
  idle.put(b, used)
  idle.take(b)
  idle.closeAll()
  idle.put(b, used)
  assert.equal(closed, ['a1', 'used'])
  assert.is(idle.count, 0)
  assert.is(idle.take(a), null)
})

test('close may call remove', () => {
  const { idle, closed, make } = pool({ size: 1 })
  const first = make('first')
  first.onClose = () => idle.remove(first)
  idle.put(a, first)
  idle.put(a, make('second'))
  assert.equal(closed, ['first'])
  assert.is(idle.count, 1)
})

test('a new pool takes over idle connections in their order, and those that come back later', () => {
  const { idle: old, closed, make } = pool()
  const late = make('late')
  old.put(a, late)
  old.take(a)
  for (const name of ['1', '2', '3']) old.put(a, make(name))
  const next = new IdlePool<Connection>({ size: 2, timeout: 60_000 })
  next.adopt(old)
  assert.equal(closed, ['1'], 'the new size holds')
  assert.is(next.count, 2)
  old.put(b, late)
  assert.equal(closed, ['1', '2'])
  old.remove(late)
  assert.is(next.take(b), null)
  assert.is(next.take(a)?.name, '3')
  old.closeAll()
  next.put(b, late)
  assert.is(old.take(b), late, 'the old one is but a way to the new one')
})

test('addresses that leave the group take their connections with them, those in use when they come back', () => {
  const { idle, closed, make } = pool()
  const before = group('round_robin', ['a', 'b'])
  const [left, stays] = before.peers as [Peer, Peer]
  const busy = make('busy')
  idle.put(left, busy)
  assert.is(idle.take(left), busy)
  for (const name of ['a1', 'a2']) idle.put(left, make(name))
  idle.put(stays, make('b1'))
  const after = group('round_robin', ['b', 'c'])
  after.adopt(before)
  idle.keepOnly(after.addresses)
  assert.equal([closed, idle.count], [['a2', 'a1'], 1])
  idle.put(left, busy)
  assert.equal([closed, idle.count], [['a2', 'a1', 'busy'], 1])
  assert.is(idle.take(stays)?.name, 'b1')
  const again = group('round_robin', ['a', 'b'])
  idle.put(again.peers[0]!, make('a3'))
  assert.is(idle.take(again.peers[0]!)?.name, 'a3')
})

test('a pool does not take over itself', () => {
  const { idle } = pool()
  const { idle: next } = pool()
  assert.throws(() => idle.adopt(idle), /cannot take over itself/)
  next.adopt(idle)
  assert.throws(() => next.adopt(idle), /cannot take over itself/)
  assert.throws(() => idle.adopt(next), /cannot take over itself/)
})

test('100000 uses in random order: nothing is lost, nothing twice', () => {
  const { idle, closed, make } = pool({ size: 20 })
  const inUse: Connection[] = []
  let made = 0
  let random = 12345
  const roll = (sides: number) => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0
    return (random >>> 8) % sides
  }
  for (let i = 0; i < 100_000; i++) {
    const peer = peers[roll(3)]!
    if (roll(2) === 0) {
      let connection = idle.take(peer)
      if (connection === null) {
        connection = make(`${peer.name}${made++}`)
      }
      assert.is(connection.name[0], peer.name)
      inUse.push(connection)
    } else if (inUse.length > 0) {
      const [connection] = inUse.splice(roll(inUse.length), 1)
      idle.put(peers.find((p) => p.name === connection!.name[0])!, connection!)
    }
  }
  assert.is(made, inUse.length + idle.count + closed.length)
  assert.is(new Set(closed).size, closed.length)
  assert.ok(idle.count <= 20)
})

test.run()
