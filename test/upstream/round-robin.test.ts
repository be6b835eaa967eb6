// The smooth weighted round robin and who is left out of it: failed, down, full, already tried; backups.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { begin, group, request, requests, tries, world } from './groups.ts'

test('weights 5, 1, 1 are spread smoothly', () => {
  assert.is(requests(group('round_robin', ['a weight=5', 'b', 'c']), 14), 'a a b a c a a a a b a c a a')
})

test('equal weights take turns in configured order', () => {
  assert.is(requests(group('round_robin', ['a', 'b', 'c']), 7), 'a b c a b c a')
})

test('each address of a name is a peer with the full weight', () => {
  const from = group('round_robin', ['two weight=2 -> x y', 'z'])
  assert.is(requests(from, 5), 'x y z x y')
})

test('a peer that is down takes no part', () => {
  const from = group('round_robin', ['a', 'b down', 'c'])
  assert.is(requests(from, 4), 'a c a c')
  from.peers[0]!.down = true
  assert.is(requests(from, 2), 'c c')
})

test('a failed peer rests for fail_timeout, then one request per fail_timeout probes it', () => {
  const held = world(100)
  const from = group('round_robin', ['a', 'b'], held)
  assert.is(request(from, 'failed'), 'a')
  assert.is(requests(from, 3), 'b b b')
  held.second = 110
  assert.is(requests(from, 3), 'b b b')
  held.second = 111
  // The round robin still has to bring its weight back, so it is not the first to be chosen.
  assert.is(requests(from, 2), 'b b')
  const probe = from.select('')
  assert.is(begin(probe).name, 'a')
  assert.is(requests(from, 3), 'b b b', 'while the probe is under way, and for as long after it')
  probe.release(from.peers[0]!, 'failed')
  held.second = 121
  assert.is(requests(from, 2), 'b b')
  held.second = 122
  assert.is(requests(from, 5), 'b b a b a', 'the probe went well')
})

test('max_fails counts failures until a success that began after the last of them', () => {
  const held = world(100)
  const from = group('round_robin', ['a max_fails=3', 'b'], held)
  const [a] = from.peers
  assert.is(request(from, 'failed'), 'a')
  held.second = 105
  assert.is(requests(from, 2), 'b a')
  assert.is(a!.fails, 1, 'within fail_timeout a success proves nothing')
  held.second = 112
  assert.is(requests(from, 2), 'b a')
  assert.is(a!.fails, 0)
})

test('max_fails=0: failures are not held against a peer', () => {
  const from = group('round_robin', ['a max_fails=0', 'b max_fails=0'])
  for (let i = 0; i < 5; i++) assert.is(request(from, 'failed'), i % 2 === 0 ? 'a' : 'b')
})

test('failures lower the effective weight by weight / max_fails, never below 0; picks bring it back', () => {
  const from = group('round_robin', ['a weight=6 max_fails=2', 'b'])
  const a = from.peers[0]!
  const weights: number[] = []
  const inFlight = [from.select(''), from.select(''), from.select('')]
  const taken = inFlight.map((selection) => selection.take(0))
  inFlight.forEach((selection, i) => {
    selection.release(taken[i]!, 'failed')
    weights.push(a.effectiveWeight)
  })
  assert.equal(weights, [3, 0, 0])
})

test('403 and 404 under next_upstream are no failures', () => {
  const from = group('round_robin', ['a', 'b'])
  assert.is(request(from, 'next'), 'a')
  assert.is(from.peers[0]!.fails, 0)
  assert.is(requests(from, 2), 'b a')
})

test('max_conns bounds the requests in flight', () => {
  const from = group('round_robin', ['a max_conns=1', 'b max_conns=2'])
  const open = [from.select(''), from.select(''), from.select('')]
  const taken = open.map(begin)
  assert.is(taken.map((peer) => peer.name).join(' '), 'a b b')
  assert.is(request(from), '-')
  open[0]!.release(taken[0]!, 'ok')
  assert.is(request(from), 'a')
})

test('one request never comes to the same peer twice', () => {
  const from = group('round_robin', ['a weight=9', 'b', 'c'])
  assert.is(tries(from.select(''), 4), 'a b c -')
})

test('backups serve when no primary is eligible, and the request stays with them', () => {
  const held = world(100)
  const from = group('round_robin', ['a', 'b down', 'x backup', 'y backup'], held)
  assert.is(requests(from, 2), 'a a')
  const selection = from.select('')
  assert.is(tries(selection, 4), 'a x y -')
  assert.is(requests(from, 1), '-', 'all rest now')
  held.second = 111
  assert.is(requests(from, 2), 'a a')
})

test('the only peer of a group is never given up', () => {
  const from = group('round_robin', ['a'])
  for (let i = 0; i < 5; i++) assert.is(request(from, 'failed'), 'a')
  assert.is(from.peers[0]!.fails, 0)
  from.peers[0]!.down = true
  assert.is(request(from), '-')
})

test('the only peer of a group keeps its max_conns', () => {
  const from = group('round_robin', ['a max_conns=1'])
  const selection = from.select('')
  const peer = begin(selection)
  assert.is(request(from), '-')
  selection.release(peer, 'ok')
  assert.is(request(from), 'a')
})

test('a single primary with a backup does fail over', () => {
  const from = group('round_robin', ['a', 'x backup'])
  assert.is(request(from, 'failed'), 'a')
  assert.is(requests(from, 2), 'x x')
})

test('200 peers: each is tried once', () => {
  const names = Array.from({ length: 200 }, (_, i) => `p${i}`)
  assert.is(tries(group('round_robin', names).select(''), 201), `${names.join(' ')} -`)
})

test.run()
