// The commands that talk to a running proxy, against real ones: one process, and several.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ask } from '../admin/site.ts'
import { freePort } from '../lib/ports.ts'
import { runSluice, type SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const answering = (text: string) => `export function content(r) { r.return(200, '${text}') }\n`

interface Running {
  readonly sluice: SluiceProcess
  readonly port: number
  readonly admin: number
}

async function start(main = '', admin = ''): Promise<Running> {
  const [port, adminPort] = [await freePort(), await freePort()]
  const config = `${main}
http {
  access_log off;
  admin 127.0.0.1:${adminPort} ${admin};
  upstream chat { server 127.0.0.1:1 weight=3; server 127.0.0.1:2 down; }
  server { listen 127.0.0.1:${port}; location / { script a.js; } location /chat { proxy_pass http://chat; } }
}
`
  const files = { 'a.js': answering('one'), token: 'a-token-of-some-length\n' }
  return { sluice: await startSluice(config, files), port, admin: adminPort }
}

async function get(port: number): Promise<string> {
  const client = new HttpClient(port)
  const { body } = await client.get('/')
  client.close()
  return body
}

test('status: a table for people, JSON for programs', async () => {
  const { sluice, port, admin } = await start()
  const told = await runSluice(['status'], sluice.folder)
  assert.is(told.code, 0, told.stderr)
  const lines = told.stdout.split('\n')
  assert.match(lines[0], new RegExp(`^sluice \\d+\\.\\d+\\.\\d+, process ${sluice.pid}, up for \\d+ s$`))
  assert.is(lines[1], `generation 1, listening on 127.0.0.1:${port}`)
  assert.match(lines[3], /^worker +pid +state +generation +connections +requests +memory +up for$/)
  assert.match(lines[4], new RegExp(`^ +0 +${sluice.pid} +serving +1 +0 +0 +\\d+\\.\\d MiB +\\d+ s$`))
  const json = await runSluice(['status', '--json', '--admin', String(admin)], '/')
  assert.is(JSON.parse(json.stdout).workers.length, 1)
  await sluice.stop()
})

test('scripts: pushed, listed, shown, taken back', async () => {
  const { sluice, port } = await start()
  const run = (...args: string[]) => runSluice(['scripts', ...args], sluice.folder)
  sluice.write({ 'new.js': answering('two'), 'broken.js': 'export function content(r) {\n  return ]\n}\n' })
  const pushed = await run('push', 'new.js', 'a.js')
  assert.is(pushed.code, 0, pushed.stderr)
  assert.match(pushed.stdout, /^generation 2 serves after [\d.]+ ms: .*\/a\.js is version [0-9a-f]{16}\n$/)
  assert.is(await get(port), 'two')
  assert.is((await run('show', 'a.js')).stdout, answering('two'))
  const broken = await run('push', 'broken.js', 'a.js')
  assert.is(broken.code, 1)
  assert.is(broken.stdout, '')
  assert.match(broken.stderr, /^sluice: \/.*\/a\.js:2:\d+: .*\n[\s\S]*return \][\s\S]*\^/)
  assert.is(await get(port), 'two')
  assert.is(readFileSync(join(sluice.folder, 'a.js'), 'utf8'), answering('two'))
  const unknown = await run('push', 'new.js')
  assert.equal(
    [unknown.code, unknown.stderr],
    [1, 'sluice: no script that serves is called "new.js"; there are: a.js\n'],
  )
  assert.is((await run('rollback', 'a.js')).code, 0)
  assert.is(await get(port), 'one')
  const list = await run('list')
  assert.match(list.stdout, /^script +version +state +generation +calls +errors +memory\n/)
  assert.match(list.stdout, /\na\.js +[0-9a-f]{16} +live +1 +1 +0 /)
  assert.match(list.stdout, /\na\.js +[0-9a-f]{16} +quarantined +2 .* rolled back\n/)
  await sluice.stop()
})

