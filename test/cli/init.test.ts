// `sluice init`: a small set-up that runs as it is written, and is never written over another.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { runSluice, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const FILES = ['jsconfig.json', 'scripts/balancer.js', 'scripts/sluice.d.ts', 'sluice.conf']
const TSC = fileURLToPath(new URL('../../../node_modules/typescript/bin/tsc', import.meta.url))

test('init writes a set-up that passes its test', async () => {
  const folder = tempDir()
  const { code, stdout } = await runSluice(['init', 'site'], folder)
  assert.is(code, 0)
  for (const file of FILES) {
    assert.ok(existsSync(join(folder, 'site', file)), file)
    assert.match(stdout, `wrote site/${file}\n`)
  }
  assert.match(stdout, 'cd site && sluice -c sluice.conf\n')
  const { code: tested, stderr } = await runSluice(['-t', '-c', 'sluice.conf'], join(folder, 'site'))
  assert.is(tested, 0, stderr)
})

test('what init writes runs: a user reaches the same server every time', async () => {
  const folder = tempDir()
  await runSluice(['init'], folder)
  const upstreams = [await recordingUpstream(() => ok('one')), await recordingUpstream(() => ok('two'))]
  const port = await freePort()
  const config = readFileSync(join(folder, 'sluice.conf'), 'utf8')
    .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
    .replace('127.0.0.1:8001', upstreams[0]!.address)
    .replace('127.0.0.1:8002', upstreams[1]!.address)
  const sluice = await startSluice(config, {
    'scripts/balancer.js': readFileSync(join(folder, 'scripts/balancer.js'), 'utf8'),
  })
  const client = new HttpClient(port)
  const first: string[] = []
  const second: string[] = []
  for (let user = 1; user <= 20; user++) first.push((await client.get(`/chat?userId=${user}`)).body)
  for (let user = 1; user <= 20; user++) second.push((await client.get(`/chat?userId=${user}`)).body)
  client.close()
  assert.equal(second, first)
  assert.equal([...new Set(first)].sort(), ['one', 'two'])
  assert.is(await sluice.stop(), 0)
  for (const upstream of upstreams) await upstream.close()
})

test('the type hints of init know the hooks: its script passes, a wrong call does not', async () => {
  const folder = tempDir()
  await runSluice(['init'], folder)
  const check = () =>
    spawnSync(process.execPath, [TSC, '--noEmit', '-p', 'jsconfig.json'], { cwd: folder, encoding: 'utf8' })
  const clean = check()
  assert.is(clean.stdout, '')
  assert.is(clean.status, 0)
  const script = readFileSync(join(folder, 'scripts/balancer.js'), 'utf8')
  writeFiles(folder, { 'scripts/balancer.js': script.replace('upstream.hash(', 'upstream.hush(') })
  assert.match(check().stdout, /scripts\/balancer\.js\(\d+,\d+\): error .*'hush' does not exist/)
})

test('init overwrites nothing, and writes nothing at all then', async () => {
  const folder = tempDir()
  writeFiles(folder, { 'scripts/balancer.js': 'mine' })
  const { code, stderr } = await runSluice(['init'], folder)
  assert.is(code, 1)
  assert.is(stderr, `sluice: ${join(folder, 'scripts/balancer.js')} exists already; nothing was written\n`)
  assert.equal(readdirSync(folder, { recursive: true }).sort(), ['scripts', 'scripts/balancer.js'])
  assert.is(readFileSync(join(folder, 'scripts/balancer.js'), 'utf8'), 'mine')
})

test('init takes one folder', async () => {
  const { code, stderr } = await runSluice(['init', 'a', 'b'], tempDir())
  assert.is(code, 1)
  assert.is(stderr, 'sluice: init takes at most one folder: sluice init [--typescript] [DIR]\n')
})

test.run()
