import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Debts, MAX_DEBT_BYTES, MAX_DEBTS } from '../../runtime/store/debts.ts'
import { MemoryStore } from '../../runtime/store/memory-store.ts'
import { RedisStore } from '../../runtime/store/redis-store.ts'
import { SessionMap, type SessionMapOptions } from '../../runtime/store/session-map.ts'
import { StoreError } from '../../runtime/store/store.ts'
import { RedisServer } from '../lib/redis.ts'

const USERS: SessionMapOptions = { name: 'users', ttl: 60_000, max: 1000, onError: 'hash' }

async function redis(port: number): Promise<RedisStore> {
  const store = new RedisStore({
    addresses: [{ host: '127.0.0.1', port }],
    mode: 'single',
    database: 0,
    tls: null,
    prefix: 'test:',
    timeout: 50,
    log: () => undefined,
  })
  await store.ready(5000)
  return store
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return 'none'
  } catch (error) {
    return error instanceof StoreError ? error.code : String(error)
  }
}

test('getOrSet makes a value once, however many ask for it at the same time', async () => {
  const users = new SessionMap(new MemoryStore({ size: 1024 * 1024 }), USERS)
  let made = 0
  const make = async () => {
    await pause(5)
    return `"app${++made}"`
  }
  const values = await Promise.all(Array.from({ length: 20 }, () => users.getOrSet('ann', make)))
  assert.equal([...new Set(values)], ['"app1"'])
  assert.is(await users.getOrSet('ann', make), '"app1"')
  assert.is(made, 1)
  assert.is(users.peek('ann'), '"app1"')
})

test('a make that fails leaves nothing behind, and the next one is asked', async () => {
  const users = new SessionMap(new MemoryStore({ size: 1024 * 1024 }), USERS)
  assert.match(
    await codeOf(
      users.getOrSet('ann', () => {
        throw new Error('no peer')
      }),
    ),
    /no peer/,
  )
  assert.is(await users.getOrSet('ann', () => '"app1"'), '"app1"')
})

test('two machines that meet a new user at the same time agree', async () => {
  const server = await RedisServer.start()
  const [one, two] = [await redis(server.port), await redis(server.port)]
  const [here, there] = [new SessionMap(one, USERS), new SessionMap(two, USERS)]
  const keys = Array.from({ length: 50 }, (_, i) => `user ${i}`)
  const [a, b] = await Promise.all([
    Promise.all(keys.map((key) => here.getOrSet(key, () => '"here"'))),
    Promise.all(keys.map((key) => there.getOrSet(key, () => '"there"'))),
  ])
  assert.equal(a, b)
  const [c, d] = await Promise.all([
    Promise.all(keys.map((key, i) => here.replace(key, a[i], '"new here"'))),
    Promise.all(keys.map((key, i) => there.replace(key, a[i], '"new there"'))),
  ])
  assert.equal(c, d)
  await Promise.all([one.close(), two.close(), server.stop()])
})

test('an answer that was given without the store stands, also before it has been written down', async () => {
  const store = new MemoryStore({ size: 1024 * 1024 })
  for (const ask of ['get', 'getOrSet', 'add'] as const) {
    const users = new SessionMap(store, { ...USERS, name: ask })
    users.owe('ann', '"hashed"')
    const asked = {
      get: () => users.get('ann'),
      getOrSet: () => users.getOrSet('ann', () => '"made"'),
      add: () => users.add('ann', '"made"'),
    }
    assert.is(await asked[ask](), '"hashed"', ask)
    assert.is((await store.get(ask, 'ann'))?.value, '"hashed"', ask)
    assert.is(users.stats.reconciled, 1)
    users.close()
  }
})

