// sluice:redis in running proxies: two workers on one Redis, a script that is refused where there is none, and a dry run.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { runSluice, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { RedisServer } from '../lib/redis.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const COUNTER = `import * as redis from 'sluice:redis'
export async function content(r) {
  try {
    const [all] = await redis.transaction([['INCR', 'visits'], ['HINCRBY', 'by worker', sluice.worker, 1]])
    r.return(200, String(all))
  } catch (error) {
    r.return(503, error.name + ' ' + error.code + ' ' + error.message)
  }
}`

function config(port: number, store: string): string {
  return `worker_processes 2;
  http {
    ${store}
    store_timeout 2s;
    server { listen 127.0.0.1:${port}; location / { script counter.js; } }
  }`
}

async function ask(port: number): Promise<string> {
  const client = new HttpClient(port)
  const { body } = await client.get('/')
  client.close()
  return body
}

test('workers count together, each over its own connection, and say what is wrong while Redis is away', async () => {
  const redis = await RedisServer.start()
  const port = await freePort()
  const store = `store redis://127.0.0.1:${redis.port}/0;`
  const sluice = await startSluice(config(port, store), { 'counter.js': COUNTER })
  while ((await ask(port)) !== '1') redis.command('del', 'visits', 'by worker')
  const counts: number[] = []
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      counts.push(Number(await ask(port)))
    }),
  )
  assert.equal(
    counts.sort((a, b) => a - b),
    Array.from({ length: 40 }, (_, i) => i + 2),
  )
  for (let tries = 0; redis.command('hlen', 'by worker') !== '2'; tries++) {
    assert.ok(tries < 50, 'one worker has all')
    await Promise.all(Array.from({ length: 20 }, () => ask(port)))
  }
  await redis.stop()
  assert.match(await ask(port), /^RedisError (unavailable|timeout) redis 127\.0\.0\.1:\d+/)
  await redis.start()
  while ((await ask(port)) !== '1') await new Promise((next) => setTimeout(next, 20))
  await sluice.stop()
  await redis.stop()
})

test('a configuration whose store is no Redis is refused, where it stands in the script', async () => {
  const folder = tempDir()
  writeFiles(folder, { 'sluice.conf': config(await freePort(), 'store memory;'), 'counter.js': COUNTER })
  const { code, stderr } = await runSluice(['-t', '-c', 'sluice.conf'], folder)
  assert.is(code, 1)
  assert.match(stderr, /sluice:redis needs a Redis; write "store redis:\/\/HOST:PORT\/0;" in http/)
})

test('sluice try sends nothing to Redis', async () => {
  const redis = await RedisServer.start()
  const folder = tempDir()
  const store = `store redis://127.0.0.1:${redis.port}/0;`
  writeFiles(folder, { 'sluice.conf': config(await freePort(), store), 'counter.js': COUNTER })
  const { stdout } = await runSluice(['try', '-c', 'sluice.conf', '/', '--json'], folder)
  assert.match(stdout, /RedisError unavailable a dry run sends nothing to Redis/)
  assert.is(redis.command('dbsize'), '0')
  await redis.stop()
})

test.run()
