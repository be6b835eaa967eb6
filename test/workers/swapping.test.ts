// A swap is one act for all workers: saved scripts, HUP, a rollback of a script that failed, a new version of the program.

import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Crew, isAlive, Load, until } from './crew.ts'

const script = (name: string) =>
  `export function content(r) { r.return(200, '${name} ' + sluice.generation + ' ' + sluice.worker) }\n`
const SCRIPTED = 'location /s { script s.js; }'

test('the supervisor says what nginx says, and writes the pid file when all workers serve', async () => {
  const crew = await Crew.start(2, '')
  const { sluice } = crew
  const pids = await crew.pids(2)
  assert.is(readFileSync(crew.path('sluice.pid'), 'latin1'), `${sluice.pid}\n`)
  assert.not.ok(pids.includes(sluice.pid))
  const log = sluice.errorLog()
  assert.match(log, `[notice] ${sluice.pid}#0: start worker processes`)
  for (const pid of pids) assert.match(log, `[notice] ${sluice.pid}#0: start worker process ${pid}`)
  assert.is(await sluice.stop('SIGQUIT'), 0)
  const end = sluice.errorLog()
  for (const pid of pids) {
    assert.match(end, `[notice] ${pid}#0: gracefully shutting down`)
    assert.match(end, `[notice] ${sluice.pid}#0: worker process ${pid} exited with code 0`)
    assert.not.ok(isAlive(pid))
  }
})

test('each worker has its number, and all have the same generation', async () => {
  const crew = await Crew.start(3, SCRIPTED, { 's.js': script('one') })
  assert.equal((await crew.ofEach('/s', 3)).sort(), ['one 1 0', 'one 1 1', 'one 1 2'])
  assert.is(await crew.sluice.stop(), 0)
})

test('a saved script serves in four workers at once, within 200 ms, and no request is lost', async () => {
  const crew = await Crew.start(4, SCRIPTED, { 's.js': script('v0') })
  const load = new Load(crew.port, 8, '/s')
  await until('load', () => load.requests > 100)
  const times: number[] = []
  for (let n = 1; n <= 8; n++) {
    const from = crew.sluice.errorLog().length
    writeFileSync(crew.path('s.js'), script(`v${n}`))
    const [, took] = await crew.sluice.waitForLog(/generation \d+ serves after ([\d.]+) ms/, from)
    times.push(Number(took))
    assert.equal(
      (await crew.ofEach('/s', 4)).map((text) => text.slice(0, -2)),
      Array(4).fill(`v${n} ${n + 1}`),
    )
  }
  await load.stop()
  assert.equal([load.failures, load.closed], [[], []])
  assert.ok(Math.min(...times) < 200, `ms: ${times}`)
  assert.is(await crew.sluice.stop(), 0)
})

test('HUP under load: every worker serves by the new configuration, and no request is lost', async () => {
  const crew = await Crew.start(2, 'location /v { return 200 one; }')
  const load = new Load(crew.port, 8)
  await until('load', () => load.requests > 100)
  const before = (await crew.pids(2)).sort()
  await crew.reload((config) => config.replace('200 one', '200 two'))
  assert.equal(await crew.ofEach('/v', 2), ['two', 'two'])
  assert.equal((await crew.pids(2)).sort(), before)
  await load.stop()
  assert.equal([load.failures, load.closed], [[], []])
  assert.is(await crew.sluice.stop(), 0)
})

test('a configuration that is wrong changes nothing, and is told of once', async () => {
  const crew = await Crew.start(3, 'location /v { return 200 one; }')
  assert.match(await crew.reload((config) => config.replace('return 200 one', 'retrun 200 two')), 'emerg')
  assert.match(crew.sluice.errorLog(), /sluice\.conf:\d+:\d+: unknown directive "retrun"/)
  assert.equal(await crew.ofEach('/v', 3), ['one', 'one', 'one'])
  assert.is(await crew.sluice.stop(), 0)
})

test('a script that cannot be loaded changes nothing, and is told of once', async () => {
  const crew = await Crew.start(3, SCRIPTED, { 's.js': script('one') })
  writeFileSync(crew.path('s.js'), 'export function content(r) {')
  await crew.sluice.waitForLog(/the scripts of generation 1 stay/)
  await new Promise((next) => setTimeout(next, 100))
  const told = crew.sluice.errorLog().match(/s\.js:1:\d+: .*/g)
  assert.is(told?.length, 1, String(told))
  assert.equal((await crew.ofEach('/s', 3)).sort(), ['one 1 0', 'one 1 1', 'one 1 2'])
  assert.is(await crew.sluice.stop(), 0)
})

test('a script that one worker takes out of service is out of service in all', async () => {
  const hanging = (name: string) =>
    `export function content(r) { if (r.args.hang !== undefined) for (;;) {}\n r.return(200, '${name}') }\n`
  const crew = await Crew.start(
    3,
    'script_limits cpu=20ms; script_eject_after 1; location /s { script s.js; }',
    {
      's.js': hanging('good'),
    },
  )
  assert.is(await crew.get('/s'), 'good')
  for (const _ of await crew.ofEach('/s', 3));
  writeFileSync(crew.path('s.js'), hanging('bad'))
  await crew.sluice.waitForLog(/generation 2 serves/)
  assert.equal(await crew.ofEach('/s', 3), ['bad', 'bad', 'bad'])
  await crew.get('/s?hang')
  await until('all go back', async () => (await crew.ofEach('/who', 3)).every((who) => who.endsWith(' 3')))
  assert.equal(await crew.ofEach('/s', 3), ['good', 'good', 'good'])
  assert.is(crew.sluice.errorLog().match(/is ejected/g)?.length, 1)
  assert.is(await crew.sluice.stop(), 0)
})

test.run()
