// Two machines with one Redis: limits hold over both, each machine's own only there, and nobody notices Redis missing.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RedisServer } from '../lib/redis.ts'
import { Application, type Example, http, startExample } from './example.ts'

/** Answers of searches that are held back. */
const searches: (() => void)[] = []
const redis = await RedisServer.start()
const shop = await Application.start((request, response) => {
  if (request.url === '/search') searches.push(() => response.end('found'))
  else response.end('shop')
})
const machines: Example[] = []

test.before(async () => {
  for (let i = 0; i < 2; i++)
    machines.push(await startExample('rate-limit-fleet', { 6379: redis.port, 9080: shop.port }))
})

test.after(async () => {
  for (const { sluice } of machines) await sluice.stop()
  await shop.stop()
  await redis.stop()
})

const get = (machine: number, path: string, key?: string) =>
  http(machines[machine]!.port(9090), path, key === undefined ? {} : { headers: { 'X-API-Key': key } })

/** How many of the answers have each status. */
function tally(answers: readonly { readonly status: number }[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

test('a client has its burst once, whichever machine it comes to', async () => {
  const started = performance.now()
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => get(i % 2, '/')))
  // What came back while the test ran may have been taken as well.
  const back = Math.ceil((performance.now() - started) / 500)
  const { 200: served = 0, 429: refused = 0 } = tally(answers)
  assert.ok(served >= 21 && served <= 21 + back, `${served} were served`)
  assert.is(served + refused, 60)
})

test('a partner has one quota, and reports cost more', async () => {
  const first = await get(0, '/api/report', 'k1')
  assert.equal([first.status, first.headers['x-quota-remaining']], [200, '2'])
  const second = await get(1, '/api/item', 'k1')
  assert.equal([second.status, second.headers['x-quota-remaining']], [200, '1'])
  const third = await get(0, '/api/report', 'k1')
  assert.is(third.status, 429)
  const wait = Number(third.headers['retry-after'])
  assert.ok(wait > 12 && wait <= 24, `${wait} s`)
  assert.is(third.body, `your quota is used up; come again in ${wait} s\n`)
  // What was refused has cost nothing.
  assert.is((await get(1, '/api/item', 'k1')).status, 200)
  assert.is((await get(0, '/api/item', 'k2')).headers['x-quota-remaining'], '4')
  assert.is((await get(0, '/api/item')).status, 401)
})

test('searches are counted by each machine', async () => {
  const waiting = [get(0, '/search'), get(0, '/search'), get(1, '/search')]
  while (searches.length < 3) await new Promise((next) => setTimeout(next, 5))
  assert.is((await get(0, '/search')).status, 503)
  for (const answer of searches.splice(0)) answer()
  assert.equal(tally(await Promise.all(waiting)), { 200: 3 })
})

test('without Redis each machine counts alone, and says so once', async () => {
  await redis.stop()
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => get(i % 2, '/')))
  const { 200: served = 0, 429: refused = 0 } = tally(answers)
  // Twice as many as one machine lets through, and what has come back meanwhile.
  assert.ok(served >= 42 && served <= 50, `${served} were served`)
  assert.is(served + refused, 60)
  assert.is((await get(0, '/api/item', 'k3')).headers['x-quota-remaining'], '4')
  const log = machines[0]!.sluice.errorLog()
  assert.is(log.match(/zone "clients" counts in this process alone/g)?.length, 1)
  assert.is(log.match(/limits of scripts count in this process alone/g)?.length, 1)
})

test('when Redis is back they count together again', async () => {
  await redis.start()
  const { sluice } = machines[0]!
  for (let i = 0; i < 100 && !/counts with the others again/.test(sluice.errorLog()); i++) {
    await get(0, '/')
    await new Promise((next) => setTimeout(next, 50))
  }
  assert.match(sluice.errorLog(), /zone "clients" counts with the others again, after \d+ requests/)
  assert.is((await get(0, '/api/item', 'k4')).headers['x-quota-remaining'], '4')
  assert.is((await get(1, '/api/item', 'k4')).headers['x-quota-remaining'], '3')
})

test.run()
