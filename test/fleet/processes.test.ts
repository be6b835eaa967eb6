// Machines that are processes of their own, one of them with two workers, started by the command line.

import { readFileSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { digestOf } from '../../runtime/fleet/record.ts'
import { freePort } from '../lib/ports.ts'
import { type SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { RedisServer } from '../lib/redis.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { answering, Machine, until } from './machine.ts'

/** A machine whose scripts and state outlive its process. */
class Place {
  readonly folder = tempDir()
  readonly port: number
  readonly #config: string

  constructor(name: string, workers: number, port: number, prefix = 'sluice:') {
    writeFiles(this.folder, { 'a.js': answering('one') })
    this.port = port
    this.#config = `worker_processes ${workers}; http { access_log off; store redis://127.0.0.1:${redis.port} prefix=${prefix};
      script_fleet on name=${name} state=${join(this.folder, 'state.json')};
      server { listen 127.0.0.1:${port}; location / { script ${join(this.folder, 'a.js')}; } } }`
  }

  start(): Promise<SluiceProcess> {
    return startSluice(this.#config)
  }

  async get(path = '/?k=1'): Promise<string> {
    const client = new HttpClient(this.port)
    const { body } = await client.get(path)
    client.close()
    return body
  }

  /** On connections of all workers, as far as chance finds them. */
  async answersOf(times: number): Promise<Set<string>> {
    const answers = await Promise.all(Array.from({ length: times }, () => this.get()))
    return new Set(answers)
  }
}

let redis: RedisServer
let machine: Machine
let running: SluiceProcess[] = []

test.before(async () => {
  redis = await RedisServer.start()
  machine = await Machine.start('a', redis)
})

test.after(async () => {
  await Promise.all([machine.stop(), ...running.map((one) => one.stop())])
  await redis.stop()
})

test('versions and canaries go through supervisors to their workers, and outlive a reload and a restart', async () => {
  const crew = new Place('crew', 2, await freePort())
  const single = new Place('single', 1, await freePort())
  running = await Promise.all([crew.start(), single.start()])
  const [supervisor] = running
  await machine.sees(3)

  const pushed = await machine.push(answering('two'))
  await machine.settled(pushed.id, 'serving')
  assert.equal(await crew.answersOf(8), new Set(['two']))
  assert.is(await single.get(), 'two')
  await supervisor.waitForLog(
    /fleet: a\.js, push of version [0-9a-f]{12} by ann: generation 2 serves after \d+ ms/,
  )

  const broken = await machine.push('export function content(r) { r.return(200,, 1) }')
  assert.is(broken.state, 'refused')
  assert.match(broken.reason, `crew: ${join(crew.folder, 'a.js')}:1:`)
  assert.equal(await crew.answersOf(8), new Set(['two']))

  await machine.settled((await machine.canary(answering('new'))).id, 'serving')
  assert.equal(await crew.answersOf(8), new Set(['new']))
  await supervisor.reload(/generation \d+ serves after [\d.]+ ms\n/)
  assert.equal(await crew.answersOf(8), new Set(['new']))

  await supervisor.stop('SIGQUIT')
  await machine.sees(2)
  running[0] = await crew.start()
  assert.is(await crew.get(), 'new')
  await machine.sees(3)
  const back = await machine.fleet.removeCanary('a.js', 'ann', 'enough')
  await machine.settled(back.id, 'serving')
  assert.equal(await crew.answersOf(8), new Set(['two']))
})

test('a machine whose process is killed does not hold up the others, and catches up', async () => {
  const [, single] = running
  const killed = new Place('killed', 1, await freePort())
  const first = await killed.start()
  await machine.sees(4)
  await first.stop('SIGKILL')
  const rollout = await machine.push(answering('three'))
  assert.is(rollout.machines.find((one) => one.machine === 'killed')?.state, 'away')
  await machine.settled(rollout.id, 'serving', 'away')
  running.push(await killed.start())
  await until(async () => ((await killed.get()) === 'three' ? true : null))
  const { machines } = await machine.settled(rollout.id, 'serving')
  assert.is(machines.length, 4)
  assert.match(single.errorLog(), /by ann: generation \d+ serves/)
})

test('a canary that keeps a machine from starting is left out', async () => {
  const place = new Place('lone', 1, await freePort(), 'lone:')
  writeFiles(place.folder, { 'lib.js': 'export const text = "lib"\n' })
  const first = await place.start()
  await first.stop()
  // As if it had taken a canary over before.
  const text = `import { text } from './lib.js'\nexport function content(r) { r.return(200, text) }\n`
  const id = '0123456789abcdef'
  const canary = join(place.folder, `.a.fleet-canary-${id}.js`)
  const version = { digest: digestOf(text), author: 'ann', at: 1, kind: 'canary' }
  const record = {
    ...{ name: 'a.js', serial: 99, id, kind: 'canary', author: 'ann', at: 1, reason: '' },
    ...{ live: version, canary: { ...version, percent: 10_000, key: '' }, earlier: [] },
  }
  const state = JSON.parse(readFileSync(join(place.folder, 'state.json'), 'utf8'))
  const applied = { serial: 99, record: JSON.stringify({ record }), live: version.digest, canary }
  writeFiles(place.folder, {
    'state.json': JSON.stringify({ ...state, scripts: { 'a.js': applied } }),
    [`.a.fleet-canary-${id}.js`]: text,
  })
  const second = await place.start()
  assert.is(await place.get(), 'lib')
  await second.stop()
  unlinkSync(join(place.folder, 'lib.js'))
  const third = await place.start()
  running.push(third)
  await third.waitForLog(/fleet: going on without the canaries of the fleet: .*cannot import '\.\/lib\.js'/)
  assert.is.not(await place.get(), 'lib')
})

test.run()
