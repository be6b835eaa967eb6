// Values as nginx writes them.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  parseCidr,
  parseCount,
  parseEndpoint,
  parseOffset,
  parsePercent,
  parseSize,
  parseTime,
} from '../../runtime/config/values.ts'

test('times in milliseconds, from large units to small ones', () => {
  for (const [text, ms] of [
    ['30', 30_000],
    ['0', 0],
    ['500ms', 500],
    ['1h30m', 5_400_000],
    ['1d 12h', 129_600_000],
    ['1w', 604_800_000],
    ['1m 30', 90_000],
    ['1s500ms', 1500],
    ['1s30', 31_000],
    ['30 ', 30_000],
    ['30 1', 31_000],
  ] as const) {
    assert.is(parseTime(text), ms, text)
  }
  for (const text of [
    '',
    's',
    '1x',
    '30m1h',
    '1h1h',
    '1y',
    '1M',
    '-1',
    '1.5s',

    ' 1',
    '9'.repeat(30),
  ]) {
    assert.is(parseTime(text), null, text)
  }
})

test('times that count seconds take years and months, but no milliseconds', () => {
  assert.is(parseTime('1y', 's'), 31_536_000_000)
  assert.is(parseTime('1M', 's'), 2_592_000_000)
  assert.is(parseTime('5ms', 's'), null)
})

test('sizes, and offsets that may be gigabytes', () => {
  assert.is(parseSize('512'), 512)
  assert.is(parseSize('8k'), 8192)
  assert.is(parseSize('1M'), 1_048_576)
  assert.is(parseSize('1g'), null)
  assert.is(parseOffset('2G'), 2_147_483_648)
  for (const text of ['', 'k', '1kb', '-1', '1.5m', '9'.repeat(20)]) assert.is(parseSize(text), null, text)
})

test('numbers and percentages', () => {
  assert.is(parseCount('0'), 0)
  assert.is(parseCount('007'), 7)
  for (const text of ['', '-1', '+1', '1e3', '0x1', ' 1', '99999999999999999'])
    assert.is(parseCount(text), null, text)
  assert.is(parsePercent('0.5%'), 50)
  assert.is(parsePercent('100%'), 10_000)
  assert.is(parsePercent('33.33%'), 3333)
  for (const text of ['5', '%', '0.123%', '-1%']) assert.is(parsePercent(text), null, text)
})

test('address blocks; bits behind the mask are cleared and told', () => {
  assert.equal(parseCidr('192.0.2.1'), {
    cidr: { kind: 'ip', bytes: [192, 0, 2, 1], bits: 32 },
    lowBits: false,
  })
  assert.equal(parseCidr('192.0.2.129/25'), {
    cidr: { kind: 'ip', bytes: [192, 0, 2, 128], bits: 25 },
    lowBits: true,
  })
  assert.equal(parseCidr('0.0.0.0/0')?.cidr, { kind: 'ip', bytes: [0, 0, 0, 0], bits: 0 })
  assert.equal(parseCidr('2001:db8::/32')?.cidr, {
    kind: 'ip',
    bytes: [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    bits: 32,
  })
  for (const text of ['', 'host', '1.2.3', '1.2.3.4/33', '::/129', '1.2.3.4/', '1.2.3.4/x']) {
    assert.is(parseCidr(text), null, text)
  }
})

test('hosts and ports of upstream servers', () => {
  const inet = (host: string, port: number | null, uri = '') => ({
    kind: 'inet',
    host,
    port,
    lastPort: null,
    uri,
  })
  assert.equal(parseEndpoint('example.com', {}), inet('example.com', null))
  assert.equal(parseEndpoint('10.0.0.1:8080', {}), inet('10.0.0.1', 8080))
  assert.equal(parseEndpoint('[::1]:80', {}), inet('::1', 80))
  assert.equal(parseEndpoint('unix:/run/a.sock', {}), { kind: 'unix', path: '/run/a.sock', uri: '' })
  assert.is(parseEndpoint('a:0', {}), 'invalid port')
  assert.is(parseEndpoint('a:65536', {}), 'invalid port')
  assert.is(parseEndpoint('a:b', {}), 'invalid port')
  assert.is(parseEndpoint(':80', {}), 'no host')
  assert.is(parseEndpoint('a/b', {}), 'invalid host')
  assert.is(parseEndpoint('a b', {}), 'invalid host')
  assert.is(parseEndpoint('[::1', {}), 'invalid host')
  assert.is(parseEndpoint('[::x]', {}), 'invalid IPv6 address')
  assert.is(parseEndpoint('unix:', {}), 'no path in the unix domain socket')
  assert.is(parseEndpoint(`unix:/${'x'.repeat(200)}`, {}), 'too long path in the unix domain socket')
})

test('a URI may follow where it is allowed', () => {
  const uri = (text: string) => parseEndpoint(text, { uri: true })
  assert.equal(uri('a:80/b?c'), { kind: 'inet', host: 'a', port: 80, lastPort: null, uri: '/b?c' })
  assert.equal(uri('a?c:d'), { kind: 'inet', host: 'a', port: null, lastPort: null, uri: '?c:d' })
  assert.equal(uri('unix:/run/a.sock:/x'), { kind: 'unix', path: '/run/a.sock', uri: '/x' })
})

test('addresses to listen on', () => {
  const listen = (text: string) => parseEndpoint(text, { listen: true })
  assert.equal(listen('80'), { kind: 'inet', host: '0.0.0.0', uri: '', port: 80, lastPort: null })
  assert.equal(listen('*:80'), { kind: 'inet', host: '0.0.0.0', uri: '', port: 80, lastPort: null })
  assert.equal(listen('127.0.0.1:80-82'), {
    kind: 'inet',
    host: '127.0.0.1',
    uri: '',
    port: 80,
    lastPort: 82,
  })
  assert.equal(listen('localhost'), { kind: 'inet', host: 'localhost', uri: '', port: null, lastPort: null })
  assert.is(listen('82-80'), 'invalid port range')
  assert.is(listen('70000'), 'invalid port')
})

test.run()
