// The ring: how evenly it spreads keys, how few of them move, names with several addresses, its limit.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { UpstreamGroup } from '../../runtime/upstream/group.ts'
import { MAX_RING_WEIGHT } from '../../runtime/upstream/ring.ts'
import { begin, group, request, requests, tries } from './groups.ts'

const KEYS = Array.from({ length: 20_000 }, (_, i) => `user-${i}`)
const NAMES = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}:8080`)

function owners(from: UpstreamGroup): string[] {
  return KEYS.map((key) => request(from, 'ok', key))
}

function share(found: readonly string[], name: string): number {
  return found.filter((owner) => owner === name).length / found.length
}

test('keys are spread by weight, within a third', () => {
  const found = owners(group('hash consistent', ['a:1 weight=1', 'b:1 weight=2', 'c:1 weight=5']))
  for (const [name, expected] of [
    ['a:1', 1 / 8],
    ['b:1', 2 / 8],
    ['c:1', 5 / 8],
  ] as const) {
    const ratio = share(found, name) / expected
    assert.ok(ratio > 2 / 3 && ratio < 4 / 3, `${name} has ${ratio} of its share`)
  }
})

test('of ten equal peers none has less than half or more than double its share', () => {
  const found = owners(group('hash consistent', NAMES))
  for (const name of NAMES) {
    const ratio = share(found, name) * 10
    assert.ok(ratio > 0.5 && ratio < 2, `${name} has ${ratio} of its share`)
  }
})

test('when a peer is added keys move only to it', () => {
  const before = owners(group('hash consistent', NAMES))
  const after = owners(group('hash consistent', [...NAMES, 'new:80']))
  after.forEach((owner, i) => {
    if (owner !== before[i]) assert.is(owner, 'new:80')
  })
  const moved = share(after, 'new:80')
  assert.ok(moved > 0.5 / 11 && moved < 2 / 11, `${moved} of the keys moved`)
})

test('when a peer is lost or goes down only its keys move', () => {
  const lost = NAMES[3]!
  const before = owners(group('hash consistent', NAMES))
  const without = owners(
    group(
      'hash consistent',
      NAMES.filter((name) => name !== lost),
    ),
  )
  const down = group('hash consistent', NAMES)
  down.peers[3]!.down = true
  const during = owners(down)
  before.forEach((owner, i) => {
    if (owner === lost) return
    assert.is(without[i], owner)
    assert.is(during[i], owner)
  })
})

test('the order of the servers does not matter', () => {
  assert.equal(
    owners(group('hash consistent', [...NAMES].reverse())),
    owners(group('hash consistent', NAMES)),
  )
})

test('a key looks for the next point, and past the last one begins again', () => {
  const { ring } = group('hash consistent', ['a', 'b', 'c'])
  const { points } = ring
  assert.is(ring.locate(0), 0)
  assert.is(ring.locate(points[7]!), 7)
  assert.is(ring.locate(points[7]! + 1), 8)
  assert.is(ring.locate(0xffffffff), points.length)
  assert.equal(ring.at(points.length), ring.at(0))
})

test('the addresses of one name take turns; a failed one is left out', () => {
  const from = group('hash consistent', ['one -> x y z'])
  assert.is(requests(from, 4, 'alice'), 'x y z x')
  assert.is(tries(from.select('alice'), 4), 'y z x -')
})

test('two lines with the same name share their points', () => {
  const from = group('hash consistent', ['same weight=2 -> x', 'same -> y', 'other'])
  assert.is(from.ring.points.length, 480)
  const own = KEYS.find((key) => from.select(key).next()?.name === 'same')!
  const turns = requests(from, 300, own).split(' ')
  assert.is(turns.filter((name) => name === 'x').length, 200)
})

test('host and host:80 are different points, a port is only what follows the last colon', () => {
  const first = (name: string) => group('hash consistent', [name]).ring.points[0]
  assert.is.not(first('10.0.0.1'), first('10.0.0.1:80'))
  assert.is(first('unix:/tmp/a.sock'), first('UNIX:/tmp/a.sock'))
  assert.is.not(first('[::1]'), first('[::1]:9000'))
})

test('names whose points coincide: the first in the configuration owns them', () => {
  // Both have the CRC of `hkwmqha` and a zero byte.
  const from = group('hash consistent', ['hkwmqha', 'gyfqfpx'])
  assert.is(from.ring.points.length, 160)
  assert.is(tries(from.select('alice'), 3), 'hkwmqha gyfqfpx -')
  assert.is(requests(group('hash consistent', ['gyfqfpx', 'hkwmqha']), 2, 'alice'), 'gyfqfpx gyfqfpx')
})

test('max_conns passes keys on', () => {
  const from = group('hash consistent', ['a max_conns=1', 'b max_conns=1'])
  const first = begin(from.select('alice'))
  const second = begin(from.select('alice'))
  assert.is.not(first, second)
  assert.is(request(from, 'ok', 'alice'), '-')
})

test('a hook may hash over a group of another method, backups included', () => {
  const from = group('round_robin', ['a', 'b', 'x backup'])
  const selection = from.select('')
  const primaries = [1, 2].map(() => selection.take(selection.peek('hash consistent', 'alice')).name)
  assert.equal(primaries.sort(), ['a', 'b'])
  assert.is(selection.take(selection.peek('hash consistent', 'alice')).name, 'x')
  assert.is(selection.peek('hash consistent', 'alice'), -1)
})

test('a request that has come to the backups stays there when a primary is back', () => {
  const from = group('round_robin', ['a down', 'b down', 'x backup', 'y backup'])
  const selection = from.select('')
  assert.is(selection.take(selection.peek('hash consistent', 'alice')).name, 'x')
  for (const peer of from.peers) peer.down = false
  assert.is(selection.take(selection.peek('hash consistent', 'bob')).name, 'y')
  assert.is(selection.peek('hash consistent', 'carol'), -1)
})

test('weights too large for a ring are refused when the group is made, or when a hook asks for one', () => {
  const heavy = ['a', `b weight=${MAX_RING_WEIGHT}`]
  const message = /weights that add up to 65536 at most, not 65537/
  assert.throws(() => group('hash consistent', heavy), message)
  const other = group('round_robin', heavy)
  assert.throws(() => other.select('').peek('hash consistent', 'alice'), message)
  assert.is(requests(other, 1), 'b')
})

test.run()
