// What is served of the console, and to whom; without a browser.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SERVER } from './console-user.ts'
import { answering } from './fleet-double.ts'
import { AdminSite, type Asked } from './site.ts'

let site: AdminSite

test.before(async () => {
  site = await AdminSite.start(SERVER, { 'scripts/a.js': answering('one') })
})

test.after(() => site.close())

test('the page and its files need no token, and may load nothing but each other', async () => {
  const make = (port: number, admin: number) => SERVER(port, admin).replace(';', ' token_file=t;')
  const guarded = await AdminSite.start(make, {
    'scripts/a.js': answering('one'),
    t: 'a-token-of-some-length\n',
  })
  const { status, headers, text } = await guarded.ask('GET', '/')
  assert.is(status, 200)
  assert.is(headers['content-type'], 'text/html; charset=utf-8')
  assert.is(
    headers['content-security-policy'],
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
      "require-trusted-types-for 'script'; trusted-types 'none'",
  )
  assert.is(headers['x-content-type-options'], 'nosniff')
  assert.is(headers['referrer-policy'], 'no-referrer')
  const names = [...text.matchAll(/(?:src|href)="(console\/[^"]+)"/g)].map((match) => match[1])
  assert.ok(names.length > 1)
  for (const name of names) {
    const file = await guarded.ask('GET', `/${name}`)
    assert.is(file.status, 200, name)
    assert.match(
      file.headers['content-type'] as string,
      name.endsWith('.css') ? /^text\/css/ : /^text\/javascript/,
    )
    assert.is(file.headers['content-security-policy'], headers['content-security-policy'])
  }
  assert.is((await guarded.ask('GET', '/api/v1/status')).status, 401)
  await guarded.close()
})

test('a file that has not changed is not sent again', async () => {
  const { headers } = await site.ask('GET', '/console/console.js')
  assert.is(headers['cache-control'], 'no-cache')
  const again = await site.ask('GET', '/console/console.js', {
    headers: { 'If-None-Match': headers.etag as string },
  })
  assert.equal([again.status, again.text], [304, ''])
})

test('no other file can be had, and nothing can be done to these', async () => {
  const others = ['console.ts', '..%2fconsole.ts', '%2e%2e%2ftoken.ts', 'constructor', '', 'a/b', '.html']
  for (const name of others) assert.is((await site.ask('GET', `/console/${name}`)).status, 404, name)
  assert.is((await site.ask('GET', '/console')).status, 404)
  assert.is((await site.post('/')).status, 405)
  assert.is((await site.ask('DELETE', '/console/console.js')).status, 405)
})

test('a link of another site leads to the page, and to nothing else', async () => {
  const status = async (path: string, headers: Asked['headers']) =>
    (await site.ask('GET', path, { headers })).status
  const link = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' }
  assert.is(await status('/', link), 200)
  assert.is(await status('/', { ...link, 'Sec-Fetch-Dest': 'iframe' }), 403)
  assert.is(await status('/', { ...link, Origin: 'http://evil.example' }), 403)
  assert.is(await status('/', { ...link, Host: 'evil.example' }), 421)
  assert.is(await status('/console/console.js', link), 403)
  assert.is(await status('/api/v1/status', link), 403)
})

test.run()
