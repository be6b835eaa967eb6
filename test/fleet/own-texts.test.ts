// What a machine alone has: a text that was never pushed, or was saved by hand while the machine was away.

import { existsSync, readdirSync, statSync, unlinkSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FleetError } from '../../runtime/fleet/fleet.ts'
import { besideFile } from '../../runtime/fleet/own-texts.ts'
import { digestOf } from '../../runtime/fleet/record.ts'
import { RedisServer } from '../lib/redis.ts'
import { writeFiles } from '../lib/temp.ts'
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

async function start(name: string, settings: Parameters<typeof Machine.start>[2] = {}): Promise<Machine> {
  const machine = await Machine.start(name, redis, settings)
  machines.push(machine)
  return machine
}

async function end(machine: Machine): Promise<void> {
  machines = machines.filter((one) => one !== machine)
  await machine.stop()
}

/** A machine that has pushed these, one after the other. */
async function pushed(...texts: string[]): Promise<Machine> {
  const a = await start('a')
  await a.sees(1)
  for (const text of texts) await a.settled((await a.push(answering(text))).id, 'serving')
  return a
}

const kept = ({ folder }: Machine) => readdirSync(folder).filter((file) => file.includes('.before-fleet-'))
const beside = (text: string) => besideFile('a.js', digestOf(answering(text)))

async function failure(work: Promise<unknown>): Promise<FleetError> {
  return work.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: FleetError) => error,
  )
}

/** In the machine's own words. */
const driftOf = ({ fleet }: Machine, name: string) =>
  until(async () => {
    const found = (await fleet.status()).machines.find((one) => one.machine === name)
    const drift = found?.drift['a.js'] ?? null
    return drift?.endsWith('by what it has said last') ? null : drift
  })

