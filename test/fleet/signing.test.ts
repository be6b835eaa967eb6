// A machine with a key serves by what was signed with it, and by nothing else.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runSluice } from '../lib/proxy-process.ts'
import { RedisServer } from '../lib/redis.ts'
import { tempDir } from '../lib/temp.ts'
import { answering, Machine, statesOf } from './machine.ts'

const SCRIPTS = 'sluice:{fleet}scripts'
const NEWS = ['sluice:{fleet}news', 'recorded 0123456789abcdef'] as const

let redis: RedisServer
let machines: Machine[] = []

test.before.each(async () => {
  redis = await RedisServer.start()
})

test.after.each(async () => {
  await Promise.all(machines.map((machine) => machine.stop()))
  machines = []
  await redis.stop()
})

function keyFile(text: string, mode = 0o600): string {
  const file = join(tempDir(), 'fleet.key')
  writeFileSync(file, text, { mode })
  return file
}

const KEY = keyFile(`${'k'.repeat(32)}\n`)
const OTHER = keyFile('o'.repeat(32))

async function start(name: string, key: string | null): Promise<Machine> {
  const machine = await Machine.start(name, redis, key === null ? {} : { http: `script_sign_key ${key};` })
  machines.push(machine)
  await machine.sees(machines.length)
  return machine
}

test('machines with one key serve what one of them pushes; one without takes it over as well', async () => {
  const [a, b, c] = [await start('a', KEY), await start('b', KEY), await start('c', null)]
  assert.is((await a.fleet.status()).signed, true)
  await a.settled((await a.push(answering('two'))).id, 'serving')
  assert.equal([await a.get(), await b.get(), await c.get()], ['two', 'two', 'two'])
})

test('a machine that checks no signatures says so once, and is shown as one', async () => {
  const [a, b] = [await start('a', KEY), await start('b', null)]
  for (const text of ['two', 'three']) await a.settled((await a.push(answering(text))).id, 'serving')
  await b.says(
    /\[warn\] fleet: the record of a\.js is signed, and this machine has no key: it would take unsigned ones, too; add script_sign_key/,
  )
  assert.is(b.log.filter((line) => line.includes('is signed, and this machine')).length, 1)
  assert.not(a.log.some((line) => line.includes('is signed, and this machine')))
  assert.equal(
    (await b.fleet.status()).machines.map(({ machine, signs }) => [machine, signs]),
    [
      ['a', true],
      ['b', false],
    ],
  )
})

test('a machine without a key says nothing of records that nobody has signed', async () => {
  const b = await start('b', null)
  await b.settled((await b.push(answering('two'))).id, 'serving')
  assert.not(b.log.some((line) => line.includes('script_sign_key')))
})

test('what is signed with another key, or not at all, is refused', async () => {
  const [a, b, c] = [await start('a', KEY), await start('b', OTHER), await start('c', null)]
  const other = await b.push(answering('two'))
  assert.is(other.state, 'refused')
  assert.equal(statesOf(other), { a: 'refused', b: 'ready', c: 'ready' })
  assert.is(other.reason, "a: the proposal is not signed with this machine's key (script_sign_key)")
  const unsigned = await c.push(answering('two'))
  assert.is(
    unsigned.reason,
    'a: the proposal is not signed, and this machine has a key (script_sign_key); b: the proposal is not signed, and this machine has a key (script_sign_key)',
  )
  assert.equal([await a.get(), await b.get(), await c.get()], ['one', 'one', 'one'])
})

test('a record that was changed after it was signed is not taken over', async () => {
  const [a, b] = [await start('a', KEY), await start('b', KEY)]
  const { id } = await a.push(answering('two'))
  await a.settled(id, 'serving')
  const { record, signature } = JSON.parse(redis.command('hget', SCRIPTS, 'a.js'))
  const changes = [
    { serial: 2 },
    { serial: 2, author: 'eve' },
    { serial: 2, live: record.earlier[0], earlier: [] },
    { serial: 2, canary: { ...record.live, percent: 10_000, key: '' } },
  ]
  for (const change of changes) {
    const forged = JSON.stringify({ record: { ...record, ...change }, signature })
    b.log.length = 0
    redis.command('hset', SCRIPTS, 'a.js', forged)
    redis.command('publish', ...NEWS)
    await b.says(/"a\.js" is not taken over: the record is not signed with this machine's key/)
  }
  b.log.length = 0
  redis.command('hset', SCRIPTS, 'a.js', JSON.stringify({ record: { ...record, serial: 2 }, signature: '' }))
  redis.command('publish', ...NEWS)
  await b.says(/"a\.js" is not taken over: the record is not signed, and this machine has a key/)
  // A signed proposal is no record.
  const proposal = JSON.parse(redis.command('hget', `sluice:{fleet}rollout:${id}`, 'proposal'))
  redis.command('hset', SCRIPTS, 'a.js', JSON.stringify({ record, signature: proposal.signature }))
  b.log.length = 0
  redis.command('publish', ...NEWS)
  await b.says(/not signed with this machine's key/)
  assert.equal([await a.get(), await b.get()], ['two', 'two'])
})

test('a key that is none keeps the configuration from serving', async () => {
  const tries: [file: string, why: RegExp][] = [
    [
      keyFile('short'),
      /script_sign_key ".*" holds no key of at least 32 bytes; make one: openssl rand -hex 32/,
    ],
    ['/nowhere/fleet.key', /script_sign_key "\/nowhere\/fleet\.key" cannot be read: ENOENT/],
  ]
  for (const [file, why] of tries) {
    const error = await start('a', file).then(
      () => null,
      (reason: Error) => reason,
    )
    assert.match(error!.message, why)
  }
})

test('a configuration is tested with its key', async () => {
  const folder = tempDir()
  const conf = (file: string) => `events {} http { script_sign_key ${file}; server { listen 127.0.0.1:1; } }`
  const check = (file: string) => {
    writeFileSync(join(folder, 'sluice.conf'), conf(file))
    return runSluice(['-t', '-p', folder, '-c', 'sluice.conf'], folder)
  }
  const bad = await check(keyFile('short'))
  assert.is(bad.code, 1)
  assert.match(bad.stderr, /sluice\.conf:1:18: script_sign_key ".*" holds no key of at least 32 bytes/)
  assert.is((await check(KEY)).code, 0)
})

test('a key that everybody can read is warned of', async () => {
  const file = keyFile('w'.repeat(32), 0o644)
  const a = await start('a', file)
  await a.says(/\[warn\] script_sign_key ".*" can be read by everybody; type: chmod o-r /)
})

test.run()
