// Session maps in running proxies with a real Redis: by `sticky map=`, and by a script. Two machines agree on every user,
// also while a peer goes; and nobody is refused, or waits, when the store is stopped, paused, slow, full or started again.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { type SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, type RecordingUpstream, recordingUpstream } from '../lib/recording-upstream.ts'
import { RedisServer, startCluster, startSentinel } from '../lib/redis.ts'

const STORE_TIMEOUT = 250
/** ms that the machine may be busy with something else. */
const MARGIN = 750
/** ms of `store_timeout` where nothing is away, and no answer may be made up. */
const PATIENCE = 5000
const SCRIPT = `import { map } from 'sluice:store'
const users = map('users')
export async function balancer(r, u) {
  const key = r.variables.arg_u
  const name = await users.getOrSet(key, () => u.leastConn().name)
  const peer = u.peers.find((each) => each.name === name)
  if (peer !== undefined && !peer.down && peer.fails === 0) return peer
  const next = u.leastConn()
  return next === null ? null : await users.replace(key, name, next.name)
}`

const CONNECTED = `import { map } from 'sluice:store'
export async function content(r) {
  try { await map('users').delete('warm'); r.return(200, 'yes') } catch (error) { r.return(200, error.message) }
}`

/** Three applications that name themselves, and Sluices in front of them. */
class Site {
  readonly apps: RecordingUpstream[] = []
  readonly machines: { port: number; sluice: SluiceProcess }[] = []

  static async start(
    store: string,
    machines = 1,
    map = 'on_error=hash',
    timeout = STORE_TIMEOUT,
  ): Promise<Site> {
    const site = new Site()
    for (const name of ['a', 'b', 'c']) site.apps.push(await recordingUpstream(() => ok(name)))
    const servers = site.apps
      .map(({ address }) => `server ${address} max_fails=1 fail_timeout=60s;`)
      .join(' ')
    for (let i = 0; i < machines; i++) {
      const port = await freePort()
      const sluice = await startSluice(
        `store ${store};
        store_timeout ${timeout}ms;
        session_map users ttl=1h ${map};
        upstream sticky { ${servers} sticky map=users key=$arg_u; }
        upstream scripted { ${servers} script users.js; }
        server {
          listen 127.0.0.1:${port};
          location /connected { script connected.js; }
          location /sticky { proxy_pass http://sticky; }
          location /script { proxy_pass http://scripted; }
        }`,
        { 'users.js': SCRIPT, 'connected.js': CONNECTED },
      )
      site.machines.push({ port, sluice })
      if (store !== 'memory') await connected(port)
    }
    return site
  }

  async stop(): Promise<void> {
    for (const { sluice } of this.machines) await sluice.stop()
    for (const app of this.apps) await app.close()
  }
}

/** Requests of many users, some at a time; every one ends before its time is over, and none is refused. */
async function visit(
  port: number,
  path: string,
  users: readonly string[],
  width = 16,
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const left = [...users]
  const worker = async () => {
    const client = new HttpClient(port)
    for (let user = left.shift(); user !== undefined; user = left.shift()) {
      // The request comes before the timer that begins with it.
      const timer = new Promise<null>((late) => setTimeout(late, STORE_TIMEOUT + MARGIN, null).unref())
      const answer = await Promise.race([client.get(`${path}?u=${user}`), timer])
      assert.ok(answer !== null, `${user} waited for more than ${STORE_TIMEOUT + MARGIN} ms`)
      assert.is(answer!.status, 200, `${user} was refused`)
      found.set(user, answer!.body)
    }
    client.close()
  }
  await Promise.all(Array.from({ length: width }, worker))
  return found
}

/** Sluice serves before it has reached the store; a script tells. */
async function connected(port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const client = new HttpClient(port)
    const { body } = await client.get('/connected')
    client.close()
    if (body === 'yes') return
    assert.ok(tries < 500, body)
    await new Promise((next) => setTimeout(next, 10))
  }
}

const names = (count: number, prefix = 'u') => Array.from({ length: count }, (_, i) => `${prefix}${i}`)
const spread = (found: ReadonlyMap<string, string>) => [...new Set(found.values())].sort()

/** What differs between two. */
function moved(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...before].filter(([user, app]) => after.get(user) !== app).map(([user]) => user)
}

test('two machines on one Redis send 1000 users the same way, by sticky and by script, also while a peer goes', async () => {
  const redis = await RedisServer.start()
  const site = await Site.start(`redis://127.0.0.1:${redis.port}/0`, 2, 'on_error=closed', PATIENCE)
  const [one, two] = site.machines.map(({ port }) => port) as [number, number]
  const users = names(1000)
  // Both at the same time: whoever is quicker decides for both.
  const [first, second] = await Promise.all([
    visit(one, '/sticky', users),
    visit(two, '/script', users.toReversed()),
  ])
  assert.equal(spread(first), ['a', 'b', 'c'])
  assert.equal(moved(first, second), [])
  assert.equal(moved(first, await visit(two, '/sticky', users)), [])
  assert.equal(moved(first, await visit(one, '/script', users)), [])

  await site.apps[0]!.close()
  const [third, fourth] = await Promise.all([
    visit(one, '/sticky', users),
    visit(two, '/script', users.toReversed()),
  ])
  assert.equal(spread(third), ['b', 'c'])
  // Those of the peer that has gone move, once and for both; nobody else does.
  const ofGone = users.filter((user) => first.get(user) === 'a')
  assert.equal(moved(first, third).sort(), ofGone.toSorted())
  assert.equal(moved(await visit(one, '/sticky', users), await visit(two, '/sticky', users)), [])
  assert.equal(moved(third, fourth), [])
  await site.stop()
  await redis.stop()
})

