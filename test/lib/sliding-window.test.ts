// Calls of the last thirty seconds, by a clock that the test moves.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SlidingWindow } from '../../runtime/lib/sliding-window.ts'

const LENGTH = 30_000

test('counts what happened within the window and forgets it slice by slice', () => {
  const window = new SlidingWindow(LENGTH)
  window.succeeded(1000, 1)
  window.failed(2000, false)
  window.failed(12_000, true)
  assert.equal(window.totals(12_000), { calls: 3, errors: 2, overruns: 1 })
  assert.equal(window.totals(29_999), { calls: 3, errors: 2, overruns: 1 })
  assert.equal(window.totals(30_000), { calls: 1, errors: 1, overruns: 1 })
  assert.equal(window.totals(40_000), { calls: 0, errors: 0, overruns: 0 })
})

test('a slice that comes round again begins empty, after a pause of any length too', () => {
  const window = new SlidingWindow(LENGTH)
  for (let n = 0; n < 100; n++) window.succeeded(n * 5000, 1)
  assert.is(window.totals(99 * 5000).calls, 6)
  window.failed(1e12, false)
  assert.equal(window.totals(1e12), { calls: 1, errors: 1, overruns: 0 })
})

test('quantiles are right to a fifth, over nine decades', () => {
  const window = new SlidingWindow(LENGTH)
  for (let n = 1; n <= 100; n++) window.succeeded(0, n)
  for (const [share, exact] of [
    [0.5, 50],
    [0.99, 99],
    [1, 100],
  ] as const) {
    const found = window.quantile(0, share)
    assert.ok(found >= exact && found <= exact * 1.2, `${found} for ${exact}`)
  }
  for (const took of [0.0015, 0.2, 7, 900, 12_000]) {
    const one = new SlidingWindow(LENGTH)
    one.succeeded(0, took)
    const found = one.quantile(0, 0.99)
    assert.ok(found >= took && found <= took * 1.2, `${found} for ${took}`)
  }
})

test('failed calls have no duration, and nothing at all has none either', () => {
  const window = new SlidingWindow(LENGTH)
  assert.is(window.quantile(0, 0.99), 0)
  window.failed(0, true)
  assert.is(window.quantile(0, 0.99), 0)
})

test('what takes no time or for ever falls into the outermost classes', () => {
  const window = new SlidingWindow(LENGTH)
  for (const took of [0, -1, 1e9]) window.succeeded(0, took)
  assert.is(window.totals(0).calls, 3)
  assert.is(window.quantile(0, 0.5), 0.001)
  assert.ok(window.quantile(0, 1) > 20_000)
})

test.run()
