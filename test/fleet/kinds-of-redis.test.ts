// A fleet that meets in a cluster, and one whose Redis fails over.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startCluster, startSentinel } from '../lib/redis.ts'
import { answering, Machine } from './machine.ts'

let machines: Machine[] = []

async function stopAll(): Promise<void> {
  await Promise.all(machines.map((machine) => machine.stop()))
  machines = []
}

test('a fleet in a cluster has all its keys in one slot', async () => {
  const nodes = await startCluster()
  try {
    const store = `redis://${nodes.map(({ port }) => `127.0.0.1:${port}`).join()} cluster`
    machines = await Promise.all(['a', 'b'].map((name) => Machine.start(name, nodes[0], { store })))
    const [a, b] = machines
    await a.sees(2)
    await a.settled((await a.push(answering('two'))).id, 'serving')
    await a.settled((await b.canary(answering('new'))).id, 'serving')
    assert.equal([await a.get('/?k=1'), await b.get('/?k=1')], ['new', 'new'])
    await a.settled((await a.fleet.promote('a.js', 'bob')).id, 'serving')
    await a.settled((await b.fleet.rollback('a.js', 'bob')).id, 'serving')
    assert.equal([await a.get(), await b.get()], ['two', 'two'])
  } finally {
    await stopAll()
    await Promise.all(nodes.map((node) => node.stop()))
  }
})

test('after a failover the machines meet at the new master', async () => {
  const sentinel = await startSentinel()
  try {
    const store = `redis://127.0.0.1:${sentinel.port} sentinel=main`
    machines = await Promise.all(['a', 'b'].map((name) => Machine.start(name, sentinel.master, { store })))
    const [a, b] = machines
    await a.sees(2)
    await a.settled((await a.push(answering('two'))).id, 'serving')
    await sentinel.master.stop()
    await a.says(/redis sentinel .* is away/)
    for (const machine of machines) await machine.sees(2)
    await a.settled((await b.push(answering('three'))).id, 'serving')
    assert.equal([await a.get(), await b.get()], ['three', 'three'])
  } finally {
    await stopAll()
    await sentinel.stop()
  }
})

test.run()
