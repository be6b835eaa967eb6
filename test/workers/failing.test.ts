// Workers that die, hang or lose their supervisor.

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { WorkerStatus } from '../../runtime/control.ts'
import { ask } from '../admin/site.ts'
import { freePort } from '../lib/ports.ts'
import { Crew, isAlive, Load, until } from './crew.ts'

const script = (name: string) =>
  `export function content(r) { r.return(200, '${name} ' + sluice.generation + ' ' + sluice.worker) }\n`
const SCRIPTED = 'location /s { script s.js; }'

test('a worker that is killed under load takes its own connections with it, and nothing else', async () => {
  const crew = await Crew.start(2, '')
  const [victim, other] = await crew.pids(2)
  const load = new Load(crew.port, 8)
  await until('load', () => load.requests > 200)
  process.kill(victim, 'SIGKILL')
  await crew.sluice.waitForLog(new RegExp(`\\[alert\\] .*worker process ${victim} exited on signal 9`))
  const pids = await crew.pids(2)
  assert.ok(pids.includes(other))
  assert.not.ok(pids.includes(victim))
  await load.stop()
  assert.equal(
    load.failures.filter(({ pid }) => pid !== victim && pid !== 0),
    [],
  )
  assert.ok(load.closed.every((pid) => pid === victim))
  assert.is(await crew.sluice.stop(), 0)
})

test('who takes its place serves what the others serve, whatever is on the disk', async () => {
  const crew = await Crew.start(2, `${SCRIPTED}`, { 's.js': script('one') }, 'script_watch off;')
  writeFileSync(crew.path('s.js'), script('two'))
  for (let round = 0; round < 2; round++) {
    const [victim] = await crew.pids(2)
    process.kill(victim, 'SIGKILL')
    await until('another one', async () => !(await crew.pids(2)).includes(victim))
    assert.equal((await crew.ofEach('/s', 2)).sort(), ['one 1 0', 'one 1 1'])
  }
  assert.is(await crew.sluice.stop(), 0)
})

test('all workers at once are replaced too', async () => {
  const crew = await Crew.start(2, SCRIPTED, { 's.js': script('one') }, 'script_watch off;')
  const victims = await crew.pids(2)
  writeFileSync(crew.path('s.js'), script('two'))
  for (const pid of victims) process.kill(pid, 'SIGKILL')
  await crew.sluice.waitForLog(/exited on signal 9[\s\S]*exited on signal 9/)
  await until('somebody answers', () =>
    crew.get('/who').then(
      () => true,
      () => false,
    ),
  )
  assert.equal((await crew.ofEach('/s', 2)).sort(), ['one 1 0', 'one 1 1'])
  assert.is(await crew.sluice.stop(), 0)
})

test('a worker that hangs is shown as silent, killed and replaced', async () => {
  const admin = await freePort()
  const crew = await Crew.start(2, '', {}, `admin 127.0.0.1:${admin};`)
  const [victim, other] = await crew.pids(2)
  process.kill(victim, 'SIGSTOP')
  const started = performance.now()
  const { workers } = (await ask(admin, 'GET', '/api/v1/status')).json
  assert.ok(performance.now() - started < 2500)
  assert.equal(
    workers.map(({ pid, state }: WorkerStatus) => `${pid} ${state}`).sort(),
    [`${victim} silent`, `${other} serving`].sort(),
  )
  assert.ok(workers.every(({ memory, generation }: WorkerStatus) => memory > 0 && generation === 1))
  await crew.sluice.waitForLog(
    new RegExp(`worker process ${victim} gives no sign of life and is killed`),
    0,
    12_000,
  )
  await crew.sluice.waitForLog(new RegExp(`worker process ${victim} exited on signal 9`))
  await until(
    'another one',
    () => (crew.sluice.errorLog().match(/start worker process \d/g) ?? []).length === 3,
  )
  assert.is((await crew.pids(2)).includes(victim), false)
  assert.is(await crew.sluice.stop(), 0)
})

test('without a supervisor, workers end what they have begun and go', async () => {
  const crew = await Crew.start(2, 'location /slow { script slow.js; }', {
    'slow.js': `export async function content(r) { r.log('slow begins'); await new Promise((done) => setTimeout(done, 500)); r.return(200, 'done') }\n`,
  })
  const pids = await crew.pids(2)
  const slow = crew.get('/slow')
  await crew.sluice.waitForLog(/slow begins/)
  crew.sluice.child.kill('SIGKILL')
  assert.is(await slow, 'done')
  await until('the workers end', () => !pids.some(isAlive))
})

test('signals of a terminal are for the supervisor alone', async () => {
  const crew = await Crew.start(2, '')
  const pids = await crew.pids(2)
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const)
    for (const pid of pids) process.kill(pid, signal)
  assert.equal((await crew.pids(2)).sort(), pids.sort())
  assert.is(await crew.sluice.stop('SIGINT'), 0)
  assert.not.ok(pids.some(isAlive))
})

test('USR1: all go on in new log files', async () => {
  const crew = await Crew.start(2, 'location /logged { access_log access.log; return 204; }')
  await crew.ofEach('/logged', 2)
  renameSync(crew.path('access.log'), crew.path('access.log.1'))
  crew.sluice.child.kill('SIGUSR1')
  await until('a new file', () => existsSync(crew.path('access.log')))
  await until('both write to it', async () => {
    await crew.ofEach('/logged?after', 2)
    return (readFileSync(crew.path('access.log'), 'latin1').match(/after/g) ?? []).length >= 2
  })
  assert.not.match(readFileSync(crew.path('access.log.1'), 'latin1'), 'after')
  assert.is(await crew.sluice.stop(), 0)
})

test.run()
