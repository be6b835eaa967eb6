/** Generations: a saved script is served by at once, loses nothing, and leaves nothing behind. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import WebSocket, { WebSocketServer } from 'ws'
import { freePort } from './lib/ports.ts'
import { type SluiceProcess, startSluice } from './lib/proxy-process.ts'
import { HttpClient } from './lib/raw-http.ts'
import { ok, recordingUpstream } from './lib/recording-upstream.ts'

const version = (n: number | string) =>
  `export function headerFilter(r) { r.headersOut.set('X-Version', '${n}') }\n`

const config = (port: number, upstream: number) => `
  server {
    listen 127.0.0.1:${port};
    access_log off;
    keepalive_requests 1000000;
    location / { script scripts/version.js; proxy_pass http://127.0.0.1:${upstream}; }
  }`

/** Saves as most editors do: a new file is renamed over the old one. */
function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

const swapped = (sluice: SluiceProcess, from: number) =>
  sluice.waitForLog(/scripts changed: generation (\d+) serves/, from)

function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024
}

test('a script saved a hundred times under load loses no request, and the last version serves', async () => {
  const upstream = await recordingUpstream(() => ok('hello'))
  const port = await freePort()
  const sluice = await startSluice(config(port, upstream.port), { 'scripts/version.js': version(0) })
  const file = join(sluice.folder, 'scripts/version.js')
  let running = true
  const seen = new Set<string>()
  let requests = 0
  const clients = Array.from({ length: 16 }, () => new HttpClient(port))
  const load = clients.map(async (client) => {
    while (running) {
      const response = await client.get('/')
      assert.is(response.status, 200)
      seen.add(response.header('x-version')!)
      requests++
    }
  })
  for (let n = 1; n <= 100; n++) {
    const from = sluice.errorLog().length
    if (n % 2 === 0) replaceFile(file, version(n))
    else writeFileSync(file, version(n))
    await swapped(sluice, from)
  }
  const last = await new HttpClient(port).get('/')
  running = false
  await Promise.all(load)
  assert.is(last.header('x-version'), '100')
  assert.ok(seen.size > 50, `only ${seen.size} versions were seen by ${requests} requests`)
  assert.not.match(sluice.errorLog(), /\[(error|alert|crit|emerg)\]/)
  await sluice.stop()
  await upstream.close()
})

test('memory comes back: a hundred generations later the process is about as large as after ten', async () => {
  const upstream = await recordingUpstream(() => ok('hello'))
  const port = await freePort()
  const sluice = await startSluice(config(port, upstream.port), { 'scripts/version.js': version(0) })
  const file = join(sluice.folder, 'scripts/version.js')
  const swap = async (n: number) => {
    const from = sluice.errorLog().length
    replaceFile(file, version(n))
    await swapped(sluice, from)
  }
  for (let n = 1; n <= 10; n++) await swap(n)
  const before = residentMiB(sluice.pid)
  for (let n = 11; n <= 110; n++) await swap(n)
  const after = residentMiB(sluice.pid)
  assert.ok(after - before < 48, `resident memory grew from ${before.toFixed(0)} to ${after.toFixed(0)} MiB`)
  assert.match(sluice.errorLog(), /generation 110 has served its last request/)
  await sluice.stop()
  await upstream.close()
})

test('a broken script is refused with its place and reason, and the last good one goes on', async () => {
  const upstream = await recordingUpstream(() => ok('hello'))
  const port = await freePort()
  const sluice = await startSluice(config(port, upstream.port), { 'scripts/version.js': version('good') })
  const file = join(sluice.folder, 'scripts/version.js')
  const client = new HttpClient(port)
  for (const [text, reason] of [
    ['export function headerFilter(r) {\n  r.headersOut.set(\n', /version\.js:\d+:\d+: .*stay/],
    ['export function headerFiltre(r) {}\n', /version\.js:\d+:\d+: .*headerFilter.*stay/],
    ['throw new Error("not today")\n', /version\.js:1:\d+: .*not today.*stay/],
  ] as const) {
    const from = sluice.errorLog().length
    replaceFile(file, text)
    await sluice.waitForLog(reason, from)
    assert.is((await client.get('/')).header('x-version'), 'good')
  }
  const from = sluice.errorLog().length
  replaceFile(file, version('mended'))
  await swapped(sluice, from)
  assert.is((await client.get('/')).header('x-version'), 'mended')
  await sluice.stop()
  await upstream.close()
})

test('a script that is deleted and written again is picked up', async () => {
  const upstream = await recordingUpstream(() => ok('hello'))
  const port = await freePort()
  const sluice = await startSluice(config(port, upstream.port), { 'scripts/version.js': version(1) })
  const file = join(sluice.folder, 'scripts/version.js')
  const from = sluice.errorLog().length
  rmSync(file)
  writeFileSync(file, version(2))
  await swapped(sluice, from)
  assert.is((await new HttpClient(port).get('/')).header('x-version'), '2')
  await sluice.stop()
  await upstream.close()
})

test('a request in flight finishes on the generation that it began with', async () => {
  let release: (answer: string) => void = () => undefined
  const held = new Promise<string>((resolve) => {
    release = resolve
  })
  const upstream = await recordingUpstream((head) => (head.startsWith('GET /slow') ? held : ok('fast')))
  const port = await freePort()
  const sluice = await startSluice(config(port, upstream.port), { 'scripts/version.js': version('old') })
  const slow = new HttpClient(port).get('/slow')
  await upstream.waitForRequests(1)
  const from = sluice.errorLog().length
  replaceFile(join(sluice.folder, 'scripts/version.js'), version('new'))
  await swapped(sluice, from)
  assert.is((await new HttpClient(port).get('/fast')).header('x-version'), 'new')
  assert.not.match(sluice.errorLog().slice(from), /generation 1 has served its last request/)
  release(ok('slow'))
  assert.is((await slow).header('x-version'), 'old')
  await sluice.waitForLog(/generation 1 has served its last request/, from)
  await sluice.stop()
  await upstream.close()
})

test('an open WebSocket stays open over swaps of scripts and of the whole configuration', async () => {
  const echo = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  echo.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))))
  const port = await freePort()
  const upstream = (echo.address() as { port: number }).port
  const sluice = await startSluice(config(port, upstream), { 'scripts/version.js': version(1) })
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`)
  const say = (text: string) =>
    new Promise<string>((resolve) => {
      socket.once('message', (data) => resolve(String(data)))
      socket.send(text)
    })
  await new Promise((resolve) => socket.once('open', resolve))
  assert.is(await say('one'), 'one')
  const from = sluice.errorLog().length
  replaceFile(join(sluice.folder, 'scripts/version.js'), version(2))
  await swapped(sluice, from)
  assert.is(await say('two'), 'two')
  await sluice.reload(/generation \d+ serves after/)
  assert.is(await say('three'), 'three')
  socket.terminate()
  await sluice.stop()
  for (const client of echo.clients) client.terminate()
  await new Promise((resolve) => echo.close(resolve))
})

test.run()
