// A machine that was away, a Redis that was: what is recorded is taken over later, and nothing older ever.

import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FleetError } from '../../runtime/fleet/fleet.ts'
import { RedisServer } from '../lib/redis.ts'
import { writeFiles } from '../lib/temp.ts'
import { answering, Machine, until } from './machine.ts'

const SCRIPTS = 'sluice:{fleet}scripts'

let redis: RedisServer
let machines: Machine[] = []

test.before.each(async () => {
  redis = await RedisServer.start()
})

test.after.each(async () => {
  await Promise.all(machines.map((machine) => machine.stop()))
  machines = []
  await redis.stop()
})

async function start(name: string, settings: Parameters<typeof Machine.start>[2] = {}): Promise<Machine> {
  const machine = await Machine.start(name, redis, settings)
  machines.push(machine)
  return machine
}

async function startTwo(): Promise<[Machine, Machine]> {
  const both = [await start('a'), await start('b')] as const
  await both[0].sees(2)
  return [...both]
}

/** A machine ends, as its process would. */
async function end(machine: Machine): Promise<void> {
  machines = machines.filter((one) => one !== machine)
  await machine.stop()
}

/** Some machine logs it. */
function oneSays(pattern: RegExp): Promise<true> {
  return until(async () => machines.some(({ log }) => log.some((line) => pattern.test(line))) || null)
}

async function failure(work: Promise<unknown>): Promise<FleetError> {
  return work.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: FleetError) => error,
  )
}

test('a machine that comes back serves what was pushed while it was away', async () => {
  const [a, b] = await startTwo()
  await a.settled((await a.push(answering('two'))).id, 'serving')
  await end(b)
  await a.sees(1)
  const { id } = await a.push(answering('three'))
  await a.settled(id, 'serving')
  const again = await start('b', { folder: b.folder })
  await again.answers('three')
  assert.is(again.read('a.js'), answering('three'))
  const { machines: rows } = await a.settled(id, 'serving')
  assert.equal(
    rows.map(({ machine }) => machine),
    ['a', 'b'],
  )
})

test('a machine that starts without Redis serves what it has taken over, and catches up', async () => {
  const [a, b] = await startTwo()
  await a.settled((await a.push(answering('two'))).id, 'serving')
  await end(b)
  await redis.stop()
  const again = await start('b', { folder: b.folder })
  assert.is(await again.get(), 'two')
  assert.equal(await again.fleet.status(), {
    machine: 'b',
    connected: false,
    signed: false,
    machines: [],
    scripts: [],
  })
  const error = await failure(again.push(answering('three')))
  assert.is(error.code, 'unavailable')
  assert.is(await again.get(), 'two')
  await redis.start()
  await a.sees(2)
  await a.settled((await a.push(answering('three'))).id, 'serving')
  assert.is(await again.get(), 'three')
})

test('a Redis that does not answer keeps nobody waiting', async () => {
  const [a, b] = await startTwo()
  redis.pause()
  const started = performance.now()
  const error = await failure(a.push(answering('two')))
  redis.resume()
  assert.is(error.code, 'unavailable')
  assert.ok(performance.now() - started < 6000)
  assert.is(await a.get(), 'one')
  await until(async () => ((await a.push(answering('two')).catch(() => null)) === null ? null : true))
  await b.answers('two')
})

test('a Redis that has lost everything gets the records back, and versions go on from there', async () => {
  const [a, b] = await startTwo()
  await a.settled((await a.push(answering('two'))).id, 'serving')
  await redis.stop()
  await a.says(/\[warn\] fleet: redis .* is away; this machine goes on with the scripts it has/)
  assert.is(await a.get(), 'two')
  await redis.start()
  await until(async () => redis.command('hlen', SCRIPTS) === '1' || null)
  await a.sees(2)
  // The text that serves came back with the record; those before are lost.
  assert.match(
    (await failure(a.fleet.rollback('a.js', 'bob'))).message,
    'is not in Redis any more; push it again',
  )
  await b.settled((await b.push(answering('three'))).id, 'serving')
  assert.equal([await a.get(), await b.get()], ['three', 'three'])
  const [script] = (await a.fleet.status()).scripts
  assert.is(script.serial, 2)
  await a.settled((await a.fleet.rollback('a.js', 'bob')).id, 'serving')
  assert.equal([await a.get(), await b.get()], ['two', 'two'])
})

