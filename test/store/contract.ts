// What every store does, whatever it is made of: run against each of them.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MISSING, type Store, StoreError } from '../../runtime/store/store.ts'

export interface Subject {
  /** A store with nothing in it. */
  open(): Promise<Store>
  /** Another view of the same state: another worker, another machine; the store itself where there can be only one. */
  beside(store: Store): Promise<Store>
  /** Makes ms pass for the store. */
  pass(ms: number): Promise<void>
}

const HOUR = 3_600_000

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof StoreError) return error.code
    throw error
  }
  return 'none'
}

/** Adds the tests of the contract; the file calls `test.run()`. */
export function testContract(name: string, subject: Subject): void {
  const it = (what: string, body: (store: Store) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const store = await subject.open()
      try {
        await body(store)
      } finally {
        await store.close()
      }
    })

  it('what is set is got, text and bytes alike', async (store) => {
    await store.set('users', 'ann', '"app1"', HOUR)
    await store.set('users', 'bob', new Uint8Array([0, 255, 13, 10]), HOUR)
    assert.is((await store.get('users', 'ann'))?.value, '"app1"')
    assert.equal([...((await store.get('users', 'bob'))!.value as Uint8Array)], [0, 255, 13, 10])
    assert.is(await store.get('users', 'cid'), null)
  })

  it('maps of different names hold different things under one key', async (store) => {
    await store.set('a', 'k', '1', HOUR)
    await store.set('b', 'k', '2', HOUR)
    assert.is((await store.get('a', 'k'))?.value, '1')
    assert.is(await store.delete('a', 'k'), true)
    assert.is((await store.get('b', 'k'))?.value, '2')
  })

  it('keys and values may hold any character', async (store) => {
    const key = 'ключ {tag} a:b\0\r\n*'
    await store.set('users', key, '"\\u0000 é 😀"', HOUR)
    assert.is((await store.get('users', key))?.value, '"\\u0000 é 😀"')
    assert.equal(
      (await store.entries('users', null, 10)).entries.map((entry) => entry.key),
      [key],
    )
  })

  it('an entry goes when its time is over, and touch puts that off', async (store) => {
    await store.set('users', 'ann', '1', 200)
    await store.set('users', 'bob', '1', 200)
    assert.is(await store.touch('users', 'bob', HOUR), true)
    assert.is(await store.touch('users', 'nobody', HOUR), false)
    await subject.pass(300)
    assert.is(await store.get('users', 'ann'), null)
    assert.is((await store.get('users', 'bob'))?.value, '1')
  })

  it('an entry without an end stays', async (store) => {
    await store.set('users', 'ann', '1', Infinity)
    assert.is((await store.get('users', 'ann'))?.expires, Infinity)
  })

  it('add sets only where there is nothing, and says what was there', async (store) => {
    assert.is(await store.add('users', 'ann', '"app1"', HOUR), null)
    assert.is((await store.add('users', 'ann', '"app2"', HOUR))?.value, '"app1"')
    assert.is((await store.get('users', 'ann'))?.value, '"app1"')
  })

  it('of many who add the same key at the same time, one wins and all learn who', async (store) => {
    const other = await subject.beside(store)
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const there = await (i % 2 === 0 ? store : other).add('users', 'ann', `${i}`, HOUR)
        return there === null ? `${i}` : there.value
      }),
    )
    assert.is(new Set(answers).size, 1)
    if (other !== store) await other.close()
  })

  it('compare-and-set replaces what was expected, and nothing else', async (store) => {
    await store.set('users', 'ann', '"app1"', HOUR)
    const lost = await store.compareAndSet('users', 'ann', '"app9"', '"app2"', HOUR)
    assert.is(lost !== null && lost !== MISSING && lost.value, '"app1"')
    assert.is(await store.compareAndSet('users', 'ann', '"app1"', '"app2"', HOUR), null)
    assert.is((await store.get('users', 'ann'))?.value, '"app2"')
    assert.is(await store.compareAndSet('users', 'bob', '"app1"', '"app2"', HOUR), MISSING)
    assert.is(await store.compareAndSet('users', 'bob', null, '"app3"', HOUR), null)
    assert.is(await store.compareAndSet('users', 'ann', '"app2"', null, HOUR), null)
    assert.is(await store.get('users', 'ann'), null)
  })

  it('of many who replace a peer that has gone, one wins', async (store) => {
    const other = await subject.beside(store)
    await store.set('users', 'ann', '"gone"', HOUR)
    const won = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        (i % 2 === 0 ? store : other).compareAndSet('users', 'ann', '"gone"', `"new${i}"`, HOUR),
      ),
    )
    assert.is(won.filter((lost) => lost === null).length, 1)
    if (other !== store) await other.close()
  })

  it('incr counts, also with many at the same time, and keeps the time to live of the first', async (store) => {
    const other = await subject.beside(store)
    await Promise.all(
      Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? store : other).incr('hits', 'ann', 1, HOUR)),
    )
    assert.is(await store.incr('hits', 'ann', -10, HOUR), 50)
    assert.is(await store.incr('hits', 'bob', 2.5, 150), 2.5)
    await subject.pass(250)
    assert.is(await store.get('hits', 'bob'), null)
    await store.set('hits', 'word', '"x"', HOUR)
    assert.is(await codeOf(store.incr('hits', 'word', 1, HOUR)), 'wrong_type')
    if (other !== store) await other.close()
  })

  it('entries come in pages, each once', async (store) => {
    for (let i = 0; i < 57; i++) await store.set('users', `u${i}`, `${i}`, HOUR)
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page = await store.entries('users', cursor, 10)
      seen.push(...page.entries.map((entry) => entry.key))
      cursor = page.cursor
    } while (cursor !== null)
    assert.equal([...new Set(seen)].sort(), Array.from({ length: 57 }, (_, i) => `u${i}`).sort())
    assert.is(await store.size('users'), 57)
    assert.equal((await store.entries('nothing', null, 10)).entries, [])
  })

  it('take lets a burst through and then the rate', async (store) => {
    const taken = []
    for (let i = 0; i < 5; i++) taken.push(await store.take('limit', 'ann', 2, 3, 1))
    assert.equal(
      taken.map((wait) => wait <= 0),
      [true, true, true, false, false],
    )
    // What was taken comes back at two a second.
    assert.ok(taken[0] <= -499 && taken[0] >= -500, `${taken[0]} ms`)
    assert.ok(taken[2] <= -1000 && taken[2] >= -1500, `${taken[2]} ms`)
    assert.ok(taken[3] > 0 && taken[3] <= 500, `${taken[3]} ms`)
    await subject.pass(taken[3] + 20)
    assert.ok((await store.take('limit', 'ann', 2, 3, 1)) <= 0)
    assert.ok((await store.take('limit', 'bob', 2, 3, 3)) <= 0)
  })

  it('take counts together over all who ask', async (store) => {
    const other = await subject.beside(store)
    const waits = await Promise.all(
      Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? store : other).take('limit', 'all', 0.5, 10, 1)),
    )
    assert.is(waits.filter((wait) => wait <= 0).length, 10)
    if (other !== store) await other.close()
  })

  it('a change is told to who looks from elsewhere', async (store) => {
    const other = await subject.beside(store)
    await store.set('users', 'ann', '1', HOUR)
    await other.get('users', 'ann')
    const told = new Promise<void>((done) => {
      other.onInvalidation((map, key) => {
        if (key === null || (map === 'users' && key === 'ann')) done()
      })
    })
    await store.set('users', 'ann', '2', HOUR)
    await told
    assert.is((await other.get('users', 'ann'))?.value, '2')
    assert.is.not(other.peek('users', 'ann')?.value, '1')
    if (other !== store) await other.close()
  })

  it('what is too large is refused and loses nothing', async (store) => {
    await store.set('users', 'ann', '1', HOUR)
    assert.is(await codeOf(store.set('users', 'ann', 'x'.repeat(300_000), HOUR)), 'too_large')
    assert.is(await codeOf(store.get('users', 'k'.repeat(2000))), 'too_large')
    assert.is((await store.get('users', 'ann'))?.value, '1')
  })

  it('calls after close are refused', async (store) => {
    await store.close()
    assert.is(await codeOf(store.get('users', 'ann')), 'closed')
  })
}