test('the watcher finds nothing to do after a push', async () => {
  const { sluice } = await start()
  sluice.write({ 'new.js': answering('two') })
  await runSluice(['scripts', 'push', 'new.js', 'a.js'], sluice.folder)
  await sluice.waitForLog(/generation 1 has served its last request/)
  // Its look at the folder comes before what is written after the next swap.
  sluice.write({ 'a.js': answering('three') })
  await sluice.waitForLog(/scripts changed: generation 3 serves/)
  assert.not.match(sluice.errorLog(), /scripts changed: generation 2/)
  await sluice.stop()
})

test('upstreams: listed with their states', async () => {
  const { sluice } = await start()
  const { code, stdout } = await runSluice(['upstreams', 'list'], sluice.folder)
  assert.is(code, 0)
  assert.match(stdout, /^upstream +server +address +state +weight +connections +fails\n/)
  assert.match(stdout, /\nchat +127\.0\.0\.1:1 +127\.0\.0\.1:1 +up +3 +0 +0\n/)
  assert.match(stdout, /\nchat +127\.0\.0\.1:2 +127\.0\.0\.1:2 +down +1 +0 +0\n/)
  const drained = await runSluice(['upstreams', 'drain', 'chat', '127.0.0.1:1'], sluice.folder)
  assert.match(drained.stdout, /\nchat +127\.0\.0\.1:1 +127\.0\.0\.1:1 +draining +3 /)
  const up = await runSluice(['upstreams', 'up', 'chat', '127.0.0.1:2'], sluice.folder)
  assert.match(up.stdout, /\nchat +127\.0\.0\.1:2 +127\.0\.0\.1:2 +up +1 /)
  const none = await runSluice(['upstreams', 'list', 'nobody'], sluice.folder)
  assert.equal([none.code, none.stderr], [1, 'sluice: there is no upstream "nobody"; there are: chat\n'])
  await sluice.stop()
})

test('a token comes from its file, or from the environment', async () => {
  const { sluice, admin } = await start('', 'token_file=token')
  assert.is((await ask(admin, 'GET', '/api/v1/status')).status, 401)
  assert.is((await runSluice(['status'], sluice.folder)).code, 0)
  const without = await runSluice(['status', '--admin', `127.0.0.1:${admin}`], sluice.folder)
  const told = 'set SLUICE_TOKEN, or name the configuration whose "admin" has the token_file with -c FILE\n'
  assert.equal([without.code, without.stderr], [1, `sluice: the proxy wants a token; ${told}`])
  process.env.SLUICE_TOKEN = 'another-token-of-some-length'
  const another = await runSluice(['status', '--json', '--admin', `127.0.0.1:${admin}`], '/')
  assert.equal([another.code, another.stderr], [1, `sluice: the proxy has another token; ${told}`])
  process.env.SLUICE_TOKEN = 'a-token\nX-Evil: 1'
  const odd = await runSluice(['status', '--admin', `127.0.0.1:${admin}`], '/')
  assert.is(odd.code, 1)
  assert.match(odd.stderr, /^sluice: SLUICE_TOKEN holds blanks, control characters .*\n$/)
  process.env.SLUICE_TOKEN = 'a-token-of-some-length'
  const within = await runSluice(['status', '--admin', `127.0.0.1:${admin}`], '/')
  delete process.env.SLUICE_TOKEN
  assert.is(within.code, 0, within.stderr)
  await sluice.stop()
})

test('nobody answers, or the command is none', async () => {
  const port = await freePort()
  const nobody = await runSluice(['status', '--admin', String(port)], '/')
  assert.is(nobody.code, 2)
  assert.match(
    nobody.stderr,
    new RegExp(`^sluice: cannot talk to 127\\.0\\.0\\.1:${port}: .*; is it running\\?\n$`),
  )
  const wrong = await runSluice(['scripts', 'pull'], '/')
  assert.equal([wrong.code, wrong.stderr], [1, 'sluice: scripts: "pull" is not a command; see scripts -h\n'])
  for (const args of [
    ['upstreams', '-h'],
    ['help', 'upstreams'],
  ])
    assert.match((await runSluice(args, '/')).stdout, /^Usage: sluice upstreams list/)
})