test('what was written by whoever knew better stands, whatever is owed', async () => {
  const store = new MemoryStore({ size: 1024 * 1024 })
  const users = new SessionMap(store, USERS)
  users.owe('ann', '"hashed"')
  await store.set('users', 'ann', '"elsewhere"', 60_000)
  assert.is(await users.getOrSet('ann', () => '"made"'), '"elsewhere"')
  users.owe('bob', '"hashed"')
  await users.set('bob', '"set"')
  await store.delete('users', 'bob')
  assert.is(await users.get('bob'), null)
  users.owe('cid', '"hashed"')
  await users.delete('cid')
  assert.is(await users.get('cid'), null)
  users.close()
})

test('a store without room is owed on, one that refuses for ever is not', async () => {
  let refusal = new StoreError('full', 'no room')
  class Refusing extends MemoryStore {
    override async add(): Promise<never> {
      throw refusal
    }
  }
  const users = new SessionMap(new Refusing({ size: 1024 * 1024 }), USERS)
  users.owe('ann', '"hashed"')
  for (let i = 0; i < 3; i++) assert.is(await users.get('ann'), '"hashed"')
  refusal = new StoreError('too_large', 'never')
  assert.is(await users.get('ann'), '"hashed"')
  assert.is(await users.get('ann'), null)
  assert.is(users.stats.reconciled, 0)
  users.close()
})

test('what is owed is bounded in entries and in bytes, and the oldest is given up first', () => {
  const many = new Debts()
  let gone = 0
  for (let i = 0; i < MAX_DEBTS + 7; i++) gone += many.add(`user ${i}`, '"app1"')
  assert.equal([gone, many.size, many.get('user 6'), many.get('user 7')], [7, MAX_DEBTS, undefined, '"app1"'])
  const large = new Debts()
  const value = 'x'.repeat(256 * 1024)
  for (let i = 0; i < 100; i++) large.add(`user ${i}`, value)
  assert.ok(large.size < 33 && large.bytes <= MAX_DEBT_BYTES, `${large.size} of ${large.bytes} bytes`)
  assert.is(large.get('user 99'), value)
  for (let i = 0; i < 100; i++) large.add('user 99', '1')
  for (const [key] of large) large.delete(key)
  assert.equal([large.size, large.bytes], [0, 0])
})

test('while the store is away, hash and closed fail at once, and stale gives the last value or a new one', async () => {
  const server = await RedisServer.start()
  const store = await redis(server.port)
  const maps = {
    hash: new SessionMap(store, { ...USERS, name: 'h' }),
    closed: new SessionMap(store, { ...USERS, name: 'c', onError: 'closed' }),
    stale: new SessionMap(store, { ...USERS, name: 's', onError: 'stale' }),
  }
  for (const map of Object.values(maps)) {
    await map.set('ann', '"app1"')
  }
  await server.stop()
  assert.is(await codeOf(maps.hash.get('ann')), 'unavailable')
  assert.is(await codeOf(maps.closed.getOrSet('ann', () => '"app2"')), 'unavailable')
  assert.is(await maps.stale.get('ann'), '"app1"')
  assert.is(await maps.stale.getOrSet('ann', () => '"app2"'), '"app1"')
  assert.is(await maps.stale.getOrSet('bob', () => '"app3"'), '"app3"')
  assert.is(await maps.stale.getOrSet('bob', () => '"app4"'), '"app3"')
  assert.is(await codeOf(maps.stale.get('nobody')), 'unavailable')
  assert.ok(maps.stale.stats.fallbacks >= 4)

  // On return: what was answered meanwhile is written down, unless somebody else was quicker.
  maps.hash.owe('cid', '"app5"')
  await server.start()
  server.command('set', 'test:m:h{}cid', 'j"app9"')
  const end = Date.now() + 10_000
  while (maps.stale.stats.reconciled + maps.hash.stats.reconciled < 2 && Date.now() < end) await pause(20)
  assert.is(await maps.stale.get('bob'), '"app3"')
  assert.is(await maps.hash.get('cid'), '"app9"')
  for (const map of Object.values(maps)) map.close()
  await store.close()
  await server.stop()
})

test.run()
