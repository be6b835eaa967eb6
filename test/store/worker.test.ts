import { setTimeout as pause } from 'node:timers/promises'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Channel, type Wire } from '../../runtime/lib/channel.ts'
import { MemoryStore } from '../../runtime/store/memory-store.ts'
import { StoreError } from '../../runtime/store/store.ts'
import { serveStore, WorkerStore } from '../../runtime/store/worker-store.ts'
import { testContract } from './contract.ts'

function wireOf(port: MessagePort): Wire {
  return {
    send: (message) => port.postMessage(message),
    onMessage: (listener) => void port.on('message', listener),
    onClose: (listener) => void port.on('close', listener),
  }
}

const ports: MessagePort[] = []
const servers = new WeakMap<WorkerStore, MemoryStore>()

function view(memory: MemoryStore): { store: WorkerStore; cut: () => void } {
  const { port1, port2 } = new MessageChannel()
  serveStore(new Channel(wireOf(port1)), memory)
  const store = new WorkerStore(new Channel(wireOf(port2)), 1000)
  ports.push(port1)
  servers.set(store, memory)
  return { store, cut: () => port1.close() }
}

testContract('worker', {
  open: async () => view(new MemoryStore({ size: 64 * 1024 * 1024 })).store,
  beside: async (store) => view(servers.get(store as WorkerStore)!).store,
  pass: (ms) => pause(ms),
})

test('what was read once is known at once, until somebody else changes it', async () => {
  const memory = new MemoryStore({ size: 1024 * 1024 })
  const [here, there] = [view(memory).store, view(memory).store]
  const first = new Promise((done) => here.onInvalidation(done))
  await there.set('users', 'ann', '"app1"', Infinity)
  await first
  await here.get('users', 'ann')
  assert.is(here.peek('users', 'ann')?.value, '"app1"')
  const told = new Promise((done) => here.onInvalidation(done))
  await there.set('users', 'ann', '"app2"', Infinity)
  await told
  assert.is(here.peek('users', 'ann'), undefined)
})

test('what a worker writes itself is known to it from then on, to the others not', async () => {
  const memory = new MemoryStore({ size: 1024 * 1024 })
  const [here, there] = [view(memory).store, view(memory).store]
  const known = (store = here) => store.peek('users', 'ann')?.value
  await here.set('users', 'ann', '"app1"', 60_000)
  assert.is(known(), '"app1"')
  await there.get('users', 'ann')
  await here.touch('users', 'ann', 120_000)
  assert.is(known(), '"app1"')
  assert.ok(here.peek('users', 'ann')!.expires > Date.now() + 100_000)
  await here.compareAndSet('users', 'ann', '"app1"', '"app2"', 60_000)
  assert.is(known(), '"app2"')
  await there.size('users')
  assert.is(known(there), undefined)
  await there.add('users', 'ann', '"app3"', 60_000)
  assert.is(known(there), '"app2"')
  await here.delete('users', 'ann')
  assert.is(known(), undefined)
  await here.add('users', 'ann', '"app3"', 60_000)
  assert.is(known(), '"app3"')
})

test('of writes at the same time a worker knows the last, or nothing', async () => {
  const memory = new MemoryStore({ size: 1024 * 1024 })
  const [here, there] = [view(memory).store, view(memory).store]
  for (let i = 0; i < 50; i++) {
    await Promise.all([
      here.set('users', 'ann', `"here ${i}"`, 60_000),
      there.set('users', 'ann', `"there ${i}"`, 60_000),
      here.get('users', 'ann'),
      here.set('users', 'ann', `"again ${i}"`, 60_000),
    ])
    await here.size('users')
    const last = memory.peek('users', 'ann')!.value
    for (const store of [here, there])
      assert.ok([undefined, last].includes(store.peek('users', 'ann')?.value))
  }
})

test('a supervisor that has gone is an error at once', async () => {
  const { store, cut } = view(new MemoryStore({ size: 1024 * 1024 }))
  await store.set('users', 'ann', '1', Infinity)
  const under = store.get('users', 'bob').catch((error) => error)
  cut()
  for (const failure of [await under, await store.get('users', 'ann').catch((error) => error)])
    assert.ok(failure instanceof StoreError && failure.code === 'unavailable', String(failure))
})

test.after(() => {
  for (const port of ports) port.close()
})

test.run()
