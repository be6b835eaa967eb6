// A hook that overruns: counted, left out, tried again. By a clock that the test moves.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HookWatch } from '../../runtime/script/hook-watch.ts'

const SECOND = 1000
const T = 1_000_000

/** What a call at this time would meet: `in service`, `left out`, or `tries`. */
function stateAt(watch: HookWatch, now: number): string {
  if (!watch.leftOut) return 'in service'
  return watch.isDue(now) ? 'tries' : 'left out'
}

test('overruns are counted in a row, and a good call begins anew', () => {
  const watch = new HookWatch()
  assert.equal([watch.overran(T), watch.overran(T), watch.overran(T)], [1, 2, 3])
  assert.is(watch.unwell, true)
  assert.is(watch.wentWell(T), false)
  assert.is(watch.unwell, false)
  assert.is(watch.overran(T), 1)
})

test('left out for a second, then one call tries; the next may when nothing is heard of it', () => {
  const watch = new HookWatch()
  assert.is(watch.leaveOut(T), SECOND)
  assert.is(stateAt(watch, T + 999), 'left out')
  assert.is(stateAt(watch, T + 1000), 'tries')
  watch.tries(T + 1000, 11_000)
  assert.is(stateAt(watch, T + 5000), 'left out')
  assert.is(stateAt(watch, T + 12_000), 'tries')
})

test('each try that overruns doubles the time, up to a minute', () => {
  const watch = new HookWatch()
  watch.leaveOut(T)
  let now = T
  const times: number[] = []
  for (let n = 0; n < 8; n++) {
    let wait = 0
    while (!watch.isDue(now + wait)) wait += SECOND
    times.push(wait / SECOND)
    now += wait
    watch.tries(now, 11_000)
    assert.is(watch.overran(now), 0)
  }
  assert.equal(times, [1, 2, 4, 8, 16, 32, 60, 60])
})

test('a try that goes well ends it; a relapse soon after is longer, one much later is not', () => {
  const watch = new HookWatch()
  watch.leaveOut(T)
  watch.tries(T + 1000, 11_000)
  assert.is(watch.wentWell(T + 1000), true)
  assert.is(stateAt(watch, T + 1000), 'in service')
  assert.is(watch.leaveOut(T + 2000), 2 * SECOND)
  watch.tries(T + 4000, 11_000)
  watch.wentWell(T + 5000)
  assert.is(watch.leaveOut(T + 5000 + 60_000), SECOND)
})

test('calls that began before it was left out change nothing, however they end', () => {
  const watch = new HookWatch()
  watch.leaveOut(T)
  for (let n = 0; n < 20; n++) assert.is(watch.overran(T + n), 0)
  assert.is(watch.wentWell(T + 500), false)
  assert.is(stateAt(watch, T + 999), 'left out')
  assert.is(stateAt(watch, T + 1000), 'tries')
})

test.run()
