// `sluice try`: everything that hooks read and changed, in the order in which they did; and the same as JSON.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runSluice } from '../lib/proxy-process.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

type Files = Readonly<Record<string, string>>

async function dryRun(config: string, args: readonly string[], files: Files = {}): Promise<string> {
  const folder = tempDir()
  writeFiles(folder, { ...files, 'sluice.conf': config })
  const { code, stdout, stderr } = await runSluice(['try', '-c', 'sluice.conf', ...args], folder)
  assert.is(code, 0, stderr)
  return stdout.replace(/[\d.]+ [µm]s/g, 'N µs').replace(/Date: .*/, 'Date: N')
}

/** The lines below the row of this phase. */
function notes(printed: string, phase: string): string[] {
  const lines = printed.split('\n')
  const from = lines.findIndex((line) => line.startsWith(`  ${phase} `)) + 1
  const to = lines.findIndex((line, i) => i >= from && !line.startsWith('                 '))
  return lines.slice(from, to).map((line) => line.trim())
}

const PROXIED = `upstream app { server 127.0.0.1:8001; server 127.0.0.1:8002; }
server {
    listen 127.0.0.1:8080;
    set $tenant none;
    location / { script hooks.js; proxy_pass http://app; }
}
`

test('headers, arguments, the body, variables: with their values, in order, each once', async () => {
  const hooks = `import { hash } from 'sluice:policy'
export async function access(r) {
  r.method
  r.headersIn.get('X-A') + r.headersIn['x-a'] + r.headersIn.get('X-A')
  r.headersIn.has('X-None')
  r.args.userId + r.args.list + r.args.none
  await r.readJSON()
  r.headersIn.set('X-User', r.args.userId)
  r.headersIn.append('X-User', '8')
  r.headersIn.delete('X-A')
  r.headersOut.set('X-Tenant', 'acme')
  r.variables.tenant = 'acme'
  r.variables.tenant
}
export const balancer = hash('$remote_addr-$arg_userId')
`
  const args = [
    'POST /x?userId=7&list=1&list=2',
    '-H',
    'X-A: b',
    '-H',
    'Content-Type: application/json',
    '-d',
    '{"a":1}',
  ]
  const printed = await dryRun(PROXIED, args, { 'hooks.js': hooks })
  assert.equal(notes(printed, 'access'), [
    'method = "POST"',
    'headersIn X-A = "b"',
    'headersIn x-a = "b"',
    'headersIn X-None = (no value)',
    'args.userId = "7"',
    'args.list = "[\\"1\\",\\"2\\"]"',
    'args.none = (no value)',
    'body (7 bytes) = "{\\"a\\":1}"',
    'set headersIn X-User = "7"',
    'add headersIn X-User = "8"',
    'remove headersIn X-A',
    'set headersOut X-Tenant = "acme"',
    'set $tenant = "acme"',
  ])
  assert.equal(notes(printed, 'balancer'), [
    '$remote_addr-$arg_userId = "127.0.0.1-7"',
    'hash("127.0.0.1-7") -> 127.0.0.1:8001',
  ])
})

test('a hook decides in words', async () => {
  const decision = async (hooks: string) =>
    /^ {2}\w+ +hooks\.js +(.*?) {2}/m.exec(await dryRun(PROXIED, ['/'], { 'hooks.js': hooks }))![1]
  assert.is(await decision('export function access(r) { r.return(418, "no") }'), 'answers 418')
  assert.is(
    await decision("export function access(r) { if (r.uri === '/') r.internalRedirect('/a?b') }"),
    'redirects to /a?b',
  )
  assert.is(await decision('export function balancer(r, u) { return u.peers[1] }'), 'chooses 127.0.0.1:8002')
  assert.is(await decision('export function access(r) {}'), 'passes')
  assert.is(await decision('export function access(r) { null.x }'), 'failed')
})

