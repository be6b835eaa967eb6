// Session maps in running proxies while nodes of a Redis Cluster stop, and while Sentinel makes another server the master.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startCluster, startSentinel } from '../lib/redis.ts'
import { moved, names, Site, visit, written } from './site.ts'

test('a cluster of three: users spread over its nodes, and one node after the other stops', async () => {
  const nodes = await startCluster()
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
  while (written(sentinel.replica) < 200) await new Promise((next) => setTimeout(next, 10))
  await sentinel.master.stop()
  for (let round = 0; !/answers again/.test(sluice.errorLog()); round++) {
    assert.ok(round < 500, 'no failover')
    await visit(port, '/sticky', names(20, `during${round}-`))
    await new Promise((next) => setTimeout(next, 20))
  }
  assert.equal(moved(known, await visit(port, '/sticky', names(200))), [])
  assert.ok(written(sentinel.replica) > 200)
  await site.stop()
  await sentinel.stop()
})

test.run()
