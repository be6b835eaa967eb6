// fetch and sluice.every in a running proxy: to groups by name, in every phase, as long as the client and the generation stay.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { openClient, socketUpstream, until } from '../proxy/journey-tools.ts'

test('a hook asks a group by name: a dead peer is passed over, the others take turns', async () => {
  const [port, dead] = [await freePort(), await freePort()]
  const one = await recordingUpstream(() => ok('one'))
  const two = await recordingUpstream(() => ok('two'))
  const sluice = await startSluice(
    `upstream users { server 127.0.0.1:${dead}; server ${one.address}; server ${two.address}; }
    upstream sticky { hash $arg_u consistent; server ${one.address}; server ${two.address}; }
    server {
      listen 127.0.0.1:${port};
      script users.js;
      location / { }
    }`,
    {
      'users.js': `export async function content(r) {
        const answer = await fetch('http://' + r.uri.slice(1) + '/who?u=1', { method: 'POST', body: 'who' })
        return { status: answer.status, body: await answer.text() + ' ' + answer.url }
      }`,
    },
  )
  const client = new HttpClient(port)
  const bodies: string[] = []
  for (let i = 0; i < 6; i++) bodies.push((await client.get('/users')).body)
  assert.is(bodies.filter((body) => body === 'one http://users/who?u=1').length, 3)
  assert.is(bodies.filter((body) => body === 'two http://users/who?u=1').length, 3)
  assert.match(one.connections.join(''), /^POST \/who\?u=1 HTTP\/1\.1\r\nhost: users\r\n/)
  // The key is of the request that the hook runs for.
  const peers = new Map<string, Set<string>>()
  for (let i = 0; i < 30; i++) {
    const user = String(i % 10)
    const { body } = await client.get(`/sticky?u=${user}`)
    peers.set(user, (peers.get(user) ?? new Set()).add(body))
  }
  assert.ok([...peers.values()].every((seen) => seen.size === 1))
  assert.is(new Set([...peers.values()].flatMap((seen) => [...seen])).size, 2)
  await sluice.stop()
  await one.close()
  await two.close()
})

test('every hook may fetch', async () => {
  const port = await freePort()
  const side = await recordingUpstream((head) => ok(/^GET \/(\w+)/.exec(head)![1]))
  const upstream = await recordingUpstream(() => ok('page'))
  const ask = (phase: string) => `await (await fetch('http://side/${phase}')).text()`
  const sluice = await startSluice(
    `upstream side { server ${side.address}; }
    upstream pages { server ${upstream.address}; }
    server { listen 127.0.0.1:${port}; script all.js; location / { proxy_pass http://pages; } }`,
    {
      'all.js': `
        const top = ${ask('top')}
        let started
        export async function init() { started = ${ask('init')} }
        export async function rewrite(r) { r.headersIn.set('X-Rewrite', top + started + ${ask('rewrite')}) }
        export async function access(r) { r.headersIn.set('X-Access', ${ask('access')}) }
        export async function balancer(r, upstream) { r.headersIn.set('X-Balancer', ${ask('balancer')}) }
        export async function headerFilter(r) { r.headersOut.set('X-Filter', ${ask('filter')}) }
        export async function log(r) { r.warn('logged ' + ${ask('log')}) }`,
    },
  )
  const response = await new HttpClient(port).get('/')
  assert.is(response.header('x-filter'), 'filter')
  assert.equal(
    ['x-rewrite', 'x-access', 'x-balancer'].map((name) => upstream.requests[0].header(name)),
    ['topinitrewrite', 'access', 'balancer'],
  )
  await sluice.waitForLog(/\[warn\].* logged log/)
  await sluice.stop()
  await side.close()
  await upstream.close()
})

test('each script has the list of its place, the innermost one', async () => {
  const port = await freePort()
  const outside = await recordingUpstream()
  const url = `http://${outside.address}`
  const sluice = await startSluice(
    `upstream chat { server ${outside.address}; }
    server {
      listen 127.0.0.1:${port};
      location /default { script ask.js; }
      location /url { script ask.js; script_allow_fetch ${url}; }
      location /none { script ask.js; script_allow_fetch none; }
      location /any { script ask.js; script_allow_fetch any upstreams; }
    }`,
    {
      'ask.js': `export async function content(r) {
        const said = []
        for (const url of ['http://chat/', '${url}/']) {
          said.push(await fetch(url).then((answer) => answer.status, (error) => error.message))
        }
        return { status: 200, body: said.join('\\n') }
      }`,
    },
  )
  const client = new HttpClient(port)
  const refused = (origin: string) =>
    `fetch: ${origin} is not allowed; "script_allow_fetch ${origin};" would allow it`
  const isLoopback =
    'fetch: 127.0.0.1 has the address 127.0.0.1, which is not allowed; "script_allow_fetch 127.0.0.1;" would allow it'
  const cases: [path: string, chat: string, url: string][] = [
    ['/default', '200', refused(url)],
    ['/url', refused('http://chat'), '200'],
    ['/none', refused('http://chat'), refused(url)],
    ['/any', '200', isLoopback],
  ]
  for (const [path, ...said] of cases) {
    assert.is((await client.get(path)).body, said.join('\n'), path)
  }
  await sluice.stop()
  await outside.close()
})

test('a client that leaves takes the fetch of its hook along', async () => {
  const port = await freePort()
  let asked = 0
  let left = 0
  const side = await socketUpstream((socket) => {
    socket.once('data', () => asked++)
    socket.on('close', () => left++)
    socket.on('end', () => socket.end())
  })
  const sluice = await startSluice(
    `upstream side { server ${side.address}; }
    server { listen 127.0.0.1:${port}; script wait.js; location / { } }`,
    { 'wait.js': "export async function access(r) { await fetch('http://side/') }" },
  )
  const resetting = await openClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('the side is asked', () => asked === 1)
  resetting.resetAndDestroy()
  await until('the side is left', () => left === 1)
  const ending = await openClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('the side is asked again', () => asked === 2)
  ending.end()
  await until('the side is left again', () => left === 2)
  assert.not.match(sluice.errorLog(), /\[(error|alert|crit)\]/)
  await sluice.stop()
  await side.close()
})

test('repeated functions are those of the generation that serves, and of no other', async () => {
  const port = await freePort()
  const side = await recordingUpstream()
  const script = (name: string) => `
    sluice.every('100ms', async () => { await (await fetch('http://side/${name}')).text() })
    export function access(r) { if (r.uri === '/${name}') r.return(204) }`
  const sluice = await startSluice(
    `upstream side { server ${side.address}; }
    server { listen 127.0.0.1:${port}; script tick.js; location / { } }`,
    { 'tick.js': script('old') },
  )
  await side.waitForRequests(3)
  const from = sluice.errorLog().length
  sluice.write({ 'tick.js': script('new') })
  await sluice.waitForLog(/scripts changed: generation \d+ serves/, from)
  assert.is((await new HttpClient(port).get('/new')).status, 204)
  const before = side.requests.length
  await side.waitForRequests(before + 5)
  const targets = side.requests.slice(before + 1).map(({ target }) => target)
  assert.ok(
    targets.every((target) => target === '/new'),
    targets.join(),
  )
  assert.is(await sluice.stop('SIGQUIT'), 0)
  await side.close()
})

test.run()