test('timeouts and further tries that a balancer asks for', async () => {
  const hooks = `export function balancer(r, upstream) {
  upstream.setTimeouts({ connect: 100, read: 5000 })
  upstream.setMoreTries(2)
}
`
  const printed = await dryRun(PROXIED, ['/'], { 'hooks.js': hooks })
  assert.match(printed, /set timeouts = "connect N µs, read N µs"\n +set further tries = "2"\n/)
  assert.match(printed, /peer +127\.0\.0\.1:8001 +of app, by round_robin/)
})

test('a TypeScript hook that fails: its line, a caret, who called', async () => {
  const config = PROXIED.replace('hooks.js', 'hooks.ts')
  const hooks = `import { pick } from './lib.js'
export function access(r: Sluice.AccessRequest): void {
  pick<string>([])
}
`
  const lib = 'export const pick = <T extends string>(list: T[]): T =>\n\tlist[0]!.trim() as T\n'
  const printed = await dryRun(config, ['/'], { 'hooks.ts': hooks, 'lib.ts': lib })
  assert.match(
    printed,
    `                 TypeError: cannot read property 'trim' of undefined
                   2 |   list[0]!.trim() as T
                     |           ^
                     called at access (hooks.ts:3:15)
`,
  )
})

test('r.args looks in a log line as it does in a proxy that runs', async () => {
  const hooks = 'export function access(r) { console.log(r.args, Object.keys(r.args)) }\n'
  const printed = await dryRun(PROXIED, ['/?a=1'], { 'hooks.js': hooks })
  assert.match(printed, "[info] hooks.js: [Object: null prototype] { a: '1' } [ 'a' ]")
})

test('hooks that run later are listed', async () => {
  const hooks = 'export function headerFilter() {}\nexport function log() {}\n'
  assert.match(
    await dryRun(PROXIED, ['/'], { 'hooks.js': hooks }),
    /later +headerFilter, log +with the response\n/,
  )
})

test('a response that is given goes through the hooks that see it', async () => {
  const hooks = `export function headerFilter(r) {
  r.headersOut.set('X-Up', r.headersOut.get('X-Up') + r.status)
  r.headersOut.delete('Server')
}
export async function bodyFilter(r, chunk, { last }) {
  await new Promise((done) => setTimeout(done, 1))
  return String.fromCharCode(...chunk).toUpperCase() + (last ? '!' : '')
}
export function wsOpen() {}
export function log() {}
`
  const args = ['/', '--response-status', '404', '--response-header', 'X-Up: u', '--response-body', 'hello']
  const printed = await dryRun(PROXIED, args, { 'hooks.js': hooks })
  assert.is(
    printed.slice(printed.indexOf('  headerFilter')),
    `  headerFilter hooks.js                            passes  N µs
                 headersOut X-Up = "u"
                 status = "404"
                 set headersOut X-Up = "u404"
                 remove headersOut Server
  bodyFilter   hooks.js                            replaces  waited, N µs
                 chunk (5 bytes, the last) = "hello"
                 set chunk (6 bytes) = "HELLO!"
  response     HTTP/1.1 404 Not Found
               Date: N
               Transfer-Encoding: chunked
               Connection: keep-alive
               X-Up: u404
               "HELLO!"
  later        wsOpen                              on the WebSocket
  later        log                                 with the response
`,
  )
})

test('a response that a hook fails on is cut or replaced as the proxy would', async () => {
  const hooks = 'export function bodyFilter(r, chunk) { null.x }\n'
  const printed = await dryRun(PROXIED, ['/', '--response-body', 'hello'], { 'hooks.js': hooks })
  assert.match(printed, /bodyFilter +hooks\.js +failed/)
  assert.match(printed, /response +HTTP\/1\.1 500 Internal Server Error\n/)
})

test('an answer of our own goes through hooks on the body too', async () => {
  const config = 'server { listen 127.0.0.1:8080; script hooks.js; return 200 "abc"; }\n'
  const hooks = "export function bodyFilter(r, chunk, { last }) { return last ? 'end' : null }\n"
  const printed = await dryRun(config, ['/'], { 'hooks.js': hooks })
  assert.match(printed, /bodyFilter +hooks\.js +replaces/)
  assert.match(printed, /answer +200 OK +by server rewrite\n/)
  assert.match(printed, '\n               "end"\n')
})

