// `Control` means the same for one process and for a supervisor with its workers.

import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseConfig } from '../../runtime/config/parse.ts'
import type { Control, ReloadResult } from '../../runtime/control.ts'
import { createGateway } from '../../runtime/gateway.ts'
import { GatewayControl } from '../../runtime/gateway-control.ts'
import { Supervisor } from '../../runtime/supervisor/supervisor.ts'
import { freePort } from '../lib/ports.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { isAlive } from './crew.ts'

const script = (name: string) => `export function content(r) { r.return(200, '${name}') }\n`

interface Controlled {
  readonly control: Control
  readonly folder: string
  readonly port: number
  readonly config: string
  readonly workers: number
}

async function start(workers: number): Promise<Controlled> {
  const folder = tempDir()
  const port = await freePort()
  const config = `worker_processes ${workers}; error_log error.log info;
http { access_log off; script_watch off;
  upstream u { zone u; server 127.0.0.1:1 weight=3; server 127.0.0.1:2 backup; }
  server { listen 127.0.0.1:${port}; location /s { script s.js; } location /u { proxy_pass http://u; } }
}`
  writeFiles(folder, { 'sluice.conf': config, 's.js': script('one') })
  const load = () => parseConfig({ file: join(folder, 'sluice.conf'), prefix: folder })
  const { model, files } = load()
  if (workers > 1) {
    const supervisor = new Supervisor({ model: model!, files, prefix: folder, load })
    await supervisor.start()
    return { control: supervisor, folder, port, config, workers }
  }
  const gateway = createGateway(model!, { prefix: folder })
  await gateway.listen()
  return { control: new GatewayControl(gateway, load, files), folder, port, config, workers }
}

async function get(port: number, path: string): Promise<string> {
  const client = new HttpClient(port)
  const { body } = await client.get(path)
  client.close()
  return body
}

/** What many connections are answered, which all workers have a part in. */
async function answers(port: number): Promise<string[]> {
  return [...new Set(await Promise.all(Array.from({ length: 12 }, () => get(port, '/s'))))]
}

const message = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'it was not refused',
    (error: Error) => error.message,
  )

