// Servers that come, go and change under requests, WebSockets and hooks: what was begun goes on as it began.

import dns from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ServerChoices } from '../../runtime/control.ts'
import { createGateway } from '../../runtime/gateway.ts'
import { SERVER_DEFAULTS } from '../../runtime/upstream/options.ts'
import { stateText } from '../../runtime/upstream/state-file.ts'
import { AdminSite } from '../admin/site.ts'
import { modelOf } from '../config/parsed.ts'
import { freePort } from '../lib/ports.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, type RecordingUpstream, recordingUpstream } from '../lib/recording-upstream.ts'
import { tempDir } from '../lib/temp.ts'
import { until } from './journey-tools.ts'
import { type HandUpstream, handUpstream, openEnd } from './ws-tools.ts'

/** Upstreams of a test; those that answer a request for /held do so when they are let. */
class Rig {
  readonly site: AdminSite
  readonly servers: ReadonlyMap<string, RecordingUpstream>
  readonly #release: () => void

  private constructor(site: AdminSite, servers: ReadonlyMap<string, RecordingUpstream>, release: () => void) {
    this.site = site
    this.servers = servers
    this.#release = release
  }

  /** @param http of `{a}`, `{b}`, … which are addresses of upstreams that answer with their letter */
  static async start(
    letters: string,
    http: (port: number) => string,
    files: Readonly<Record<string, string>> = {},
  ): Promise<Rig> {
    let release = () => {}
    const released = new Promise<void>((done) => (release = done))
    const servers = new Map<string, RecordingUpstream>()
    for (const letter of letters) {
      const upstream = await recordingUpstream(async (_, { target }) => {
        if (target.startsWith('/held')) await released
        return ok(letter)
      })
      servers.set(letter, upstream)
    }
    const named = (text: string) => text.replace(/\{(\w)\}/g, (_, letter) => servers.get(letter)!.address)
    const site = await AdminSite.start((port, admin) => `admin ${admin};\n${named(http(port))}`, files)
    return new Rig(site, servers, release)
  }

  address(letter: string): string {
    return this.servers.get(letter)!.address
  }

  add(letter: string, options: ServerChoices = {}): Promise<void> {
    return this.site.control.changeServer({
      kind: 'add',
      group: 'app',
      server: this.address(letter),
      options,
    })
  }

  remove(letter: string): Promise<void> {
    return this.site.control.changeServer({ kind: 'remove', group: 'app', server: this.address(letter) })
  }

  patch(letter: string, options: ServerChoices): Promise<void> {
    const server = this.address(letter)
    return this.site.control.changeServer({ kind: 'patch', group: 'app', server, options })
  }

  /** Bodies of so many answers, over one connection. */
  async bodies(count: number, path = '/', fields: Readonly<Record<string, string>> = {}): Promise<string> {
    const client = new HttpClient(this.site.port)
    let text = ''
    for (let i = 0; i < count; i++) text += (await client.get(path, fields)).body
    client.close()
    return text
  }

  /** Those that hold their answers back give them. */
  release(): void {
    this.#release()
  }

  get idle(): number {
    return this.site.gateway.generation.upstreams.named('app')!.pool.count
  }

  async close(): Promise<void> {
    this.release()
    await this.site.close()
    for (const upstream of this.servers.values()) await upstream.close()
  }
}

const plain =
  (servers: string, more = '') =>
  (port: number) =>
    `upstream app { ${servers} } ${more}
   server { listen 127.0.0.1:${port}; location / { proxy_pass http://app; } }`

test('a server that comes is asked, one that goes is not, and its idle connections are closed', async () => {
  const rig = await Rig.start('abc', plain('server {a}; server {b};'))
  assert.is(await rig.bodies(4), 'abab')
  assert.is(rig.idle, 2)
  await rig.add('c', { weight: 2 })
  assert.is([...(await rig.bodies(4))].sort().join(''), 'abcc')
  assert.is(rig.idle, 3)
  await rig.remove('a')
  assert.is(rig.idle, 2)
  assert.not.match(await rig.bodies(6), 'a')
  assert.is(rig.servers.get('b')!.connections.length, 1, 'those that stay keep theirs')
  await rig.close()
})

test('a request in flight at a server that goes ends there, and its connection is not kept', async () => {
  const rig = await Rig.start('ab', plain('server {a}; server {b} backup;'))
  const client = new HttpClient(rig.site.port)
  const answer = client.get('/held')
  await rig.servers.get('a')!.waitForRequests(1)
  await rig.patch('b', { backup: false })
  await rig.remove('a')
  assert.is(await rig.bodies(2), 'bb')
  rig.release()
  assert.is((await answer).body, 'a')
  client.close()
  assert.is(rig.idle, 1)
  assert.equal(
    (await rig.site.control.upstreams())[0]!.peers.map(({ address, connections }) => [address, connections]),
    [[rig.address('b'), 0]],
  )
  await rig.close()
})