test('a machine that joins with a text of its own keeps it, says so once, and is shown to differ', async () => {
  const a = await pushed('two')
  const own = answering('own')
  const b = await start('b', { files: { 'a.js': own } })
  const line = await b.says(/is not replaced/)
  const digest = (text: string) => digestOf(answering(text)).slice(0, 12)
  assert.match(line, `[warn] fleet: ${b.path('a.js')} is not replaced: the fleet does not know its text`)
  assert.match(line, `(version ${digest('own')}), and has version ${digest('two')} of a.js since 20`)
  assert.match(line, /Z by ann\. To give this machine's to all: sluice scripts push /)
  assert.match(
    line,
    /; to take the fleet's: sluice scripts adopt a\.js; to keep them apart: another prefix= of /,
  )
  assert.is(await driftOf(a, 'b'), `version ${digest('own')} is kept: the fleet does not know it`)
  await b.fleet.status()
  await b.control.reload()
  await until(async () => (b.gateway.generation.id >= 2 ? true : null))
  await driftOf(a, 'b')
  assert.equal([await b.get(), b.read('a.js'), kept(b)], ['own', own, []])
  assert.is(b.log.filter((one) => one.includes('is not replaced')).length, 1)
})

test('a script that was edited by hand while the machine was away is kept', async () => {
  const a = await pushed('two')
  const b = await start('b')
  await b.answers('two')
  await end(b)
  writeFiles(b.folder, { 'a.js': answering('edited') })
  await a.sees(1)
  await a.settled((await a.push(answering('three'))).id, 'serving')
  const again = await start('b', { folder: b.folder })
  await again.says(/is not replaced/)
  assert.equal([await again.get(), again.read('a.js')], ['edited', answering('edited')])
  // Back to what the fleet knows: it catches up by itself.
  writeFiles(b.folder, { 'a.js': answering('two') })
  await again.control.reloadScripts()
  await again.answers('three')
  assert.equal(kept(again), [])
})

test('what is saved on the disk and does not serve yet is kept, too', async () => {
  const a = await pushed('two')
  const b = await start('b')
  await b.answers('two')
  writeFiles(b.folder, { 'a.js': answering('half done') })
  await a.sees(2)
  await a.settled((await a.push(answering('three'))).id, 'serving')
  assert.is(await b.get(), 'three')
  assert.equal(kept(b), [beside('half done')])
  assert.is(b.read(beside('half done')), answering('half done'))
})

test('adopt takes over what is recorded, on this machine alone, and keeps what was there', async () => {
  const a = await pushed('two')
  const b = await start('b', { files: { 'a.js': answering('own') } })
  const c = await start('c', { files: { 'a.js': answering('other') } })
  await Promise.all([b, c].map((one) => one.says(/is not replaced/)))
  const { kept: files, generation, file } = await b.fleet.adopt('a.js')
  assert.equal([file, generation, files], [b.path('a.js'), 2, [b.path(beside('own'))]])
  assert.equal([await b.get(), b.read('a.js')], ['two', answering('two')])
  assert.is(b.read(beside('own')), answering('own'))
  assert.is(statSync(b.path(beside('own'))).mode & 0o777, statSync(b.path('a.js')).mode & 0o777)
  await b.says(
    /\[warn\] fleet: .*a\.js: version .*, which the fleet does not know, is replaced .*; it is kept in /,
  )
  assert.equal((await b.told())?.drift, {})
  assert.equal([await a.get(), await c.get()], ['two', 'other'])
  // Whatever was saved since then is given up as well.
  writeFiles(b.folder, { 'a.js': answering('saved') })
  await b.control.reloadScripts()
  assert.is(await b.get(), 'saved')
  await b.fleet.adopt('a.js')
  assert.is(await b.get(), 'two')
  assert.equal(kept(b).sort(), [beside('own'), beside('saved')].sort())
})

test('there is nothing to adopt where nothing is recorded', async () => {
  const a = await pushed()
  assert.match((await failure(a.fleet.adopt('a.js'))).message, /the fleet has recorded no version of .*a\.js/)
  assert.is((await failure(a.fleet.adopt('none.js'))).code, 'unknown')
})

test('a push replaces what is different on the machines that are there, and keeps it beside', async () => {
  const a = await pushed('two')
  const b = await start('b', { files: { 'a.js': answering('own') } })
  await b.says(/is not replaced/)
  await a.sees(2)
  const { id } = await a.push(answering('three'))
  assert.equal(statesOf(await a.settled(id, 'serving')), { a: 'serving', b: 'serving' })
  assert.is(await b.get(), 'three')
  assert.is(b.read(beside('own')), answering('own'))
  await b.says(/\[warn\] .*it is kept in .*before-fleet/)
  assert.equal(kept(a), [])
})

test('a machine gives its own text to all', async () => {
  const a = await pushed('two')
  const b = await start('b', { files: { 'a.js': answering('own') } })
  await b.says(/is not replaced/)
  await b.sees(2)
  await b.settled((await b.push(answering('own'))).id, 'serving')
  assert.equal([await a.get(), await b.get()], ['own', 'own'])
  assert.equal([...kept(a), ...kept(b)], [])
})

test('a machine that has missed more versions than are recorded catches up by itself', async () => {
  const a = await pushed('two')
  const b = await start('b')
  await b.answers('two')
  await end(b)
  await a.sees(1)
  for (let i = 0; i < 22; i++) await a.settled((await a.push(answering(`v${i}`))).id, 'serving')
  const [script] = (await a.fleet.status()).scripts
  assert.not(script.earlier.some(({ digest }) => digest === digestOf(answering('two'))))
  const again = await start('b', { folder: b.folder })
  await again.answers('v21')
  assert.equal(kept(again), [])
})

test('what cannot be kept is not replaced', async () => {
  const a = await pushed('two')
  const b = await start('b', { files: { 'a.js': answering('own') } })
  await b.says(/is not replaced/)
  writeFiles(b.folder, { [beside('own')]: 'something else' })
  assert.match((await failure(b.fleet.adopt('a.js'))).message, /EEXIST.*before-fleet/)
  await a.sees(2)
  assert.equal(statesOf(await a.settled((await a.push(answering('three'))).id, 'serving', 'failed')), {
    a: 'serving',
    b: 'failed',
  })
  assert.equal([await b.get(), b.read('a.js')], ['own', answering('own')])
})

test('a script file that was deleted is there again after a push', async () => {
  const a = await pushed('two')
  const b = await start('b')
  await b.answers('two')
  unlinkSync(b.path('a.js'))
  await a.sees(2)
  const { id } = await a.push(answering('three'))
  assert.equal(statesOf(await a.settled(id, 'serving')), { a: 'serving', b: 'serving' })
  assert.equal([await b.get(), b.read('a.js')], ['three', answering('three')])
  unlinkSync(b.path('a.js'))
  await b.settled((await b.push(answering('four'))).id, 'serving')
  assert.is(b.read('a.js'), answering('four'))
  // The very text that serves, too; on another machine once that has told of it.
  unlinkSync(a.path('a.js'))
  assert.is(await driftOf(b, 'a'), 'its file is gone; a push writes it anew')
  await b.settled((await b.push(answering('four'))).id, 'serving')
  assert.is(a.read('a.js'), answering('four'))
  unlinkSync(b.path('a.js'))
  const again = await b.push(answering('four'))
  await b.settled(again.id, 'serving')
  assert.ok(existsSync(b.path('a.js')))
})

test('the text that is recorded and serves everywhere is pushed without a roll-out', async () => {
  const a = await pushed('two')
  const b = await start('b')
  await b.answers('two')
  await a.sees(2)
  await until(async () => ((await b.told())?.scripts['a.js'] === digestOf(answering('two')) ? true : null))
  const same = await a.push(answering('two'))
  assert.equal([same.id, same.state, same.machines], ['', 'done', []])
  assert.is((await a.fleet.status()).scripts[0].serial, 1)
  writeFiles(b.folder, { 'a.js': answering('saved') })
  await b.control.reloadScripts()
  await driftOf(a, 'b')
  await a.settled((await a.push(answering('two'))).id, 'serving')
  assert.is(await b.get(), 'two')
})

test.run()
