// Server names: what is read as an address, what is refused, what is looked up.

import { lookup } from 'node:dns/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseAddress, resolveServer } from '../../runtime/upstream/resolve.ts'

test('forms of an address', () => {
  const cases: [string, unknown][] = [
    ['10.0.0.1', { host: '10.0.0.1', port: 80 }],
    ['10.0.0.1:8080', { host: '10.0.0.1', port: 8080 }],
    ['app', { host: 'app', port: 80 }],
    ['app_1.svc.example.com:65535', { host: 'app_1.svc.example.com', port: 65535 }],
    ['app.1', { host: 'app.1', port: 80 }],
    ['[::1]', { host: '::1', port: 80 }],
    ['[::1]:9000', { host: '::1', port: 9000 }],
    ['unix:/run/app.sock', { path: '/run/app.sock' }],
    ['UNIX:relative', { path: 'relative' }],
  ]
  for (const [text, expected] of cases) assert.equal(parseAddress(text, 80), expected, text)
})

test('what is no address is refused with a reason', () => {
  const cases: [string, RegExp][] = [
    ['', /^no host in ""$/],
    [':80', /^no host/],
    ['app:', /^invalid port in "app:"$/],
    ['app:0', /^invalid port/],
    ['app:65536', /^invalid port/],
    ['app:080000', /^invalid port/],
    ['app:+80', /^invalid port/],
    ['app:80:90', /^invalid port/],
    ['app/path', /^invalid host/],
    ['app name', /^invalid host/],
    ['user@app', /^invalid host/],
    ['127.0.0.1\0.example.com', /^invalid host/],
    ['app\n', /^invalid host/],
    ['b\xc3\xbccher.example', /^invalid host/],
    [`${'a.'.repeat(127)}com`, /^invalid host/],
    ['127.1', /^invalid IPv4 address/],
    ['2130706433', /^invalid IPv4 address/],
    ['0x7f.0.0.1', /^invalid IPv4 address/],
    ['256.0.0.1', /^invalid IPv4 address/],
    ['10.0.0.1.', /^invalid IPv4 address/],
    ['[]', /^no host/],
    ['[::1', /^invalid host/],
    ['[::1]9000', /^invalid host/],
    ['[::1]:', /^invalid port/],
    ['[1.2.3.4]', /^invalid IPv6 address/],
    ['[fe80::1%lo]', /^invalid IPv6 address/],
    ['::1', /^no host/],
    ['unix:', /^no path/],
    [`unix:/${'a'.repeat(107)}`, /^too long path/],
    ['unix:/a\0b', /^a zero byte/],
  ]
  for (const [text, message] of cases) assert.throws(() => parseAddress(text, 80), message, text)
})

test('literals need no look-up and are shown as nginx shows them', async () => {
  assert.equal(await resolveServer('10.0.0.1', 80), [{ text: '10.0.0.1:80', host: '10.0.0.1', port: 80 }])
  assert.equal(await resolveServer('[2001:DB8:0:0::1]:81', 80), [
    { text: '[2001:db8::1]:81', host: '2001:db8::1', port: 81 },
  ])
})

test("a unix socket's path is bytes in the configuration, characters for Node", async () => {
  const utf8 = Buffer.from('unix:/run/bücher.sock').toString('latin1')
  assert.equal(await resolveServer(utf8, 80), [{ text: utf8, path: '/run/bücher.sock' }])
})

test('localhost is what the system says', async () => {
  const known = await lookup('localhost', { all: true, verbatim: true })
  const found = await resolveServer('localhost:8080', 80)
  assert.ok(found.length > 0)
  for (const { host, port, text } of found) {
    assert.ok(known.some(({ address }) => address === host))
    assert.is(port, 8080)
    assert.is(text, host!.includes(':') ? `[${host}]:8080` : `${host}:8080`)
  }
})

test('a name without an address is an error', async () => {
  // A label of 64 characters: the system says no without asking a name server.
  const name = `${'a'.repeat(64)}.invalid:80`
  const message = await resolveServer(name, 80).then(String, (error: Error) => error.message)
  assert.is(message, `host not found in upstream "${name}"`)
})

test.run()
