// A version goes out to all machines, or to none.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FleetError } from '../../runtime/fleet/fleet.ts'
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

async function fleetOf(...names: string[]): Promise<Machine[]> {
  machines = await Promise.all(names.map((name) => Machine.start(name, redis)))
  await machines[0].sees(names.length)
  return machines
}

test('a version that is pushed to one machine serves on all, and is on their disks', async () => {
  const [a, b, c] = await fleetOf('a', 'b', 'c')
  const verdict = await a.push(answering('two'))
  assert.ok(['recorded', 'done'].includes(verdict.state))
  const rollout = await a.settled(verdict.id, 'serving')
  assert.is(rollout.state, 'done')
  assert.equal(
    rollout.machines.map(({ machine, generation }) => [machine, generation]),
    [
      ['a', 2],
      ['b', 2],
      ['c', 2],
    ],
  )
  for (const machine of [a, b, c]) {
    assert.is(await machine.get(), 'two')
    assert.is(machine.read('a.js'), answering('two'))
    assert.match(
      machine.log.join('\n'),
      /fleet: a\.js, push of version [0-9a-f]{12} by ann: generation 2 serves/,
    )
  }
  const { scripts } = await until(async () => {
    const status = await b.fleet.status()
    return status.scripts.length > 0 ? status : null
  })
  const [script] = scripts
  assert.equal([script.name, script.serial, script.live.author, script.live.kind], ['a.js', 1, 'ann', 'push'])
  assert.equal(
    script.earlier.map(({ author, kind }) => [author, kind]),
    [['', 'before']],
  )
})

test('what a machine has said of itself is compared with what was recorded since', async () => {
  const [a, b] = await fleetOf('a', 'b')
  await b.stop()
  machines.pop()
  const words = { pid: 1, version: '0.1.0', signs: false, scripts: { 'a.js': '0e'.repeat(32) }, drift: {} }
  redis.command('hset', 'sluice:{fleet}machines', 'frozen', `0123456789abcdef ${JSON.stringify(words)}`)
  redis.command('zadd', 'sluice:{fleet}beats', String(Date.now()), 'frozen')
  const driftOf = async () => (await a.fleet.status()).machines.find((one) => one.machine === 'frozen')?.drift
  assert.equal(await driftOf(), {})
  const rollout = await a.push(answering('two'))
  assert.equal(statesOf(await a.settled(rollout.id, 'serving', 'away')), { a: 'serving', frozen: 'away' })
  assert.equal(await driftOf(), { 'a.js': 'version 0e0e0e0e0e0e serves, by what it has said last' })
})

test('a file that is saved by hand is told of at once, long before the next sign of life', async () => {
  const a = await Machine.start('a', redis, { beat: 60_000 })
  machines = [a]
  await a.sees(1)
  await a.settled((await a.push(answering('two'))).id, 'serving')
  writeFiles(a.folder, { 'a.js': answering('saved') })
  await a.control.reloadScripts()
  const started = performance.now()
  await until(async () => ((await a.told())?.drift['a.js'] === undefined ? null : true))
  assert.ok(performance.now() - started < 1500)
})

test('what one machine refuses changes nowhere anything', async () => {
  const [a, b] = await fleetOf('a', 'b')
  machines.push(await Machine.start('c', redis, { files: { 'a.js': answering('one'), 'c.js': '' } }))
  await a.sees(3)
  const {
    state,
    reason,
    machines: rows,
    id,
  } = await a.push('export function content(r) {\n  r.return(200,, 1)\n}\n')
  assert.is(state, 'refused')
  assert.equal(
    rows.map((row) => row.state),
    ['refused', 'refused', 'refused'],
  )
  assert.ok(rows[1].reason.startsWith(`${b.path('a.js')}:2:`), rows[1].reason)
  assert.match(rows[1].reason, /\n.*r\.return\(200,, 1\)/)
  assert.match(reason, `b: ${b.path('a.js')}:2:`)
  assert.match(a.log.join('\n'), `fleet: roll-out ${id} of a.js by ann is refused: a: `)
  for (const machine of machines) {
    assert.is(await machine.get(), 'one')
    assert.is(machine.read('a.js'), answering('one'))
    assert.is(machine.gateway.generation.id, 1)
  }
  assert.equal((await a.fleet.status()).scripts, [])
})

test('one machine that could not serve by it is enough', async () => {
  const [a, b] = await fleetOf('a', 'b')
  machines.push(await Machine.start('c', redis, { files: { 'a.js': answering('one') } }))
  for (const { folder } of [a, b]) writeFiles(folder, { 'lib.js': 'export const text = "two"\n' })
  await a.sees(3)
  const rollout = await a.push(
    `import { text } from './lib.js'\nexport function content(r) { r.return(200, text) }\n`,
  )
  assert.is(rollout.state, 'refused')
  assert.equal(statesOf(rollout), { a: 'ready', b: 'ready', c: 'refused' })
  assert.match(rollout.reason, `c: ${machines[2].path('a.js')}:1:22: `)
  for (const machine of machines) assert.is(await machine.get(), 'one')
})

