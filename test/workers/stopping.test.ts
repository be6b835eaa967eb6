// A stop while workers start or load something: nobody waits for what will not serve any more.

import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MAIN, SluiceProcess } from '../lib/proxy-process.ts'
import { rawRequest } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { Crew, isAlive, until } from './crew.ts'

/** ms; far more than a stop may take. */
const LONG = 9000
/** ms; most of it is for a busy machine. */
const SOON = 4000

const slow = (when: string) => `import { map } from 'sluice:store'
export async function init() {
  const boots = await map('boots').incr('n')
  if (!(${when})) return
  console.log('init waits')
  await new Promise((done) => setTimeout(done, ${LONG}))
}
export function content(r) { r.return(204) }
`

async function timed(stop: Promise<number | string>): Promise<number> {
  const started = performance.now()
  assert.is(await stop, 0)
  return performance.now() - started
}

for (const signal of ['SIGTERM', 'SIGQUIT'] as const)
  test(`${signal} while a worker that was killed is being replaced`, async () => {
    const crew = await Crew.start(
      2,
      'location /s { script s.js; }',
      { 's.js': slow('boots > 2') },
      'session_map boots; store_timeout 5s;',
    )
    const [victim] = await crew.pids(2)
    const from = crew.sluice.errorLog().length
    process.kill(victim, 'SIGKILL')
    await crew.sluice.waitForLog(/init waits/, from)
    assert.ok((await timed(crew.sluice.stop(signal))) < SOON)
    const log = crew.sluice.errorLog().slice(from)
    assert.match(log, /\[notice\] .*worker process \d+ ended before it served/)
    assert.is(log.match(/exited on signal/g)?.length, 1, log)
    assert.not.match(log, 'cannot serve')
  })

test('SIGTERM while the workers load another version', async () => {
  const crew = await Crew.start(
    2,
    'location /s { script s.js; }',
    { 's.js': slow('false') },
    'session_map boots; store_timeout 5s;',
  )
  const from = crew.sluice.errorLog().length
  writeFileSync(crew.path('s.js'), slow('true'))
  await crew.sluice.waitForLog(/init waits/, from)
  assert.ok((await timed(crew.sluice.stop())) < SOON)
  assert.not.match(crew.sluice.errorLog().slice(from), 'exited on signal')
})

const oneWaits = `export async function init() {
  if (sluice.worker === 0) return console.log('init is done')
  console.log('init waits')
  await new Promise((done) => setTimeout(done, 1200))
}
export function content(r) { r.return(204) }
`

/** Two workers, a request under way, and HUP to a configuration that one of them is ready for. */
async function halfReady() {
  let answer = () => {}
  const held = new Promise<void>((done) => (answer = done))
  const upstream = await recordingUpstream(async () => {
    await held
    return ok('at last')
  })
  const crew = await Crew.start(2, `location /slow { proxy_pass http://${upstream.address}; }`, {
    's.js': oneWaits,
  })
  const GET = 'GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const waiting = Array.from({ length: 8 }, () => rawRequest(crew.port, GET))
  await upstream.waitForRequests(8)
  const from = crew.sluice.errorLog().length
  const scripted = (config: string) =>
    config.replace('location /slow', 'location /s { script s.js; }\nlocation /slow')
  await crew.reload(scripted, /init waits/)
  await crew.sluice.waitForLog(/init is done/, from)
  return { crew, upstream, answer, waiting, log: () => crew.sluice.errorLog().slice(from) }
}

test('QUIT while some workers are ready for another configuration ends no request', async () => {
  const { crew, upstream, answer, waiting, log } = await halfReady()
  crew.sluice.child.kill('SIGQUIT')
  // The act is over when the slow worker has said that it does not swap any more.
  await crew.sluice.waitForLog(/it is shutting down; the running configuration stays|exited on signal/)
  answer()
  for (const one of await Promise.all(waiting)) assert.match(one, /^HTTP\/1\.1 200 OK\r\n[\s\S]*at last$/)
  assert.is(await crew.sluice.exited, 0)
  assert.not.match(log(), 'exited on signal')
  await upstream.close()
})

test('TERM there ends at once', async () => {
  const { crew, upstream, waiting, log } = await halfReady()
  assert.ok((await timed(crew.sluice.stop())) < SOON)
  assert.equal(new Set(await Promise.all(waiting)), new Set(['']))
  assert.not.match(log(), 'exited on signal')
  await upstream.close()
})

test('QUIT while one process loads another configuration ends it', async () => {
  const crew = await Crew.start(1, '', { 's.js': oneWaits.replace('sluice.worker === 0', 'false') })
  const scripted = (config: string) => config.replace('location', 'location /s { script s.js; }\nlocation')
  await crew.reload(scripted, /init waits/)
  assert.is(await crew.sluice.stop('SIGQUIT'), 0)
})

for (const [signal, delay] of [
  ['SIGTERM', 0],
  ['SIGQUIT', 150],
  ['SIGTERM', 300],
  ['SIGINT', 450],
] as const)
  test(`${signal} ${delay} ms after the first worker was made is an end without a word on stderr`, async () => {
    const folder = tempDir()
    const config = 'daemon off; pid p; error_log error.log info; worker_processes 3; http { script s.js; }'
    writeFiles(folder, { 'sluice.conf': config, 's.js': '', 'logs/.keep': '' })
    const child = spawn(process.execPath, [MAIN, '-p', `${folder}/`, '-c', 'sluice.conf', '-e', 'error.log'])
    const sluice = new SluiceProcess(child, folder)
    await sluice.waitForLog(/start worker process \d+/)
    await new Promise((next) => setTimeout(next, delay))
    assert.is(await sluice.stop(signal), 0)
    assert.is(sluice.stderr, '')
    assert.not.ok(existsSync(join(folder, 'p')))
    const pids = [...sluice.errorLog().matchAll(/start worker process (\d+)/g)].map(([, pid]) => Number(pid))
    assert.is(pids.length, 3)
    await until('the workers have gone', () => !pids.some(isAlive))
  })

test('HUP while workers start is heard when they serve', async () => {
  const folder = tempDir()
  const config = 'daemon off; pid p; error_log error.log info; worker_processes 2; http { }'
  writeFiles(folder, { 'sluice.conf': config, 'logs/.keep': '' })
  const child = spawn(process.execPath, [MAIN, '-p', `${folder}/`, '-c', 'sluice.conf', '-e', 'error.log'])
  const sluice = new SluiceProcess(child, folder)
  await sluice.waitForLog(/start worker process \d+/)
  child.kill('SIGHUP')
  await sluice.waitForLog(/generation 2 serves after/)
  assert.is(await sluice.stop(), 0)
})

test.run()