test('an older record is never taken over; the later one is put back', async () => {
  const [a, b] = await startTwo()
  await a.settled((await a.push(answering('two'))).id, 'serving')
  const older = redis.command('hget', SCRIPTS, 'a.js')
  await a.settled((await a.push(answering('three'))).id, 'serving')
  const later = redis.command('hget', SCRIPTS, 'a.js')
  redis.command('hset', SCRIPTS, 'a.js', older)
  redis.command('publish', 'sluice:{fleet}news', 'recorded 0123456789abcdef')
  await oneSays(/Redis had an older record of a\.js/)
  assert.is(redis.command('hget', SCRIPTS, 'a.js'), later)
  assert.equal([await a.get(), await b.get()], ['three', 'three'])
})

test('a file that is saved after a push is drift, until the next record', async () => {
  const [a, b] = await startTwo()
  await a.settled((await a.push(answering('two'))).id, 'serving')
  writeFiles(b.folder, { 'a.js': answering('saved') })
  await b.control.reloadScripts()
  // Until it says so itself, others see the difference alone.
  const said = /^version [0-9a-f]{12} serves: saved here, or gone back to$/
  await until(async () => (said.test((await b.told())?.drift['a.js'] ?? '') ? true : null))
  assert.is(await b.get(), 'saved')
  assert.equal((await a.fleet.status()).machines.find(({ machine }) => machine === 'a')?.drift, {})
  await a.settled((await a.push(answering('three'))).id, 'serving')
  assert.is(await b.get(), 'three')
  await until(async () => b.told().then((told) => (told?.drift['a.js'] === undefined ? true : null)))
})

test('what cannot be written is said by the machine that cannot, before anything changes', async () => {
  const [a, b] = await startTwo()
  rmSync(b.folder, { recursive: true })
  const rollout = await a.push(answering('two'))
  assert.is(rollout.state, 'refused')
  assert.match(rollout.reason, /^b: ENOENT/)
  assert.equal([await a.get(), await b.get()], ['one', 'one'])
})

test('a state that cannot be read is said, and the machine goes on', async () => {
  const a = await start('a')
  await a.sees(1)
  await a.settled((await a.push(answering('two'))).id, 'serving')
  await end(a)
  const file = a.path('sluice.fleet.json')
  assert.is(statSync(file).mode & 0o777, 0o600)
  for (const text of [
    '{',
    '[]',
    '{"machine":"../x","place":"","scripts":{}}',
    '{"machine":"a","place":"","scripts":{"a.js":{"serial":-1}}}',
  ]) {
    writeFileSync(file, text)
    const again = await start('a', { folder: a.folder })
    await again.says(
      /\[error\] fleet: .*sluice\.fleet\.json is no state of a fleet: .*; going on as a machine that has taken over nothing/,
    )
    assert.is(await again.get(), 'two')
    await end(again)
  }
})

test('a state that cannot be written is said, and the machine takes part', async () => {
  const a = await start('a', { state: 'no-folder/state.json' })
  await a.says(
    /\[warn\] fleet: .*no-folder\/state\.json cannot be written: .*; what this machine has taken over is forgotten/,
  )
  await a.sees(1)
  await a.settled((await a.push(answering('two'))).id, 'serving')
  assert.is(await a.get(), 'two')
  assert.not(existsSync(a.path('no-folder')))
})

test('a machine that moves to another fleet leaves behind what it had taken over', async () => {
  const a = await start('a')
  await a.sees(1)
  for (const text of ['two', 'three']) await a.settled((await a.push(answering(text))).id, 'serving')
  await end(a)
  const store = `redis://127.0.0.1:${redis.port} prefix=other:`
  const there = await start('there', { store })
  await there.sees(1)
  await there.settled((await there.push(answering('other'))).id, 'serving')
  const moved = await start('a', { folder: a.folder, store })
  await moved.says(
    /sluice\.fleet\.json is of another fleet \(redis single .* sluice:\); this machine takes over anew/,
  )
  await moved.says(/a\.js is not replaced: the fleet does not know its text/)
  assert.equal([await moved.get(), moved.read('a.js')], ['three', answering('three')])
  assert.is(await there.get(), 'other')
})

test('a machine joins and leaves by its configuration', async () => {
  const [a] = await startTwo()
  const alone = await start('alone', { store: 'memory' })
  assert.is(alone.fleet.on, false)
  assert.is((await failure(alone.push(answering('two')))).code, 'unavailable')
  assert.not(existsSync(alone.path('sluice.fleet.json')))
  await a.settled((await a.push(answering('two'))).id, 'serving')
  alone.config = alone.config.replace('store memory', `store redis://127.0.0.1:${redis.port}`)
  await alone.control.reload()
  await alone.answers('two')
  await a.sees(3)
  alone.config = alone.config.replace('script_fleet on', 'script_fleet off')
  await alone.control.reload()
  assert.is(alone.fleet.on, false)
  await a.sees(2)
  await a.settled((await a.push(answering('three'))).id, 'serving')
  assert.is(await alone.get(), 'two')
})

