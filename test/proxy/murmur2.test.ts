// The hash behind `split_clients`.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { murmur2 } from '../../runtime/lib/murmur2.ts'

// Computed with nginx's ngx_murmur_hash2.
const HASHES: readonly [string, number][] = [
  ['', 0],
  ['a', 2456313694],
  ['ab', 446775395],
  ['abc', 324500635],
  ['abcd', 646393889],
  ['userId=42', 3414402341],
  ['\xe9t\xe9', 1052071824],
  ['The quick brown fox jumps over the lazy dog', 556214736],
]
for (const [text, hash] of HASHES) {
  test(`MurmurHash2 of "${text}" is ${hash}`, () => {
    assert.is(murmur2(text), hash)
  })
}

test.run()
