import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RedisStore, type RedisStoreOptions } from '../../runtime/store/redis-store.ts'
import { StoreError } from '../../runtime/store/store.ts'
import { freePort } from '../lib/ports.ts'
import { RedisServer, startCluster, startSentinel } from '../lib/redis.ts'
import { testContract } from './contract.ts'

const lines: string[] = []
let prefixes = 0

function optionsFor(port: number, more: Partial<RedisStoreOptions> = {}): RedisStoreOptions {
  return {
    addresses: [{ host: '127.0.0.1', port }],
    mode: 'single',
    database: 0,
    tls: null,
    prefix: `t${++prefixes}:`,
    timeout: 5000,
    log: (level, message) => lines.push(`${level} ${message}`),
    ...more,
  }
}

const made = new WeakMap<RedisStore, RedisStoreOptions>()

async function open(options: RedisStoreOptions): Promise<RedisStore> {
  const store = new RedisStore(options)
  made.set(store, options)
  await store.ready(10_000)
  return store
}

const single = await RedisServer.start()
const cluster = await startCluster()

function clusterOptions(): RedisStoreOptions {
  return optionsFor(0, {
    addresses: cluster.map(({ port }) => ({ host: '127.0.0.1', port })),
    mode: 'cluster',
  })
}

testContract('redis', {
  open: () => open(optionsFor(single.port)),
  beside: (store) => open(made.get(store as RedisStore)!),
  pass: (ms) => pause(ms),
})

testContract('redis cluster', {
  open: () => open(clusterOptions()),
  beside: (store) => open(made.get(store as RedisStore)!),
  pass: (ms) => pause(ms),
})

/** Calls until the store answers; fails when it does not within 10 s. */
async function answers(store: RedisStore): Promise<void> {
  const end = Date.now() + 10_000
  for (;;) {
    try {
      await store.set('probe', 'probe', '1', 60_000)
      return
    } catch (error) {
      if (Date.now() > end) throw error
      await pause(20)
    }
  }
}

/** Makes a change and waits until its news has reached these stores: until it has, they may have to ask again. */
async function change(stores: readonly RedisStore[], make: () => unknown): Promise<void> {
  const heard = stores.map(
    (store) =>
      new Promise<void>((done) => {
        const stop = store.onInvalidation(() => {
          stop()
          done()
        })
      }),
  )
  await make()
  await Promise.all(heard)
}

async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call
  } catch (error) {
    if (error instanceof StoreError) return error.code
    throw error
  }
  return 'none'
}

test('what was read once is known at once, until somebody else changes it', async () => {
  const options = optionsFor(single.port)
  const [here, there] = [await open(options), await open(options)]
  await change([here], () => there.set('users', 'ann', '"app1"', 60_000))
  assert.is(here.peek('users', 'ann'), undefined)
  await here.get('users', 'ann')
  assert.is(here.peek('users', 'ann')?.value, '"app1"')
  await change([here], () => there.set('users', 'ann', '"app2"', 60_000))
  assert.is(here.peek('users', 'ann'), undefined)
  await Promise.all([here.close(), there.close()])
})

/** What a store knows after each of its own writes. */
async function ownWrites(store: RedisStore): Promise<void> {
  const known = () => store.peek('users', 'ann')?.value
  await store.set('users', 'ann', '"app1"', 60_000)
  assert.is(known(), '"app1"')
  await store.touch('users', 'ann', 120_000)
  assert.is(known(), '"app1"')
  assert.ok(store.peek('users', 'ann')!.expires > Date.now() + 100_000)
  await store.compareAndSet('users', 'ann', '"app1"', '"app2"', 60_000)
  while (known() !== '"app2"') await pause(1)
  await store.delete('users', 'ann')
  assert.is(known(), undefined)
  await store.add('users', 'ann', '"app3"', 60_000)
  assert.is(known(), '"app3"')
  await store.add('users', 'ann', '"app4"', 60_000)
  assert.is(known(), '"app3"')
  await store.delete('users', 'ann')
  await store.compareAndSet('users', 'ann', null, '"app5"', Infinity)
  assert.is(known(), '"app5"')
  // Nothing comes later that would have it forgotten.
  await store.get('users', 'somebody else')
  await pause(20)
  assert.is(known(), '"app5"')
}

test('what a process writes itself is known to it from then on', async () => {
  const store = await open(optionsFor(single.port))
  await ownWrites(store)
  await store.close()
})

test('the same where those who write tell of it', async () => {
  const store = await open(clusterOptions())
  await ownWrites(store)
  await store.close()
})

test('of two writes of one process at the same time, the near cache has the last or none', async () => {
  const store = await open(optionsFor(single.port))
  for (let i = 0; i < 50; i++) {
    await Promise.all([
      store.set('users', 'ann', '"first"', 60_000),
      store.get('users', 'ann'),
      store.set('users', 'ann', '"second"', 60_000),
      store.compareAndSet('users', 'ann', '"second"', '"third"', 60_000),
    ])
    assert.ok([undefined, '"third"'].includes(store.peek('users', 'ann')?.value as string))
  }
  await store.close()
})

