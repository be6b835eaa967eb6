// A version for a share of the keys of all machines: promoted, removed, or ended for all by the guard of one.

import { existsSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FleetError, FleetScript } from '../../runtime/fleet/fleet.ts'
import { RedisServer } from '../lib/redis.ts'
import { writeFiles } from '../lib/temp.ts'
import { answering, Machine, until } from './machine.ts'

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
  await machine.sees(machines.length)
  return machine
}

async function startTwo(): Promise<[Machine, Machine]> {
  return [await start('a'), await start('b')]
}

const KEYS = Array.from({ length: 40 }, (_, k) => `/?k=${k}`)

/** What every key is answered with. */
async function answersOf(machine: Machine): Promise<string[]> {
  const answers: string[] = []
  for (const path of KEYS) answers.push(await machine.get(path))
  return answers
}

function canaryFiles(machine: Machine): string[] {
  return readdirSync(machine.folder).filter((file) => file.includes('canary'))
}

async function scriptOf(machine: Machine, known: (script: FleetScript) => boolean): Promise<FleetScript> {
  return until(async () => (await machine.fleet.status()).scripts.find(known) ?? null)
}

async function failure(work: Promise<unknown>): Promise<FleetError> {
  return work.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: FleetError) => error,
  )
}

test('a canary serves the same share of the keys on all machines; promoted, it serves all', async () => {
  const [a, b] = await startTwo()
  const { id } = await a.canary(answering('new'), 3000)
  await a.settled(id, 'serving')
  const answers = await answersOf(a)
  const share = answers.filter((text) => text === 'new').length
  assert.ok(share > 3 && share < 25, `${share}`)
  assert.equal(answers.toSorted().at(0), 'new')
  assert.ok(answers.includes('one'))
  assert.equal(await answersOf(b), answers)
  assert.equal(a.read('a.js'), answering('one'))
  assert.equal(canaryFiles(b), [`.a.fleet-canary-${id}.js`])
  const { canary } = await scriptOf(b, (script) => script.canary !== null)
  assert.equal([canary!.percent, canary!.key, canary!.author], [3000, '$arg_k', 'ann'])
  assert.is((await failure(b.push(answering('three')))).code, 'conflict')
  assert.is(
    (await failure(b.fleet.rollback('a.js', 'bob'))).message,
    'a.js has a canary; promote or remove it first',
  )

  await b.settled((await b.fleet.promote('a.js', 'bob')).id, 'serving')
  for (const machine of [a, b]) {
    assert.equal(new Set(await answersOf(machine)), new Set(['new']))
    assert.is(machine.read('a.js'), answering('new'))
    assert.equal(canaryFiles(machine), [])
  }
  await a.settled((await a.fleet.rollback('a.js', 'bob')).id, 'serving')
  assert.equal([await a.get(), await b.get()], ['one', 'one'])
})

test('a canary stays over a reload, and over a restart without Redis; it can be removed', async () => {
  const [a, b] = await startTwo()
  await a.settled((await a.canary(answering('new'))).id, 'serving')
  assert.is(await b.get('/?k=1'), 'new')
  await b.control.reload()
  assert.is(await b.get('/?k=1'), 'new')
  machines = [a]
  await b.stop()
  await redis.stop()
  const again = await Machine.start('b', redis, { folder: b.folder })
  machines.push(again)
  assert.is(await again.get('/?k=1'), 'new')
  await redis.start()
  await a.sees(2)
  await a.settled((await a.fleet.removeCanary('a.js', 'bob', 'enough')).id, 'serving')
  for (const machine of [a, again]) {
    assert.is(await machine.get('/?k=1'), 'one')
    assert.equal(canaryFiles(machine), [])
  }
  await again.says(/remove of version [0-9a-f]{12} by bob \(enough\): generation \d+ serves/)
  const { code, message } = await failure(a.fleet.promote('a.js', 'bob'))
  assert.equal([code, message], ['unknown', 'the fleet has no canary of a.js'])
})

test('another canary takes the place of the one before', async () => {
  const [a, b] = await startTwo()
  await a.settled((await a.canary(answering('new'))).id, 'serving')
  const { id } = await b.canary(answering('newer'))
  await a.settled(id, 'serving')
  assert.equal([await a.get('/?k=1'), await b.get('/?k=1')], ['newer', 'newer'])
  assert.equal(canaryFiles(a), [`.a.fleet-canary-${id}.js`])
})

