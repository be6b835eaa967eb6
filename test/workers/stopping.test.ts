// A stop while workers start or load something: nobody waits for what will not serve any more.

import { writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { rawRequest } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { Crew } from './crew.ts'

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
  void crew.reload((config) => config.replace('location /slow', 'location /s { script s.js; }\nlocation /slow'))
  for (const line of [/init waits/, /init is done/]) await crew.sluice.waitForLog(line, from)
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

test.run()
