// A/B test: a variant for everybody, kept by the cookie, told to the server behind.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { testScript } from '../../runtime/testing/index.ts'
import { gallery } from './gallery.ts'

test('a first visit: a variant, its header, and the cookie that keeps it', async () => {
  const script = await testScript(gallery('ab-test.js'), { params: { variants: 'old:1,new:1' } })
  const visit = script.request().rewrite().headerFilter()
  const filtered = await visit
  const variant = visit.decisions[0]?.headersIn.get('X-Variant') ?? ''
  assert.ok(['old', 'new'].includes(variant), variant)
  assert.is(
    filtered.headersOut.get('Set-Cookie'),
    `variant=${variant}; Path=/; Max-Age=2592000; SameSite=Lax`,
  )
  visit.end()
  script.dispose()
})

test('the visits after it: the same variant, and no new cookie', async () => {
  const script = await testScript(gallery('ab-test.js'))
  for (const variant of ['a', 'b', 'a']) {
    const visit = script.request({ headers: { Cookie: `variant=${variant}`, 'X-Variant': 'forged' } })
    const filtered = await visit.rewrite().headerFilter()
    assert.equal(visit.decisions[0]?.headersIn.getAll('X-Variant'), [variant])
    assert.is(filtered.headersOut.has('Set-Cookie'), false)
    visit.end()
  }
  script.dispose()
})

test('weights are kept to, and a cookie with another name is none', async () => {
  const script = await testScript(gallery('ab-test.js'), { params: { variants: 'a:90,b:10' }, seed: 7 })
  let b = 0
  for (let i = 0; i < 300; i++) {
    const { headersIn } = await script.rewrite({ headers: { Cookie: 'variant=gone' } })
    if (headersIn.get('X-Variant') === 'b') b++
  }
  assert.ok(b > 12 && b < 55, `${b} of 300`)
  script.dispose()
})

test.run()