test('what the guard of one machine stops is ended on all', async () => {
  const [a, b] = await startTwo()
  const failing = `export function content(r) {
    if (r.args.fail) throw new Error('no')
    r.return(200, 'new')
  }\n`
  await a.settled((await a.canary(failing)).id, 'serving')
  assert.is(await b.get('/?k=1'), 'new')
  for (let i = 0; i < 60; i++) await a.get('/?k=1&fail=1')
  await b.says(/remove of version .* by a \(stopped on a: \d+ of \d+ hook calls failed/)
  await a.answers('one', '/?k=1')
  assert.is(await b.get('/?k=1'), 'one')
  const { canary } = await scriptOf(b, (script) => script.serial === 2)
  assert.is(canary, null)
  // The same text may be tried again.
  await a.settled((await a.canary(failing)).id, 'serving')
  assert.equal([await a.get('/?k=1'), await b.get('/?k=1')], ['new', 'new'])
})

test('a machine that cannot have the canary refuses it for all', async () => {
  const [a] = await startTwo()
  const own = await start('own', {
    files: { 'a.js': answering('one'), 'own.js': answering('own') },
    location: 'script a.js; script_canary own.js percent=10;',
  })
  const configured = await a.canary(answering('new'))
  assert.is(configured.state, 'refused')
  assert.match(configured.reason, `own: ${own.path('sluice.conf')}:2:`)
  assert.match(
    configured.reason,
    /the configuration has a canary of it already; remove this "script_canary" first$/,
  )
  const unknown = await a.canary(answering('new'), 100, '$nothing')
  assert.match(
    unknown.reason,
    'a: the key of the canary: this machine\'s configuration has no variable "$nothing"',
  )
  machines = machines.filter((machine) => machine !== own)
  await own.stop()
  writeFileSync(machines[1].path('a.js'), answering('saved'))
  await machines[1].control.reloadScripts()
  const differs = await a.canary(answering('new'))
  assert.match(differs.reason, /^b: .*a\.js: version [0-9a-f]{12} serves here, not [0-9a-f]{12}/)
  const broken = await a.canary('export function content(r) { r.return(200,, 1) }')
  assert.match(broken.reason, /^a: .*a\.js:1:\d+: /)
  assert.equal(canaryFiles(a), [])
  assert.is(await a.get('/?k=1'), 'one')
})

test('a canary imports what its script imports', async () => {
  const lib = { 'lib/text.js': 'export const text = "lib"\n' }
  const files = { 'scripts/a.js': answering('one'), 'scripts/lib/text.js': lib['lib/text.js'] }
  const a = await start('a', { files, location: 'script scripts/a.js;' })
  const text = `import { text } from './lib/text.js'\nexport function content(r) { r.return(200, text) }\n`
  await a.settled((await a.canary(text)).id, 'serving')
  assert.is(await a.get('/?k=1'), 'lib')
})

test('a canary whose file is gone comes back from Redis', async () => {
  const a = await start('a')
  const { id } = await a.canary(answering('new'))
  await a.settled(id, 'serving')
  machines = []
  await a.stop()
  unlinkSync(a.path(`.a.fleet-canary-${id}.js`))
  const again = await start('a', { folder: a.folder })
  await again.answers('new', '/?k=1')
  assert.ok(existsSync(again.path(`.a.fleet-canary-${id}.js`)))
})

test('a canary that the configuration has no room for any more is drift', async () => {
  const a = await start('a')
  await a.settled((await a.canary(answering('new'))).id, 'serving')
  writeFiles(a.folder, { 'own.js': answering('own') })
  a.config = a.config.replace('script a.js;', 'script a.js; script_canary own.js percent=100;')
  assert.ok((await a.control.reload()).swap !== null)
  assert.is(await a.get('/?k=1'), 'own')
  const drift = await until(async () => (await a.told())?.drift['a.js'] ?? null)
  assert.match(drift, /the configuration has a canary of it already/)
  assert.is(await a.get('/?k=1'), 'own')
})

test.run()