test('a write that failed leaves no answer, but a last word', async () => {
  const server = await RedisServer.start()
  const store = await open(optionsFor(server.port, { timeout: 100 }))
  await store.set('users', 'ann', '"app1"', 60_000)
  server.pause()
  assert.is(await failure(store.set('users', 'ann', '"app2"', 60_000)), 'timeout')
  // It may be done yet.
  assert.is(store.peek('users', 'ann'), undefined)
  assert.is(store.last('users', 'ann')?.value, '"app1"')
  server.resume()
  await answers(store)
  assert.is((await store.get('users', 'ann'))?.value, '"app2"')
  await store.close()
  await server.stop()
})

test('a change by any other program is heard of as well', async () => {
  const options = optionsFor(single.port)
  const store = await open(options)
  const name = `${options.prefix}m:users{}ann`
  await change([store], () => single.command('set', name, 'j1'))
  await store.get('users', 'ann')
  assert.is(store.peek('users', 'ann')?.value, '1')
  await change([store], () => single.command('del', name))
  assert.is(store.peek('users', 'ann'), undefined)
  assert.is(await store.get('users', 'ann'), null)
  await store.close()
})

test('a server that was stopped in the middle is met with errors at once, and used again when it is back', async () => {
  const server = await RedisServer.start()
  const store = await open(optionsFor(server.port, { timeout: 50 }))
  await store.set('users', 'ann', '"app1"', 60_000)
  lines.length = 0
  await server.stop()
  const started = performance.now()
  for (let i = 0; i < 50; i++) assert.is(await failure(store.get('users', 'bob')), 'unavailable')
  assert.ok(performance.now() - started < 1000, 'nobody waits for a server that is gone')
  assert.is(store.stats.breaker, 'open')
  // Doubtful: no answer any more, but the last word there is.
  assert.is(store.peek('users', 'ann'), undefined)
  assert.is(store.last('users', 'ann')?.value, '"app1"')
  await server.start()
  await answers(store)
  assert.is(store.stats.breaker, 'closed')
  const name = `redis 127.0.0.1:${server.port}`
  assert.is(lines.length, 2, lines.join('\n'))
  // What the client says of itself is no reason.
  assert.match(
    lines[0],
    new RegExp(`^error store: ${name} is given a rest after 5 failures \\(not connected`),
  )
  assert.is(lines[1], `error store: ${name} answers again`)
  await store.close()
  await server.stop()
})

test('a server that holds its connections and says nothing costs each call its deadline, then nothing', async () => {
  const server = await RedisServer.start()
  const store = await open(optionsFor(server.port, { timeout: 50 }))
  await store.set('users', 'ann', '1', 60_000)
  server.pause()
  for (let i = 0; i < 5; i++) assert.is(await failure(store.get('users', 'bob')), 'timeout')
  assert.is(await failure(store.get('users', 'bob')), 'unavailable')
  assert.is(store.stats.timeouts, 5)
  server.resume()
  await answers(store)
  assert.is((await store.get('users', 'ann'))?.value, '1')
  await store.close()
  await server.stop()
})

test('a full server says so, loses nothing, and is not given up', async () => {
  const server = await RedisServer.start(['--maxmemory', '3mb', '--maxmemory-policy', 'noeviction'])
  const store = await open(optionsFor(server.port))
  lines.length = 0
  await store.set('users', 'ann', '1', 60_000)
  let code = 'none'
  for (let i = 0; i < 200 && code === 'none'; i++)
    code = await failure(store.set('users', `filler ${i}`, 'x'.repeat(100_000), 60_000))
  assert.is(code, 'full')
  assert.is((await store.get('users', 'ann'))?.value, '1')
  assert.is(store.stats.breaker, 'closed')
  server.command('config', 'set', 'maxmemory', '1')
  assert.is(await failure(store.set('users', 'bob', 'x'.repeat(100_000), 60_000)), 'full')
  assert.is(await failure(store.take('limit', 'bob', 1, 1, 1)), 'full')
  server.command('config', 'set', 'maxmemory', '0')
  for (const end = Date.now() + 5000; lines.length < 2 && Date.now() < end; await pause(50))
    await store.set('users', 'bob', '1', 60_000)
  const name = `redis 127.0.0.1:${server.port}`
  assert.equal(lines, [
    `error store: ${name} is full: nothing new is kept in it`,
    `error store: ${name} has room again`,
  ])
  await store.close()
  await server.stop()
})

test('a password is needed and given', async () => {
  const server = await RedisServer.start(['--requirepass', 'secret'])
  const store = await open(optionsFor(server.port, { password: 'secret' }))
  await store.set('users', 'ann', '1', 60_000)
  assert.is((await store.get('users', 'ann'))?.value, '1')
  await store.close()
  await server.stop()
})

/** What a store says that cannot be talked to: when it is waited for, by its calls, and in the log. */
async function refusals(port: number, more: Partial<RedisStoreOptions>): Promise<string> {
  const store = new RedisStore(optionsFor(port, { timeout: 500, ...more }))
  lines.length = 0
  const told = [await messageOf(store.ready(300))]
  for (let i = 0; i < 6; i++) told.push(await messageOf(store.get('users', 'ann')))
  await store.close()
  const all = [...told, ...lines].join('\n')
  assert.is(lines.length, 1, all)
  assert.not.match(all, /writeable|secret-of-mine/)
  return all
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return (error as Error).message
  }
  return 'it was done'
}

