// A group whose servers change while it serves: what requests keep, and what is known of those that stay.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { UpstreamGroup } from '../../runtime/upstream/group.ts'
import { LiveGroup } from '../../runtime/upstream/live-group.ts'
import { KEEPALIVE_DEFAULTS, type Method, type ServerOptions } from '../../runtime/upstream/options.ts'
import type { PeerNews } from '../../runtime/upstream/peer-news.ts'
import { newsOf } from '../../runtime/upstream/peer-news.ts'
import { request, requests, server, tries, type World, world } from './groups.ts'

function live(
  method: Method,
  lines: readonly string[],
  more: { readonly shared?: boolean; readonly allowEmpty?: boolean } = {},
  held: World = world(),
  news: PeerNews[] = [],
): LiveGroup {
  const options = { name: 'app', method, servers: lines.map(server), keepalive: KEEPALIVE_DEFAULTS, ...more }
  return new LiveGroup(options, {
    now: () => held.second,
    random: () => held.draws.shift() ?? Math.random(),
    onPeer: (group, peer, event) => news.push(newsOf(group, peer, event, 0)),
  })
}

const lines = (...texts: string[]): ServerOptions[] => texts.map(server)

const known = ({ peers }: UpstreamGroup) =>
  peers.map(({ name, connections, fails, currentWeight }) => [name, connections, fails, currentWeight])

test('a request keeps the group that it began with; the next one has the new one', () => {
  const app = live('round_robin', ['a', 'b', 'c'])
  const before = app.group
  const old = before.select('')
  app.replace(lines('c', 'd'))
  assert.is.not(app.group, before)
  assert.equal(
    app.servers.map(({ name }) => name),
    ['c', 'd'],
  )
  assert.is(tries(old, 4), 'a b c -')
  assert.is(app.group.peers[0]!.fails, 1, 'what becomes of c is known to its new group')
  assert.is(requests(app.group, 2), 'd d')
})

test('addresses that stay keep their failures, their requests in flight and whose turn it is', () => {
  const app = live('round_robin', ['a', 'b', 'c weight=2'])
  const flying = app.group.select('')
  const peer = flying.next()!
  assert.is(peer.name, 'c')
  assert.is(request(app.group, 'failed'), 'a')
  assert.equal(known(app.group), [
    ['a', 0, 1, -2],
    ['b', 0, 0, 2],
    ['c', 1, 0, 0],
  ])
  app.replace(lines('c weight=2', 'new', 'a', 'b'))
  assert.equal(known(app.group), [
    ['c', 1, 0, 0],
    ['new', 0, 0, 0],
    ['a', 0, 1, -2],
    ['b', 0, 0, 2],
  ])
  flying.release(peer, 'ok')
  assert.equal(known(app.group)[0], ['c', 0, 0, 0])
})

test('after a weight falls, who took turns by the old ones is not made to wait for long', () => {
  const app = live('round_robin', ['a weight=1000', 'b'])
  while (request(app.group) !== 'b');
  app.replace(lines('a', 'b'))
  assert.equal(
    app.group.peers.map(({ currentWeight }) => Math.abs(currentWeight) <= 2),
    [true, true],
  )
  const turns = requests(app.group, 8).split(' ')
  assert.ok(turns.filter((name) => name === 'b').length >= 2, turns.join(' '))
})

test('a request that outlives many changes counts where its address is now, and nowhere between', () => {
  const app = live('least_conn', ['a', 'b'])
  const flying = app.group.select('')
  const peer = flying.take(0)
  for (let i = 0; i < 100; i++) app.replace(lines('a', `b${i}`))
  assert.equal(known(app.group)[0]!.slice(0, 2), ['a', 1])
  assert.is(requests(app.group, 2), 'b99 b99')
  flying.release(peer, 'failed')
  assert.equal([peer.connections, ...known(app.group)[0]!.slice(0, 3)], [0, 'a', 0, 1])
})

test('a request that outlives many changes keeps none of the groups between alive', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const app = live('round_robin', ['a', 'b'])
  const flying = app.group.select('')
  const peer = flying.take(0)
  const between: WeakRef<UpstreamGroup>[] = []
  for (let i = 0; i < 50; i++) {
    app.replace(lines('a', `b${i}`))
    between.push(new WeakRef(app.group))
  }
  await new Promise((next) => setImmediate(next))
  collect()
  assert.is(between.filter((group) => group.deref() !== undefined).length, 1, 'the one that serves')
  flying.release(peer, 'ok')
  assert.equal(known(app.group)[0]!.slice(0, 2), ['a', 0])
})

test('a peer that has left is gone for those who hold it; one that comes back begins anew', () => {
  const app = live('round_robin', ['a', 'b'])
  const flying = app.group.select('')
  const peer = flying.take(0)
  assert.not.ok(peer.gone)
  app.replace(lines('b', 'c'))
  assert.ok(peer.gone)
  app.replace(lines('a', 'b'))
  assert.ok(peer.gone)
  assert.equal(known(app.group)[0]!.slice(0, 3), ['a', 0, 0])
  flying.release(peer, 'failed')
  assert.equal(known(app.group)[0]!.slice(0, 3), ['a', 0, 0])
})

