// `allow` and `deny`, and the addresses they compare.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RouteServer } from './route-server.ts'

function allows(rules: string, remoteAddress: string): boolean {
  const { x } = new RouteServer(`server { location / { ${rules} } }`).go('GET /', {
    client: { remoteAddress },
  })
  const { access } = x.location
  return access === null ? true : access(x)
}

const CASES: readonly [rules: string, address: string, allowed: boolean][] = [
  ['', '127.0.0.1', true],
  ['allow all;', '127.0.0.1', true],
  ['deny all;', '127.0.0.1', false],
  ['deny all;', '::1', false],
  ['deny all;', 'unix:', false],
  ['deny unix:;', '127.0.0.1', true],
  ['deny unix:;', '::1', true],
  ['deny unix:;', 'unix:', false],
  ['allow unix:; deny all;', 'unix:', true],
  ['deny all; allow 127.0.0.1;', '127.0.0.1', false],
  ['allow 127.0.0.1; deny all;', '127.0.0.1', true],
  ['allow 127.0.0.1; deny all;', '127.0.0.2', false],
  ['deny 192.0.2.0/24;', '192.0.2.255', false],
  ['deny 192.0.2.0/24;', '192.0.3.0', true],
  ['deny 128.0.0.0/1;', '255.255.255.255', false],
  ['deny 128.0.0.0/1;', '127.255.255.255', true],
  ['deny 0.0.0.0/0;', '9.9.9.9', false],
  ['deny 0.0.0.0/0;', '::1', true],
  ['deny 192.0.2.1/32;', '::ffff:192.0.2.1', false],
  ['deny 2001:db8::/32;', '2001:db8:ffff::1', false],
  ['deny 2001:db8::/32;', '2001:db9::', true],
  ['deny 2001:db8::/33;', '2001:db8:7fff::', false],
  ['deny 2001:db8::/33;', '2001:db8:8000::', true],
  ['deny ::1;', '::1', false],
  ['deny ::1;', '::2', true],
  ['deny ::/0;', 'fe80::1', false],
  ['deny ::/0;', '10.0.0.1', true],
  // an address that cannot be read is in no block
  ['deny 0.0.0.0/0; deny ::/0;', 'garbage', true],
]
for (const [rules, address, allowed] of CASES) {
  test(`${rules || 'no rules'} ${address}: ${allowed ? 'allowed' : 'denied'}`, () => {
    assert.is(allows(rules, address), allowed)
  })
}

test('a location without rules has those around it, one with rules only its own', () => {
  const server = new RouteServer(`deny all; server { location /in { } location /own { allow 127.0.0.1; } }`)
  const allowed = (line: string) => {
    const { x } = server.go(line)
    return x.location.access?.(x)
  }
  assert.is(allowed('GET /in'), false)
  assert.is(allowed('GET /own'), true)
})

test.run()
