// Going back to what served before: one script or all, in one call, from memory.

import { rmSync, utimesSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { refusal, Site, version } from './site.ts'

const TWO = 'location /a { script a.js; } location /b { script b.js; }'
const files = { 'a.js': version('a1'), 'b.js': version('b1') }

const served = async (site: Site) => `${(await site.get('/a')).version} ${(await site.get('/b')).version}`

test('one script goes back a version at a time, the others stay', async () => {
  const site = await Site.start(TWO, files)
  await site.save('a.js', version('a2'))
  await site.save('b.js', version('b2'))
  await site.save('a.js', version('a3'))
  const { generation } = await site.gateway.rollback(site.path('a.js'))
  assert.is(generation, 5)
  assert.is(await served(site), 'a2 b2')
  await site.gateway.rollback(site.path('a.js'))
  assert.is(await served(site), 'a1 b2')
  assert.is(
    await refusal(site.gateway.rollback(site.path('a.js'))),
    `there is no earlier version of ${site.path('a.js')}`,
  )
  assert.is(await served(site), 'a1 b2')
  await site.close()
})

test('all scripts go back generation by generation', async () => {
  const site = await Site.start(TWO, files)
  await site.save('a.js', version('a2'))
  await site.save('b.js', version('b2'))
  await site.gateway.rollback()
  assert.is(await served(site), 'a2 b1')
  await site.gateway.rollback()
  assert.is(await served(site), 'a1 b1')
  assert.is(await refusal(site.gateway.rollback()), 'there is no earlier generation of the scripts')
  assert.equal(site.reasons, ['start', 'save', 'save', 'rollback', 'rollback'])
  await site.close()
})

test('what was gone back from is never gone back to', async () => {
  const site = await Site.start(TWO, files)
  await site.save('a.js', version('a2'))
  await site.gateway.rollback(site.path('a.js'))
  await site.save('a.js', version('a3'))
  assert.is(await served(site), 'a3 b1')
  await site.gateway.rollback(site.path('a.js'))
  assert.is(await served(site), 'a1 b1')
  await site.close()
})

test('the sources come from memory, imported ones too: the files may be gone', async () => {
  const site = await Site.start('location /a { script a.js; }', {
    'a.js': `import { name } from './name.ts'\nexport function content(r) { r.return(200, name) }`,
    'name.ts': `export const name: string = 'first'`,
  })
  await site.save('name.ts', `export const name: string = 'second'`)
  rmSync(site.path('name.ts'))
  rmSync(site.path('a.js'))
  await site.gateway.rollback()
  assert.is((await site.get('/a')).body, 'first')
  await site.close()
})

test('the files are not looked at until one is saved again, be it with the same text', async () => {
  const site = await Site.start(TWO, files)
  await site.save('a.js', version('a2'))
  await site.gateway.rollback()
  assert.is(await site.gateway.reloadScripts(), null)
  await site.save('b.js', version('b2'))
  await site.reload()
  assert.is(await served(site), 'a1 b2')
  assert.equal(site.states('a.js'), ['live', 'quarantined'])
  writeFileSync(site.path('a.js'), version('a2'))
  utimesSync(site.path('a.js'), new Date(), new Date(Date.now() + 1000))
  await site.gateway.reloadScripts()
  assert.is(await served(site), 'a2 b2')
  assert.equal(site.states('a.js'), ['live'])
  await site.close()
})

test('two rollbacks in a row do not uncover what is on the disk', async () => {
  const site = await Site.start(TWO, files)
  await site.save('a.js', version('a2'))
  await site.save('a.js', version('a3'))
  await site.gateway.rollback(site.path('a.js'))
  await site.gateway.rollback(site.path('a.js'))
  assert.is(await site.gateway.reloadScripts(), null)
  assert.is(await served(site), 'a1 b1')
  await site.close()
})

test('a version that cannot be loaded any more is refused, and nothing changes', async () => {
  const picky = (text: string) =>
    `export function init() { if (sluice.params.mode !== 'old') throw new Error('only in the old mode') }\n${text}`
  const site = await Site.start('location /a { script a.js mode=old; } location /b { script b.js; }', {
    ...files,
    'a.js': picky(version('a1')),
  })
  await site.save('a.js', version('a2'))
  await site.reload((config) => config.replace('mode=old', 'mode=new'))
  assert.match(await refusal(site.gateway.rollback(site.path('a.js'))), /a\.js:1:\d+: .*only in the old mode/)
  assert.is(await served(site), 'a2 b1')
  assert.equal(site.states('a.js'), ['live'])
  await site.close()
})

test('script_generations bounds what is kept', async () => {
  const site = await Site.start(TWO, files, 'script_generations 3;')
  for (let n = 2; n <= 6; n++) await site.save('a.js', version(`a${n}`))
  assert.equal(
    site.gateway.history.map(({ generation }) => generation),
    [4, 5, 6],
  )
  await site.gateway.rollback(site.path('a.js'))
  await site.gateway.rollback(site.path('a.js'))
  assert.is(await served(site), 'a4 b1')
  assert.match(await refusal(site.gateway.rollback(site.path('a.js'))), 'there is no earlier version')
  await site.close()
})

test('history tells each generation, when and why it came, and what it served', async () => {
  const site = await Site.start(TWO, files)
  const before = Date.now()
  await site.save('a.js', version('a2'))
  await site.gateway.rollback()
  await site.reload()
  const { history } = site.gateway
  assert.equal(
    history.map(({ generation, reason }) => [generation, reason]),
    [
      [1, 'start'],
      [2, 'save'],
      [3, 'rollback'],
      [4, 'reload'],
    ],
  )
  const digests = history.map(({ scripts }) => scripts.map(({ digest }) => digest))
  assert.equal(digests[0], digests[2])
  assert.is.not(digests[0][0], digests[1][0])
  assert.is(digests[0][1], digests[1][1])
  assert.match(digests[0][0], /^[0-9a-f]{16}$/)
  assert.equal(
    history[1].scripts.map(({ file, role }) => [file, role]),
    [
      [site.path('a.js'), 'live'],
      [site.path('b.js'), 'live'],
    ],
  )
  assert.ok(history[1].at >= before && history[1].at <= Date.now())
  await site.close()
})

test('a name that is no script is told so', async () => {
  const site = await Site.start(TWO, files)
  assert.is(await refusal(site.gateway.rollback('/none.js')), '/none.js is no script that serves')
  assert.is(
    await refusal(site.gateway.promoteCanary(site.path('a.js'))),
    `${site.path('a.js')} is no canary that serves`,
  )
  await site.close()
})

test.run()
