// A swap loads what has changed and nothing else.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { refusal, Site, version } from './site.ts'

const TWO = 'location /a { script a.js; } location /b { script b.js; }'
const files = { 'a.js': version('a1'), 'b.js': version('b1') }

test('the script whose file was saved is loaded, the one beside it goes on with its memory', async () => {
  const site = await Site.start(TWO, files)
  await site.get('/a')
  await site.get('/b')
  const swap = await site.save('a.js', version('a2'))
  assert.is(swap?.generation, 2)
  assert.equal(await site.get('/a'), { status: 200, body: '1', version: 'a2' })
  assert.equal(await site.get('/b'), { status: 200, body: '2', version: 'b1' })
  await site.close()
})

test('nothing saved, nothing done: no generation is made', async () => {
  const site = await Site.start(TWO, files)
  assert.is(await site.gateway.reloadScripts(), null)
  assert.is(await site.save('a.js', version('a1')), null)
  assert.is(site.gateway.generation.id, 1)
  await site.close()
})

test('a file that two scripts import changes both, and no other', async () => {
  const importing = (name: string) => `
    import { shared } from './lib/shared.js'
    let calls = 0
    export function content(r) { r.return(200, '${name} ' + shared + ' ' + ++calls) }`
  const site = await Site.start(
    'location /a { script a.js; } location /b { script b.js; } location /c { script c.js; }',
    {
      'a.js': importing('a'),
      'b.js': importing('b'),
      'c.js': version('c'),
      'lib/shared.js': 'export const shared = 1',
    },
  )
  for (const path of ['/a', '/b', '/c']) await site.get(path)
  await site.save('lib/shared.js', 'export const shared = 2')
  assert.is((await site.get('/a')).body, 'a 2 1')
  assert.is((await site.get('/b')).body, 'b 2 1')
  assert.is((await site.get('/c')).body, '2')
  await site.close()
})

test('an import that leads elsewhere now is a change, even if no file that was read has changed', async () => {
  const site = await Site.start('location / { script a.js; }', {
    'a.js': `import { name } from './name.js'\nexport function content(r) { r.return(200, name) }`,
    'name.ts': `export const name: string = 'ts'`,
  })
  assert.is((await site.get()).body, 'ts')
  assert.is((await site.save('name.js', `export const name = 'js'`))?.generation, 2)
  assert.is((await site.get()).body, 'js')
  await site.close()
})

test('the same file with other parameters is a sandbox of its own; a save changes both', async () => {
  const greeting = (word: string) => `
    let calls = 0
    export function content(r) { r.return(200, '${word} ' + sluice.params.name + ' ' + ++calls) }`
  const site = await Site.start('location /x { script a.js name=x; } location /y { script a.js name=y; }', {
    'a.js': greeting('hello'),
  })
  assert.is((await site.get('/x')).body, 'hello x 1')
  assert.is((await site.get('/y')).body, 'hello y 1')
  await site.save('a.js', greeting('bye'))
  assert.is((await site.get('/x')).body, 'bye x 1')
  assert.is((await site.get('/y')).body, 'bye y 1')
  await site.close()
})

test('another configuration loads every script anew: its variables may mean something else', async () => {
  const site = await Site.start('set $who one; location / { script a.js; }', {
    'a.js': 'let n = 0\nexport function content(r) { r.return(200, r.variables.who + ++n) }',
  })
  assert.is((await site.get()).body, 'one1')
  await site.reload((config) => config.replace('$who one', '$unused 1; set $who two'))
  assert.is((await site.get()).body, 'two1')
  await site.close()
})

test('a shared script reads its variables rightly after twenty swaps of another', async () => {
  const site = await Site.start(
    'set $who me; location ~ ^/(?<part>.)/a { script a.js; } location /b { script b.js; }',
    { ...files, 'a.js': `export function content(r) { r.return(200, r.variables.who + r.variables.part) }` },
    'map $uri $mapped { default 1; }',
  )
  for (let n = 0; n < 20; n++) {
    await site.save('b.js', version(`b${n}`))
    assert.is((await site.get(`/${n % 10}/a`)).body, `me${n % 10}`)
  }
  await site.close()
})

test('a script that no generation uses any more is let go of, with its sandbox', async () => {
  const site = await Site.start(TWO, files)
  for (let n = 2; n <= 30; n++) await site.save('a.js', version(`a${n}`))
  await site.until('old generations are gone', () => site.gateway.liveGenerations === 1)
  const held = site.gateway.scripts.reduce((sum, { memory }) => sum + memory, 0)
  assert.ok(held < 2 * 8 * 1024 * 1024, `${held} bytes of sandboxes`)
  assert.is(site.gateway.generation.scripts.length, 2)
  await site.close()
})

test('a script that is refused changes nothing, and leaves the others shared as before', async () => {
  const site = await Site.start(TWO, files)
  await site.get('/b')
  assert.match(await refusal(site.save('a.js', 'export function content(r) {')), /a\.js:1:\d+: /)
  assert.match(await refusal(site.save('a.js', 'export function init() { throw new Error("no") }')), 'no')
  assert.is((await site.get('/a')).version, 'a1')
  await site.save('a.js', version('a2'))
  assert.is((await site.get('/a')).version, 'a2')
  assert.is((await site.get('/b')).body, '2')
  assert.equal(site.reasons, ['start', 'save'])
  await site.close()
})

test.run()
