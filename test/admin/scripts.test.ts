// Scripts over the admin API: listed, read, pushed, refused, taken back.

import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AdminSite } from './site.ts'

const answering = (text: string) => `export function content(r) { r.return(200, '${text}') }\n`

const SERVER = (port: number, admin: number) =>
  `admin 127.0.0.1:${admin};\nserver { listen 127.0.0.1:${port}; location / { script scripts/a.js; } }`

let site: AdminSite

test.after.each(() => site.close())

test('a pushed script serves at once, and is what the file holds', async () => {
  site = await AdminSite.start(SERVER, { 'scripts/a.js': answering('one') })
  assert.is((await site.get()).body, 'one')
  const { status, json } = await site.push('a.js', answering('two'))
  assert.is(status, 200)
  assert.is(json.generation, 2)
  assert.is(json.file, site.path('scripts/a.js'))
  assert.type(json.took, 'number')
  assert.is((await site.get()).body, 'two')
  assert.is(readFileSync(site.path('scripts/a.js'), 'utf8'), answering('two'))
  assert.equal(readdirSync(site.path('scripts')), ['a.js'])
  // What is on the disk is what serves: nothing more to load.
  assert.is(await site.gateway.reloadScripts(), null)
  const { generations } = (await site.ask('GET', '/api/v1/generations')).json
  assert.equal(
    generations.map(({ reason }: { reason: string }) => reason),
    ['start', 'push'],
  )
})

test('a broken script is refused with its place, and changes nothing', async () => {
  site = await AdminSite.start(SERVER, { 'scripts/a.js': answering('one') })
  const { status, headers, json } = await site.push(
    'a.js',
    'export function content(r) {\n  r.return(200,, 1)\n}\n',
  )
  assert.is(status, 422)
  assert.is(headers['content-type'], 'application/problem+json')
  assert.is(json.title, 'the script cannot be loaded')
  const [problem] = json.problems
  assert.equal([problem.file, problem.line], [site.path('scripts/a.js'), 2])
  assert.ok(problem.column > 1)
  assert.match(problem.excerpt, /r\.return\(200,, 1\)[\s\S]*\^/)
  assert.match(json.detail, `${site.path('scripts/a.js')}:2:${problem.column}: `)
  assert.is((await site.get()).body, 'one')
  assert.is(readFileSync(site.path('scripts/a.js'), 'utf8'), answering('one'))
  assert.equal(readdirSync(site.path('scripts')), ['a.js'])
  assert.is(site.gateway.generation.id, 1)
})

test('a script whose init throws is refused', async () => {
  site = await AdminSite.start(SERVER, { 'scripts/a.js': answering('one') })
  const { status, json } = await site.push(
    'a.js',
    `${answering('two')}export function init() { throw new Error('no') }\n`,
  )
  assert.is(status, 422)
  assert.match(json.detail, 'no')
  assert.is((await site.get()).body, 'one')
})

test('a module that scripts import is pushed by its own name', async () => {
  const files = {
    'scripts/a.js': `import { text } from './lib/text.js'\nexport function content(r) { r.return(200, text) }\n`,
    'scripts/lib/text.js': `export const text = 'one'\n`,
  }
  site = await AdminSite.start(SERVER, files)
  const list = (await site.ask('GET', '/api/v1/scripts')).json
  assert.equal(
    list.modules.map(({ name }: { name: string }) => name),
    ['text.js'],
  )
  const { status } = await site.push('text.js', `export const text = 'two'\n`)
  assert.is(status, 200)
  assert.is((await site.get()).body, 'two')
  assert.is((await site.push('lib/text.js', `export const other = 1\n`)).status, 422)
  assert.is((await site.get()).body, 'two')
})

test('a script is read with its versions; an outdated one is not overwritten', async () => {
  site = await AdminSite.start(SERVER, { 'scripts/a.js': answering('one') })
  const { status, headers, json } = await site.ask('GET', '/api/v1/scripts/a.js')
  assert.is(status, 200)
  assert.is(json.source, answering('one'))
  assert.equal(
    json.versions.map(({ state, digest }: { state: string; digest: string }) => [state, `"${digest}"`]),
    [['live', headers.etag]],
  )
  const seen = { 'If-Match': headers.etag as string }
  assert.is((await site.push('a.js', answering('two'), seen)).status, 200)
  assert.is((await site.push('a.js', answering('three'), seen)).status, 412)
  assert.is((await site.get()).body, 'two')
})

