// nginx's `server NAME resolve` and `service=` in a running proxy: names move, fail, go and come while requests go on.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ask } from '../admin/site.ts'
import { DnsServer } from '../lib/dns-server.ts'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok } from '../lib/recording-upstream.ts'
import { ServerFarm } from '../lib/server-farm.ts'
import { Site } from '../swap/site.ts'
import { Crew } from '../workers/crew.ts'
import { once, socketUpstream } from './journey-tools.ts'

const dns = await DnsServer.start()
const farm = await ServerFarm.start(['127.0.0.1', '127.0.0.2', '127.0.0.3'])
test.after(async () => {
  await farm.close()
  await dns.close()
})

/** A site whose upstream block `u` holds this. */
function start(upstream: string, http = `resolver ${dns.address} ipv6=off;`): Promise<Site> {
  return Site.start('location / { proxy_pass http://u; }', {}, `${http} upstream u { ${upstream} }`)
}

/** Who answers so many requests, in no order. */
async function answers(site: Site, count = 6): Promise<string> {
  const seen = new Set<string>()
  for (let i = 0; i < count; i++) {
    const { status, body } = await site.get()
    seen.add(status === 200 ? body : `${status}`)
  }
  return [...seen].sort().join(' ')
}

async function until(site: Site, wanted: string): Promise<void> {
  const deadline = Date.now() + 5_000
  for (let seen = ''; seen !== wanted; seen = await answers(site))
    if (Date.now() > deadline) throw new Error(`${seen}, not ${wanted}\n${site.log.join('\n')}`)
}

test('a name is followed: its addresses come and go, and no request is lost by it', async () => {
  dns.set('app.test', { addresses: ['127.0.0.1'] })
  const site = await start(`zone u 64k; server app.test:${farm.port} resolve;`)
  assert.is(await answers(site), '127.0.0.1')
  let running = true
  const failed: string[] = []
  const asking = Array.from({ length: 4 }, async () => {
    const client = new HttpClient(site.port)
    while (running) {
      const { status } = await client.get('/')
      if (status !== 200) failed.push(`${status}`)
    }
    client.close()
  })
  const moved = async (...hosts: string[]) => {
    const peers = () => site.gateway.generation.upstreams.named('u')!.live.group.peers
    dns.set('app.test', { addresses: hosts })
    await site.until(
      'it has moved',
      () =>
        peers()
          .map(({ address }) => address.host)
          .join() === hosts.join(),
    )
  }
  await moved('127.0.0.2', '127.0.0.3')
  await moved('127.0.0.3')
  assert.is(await answers(site), '127.0.0.3')
  running = false
  await Promise.all(asking)
  assert.equal(failed, [])
  await site.close()
})

test('while nobody knows a name, its last addresses serve; once it is gone, they do not', async () => {
  dns.set('app.test', { addresses: ['127.0.0.1'] })
  const site = await start(
    `server app.test:${farm.port} resolve;`,
    `resolver ${dns.address} ipv6=off valid=1s;`,
  )
  dns.set('app.test', { fails: 'servfail' })
  await dns.untilAsked('A app.test', 2)
  assert.is(await answers(site), '127.0.0.1')
  dns.delete('app.test')
  await until(site, '502')
  dns.set('app.test', { addresses: ['127.0.0.2'] })
  await until(site, '127.0.0.2')
  assert.equal(
    site.log.filter((line) => line.includes('app.test')),
    [
      '[error] app.test could not be resolved (2: Server failure); what it had last stays',
      '[error] app.test could not be resolved (3: Host not found); it has no servers until it is',
      '[notice] app.test is resolved again',
    ],
  )
  assert.ok(site.log.some((line) => line.includes('no live upstreams')))
  await site.close()
})

test('a group begins without a name that nobody knows, and says so; other servers serve', async () => {
  dns.set('late.test', { fails: 'servfail' })
  const site = await start(`server late.test:${farm.port} resolve; server 127.0.0.3:${farm.port};`)
  assert.is(await answers(site), '127.0.0.3')
  assert.ok(site.log.some((line) => line.includes('late.test could not be resolved (2: Server failure)')))
  dns.set('late.test', { addresses: ['127.0.0.1'] })
  await until(site, '127.0.0.1 127.0.0.3')
  await site.close()
})

