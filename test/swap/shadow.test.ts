// `script_shadow`: a candidate runs beside the script on the same input, and nothing comes of what it does.

import type { AddressInfo } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import WebSocket, { WebSocketServer } from 'ws'
import { replayJournal } from '../../runtime/cli/replay.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { Site } from './site.ts'

const shadowOf = (site: Site) => {
  const row = site.gateway.scripts.find(({ role }) => role === 'shadow')
  if (row === undefined) throw new Error('no shadow serves')
  return row
}

/** Answers whatever comes so far, in a file of an outer level. */
const DONE = `export function content(r) { r.return(200, r.headersIn.get('x-outer') ?? 'fine') }`

const notices = (site: Site) => site.log.filter((line) => line.includes('shadow') && line.includes('differs'))

test('the client gets what the script says, whatever its candidate does', async () => {
  const site = await Site.start('location / { script a.js; script_shadow b.js; }', {
    'done.js': DONE,
    'a.js': `export function access(r) { if (r.args.x === '1') r.return(403, 'no') }
             export function content(r) { r.headersOut.set('x-version', 'a'); r.return(200, r.uri + r.headersIn.get('x-id')) }`,
    'b.js': `export function access(r) { r.headersIn.set('x-id', 'b'); if (r.args.x === '2') r.return(401) }
             export function content(r) { r.headersOut.set('x-version', 'b'); r.return(500, 'b') }`,
  })
  assert.equal(await site.get('/?x=1'), { status: 403, body: 'no', version: '' })
  assert.equal(await site.get('/?x=2'), { status: 200, body: '/undefined', version: 'a' })
  const { shadow } = shadowOf(site)
  assert.equal(shadow, {
    access: { calls: 2, equal: 0, different: 2, errors: 0, skipped: 0 },
    content: { calls: 1, equal: 0, different: 1, errors: 0, skipped: 0 },
  })
  assert.is(notices(site).length, 1)
  assert.match(
    notices(site)[0],
    /^\[notice\] shadow .*b\.js: access differs on "GET \/\?x=1 HTTP\/1\.1": live: answer; answer status: 403; .*the candidate: pass; headersIn x-id: b$/,
  )
  await site.close()
})

test('a candidate that decides the same is counted as equal, without a word', async () => {
  const access = `export function access(r) {
    r.headersIn.set('x-user', String(r.variables.arg_user))
    r.variables.group = 'g' + r.args.user
    if (!r.args.user) r.return(302, '/login?from=' + r.uri)
  }`
  const site = await Site.start(
    `set $group ''; location / { script a.js; script_shadow b.js; } script done.js;`,
    { 'done.js': DONE, 'a.js': access, 'b.js': `// rewritten\n${access}` },
  )
  await site.get('/a?user=7')
  await site.get('/b')
  assert.equal(shadowOf(site).shadow?.access, { calls: 2, equal: 2, different: 0, errors: 0, skipped: 0 })
  assert.equal(notices(site), [])
  await site.close()
})

test('a candidate sees what the script finds, and none of what it or the script has changed before', async () => {
  const site = await Site.start(
    `set $seen 0; location / { script a.js; script_shadow b.js; } script done.js;`,
    {
      'done.js': DONE,
      'a.js': `export function rewrite(r) { r.variables.seen = '1'; r.headersIn.set('x-live', 'yes') }
               export function access(r) { r.headersIn.set('x-saw', r.variables.seen + r.headersIn.get('x-live') + r.headersIn.get('x-shadow')) }`,
      'b.js': `export function rewrite(r) { r.variables.seen = '2'; r.headersIn.set('x-shadow', 'yes'); r.ctx.kept = r.variables.seen }
               export function access(r) { r.headersIn.set('x-saw', r.variables.seen + r.headersIn.get('x-live') + r.headersIn.get('x-shadow')); if (r.ctx.kept !== '2') throw new Error('ctx') }`,
    },
  )
  await site.get('/')
  const { shadow } = shadowOf(site)
  assert.equal(shadow?.rewrite, { calls: 1, equal: 0, different: 1, errors: 0, skipped: 0 })
  assert.equal(shadow?.access, { calls: 1, equal: 1, different: 0, errors: 0, skipped: 0 })
  await site.close()
})

test('errors of a candidate are counted and logged as its own, and never touch the request', async () => {
  const site = await Site.start('location / { script a.js; script_shadow b.js; } script done.js;', {
    'done.js': DONE,
    'a.js': 'export function access(r) {}',
    'b.js': 'export function access(r) {\n  null.x\n}',
  })
  assert.is((await site.get('/')).status, 200)
  assert.equal(shadowOf(site).shadow?.access, { calls: 1, equal: 0, different: 1, errors: 1, skipped: 0 })
  assert.ok(
    site.log.some((line) => /^\[error\] shadow: .*b\.js:2:\d+.*access/.test(line)),
    site.log.join('\n'),
  )
  await site.close()
})

