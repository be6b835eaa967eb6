import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { strftime } from '../../runtime/lib/strftime.ts'
import { execWithin } from '../../runtime/lib/timed-regex.ts'

const AT = Date.UTC(2026, 0, 4, 15, 4, 5)

/** As `date -u -d @… +FORMAT` with LC_ALL=C prints them. */
const FORMATS: readonly [string, string][] = [
  ['%A, %d-%b-%Y %H:%M:%S %Z', 'Sunday, 04-Jan-2026 15:04:05 GMT'],
  ['%a %B %e %I %l %p %P %j', 'Sun January  4 03  3 PM pm 004'],
  [
    '%c|%D|%F|%T|%R|%r|%x|%X',
    'Sun Jan  4 15:04:05 2026|01/04/26|2026-01-04|15:04:05|15:04|03:04:05 PM|01/04/26|15:04:05',
  ],
  ['%C %y %g %G %V %U %W %u %w', '20 26 26 2026 01 01 00 7 0'],
  ['%s %z %% %n%t %Ey %q', '1767539045 +0000 % \n\t 26 %q'],
  ['', ''],
  ['100%', '100%'],
]
for (const [format, shown] of FORMATS) {
  test(JSON.stringify(format), () => assert.is(strftime(format, AT, true), shown))
}

test('ISO weeks at the turn of a year', () => {
  const week = (...date: [number, number, number]) => strftime('%G-%V', Date.UTC(...date), true)
  assert.is(week(2024, 11, 30), '2025-01')
  assert.is(week(2021, 0, 3), '2020-53')
  assert.is(week(2026, 11, 31), '2026-53')
})

test('local time differs from UTC by the offset that %z says', () => {
  const [sign, hours, minutes] = /^([+-])(\d\d)(\d\d)$/.exec(strftime('%z', AT, false))!.slice(1)
  const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1)
  assert.is(strftime('%F %T', AT, false), strftime('%F %T', AT + offset * 60_000, true))
})

test('a regular expression is given its time and no more', () => {
  assert.is(execWithin(/a(b)/, 'xab', 50)![1], 'b')
  assert.is(execWithin(/a(b)/, 'x', 50), null)
  const started = Date.now()
  assert.throws(() => execWithin(/^(a+)+$/, `${'a'.repeat(50)}!`, 20))
  assert.ok(Date.now() - started < 1000)
  assert.is(execWithin(/a(b)/, 'xab', 50)![1], 'b')
})

test.run()