test('bodies may come from files', async () => {
  const hooks = 'export async function access(r) { r.return(200, (await r.readText()).length + "") }\n'
  const printed = await dryRun(PROXIED, ['/', '-d', '@body.txt'], {
    'hooks.js': hooks,
    'body.txt': 'x'.repeat(1000),
  })
  assert.match(printed, '"1000"\n')
  const folder = tempDir()
  writeFiles(folder, { 'sluice.conf': 'server { listen 127.0.0.1:8080; return 204; }' })
  const refusal = async (...args: string[]) =>
    (await runSluice(['try', '-c', 'sluice.conf', '/', ...args], folder)).stderr
  assert.match(await refusal('-d', '@none'), /^sluice: try: cannot read "none": ENOENT/)
  assert.is(
    await refusal('--response-status', '99'),
    'sluice: try: "--response-status 99" is not a number from 200 to 999\n',
  )
  assert.match(
    await refusal('--response-header', 'Content-Length: 5'),
    'Content-Length follows from the body; give the body with -d or --response-body',
  )
})

test('--json: the same for programs', async () => {
  const folder = tempDir()
  writeFiles(folder, {
    'sluice.conf': PROXIED,
    'hooks.js': `export function access(r) { r.headersIn.get('X-A'); r.log('caf\u00e9') }
export function balancer(r, upstream) { return upstream.hash(r.variables.arg_userId) }
export function log() {}`,
  })
  const args = ['try', '-c', 'sluice.conf', 'GET /?userId=7', '--json', '-n', '4', '--vary', 'userId']
  const { code, stdout, stderr } = await runSluice(args, folder)
  assert.is(code, 0, stderr)
  const told = JSON.parse(stdout)
  const [access, balancer] = told.events.filter(({ kind }: { kind: string }) => kind === 'hook')
  assert.equal(
    [told.method, told.target, told.listen, told.loadLog],
    ['GET', '/?userId=7', '127.0.0.1:8080', []],
  )
  assert.equal(
    told.events.map(({ kind }: { kind: string }) => kind),
    ['server', 'location', 'hook', 'log', 'hook'],
  )
  assert.equal(
    [access.phase, access.outcome, access.decision, access.touches],
    ['access', 'pass', 'passes', [{ what: 'headersIn X-A', value: null, change: 'read' }]],
  )
  assert.ok(access.micros > 0 && access.firstMicros > 0)
  assert.equal([balancer.outcome, balancer.asked.length], ['peer', 1])
  assert.is(balancer.decision, `chooses ${told.end.address}`)
  assert.equal(
    [told.end.kind, told.end.group, told.end.hook.phase, told.end.later],
    ['peer', 'app', 'balancer', ['log']],
  )
  assert.equal(told.spread.count, 4)
  assert.equal(Object.keys(told.spread.places), ['127.0.0.1:8001', '127.0.0.1:8002'])
})

test('a canary is shown by its own name, and takes its share of many requests', async () => {
  const hook = (peer: number) => `export const balancer = (r, upstream) => upstream.peers[${peer}]`
  const files = { 'hooks.js': hook(0), 'next.js': hook(1) }
  const told = (percent: number, ...args: string[]) => {
    const canary = `script hooks.js; script_canary next.js percent=${percent} key=$arg_user;`
    return dryRun(PROXIED.replace('script hooks.js;', canary), ['/?user=1', ...args], files)
  }
  assert.match(await told(100), /^ {2}balancer +next\.js +chooses 127\.0\.0\.1:8002/m)
  const spread = await told(50, '-n', '50', '--vary', 'user')
  assert.match(spread, /^ {2}127\.0\.0\.1:8001 +[1-9]/m)
  assert.match(spread, /^ {2}127\.0\.0\.1:8002 +[1-9]/m)
})

test.run()
