// Counting tries, taking what a hook chose, and handing a group over to the one that replaces it.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { UpstreamGroup } from '../../runtime/upstream/group.ts'
import { implicitGroup } from '../../runtime/upstream/options.ts'
import { begin, group, request, requests, tries, world } from './groups.ts'

test('tries: peers that are not down, backups included', () => {
  const selection = group('round_robin', ['a', 'b down', 'c', 'x backup', 'y backup down']).select('')
  const left: number[] = [selection.tries]
  for (let i = 0; i < 3; i++) {
    selection.release(begin(selection), 'failed')
    left.push(selection.tries)
  }
  assert.equal(left, [3, 2, 1, 0])
  assert.is(selection.next(), null)
  assert.is(selection.tries, 0)
})

test('a group of one has one try', () => {
  const selection = group('round_robin', ['a']).select('')
  assert.is(selection.tries, 1)
  selection.release(begin(selection), 'failed')
  assert.is(selection.tries, 0)
})

test('a try on a connection that had been closed is given back, also to the only peer', () => {
  const only = group('round_robin', ['a']).select('')
  only.release(begin(only), 'failed')
  only.giveBackTry()
  assert.is(only.tries, 1)
  assert.is(begin(only).name, 'a')
  const two = group('round_robin', ['a', 'b']).select('')
  two.release(begin(two), 'failed')
  two.giveBackTry()
  assert.is(two.tries, 2)
  assert.is(begin(two).name, 'b')
})

test('proxy_next_upstream_tries caps, 0 does not', () => {
  const selection = group('round_robin', ['a', 'b', 'c']).select('')
  selection.capTries(2)
  assert.is(selection.tries, 2)
  selection.capTries(0)
  assert.is(selection.tries, 3)
  selection.capTries(9)
  assert.is(selection.tries, 3)
})

test('setMoreTries: that many after the one that is about to begin, within the cap', () => {
  const selection = group('round_robin', ['a', 'b', 'c']).select('')
  selection.setMoreTries(0)
  assert.is(selection.tries, 1)
  selection.setMoreTries(5)
  assert.is(selection.tries, 6)
  selection.release(begin(selection), 'failed')
  selection.setMoreTries(1)
  assert.is(selection.tries, 2)
  selection.capTries(2)
  selection.setMoreTries(9)
  assert.is(selection.tries, 1, 'one of two is spent')
  for (const bad of [-1, 0.5, Number.NaN, Infinity]) {
    assert.throws(() => selection.setMoreTries(bad), /whole number from 0 on/)
  }
})

test('setMoreTries lets a hook try the only peer again', () => {
  const selection = group('round_robin', ['a']).select('')
  selection.setMoreTries(1)
  assert.is(selection.tries, 2)
  selection.release(begin(selection), 'failed')
  assert.is(selection.tries, 1)
  assert.is(begin(selection).name, 'a')
})

test('take: any peer, also one that is down or was tried', () => {
  const from = group('round_robin', ['a', 'b down'])
  const selection = from.select('')
  assert.is(selection.previous, 0)
  assert.is(selection.take(1).name, 'b')
  assert.is(selection.take(1).name, 'b')
  assert.is(selection.previous, 2)
  assert.is(from.peers[1]!.connections, 2)
  assert.is(begin(selection).name, 'a')
})

test('take: what is no index is refused', () => {
  const selection = group('round_robin', ['a', 'b']).select('')
  for (const bad of [2, -1, 0.5, Number.NaN, Infinity, 2 ** 32]) {
    assert.throws(
      () => selection.take(bad),
      (error: unknown) => error instanceof RangeError,
    )
  }
  assert.is(selection.previous, 0)
})

test('peek takes nothing', () => {
  const from = group('least_conn', ['a', 'b'])
  const selection = from.select('')
  assert.is(selection.peek('least_conn', ''), 0)
  assert.is(from.peers[0]!.connections, 0)
  assert.is(selection.previous, 0)
  assert.is(selection.peek('round_robin', ''), 1, 'but the turn of the round robin has advanced')
})

test('a group that can never work is refused', () => {
  assert.throws(() => group('round_robin', []), /^no servers in upstream "app"$/)
  assert.throws(() => group('round_robin', ['x backup']), /^no servers in upstream "app"$/)
  for (const weight of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => group('round_robin', [`a weight=${weight}`]), /weight of "a" in upstream "app"/)
  }
  for (const method of ['hash', 'hash consistent', 'ip_hash', 'random', 'random two'] as const) {
    assert.throws(() => group(method, ['a', 'x backup']), /does not allow backup servers/)
  }
})

test('proxy_pass without an upstream block: its addresses take turns', () => {
  const from = new UpstreamGroup(
    implicitGroup('localhost:80', [{ text: '[::1]:80' }, { text: '127.0.0.1:80' }]),
  )
  assert.is(requests(from, 3), '[::1]:80 127.0.0.1:80 [::1]:80')
})

test('the group keeps real time when it is given no clock', () => {
  const from = new UpstreamGroup(implicitGroup('a', [{ text: 'a' }, { text: 'b' }]))
  assert.is(request(from, 'failed'), 'a')
  assert.ok(Math.abs(from.peers[0]!.accessed - Date.now() / 1000) < 5)
  assert.is(requests(from, 2), 'b b')
})

test('a reload keeps what is known of an address, in either direction of time', () => {
  const held = world()
  const old = group('round_robin', ['gone', 'a', 'b'], held)
  const inFlight = old.select('')
  const peer = inFlight.take(2)
  const failed = old.select('')
  failed.release(failed.take(1), 'failed')

  const next = group('least_conn', ['b weight=3', 'a', 'new'], held)
  next.adopt(old)
  assert.equal(
    next.peers.map((p) => [p.name, p.connections, p.fails]),
    [
      ['b', 1, 0],
      ['a', 0, 1],
      ['new', 0, 0],
    ],
  )
  assert.is(requests(next, 2), 'new new', 'a rests, b is busy')

  const third = group('round_robin', ['b', 'c'], held)
  third.adopt(next)
  inFlight.release(peer, 'failed')
  assert.equal(
    [peer, third.peers[0]!].map((p) => [p.connections, p.fails]),
    [
      [0, 1],
      [0, 1],
    ],
  )
  assert.is(tries(inFlight, 1), 'gone', 'the old request may still try its old peers')
  const late = old.select('')
  late.take(2)
  assert.is(third.peers[0]!.connections, 1)
})

test('an address that is listed twice is handed over in order', () => {
  const old = group('round_robin', ['a', 'a'])
  old.select('').take(1)
  const next = group('round_robin', ['a', 'a', 'a'])
  next.adopt(old)
  assert.equal(
    next.peers.map((peer) => peer.connections),
    [0, 1, 0],
  )
})

test.run()
