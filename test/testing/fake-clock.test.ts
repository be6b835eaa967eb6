// Time that a test moves.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FakeClock } from '../../runtime/testing/fake-clock.ts'

test('timers fire in the order of their times, each at its time, and none too early', async () => {
  const clock = new FakeClock(1000, 1)
  const fired: string[] = []
  const at = (name: string, ms: number) => clock.setTimeout(() => fired.push(`${name} ${clock.now()}`), ms)
  at('c', 300)
  at('a', 100)
  at('b', 100)
  at('never', 1001)
  clock.clearTimeout(at('cleared', 200))
  assert.is(clock.next, 100)
  await clock.advance('1s')
  assert.equal(fired, ['a 1100', 'b 1100', 'c 1300'])
  assert.is(clock.now(), 2000)
  assert.is(clock.next, 1)
})

test('a timer that a timer sets fires in the same advance, if it falls due', async () => {
  const clock = new FakeClock(0, 1)
  const fired: number[] = []
  const again = () => {
    fired.push(clock.now())
    clock.setTimeout(again, 400)
  }
  clock.setTimeout(again, 400)
  await clock.advance(1000)
  assert.equal(fired, [400, 800])
})

test('setting the time moves no timer', async () => {
  const clock = new FakeClock(0, 1)
  let fired = false
  clock.setTimeout(() => {
    fired = true
  }, 100)
  clock.set(5000)
  assert.is(clock.next, 100)
  await clock.advance(99)
  assert.is(fired, false)
  await clock.advance(1)
  assert.is(fired, true)
})

test('durations as nginx writes them, or milliseconds', async () => {
  const clock = new FakeClock(0, 1)
  await clock.advance('1h30m')
  await clock.advance('500ms')
  await clock.advance(0.5)
  assert.is(clock.now(), 5_400_500.5)
  for (const wrong of ['soon', '', -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    let shown = ''
    await clock.advance(wrong).catch((error: Error) => {
      shown = error.message
    })
    assert.match(shown, 'is no duration')
  }
})

test.run()
