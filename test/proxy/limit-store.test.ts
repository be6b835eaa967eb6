// `limit_req … store`: what several processes count together is what one zone would: refusals, waits, excess in the log.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { rawRequest } from '../lib/raw-http.ts'
import { RedisServer } from '../lib/redis.ts'
import { openClient } from './journey-tools.ts'
import { limitLines } from './limit-cases.ts'

const redis = await RedisServer.start()

const config = (port: number) => `
http {
  store redis://127.0.0.1:${redis.port};
  limit_req_zone $arg_k zone=slow:1m rate=1r/m;
  limit_req_zone $arg_k zone=turns:1m rate=5r/s sync;
  limit_req_zone $arg_j zone=here:1m rate=1r/m;
  add_header X-Limit $limit_req_status always;
  server {
    listen 127.0.0.1:${port};
    location /refuse { limit_req zone=slow burst=2 nodelay store; try_files /none =204; }
    location /wait { limit_req zone=turns burst=3; try_files /none =204; }
    location /both { limit_req zone=here burst=1 nodelay; limit_req zone=slow burst=5 nodelay store; try_files /none =204; }
    location /dry { limit_req zone=slow store; limit_req_dry_run on; try_files /none =204; }
  }
}
`
const ports = [await freePort(), await freePort()]
const machines = [await startSluice(config(ports[0])), await startSluice(config(ports[1]))]
test.after(async () => {
  for (const machine of machines) await machine.stop()
  await redis.stop()
})

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`

/** Status and `$limit_req_status`. */
async function ask(machine: number, path: string): Promise<string> {
  const text = await rawRequest(ports[machine], get(path))
  return `${text.slice(9, 12)} ${/X-Limit: (\w+)/.exec(text)?.[1]}`
}

test('two processes refuse together what one would refuse', async () => {
  const from = machines[1].errorLog().length
  const answers = []
  for (let i = 0; i < 4; i++) answers.push(await ask(i % 2, '/refuse?k=a'))
  assert.equal(answers, ['204 PASSED', '204 PASSED', '204 PASSED', '503 REJECTED'])
  assert.is(await ask(1, '/refuse?k=b'), '204 PASSED')
  assert.equal(limitLines(machines[1].errorLog().slice(from)), [
    'error limiting requests, excess: 3.000 by zone "slow"',
  ])
})

test('who waits has one turn among all', async () => {
  const started = performance.now()
  const done = await Promise.all(
    [0, 1, 0, 1, 0].map(async (machine) => ({
      answer: await ask(machine, '/wait?k=a'),
      ms: performance.now() - started,
    })),
  )
  done.sort((a, b) => a.ms - b.ms)
  const served = done.filter(({ answer }) => answer !== '503 REJECTED')
  assert.is(served.length, 4)
  for (const [i, least] of [0, 190, 390, 590].entries())
    assert.ok(served[i].ms >= least && served[i].ms < least + 250, JSON.stringify(done))
})

test('what a zone here refuses does not count in the store', async () => {
  const answers = []
  for (let i = 0; i < 6; i++) answers.push(await ask(0, '/both?k=c&j=c'))
  assert.equal(answers.filter((answer) => answer === '204 PASSED').length, 2)
  // Four more of the six in the store.
  const rest = []
  for (let i = 0; i < 5; i++) rest.push(await ask(1, '/both?k=c'))
  assert.equal(rest, ['204 PASSED', '204 PASSED', '204 PASSED', '204 PASSED', '503 REJECTED'])
})

test('what the store refuses does not count here', async () => {
  for (let i = 0; i < 6; i++) await ask(1, '/both?k=d')
  assert.is(await ask(0, '/both?k=d&j=d'), '503 REJECTED')
  assert.equal(
    [await ask(0, '/both?j=d'), await ask(0, '/both?j=d'), await ask(0, '/both?j=d')],
    ['204 PASSED', '204 PASSED', '503 REJECTED'],
  )
})

test('a dry run is counted, and refuses nobody', async () => {
  assert.equal([await ask(0, '/dry?k=e'), await ask(1, '/dry?k=e')], ['204 PASSED', '204 REJECTED_DRY_RUN'])
})

test('a key of any length and of any bytes', async () => {
  for (const key of ['x'.repeat(900), '%00%ff{}', '{a}'])
    assert.equal(
      [await ask(0, `/dry?k=${key}`), await ask(1, `/dry?k=${key}`)],
      ['204 PASSED', '204 REJECTED_DRY_RUN'],
      key.slice(0, 10),
    )
})

test('a store that hangs holds nobody longer than its deadline, and who leaves meanwhile is gone', async () => {
  redis.pause()
  const started = performance.now()
  const client = await openClient(ports[0], get('/refuse?k=f'))
  client.destroy()
  assert.is(await ask(0, '/refuse?k=f'), '204 PASSED')
  assert.ok(performance.now() - started < 1000)
  redis.resume()
  await machines[0].waitForLog(/zone "slow" counts in this process alone: /)
})

test.run()
