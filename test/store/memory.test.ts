import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MemoryStore } from '../../runtime/store/memory-store.ts'
import { testContract } from './contract.ts'

let now = 1_000_000

testContract('memory', {
  open: async () => new MemoryStore({ size: 64 * 1024 * 1024, now: () => now }),
  beside: async (store) => store,
  pass: async (ms) => {
    now += ms
  },
})

test('a map holds no more entries than its max: the least recently used go', async () => {
  const store = new MemoryStore({ size: 1024 * 1024 })
  store.define('users', 3)
  for (const key of ['a', 'b', 'c']) await store.set('users', key, '1', Infinity)
  await store.get('users', 'a')
  await store.set('users', 'd', '1', Infinity)
  assert.is(await store.get('users', 'b'), null)
  assert.is((await store.get('users', 'a'))?.value, '1')
  store.define('users', 1)
  assert.is(await store.size('users'), 1)
})

test('all maps together hold no more bytes than the size: the largest gives way', async () => {
  const store = new MemoryStore({ size: 100_000 })
  await store.set('small', 'kept', '1', Infinity)
  for (let i = 0; i < 1000; i++) await store.set('large', `key ${i}`, 'x'.repeat(1000), Infinity)
  assert.ok(store.bytes <= 100_000, `${store.bytes} bytes`)
  assert.is((await store.get('small', 'kept'))?.value, '1')
  assert.is((await store.get('large', 'key 999'))?.value.length, 1000)
  assert.is(await store.get('large', 'key 0'), null)
})

test('time may begin at 0', async () => {
  let ms = 0
  const store = new MemoryStore({ size: 1024 * 1024, now: () => ms })
  await store.set('users', 'ann', '1', 100)
  assert.is(store.peek('users', 'ann')?.expires, 100)
  await store.incr('users', 'ann', 1, 5000)
  ms = 101
  assert.is(store.peek('users', 'ann'), null)
})

test('however many values there are, each key has its own', async () => {
  const store = new MemoryStore({ size: 64 * 1024 * 1024 })
  const textOf = (i: number) => JSON.stringify(i % 3 === 0 ? 'a peer of many' : `${'x'.repeat(i % 80)}${i}`)
  for (let i = 0; i < 10_000; i++) await store.set('users', `user ${i}`, textOf(i), Infinity)
  for (let i = 0; i < 10_000; i++) assert.is((await store.get('users', `user ${i}`))?.value, textOf(i))
})

test.run()
