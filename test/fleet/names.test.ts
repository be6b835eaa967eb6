// Machines that call one file by different names, since one of them has another file of the same name.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Bindings } from '../../runtime/fleet/bindings.ts'
import type { FleetRecord } from '../../runtime/fleet/record.ts'
import { RedisServer } from '../lib/redis.ts'
import { answering, Machine, statesOf, until } from './machine.ts'

let redis: RedisServer
let machines: Machine[] = []

test.before(async () => {
  redis = await RedisServer.start()
})

test.after(() => redis.stop())

test.after.each(async () => {
  await Promise.all(machines.map((machine) => machine.stop()))
  machines = []
  redis.command('flushall')
})

async function start(name: string, settings: Parameters<typeof Machine.start>[2]): Promise<Machine> {
  const machine = await Machine.start(name, redis, settings)
  machines.push(machine)
  return machine
}

/** Calls its script `a.js`. */
const ONE = { files: { 'chat/a.js': answering('one') }, location: 'script chat/a.js;' }
/** Calls them `chat/a.js` and `zoo/a.js`. */
const TWO = {
  files: { 'chat/a.js': answering('one'), 'zoo/a.js': 'export function log(r) {}\n' },
  location: 'script chat/a.js; script zoo/a.js;',
}

const record = (name: string, serial: number, at: number, id: string) =>
  ({ name, serial, at, id: id.repeat(16) }) as FleetRecord

test('of several records of one file the one with the highest number counts, then the latest', () => {
  const names = { only: (name: string) => (name === 'none.js' ? null : '/srv/a.js') }
  const bound = (...records: FleetRecord[]) => new Bindings(records, names)
  const [low, high, late] = [
    record('a.js', 1, 9, 'a'),
    record('chat/a.js', 2, 1, 'b'),
    record('x/a.js', 2, 2, 'c'),
  ]
  for (const all of [
    [low, high],
    [high, low],
  ])
    assert.is(bound(...all).of('/srv/a.js'), high)
  const all = bound(low, late, high, record('none.js', 9, 9, 'd'))
  assert.is(all.nameOf('/srv/a.js'), 'x/a.js')
  assert.equal(all.all('/srv/a.js'), [late, high, low])
  assert.equal(
    [low, high, late].map((one) => all.superseder(one)),
    ['x/a.js', 'x/a.js', ''],
  )
  assert.is(all.superseder(record('none.js', 9, 9, 'd')), '')
  assert.equal([all.of('/srv/b.js'), all.nameOf('/srv/b.js')], [null, null])
})

test('a fresh machine ends with the newest text, whatever names it was pushed by', async () => {
  const a = await start('a', ONE)
  await a.sees(1)
  await a.settled((await a.push(answering('two'))).id, 'serving')
  const b = await start('b', TWO)
  await a.sees(2)
  // "a.js" may be two files on b: it pushes by the longer name.
  const pushed = await b.push(answering('three'), 'chat/a.js')
  assert.equal(statesOf(await b.settled(pushed.id, 'serving')), { a: 'serving', b: 'serving' })
  assert.equal([await a.get(), await b.get()], ['three', 'three'])
  const fresh = await start('c', ONE)
  await fresh.answers('three')
  await fresh.sees(3)
  assert.is(fresh.gateway.generation.id, 2)
  const { scripts } = await fresh.fleet.status()
  assert.equal(scripts.map(({ name, supersededBy }) => [name, supersededBy]).sort(), [
    ['a.js', 'chat/a.js'],
    ['chat/a.js', ''],
  ])
  await until(async () => {
    const { machines: rows } = await a.fleet.status()
    return rows.length === 3 && rows.every(({ drift }) => Object.keys(drift).length === 0) ? true : null
  })
  // What is recorded by the longer name goes on by it, though this machine calls it otherwise.
  assert.is(a.fleet.recordedName('a.js'), 'chat/a.js')
  const next = await a.push(answering('four'), 'a.js')
  assert.is(next.name, 'chat/a.js')
  await a.settled(next.id, 'serving')
  assert.equal([await a.get(), await b.get(), await fresh.get()], ['four', 'four', 'four'])
  await a.settled((await a.fleet.rollback('a.js', 'bob')).id, 'serving')
  assert.equal([await a.get(), await b.get(), await fresh.get()], ['three', 'three', 'three'])
})

test('an older record by another name is not taken over while Redis has lost the newer one', async () => {
  const a = await start('a', ONE)
  await a.sees(1)
  await a.settled((await a.push(answering('two'))).id, 'serving')
  const older = redis.command('hget', 'sluice:{fleet}scripts', 'a.js')
  const b = await start('b', TWO)
  await a.sees(2)
  await b.settled((await b.push(answering('three'), 'chat/a.js')).id, 'serving')
  const fresh = await start('c', ONE)
  await fresh.answers('three')
  await machines.shift()!.stop()
  await machines.shift()!.stop()
  redis.command('del', 'sluice:{fleet}scripts')
  redis.command('hset', 'sluice:{fleet}scripts', 'a.js', older)
  redis.command('publish', 'sluice:{fleet}news', 'recorded 0123456789abcdef')
  await fresh.says(/Redis had no record of chat\/a\.js/)
  await until(async () => ((await fresh.fleet.status()).scripts.length === 2 ? true : null))
  assert.equal([await fresh.get(), fresh.gateway.generation.id], ['three', 2])
})

test('serial numbers grow over all names, so that the newest is the newest', async () => {
  const a = await start('a', ONE)
  await a.sees(1)
  for (const text of ['two', 'three', 'four']) await a.settled((await a.push(answering(text))).id, 'serving')
  const b = await start('b', TWO)
  await a.sees(2)
  await b.settled((await b.push(answering('five'), 'chat/a.js')).id, 'serving')
  const { scripts } = await b.fleet.status()
  assert.equal(scripts.map(({ serial }) => serial).sort(), [3, 4])
  assert.is(await a.get(), 'five')
})

test('a name that is ambiguous on one machine keeps nobody else from changing', async () => {
  const a = await start('a', ONE)
  const b = await start('b', TWO)
  await a.sees(2)
  const { id } = await a.push(answering('two'))
  const rollout = await a.settled(id, 'serving', 'unused')
  assert.equal(statesOf(rollout), { a: 'serving', b: 'unused' })
  const [, { reason }] = rollout.machines
  assert.is(
    reason,
    '"a.js" may be any of chat/a.js, zoo/a.js here, and changes none of them; push by one of those names',
  )
  await b.says(/\[warn\] fleet: "a\.js" may be any of/)
  assert.equal([await a.get(), await b.get()], ['two', 'one'])
  const told = await until(async () => (await b.told())?.drift['a.js'] ?? null)
  assert.is(told, reason)
  // Where nobody knows which is meant, it is refused.
  await machines.shift()!.stop()
  await b.sees(1)
  const error = await b.push(answering('three')).catch((why: Error) => why)
  assert.match((error as Error).message, '"a.js" may be any of chat/a.js, zoo/a.js')
})

test.run()
