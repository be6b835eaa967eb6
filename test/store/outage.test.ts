// Session maps in running proxies whose Redis is paused, stopped, started again, slow or full: nobody is refused, nobody
// waits, and what was answered meanwhile is written down.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HttpClient } from '../lib/raw-http.ts'
import { RedisServer } from '../lib/redis.ts'
import { moved, names, Site, spread, visit, written } from './site.ts'

/** By `sticky` and by script at the same time, each its own users. */
async function visitBoth(port: number, count: number, prefix = 'u'): Promise<Map<string, string>> {
  const [sticky, scripted] = await Promise.all([
    visit(port, '/sticky', names(count, `${prefix}-sticky`), 8),
    visit(port, '/script', names(count, `${prefix}-script`), 8),
  ])
  return new Map([...sticky, ...scripted])
}

test('Redis is paused, goes on, is stopped and started again under load: nobody is refused, nobody waits', async () => {
  const redis = await RedisServer.start()
  const site = await Site.start(`redis://127.0.0.1:${redis.port}/0`)
  const [{ port, sluice }] = site.machines as [Site['machines'][number]]
  const known = await visitBoth(port, 100)
  redis.pause()
  await visitBoth(port, 100, 'paused')
  await sluice.waitForLog(/store: redis .* is given a rest/)
  redis.resume()
  await sluice.waitForLog(/store: redis .* answers again/, 0, 15_000)
  // Nothing was lost.
  assert.equal(moved(known, await visitBoth(port, 100)), [])

  const mark = sluice.errorLog().length
  const load = visitBoth(port, 1000, 'stopped')
  await redis.stop()
  const during = await load
  // The hash answers, and always the same.
  const hashed = await visitBoth(port, 100, 'hashed')
  assert.equal(moved(hashed, await visitBoth(port, 100, 'hashed')), [])
  assert.equal(spread(during), ['a', 'b', 'c'])
  await redis.start()
  await sluice.waitForLog(/answers again/, mark, 15_000)
  // Those whose answers are not written down yet stay where they were sent.
  assert.equal(moved(hashed, await visitBoth(port, 100, 'hashed')), [])
  for (let tries = 0; written(redis, 'hashed') < 200; tries++) {
    assert.ok(tries < 500, 'not written down')
    await new Promise((next) => setTimeout(next, 20))
  }
  assert.equal(moved(hashed, await visitBoth(port, 100, 'hashed')), [])
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
  assert.is(written(redis), 50)
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
  for (let i = 0; i < 20; i++) assert.is(await statusOf(`/sticky?u=fresh${i}`), 503)
  assert.is(await statusOf('/script?u=fresh'), 500)
  await sluice.waitForLog(/sticky map "users": redis/)
  // A line a second, whoever comes.
  assert.ok(sluice.errorLog().match(/sticky map "users"/g)!.length < 5)
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

test.run()
