// Status, configuration and its reloads over the admin API.

import { writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { AdminSite, ask } from './site.ts'

const SERVER = (port: number, admin: number) =>
  `admin 127.0.0.1:${admin};\nserver { listen 127.0.0.1:${port}; location / { return 200 one; } }`

let site: AdminSite

test.after.each(() => site.close())

test('alive, ready, and what it is doing', async () => {
  site = await AdminSite.start(SERVER)
  assert.equal(
    [(await site.ask('GET', '/healthz')).text, (await site.ask('GET', '/readyz')).text],
    ['ok\n', 'ready\n'],
  )
  await site.get()
  const { status, headers, json } = await site.ask('GET', '/api/v1/status')
  assert.is(status, 200)
  assert.is(headers['cache-control'], 'no-store')
  assert.equal([json.pid, json.generation, json.addresses], [process.pid, 1, [`127.0.0.1:${site.port}`]])
  assert.ok(json.uptime >= 0)
  const [worker] = json.workers
  assert.equal([worker.worker, worker.state, worker.generation, worker.requests], [0, 'serving', 1, 1])
})

test('paths and methods that there are not', async () => {
  site = await AdminSite.start(SERVER)
  assert.is((await site.ask('GET', '/nothing')).status, 404)
  const wrong = await site.ask('DELETE', '/api/v1/status')
  assert.equal([wrong.status, wrong.headers.allow], [405, 'GET'])
  const head = await site.ask('HEAD', '/api/v1/status')
  assert.equal([head.status, head.text], [200, ''])
})

test('the configuration as it was read, without the password of its store', async () => {
  const server = (port: number, admin: number) =>
    `${SERVER(port, admin)}\n# store redis://app:secret@127.0.0.1:6379/0;\n`
  site = await AdminSite.start(server)
  const { files } = (await site.ask('GET', '/api/v1/config')).json
  assert.is(files[0].path, site.path('sluice.conf'))
  assert.is(files[0].text, site.config.replace('secret', '…'))
})

test('a reload serves the configuration as it is now', async () => {
  site = await AdminSite.start(SERVER)
  site.config = site.config.replace('return 200 one', 'return 200 two')
  const { status, json } = await site.post('/api/v1/config/reload')
  assert.equal([status, json.generation, json.problems], [200, 2, []])
  assert.is((await site.get()).body, 'two')
  const { files } = (await site.ask('GET', '/api/v1/config')).json
  assert.match(files[0].text, 'return 200 two')
})

test('a configuration with mistakes is refused with all of them, and the old one stays', async () => {
  site = await AdminSite.start(SERVER)
  const before = site.config
  site.config = before.replace('return 200 one', 'retrun 200 two; proxy_buffering maybe')
  const { status, json } = await site.post('/api/v1/config/reload')
  assert.is(status, 422)
  assert.equal(
    json.problems.map(({ line, severity, message }: { line: number; severity: string; message: string }) => [
      line,
      severity,
      message.slice(0, 30),
    ]),
    [
      [3, 'error', 'unknown directive "retrun"; di'],
      [3, 'error', 'invalid value "maybe" in "prox'],
    ],
  )
  assert.match(json.detail, `${site.path('sluice.conf')}:3:`)
  assert.is((await site.get()).body, 'one')
  assert.is((await site.ask('GET', '/api/v1/config')).json.files[0].text, before)
})

test('a configuration whose script does not load is refused with its place', async () => {
  site = await AdminSite.start(SERVER)
  site.config = site.config.replace('return 200 one', 'script b.js')
  writeFileSync(site.path('b.js'), 'export function content(r) {\n  let x = ;\n}\n')
  const { status, json } = await site.post('/api/v1/config/reload')
  assert.is(status, 422)
  assert.equal([json.problems[0].file, json.problems[0].line], [site.path('b.js'), 2])
  assert.is((await site.get()).body, 'one')
})

test('the API moves with the configuration, or not at all', async () => {
  site = await AdminSite.start(SERVER)
  const moved = await freePort()
  const before = site.config
  site.config = before.replace(
    `admin 127.0.0.1:${site.adminPort}`,
    `admin 127.0.0.1:${moved} token_file=none`,
  )
  const refused = await site.post('/api/v1/config/reload')
  assert.is(refused.status, 422)
  assert.match(refused.json.detail, 'token_file')
  assert.is((await site.ask('GET', '/healthz')).status, 200)
  site.config = before.replace(`admin 127.0.0.1:${site.adminPort}`, `admin 127.0.0.1:${moved}`)
  assert.is((await site.post('/api/v1/config/reload')).status, 200)
  assert.is((await ask(moved, 'GET', '/healthz')).status, 200)
  const gone = await site.ask('GET', '/healthz').catch((error) => error.code)
  assert.is(gone, 'ECONNREFUSED')
  // Its new place cannot serve the swap that fails after it was opened.
  site.config = site.config.replace('return 200 one', 'script missing.js')
  assert.is(
    (await ask(moved, 'POST', '/api/v1/config/reload', { headers: { 'Content-Type': 'application/json' } }))
      .status,
    422,
  )
  assert.is((await ask(moved, 'GET', '/healthz')).status, 200)
})

test('members that a body must not have are named', async () => {
  site = await AdminSite.start(SERVER)
  const unknown = await site.post('/api/v1/config/reload', { force: true })
  assert.equal([unknown.status, unknown.json.detail], [422, 'there is no member "force"; it takes none'])
  const asked = { headers: { 'Content-Type': 'application/json' }, body: '{' }
  assert.match((await site.ask('POST', '/api/v1/config/reload', asked)).json.detail, /^the body is no JSON/)
})

test('a dry run says where a request would go', async () => {
  site = await AdminSite.start(SERVER)
  const { status, json } = await site.post('/api/v1/try', { request: 'GET /x?y=1', headers: { 'X-A': 'b' } })
  assert.is(status, 200)
  assert.equal([json.method, json.target, json.end.kind, json.end.status], ['GET', '/x?y=1', 'answer', 200])
  const body = await site.post('/api/v1/try', { request: 'POST /', body: '@/etc/passwd' })
  assert.is(body.status, 200)
  const refused = await site.post('/api/v1/try', { request: 'one two three' })
  assert.equal([refused.status, /is not a request/.test(refused.json.detail)], [422, true])
  assert.is(
    (await site.post('/api/v1/try', { request: 'GET /', response: { body: '@/etc/passwd' } })).status,
    422,
  )
  assert.is((await site.post('/api/v1/try', { request: 'GET /', count: 0 })).status, 422)
})

test.run()
