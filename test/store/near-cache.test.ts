import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { detached } from '../../runtime/store/limits.ts'
import { NEAR_DEFAULTS, NearCache } from '../../runtime/store/near-cache.ts'

const LATER = Number.POSITIVE_INFINITY

function cache(max = 1000, bytes = 1024 * 1024): NearCache {
  return new NearCache({ max, bytes })
}

function learn(near: NearCache, key: string, value = '"app1"'): void {
  near.end(near.begin('users', key), { key, value, expires: LATER })
}

test('the least recently used go first, beyond so many entries or so many bytes', () => {
  const few = cache(3)
  for (const key of ['a', 'b', 'c']) learn(few, key)
  few.get('users', 'a')
  learn(few, 'd')
  assert.equal(
    ['a', 'b', 'c', 'd'].filter((key) => few.get('users', key) !== undefined),
    ['a', 'c', 'd'],
  )
  const small = cache(1000, 10_000)
  for (let i = 0; i < 100; i++) learn(small, `key ${i}`, 'x'.repeat(1000))
  assert.ok(small.size >= 7 && small.size < 10, `${small.size}`)
  assert.ok(small.bytes <= 10_000)
  // Two bytes for each character that is not latin1.
  const wide = cache(1000, 10_000)
  for (let i = 0; i < 100; i++) learn(wide, `key ${i}`, '日'.repeat(1000))
  assert.ok(wide.size < 5, `${wide.size}`)
})

test('what alone is larger than all there may be is not kept', () => {
  const near = cache(1000, 1000)
  learn(near, 'large', 'x'.repeat(2000))
  assert.is(near.get('users', 'large'), undefined)
  assert.is(near.bytes, 0)
})

test('the largest values that there may be do not take more than the bound', () => {
  const near = new NearCache(NEAR_DEFAULTS)
  const value = 'x'.repeat(256 * 1024)
  for (let i = 0; i < 1000; i++) learn(near, `key ${i}`, value)
  assert.ok(near.bytes <= 32 * 1024 * 1024, `${near.bytes}`)
})

test('what a read brings is worth nothing once the key has changed', () => {
  const near = cache()
  const reading = near.begin('users', 'ann')
  near.forget('users', 'ann')
  near.end(reading, { key: 'ann', value: '"old"', expires: LATER })
  assert.is(near.get('users', 'ann'), undefined)
})

test("a change is no change if it is the call's own", () => {
  const near = cache()
  const writing = near.begin('users', 'ann')
  near.forget('users', 'ann')
  near.end(writing, { key: 'ann', value: '"ours"', expires: LATER }, 1)
  assert.is(near.get('users', 'ann')?.value, '"ours"')
  const second = near.begin('users', 'ann')
  near.forget('users', 'ann')
  near.forget('users', 'ann')
  near.end(second, { key: 'ann', value: '"ours"', expires: LATER }, 1)
  assert.is(near.get('users', 'ann'), undefined)
})

test('a write that nobody tells of makes what is read beside it worthless', () => {
  const near = cache()
  const reading = near.begin('users', 'ann')
  near.end(near.begin('users', 'ann', true), { key: 'ann', value: '"new"', expires: LATER })
  near.end(reading, { key: 'ann', value: '"old"', expires: LATER })
  assert.is(near.get('users', 'ann'), undefined)
})

test('a doubt ends all answers and no last word', () => {
  const near = cache()
  learn(near, 'ann')
  near.doubt()
  assert.is(near.get('users', 'ann'), undefined)
  assert.is(near.last('users', 'ann')?.value, '"app1"')
  near.end(near.begin('users', 'ann'), undefined)
  assert.is(near.last('users', 'ann')?.value, '"app1"')
})

test('a detached text is the same text', () => {
  for (const text of ['', 'plain', 'ümläut\xff', '日本 \ud800 😀', 'x'.repeat(5000)])
    assert.is(detached(text), text)
})

test.run()
