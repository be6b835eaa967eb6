// A stop while workers start or load something: nobody waits for what will not serve any more.

import { writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
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

test.run()