test('servers that can be none are refused, and nothing changes', () => {
  const app = live('ip_hash', ['a', 'b'])
  const { group, servers } = app
  const heard: UpstreamGroup[] = []
  app.onChange((changed) => heard.push(changed))
  const wrong: [ServerOptions[], RegExp][] = [
    [[], /^no servers in upstream "app"$/],
    [lines('a', 'b backup'), /method "ip_hash" does not allow backup servers$/],
    [lines('a weight=0'), /^the weight of "a" in upstream "app" must be a whole number from 1 on$/],
  ]
  for (const [next, reason] of wrong) {
    assert.throws(
      () => app.replace(next),
      (error: Error) => reason.test(error.message),
    )
    assert.throws(() => app.check(next))
  }
  assert.is(app.group, group)
  assert.is(app.servers, servers)
  assert.is(heard.length, 0)
})

test('listeners hear of every change, with the group that serves then', () => {
  const app = live('round_robin', ['a'])
  const heard: string[] = []
  app.onChange((group) => heard.push([...group.addresses].join(' ')))
  app.check(lines('x'))
  app.replace(lines('b -> b1 b2', 'c'))
  app.replace(lines('c'))
  assert.equal(heard, ['b1 b2 c', 'c'])
})

test('a group that may be empty has no live upstreams by any method, until servers come', () => {
  const methods: Method[] = [
    'round_robin',
    'hash',
    'hash consistent',
    'ip_hash',
    'least_conn',
    'random',
    'random two',
  ]
  for (const method of methods) {
    const app = live(method, [], { allowEmpty: true })
    assert.ok(app.allowsEmpty)
    const selection = app.group.select('key')
    assert.equal([selection.tries, selection.next()], [0, null], method)
    for (const other of methods) assert.is(selection.peek(other, 'key'), -1)
    app.replace(lines('a', 'b'))
    assert.match(request(app.group, 'ok', 'key'), /^[ab]$/)
    app.replace([])
    assert.is(request(app.group, 'ok', 'key'), '-')
  }
})

test('with no primary left the backups serve, and a lone one is no single peer that is never given up', () => {
  const app = live('round_robin', ['a', 'b backup'], { allowEmpty: true })
  app.replace(lines('b backup'))
  assert.is(request(app.group, 'failed'), 'b')
  assert.is(request(app.group), '-')
})

test('single addresses of a name are down or drain apart from the others', () => {
  const app = live('round_robin', ['a -> a1 a2 a3'])
  const [all] = app.servers
  app.replace([{ ...all!, apart: { a1: { down: true }, a3: { drain: true } } }])
  assert.equal(
    app.group.peers.map(({ address, down, drain }) => [address.text, down, drain]),
    [
      ['a1', true, false],
      ['a2', false, false],
      ['a3', false, true],
    ],
  )
  assert.is(requests(app.group, 2), 'a2 a2')
  app.replace([{ ...app.servers[0]!, addresses: [{ text: 'a1' }, { text: 'a4' }] }])
  assert.is(requests(app.group, 2), 'a4 a4', 'a1 stays out')
})

test('news of a shared group come from the peers that serve now, once', () => {
  const news: PeerNews[] = []
  const held = world()
  const app = live('round_robin', ['a', 'b'], { shared: true }, held, news)
  const flying = app.group.select('')
  const first = flying.take(0)
  const left = app.group.select('')
  const second = left.take(1)
  app.replace(lines('c', 'a'))
  app.replace(lines('c', 'd', 'a'))
  flying.release(first, 'failed')
  left.release(second, 'failed')
  assert.equal(
    news.map(({ address, nth, event }) => [address, nth, event]),
    [['a', 0, 'failed']],
  )
})

/** Where 10,000 keys go. */
function places(group: UpstreamGroup): string[] {
  return Array.from({ length: 10_000 }, (_, key) => request(group, 'ok', `user-${key}`))
}

test('hash consistent: an eleventh server moves few keys, all to itself; without it they go back', () => {
  const ten = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}:8080`)
  const app = live('hash consistent', ten)
  const before = places(app.group)
  app.replace([...app.servers, server('10.0.0.99:8080')])
  const grown = places(app.group)
  const moved = grown.filter((place, key) => place !== before[key])
  assert.ok(moved.length > 500 && moved.length < 1500, `${moved.length} keys moved`)
  assert.ok(moved.every((place) => place === '10.0.0.99:8080'))
  app.replace(app.servers.filter(({ name }) => name !== '10.0.0.99:8080'))
  assert.equal(places(app.group), before)
})

test('hash consistent: a server that leaves takes only its own keys with it', () => {
  const app = live(
    'hash consistent',
    Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}:8080`),
  )
  const before = places(app.group)
  app.replace(app.servers.filter(({ name }) => name !== '10.0.0.4:8080'))
  const after = places(app.group)
  const own = before.filter((place) => place === '10.0.0.4:8080').length
  const moved = before.filter((place, key) => place !== after[key])
  assert.is(moved.length, own)
  assert.ok(own > 0 && moved.every((place) => place === '10.0.0.4:8080'))
})

test.run()