test('a wrong password, user or database, and a server that is not there, are named by all who meet them', async () => {
  const server = await RedisServer.start(['--requirepass', 'secret'])
  const name = `redis 127.0.0.1:${server.port}`
  const everywhere = (reason: string) => {
    const message = `${name}: not connected: ${reason}`
    const rest = `error store: ${name} is given a rest after 5 failures (not connected: ${reason})`
    return [`${name}: ${reason}`, ...Array(5).fill(message), `${name} is away (${reason})`, rest].join('\n')
  }
  const wrong = 'WRONGPASS invalid username-password pair or user is disabled.'
  assert.is(await refusals(server.port, { password: 'secret-of-mine' }), everywhere(wrong))
  assert.is(await refusals(server.port, { username: 'ann', password: 'secret' }), everywhere(wrong))
  assert.is(await refusals(server.port, {}), everywhere('NOAUTH Authentication required.'))
  const beyond = everywhere('ERR DB index is out of range')
  assert.is(await refusals(server.port, { password: 'secret', database: 999 }), beyond)
  await server.stop()
  assert.is(await refusals(server.port, {}), everywhere(`connect ECONNREFUSED 127.0.0.1:${server.port}`))
})

test('a cluster whose nodes are not there, or want a password, says so', async () => {
  const port = await freePort()
  const all = await refusals(port, { mode: 'cluster' })
  assert.match(all, new RegExp(`is away \\(cannot connect to 127.0.0.1:${port}\\)`))
  const server = await RedisServer.start(['--requirepass', 'secret'])
  assert.match(
    await refusals(server.port, { mode: 'cluster' }),
    /is away \(NOAUTH Authentication required\.\)/,
  )
  await server.stop()
})

test('of several processes of a machine one tells of an outage for those who only look at errors', async () => {
  const store = new RedisStore(optionsFor(await freePort(), { discreet: true }))
  lines.length = 0
  for (let i = 0; i < 6; i++) await messageOf(store.get('users', 'ann'))
  await store.close()
  assert.is(lines.length, 1)
  assert.match(lines[0], /^info store: redis .* is given a rest/)
})

test('what is no entry, and what is no number, are told apart', async () => {
  const options = optionsFor(single.port)
  const store = await open(options)
  single.command('lpush', `${options.prefix}m:users{}list`, 'x')
  assert.is(await messageOf(store.get('users', 'list')), 'the key holds another kind of Redis value')
  assert.is(
    await messageOf(store.incr('users', 'list', 1, 60_000)),
    'the key holds another kind of Redis value',
  )
  await store.set('users', 'ann', '"app1"', 60_000)
  const noNumber = 'the value is no number: incr adds to numbers only'
  assert.is(await messageOf(store.incr('users', 'ann', 1, 60_000)), noNumber)
  await store.close()
})

test('when tracking is forbidden those who write tell of it', async () => {
  const server = await RedisServer.start()
  server.command('acl', 'setuser', 'default', '-client|tracking')
  const options = optionsFor(server.port)
  const [here, there] = [await open(options), await open(options)]
  await change([here], () => there.set('users', 'ann', '1', 60_000))
  assert.is(there.peek('users', 'ann')?.value, '1')
  await here.get('users', 'ann')
  assert.is(here.peek('users', 'ann')?.value, '1')
  await change([here], () => there.delete('users', 'ann'))
  assert.is(here.peek('users', 'ann'), undefined)
  await Promise.all([here.close(), there.close()])
  await server.stop()
})

test('a sentinel names the new master when the old one has died', async () => {
  const sentinel = await startSentinel()
  const options = optionsFor(sentinel.port, { mode: 'sentinel', sentinel: 'main', timeout: 200 })
  const store = await open(options)
  await store.set('users', 'ann', '"app1"', 60_000)
  while (sentinel.replica.command('exists', `${options.prefix}m:users{}ann`) !== '1') await pause(5)
  await sentinel.master.stop()
  await answers(store)
  assert.is((await store.get('users', 'ann'))?.value, '"app1"')
  assert.match(sentinel.replica.command('role'), /^master/)
  await store.close()
  await sentinel.stop()
})

test('the nodes of a cluster share the keys, whatever braces a client puts in them', async () => {
  const options = clusterOptions()
  const store = await open(options)
  for (let i = 0; i < 60; i++) await store.set('users', `{same}${i}`, '1', 60_000)
  const counts = cluster.map(
    (node) => node.command('--scan', '--pattern', `${options.prefix}*`).split('\n').filter(Boolean).length,
  )
  assert.is(counts[0] + counts[1] + counts[2], 60)
  assert.ok(
    counts.every((count) => count > 0),
    counts.join(),
  )
  await store.close()
})

test.after(async () => {
  await Promise.all([single, ...cluster].map((server) => server.stop()))
})

test.run()