test('no other file can be reached by a name', async () => {
  site = await AdminSite.start(SERVER, { 'scripts/a.js': answering('one'), 'scripts/b.js': '' })
  for (const name of ['b.js', '../sluice.conf', '..%2Fsluice.conf', '%2Fetc%2Fpasswd', 's/a.js', '.js']) {
    const { status, json } = await site.ask('GET', `/api/v1/scripts/${name}`)
    assert.is(status, 404, name)
    assert.match(json.detail, 'there are: a.js')
  }
  assert.is((await site.push('b.js', 'export {}')).status, 404)
})

test('files of one name are told apart by their folders', async () => {
  const server = (port: number, admin: number) => `admin ${admin};
    server { listen 127.0.0.1:${port}; location /x { script x/a.js; } location /y { script y/a.js; } }`
  site = await AdminSite.start(server, { 'x/a.js': answering('x'), 'y/a.js': answering('y') })
  const { scripts } = (await site.ask('GET', '/api/v1/scripts')).json
  assert.equal(scripts.map(({ name }: { name: string }) => name).sort(), ['x/a.js', 'y/a.js'])
  const ambiguous = await site.push('a.js', answering('z'))
  assert.is(ambiguous.status, 409)
  assert.match(ambiguous.json.detail, 'x/a.js, y/a.js')
  assert.is((await site.push('y%2Fa.js', answering('z'))).status, 200)
  assert.equal([(await site.get('/x')).body, (await site.get('/y')).body], ['x', 'z'])
})

test('a script goes back to its version before, and all scripts do', async () => {
  site = await AdminSite.start(SERVER, { 'scripts/a.js': answering('one') })
  const early = await site.post('/api/v1/scripts/a.js/rollback')
  assert.is(early.status, 409)
  assert.match(early.json.detail, 'no earlier version')
  await site.push('a.js', answering('two'))
  await site.push('a.js', answering('three'))
  assert.is((await site.post('/api/v1/scripts/a.js/rollback')).status, 200)
  assert.is((await site.get()).body, 'two')
  assert.is((await site.post('/api/v1/generations/rollback')).status, 200)
  assert.is((await site.get()).body, 'one')
})

test('a canary is promoted, or removed; a script that is configured stays', async () => {
  const server = (port: number, admin: number) => `admin ${admin};
    server { listen 127.0.0.1:${port}; location / { script a.js; script_canary b.js percent=100; } }`
  site = await AdminSite.start(server, { 'a.js': answering('old'), 'b.js': answering('new') })
  assert.is((await site.get()).body, 'new')
  const live = await site.ask('DELETE', '/api/v1/scripts/a.js')
  assert.is(live.status, 409)
  assert.is((await site.ask('DELETE', '/api/v1/scripts/b.js')).status, 200)
  assert.is((await site.get()).body, 'old')
  assert.is((await site.post('/api/v1/scripts/b.js/promote')).status, 409)
  assert.is((await site.push('a.js', answering('other'))).status, 200)
  assert.is((await site.get()).body, 'other')
})

test('a promoted canary serves everybody', async () => {
  const server = (port: number, admin: number) => `admin ${admin};
    server { listen 127.0.0.1:${port}; location / { script a.js; script_canary b.js percent=1 key=$arg_k; } }`
  site = await AdminSite.start(server, { 'a.js': answering('old'), 'b.js': answering('new') })
  assert.is((await site.post('/api/v1/scripts/b.js/promote')).status, 200)
  for (let k = 0; k < 20; k++) assert.is((await site.get(`/?k=${k}`)).body, 'new')
})

test('a script of over 1 MiB, or with a NUL, is not taken', async () => {
  site = await AdminSite.start(SERVER, { 'scripts/a.js': answering('one') })
  const large = await site.push('a.js', Buffer.alloc(1024 * 1024 + 1, 32)).catch((error) => error.code)
  // The answer may be lost when the client goes on sending.
  if (typeof large !== 'string') assert.is(large.status, 413)
  assert.is((await site.push('a.js', 'export {}\0')).status, 422)
  assert.is((await site.get()).body, 'one')
})

test.run()
