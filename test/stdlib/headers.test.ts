// sluice:headers in the real engine: header values in, what they say out, and back.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate, load, SandboxRequest } from './sandbox.ts'

const headers = (expression: string) => evaluate(`import * as headers from 'sluice:headers'`, expression)
/** Calls `name` with literal arguments. */
const call = (name: string, ...args: unknown[]) => headers(`headers.${name}(...${JSON.stringify(args)})`)

test('parseList: commas outside of quotes divide, empty members go', async () => {
  assert.equal(await call('parseList', 'a, b ,, "c,d" , e="f\\",g"'), ['a', 'b', '"c,d"', 'e="f\\",g"'])
  assert.equal(await call('parseList', 'a, "unterminated, b'), ['a', '"unterminated, b'])
  assert.equal(await call('parseList', ''), [])
  assert.equal(await headers('headers.parseList(undefined)'), [])
})

test('parseParameters: names in any case, quoted values, the first of equal names', async () => {
  assert.equal(await call('parseParameters', 'text/html; Charset="utf-8"; charset=x; flag; q=1'), {
    value: 'text/html',
    parameters: { charset: 'utf-8', q: '1' },
  })
  assert.equal(await call('parseParameters', 'attachment; filename="a\\"b;c.txt"'), {
    value: 'attachment',
    parameters: { filename: 'a"b;c.txt' },
  })
  assert.equal(
    await headers(`headers.parseParameters('x; __proto__=1').parameters.polluted === undefined`),
    true,
  )
})

test('formatParameters: quotes what needs quotes, refuses control characters', async () => {
  assert.is(
    await call('formatParameters', 'text/html', { charset: 'utf-8', title: 'a "b"' }),
    'text/html; charset=utf-8; title="a \\"b\\""',
  )
  assert.is(
    await headers(
      `(() => { try { return headers.formatParameters('a', { b: 'c\\r\\nd' }) } catch (e) { return e.name } })()`,
    ),
    'RangeError',
  )
})

test('parseQuality: best first, equal ones as named, malformed weights count as 0', async () => {
  assert.equal(await call('parseQuality', 'gzip;q=0.5, BR, *;q=0, x;q=7'), [
    { value: 'br', q: 1, parameters: {} },
    { value: 'gzip', q: 0.5, parameters: {} },
    { value: '*', q: 0, parameters: {} },
    { value: 'x', q: 0, parameters: {} },
  ])
})

test('negotiate: types, languages, encodings', async () => {
  for (const [value, offers, expected] of [
    ['text/html, application/json;q=0.9', ['application/json', 'text/html'], 'text/html'],
    ['text/*;q=0.5, text/html;q=0.1, */*;q=0.2', ['text/html', 'image/png', 'text/plain'], 'text/plain'],
    ['application/xml', ['text/html'], null],
    ['de-AT, en;q=0.8', ['fr', 'en-GB'], 'en-GB'],
    ['*;q=0', ['en'], null],
    ['gzip, br', ['br', 'gzip'], 'br'],
    ['gzip', ['br', 'identity'], 'identity'],
    ['gzip, *;q=0', ['br', 'identity'], null],
    ['', ['a', 'b'], 'a'],
  ] as [string, string[], string | null][]) {
    assert.is(await call('negotiate', value, offers), expected, value)
  }
  assert.is(await headers(`headers.negotiate(undefined, ['a'])`), 'a')
  assert.is(await headers(`headers.negotiate('a', [])`), null)
})

test('Cache-Control: seconds, flags and texts, and back', async () => {
  assert.equal(
    await call(
      'parseCacheControl',
      'Max-Age=60, private, no-cache="Set-Cookie, X", max-age=5, s-maxage=99999999999',
    ),
    {
      'max-age': 60,
      private: true,
      'no-cache': 'Set-Cookie, X',
      's-maxage': 2147483648,
    },
  )
  assert.is(
    await call('formatCacheControl', {
      public: true,
      'max-age': 60,
      private: false,
      'no-cache': 'Set-Cookie, X',
    }),
    'public, max-age=60, no-cache="Set-Cookie, X"',
  )
})

test('Forwarded: elements and back, IPv6 in brackets', async () => {
  assert.equal(
    await call('parseForwarded', 'for=192.0.2.60;proto=https;by=203.0.113.43, For="[2001:db8::1]:80"'),
    [{ for: '192.0.2.60', proto: 'https', by: '203.0.113.43' }, { for: '[2001:db8::1]:80' }],
  )
  assert.is(
    await call(
      'formatForwarded',
      { for: '2001:db8::1', proto: 'http' },
      { for: '192.0.2.1:80' },
      { for: '_hidden' },
    ),
    'for="[2001:db8::1]";proto=http, for="192.0.2.1:80", for=_hidden',
  )
})

test('vary: each name once, an asterisk stays alone', async () => {
  const script = await load(
    `import { vary } from 'sluice:headers'\nexport function headerFilter(r) { vary(r, 'Accept', 'Cookie', 'accept') }`,
  )
  const after = async (response: Record<string, string>) => {
    const request = new SandboxRequest({ response })
    await request.run(script, 'headerFilter')
    return request.responseHeaders.get('vary')
  }
  assert.is(await after({}), 'Accept, Cookie')
  assert.is(await after({ Vary: 'origin, ACCEPT' }), 'origin, ACCEPT, Cookie')
  assert.is(await after({ Vary: '*' }), '*')
  script.dispose()
})

test('credentials: Basic and Bearer, anything else is null', async () => {
  const basic = `Basic ${Buffer.from('zoë:se:cret').toString('base64')}`
  assert.equal(await call('parseBasic', basic), { user: 'zoë', password: 'se:cret' })
  for (const value of [
    'Basic',
    'Basic !!!',
    `Basic ${btoa('nocolon')}`,
    `Basic ${btoa('\xff:x')}`,
    'Bearer x',
  ]) {
    assert.is(await call('parseBasic', value), null, value)
  }
  assert.is(await call('parseBearer', 'bearer abc.d-e_f=='), 'abc.d-e_f==')
  assert.is(await call('parseBearer', 'Bearer a b'), null)
  assert.equal(await headers('[headers.parseBasic(undefined), headers.parseBearer(undefined)]'), [null, null])
})

test('hostile values as large as heads may be are read within the CPU limit of a hook', async () => {
  const bombs = `['"'.repeat(32000), ','.repeat(32000), 'a,'.repeat(16000), 'a;'.repeat(16000), '"\\\\'.repeat(16000), 'a;q=0.1,'.repeat(4000)]`
  for (const name of [
    'parseList',
    'parseParameters',
    'parseQuality',
    'parseCacheControl',
    'parseForwarded',
  ]) {
    for (let i = 0; i < 6; i++) assert.type(await headers(`typeof headers.${name}(${bombs}[${i}])`), 'string')
  }
})

test('a list of too many members is no list', async () => {
  assert.is(await headers(`headers.parseList('a,'.repeat(256)).length`), 256)
  assert.equal(await headers(`headers.parseList('a,'.repeat(257))`), [])
  assert.equal(await headers(`headers.parseForwarded('for=a,'.repeat(300) + 'for=b')`), [])
})

test.run()
