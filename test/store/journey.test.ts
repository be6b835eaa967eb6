// Session maps in running proxies with a real Redis: two machines agree on every user, also while a peer goes, and what is
// known costs nothing.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RedisServer } from '../lib/redis.ts'
import { moved, names, PATIENCE, Site, spread, visit } from './site.ts'

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

test('a user whose key is known here, be it by an own write, waits for nothing', async () => {
  const redis = await RedisServer.start()
  const site = await Site.start(`redis://127.0.0.1:${redis.port}/0`, 1, 'on_error=closed', PATIENCE)
  const [{ port }] = site.machines as [Site['machines'][number]]
  const first = await visit(port, '/sticky', names(50))
  const second = await visit(port, '/script', names(50, 'v'))
  redis.pause()
  for (const path of ['/sticky', '/script', '/sticky']) {
    assert.equal(moved(first, await visit(port, path, names(50))), [])
    assert.equal(moved(second, await visit(port, path, names(50, 'v'))), [])
  }
  redis.resume()
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

test.run()
