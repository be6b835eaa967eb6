// `script_record`: what hooks find, ask and decide is written down, without secrets and off the request's path.

import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { JournalFile } from '../../runtime/replay/journal-file.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { tempDir } from '../lib/temp.ts'
import { Site } from '../swap/site.ts'
import { entriesOf } from './journal.ts'

const DONE = `export function content(r) { r.return(200, 'fine') }`

test('a hook call is one line: what it found, what it asked, what it decided', async () => {
  const upstream = await recordingUpstream(() => ok('hello'))
  const site = await Site.start(
    `set $group ''; location / { script a.js mode=fast; script_record hooks.journal sample=100%; proxy_pass http://app; }`,
    {
      'a.js': `export function access(r) { r.variables.group = r.variables.arg_user ?? 'none'; r.headersIn.set('x-user', '7') }
               export function balancer(r, upstream) { return upstream.hash(r.variables.arg_user, { consistent: true }) }`,
    },
    `upstream app { server 127.0.0.1:${upstream.port}; }`,
  )
  await site.get('/chat?user=9')
  await site.close()
  const [access, balancer] = entriesOf(site)
  assert.is(access.phase, 'access')
  assert.is(access.script, site.path('a.js'))
  assert.equal(access.params, { mode: 'fast' })
  assert.is(access.input.uri, '/chat')
  assert.is(access.input.args, 'user=9')
  assert.equal(access.asked.variables, { $arg_user: '9' })
  assert.equal(access.decision, { outcome: 'pass', 'headersIn x-user': '7', $group: '9' })
  assert.is(balancer.request, access.request)
  assert.equal(balancer.asked.picks, { 'hash("9", consistent)': 0 })
  assert.equal(
    balancer.input.upstream?.peers.map(({ address }) => address),
    [`127.0.0.1:${upstream.port}`],
  )
  assert.equal(balancer.decision, { outcome: 'peer', peer: `127.0.0.1:${upstream.port}` })
  assert.is(statSync(site.path('hooks.journal')).mode & 0o777, 0o600)
  await upstream.close()
})

test('secrets are masked wherever they stand, and equal ones stay equal', async () => {
  const site = await Site.start(
    'location / { script a.js; script_record hooks.journal sample=100%; } script done.js;',
    {
      'done.js': DONE,
      'a.js': `export function access(r) {
      r.headersIn.set('x-copy', 'it is ' + r.variables.http_authorization)
      r.headersIn.set('x-sid', r.variables.cookie_sid + r.args.token)
    }`,
    },
  )
  const client = new HttpClient(site.port)
  for (let i = 0; i < 2; i++) {
    await client.request(
      'GET /?token=tok-secret&a=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bearer-secret\r\nCookie: sid=sid-secret; theme=dark\r\nX-Api-Key: key-secret\r\n\r\n',
    )
  }
  client.close()
  await site.close()
  const text = readFileSync(site.path('hooks.journal'), 'latin1')
  assert.not.match(text, /-secret/)
  const [one, two] = entriesOf(site)
  assert.match(one.input.args, /^token=masked-[0-9a-f]{12}&a=1$/)
  const fields = new Map(one.input.headersIn)
  assert.match(fields.get('Authorization')!, /^Bearer masked-[0-9a-f]{12}$/)
  assert.match(fields.get('Cookie')!, /^sid=masked-[0-9a-f]{12}; theme=masked-[0-9a-f]{12}$/)
  assert.is(one.asked.variables.$http_authorization, fields.get('Authorization'))
  assert.is(one.decision['headersIn x-copy'], `it is ${fields.get('Authorization')}`)
  assert.equal(two.input.headersIn, one.input.headersIn)
  assert.equal(two.decision, one.decision)
})

test('a secret that is a word of the journal spoils no entry', async () => {
  const site = await Site.start(
    'location / { script a.js; script_record hooks.journal sample=100%; } script done.js;',
    {
      'done.js': DONE,
      'a.js': 'export function access(r) {}',
    },
  )
  for (const word of ['outcome', 'input', 'pass', 'access', 'asked', '"', '\\', '%22'])
    await site.get(`/?token=${encodeURIComponent(word)}`)
  await site.close()
  const entries = entriesOf(site)
  assert.is(entries.length, 8)
  for (const { decision, phase } of entries) assert.equal([phase, decision], ['access', { outcome: 'pass' }])
})

test('other names are masked when the configuration says so', async () => {
  const site = await Site.start(
    'location / { script a.js; script_record hooks.journal sample=100% mask=x-user mask_args=; } script done.js;',
    { 'done.js': DONE, 'a.js': 'export function access(r) {}' },
  )
  const client = new HttpClient(site.port)
  await client.get('/?token=seen', { 'X-User': 'hidden', Cookie: 'a=seen' })
  client.close()
  await site.close()
  const [{ input }] = entriesOf(site)
  assert.is(input.args, 'token=seen')
  const fields = new Map(input.headersIn.map(([name, value]) => [name.toLowerCase(), value]))
  assert.match(fields.get('x-user')!, /^masked-/)
  assert.is(fields.get('cookie'), 'a=seen')
})

