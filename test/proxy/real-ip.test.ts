// `set_real_ip_from`: whose word about the client is taken, and what is taken from it.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CidrList, parseAddress } from '../../runtime/proxy/cidr.ts'
import { forwardedAddress, parseAddressPort } from '../../runtime/proxy/forwarded-address.ts'
import type { Effective } from '../../runtime/proxy/plan.ts'
import { compileRealIp } from '../../runtime/proxy/real-ip.ts'
import { RouteServer } from './route-server.ts'

const SERVER = new RouteServer('server { }')
const LOOPBACK = { kind: 'ip', bytes: [127, 0, 0, 0], bits: 8 } as const
const TEN = { kind: 'ip', bytes: [10, 0, 0, 0], bits: 8 } as const

function settings(changes: Partial<Effective>): Effective {
  return {
    realIpFrom: [LOOPBACK],
    realIpHeader: 'X-Forwarded-For',
    realIpRecursive: false,
    ...changes,
  } as Effective
}

test('nothing to do without trusted proxies, or for the PROXY protocol', () => {
  assert.is(compileRealIp(settings({ realIpFrom: [] })), null)
  assert.is(compileRealIp(settings({ realIpHeader: 'proxy_protocol' })), null)
})

test('the address is taken once, by the first that has one', () => {
  const fields = [
    ['X-Forwarded-For', '127.0.0.9, 10.0.0.1'],
    ['X-Real-IP', '127.0.0.2'],
  ] as const
  const x = SERVER.request('GET /', { fields })
  compileRealIp(settings({ realIpHeader: 'X-Absent' }))!(x)
  assert.is(x.remoteAddress, '127.0.0.1')
  compileRealIp(settings({ realIpHeader: 'x-real-ip' }))!(x)
  assert.is(x.remoteAddress, '127.0.0.2')
  assert.is(x.remotePort, '')
  compileRealIp(settings({}))!(x)
  assert.is(x.remoteAddress, '127.0.0.2')
})

test('a client that is not trusted is not believed', () => {
  const fields = [['X-Forwarded-For', '1.2.3.4']] as const
  const x = SERVER.request('GET /', { fields, client: { remoteAddress: '192.0.2.1' } })
  compileRealIp(settings({ realIpFrom: [LOOPBACK, TEN] }))!(x)
  assert.is(x.remoteAddress, '192.0.2.1')
})

test('a unix socket is trusted when unix: is', () => {
  const fields = [['X-Real-IP', '192.0.2.1']] as const
  const client = { remoteAddress: 'unix:', remotePort: '' }
  const one = SERVER.request('GET /', { fields, client })
  compileRealIp(settings({ realIpHeader: 'X-Real-IP' }))!(one)
  assert.is(one.remoteAddress, 'unix:')
  compileRealIp(settings({ realIpFrom: [{ kind: 'unix' }], realIpHeader: 'X-Real-IP' }))!(one)
  assert.is(one.remoteAddress, '192.0.2.1')
})

const TRUSTED = new CidrList([LOOPBACK, TEN].map((cidr) => ({ cidr, value: true as const })))

const LISTS: readonly [values: string[], recursive: boolean, found: string | null][] = [
  [['1.1.1.1'], false, '1.1.1.1'],
  [['1.1.1.1, 10.0.0.1'], false, '10.0.0.1'],
  [['1.1.1.1, 10.0.0.1'], true, '1.1.1.1'],
  [['1.1.1.1 10.0.0.1'], true, '1.1.1.1'],
  [['9.9.9.9, 1.1.1.1, 10.0.0.1'], true, '1.1.1.1'],
  [['10.0.0.2,10.0.0.1'], true, '10.0.0.2'],
  [['1.1.1.1', '10.0.0.1'], false, '10.0.0.1'],
  [['1.1.1.1', '10.0.0.1'], true, '1.1.1.1'],
  [['x, 10.0.0.1'], true, '10.0.0.1'],
  [['1.1.1.1', 'x, 10.0.0.1'], true, '10.0.0.1'],
  // blanks and commas in front of a list are no address
  [['1.1.1.1', ' , 10.0.0.1'], true, '10.0.0.1'],
  [['10.0.0.1 , , '], true, '10.0.0.1'],
  [['x'], false, null],
  [[''], true, null],
  [[' ,'], true, null],
  [['1.1.1.1', ''], true, null],
  [['unix:'], true, null],
]
for (const [values, recursive, found] of LISTS) {
  test(`${JSON.stringify(values)}${recursive ? ' recursively' : ''}: ${found}`, () => {
    const result = forwardedAddress(parseAddress('127.0.0.1'), values, TRUSTED, recursive)
    assert.is(result === null ? null : result.text, found)
  })
}

const ADDRESSES: readonly [text: string, found: string | null][] = [
  ['1.2.3.4', '1.2.3.4 '],
  ['1.2.3.4:80', '1.2.3.4 80'],
  ['1.2.3.4:080', '1.2.3.4 80'],
  ['1.2.3.4:0', null],
  ['1.2.3.4:65536', null],
  ['1.2.3.4:', null],
  ['2001:DB8::1', '2001:db8::1 '],
  ['[2001:db8::1]', '2001:db8::1 '],
  ['[2001:db8::1]:443', '2001:db8::1 443'],
  ['[1.2.3.4]:80', '1.2.3.4 80'],
  ['::ffff:1.2.3.4', '1.2.3.4 '],
  ['[::1', null],
  ['[]:80', null],
  ['localhost', null],
  ['unix:', null],
  ['', null],
]
for (const [text, found] of ADDRESSES) {
  test(`address "${text}": ${found}`, () => {
    const address = parseAddressPort(text)
    assert.is(address === null ? null : `${address.text} ${address.port}`, found)
  })
}

test('a long hostile list is read in linear time', () => {
  const values = [`1.1.1.1${', '.repeat(4000)}`, '10.0.0.1, '.repeat(800)]
  const started = performance.now()
  for (let i = 0; i < 20; i++) forwardedAddress(parseAddress('127.0.0.1'), values, TRUSTED, true)
  assert.ok(performance.now() - started < 500)
})

test.run()
