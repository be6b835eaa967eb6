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

test('it fills again at its rate, up to the burst', async () => {
  const bucket = new TokenBucket(3, 1000)
  takeAll(bucket)
  const since = performance.now()
  while (performance.now() - since < 2.5) {}
  assert.ok(bucket.take())
  while (performance.now() - since < 50) {}
  const taken = takeAll(bucket)
  assert.ok(taken >= 3 && taken <= 4, String(taken))
})

test.run()
