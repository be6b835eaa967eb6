import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatHttpDate, httpDate, parseHttpDate } from '../../runtime/http1/date.ts'
import { reasonPhrase } from '../../runtime/http1/status.ts'

const WHEN = Date.UTC(1994, 10, 6, 8, 49, 37)

test('formatting', () => {
  assert.is(formatHttpDate(WHEN), 'Sun, 06 Nov 1994 08:49:37 GMT')
  assert.is(formatHttpDate(WHEN + 999), 'Sun, 06 Nov 1994 08:49:37 GMT')
  assert.is(formatHttpDate(0), 'Thu, 01 Jan 1970 00:00:00 GMT')
})

test('the three forms', () => {
  assert.is(parseHttpDate('Sun, 06 Nov 1994 08:49:37 GMT'), WHEN)
  assert.is(parseHttpDate('Sunday, 06-Nov-94 08:49:37 GMT'), WHEN)
  assert.is(parseHttpDate('Sun Nov  6 08:49:37 1994'), WHEN)
  assert.is(parseHttpDate('Sun Nov 16 08:49:37 1994'), WHEN + 10 * 86400e3)
})

test('formatting and parsing agree on every day of years', () => {
  for (let day = 0; day < 20000; day += 7) {
    const ms = day * 86400e3 + (day % 86400) * 1000
    assert.is(parseHttpDate(formatHttpDate(ms)), ms)
  }
})

test('a two-digit year is at most fifty years ahead', () => {
  const year = new Date().getUTCFullYear()
  const full = (digits: number) =>
    new Date(
      parseHttpDate(`Sunday, 06-Nov-${String(digits % 100).padStart(2, '0')} 08:49:37 GMT`),
    ).getUTCFullYear()
  assert.is(full(year + 50), year + 50)
  assert.is(full(year + 51), year - 49)
})

test('what is no date is NaN', () => {
  const bad = [
    '',
    'today',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 CET',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 31 Feb 1994 08:49:37 GMT',
    'Sun, 00 Nov 1994 08:49:37 GMT',
    'Sun, 06 nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:49:37 GMT',
    'Sun, 06 Nov 1994 08:60:37 GMT',
    'Sun, 06 Nov 1994 08:49:61 GMT',
    'Xun, 06 Nov 1994 08:49:37 GMT',
    ' Sun, 06 Nov 1994 08:49:37 GMT',
    '1994-11-06T08:49:37Z',
  ]
  for (const text of bad) assert.ok(Number.isNaN(parseHttpDate(text)), text)
  assert.is(parseHttpDate('Sun, 06 Nov 1994 08:49:60 GMT'), WHEN + 22000)
})

test('the current date follows the clock', () => {
  const real = Date.now
  try {
    Date.now = () => WHEN + 500
    assert.is(httpDate(), 'Sun, 06 Nov 1994 08:49:37 GMT')
    Date.now = () => WHEN + 999
    assert.is(httpDate(), 'Sun, 06 Nov 1994 08:49:37 GMT')
    Date.now = () => WHEN + 1000
    assert.is(httpDate(), 'Sun, 06 Nov 1994 08:49:38 GMT')
  } finally {
    Date.now = real
  }
})

test("phrases are nginx's", () => {
  assert.is(reasonPhrase(200), 'OK')
  assert.is(reasonPhrase(302), 'Moved Temporarily')
  assert.is(reasonPhrase(405), 'Not Allowed')
  assert.is(reasonPhrase(413), 'Request Entity Too Large')
  assert.is(reasonPhrase(504), 'Gateway Time-out')
  assert.is(reasonPhrase(203), '')
  assert.is(reasonPhrase(418), '')
})

test.run()
