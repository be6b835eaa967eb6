// The token bucket: a burst at once, then a steady rate.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TokenBucket } from '../../runtime/lib/token-bucket.ts'

/** How many may be taken at once. */
function takeAll(bucket: TokenBucket): number {
  let taken = 0
  while (bucket.take()) taken++
  return taken
}

test('the burst is there at once, and no more', () => {
  assert.is(takeAll(new TokenBucket(5, 0.001)), 5)
})

test('it fills again at its rate, up to the burst', () => {
  let now = 0
  const bucket = new TokenBucket(3, 1000, () => now)
  takeAll(bucket)
  now = 0.9
  assert.is(takeAll(bucket), 0)
  now = 2.5
  assert.is(takeAll(bucket), 2)
  now = 50
  assert.is(takeAll(bucket), 3)
})

test.run()
