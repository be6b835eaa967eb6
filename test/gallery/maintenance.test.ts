// Maintenance page: by the clock, by a switch, and for whom not.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { testScript } from '../../runtime/testing/index.ts'
import { gallery } from './gallery.ts'

test('by the clock: before, while it lasts, after', async () => {
  const script = await testScript(gallery('maintenance.js'), {
    params: { from: '2030-01-31T02:00:00Z', until: '2030-01-31T04:00:00Z' },
    now: '2030-01-31T01:59:59Z',
  })
  assert.is((await script.rewrite()).outcome, 'pass')
  await script.clock.advance('1s')
  const { answer } = await script.rewrite()
  assert.is(answer?.status, 503)
  assert.is(answer?.headers.get('Retry-After'), '7200')
  assert.is(answer?.headers.get('Content-Type'), 'text/html; charset=utf-8')
  assert.match(answer?.text ?? '', /<h1>We are working on it<\/h1>/)
  await script.clock.advance('2h')
  assert.is((await script.rewrite()).outcome, 'pass')
  script.dispose()
})

test('by a switch: a variable of the configuration', async () => {
  const script = await testScript(gallery('maintenance.js'), {
    params: { when: '$maintenance' },
    http: 'map $cookie_tester $maintenance { default 1; yes 0; }',
  })
  assert.is((await script.rewrite()).outcome, 'answer')
  assert.is((await script.rewrite({ headers: { Cookie: 'tester=yes' } })).outcome, 'pass')
  script.dispose()
})

test('some addresses pass', async () => {
  const script = await testScript(gallery('maintenance.js'), { params: { allow: '203.0.113.7,::1' } })
  assert.is((await script.rewrite({ remoteAddress: '203.0.113.7' })).outcome, 'pass')
  assert.is((await script.rewrite({ remoteAddress: '::1' })).outcome, 'pass')
  assert.is((await script.rewrite({ remoteAddress: '203.0.113.70' })).outcome, 'answer')
  script.dispose()
})

test.run()