test('a machine without that script leaves it to the others; a name that none has is refused', async () => {
  const [a, b] = await fleetOf('a', 'b')
  const other = await Machine.start('c', redis, {
    files: { 'other.js': answering('other') },
    location: 'script other.js;',
  })
  machines.push(other)
  await a.sees(3)
  const { id } = await a.push(answering('two'))
  const rollout = await a.settled(id, 'serving', 'unused')
  assert.equal(statesOf(rollout), { a: 'serving', b: 'serving', c: 'unused' })
  assert.equal([await b.get(), await other.get()], ['two', 'other'])
  const none = await a.push(answering('x'), 'none.js')
  assert.is(none.state, 'refused')
  assert.is(none.reason, 'no machine has a script "none.js"; a has: a.js')
  // From a machine that does not have it itself.
  const third = await other.push(answering('three'))
  await other.settled(third.id, 'serving', 'unused')
  assert.equal([await a.get(), await b.get()], ['three', 'three'])
})

test('of two who push at the same time one is told so', async () => {
  const [a, b] = await fleetOf('a', 'b')
  const pushes = [a.push(answering('from a')), b.push(answering('from b'))]
  const results = await Promise.allSettled(pushes)
  const won = results.filter(({ status }) => status === 'fulfilled')
  const lost = results.find(({ status }) => status === 'rejected') as PromiseRejectedResult
  assert.is(won.length, 1)
  assert.is((lost.reason as FleetError).code, 'conflict')
  assert.match((lost.reason as FleetError).message, /^a\.js: somebody else has changed it/)
  const text = results[0].status === 'fulfilled' ? 'from a' : 'from b'
  for (const machine of [a, b]) await machine.answers(text)
})

test('all go back to the version before, and to the one before that', async () => {
  const [a, b] = await fleetOf('a', 'b')
  for (const text of ['two', 'three']) {
    const { id } = await a.push(answering(text))
    await a.settled(id, 'serving')
  }
  const first = await b.fleet.rollback('a.js', 'bob')
  await b.settled(first.id, 'serving')
  assert.equal([await a.get(), await b.get(), a.read('a.js')], ['two', 'two', answering('two')])
  const second = await a.fleet.rollback('a.js', 'bob')
  await a.settled(second.id, 'serving')
  assert.equal([await a.get(), await b.get()], ['one', 'one'])
  try {
    await a.fleet.rollback('a.js', 'bob')
    assert.unreachable()
  } catch (error) {
    assert.is((error as FleetError).code, 'unknown')
    assert.match((error as Error).message, 'no earlier version of a.js')
  }
})

test('what nobody waits for is looked at by its id', async () => {
  const [a, b] = await fleetOf('a', 'b')
  const { id, state } = await a.fleet.push({ name: 'a.js', text: answering('two'), author: 'ann' }, 'nothing')
  assert.is(state, 'asking')
  await b.settled(id, 'serving')
  assert.is(await b.get(), 'two')
  for (const unknown of ['0123456789abcdef', '../x', '']) {
    const error = await a.fleet.rollout(unknown).then(
      () => null,
      (reason: FleetError) => reason,
    )
    assert.is(error?.code, 'unknown')
  }
})

test('a module that scripts import is pushed by its own name; one of the standard library is not', async () => {
  const files = {
    'a.js': `import { text } from './lib/text.js'
import { crc32 } from 'sluice:hash'
export function content(r) { r.return(200, text + crc32('x').length) }\n`,
    'lib/text.js': 'export const text = "one"\n',
  }
  machines = await Promise.all(['a', 'b'].map((name) => Machine.start(name, redis, { files })))
  const [a, b] = machines
  await a.sees(2)
  await a.settled((await a.push('export const text = "two"\n', 'text.js')).id, 'serving')
  assert.match(await a.get(), /^two/)
  assert.is(await b.get(), await a.get())
  assert.is(b.read('lib/text.js'), 'export const text = "two"\n')
  const library = await a.push('export {}', 'hash.js')
  assert.is(library.reason, 'no machine has a script "hash.js"; a has: a.js, text.js')
})

test('what is no script of the fleet is not pushed', async () => {
  const [a] = await fleetOf('a')
  const tries: [name: string, text: string, code: string][] = [
    ['../sluice.conf', '', 'refused'],
    [a.path('b.js'), '', 'refused'],
    ['a.js', 'export {}\0', 'refused'],
    ['a.js', ' '.repeat(1024 * 1024 + 1), 'refused'],
  ]
  for (const [name, text, code] of tries) {
    const error = await a.push(text, name).then(
      () => null,
      (reason: FleetError) => reason,
    )
    assert.is(error?.code, code, name)
  }
  assert.is((await a.push(answering('two'), a.path('a.js'))).name, 'a.js')
})

test.run()