test('a request that is to be tried again goes on in the group that it began with', async () => {
  const rig = await Rig.start('bcd', plain('server 127.0.0.1:1 max_fails=0; server {b}; server {c};'))
  const dead = { kind: 'patch', group: 'app', server: '127.0.0.1:1' } as const
  await rig.site.control.changeServer({ ...dead, options: { weight: 100 } })
  const client = new HttpClient(rig.site.port)
  const answers: string[] = []
  for (let i = 0; i < 20; i++) {
    const answer = client.get('/')
    await (i % 2 === 0 ? rig.add('d') : rig.remove('d'))
    answers.push((await answer).body)
  }
  client.close()
  assert.match(answers.join(''), /^[bcd]{20}$/)
  await rig.close()
})

test('a hook that holds peers over an await returns one of them, whatever has changed meanwhile', async () => {
  const script = `export async function balancer(r, upstream) {
  const { peers } = upstream
  const by = r.variables.arg_by
  const gate = await fetch('http://gate/held')
  await gate.text()
  const now = upstream.peers.map((peer) => peer.name).join()
  if (now !== peers.map((peer) => peer.name).join()) throw new Error('the group has changed under the hook: ' + now)
  return by === 'index' ? peers[0] : by === 'hash' ? upstream.hash('k') : by === 'name' ? peers[0].address : undefined
}
`
  const rig = await Rig.start(
    'abcg',
    (port) => `upstream app { server {a}; server {b} down; } upstream gate { server {g}; }
    server { listen 127.0.0.1:${port}; location / { script a.js; proxy_pass http://app; } }`,
    { 'a.js': script },
  )
  const paths = ['/?by=index', '/?by=hash', '/?by=name', '/']
  const answers = paths.map((path) => rig.bodies(1, path))
  await rig.servers.get('g')!.waitForRequests(paths.length)
  await rig.add('c')
  await rig.patch('b', { down: false })
  await rig.remove('a')
  rig.release()
  assert.equal(await Promise.all(answers), ['a', 'a', 'a', 'a'])
  assert.match(await rig.bodies(1, '/?by=index'), /^[bc]$/)
  await rig.close()
})

test('hooks that see a large group change again and again do not run out of memory', async () => {
  const many = Array.from({ length: 1000 }, (_, i) => `server 10.0.${i >> 8}.${i & 255}:80 down;`).join(' ')
  const rig = await Rig.start(
    'a',
    (port) => `upstream app { server {a}; ${many} }
    server { listen 127.0.0.1:${port}; script a.js; script_limits memory=8m; location / { proxy_pass http://app; } }`,
    { 'a.js': 'export function balancer(r, upstream) { return upstream.peers[0] }\n' },
  )
  for (let i = 1; i <= 60; i++) {
    await rig.patch('a', { weight: i })
    assert.is(await rig.bodies(1), 'a', `change ${i}: ${rig.site.log.at(-1)}`)
  }
  await rig.close()
})

test('a draining server keeps those who are bound to it, until it goes', async () => {
  const rig = await Rig.start(
    'abc',
    plain('server {a} route=one; server {b} route=two; server {c} route=three; sticky route $arg_r;'),
  )
  assert.is(await rig.bodies(2, '/?r=two'), 'bb')
  await rig.patch('b', { drain: true })
  assert.is(await rig.bodies(3, '/?r=two'), 'bbb')
  assert.not.match(await rig.bodies(6), 'b')
  const [app] = await rig.site.control.upstreams()
  assert.equal(
    app!.peers.map(({ draining }) => draining),
    [false, true, false],
  )
  await rig.remove('b')
  assert.not.match(await rig.bodies(6, '/?r=two'), 'b')
  await rig.close()
})

test('WebSockets stay on a server that goes', async () => {
  const [a, b] = [await handUpstream(), await handUpstream()]
  const site = await AdminSite.start(
    (port) => `upstream app { server ${a.address}; server ${b.address} backup; }
    server { listen 127.0.0.1:${port}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade; location / { proxy_pass http://app; } }`,
  )
  const client = await openEnd(site.port, '/')
  const peer = await a.next(1)
  await site.control.changeServer({
    kind: 'patch',
    group: 'app',
    server: b.address,
    options: { backup: false },
  })
  await site.control.changeServer({ kind: 'remove', group: 'app', server: a.address })
  client.text('still here')
  assert.equal(await peer.seen(1), ['text still here'])
  peer.text('so am I')
  assert.equal(await client.seen(1), ['text so am I'])
  client.socket.destroy()
  await site.close()
  for (const upstream of [a, b]) await upstream.close()
})

