// `sluice replay`: another version of a script runs over a journal, and what it decides otherwise is told.

import { spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { replayJournal } from '../../runtime/cli/replay.ts'
import { MAIN } from '../lib/proxy-process.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import type { Site } from '../swap/site.ts'
import { recorded } from './journal.ts'

interface Result {
  readonly code: number
  readonly out: string
  readonly err: string
}

function replay(site: Site, source: string, ...args: string[]): Promise<Result> {
  writeFileSync(site.path('new.js'), source)
  return command(site.path('hooks.journal'), '--script', site.path('new.js'), ...args)
}

async function command(...args: string[]): Promise<Result> {
  const [out, err]: string[][] = [[], []]
  const code = await replayJournal(args, {
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
  })
  return { code, out: out.join(''), err: err.join('') }
}

const GATE = `export function access(r) {
  if (r.args.key !== 'k1') return r.return(403)
  r.headersIn.set('x-user', r.variables.arg_user ?? 'nobody')
}
export function content(r) { r.return(200, 'hello ' + r.headersIn.get('x-user')) }
`

const REQUESTS = ['GET /a?key=k1&user=7', 'GET /b?key=k2', 'GET /c?key=k1', 'GET /d?key=k3']

test('the same script decides the same', async () => {
  const site = await recorded(GATE, REQUESTS)
  const { code, out, err } = await replay(site, GATE)
  assert.is(err, '')
  assert.match(out, /^6 equal, 0 different\n/)
  assert.match(out, /access: 4 calls, \d+\.\d µs of CPU each/)
  assert.is(code, 0)
})

test('what another version decides otherwise is grouped, with examples, before and after', async () => {
  const site = await recorded(GATE, REQUESTS)
  const { code, out } = await replay(
    site,
    GATE.replace("!== 'k1'", "!== 'k1' && r.args.key !== 'k2'").replace("'hello '", "'hallo '"),
  )
  assert.is(code, 1)
  assert.match(out, /^3 equal, 3 different\n/)
  assert.match(
    out,
    /access once: outcome, answer status, headersIn x-user\n {2}GET \/b\?key=k2 HTTP\/1\.1\n {4}outcome: answer → pass\n {4}answer status: 403 → \(none\)\n {4}headersIn x-user: \(none\) → nobody\n/,
  )
  assert.match(out, /content 2 times: answer body\n {2}GET \/a\?key=k1&user=7 HTTP\/1\.1\n/)
})

test('for programs there is JSON', async () => {
  const site = await recorded(GATE, REQUESTS)
  const { code, out } = await replay(site, GATE.replace('403', '401'), '--json')
  const report = JSON.parse(out)
  assert.is(code, 1)
  assert.is(report.equal, 4)
  assert.is(report.different, 2)
  assert.equal(
    report.groups.map(({ phase, facets, count }: { phase: string; facets: string; count: number }) => [
      phase,
      facets,
      count,
    ]),
    [['access', 'answer status', 2]],
  )
  assert.equal(report.groups[0].examples[1], {
    request: 'GET /d?key=k3 HTTP/1.1',
    differences: [{ facet: 'answer status', before: '403', after: '401' }],
  })
  assert.ok(report.cpu.micros > 0)
})

test('a question that was not asked then is said to be unknown, unless the request itself answers it', async () => {
  const site = await recorded(GATE, REQUESTS.slice(0, 1))
  const asks = (what: string) => GATE.replace('{\n', `{\n  void r.variables.${what}\n`)
  const known = await replay(site, asks('arg_user + r.variables.http_host + r.variables.uri'))
  assert.not.match(known.out, /unknown/)
  const { out, code } = await replay(site, asks('group'))
  assert.match(out, /unknown: \$group was not recorded \(once\)/)
  assert.match(out, /1 asked what was not recorded/)
  assert.is(code, 0)
})

test('errors are told with their place', async () => {
  const site = await recorded(GATE, REQUESTS)
  const { out, code } = await replay(site, 'export function access(r) {\n  r.nothing.at.all\n}\n')
  assert.is(code, 1)
  assert.match(
    out,
    /error 4 times, e\.g\. on GET \/a\?key=k1&user=7 HTTP\/1\.1\n {2}.*new\.js:2:\d+: access: TypeError: cannot read property 'at' of undefined\n {6}2 \| {3}r\.nothing\.at\.all\n/,
  )
})

test('r.ctx goes from hook to hook, the clock is that of the journal, and timers need no waiting', async () => {
  const script = `export async function access(r) {
    await new Promise((done) => setTimeout(done, 20))
    r.ctx.user = r.args.user
    r.headersIn.set('x-year', String(new Date().getFullYear()))
  }
  export function content(r) { r.return(200, r.ctx.user) }`
  const site = await recorded(script, ['GET /?user=7', 'GET /?user=8'])
  assert.match((await replay(site, script)).out, /^4 equal, 0 different\n/)
  const slow = await replay(site, script.replace('20)', '5000)'))
  assert.match(slow.out, /^4 equal, 0 different\n/)
})

test('peers are chosen among those of then: hashes are computed, turns are known only where they were taken', async () => {
  const upstreams = await Promise.all([1, 2, 3].map(() => recordingUpstream(() => ok('hello'))))
  const servers = upstreams.map(({ port }) => `server 127.0.0.1:${port};`).join(' ')
  const by = (choice: string) => `export function balancer(r, upstream) { return ${choice} }`
  const byUser = by('upstream.hash(r.args.user, { consistent: true })')
  const site = await recorded(
    byUser,
    Array.from({ length: 12 }, (_, i) => `GET /?user=${i}&room=1`),
    'proxy_pass http://app;',
    `upstream app { ${servers} }`,
  )
  for (const upstream of upstreams) await upstream.close()
  assert.is((await replay(site, byUser)).code, 0)
  const byRoom = JSON.parse(
    (await replay(site, by('upstream.hash(r.args.room, { consistent: true })'), '--json')).out,
  )
  assert.ok(byRoom.different > 0 && byRoom.different < 12, String(byRoom.different))
  assert.equal(byRoom.unknown.questions, {})
  const byTurn = await replay(site, by('upstream.roundRobin()'))
  assert.match(byTurn.out, /unknown: roundRobin\(\) was not recorded \(12 times\)/)
})

test('fetches get the answers of then', async () => {
  const upstream = await recordingUpstream((head) => (head.includes('/7 ') ? ok('admin') : ok('guest')))
  const script = `export async function content(r) {
    const answer = await fetch('http://auth/user/' + r.args.user)
    r.return(200, await answer.text())
  }`
  const site = await recorded(
    script,
    ['GET /?user=7', 'GET /?user=8'],
    '',
    `upstream auth { server 127.0.0.1:${upstream.port}; }`,
  )
  await upstream.close()
  assert.match((await replay(site, script)).out, /^2 equal, 0 different\n/)
  const { out, code } = await replay(site, script.replace('/user/', '/users/'))
  assert.is(code, 1)
  assert.match(out, /unknown: fetch GET http:\/\/auth\/users\/7 was not recorded \(once\)/)
})

test('a decision that was masked counts as equal to one that may be it', async () => {
  const script = `export function headerFilter(r) { r.headersOut.set('set-cookie', 'sid=' + 'abc'.repeat(3) + '; Path=/') }
    export function content(r) { r.return(200) }`
  const site = await recorded(script, ['GET /'])
  assert.not.match(readFileSync(site.path('hooks.journal'), 'latin1'), /abcabcabc/)
  assert.is((await replay(site, script)).code, 0)
  assert.is((await replay(site, script.replace('Path=/', 'Path=/a'))).code, 1)
})

test('lines that are no entries are skipped, counted and located; a file without any is refused', async () => {
  const site = await recorded(GATE, REQUESTS)
  appendFileSync(site.path('hooks.journal'), 'garbage\n{"v":1,"at":"soon"}\n{"v":9}\n')
  const { out, code } = await replay(site, GATE)
  const path = site.path('hooks.journal')
  assert.is(code, 0)
  assert.ok(out.includes(`${path}:7: skipped: it is no JSON\n`), out)
  assert.ok(out.includes(`${path}:8: skipped: at is no whole number\n`), out)
  assert.ok(out.includes(`${path}:9: skipped: it is of version 9, not 1\n`), out)
  writeFileSync(path, 'garbage\n')
  const refused = await replay(site, GATE)
  assert.is(refused.code, 2)
  assert.is(refused.err, `sluice: ${path}:1: it is no JSON; it is no journal of script_record\n`)
})

test('wrong use and scripts that cannot be loaded end with 2', async () => {
  const site = await recorded(GATE, REQUESTS.slice(0, 1))
  assert.equal(await command(), { code: 2, out: '', err: 'sluice: replay: name one journal; see --help\n' })
  assert.match((await command('hooks.journal')).err, /--script FILE names the script/)
  assert.match((await command(site.path('none.journal'), '--script', 'a.js')).err, /ENOENT/)
  const main = spawnSync(process.execPath, [MAIN, 'replay', '--help'], { encoding: 'utf8' })
  assert.match(main.stdout, /^Usage: sluice replay JOURNAL --script NEW\.js/)
  assert.match((await replay(site, GATE, '--limit', '0')).err, /"--limit 0" is no number above 0/)
  assert.match(
    (await replay(site, GATE, '--of', 'other.js')).err,
    /say with --of NAME which script is meant; there are .*a\.js/,
  )
  const broken = await replay(site, 'export function access(r) {\n  r.(\n}')
  assert.is(broken.code, 2)
  assert.match(broken.err, /new\.js:2:\d+: /)
})

test('what clients have sent does not drive the terminal', async () => {
  const site = await recorded(GATE, ['GET /a%1b%5b2J%0aforged?key=k1'])
  const { out } = await replay(site, GATE.replace('hello', 'hallo'))
  assert.match(out, /GET \/a\ufffd\[2J\ufffdforged\?key=k1 HTTP\/1\.1\n/)
  assert.not.match(out, /\x1b/)
})

test.run()