test('what is wrong with a command line is said in its own words', async () => {
  const cases: [string, string][] = [
    ['scripts push', 'scripts: push takes FILE [NAME]; see scripts -h'],
    ['scripts show', 'scripts: show takes NAME; see scripts -h'],
    ['scripts list all', 'scripts: list takes no words; see scripts -h'],
    [
      'scripts push a.js --canary 0%',
      'scripts: "--canary 0%" is no share; write one above 0% and up to 100%, such as --canary 5%',
    ],
    [
      'scripts push a.js --key $arg_u',
      'scripts: "--key" says whom a canary serves; give its share as well: --canary 5%',
    ],
    [
      'scripts push a.js --local --canary 5%',
      'scripts: "--canary" is for all machines of a fleet, "--local" for this one alone; leave one of them out',
    ],
    ['scripts push a.js --canary --admin 1', 'scripts: "--canary" needs a value; see scripts -h'],
    ['scripts push a.js --canary', 'scripts: "--canary" needs a value; see scripts -h'],
    ['scripts list --bogus', 'scripts: there is no option "--bogus"; see scripts -h'],
    ['scripts list --json=1', 'scripts: "--json" takes no value'],
    [
      'upstreams add app',
      'upstreams: add takes UPSTREAM SERVER and parameters, such as "chat 10.0.0.7:8080 weight=2"; see upstreams -h',
    ],
    ['upstreams weight app 127.0.0.1:1', 'upstreams: weight takes UPSTREAM SERVER N; see upstreams -h'],
    [
      'upstreams weight app 127.0.0.1:1 abc',
      'upstreams: "weight=abc" has no number; write one such as weight=2',
    ],
    [
      'upstreams add app 127.0.0.1:1 fail_timeout=soon',
      'upstreams: "fail_timeout=soon" has no time; write one such as fail_timeout=10s',
    ],
    [
      'upstreams add app 127.0.0.1:1 wait=2',
      'upstreams: "wait=2" is no parameter of a server; write weight=N, max_conns=N, max_fails=N, fail_timeout=TIME, backup or down',
    ],
    ['status --admin 99999', '"--admin 99999" is no address; write HOST:PORT, PORT or unix:PATH'],
    ['status --admin a\tb:80', '"--admin a\tb:80" is no address; write HOST:PORT, PORT or unix:PATH'],
  ]
  const folder = tempDir()
  writeFiles(folder, { 'a.js': answering('one') })
  for (const [line, sentence] of cases) {
    const { code, stdout, stderr } = await runSluice(line.split(' '), folder)
    assert.equal([line, code, stdout, stderr], [line, 1, '', `sluice: ${sentence}\n`])
  }
})

