// Addresses as text and as numbers.

import { isIPv4, isIPv6 } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatIpv4, formatIpv6, mappedIpv4, parseIpv4, parseIpv6 } from '../../runtime/lib/ip-address.ts'

const GOOD4: readonly [string, number][] = [
  ['0.0.0.0', 0],
  ['127.0.0.1', 0x7f000001],
  ['255.255.255.255', 0xffffffff],
  ['1.2.3.4', 0x01020304],
]
for (const [text, number] of GOOD4) {
  test(`${text} is ${number}`, () => {
    assert.is(parseIpv4(text), number)
    assert.is(formatIpv4(number), text)
  })
}

for (const text of [
  '',
  '1',
  '1.2.3',
  '1.2.3.',
  '1.2.3.4.',
  '.1.2.3.4',
  '1..3.4',
  '256.0.0.1',
  '1.2.3.4.5',
  '0x1.2.3.4',
  '1.2.3.4 ',
  '0001.2.3.4',
]) {
  test(`"${text}" is no IPv4 address`, () => {
    assert.is(parseIpv4(text), -1)
  })
}

const GOOD6: readonly [string, string][] = [
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['2001:DB8::0:1', '2001:db8::1'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ['1:0:2:0:3:0:4:0', '1:0:2:0:3:0:4:0'],
  ['0:0:1::', '0:0:1::'],
  ['::ffff:1.2.3.4', '::ffff:102:304'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
]
for (const [text, shortest] of GOOD6) {
  test(`${text} is ${shortest}`, () => {
    assert.is(formatIpv6(parseIpv6(text)!), shortest)
  })
}

for (const text of [
  '',
  ':',
  ':::',
  '1',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1::2::3',
  '12345::',
  'g::',
  '1:2:3:4:5:6:7::8',
  '::1.2.3',
  '1.2.3.4::',
  '::1%eth0',
  '[::1]',
  ' ::1',
  '::1.2.3.4:5',
]) {
  test(`"${text}" is no IPv6 address`, () => {
    assert.is(parseIpv6(text), null)
  })
}

test('mapped IPv4 addresses are found', () => {
  assert.is(mappedIpv4(parseIpv6('::ffff:255.0.0.1')!), 0xff000001)
  assert.is(mappedIpv4(parseIpv6('::1:ffff:255.0.0.1')!), -1)
  assert.is(mappedIpv4(parseIpv6('::255.0.0.1')!), -1)
})

// Property: agrees with Node about random text of the right letters.
test('the same texts are addresses as for node:net', () => {
  let seed = 7
  const random = (bound: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return Math.floor((seed / 2 ** 32) * bound)
  }
  const pieces = ['1', 'ab', 'ffff', '0', ':', ':', '::', '.', '255', '1.2.3.4', '00', '300', 'g']
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: 1 + random(12) }, () => pieces[random(pieces.length)]).join('')
    // Node refuses leading zeros, which nginx reads as decimal.
    if (/(^|[.:])0\d+\.|\.0\d/.test(text)) continue
    assert.is(parseIpv6(text) !== null, isIPv6(text), text)
    assert.is(parseIpv4(text) >= 0, isIPv4(text), text)
  }
})

test.run()