test('a script that is named through a link has its name all the same', async () => {
  const a = await start('a', {
    files: { 'release/a.js': answering('one') },
    link: ['current', 'release'],
    location: 'script current/a.js;',
  })
  await a.sees(1)
  await a.settled((await a.push(answering('two'))).id, 'serving')
  assert.is(await a.get(), 'two')
  assert.is(a.read('release/a.js'), answering('two'))
  assert.equal(Object.keys((await a.told())!.scripts), ['a.js'])
})

test('two machines of one name are told', async () => {
  await start('a')
  await start('a')
  await oneSays(/\[error\] fleet: another machine is called a, too/)
})

test('what is no record is not taken over, and does no harm', async () => {
  const [a, b] = await startTwo()
  await a.settled((await a.push(answering('two'))).id, 'serving')
  const good = redis.command('hget', SCRIPTS, 'a.js')
  const { record } = JSON.parse(good)
  const evil = (change: object) =>
    JSON.stringify({ record: { ...record, serial: 9, ...change }, signature: '' })
  const records: [name: string, text: string, why: RegExp][] = [
    ['a.js', 'x', /it is no JSON/],
    ['a.js', evil({ serial: 1e300 }), /the serial number is no number/],
    ['a.js', evil({ at: 8.64e15 + 1 }), /the time is no number/],
    ['a.js', evil({ live: { ...record.live, at: 9e15 } }), /the time of a version is no number/],
    ['a.js', evil({ name: 'b.js' }), /the record is of another script/],
    ['a.js', evil({ live: { ...record.live, digest: '../../x' } }), /a digest is malformed/],
    ['a.js', evil({ author: 'a\u001b[2J' }), /the author is no text/],
    ['a.js', evil({ earlier: Array(21).fill(record.live) }), /the list of versions is no list of at most 20/],
    ['a.js', evil({ canary: { ...record.live, percent: 10_001, key: '' } }), /its share is no number/],
    ['../../etc/passwd', evil({ name: '../../etc/passwd' }), /the name is no name of a script/],
  ]
  for (const [name, text, why] of records) {
    redis.command('hset', SCRIPTS, name, text)
    redis.command('publish', 'sluice:{fleet}news', 'recorded 0123456789abcdef')
    const line = await b.says(why)
    assert.match(line, /^\[error\] fleet: ".*" is not taken over: /)
  }
  redis.command('publish', 'sluice:{fleet}news', `asked ${'x'.repeat(10_000)}`)
  redis.command('hset', 'sluice:{fleet}machines', 'evil', '0123456789abcdef {"pid":"\u001b"}')
  redis.command('zadd', 'sluice:{fleet}beats', '99999999999999', 'evil')
  assert.equal([await a.get(), await b.get()], ['two', 'two'])
  redis.command('del', SCRIPTS)
  await until(async () => redis.command('hget', SCRIPTS, 'a.js') === good || null)
  const { machines: rows } = await a.fleet.status()
  assert.equal(
    rows.map(({ machine }) => machine),
    ['a', 'b'],
  )
})

test('a text that is another one than its hash says is not served', async () => {
  const [a, b] = await startTwo()
  const { id, digest } = await a.push(answering('two'))
  await a.settled(id, 'serving')
  const { record } = JSON.parse(redis.command('hget', SCRIPTS, 'a.js'))
  redis.command('set', `sluice:{fleet}text:${digest}`, answering('evil'))
  const forged = { ...record, serial: 2, id: '0123456789abcdef' }
  redis.command('hset', SCRIPTS, 'a.js', JSON.stringify({ record: forged, signature: '' }))
  redis.command('publish', 'sluice:{fleet}news', 'recorded 0123456789abcdef')
  await b.says(
    /a\.js, push of version .* cannot serve here: the text of version [0-9a-f]{12} is not in Redis/,
  )
  assert.is(await b.get(), 'two')
  assert.match(await until(async () => (await b.told())?.drift['a.js'] ?? null), /is not in Redis/)
  await a.settled((await a.push(answering('three'))).id, 'serving')
  assert.equal([await a.get(), await b.get()], ['three', 'three'])
})

test.run()