test('a candidate that overruns its limits again and again is switched off, and tried again when it is saved', async () => {
  const site = await Site.start(
    'location / { script a.js; script_shadow b.js; script_eject_after 2; script_limits cpu=5ms; } script done.js;',
    {
      'done.js': DONE,
      'a.js': 'export function access(r) {}',
      'b.js': 'export function access(r) { for (;;) {} }',
    },
  )
  for (let i = 0; i < 3; i++) assert.is((await site.get('/')).status, 200)
  await site.until('switched off', () => site.states('b.js').includes('quarantined'))
  assert.ok(
    site.log.some((line) => /\[alert\] the shadow .*b\.js.* is switched off: access has overrun/.test(line)),
    site.log.join('\n'),
  )
  await site.until('a generation without it', () => site.reasons.includes('shadow switched off'))
  assert.is((await site.get('/')).status, 200)
  await site.save('b.js', 'export function access(r) { r.return(204) }')
  assert.is((await site.get('/')).status, 200)
  assert.is(shadowOf(site).shadow?.access?.different, 1)
  await site.close()
})

test('a candidate that waits is not waited for, and its decision is compared when it comes', async () => {
  const site = await Site.start('location / { script a.js; script_shadow b.js; } script done.js;', {
    'done.js': DONE,
    'a.js': 'export function access(r) {}',
    'b.js': `export async function access(r) { await new Promise((done) => setTimeout(done, 80)); r.return(403) }`,
  })
  const started = performance.now()
  assert.is((await site.get('/')).status, 200)
  assert.ok(performance.now() - started < 75)
  assert.is(shadowOf(site).shadow?.access?.different, 0)
  await site.until('compared', () => shadowOf(site).shadow?.access?.different === 1)
  await site.close()
})

test('a candidate makes no requests', async () => {
  const site = await Site.start('location / { script a.js; script_shadow b.js; } script done.js;', {
    'done.js': DONE,
    'a.js': 'export function access(r) {}',
    'b.js': `export async function access(r) {
      try { await fetch('http://127.0.0.1:1/') } catch (error) { r.log(error.message); r.return(403) }
    }`,
  })
  await site.get('/')
  await site.until('compared', () => shadowOf(site).shadow?.access?.different === 1)
  assert.ok(
    site.log.some((line) => line.includes('a script in the shadow makes no requests (script_shadow)')),
    site.log.join('\n'),
  )
  await site.close()
})