test('a service is followed: targets, ports, backups', async () => {
  const other = await ServerFarm.start(['127.0.0.1'], 'other')
  dns.set('a.test', { addresses: ['127.0.0.1'], ttl: 1 })
  dns.set('b.test', { addresses: ['127.0.0.2'], ttl: 1 })
  const zone = (...srv: { target: string; port: number; priority?: number }[]) =>
    dns.set('_chat._tcp.app.test', { srv })
  zone({ target: 'a.test', port: farm.port }, { target: 'b.test', port: farm.port, priority: 1 })
  const site = await start('server app.test service=chat resolve;')
  assert.is(await answers(site), '127.0.0.1')
  zone({ target: 'a.test', port: other.port }, { target: 'b.test', port: farm.port, priority: 1 })
  await until(site, 'other')
  await other.close()
  assert.is(await answers(site), '127.0.0.2', 'the backup')
  await site.close()
})

test('a name that a request makes: every request finds all its addresses in service, failures are not kept', async () => {
  dns.set('hop.test', { cname: 'gone.test', bare: true })
  dns.set('gone.test', { addresses: ['127.0.0.8', '127.0.0.9'], ttl: 60 })
  dns.set('bad.test', { fails: 'servfail' })
  const site = await Site.start(
    `location / { proxy_pass http://$arg_name:${farm.port}; add_header X-Version $upstream_addr always; }`,
    {},
    `resolver ${dns.address} ipv6=off;`,
  )
  for (let i = 0; i < 3; i++) {
    const { status, version } = await site.get('/?name=hop.test')
    assert.is(status, 502)
    assert.equal(version.split(', ').sort(), [`127.0.0.8:${farm.port}`, `127.0.0.9:${farm.port}`])
  }
  assert.is((await site.get('/?name=bad.test')).status, 502)
  dns.set('bad.test', { addresses: ['127.0.0.1'] })
  assert.is((await site.get('/?name=BAD.test')).body, '127.0.0.1')
  await site.close()
})

test('an upstream has a resolver of its own, or that of the http block, or the system', async () => {
  const own = await DnsServer.start()
  dns.set('app.test', { addresses: ['127.0.0.1'] })
  own.set('app.test', { addresses: ['127.0.0.2'] })
  const line = `server app.test:${farm.port} resolve;`
  const mine = await start(`${line} resolver ${own.address} ipv6=off; resolver_timeout 2s;`)
  assert.is(await answers(mine), '127.0.0.2')
  await mine.close()
  await own.close()
  const system = await start(`server localhost:${farm.port} resolve; resolver ipv6=off;`, '')
  assert.is(await answers(system), '127.0.0.1')
  await system.close()
})

test('a script swap goes on with what is known; a reload asks nobody who is known either', async () => {
  dns.set('kept.test', { addresses: ['127.0.0.2'], ttl: 60 })
  const script = (name: string) =>
    `export function headerFilter(r) { r.headersOut.set('x-version', '${name}') }`
  const site = await Site.start(
    'location / { proxy_pass http://u; script s.js; }',
    { 's.js': script('one') },
    `resolver ${dns.address} ipv6=off; upstream u { server kept.test:${farm.port} resolve; }`,
  )
  dns.set('kept.test', { fails: 'silent' })
  await site.save('s.js', script('two'))
  assert.equal(await site.get(), { status: 200, body: '127.0.0.2', version: 'two' })
  await site.reload((config) => config.replace('upstream u {', 'upstream u { keepalive 1;'))
  assert.equal(await site.get(), { status: 200, body: '127.0.0.2', version: 'two' })
  assert.is(dns.count('A kept.test'), 1)
  await site.close()
})

