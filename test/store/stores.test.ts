// The store and the session maps of a configuration: what a reload keeps, and what it makes anew.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseConfig } from '../../runtime/config/parse.ts'
import { MemoryStore } from '../../runtime/store/memory-store.ts'
import { StoreError } from '../../runtime/store/store.ts'
import { type StoreSet, type StoreSettings, Stores } from '../../runtime/stores.ts'
import { tempDir } from '../lib/temp.ts'

const log: string[] = []
const folder = tempDir()

function settings(text: string): StoreSettings {
  const { model, problems } = parseConfig({
    file: join(folder, 'sluice.conf'),
    prefix: folder,
    text: `http {\n${text}\n}`,
  })
  if (model?.http == null) throw new Error(JSON.stringify(problems))
  return model.http
}

/** Prepares and commits, as a gateway does for one generation that it then keeps. */
async function serve(stores: Stores, text: string): Promise<StoreSet> {
  const set = await stores.prepare(settings(text))
  stores.commit(set)
  return set
}

const open = (memory?: MemoryStore) => new Stores({ log: (_, message) => log.push(message), memory })

test('a reload keeps the store, its entries and the maps that did not change', async () => {
  const stores = open()
  const first = await serve(stores, 'session_map users ttl=1h; session_map rooms;')
  await stores.map('users')!.set('ann', '"app1"')
  const second = await serve(stores, 'session_map users ttl=1h; session_map rooms ttl=5m; session_map more;')
  assert.is(second.store, first.store)
  assert.is(second.map('users'), first.map('users'))
  assert.is.not(second.map('rooms'), first.map('rooms'))
  assert.is(await second.map('users')!.get('ann'), '"app1"')
  assert.is(stores.map('none'), undefined)
  assert.equal(
    second.maps.map(({ name }) => name),
    ['users', 'rooms', 'more'],
  )
  for (const set of [first, second]) set.release()
  stores.close()
})

test('another password is another way to the same store; another database is another store', async () => {
  const stores = open()
  const redis = (rest: string) => `store redis://${rest} prefix=a:;`
  const sets = [await serve(stores, redis('ann:one@127.0.0.1:1/0'))]
  log.length = 0
  sets.push(await serve(stores, redis('bob:two@127.0.0.1:1/0')))
  assert.equal(log, [])
  sets.push(await serve(stores, redis('bob:two@127.0.0.1:1/1')))
  assert.equal(log, ['the store is another one: what the one before holds is not known to it'])
  for (const set of sets) set.release()
  stores.close()
})

test('the same configuration has the same set', async () => {
  const stores = open()
  const first = await serve(stores, 'session_map users;')
  assert.is(await serve(stores, '\n\nsession_map users;'), first)
  stores.close()
})

test('another size is another store; the one before stays for those who hold it, and is closed after the last', async () => {
  const stores = open()
  const first = await serve(stores, 'store memory size=1m;')
  const second = await serve(stores, 'store memory size=2m;')
  assert.is.not(second.store, first.store)
  assert.match(log.at(-1)!, 'the store is another one')
  await first.store.set('m', 'k', '1', Infinity)
  first.release()
  const error = await first.store.get('m', 'k').catch((error: unknown) => error)
  assert.ok(error instanceof StoreError && error.code === 'closed')
  await second.store.set('m', 'k', '1', Infinity)
  second.release()
  stores.close()
})

test('a set that never serves leaves the bounds of the maps as they were', async () => {
  const stores = open()
  await serve(stores, 'session_map users max=3;')
  const refused = await stores.prepare(settings('session_map users max=1;'))
  stores.discard(refused)
  refused.release()
  const users = stores.map('users')!
  for (const key of ['a', 'b', 'c', 'd']) await users.set(key, '1')
  assert.is(await stores.store.size('users'), 3)
  stores.close()
})

test('a store that was given is used for `store memory`, whatever its size, and is not closed', async () => {
  const memory = new MemoryStore({ size: 1024 * 1024 })
  const stores = open(memory)
  const sets = [
    await serve(stores, 'store memory size=1m;'),
    await serve(stores, 'store memory size=1m; session_map users;'),
  ]
  assert.ok(sets.every(({ store }) => store === memory))
  for (const set of sets) set.release()
  stores.close()
  await memory.set('m', 'k', '1', Infinity)
  await memory.close()
})

test('files of a Redis store that cannot be read are named with their place', async () => {
  const stores = open()
  const prepare = async (words: string) => {
    try {
      const set = await stores.prepare(settings(`store rediss://127.0.0.1:1 ${words};`))
      set.release()
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }
  assert.match(
    await prepare('password_file=none'),
    /sluice\.conf:2:1: password_file ".*none" of "store" cannot be read: ENOENT/,
  )
  assert.match(
    await prepare('tls_ca=none'),
    /sluice\.conf:2:1: tls_ca ".*none" of "store" cannot be read: ENOENT/,
  )
  writeFileSync(join(folder, 'empty'), '\n')
  assert.match(await prepare('password_file=empty'), 'the first line of password_file')
  stores.close()
})

test('another password under the same name is another connection', async () => {
  const stores = open()
  writeFileSync(join(folder, 'secret'), 'one\n')
  const text = 'store redis://127.0.0.1:1 password_file=secret;'
  const first = await serve(stores, text)
  const same = await serve(stores, text)
  assert.is(same.store, first.store)
  writeFileSync(join(folder, 'secret'), 'two\n')
  const other = await serve(stores, text)
  assert.is.not(other.store, first.store)
  for (const set of [first, same, other]) set.release()
  stores.close()
})

test.run()
