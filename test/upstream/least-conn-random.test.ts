// `least_conn` and `random`: by what is in flight, and by a die that the test throws.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { UpstreamGroup } from '../../runtime/upstream/group.ts'
import { begin, group, request, requests, tries, world } from './groups.ts'

/** Begins a request on each of these peers. */
function occupy(from: UpstreamGroup, ...indexes: number[]): void {
  for (const index of indexes) from.select('').take(index)
}

test('least_conn: fewest requests in flight', () => {
  const from = group('least_conn', ['a', 'b', 'c'])
  occupy(from, 0, 0, 1, 2, 2)
  assert.is(requests(from, 3), 'b b b')
})

test('least_conn: for its weight', () => {
  const from = group('least_conn', ['a weight=4', 'b'])
  occupy(from, 0, 0, 0, 1)
  assert.is(request(from), 'a')
})

test('least_conn: equals take turns by weight', () => {
  assert.is(requests(group('least_conn', ['a weight=5', 'b', 'c']), 7), 'a a b a c a a')
  const from = group('least_conn', ['a', 'b', 'c', 'd'])
  occupy(from, 0, 2)
  assert.is(requests(from, 4), 'b d b d')
})

test('least_conn: one that is as little busy but cannot be used takes no turn', () => {
  const from = group('least_conn', ['a', 'b weight=5 down', 'c'])
  assert.is(requests(from, 4), 'a c a c')
  assert.is(from.peers[1]!.currentWeight, 0)
})

test('least_conn: without a tie the turns do not advance', () => {
  const from = group('least_conn', ['a', 'b'])
  occupy(from, 0)
  requests(from, 3)
  assert.equal(
    from.peers.map((peer) => peer.currentWeight),
    [0, 0],
  )
})

test('least_conn: all in flight are spread evenly', () => {
  const from = group('least_conn', ['a', 'b', 'c'])
  for (let i = 0; i < 30; i++) begin(from.select(''))
  assert.equal(
    from.peers.map((peer) => peer.connections),
    [10, 10, 10],
  )
})

test('least_conn: retries and backups', () => {
  const from = group('least_conn', ['a', 'b', 'x backup', 'y backup'])
  occupy(from, 2)
  assert.is(tries(from.select(''), 5), 'a b y x -')
})

test('random: the die says which slot of the weights', () => {
  const held = world()
  held.draws = [0, 0.49, 0.5, 0.99]
  assert.is(requests(group('random', ['a weight=2', 'b', 'c'], held), 4), 'a a b c')
})

test('random: draws again for a peer that cannot be used', () => {
  const held = world()
  held.draws = [0, 0.1, 0.9]
  assert.is(requests(group('random', ['a down', 'b'], held), 1), 'b')
})

test('random: after 20 draws in vain round robin decides', () => {
  const held = world()
  held.draws = [...new Array(21).fill(0), 0.99]
  const from = group('random', ['a down', 'b', 'c'], held)
  assert.is(requests(from, 1), 'b')
  assert.equal(held.draws, [0.99], 'the first and 20 more')
})

test('random: never the same peer twice for one request', () => {
  for (const method of ['random', 'random two'] as const) {
    for (let i = 0; i < 50; i++) {
      const names = tries(group(method, ['a', 'b', 'c']).select(''), 4).split(' ')
      assert.equal(names.slice(0, 3).sort(), ['a', 'b', 'c'])
      assert.is(names[3], '-')
    }
  }
})

test('random two: the less busy of two different peers, the second of equals', () => {
  const held = world()
  const from = group('random two', ['a', 'b', 'c'], held)
  held.draws = [0, 0, 0.4]
  assert.is(request(from), 'b', 'a, then a again, then b')
  occupy(from, 1)
  held.draws = [0, 0.4]
  assert.is(request(from), 'a')
  occupy(from, 0, 0)
  held.draws = [0, 0.4]
  assert.is(request(from), 'b')
})

test('random two: with one peer left round robin finds it', () => {
  assert.is(requests(group('random two', ['a down', 'b', 'c down']), 3), 'b b b')
})

test.run()