test('a candidate reads the body that the script reads, and no other', async () => {
  const site = await Site.start(
    `location / { script a.js; script_shadow b.js; }
     location /unread { script c.js; script_shadow b.js; }`,
    {
      'done.js': DONE,
      'a.js': `export async function content(r) { r.return(200, await r.readText()) }`,
      'b.js': `export async function content(r) { r.return(200, await r.readText()) }`,
      'c.js': `export function content(r) { r.return(200, 'unread') }`,
    },
  )
  const client = new HttpClient(site.port)
  const post = (path: string) =>
    client.request(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello`)
  const answer = await post('/')
  assert.is(answer.body, 'hello')
  await site.until('compared', () => shadowOf(site).shadow?.content?.calls === 1)
  assert.is(shadowOf(site).shadow?.content?.equal, 1)
  client.close()
  await site.close()
})

test('round robin takes its turns as if there were no candidate', async () => {
  const upstreams = await Promise.all(
    ['one', 'two', 'three'].map((name) => recordingUpstream(() => ok(name))),
  )
  const servers = upstreams.map(({ port }) => `server 127.0.0.1:${port};`).join(' ')
  const site = await Site.start(
    'location / { script a.js; script_shadow b.js; proxy_pass http://app; }',
    {
      'done.js': DONE,
      'a.js': 'export function balancer(r, upstream) { return upstream.roundRobin() }',
      'b.js':
        'export function balancer(r, upstream) { upstream.roundRobin(); upstream.leastConn(); return upstream.roundRobin() }',
    },
    `upstream app { ${servers} }`,
  )
  const bodies: string[] = []
  for (let i = 0; i < 6; i++) bodies.push((await site.get('/')).body)
  assert.equal(bodies, ['one', 'two', 'three', 'one', 'two', 'three'])
  assert.equal(shadowOf(site).shadow?.balancer, { calls: 6, equal: 6, different: 0, errors: 0, skipped: 0 })
  await site.close()
  for (const upstream of upstreams) await upstream.close()
})

test('a hook that the candidate has alone runs too, and hides no hook of an outer level', async () => {
  const site = await Site.start(
    'location / { script a.js; script_shadow b.js; } script done.js;',
    {
      'outer.js': `export function access(r) { r.headersIn.set('x-outer', 'ran') }`,
      'done.js': DONE,
      'a.js': 'export function headerFilter(r) {}',
      'b.js': `export function access(r) { r.return(403) }
               export function bodyFilter(r, chunk) { return 'b' }`,
    },
    'script outer.js;',
  )
  const client = new HttpClient(site.port)
  const answer = await client.get('/')
  assert.is(answer.body, 'ran')
  assert.equal(shadowOf(site).shadow?.access, { calls: 1, equal: 0, different: 1, errors: 0, skipped: 0 })
  assert.is(shadowOf(site).shadow?.bodyFilter, undefined)
  client.close()
  await site.close()
})

test('only the sampled share of the requests is shown to the candidate', async () => {
  const site = await Site.start(
    'location / { script a.js; script_shadow b.js sample=25%; } script done.js;',
    {
      'done.js': DONE,
      'a.js': 'export function access(r) {}\nexport function headerFilter(r) {}',
      'b.js': 'export function access(r) {}\nexport function headerFilter(r) {}',
    },
  )
  const client = new HttpClient(site.port)
  for (let i = 0; i < 400; i++) await client.get('/')
  const { shadow } = shadowOf(site)
  assert.ok(Math.abs(shadow!.access!.calls - 100) < 20, String(shadow!.access!.calls))
  assert.is(shadow!.headerFilter!.calls, shadow!.access!.calls)
  client.close()
  await site.close()
})

test('what is shown of a difference holds no secrets', async () => {
  const site = await Site.start('location / { script a.js; script_shadow b.js; } script done.js;', {
    'done.js': DONE,
    'a.js': 'export function access(r) {}',
    'b.js': `export function access(r) { r.headersIn.set('x-copy', r.headersIn.get('authorization')); r.headersIn.set('cookie', 'sid=fedcba9876') }`,
  })
  const client = new HttpClient(site.port)
  await client.request(
    'GET /x%0a?token=abcdef123 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer 0123456789\r\n\r\n',
  )
  assert.match(
    notices(site)[0],
    /GET \/x\\n\?token=masked-[0-9a-f]{12} .*x-copy: Bearer masked-[0-9a-f]{12}; headersIn cookie: sid=masked-/,
  )
  assert.not.match(notices(site)[0], /0123456789|abcdef123|fedcba9876/)
  client.close()
  await site.close()
})

test('a candidate sees the messages of a WebSocket and the state of the script, and sends none', async () => {
  const echo = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  echo.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))))
  await new Promise((done) => echo.once('listening', done))
  const { port } = echo.address() as AddressInfo
  const site = await Site.start(
    `location / { script a.js; script_shadow b.js; script_record hooks.journal sample=100%;
       proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
       proxy_pass http://127.0.0.1:${port}; }`,
    {
      'a.js': `export function wsOpen(r, ws) { ws.state = { count: 0 } }
               export function wsMessage(r, msg, ws) { if (msg.from === 'client') return msg.data + ++ws.state.count }`,
      'b.js': `export function wsMessage(r, msg, ws) {
        if (msg.from !== 'client') return
        ws.state.count += 1
        ws.send('client', 'from the shadow')
        return msg.data + ws.state.count
      }`,
    },
  )
  const socket = new WebSocket(`ws://127.0.0.1:${site.port}/`)
  const got: string[] = []
  socket.on('message', (data) => got.push(String(data)))
  await new Promise((done) => socket.once('open', done))
  for (const text of ['a', 'b', 'c']) socket.send(text)
  await site.until('three answers', () => got.length === 3)
  assert.equal(got, ['a1', 'b2', 'c3'])
  const { shadow } = shadowOf(site)
  assert.equal(shadow?.wsOpen, { calls: 1, equal: 1, different: 0, errors: 0, skipped: 0 })
  // The contents are equal, what the candidate sends beside them is not.
  assert.equal(shadow?.wsMessage, { calls: 6, equal: 3, different: 3, errors: 0, skipped: 0 })
  assert.match(
    notices(site)[0],
    /wsMessage differs .*live: replaced; content: 2 bytes, sha256 [0-9a-f]{16}, the candidate: replaced; .*sends 1: to the client: 15 bytes/,
  )
  socket.terminate()
  echo.close()
  await site.close()
  const script = site.path('a.js')
  const told: string[] = []
  const output = { write: (text: string) => told.push(text) }
  const code = await replayJournal([site.path('hooks.journal'), '--script', script], {
    stdout: output,
    stderr: output,
  })
  assert.is(code, 0, told.join(''))
  assert.match(told.join(''), /wsMessage: 6 calls/)
})

test.run()