test('whoever else answers is not taken for the admin API', async () => {
  const json = (body: string) => ({ type: 'application/json', status: 200, body })
  const answers = [
    { type: 'text/html', status: 200, body: '<html>' },
    { type: 'text/html', status: 404, body: 'not found' },
    { type: 'text/html', status: 302, body: '' },
    { type: '', status: 204, body: '' },
    json('{"ok":true}'),
    json('[]'),
    json('null'),
    json('{"version":"1","workers":"many","addresses":[]}'),
    json('{"version":'),
    { type: 'application/problem+json', status: 500, body: '{"title":"no"}' },
  ]
  let answer = answers[0]
  const server = createServer((_, response) => {
    response.statusCode = answer.status
    if (answer.type !== '') response.setHeader('Content-Type', answer.type)
    response.end(answer.body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const commands = ['status', 'status --json', 'scripts list --json', 'upstreams list']
  for (const [i, each] of answers.entries()) {
    answer = each
    const line = commands[i % commands.length]
    const told = await runSluice([...line.split(' '), '--admin', String(port)], '/')
    assert.equal([each, line, told.code, told.stdout], [each, line, 2, ''])
    const start = `sluice: what answers on 127.0.0.1:${port} is not the admin API of this version of Sluice (${each.status}`
    assert.is(told.stderr.slice(0, start.length), start)
    assert.is(told.stderr.split('\n').length, 2)
  }
  server.close()
})

test('an answer that does not end is given up', async () => {
  const server = createServer((_, response) => {
    const part = Buffer.alloc(1024 * 1024, ' ')
    const go = () => {
      while (!response.destroyed && response.write(part));
    }
    response.on('drain', go)
    go()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { code, stderr } = await runSluice(['status', '--admin', String(port)], '/')
  const reason = 'its answer does not end; is it running?'
  assert.equal([code, stderr], [2, `sluice: cannot talk to 127.0.0.1:${port}: ${reason}\n`])
  server.close()
})

test('upstreams list: a group without servers is there', async () => {
  const server = createServer((_, response) => {
    response.setHeader('Content-Type', 'application/json')
    response.end('{"upstreams":[{"name":"chat","peers":[]}]}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { stdout } = await runSluice(['upstreams', '--admin', String(port)], '/')
  assert.match(stdout, /^upstream +server +address .*\nchat +no servers\n$/)
  server.close()
})

test('a socket in the file system, and a token that -t looks at', async () => {
  const { sluice } = await start()
  const socket = join(sluice.folder, 'admin.sock')
  const site = (admin: string) => `http { admin ${admin}; server { listen 127.0.0.1:${port}; return 204; } }`
  const port = await freePort()
  const other = await startSluice(site(`unix:${socket}`))
  assert.is((await runSluice(['status', '--admin', `unix:${socket}`], '/')).code, 0)
  assert.is((await runSluice(['status'], other.folder)).code, 0)
  other.write({ 'bad.conf': site('9145 token_file=empty'), empty: '\n' })
  const tested = await runSluice(['-t', '-c', 'bad.conf', '-p', other.folder], other.folder)
  assert.is(tested.code, 1)
  assert.match(tested.stderr, /bad\.conf:1:8: the first line of token_file .* is no token/)
  await other.stop()
  await sluice.stop()
})

test('an API that cannot be had keeps the proxy from starting', async () => {
  const port = await freePort()
  const config = (short: string) =>
    `http { admin 127.0.0.1:${port} token_file=${short}; server { listen 127.0.0.1:1; return 204; } }`
  const error = await startSluice(
    config('none').replace('127.0.0.1:1;', `127.0.0.1:${await freePort()};`),
  ).catch((thrown: Error) => thrown)
  assert.match(
    (error as Error).message,
    /\[emerg\] .*sluice\.conf:1:8: token_file ".*none" of "admin" cannot be read/,
  )
})

test('several workers: one act for all, one answer of all', async () => {
  const { sluice, port, admin } = await start('worker_processes 2;')
  const { json: status } = await ask(admin, 'GET', '/api/v1/status')
  assert.equal(
    status.workers.map(({ worker }: { worker: number }) => worker),
    [0, 1],
  )
  sluice.write({ 'new.js': answering('two'), 'broken.js': 'no script' })
  const broken = await runSluice(['scripts', 'push', 'broken.js', 'a.js'], sluice.folder)
  assert.is(broken.code, 1)
  assert.match(broken.stderr, /a\.js:1:\d+: /)
  for (let i = 0; i < 8; i++) assert.is(await get(port), 'one')
  const pushed = await runSluice(['scripts', 'push', 'new.js', 'a.js'], sluice.folder)
  assert.is(pushed.code, 0, pushed.stderr)
  for (let i = 0; i < 8; i++) assert.is(await get(port), 'two')
  const { text } = await ask(admin, 'GET', '/metrics')
  assert.match(text, /^sluice_requests_total\{server="_",status="2xx"\} 16$/m)
  assert.match(text, /^sluice_generation 2$/m)
  assert.match(text, /^sluice_script_calls_total\{script=".*a\.js",hook="content"\} 16$/m)
  const drained = await runSluice(['upstreams', 'drain', 'chat', '127.0.0.1:1', '--json'], sluice.folder)
  assert.equal([drained.code, JSON.parse(drained.stdout).peers[0].draining], [0, true])
  const reload = await ask(admin, 'POST', '/api/v1/config/reload', {
    headers: { 'Content-Type': 'application/json' },
  })
  assert.equal([reload.status, reload.json.generation], [200, 3])
  await sluice.stop()
})

test.run()
