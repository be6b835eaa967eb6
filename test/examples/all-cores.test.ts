// All cores: the workers count together, agree on what has failed, and are replaced without anybody noticing.

import { availableParallelism } from 'node:os'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { Application, type Example, http, startExample } from './example.ts'

const CORES = availableParallelism()
const closed = await freePort()
const application = await Application.start((_, response) => response.end('the application'))
let example: Example

test.before(async () => {
  example = await startExample('all-cores', { 9001: closed, 9002: application.port })
})

test.after(async () => {
  await example.sluice.stop()
  await application.stop()
})

interface Visit {
  readonly count: number
  readonly process: number
}

async function visit(user: string): Promise<Visit> {
  const { status, body } = await http(example.port(8080), `/visits?user=${user}`)
  assert.is(status, 200, body)
  const [, count, process] = /^visit (\d+), worker \d+, process (\d+)\n$/.exec(body) ?? []
  return { count: Number(count), process: Number(process) }
}

/** Many at a time, so that every worker has its part. */
async function visits(user: string, times: number): Promise<{ counts: number[]; processes: Set<number> }> {
  const all = await Promise.all(Array.from({ length: times }, () => visit(user)))
  return {
    counts: all.map(({ count }) => count).sort((a, b) => a - b),
    processes: new Set(all.map(({ process }) => process)),
  }
}

/** The visits of this user so far, once this many processes have had a part in them. */
async function untilServedBy(count: number, user: string): Promise<Set<number>> {
  const seen = new Set<number>()
  for (let round = 0; seen.size < count; round++) {
    if (round > 200) throw new Error(`only ${seen.size} of ${count} workers answer`)
    for (const process of (await visits(user, 8)).processes) seen.add(process)
  }
  return seen
}

test('one worker for each core, and one count for all', async () => {
  assert.is((await untilServedBy(CORES, 'bob')).size, CORES)
  assert.equal(
    (await visits('ann', 30)).counts,
    Array.from({ length: 30 }, (_, n) => n + 1),
  )
})

test('an application that is down is found out once, and nobody sees it', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => http(example.port(8080), '/')))
  assert.ok(answers.every(({ body }) => body === 'the application'))
})

test('a worker that is killed is replaced, and its users keep their counts', async () => {
  const { count, process: victim } = await visit('carl')
  if (CORES === 1) return
  process.kill(victim, 'SIGKILL')
  await example.sluice.waitForLog(new RegExp(`worker process ${victim} exited on signal 9`))
  assert.is((await visit('carl')).count, count + 1)
  assert.not.ok((await untilServedBy(CORES, 'bob')).has(victim))
  assert.is((await visit('carl')).count, count + 2)
})

test('an upgrade refuses nobody, and counts go on', async () => {
  if (CORES === 1) return
  const before = await untilServedBy(CORES, 'bob')
  const from = example.sluice.errorLog().length
  example.sluice.child.kill('SIGUSR2')
  let asked = 0
  while (!/new worker processes serve/.test(example.sluice.errorLog().slice(from))) {
    assert.is((await visit('dora')).count, ++asked)
  }
  assert.ok(asked > 0)
  assert.is((await visit('dora')).count, asked + 1)
  assert.ok([...(await untilServedBy(CORES, 'bob'))].some((process) => !before.has(process)))
})

test.run()