test('a WebSocket whose server has gone reconnects to one that serves now', async () => {
  const [a, b] = [await handUpstream(), await handUpstream()]
  const site = await AdminSite.start(
    (port) => `upstream app { server ${a.address}; server 127.0.0.1:1 backup; }
    server { listen 127.0.0.1:${port}; ws_reconnect on tries=1; script w.js; location / { proxy_pass http://app; } }`,
    { 'w.js': 'export function wsMessage() {}\n' },
  )
  const client = await openEnd(site.port, '/')
  const peer = await a.next(1)
  const change = { group: 'app', server: b.address } as const
  await site.control.changeServer({ kind: 'add', ...change, options: {} })
  await site.control.changeServer({ kind: 'remove', group: 'app', server: a.address })
  await a.close()
  peer.socket.destroy()
  const next = await b.next(1)
  client.text('hello')
  assert.equal(await next.seen(1), ['text hello'])
  client.socket.destroy()
  await site.close()
  await b.close()
})

test('a group may begin without servers: 502 until one comes, and when the last has gone', async () => {
  const rig = await Rig.start('a', plain('state app.servers;'))
  const status = async () => (await rig.site.get()).status
  assert.is(await status(), 502)
  assert.ok(rig.site.log.some((line) => line.includes('no live upstreams while connecting to upstream')))
  await rig.add('a')
  assert.is(await status(), 200)
  await rig.remove('a')
  assert.is(await status(), 502)
  await rig.close()
})

test('changes and reloads at the same time: what serves afterwards is what the state file says', async () => {
  const rig = await Rig.start('abcd', plain('state app.servers;'))
  for (let i = 0; i < 5; i++) {
    const reload = () => rig.site.control.reload()
    await Promise.all([rig.add('a'), reload(), rig.add('b', { weight: 1 + i })])
    await Promise.all([reload(), rig.remove('a'), rig.add('c'), reload()])
    await Promise.all([reload(), rig.patch('c', { down: true })])
    const file = () => readFileSync(rig.site.path('app.servers'), 'utf8')
    const { live } = rig.site.gateway.generation.upstreams.named('app')!
    assert.is(stateText(live.servers), file())
    assert.is(
      file(),
      `server ${rig.address('b')}${i === 0 ? '' : ` weight=${1 + i}`};\nserver ${rig.address('c')} down;\n`,
    )
    assert.is(await rig.bodies(2), 'bb')
    await Promise.all([rig.remove('b'), rig.remove('c')])
  }
  await rig.close()
})

test('scripts that are swapped leave the servers as they were changed; a reload begins with the configuration', async () => {
  const rig = await Rig.start('abc', plain('server {a}; server {b};', 'script a.js;'), {
    'a.js': 'export function access() {}\n',
  })
  await rig.add('c')
  await rig.patch('b', { down: true })
  await rig.remove('a')
  const { live } = rig.site.gateway.generation.upstreams.named('app')!
  const swapped = await rig.site.push('a.js', 'export function access(r) { r.headersOut.set("X", "1") }\n')
  assert.is(swapped.status, 200)
  assert.is(rig.site.gateway.generation.upstreams.named('app')!.live, live)
  assert.is(await rig.bodies(3), 'ccc')
  await rig.site.control.reload()
  assert.is(await rig.bodies(4), 'abab')
  await rig.close()
})

test('what is known of a server outlasts a reload that is begun while it is asked', async () => {
  const rig = await Rig.start('abc', plain('least_conn; server {a}; server {b};'))
  const client = new HttpClient(rig.site.port)
  const answer = client.get('/held')
  await rig.servers.get('a')!.waitForRequests(1)
  await rig.add('c')
  await rig.site.control.reload()
  assert.is(await rig.bodies(3), 'bbb', 'a is busy')
  rig.release()
  await answer
  assert.match(await rig.bodies(3), 'a')
  client.close()
  await rig.close()
})

