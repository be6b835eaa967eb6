// sluice:cookie in the real engine: Cookie in, Set-Cookie out, and what is refused.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate, load, SandboxRequest } from './sandbox.ts'

const cookie = (expression: string) => evaluate(`import * as cookie from 'sluice:cookie'`, expression)

test('parse: the first of equal names, quotes and percent-encoding undone', async () => {
  assert.equal(await cookie(`cookie.parse('a=1; b="x%20y"; a=2; novalue; =x; c=%zz; d=a=b')`), {
    a: '1',
    b: 'x y',
    c: '%zz',
    d: 'a=b',
  })
  assert.equal(await cookie(`cookie.parse('a=%20', { raw: true })`), { a: '%20' })
  assert.equal(await cookie(`cookie.parse(undefined)`), {})
  assert.is(await cookie(`cookie.parse('__proto__=1').toString === undefined`), true)
})

test('serialize: every attribute', async () => {
  assert.is(await cookie(`cookie.serialize('a', 'x;y ü')`), 'a=x%3By%20%C3%BC; Path=/')
  assert.is(
    await cookie(
      `cookie.serialize('__Host-id', 'a/b', { raw: true, maxAge: 60, expires: new Date(0), secure: true,
        httpOnly: true, sameSite: 'none', priority: 'high', partitioned: true })`,
    ),
    '__Host-id=a/b; Path=/; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=None; Priority=High; Partitioned',
  )
  assert.is(
    await cookie(`cookie.serialize('a', '', { path: '/app', domain: 'example.com' })`),
    'a=; Path=/app; Domain=example.com',
  )
  assert.is(await cookie(`cookie.serialize('a', 'b', { path: null })`), 'a=b')
})

const REFUSED: [call: string, message: string][] = [
  [`'a b', ''`, 'cookie: the name cannot be "a b"'],
  [`'', ''`, 'cookie: the name cannot be ""'],
  [`'a', undefined`, 'cookie: the value of a, a text, cannot be undefined'],
  [`'a', 'x; Secure', { raw: true }`, 'cookie: the value of a cannot be "x; Secure"'],
  [`'a', 'b', { path: '/;x' }`, 'cookie: path cannot be "/;x"'],
  [`'a', 'b', { domain: 'e x' }`, 'cookie: domain cannot be "e x"'],
  [`'a', 'b', { maxAge: 1.5 }`, 'cookie: maxAge, in whole seconds, cannot be 1.5'],
  [`'a', 'b', { expires: new Date(NaN) }`, 'cookie: expires, a Date, cannot be null'],
  [`'a', 'b', { sameSite: 'maybe' }`, 'cookie: sameSite is Strict, Lax, None; it is "maybe"'],
  [`'a', 'b', { sameSite: 'None' }`, 'cookie: a needs secure, as browsers drop it otherwise'],
  [`'__Secure-a', 'b'`, 'cookie: __Secure-a needs secure'],
  [`'__Host-a', 'b', { secure: true, path: '/x' }`, `cookie: __Host-a needs path '/' and no domain`],
  [`'a', 'x'.repeat(4096)`, 'cookie: a is larger than 4096 bytes'],
  [
    `'a', 'b', { httponly: true }`,
    'cookie: there is no option "httponly"; it takes domain, expires, httpOnly, maxAge, partitioned, path, priority, raw, sameSite, secure',
  ],
]

for (const [call, expected] of REFUSED) {
  test(`refused: serialize(${call})`, async () => {
    const tried = `(() => { try { return 'passed: ' + cookie.serialize(${call}) } catch (e) { return e.message } })()`
    assert.is(await cookie(tried), expected)
  })
}

test('get, set and delete on a request', async () => {
  const script = await load(`
    import * as cookie from 'sluice:cookie'
    export function headerFilter(r) {
      cookie.set(r, 'seen', cookie.get(r, 'id') ?? 'none', { maxAge: 5 })
      cookie.delete(r, 'old', { path: '/app' })
    }`)
  const request = new SandboxRequest({ headers: { Cookie: 'xid=1; id=a%20b; id=2' } })
  await request.run(script, 'headerFilter')
  assert.equal(request.responseHeaders.getAll('set-cookie'), [
    'seen=a%20b; Path=/; Max-Age=5',
    'old=; Path=/app; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT',
  ])
  script.dispose()
})

test.run()
