// `upstream_from_store` over machines that share a Redis, and over the workers of one machine: what is changed through one
// admin API holds for all, no request is lost by it, and all go on while Redis is away.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AdminSite, ask } from '../admin/site.ts'
import { freePort } from '../lib/ports.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { RedisServer, redisCli } from '../lib/redis.ts'
import { ServerFarm } from '../lib/server-farm.ts'
import { Crew, Load } from '../workers/crew.ts'

const HOSTS = Array.from({ length: 11 }, (_, i) => `127.0.0.${i + 1}`)
const farm = await ServerFarm.start(HOSTS)
test.after(() => farm.close())

const address = (host: number) => `127.0.0.${host}:${farm.port}`
const API = '/api/v1/upstreams/chat/servers'

function machine(redis: number): Promise<AdminSite> {
  return AdminSite.start(
    (port, adminPort) => `
      store redis://127.0.0.1:${redis}; store_timeout 1s;
      admin 127.0.0.1:${adminPort};
      upstream chat { hash $arg_u consistent; server ${address(1)}; upstream_from_store chat; }
      server { listen 127.0.0.1:${port}; keepalive_requests 1000000; location / { proxy_pass http://chat; } }`,
  )
}

/** Which server each of these users reaches. */
async function owners({ port }: { readonly port: number }, count = 120): Promise<string[]> {
  const client = new HttpClient(port)
  const found: string[] = []
  for (let i = 0; i < count; i++) found.push((await client.get(`/?u=${i}`)).body)
  client.close()
  return found
}

async function until(site: AdminSite, hosts: readonly number[], ms = 5_000): Promise<number> {
  const started = Date.now()
  const wanted = hosts.map(address).join(' ')
  for (;;) {
    const [group] = await site.control.upstreams()
    const seen = group!.peers.map((peer) => peer.address).join(' ')
    if (seen === wanted) return Date.now() - started
    if (Date.now() - started > ms) throw new Error(`${seen}, not ${wanted}\n${site.log.join('\n')}`)
    await new Promise((next) => setTimeout(next, 5))
  }
}

test('two machines, one list', async () => {
  const redis = await RedisServer.start()
  const one = await machine(redis.port)
  const two = await machine(redis.port)
  assert.equal(new Set(await owners(one)), new Set(['127.0.0.1']))

  for (let host = 2; host <= 10; host++)
    assert.is((await one.post(API, { server: address(host) })).status, 201)
  const ten = HOSTS.slice(0, 10).map((_, i) => i + 1)
  await until(one, ten)
  await until(two, ten)
  const before = await owners(one)
  assert.equal(await owners(two), before)

  const loads = [new Load(one.port, 4, '/?u=1'), new Load(two.port, 4, '/?u=2')]
  assert.is((await two.post(API, { server: address(11) })).status, 201)
  const took = await until(one, [...ten, 11], 1_000)
  assert.ok(took < 1_000)
  const after = await owners(one)
  const moved = after.filter((host, i) => host !== before[i])
  assert.ok(moved.length > 0 && moved.length < 36, `${moved.length} of 120 moved`)
  assert.ok(moved.every((host) => host === '127.0.0.11'))
  assert.equal(await owners(two), after)

  assert.is((await one.ask('DELETE', `${API}/${address(11)}`)).status, 204)
  await until(two, ten, 1_000)
  assert.equal(await owners(two), before)

  await redis.stop()
  const away = await one.post(API, { server: address(11) })
  assert.is(away.status, 507)
  assert.match(away.json.detail, 'the list "chat" cannot be kept')
  assert.equal(await owners(one), before)
  assert.equal(await owners(two), before)

  await redis.start()
  const patched = async () => (await two.patch(`${API}/${address(3)}`, { down: true })).status
  const deadline = Date.now() + 10_000
  while ((await patched()) !== 200) assert.ok(Date.now() < deadline, two.log.join('\n'))
  for (;;) {
    const [group] = await one.control.upstreams()
    if (group!.peers.find((peer) => peer.address === address(3))!.down) break
    assert.ok(Date.now() < deadline, one.log.join('\n'))
    await new Promise((next) => setTimeout(next, 10))
  }
  for (const load of loads) {
    await load.stop()
    assert.equal(load.failures, [])
    assert.ok(load.requests > 100)
  }
  for (const site of [one, two]) await site.close()
  await redis.stop()
})

test('a list that is written to Redis by hand is taken over; one that is broken is not', async () => {
  const redis = await RedisServer.start()
  const site = await machine(redis.port)
  const key = 'sluice:m:upstreams{}chat'
  redisCli(redis.port, 'SET', key, `j[{"server":"${address(2)}"},{"server":"${address(3)}"}]`)
  await until(site, [2, 3], 1_000)
  redisCli(redis.port, 'SET', key, 'j[{"server":"unix:/run/docker.sock"}]')
  while (!site.log.some((line) => line.includes('a unix socket cannot be in a list'))) await owners(site, 1)
  await until(site, [2, 3])
  await site.close()
  await redis.stop()
})

test('a machine that starts while Redis is away serves by its block, until there is a list', async () => {
  const port = await freePort()
  const site = await machine(port)
  assert.equal(new Set(await owners(site, 10)), new Set(['127.0.0.1']))
  const redis = await RedisServer.start([], port)
  const key = 'sluice:m:upstreams{}chat'
  redisCli(redis.port, 'SET', key, `j[{"server":"${address(2)}"}]`)
  await until(site, [2], 15_000)
  assert.equal(new Set(await owners(site, 10)), new Set(['127.0.0.2']))
  await site.close()
  await redis.stop()
})

test('workers of one machine share a list in memory; a worker that is replaced has it too', async () => {
  const adminPort = await freePort()
  const crew = await Crew.start(
    2,
    'location / { proxy_pass http://chat; }',
    {},
    `admin 127.0.0.1:${adminPort}; store_timeout 5s;
     upstream chat { hash $arg_u consistent; server ${address(1)}; upstream_from_store chat; }`,
  )
  const load = new Load(crew.port, 4, '/?u=1')
  for (const host of [2, 3]) {
    const added = await ask(adminPort, 'POST', API, {
      body: JSON.stringify({ server: address(host) }),
      headers: { 'content-type': 'application/json' },
    })
    assert.is(added.status, 201, added.text)
  }
  const users = [...Array(12).keys()]
  const each = async (u: number) => new Set(await crew.ofEach(`/?u=${u}`, 2))
  const found = new Set<string>()
  for (const u of users) {
    const seen = await each(u)
    assert.is(seen.size, 1, `user ${u}: ${[...seen]}`)
    for (const host of seen) found.add(host)
  }
  assert.ok(found.size > 1)
  await load.stop()
  assert.equal(load.failures, [])
  const [victim] = await crew.pids(2)
  process.kill(victim!, 'SIGKILL')
  await crew.sluice.waitForLog(/worker process \d+ .*exited/)
  for (const u of users) assert.is((await each(u)).size, 1)
  assert.is(await crew.sluice.stop(), 0)
})

test.run()
