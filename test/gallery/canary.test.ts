// Canary release: the share, the same users every time, and those who have chosen.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { testScript } from '../../runtime/testing/index.ts'
import { gallery } from './gallery.ts'

const user = (name: string | number, more = '') => ({ headers: { Cookie: `user=${name}${more}` } })

/** Users from 0 to 399 that get the new version. */
async function chosen(percent: number): Promise<Set<number>> {
  const script = await testScript(gallery('canary.js'), { params: { percent } })
  const found = new Set<number>()
  for (let name = 0; name < 400; name++) {
    const { redirect } = await script.rewrite(user(name))
    if (redirect === '@next') found.add(name)
    else assert.is(redirect, null)
  }
  script.dispose()
  return found
}

test('about the share asked for, and who was chosen stays chosen as it grows', async () => {
  const few = await chosen(10)
  const more = await chosen(25)
  assert.ok(few.size > 20 && few.size < 65, `${few.size} of 400 at 10 percent`)
  assert.ok(more.size > 70 && more.size < 135, `${more.size} of 400 at 25 percent`)
  for (const name of few) assert.ok(more.has(name), `user ${name} was moved back`)
  assert.is((await chosen(0)).size, 0)
  assert.is((await chosen(100)).size, 400)
})

test('the cookie decides for itself; who has no name stays', async () => {
  const script = await testScript(gallery('canary.js'), { params: { percent: 50, to: '@v2' } })
  assert.is((await script.rewrite(user(1, '; canary=always'))).redirect, '@v2')
  assert.is((await script.rewrite(user(1, '; canary=never'))).outcome, 'pass')
  assert.is((await script.rewrite({})).outcome, 'pass')
  script.dispose()
})

test('a percentage that is none is refused when the script is loaded, with its place', async () => {
  try {
    await testScript(gallery('canary.js'), { params: { percent: 'half' } })
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /scripts\/canary\.js:\d+:\d+: .*percent is a number from 0 to 100/)
  }
})

test.run()