test('a swap of scripts looks no name up again, a reload does', async () => {
  let lookups = 0
  const { lookup } = dns
  Object.assign(dns, {
    lookup: (...args: Parameters<typeof lookup>) => {
      lookups++
      return lookup(...args)
    },
  })
  syncBuiltinESMExports()
  try {
    const rig = await Rig.start(
      'a',
      (port) => `upstream app { server localhost:1; server {a}; }
      server { listen 127.0.0.1:${port}; script a.js; location / { proxy_pass http://app; }
        location /fixed { proxy_pass http://localhost:2; } }`,
      { 'a.js': 'export function access() {}\n' },
    )
    const first = lookups
    assert.ok(first >= 2)
    assert.is((await rig.site.push('a.js', 'export function access(r) { r.log("x") }\n')).status, 200)
    assert.is(lookups, first)
    await rig.site.control.reload()
    assert.is(lookups, 2 * first)
    await rig.close()
  } finally {
    Object.assign(dns, { lookup })
    syncBuiltinESMExports()
  }
})

test('groups that were changed before a process began are as they were changed; their names need not be found', async () => {
  const a = await recordingUpstream(() => ok('a'))
  const port = await freePort()
  const model = modelOf(`http { access_log off; upstream app { server nowhere.invalid; }
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://app; } } }`)
  const options = { prefix: tempDir(), log: () => {} }
  const refused = createGateway(model, options)
  const error = await refused.listen().catch((thrown: Error) => thrown)
  assert.match((error as Error).message, 'host not found in upstream "nowhere.invalid"')
  const addresses = [{ text: a.address, host: '127.0.0.1', port: a.port }]
  const servers = [{ ...SERVER_DEFAULTS, name: a.address, addresses }]
  const gateway = createGateway(model, { ...options, changedServers: new Map([['app', servers]]) })
  await gateway.listen()
  const client = new HttpClient(port)
  assert.is((await client.get('/')).body, 'a')
  client.close()
  const reloaded = await gateway.reload(structuredClone(model)).catch((thrown: Error) => thrown)
  assert.instance(reloaded, Error, 'another configuration begins with its own')
  await gateway.close()
  await refused.close()
  await a.close()
})

/** Echoes what comes over its WebSockets. */
async function echo(upstream: HandUpstream, count: number): Promise<void> {
  const end = await upstream.next(count)
  let sent = 0
  end.socket.on('data', () => {
    for (; sent < end.frames.length; sent++) end.send(end.frames[sent]!.opcode, end.frames[sent]!.payload)
  })
}

test('200 changes under load and open WebSockets lose no request', async () => {
  const sockets = await handUpstream()
  const rig = await Rig.start(
    'abcdef',
    (port) => `upstream app { server {a}; server {b}; server {c}; keepalive 16; }
    upstream ws { server ${sockets.address}; server 127.0.0.1:1 backup; }
    server { listen 127.0.0.1:${port}; keepalive_requests 1000000;
      location / { proxy_pass http://app; }
      location /ws { proxy_pass http://ws; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }`,
  )
  let running = true
  const statuses = new Map<number, number>()
  const clients = Array.from({ length: 8 }, async () => {
    const client = new HttpClient(rig.site.port)
    while (running) {
      const { status } = await client.get('/')
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    client.close()
  })
  const ends: Awaited<ReturnType<typeof openEnd>>[] = []
  for (let i = 1; i <= 3; i++) {
    ends.push(await openEnd(rig.site.port, '/ws'))
    await echo(sockets, i)
  }
  const others = { group: 'ws', server: '127.0.0.1:1' } as const
  for (let i = 0; i < 25; i++) {
    await rig.add('d', { weight: 1 + (i % 3) })
    await rig.patch('a', { drain: true })
    await rig.remove('b')
    await rig.patch('c', { weight: 5, maxConns: 100 })
    await rig.add('e', { backup: true })
    await rig.site.control.changeServer({ kind: 'patch', ...others, options: { weight: 1 + i } })
    await rig.patch('a', { drain: false, down: i % 2 === 0 })
    await rig.add('b')
    // Four of the eight undo themselves: each round begins with the same servers.
    await rig.remove('d')
    await rig.remove('e')
    await rig.patch('a', { down: false })
    for (const [j, end] of ends.entries()) end.text(`${i} ${j}`)
    await until('echoes', () => ends.every(({ frames }) => frames.length === i + 1))
  }
  running = false
  await Promise.all(clients)
  assert.equal([...statuses.keys()], [200])
  assert.ok(statuses.get(200)! > 200, `${statuses.get(200)} requests`)
  const states = await rig.site.control.upstreams()
  const busy = states.flatMap(({ name, peers }) =>
    (name === 'app' ? peers : []).map((peer) => peer.connections),
  )
  assert.equal(busy, [0, 0, 0])
  for (const end of ends) end.socket.destroy()
  await rig.close()
  await sockets.close()
})

test.run()