for (const workers of [1, 2]) {
  const name = workers === 1 ? 'one process' : 'two workers'

  test(`${name}: status`, async () => {
    const { control, port } = await start(workers)
    await answers(port)
    const status = await control.status()
    assert.is(status.pid, process.pid)
    assert.is(status.generation, 1)
    assert.equal(status.addresses, [`127.0.0.1:${port}`])
    assert.equal(
      status.workers.map(({ worker, state, generation }) => ({ worker, state, generation })),
      Array.from({ length: workers }, (_, worker) => ({ worker, state: 'serving', generation: 1 })),
    )
    assert.is(
      status.workers.reduce((sum, { requests }) => sum + requests, 0),
      12,
    )
    for (const { pid, memory } of status.workers) assert.ok(isAlive(pid) && memory > 1e6)
    const [{ calls, digest }] = await control.scripts()
    assert.is(calls, 12)
    assert.match(digest, /^[0-9a-f]{16}$/)
    const [u] = await control.upstreams()
    assert.equal(
      [u.name, u.shared, u.peers.map(({ address, weight, backup }) => [address, weight, backup])],
      [
        'u',
        true,
        [
          ['127.0.0.1:1', 3, false],
          ['127.0.0.1:2', 1, true],
        ],
      ],
    )
    await control.stop(true)
    await assertClosed(port)
  })

  test(`${name}: saves, a rollback, and what is refused`, async () => {
    const { control, folder, port } = await start(workers)
    const file = join(folder, 's.js')
    assert.is(await control.reloadScripts(), null)
    assert.match(await message(control.rollback(file)), 'no earlier version')
    writeFileSync(file, script('two'))
    assert.is((await control.reloadScripts())?.generation, 2)
    assert.equal(await answers(port), ['two'])
    writeFileSync(file, 'export function content(r) {')
    assert.match(await message(control.reloadScripts()), /s\.js:1:/)
    assert.equal(await answers(port), ['two'])
    assert.is((await control.rollback()).generation, 3)
    assert.equal(await answers(port), ['one'])
    assert.equal(
      (await control.history()).map(({ generation, reason }) => [generation, reason]),
      [
        [1, 'start'],
        [2, 'save'],
        [3, 'rollback'],
      ],
    )
    assert.is(control.generation.id, 3)
    await control.stop(false)
    await assertClosed(port)
  })

  test(`${name}: a reload, and one that is refused`, async () => {
    const { control, folder, port, config } = await start(workers)
    writeFileSync(join(folder, 'sluice.conf'), config.replace('location /s', 'lokation /s'))
    const refused = await control.reload()
    assert.is(refused.swap, null)
    assert.match(refused.problems[0].message, 'unknown directive "lokation"')
    writeFileSync(join(folder, 'sluice.conf'), config.replace('error.log', '/nowhere/at/all/error.log'))
    assert.match(await message(control.reload()), '/nowhere/at/all/error.log')
    writeFileSync(join(folder, 'sluice.conf'), config.replace('script s.js', 'return 200 reloaded'))
    assert.is((await control.reload()).swap?.generation, 2)
    assert.equal(await answers(port), ['reloaded'])
    rmSync(join(folder, 'sluice.conf'))
    assert.is((await control.reload()).swap, null)
    await control.stop(false)
  })

  test(`${name}: a reload during another one comes after it, and so does what changes beside it`, async () => {
    const { control, folder, port, config } = await start(workers)
    const write = (from: string, to: string) =>
      writeFileSync(join(folder, 'sluice.conf'), config.replace(from, to))
    const steps: string[] = []
    const later: Promise<ReloadResult>[] = []
    control.companion = {
      async prepare() {
        steps.push('prepare')
        write('script s.js', 'return 200 reloaded')
        if (later.length < 2) later.push(control.reload())
        return { commit: () => void steps.push('commit'), discard: () => void steps.push('discard') }
      },
    }
    write('error.log', '/nowhere/at/all/error.log')
    assert.match(await message(control.reload()), '/nowhere/at/all/error.log')
    const first = await later[0]
    assert.equal([first.swap?.generation, (await later[1]).swap?.generation], [2, 3])
    assert.equal(steps, ['prepare', 'discard', 'prepare', 'commit', 'prepare', 'commit'])
    assert.equal(await answers(port), ['reloaded'])
    await control.stop(false)
  })

  test(`${name}: what throws before the commit keeps the generation from serving`, async () => {
    const { control, folder, port } = await start(workers)
    writeFileSync(join(folder, 's.js'), script('two'))
    const refused = control.swap({ kind: 'save' }, () => {
      throw new Error('not now')
    })
    assert.is(await message(refused), 'not now')
    assert.equal(await answers(port), ['one'])
    assert.is((await control.swap({ kind: 'save' }))?.generation, control.generation.id)
    assert.equal(await answers(port), ['two'])
    await control.stop(false)
  })
}

test('one process cannot restart itself', async () => {
  const { control } = await start(1)
  assert.match(await message(control.restart()), 'worker_processes')
  await control.stop(false)
})

test('a rollback after a restart goes back to what served before it', async () => {
  const { control, folder, port } = await start(2)
  writeFileSync(join(folder, 's.js'), script('two'))
  await control.reloadScripts()
  await control.restart()
  assert.equal(await answers(port), ['two'])
  await control.rollback(join(folder, 's.js'))
  assert.equal(await answers(port), ['one'])
  await control.stop(false)
})

async function assertClosed(port: number): Promise<void> {
  assert.is(
    await get(port, '/s').then(
      () => 'open',
      () => 'closed',
    ),
    'closed',
  )
}

test.run()