test('bodies, chunks and failures are kept; what is too long is not', async () => {
  const site = await Site.start('location / { script a.js; script_record hooks.journal sample=100%; }', {
    'a.js': `export async function access(r) { if ((await r.readText()) === 'bad') throw new Error('bad body') }
             export function content(r) { r.return(200, r.args.long ? 'x'.repeat(100000) : 'plain') }
             export function bodyFilter(r, chunk) { return '[' + chunk.length + ']' }`,
  })
  const post = async (target: string, body: string) => {
    const client = new HttpClient(site.port)
    const head = `POST ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`
    const answer = await client.request(head + body)
    client.close()
    return answer
  }
  await post('/', 'good')
  assert.is((await post('/', 'bad')).status, 500)
  await post('/?long=1', 'good')
  await site.close()
  const entries = entriesOf(site)
  const calls = entries.map(({ phase, asked, decision, input }) => [
    phase,
    asked.body?.text,
    decision.outcome,
    input.chunk?.data.length,
  ])
  assert.equal(calls.slice(0, 4), [
    ['access', 'good', 'pass', undefined],
    ['content', undefined, 'answer', undefined],
    ['bodyFilter', undefined, 'replaced', 5],
    ['access', 'bad', 'failed', undefined],
  ])
  assert.ok(entries.every(({ input }) => (input.chunk?.data.length ?? 0) <= 65536))
})

test('a share of the requests is recorded, each with all of its hooks', async () => {
  const site = await Site.start('location / { script a.js; script_record hooks.journal sample=20%; }', {
    'a.js': `export function access(r) {}\nexport function content(r) { r.return(200) }`,
  })
  const client = new HttpClient(site.port)
  for (let i = 0; i < 300; i++) await client.get('/')
  client.close()
  await site.close()
  const calls = new Map<string, number>()
  for (const { request } of entriesOf(site)) calls.set(request, (calls.get(request) ?? 0) + 1)
  assert.ok(Math.abs(calls.size - 60) < 15, String(calls.size))
  assert.ok([...calls.values()].every((count) => count === 2))
})

test('USR1 goes on in a new file', async () => {
  const site = await Site.start(
    'location / { script a.js; script_record hooks.journal sample=100%; } script done.js;',
    {
      'done.js': DONE,
      'a.js': 'export function access(r) {}',
    },
  )
  await site.get('/one')
  await site.until(
    'written',
    () => existsSync(site.path('hooks.journal')) && statSync(site.path('hooks.journal')).size > 0,
  )
  renameSync(site.path('hooks.journal'), site.path('old.journal'))
  site.gateway.reopenLogs()
  await site.get('/two')
  await site.close()
  assert.equal(
    entriesOf(site, 'old.journal').map(({ input }) => input.uri),
    ['/one'],
  )
  assert.equal(
    entriesOf(site).map(({ input }) => input.uri),
    ['/two'],
  )
})

test('a full file is kept once under another name, and no file grows beyond its bound', async () => {
  const path = join(tempDir(), 'j')
  const file = new JournalFile(path, 1000, () => undefined)
  for (let i = 0; i < 50; i++) {
    file.append(`${i}`.padStart(99, '.'))
    if (i % 7 === 0) await new Promise((next) => setTimeout(next, 1))
  }
  await file.close()
  assert.ok(statSync(path).size <= 1000, String(statSync(path).size))
  assert.is(statSync(`${path}.1`).size, 1000)
  assert.ok(readFileSync(path, 'latin1').endsWith('49\n'))
  assert.is(file.dropped, 0)
})

test('lines that find too much waiting are dropped and counted, and it is said once', async () => {
  const path = join(tempDir(), 'j')
  const said: string[] = []
  const file = new JournalFile(path, 1_000_000, (_level, message) => said.push(message), 1000)
  const kept = Array.from({ length: 30 }, () => file.append('x'.repeat(99))).filter(Boolean)
  assert.is(kept.length, 10)
  assert.is(file.dropped, 20)
  assert.is(said.length, 1)
  await file.close()
  assert.is(statSync(path).size, 1000)
})

test('a journal is no door to another file: a link is not followed, and trouble is said', async () => {
  const folder = tempDir()
  const path = join(folder, 'j')
  writeFileSync(join(folder, 'precious'), 'mine')
  const { symlinkSync } = await import('node:fs')
  symlinkSync(join(folder, 'precious'), path)
  const said: string[] = []
  const file = new JournalFile(path, 1000, (_level, message) => said.push(message))
  assert.is(file.append('line'), false)
  await file.close()
  assert.is(readFileSync(join(folder, 'precious'), 'latin1'), 'mine')
  assert.match(said[0], /cannot be written: ELOOP/)
})

test.run()
