// What a hook found by chance, by the clock and in session maps is there again when its journal is replayed.

import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { replayJournal } from '../../runtime/cli/replay.ts'
import { entriesOf, recorded } from './journal.ts'

interface Report {
  readonly equal: number
  readonly different: number
  readonly masked: number
  readonly unknown: { readonly hooks: number; readonly questions: Readonly<Record<string, number>> }
  readonly groups: readonly { readonly masked: string; readonly facets: string; readonly count: number }[]
}

async function replay(site: Awaited<ReturnType<typeof recorded>>, source: string): Promise<Report> {
  writeFileSync(site.path('new.js'), source)
  let out = ''
  let errors = ''
  await replayJournal([site.path('hooks.journal'), '--script', site.path('new.js'), '--json'], {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (errors += text) },
  })
  assert.is(errors, '')
  return JSON.parse(out)
}

const DICE = `const random = Math.random
export function content(r) {
  const n = Math.floor(random() * 1e9) + Math.floor(Math.random() * 1e9)
  r.return(200, String(n))
}`

test('Math.random gives what it gave then', async () => {
  const site = await recorded(DICE, ['GET /a', 'GET /b', 'GET /c'])
  assert.equal(
    entriesOf(site).map(({ asked }) => asked.randoms.length),
    [2, 2, 2],
  )
  const same = await replay(site, DICE)
  assert.equal([same.equal, same.different, same.unknown.hooks], [3, 0, 0])
  const more = await replay(site, `${DICE.replace('const n =', 'Math.random(); const n =')}`)
  assert.equal(
    [more.different, more.unknown.questions],
    [3, { 'Math.random() was not recorded so often': 3 }],
  )
})

const CLOCK = `export async function content(r) {
  const start = Date.now()
  await new Promise((done) => setTimeout(done, 20))
  r.return(200, start + ' ' + new Date().getTime() + ' ' + (Date.now() - start))
}`

test('the clock says what it said then, look by look', async () => {
  const site = await recorded(CLOCK, ['GET /a', 'GET /b'])
  const [{ asked }] = entriesOf(site)
  assert.is(asked.times.length, 3)
  assert.ok(asked.times[0] >= 0 && asked.times[1] >= 19 && asked.times[2] >= asked.times[1])
  const { equal, different } = await replay(site, CLOCK)
  assert.equal([equal, different], [2, 0])
})

const SESSIONS = `import { map } from 'sluice:store'
const users = map('users')
const counts = map('counts')
export async function access(r) {
  r.headersIn.set('x-peer', await users.getOrSet(r.args.user, () => 'first-' + r.uri))
}
export async function content(r) {
  const n = await counts.incr('all')
  await counts.set('last', r.uri)
  const before = await counts.get('last')
  r.return(200, r.headersIn.get('x-peer') + ' ' + n + ' ' + before)
}`

const MAPS = 'session_map users; session_map counts;'
const VISITS = ['GET /a?user=1', 'GET /b?user=1', 'GET /c?user=2', 'GET /d?user=1']

test('session maps hold what they held then, and what the hook makes of it', async () => {
  const site = await recorded(SESSIONS, VISITS, '', MAPS)
  const visits = entriesOf(site).filter(({ phase }) => phase === 'access')
  assert.equal(
    visits.map(({ asked }) => asked.maps),
    [null, '"first-/a"', null, '"first-/a"'].map((json, i) => [
      { map: 'users', key: i === 2 ? '2' : '1', json, bytes: null },
    ]),
  )
  const counted = entriesOf(site).filter(({ phase }) => phase === 'content')
  assert.equal(
    counted.map(({ asked }) => asked.maps),
    [null, '1', '2', '3'].map((json) => [{ map: 'counts', key: 'all', json, bytes: null }]),
  )
  const same = await replay(site, SESSIONS)
  assert.equal([same.equal, same.different, same.unknown.hooks], [8, 0, 0])
  // Only who was not known then is decided about anew.
  const other = await replay(site, SESSIONS.replace('first-', 'second-'))
  assert.equal([other.equal, other.different, other.unknown.hooks], [6, 2, 0])
  const asking = await replay(site, SESSIONS.replace('r.args.user', "'x' + r.args.user"))
  assert.equal(asking.unknown.questions, {
    'the session map users at "x1" was not recorded': 3,
    'the session map users at "x2" was not recorded': 1,
  })
})

test('every operation of a map is answered as it was, with values of every kind', async () => {
  const script = `import { map } from 'sluice:store'
const m = map('users')
let filled = false
export async function access() {
  if (filled) return
  filled = true
  await m.set('list', [1, '\\u00e9'])
  await m.set('bytes', new Uint8Array([0, 255]))
  await m.set('gone', 1)
}
export async function content(r) {
  const before = [await m.get('list'), [...await m.get('bytes')], await m.get('none') ?? null]
  const done = [
    await m.add('list', 2), await m.add('new', 2), await m.compareAndSet('gone', 1, 3), await m.compareAndSet('gone', 4, 5),
    await m.replace('list', [1, '\\u00e9'], [2]), await m.touch('absent'), await m.delete('new'), await m.delete('new'),
  ]
  const after = [await m.get('list'), await m.get('gone'), await m.get('new') ?? null]
  const all = []
  for await (const [key] of m.entries()) all.push(key)
  r.return(200, JSON.stringify([before, done, after, all.sort()]))
}`
  const site = await recorded(script, ['GET /'], '', MAPS)
  const same = await replay(site, script)
  assert.equal([same.equal, same.different, same.unknown.hooks], [2, 0, 0])
})