test('a user whose key is known here costs Redis nothing', async () => {
  const redis = await RedisServer.start()
  const site = await Site.start(`redis://127.0.0.1:${redis.port}/0`, 1, 'on_error=closed', PATIENCE)
  const [{ port }] = site.machines as [Site['machines'][number]]
  const calls = () => Number(/total_commands_processed:(\d+)/.exec(redis.command('info', 'stats'))![1])
  const first = await visit(port, '/sticky', names(50))
  // Redis tells of the first write as well.
  assert.equal(moved(first, await visit(port, '/sticky', names(50))), [])
  const before = calls()
  for (const path of ['/sticky', '/script', '/sticky'])
    assert.equal(moved(first, await visit(port, path, names(50))), [])
  assert.is(calls() - before, 1)
  await site.stop()
  await redis.stop()
})

test('an empty key binds to nothing, and a long or strange one to one peer', async () => {
  const site = await Site.start('memory')
  const [{ port }] = site.machines as [Site['machines'][number]]
  const empty = new Set<string>()
  for (let i = 0; i < 6; i++) for (const app of (await visit(port, '/sticky', [''])).values()) empty.add(app)
  assert.equal([...empty].sort(), ['a', 'b', 'c'])
  const strange = ['x'.repeat(5000), '%22%5C%00', '%C3%BC%E6%97%A5', '%FF%FE', '__proto__']
  const first = await visit(port, '/sticky', strange)
  for (let i = 0; i < 3; i++) assert.equal(moved(first, await visit(port, '/sticky', strange)), [])
  await site.stop()
})

for (const path of ['/sticky', '/script']) {
  test(`${path}: Redis is paused, goes on, is stopped and started again under load: nobody is refused, nobody waits`, async () => {
    const redis = await RedisServer.start()
    const site = await Site.start(`redis://127.0.0.1:${redis.port}/0`)
    const [{ port, sluice }] = site.machines as [Site['machines'][number]]
    const known = await visit(port, path, names(100))
    redis.pause()
    await visit(port, path, names(200, 'paused'))
    await sluice.waitForLog(/store: redis .* is given a rest/)
    redis.resume()
    await sluice.waitForLog(/store: redis .* answers again/, 0, 15_000)
    // Nothing was lost.
    assert.equal(moved(known, await visit(port, path, names(100))), [])

    const mark = sluice.errorLog().length
    const load = visit(port, path, names(2000, 'stopped'))
    await redis.stop()
    const during = await load
    // The hash answers, and always the same.
    const hashed = await visit(port, path, names(200, 'hashed'))
    assert.equal(moved(hashed, await visit(port, path, names(200, 'hashed'))), [])
    assert.equal(spread(during), ['a', 'b', 'c'])
    await redis.start()
    await sluice.waitForLog(/answers again/, mark, 15_000)
    // What was answered meanwhile is written down.
    const written = () => redis.command('keys', 'sluice:m:users{}hashed*').split('\n').length
    for (let tries = 0; written() < 200; tries++) {
      assert.ok(tries < 500, 'not written down')
      await new Promise((next) => setTimeout(next, 20))
    }
    assert.equal(moved(hashed, await visit(port, path, names(200, 'hashed'))), [])
    // Said once per change of state.
    assert.is(
      sluice
        .errorLog()
        .slice(mark)
        .match(/is given a rest/g)!.length,
      1,
    )
    await site.stop()
    await redis.stop()
  })
}

