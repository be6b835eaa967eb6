// Times as logs and variables show them.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatIso8601, formatLocal, formatSeconds } from '../../runtime/lib/time-format.ts'

test('times in the zone of the process', () => {
  const ms = Date.UTC(2026, 0, 31, 22, 5, 9)
  const local = formatLocal(ms)
  const iso = formatIso8601(ms)
  assert.match(local, /^\d\d\/(Jan|Feb)\/2026:\d\d:\d\d:09 [+-]\d{4}$/)
  assert.is(Date.parse(iso), ms)
  assert.is(local.slice(-5), iso.slice(-6).replace(':', ''))
})

test('seconds with three decimals', () => {
  assert.is(formatSeconds(0), '0.000')
  assert.is(formatSeconds(7), '0.007')
  assert.is(formatSeconds(45), '0.045')
  assert.is(formatSeconds(1999), '1.999')
  assert.is(formatSeconds(3_600_000.9), '3600.000')
  assert.is(formatSeconds(-5), '0.000')
})

test.run()