const TOKEN = `export function access(r) {
  if (r.headersIn.get('authorization') !== 'Bearer secret-of-alice') return r.return(403)
}
export function content(r) { r.return(200, 'fine') }`

test('a decision made of a masked value is not called another one', async () => {
  const served = await recorded(TOKEN, [
    'GET /',
    'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret-of-alice\r\n\r\n',
  ])
  const same = await replay(served, TOKEN)
  assert.equal([same.equal, same.different, same.masked], [2, 0, 1])
  assert.equal(
    same.groups.map(({ masked, facets, count }) => [masked, facets, count]),
    [['headersIn authorization', 'outcome, answer status', 1]],
  )
  // Who does not look at it is told apart as ever.
  const other = await replay(served, TOKEN.replace("'fine'", "'other'"))
  assert.equal([other.different, other.masked], [1, 1])
})

test('masked arguments, cookies, bodies and maps count only where they are read', async () => {
  const script = `export async function access(r) {
  if (r.uri === '/arg' && r.args.token !== 'token-1') r.return(403)
  if (r.uri === '/other' && r.args.user !== 'x') r.return(403)
  if (r.uri === '/cookie' && r.variables.cookie_sid !== 'sid-1') r.return(403)
  if (r.uri === '/form' && (await r.readForm()).token !== 'token-1') r.return(403)
}
export function content(r) { r.return(200, 'fine') }`
  const form = 'token=token-1'
  const site = await recorded(script, [
    'GET /arg?token=token-1',
    'GET /other?token=token-1&user=x',
    'GET /cookie HTTP/1.1\r\nHost: a\r\nCookie: sid=sid-1\r\n\r\n',
    `POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n${form}`,
  ])
  const { equal, different, masked, groups } = await replay(site, script)
  assert.equal([equal, different, masked], [5, 0, 3])
  assert.equal(groups.map((group) => group.masked).sort(), ['$cookie_sid', 'r.args.token', 'the body'])
})

test('limits refuse what they refused then', async () => {
  const script = `import { limit, connections } from 'sluice:limit'
  const slow = limit('1r/m', { key: '$arg_user', burst: 2 })
  const few = connections(1, { key: '$arg_user' })
  export async function access(r) { return few(r) ?? await slow(r) }
  export function content(r) { r.return(200, 'fine') }`
  const site = await recorded(
    script,
    ['a', 'a', 'a', 'a', 'b'].map((user) => `GET /?user=${user}`),
  )
  const outcomes = entriesOf(site).map(({ phase, decision }) => `${phase} ${decision.outcome}`)
  assert.is(outcomes.filter((one) => one === 'access answer').length, 1)
  const same = await replay(site, script)
  assert.equal([same.equal, same.different, same.unknown.hooks], [9, 0, 0])
  const other = await replay(site, script.replace('burst: 2', 'burst: 3'))
  assert.equal([other.different, other.unknown.hooks], [1, 5])
})

test('a body that is refused then is refused again, and with the same status', async () => {
  const script = `export async function content(r) { r.return(200, String((await r.readJSON()).a)) }`
  const post = (body: string) => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const bodies = ['{"a":1}', '{', ' '.repeat(20)]
  const site = await recorded(script, bodies.map(post), 'client_body_buffer_size 10;')
  assert.equal(
    entriesOf(site).map(({ decision }) => decision['answer status']),
    ['200', '400', '413'],
  )
  const { equal, different } = await replay(site, script)
  assert.equal([equal, different], [3, 0])
})

test('Redis is not asked, and that is said', async () => {
  const site = await recorded(`export function content(r) { r.return(200, 'fine') }`, ['GET /'])
  const { different, unknown } = await replay(
    site,
    `import { call } from 'sluice:redis'
    export async function content(r) { r.return(200, await call('GET', 'x').catch(() => 'fine')) }`,
  )
  assert.equal([different, unknown.questions], [0, { 'what Redis answers to GET was not recorded': 1 }])
})

test('a journal of before, without these, is read as ever', async () => {
  const site = await recorded(DICE, ['GET /a'])
  const [line] = readFileSync(site.path('hooks.journal'), 'utf8').split('\n')
  const entry = JSON.parse(line)
  for (const name of ['maps', 'times', 'randoms', 'limits']) delete entry.asked[name]
  writeFileSync(site.path('hooks.journal'), `${JSON.stringify(entry)}\n`)
  const { different, unknown } = await replay(site, DICE)
  assert.equal([different, unknown.hooks], [1, 1])
})

test.run()
