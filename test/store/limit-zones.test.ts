// The zones of limit_req and limit_conn: nginx's arithmetic, on a clock that the test moves, and their bounds.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { LimitZoneModel } from '../../runtime/config/model.ts'
import { ConnectionZone } from '../../runtime/store/connection-zone.ts'
import { LimitZones } from '../../runtime/store/limit-zones.ts'
import { NO_ROOM, RateZone } from '../../runtime/store/rate-zone.ts'

const KIB = 1024
const WHERE = { file: '', line: 1, column: 1 }

function zoneAt(start: number, size = 1024 * KIB) {
  let ms = start
  const zone = new RateZone({ name: 'one', size, now: () => ms })
  return { zone, pass: (more: number) => (ms += more) }
}

test('excess grows by a request and drains with the rate', () => {
  const { zone, pass } = zoneAt(0)
  const take = () => zone.take('ann', 2000, 3000)
  assert.equal([take(), take(), take()], [0, 1000, 2000])
  pass(250)
  assert.is(take(), 2500)
  pass(100)
  // 2500 - 200 + 1000 is too much: it does not count.
  assert.is(take(), 3300)
  assert.is(take(), 3300)
  pass(150)
  assert.is(take(), 3000)
  pass(10_000)
  assert.is(take(), 0)
})

test('rates below one per second: thousandths that are not whole are cut off', () => {
  const { zone, pass } = zoneAt(0)
  zone.take('ann', 16, 1000)
  pass(999)
  assert.is(zone.take('ann', 16, 1000), 985)
})

test('a look counts nothing', () => {
  const { zone } = zoneAt(0)
  assert.is(zone.look('ann', 1000), 0)
  assert.is(zone.keys, 0)
  zone.take('ann', 1000, 0)
  assert.equal([zone.look('ann', 1000), zone.look('ann', 1000)], [1000, 1000])
})

test('keys are counted apart', () => {
  const { zone } = zoneAt(0)
  assert.equal(
    [zone.take('ann', 1000, 0), zone.take('bob', 1000, 0), zone.take('ann', 1000, 0)],
    [0, 0, 1000],
  )
})

test('a full zone forgets the key that has not come for longest', () => {
  // 32 KiB hold 7 pages of 32 states.
  const { zone } = zoneAt(0, 32 * KIB)
  for (let i = 0; i < 224; i++) zone.take(`key ${i}`, 1, 0)
  assert.is(zone.keys, 224)
  assert.is(zone.look('key 0', 1), 1000)
  zone.take('one more', 1, 0)
  assert.is(zone.keys, 224)
  assert.is(zone.look('key 1', 1), 0, 'the oldest has gone')
  assert.is(zone.look('key 0', 1), 1000, 'what was looked at stays')
})

test('a key that fits into no zone of this size cannot be counted', () => {
  const { zone } = zoneAt(0, 32 * KIB)
  zone.take('small', 1, 0)
  assert.is(zone.take('x'.repeat(40_000), 1, 0), NO_ROOM)
  assert.is(zone.keys, 1)
})

test('idle keys go when others come, two at a time', () => {
  const { zone, pass } = zoneAt(0)
  for (let i = 0; i < 5; i++) zone.take(`key ${i}`, 1000, 0)
  pass(60_000)
  zone.take('new', 1000, 0)
  assert.is(zone.keys, 4)
  zone.take('newer', 1000, 0)
  assert.is(zone.keys, 3)
})

test('a key with excess left does not go for being idle', () => {
  const { zone, pass } = zoneAt(0)
  for (let i = 0; i < 10; i++) zone.take('ann', 16, 100_000)
  pass(60_000)
  zone.take('new', 16, 0)
  assert.is(zone.keys, 2)
})

test('connections are admitted up to the limit, and each that ends makes room', () => {
  const zone = new ConnectionZone({ name: 'two', size: 32 * KIB })
  assert.equal(
    [zone.admit('ann', 2), zone.admit('ann', 2), zone.admit('ann', 2), zone.admit('bob', 2)],
    ['admitted', 'admitted', 'limited', 'admitted'],
  )
  zone.release('ann')
  assert.is(zone.admit('ann', 2), 'admitted')
  zone.release('ann')
  zone.release('ann')
  zone.release('bob')
  assert.is(zone.keys, 0)
  assert.throws(() => zone.release('ann'), /has admitted nothing of this key/)
})

test('a zone without room admits no further key, and those it has go on', () => {
  // 32 KiB hold 7 pages of 64 counts.
  const zone = new ConnectionZone({ name: 'two', size: 32 * KIB })
  for (let i = 0; i < 448; i++) assert.is(zone.admit(`key ${i}`, 2), 'admitted')
  assert.is(zone.admit('one more', 2), 'no room')
  assert.is(zone.admit('key 7', 2), 'admitted')
  zone.release('key 8')
  assert.is(zone.admit('one more', 2), 'admitted')
})

function model(name: string, key: string, size: number, kind: 'req' | 'conn' = 'req'): LimitZoneModel {
  const template = { text: key, parts: [key], where: WHERE }
  return { where: WHERE, kind, name, key: template, size, rate: 1000, sync: false }
}

test('a zone goes on in the next configuration unless its key, size or kind is another', () => {
  const before = new LimitZones(
    ['same', 'key', 'size', 'kind', 'gone'].map((name) => model(name, '$a', 64 * KIB)),
    null,
  )
  for (const name of ['same', 'key', 'size']) before.rate(name).zone.take('ann', 1000, 5000)
  const after = new LimitZones(
    [
      { ...model('same', '$a', 64 * KIB), rate: 5 },
      model('key', '$b', 64 * KIB),
      model('size', '$a', 65 * KIB),
      model('kind', '$a', 64 * KIB, 'conn'),
    ],
    before,
  )
  assert.is(after.rate('same').zone, before.rate('same').zone)
  assert.is(after.rate('same').model.rate, 5)
  for (const name of ['key', 'size']) assert.is(after.rate(name).zone.keys, 0, name)
  assert.is(after.connections('kind').zone.keys, 0)
  assert.throws(() => after.rate('gone'), /there is no limit_req_zone "gone"/)
  assert.throws(() => after.rate('kind'), /there is no limit_req_zone "kind"/)
})

test.run()
