// Hash anything: tenant, cookie, header and path part as keys of one script.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startSluice } from '../lib/proxy-process.ts'
import { Application, type Example, http, startExample } from './example.ts'

let workers: Application[]
let example: Example

test.before(async () => {
  workers = await Promise.all(
    ['a', 'b', 'c'].map((name) => Application.start((_, response) => response.end(name))),
  )
  const [a, b, c] = workers.map((worker) => worker.port)
  example = await startExample('hash-anything', { 9001: a!, 9002: b!, 9003: c! })
})

test.after(async () => {
  await example.sluice.stop()
  for (const worker of workers) await worker.stop()
})

/** Which worker answers. */
async function worker(path: string, headers: Record<string, string> = {}): Promise<string> {
  const { status, body } = await http(example.port(8084), path, { headers })
  assert.is(status, 200, body)
  return body
}

const numbers = Array.from({ length: 30 }, (_, i) => i)

/** Asks for 30 keys, each in two different requests: both reach one worker, and all workers have some. */
async function keepsTogether(first: (i: number) => Promise<string>, second: (i: number) => Promise<string>) {
  const seen = new Set<string>()
  for (const i of numbers) {
    const name = await first(i)
    assert.is(await second(i), name, `key ${i}`)
    seen.add(name)
  }
  assert.equal([...seen].sort(), ['a', 'b', 'c'])
}

test('by tenant: the first part of the host, whatever the path', () =>
  keepsTogether(
    (i) => worker('/', { Host: `tenant-${i}.example.com` }),
    (i) => worker('/other?x=1', { Host: `TENANT-${i}.example.com` }),
  ))

test('by cookie, wherever it stands among others', () =>
  keepsTogether(
    (i) => worker('/cart/', { Cookie: `cart=c-${i}` }),
    (i) => worker('/cart/items?x=1', { Cookie: `a=1; cart=c-${i}; b=2` }),
  ))

test('by header', () =>
  keepsTogether(
    (i) => worker('/devices/', { 'X-Device': `d-${i}` }),
    (i) => worker('/devices/x', { 'x-device': `d-${i}` }),
  ))

test('by path part: a room meets on one worker', () =>
  keepsTogether(
    (i) => worker(`/rooms/${i}/messages`),
    (i) => worker(`/rooms/${i}/members/7`),
  ))

test('without a key requests are spread evenly', async () => {
  const counts: Record<string, number> = { a: 0, b: 0, c: 0 }
  for (const _ of numbers) counts[await worker('/cart/')]!++
  assert.equal(counts, { a: 10, b: 10, c: 10 })
})

test('a key that there is no way to find is refused at load, in the words of the script', async () => {
  const config = `server { listen 127.0.0.1:1; location / { script scripts/hash-by.js by=moon; return 204; } }`
  let message = ''
  try {
    await startSluice(config, {
      'scripts/hash-by.js': readFileSync(join(example.sluice.folder, 'scripts/hash-by.js'), 'latin1'),
    })
  } catch (error) {
    message = (error as Error).message
  }
  assert.match(message, 'by= is one of tenant, cookie, header, path; it is "moon"')
})

test.run()