test('a request that outlives a reload and a change of addresses is counted until it ends', async () => {
  const waiting: Socket[] = []
  const slow = await socketUpstream((socket) => once(socket, '\r\n\r\n', () => void waiting.push(socket)))
  dns.set('app.test', { addresses: ['127.0.0.1'] })
  const line = `server app.test:${slow.port} resolve;`
  const site = await start(`${line} } upstream other { ${line}`)
  const connections = (name = 'u') => {
    const { peers } = site.gateway.generation.upstreams.named(name)!.live.group
    return peers.map((peer) => `${peer.address.host} ${peer.connections}`).join(', ')
  }
  const answer = site.get()
  await site.until('the request is there', () => waiting.length === 1)
  await site.reload((config) => config.replace(line, `server 127.0.0.1:${slow.port};`))
  dns.set('app.test', { addresses: ['127.0.0.1', '127.0.0.2'] })
  await site.until('the name has moved', () => connections('other') === '127.0.0.1 0, 127.0.0.2 0')
  assert.is(connections(), '127.0.0.1 1')
  waiting[0]!.write(ok('late'))
  assert.is((await answer).body, 'late')
  assert.is(connections(), '127.0.0.1 0')
  await site.close()
  await slow.close()
})

test('a generation that is discarded follows nothing any more; with the last one the process ends', async () => {
  dns.set('app.test', { addresses: ['127.0.0.1'] })
  dns.set('never.test', { fails: 'silent' })
  const port = await freePort()
  const config = (name: string, more = '') => `events {}
http {
  resolver ${dns.address} ipv6=off valid=1s;
  upstream u { server ${name}:${farm.port} resolve; }
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://u; } ${more} }
}
`
  const sluice = await startSluice(config('app.test'))
  sluice.write({ 'sluice.conf': config('never.test', 'location /x { proxy_pass http://nobody.invalid; }') })
  await sluice.reload()
  assert.match(sluice.errorLog(), 'host not found in upstream "nobody.invalid"')
  const asked = dns.count('A never.test')
  await dns.untilAsked('A app.test', 2)
  assert.is(dns.count('A never.test'), asked)
  assert.is(await sluice.stop('SIGQUIT'), 0)
})

test('workers agree on the servers of a name; what was changed of it stays when it moves', async () => {
  dns.set('app.test', { addresses: ['127.0.0.2', '127.0.0.1'] })
  const adminPort = await freePort()
  const crew = await Crew.start(
    2,
    'location / { proxy_pass http://u; } location = /one { proxy_pass http://u; script one.js; }',
    { 'one.js': 'export function balancer(r, upstream) { return upstream.peers[1] }' },
    `admin 127.0.0.1:${adminPort}; resolver ${dns.address} ipv6=off valid=1s;
     upstream u { zone u 64k; server app.test:${farm.port} resolve; server 127.0.0.9:9 down; }`,
  )
  const api = '/api/v1/upstreams/u/servers'
  const headers = { 'content-type': 'application/json' }
  assert.equal(await crew.ofEach('/one', 2), ['127.0.0.2', '127.0.0.2'])
  const body = JSON.stringify({ weight: 7 })
  const patched = await ask(adminPort, 'PATCH', `${api}/app.test:${farm.port}`, { body, headers })
  assert.is(patched.status, 200, patched.text)
  const removed = await ask(adminPort, 'DELETE', `${api}/127.0.0.9:9`)
  assert.is(removed.status, 204, removed.text)
  dns.set('app.test', { addresses: ['127.0.0.3', '127.0.0.1'] })
  const peers = async () => {
    const { json } = await ask(adminPort, 'GET', '/api/v1/upstreams/u')
    return json.peers.map(
      ({ address, weight }: { address: string; weight: number }) => `${address} ${weight}`,
    )
  }
  const wanted = ['127.0.0.1', '127.0.0.3'].map((host) => `${host}:${farm.port} 7`)
  const deadline = Date.now() + 10_000
  while (
    (await peers()).join() !== wanted.join() ||
    (await crew.ofEach('/one', 2)).some((host) => host !== '127.0.0.3')
  )
    assert.ok(Date.now() < deadline, (await peers()).join())
  const [victim] = await crew.pids(2)
  process.kill(victim!, 'SIGKILL')
  await crew.sluice.waitForLog(/worker process \d+ .*exited/)
  assert.equal(await crew.ofEach('/one', 2), ['127.0.0.3', '127.0.0.3'])
  assert.equal(await peers(), wanted)
  assert.is(await crew.sluice.stop(), 0)
})

test.run()