/** Passes bytes on to a port, each piece so many ms later. */
async function slowWay(to: number): Promise<{ port: number; delay: number; close(): void }> {
  const sockets = new Set<Socket>()
  const way = { port: 0, delay: 0, close: (): void => undefined }
  const pass = (from: Socket, other: Socket) => {
    sockets.add(from)
    from.on('data', (chunk) => setTimeout(() => other.writable && other.write(chunk), way.delay))
    from.on('error', () => undefined).on('close', () => other.destroy())
  }
  const server = createServer((socket) => {
    const other = connect(to, '127.0.0.1')
    pass(socket, other)
    pass(other, socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  way.port = (server.address() as { port: number }).port
  way.close = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return way
}

test('Redis is slow: within store_timeout it is waited for, beyond it is not', async () => {
  const redis = await RedisServer.start()
  const way = await slowWay(redis.port)
  const site = await Site.start(`redis://127.0.0.1:${way.port}/0`)
  const [{ port, sluice }] = site.machines as [Site['machines'][number]]
  way.delay = 5
  await visit(port, '/sticky', names(50))
  assert.is(redis.command('dbsize'), '50')
  way.delay = 400
  await visit(port, '/sticky', names(50, 'slow'))
  await visit(port, '/script', names(50, 'slower'))
  await sluice.waitForLog(/is given a rest/)
  await site.stop()
  way.close()
  await redis.stop()
})

test('Redis is full: users are hashed, those who are known stay', async () => {
  const redis = await RedisServer.start(['--maxmemory-policy', 'noeviction'])
  const site = await Site.start(`redis://127.0.0.1:${redis.port}/0`)
  const [{ port }] = site.machines as [Site['machines'][number]]
  const known = await visit(port, '/sticky', names(50))
  redis.command('config', 'set', 'maxmemory', '1')
  for (const path of ['/sticky', '/script']) {
    const found = await visit(port, path, names(50, 'full'))
    assert.equal(moved(found, await visit(port, path, names(50, 'full'))), [])
    assert.equal(moved(known, await visit(port, path, names(50))), [])
  }
  await site.stop()
  await redis.stop()
})

test('on_error=closed: while the store is away requests are refused, and only then', async () => {
  const redis = await RedisServer.start()
  const site = await Site.start(`redis://127.0.0.1:${redis.port}/0`, 1, 'on_error=closed')
  const [{ port, sluice }] = site.machines as [Site['machines'][number]]
  await visit(port, '/sticky', ['ann'])
  await redis.stop()
  // A connection ends with such an answer.
  const statusOf = async (path: string) => {
    const client = new HttpClient(port)
    const { status } = await client.get(path)
    client.close()
    return status
  }
  assert.is(await statusOf('/sticky?u=fresh'), 500)
  assert.is(await statusOf('/script?u=fresh'), 500)
  await sluice.waitForLog(/sticky map "users": redis/)
  await redis.start()
  for (let tries = 0; (await statusOf('/sticky?u=fresh')) !== 200; tries++) {
    assert.ok(tries < 200)
    await new Promise((next) => setTimeout(next, 50))
  }
  await site.stop()
  await redis.stop()
})

test('on_error=stale: users stay where they were, new ones stay where they are first sent', async () => {
  const redis = await RedisServer.start()
  const site = await Site.start(`redis://127.0.0.1:${redis.port}/0`, 1, 'on_error=stale')
  const [{ port }] = site.machines as [Site['machines'][number]]
  const known = await visit(port, '/sticky', names(200))
  assert.equal(moved(known, await visit(port, '/sticky', names(200))), [])
  await redis.stop()
  for (const path of ['/sticky', '/script']) {
    assert.equal(moved(known, await visit(port, path, names(200))), [])
    const fresh = await visit(port, path, names(100, `fresh${path.length}`))
    assert.equal(moved(fresh, await visit(port, path, names(100, `fresh${path.length}`))), [])
  }
  await site.stop()
})

/** A node's second port is its first one and 10000: it may be taken. */
async function cluster(): Promise<RedisServer[]> {
  for (let tries = 0; ; tries++) {
    try {
      return await startCluster()
    } catch (error) {
      if (tries === 3 || !(error as Error).message.includes('Address already in use')) throw error
    }
  }
}

test('a cluster of three: users spread over its nodes, and one node after the other stops', async () => {
  const nodes = await cluster()
  const site = await Site.start(
    `redis://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')} cluster`,
    2,
  )
  const [one, two] = site.machines.map(({ port }) => port) as [number, number]
  const first = await visit(one, '/sticky', names(300))
  assert.equal(moved(first, await visit(two, '/script', names(300))), [])
  await nodes[0]!.stop()
  await visit(one, '/sticky', names(300, 'x'))
  await nodes[1]!.stop()
  await nodes[2]!.stop()
  await visit(two, '/script', names(300, 'y'))
  await site.stop()
})

test('the master dies and Sentinel makes another one: users stay, nobody is refused meanwhile', async () => {
  const sentinel = await startSentinel()
  const site = await Site.start(`redis://127.0.0.1:${sentinel.port} sentinel=main`)
  const [{ port, sluice }] = site.machines as [Site['machines'][number]]
  const known = await visit(port, '/sticky', names(200))
  while (sentinel.replica.command('dbsize') !== '200') await new Promise((next) => setTimeout(next, 10))
  await sentinel.master.stop()
  for (let round = 0; !/answers again/.test(sluice.errorLog()); round++) {
    assert.ok(round < 500, 'no failover')
    await visit(port, '/sticky', names(20, `during${round}-`))
    await new Promise((next) => setTimeout(next, 20))
  }
  assert.equal(moved(known, await visit(port, '/sticky', names(200))), [])
  assert.ok(Number(sentinel.replica.command('dbsize')) > 200)
  await site.stop()
  await sentinel.stop()
})

test.run()
