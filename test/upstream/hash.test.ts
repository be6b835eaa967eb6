// `hash` and `ip_hash`: sequences of one request, what a balancer hook sees of them, and odd keys.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hashedBytes } from '../../runtime/upstream/ip-hash.ts'
import { group, requests, tries, world } from './groups.ts'

const THREE = ['a', 'b', 'c']

test('an empty key goes round', () => {
  assert.is(requests(group('hash', THREE), 4), 'a b c a')
  assert.is(requests(group('hash consistent', THREE), 4), 'a b c a')
})

test('one key keeps to one peer', () => {
  assert.is(requests(group('hash', THREE), 3, 'alice'), 'b b b')
})

test('retries go on with the sequence of the key', () => {
  assert.is(tries(group('hash', THREE).select('userId=1'), 4), 'b c a -')
})

test('peers that are down keep their slots: keys of the others do not move', () => {
  const keys = Array.from({ length: 200 }, (_, i) => `key${i}`)
  const all = group('hash', THREE)
  const less = group('hash', ['a', 'b down', 'c'])
  for (const key of keys) {
    const before = requests(all, 1, key)
    if (before !== 'b') assert.is(requests(less, 1, key), before)
  }
})

test('after 20 unusable peers round robin decides', () => {
  // The chance of a key to find the one live peer of 400 in 21 rounds is small; round robin always does.
  const servers = Array.from({ length: 400 }, (_, i) => (i === 399 ? 'live' : `p${i} down`))
  for (const method of ['hash', 'hash consistent', 'ip_hash'] as const) {
    const from = group(method, servers)
    for (let i = 0; i < 20; i++) assert.is(requests(from, 1, `10.${i}.7.1`), 'live', method)
  }
})

test('peek is what next would take, whatever the method of the group', () => {
  for (const key of ['userId=1', '1001', 'alice', '']) {
    for (const method of ['hash', 'hash consistent'] as const) {
      const own = group(method, THREE)
      const hooked = group('least_conn', THREE).select('')
      assert.is(THREE[hooked.peek(method, key)], requests(own, 1, key), `${method} ${key}`)
    }
  }
})

test('peeking twice gives the same peer; after a failed try the sequence goes on', () => {
  const selection = group('round_robin', THREE).select('')
  const order: (string | undefined)[] = []
  for (let i = 0; i < 3; i++) {
    const index = selection.peek('hash', 'userId=1')
    assert.is(selection.peek('hash', 'userId=1'), index)
    order.push(THREE[index])
    selection.release(selection.take(index), 'failed')
  }
  assert.equal(order, ['b', 'c', 'a'])
  assert.is(selection.peek('hash', 'userId=1'), -1)
})

test('a peer that was only looked at comes again; one that was tried does not', () => {
  const selection = group('round_robin', THREE).select('')
  const first = selection.peek('hash consistent', 'alice')
  const other = (first + 1) % 3
  selection.release(selection.take(other), 'failed')
  assert.is(selection.peek('hash consistent', 'alice'), first)
  selection.release(selection.take(first), 'failed')
  assert.is(selection.peek('hash consistent', 'alice'), 3 - first - other)
})

test('two keys looked at in turns each have their own peer', () => {
  const selection = group('round_robin', THREE).select('')
  const seen = [1, 2, 3].map(() => [selection.peek('hash', '1001'), selection.peek('hash', 'alice')])
  assert.equal(seen, [
    [0, 1],
    [0, 1],
    [0, 1],
  ])
})

test('a hook that mixes methods never gets a peer that it has tried', () => {
  const methods = ['hash', 'ip_hash', 'hash consistent', 'random', 'least_conn', 'random two'] as const
  const servers = Array.from({ length: 40 }, (_, i) => `p${i}`)
  for (let run = 0; run < 50; run++) {
    const selection = group('round_robin', servers).select('')
    const seen = new Set<number>()
    for (let i = 0; i < 40; i++) {
      const index = selection.peek(methods[(run + i) % 6]!, `10.0.${run}.1`)
      assert.not(seen.has(index))
      seen.add(index)
      selection.take(index)
    }
    assert.is(selection.peek('hash', 'x'), -1)
  }
})

test('when a peer that was looked at fails meanwhile, another is found', () => {
  const held = world()
  const from = group('round_robin', THREE, held)
  const selection = from.select('')
  const index = selection.peek('hash', 'alice')
  const other = from.select('')
  other.release(other.take(index), 'failed')
  assert.is.not(selection.peek('hash', 'alice'), index)
})

test('ip_hash: a /24 shares a peer, IPv6 goes by all of the address', () => {
  const cases: [string, readonly number[]][] = [
    ['192.168.1.10', [192, 168, 1]],
    ['::ffff:192.168.1.10', [192, 168, 1]],
    ['::ffff:c0a8:10a', [192, 168, 1]],
    ['2001:db8::1', [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
    ['::', new Array(16).fill(0)],
    ['1:2:3:4:5:6:7:8', [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]],
    ['fe80::1%eth0', [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
    ['64:ff9b::10.1.2.3', [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1, 2, 3]],
    ['unix:', [0, 0, 0]],
    ['', [0, 0, 0]],
    ['1.2.3', [0, 0, 0]],
    ['1.2.3.4.5', [0, 0, 0]],
    ['1:2', [0, 0, 0]],
  ]
  for (const [address, bytes] of cases) assert.equal(hashedBytes(address), bytes, address)
})

test.run()
