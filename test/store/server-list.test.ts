// `upstream_from_store`: a list of servers in a store, changed by many, kept while the store is away.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ServerChange } from '../../runtime/control.ts'
import { ServerChangeError } from '../../runtime/server-changes.ts'
import { MemoryStore } from '../../runtime/store/memory-store.ts'
import { StoreError } from '../../runtime/store/store.ts'
import { changeStoredServers, STORED_UPSTREAMS, StoreServers } from '../../runtime/store-servers.ts'
import { LiveGroup } from '../../runtime/upstream/live-group.ts'
import { firstServers, type ServerLine } from '../../runtime/upstream/name-source.ts'
import { KEEPALIVE_DEFAULTS, SERVER_DEFAULTS } from '../../runtime/upstream/options.ts'
import { ipAddress } from '../../runtime/upstream/resolve.ts'

/** A memory store that can be away. */
class Flaky extends MemoryStore {
  away = false

  constructor() {
    super({ size: 1024 * 1024 })
  }

  override async get(map: string, key: string) {
    if (this.away) throw new StoreError('unavailable', 'the store does not answer')
    return super.get(map, key)
  }

  put(value: unknown): Promise<void> {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return this.set(STORED_UPSTREAMS, 'chat', text, Infinity)
  }

  async text(): Promise<unknown> {
    return (await this.get(STORED_UPSTREAMS, 'chat'))?.value
  }
}

function lineOf(name: string, address: string): ServerLine {
  return { ...SERVER_DEFAULTS, name, addresses: [ipAddress(address, 80)], resolve: false, service: '' }
}

/** A group that has its servers from the store; names have no addresses. */
class Group {
  readonly log: string[] = []
  readonly live: LiveGroup
  readonly source: StoreServers
  following = 0

  constructor(store: MemoryStore, options: Partial<ConstructorParameters<typeof StoreServers>[0]> = {}) {
    const { lines = [lineOf('block', '127.0.0.1')] } = options
    const base = {
      name: 'u',
      method: 'hash consistent',
      keepalive: KEEPALIVE_DEFAULTS,
      allowEmpty: true,
    } as const
    const group = { ...base, servers: firstServers(lines) }
    this.live = new LiveGroup(group)
    const follow = () => {
      this.following++
      return { start: async () => undefined, stop: () => void this.following-- }
    }
    const log = (level: string, message: string) => void this.log.push(`${level}: ${message}`)
    this.source = new StoreServers({ store, key: 'chat', group, lines, follow, known: null, log, ...options })
  }

  static async start(
    store: MemoryStore,
    options: Partial<ConstructorParameters<typeof StoreServers>[0]> = {},
  ) {
    const one = new Group(store, options)
    await one.source.start((change) => one.live.replace(change(one.live.servers)))
    return one
  }

  get names(): string {
    return this.live.servers.map(({ name }) => name).join(' ')
  }

  change(change: ServerChange): Promise<string> {
    const addresses = change.kind === 'add' ? [ipAddress(change.server, 80)] : []
    return this.source.change(change, addresses, this.live).then(
      () => 'done',
      (error) => (error instanceof ServerChangeError ? `${error.code}: ${error.message}` : String(error)),
    )
  }
}

const servers = (...names: string[]) => names.map((server) => ({ server }))
const add = (server: string): ServerChange => ({ kind: 'add', group: 'u', server, options: {} })

test('the servers of the block serve until a list is known; then those of the list do', async () => {
  const store = new Flaky()
  const group = await Group.start(store)
  assert.is(group.names, 'block')
  await store.put(servers('10.0.0.1', '10.0.0.2'))
  await group.source.look()
  assert.is(group.names, '10.0.0.1 10.0.0.2')
  await store.put([])
  await group.source.look()
  assert.is(group.names, '')
  assert.equal(group.log, [])
  group.source.stop()
  assert.is(group.following, 0)
})

test('a list that is there already serves at once, and its changes come without being asked for', async () => {
  const store = new Flaky()
  await store.put(servers('10.0.0.1'))
  const group = await Group.start(store)
  assert.is(group.names, '10.0.0.1')
  await store.put(servers('10.0.0.2'))
  await new Promise((done) => setImmediate(done))
  assert.is(group.names, '10.0.0.2')
  group.source.stop()
  await store.put(servers('10.0.0.3'))
  await new Promise((done) => setImmediate(done))
  assert.is(group.names, '10.0.0.2')
})

test('a broken list is told once, and the last good one stays', async () => {
  const store = new Flaky()
  await store.put(servers('10.0.0.1'))
  const group = await Group.start(store)
  const broken = [{ server: '10.0.0.2', weight: 0 }]
  for (const list of [broken, broken, [{ server: '10.0.0.3' }, { server: '10.0.0.4', backup: true }]]) {
    await store.put(list)
    await group.source.look()
  }
  assert.is(group.names, '10.0.0.1')
  assert.equal(group.log, [
    'error: the list "chat" of upstream "u" cannot be used: "weight" of "10.0.0.2" is not a whole number from 1 to 1000000000; those that it has stay',
    'error: the list "chat" of upstream "u" cannot be used: upstream "u": balancing method "hash consistent" does not allow backup servers; those that it has stay',
  ])
  await store.put(servers('10.0.0.1'))
  await group.source.look()
  assert.equal(group.log.slice(2), ['notice: the list "chat" of upstream "u" can be read again'])
  group.source.stop()
})

test('a store that is away, or has lost the list, changes nothing', async () => {
  const store = new Flaky()
  await store.put(servers('10.0.0.1'))
  const group = await Group.start(store)
  store.away = true
  await group.source.look()
  await group.source.look()
  store.away = false
  await store.delete(STORED_UPSTREAMS, 'chat')
  await group.source.look()
  assert.is(group.names, '10.0.0.1')
  assert.equal(group.log, [
    'warn: the list "chat" of upstream "u" cannot be used: the store does not answer; those that it has stay',
    'warn: the list "chat" of upstream "u" cannot be used: there is none in the store any more; the last one stays',
  ])
  assert.is(await group.change(add('10.0.0.2')), 'done')
  assert.equal(await store.text(), '[{"server":"10.0.0.1"},{"server":"10.0.0.2"}]')
  group.source.stop()
})

test('a generation that comes while the store is away begins with the last list', async () => {
  const store = new Flaky()
  await store.put(servers('10.0.0.1'))
  const before = await Group.start(store)
  store.away = true
  const group = await Group.start(store, { known: before.source.known })
  assert.is(group.names, '10.0.0.1')
  before.source.stop()
  group.source.stop()
})

test('names that stay keep their addresses when the list changes', async () => {
  const store = new Flaky()
  await store.put(servers('app.test', '10.0.0.1'))
  const group = await Group.start(store)
  const known = [ipAddress('127.0.0.9', 80)]
  group.live.replace(
    group.live.servers.map((one) => (one.name === 'app.test' ? { ...one, addresses: known } : one)),
  )
  await store.put([{ server: 'app.test', weight: 3 }])
  await group.source.look()
  assert.equal(
    group.live.group.peers.map(({ address, weight }) => [address.text, weight]),
    [['127.0.0.9:80', 3]],
  )
  assert.is(group.following, 1)
  group.source.stop()
})

test('changes go into the list, and from there into the group; the block is where they begin', async () => {
  const store = new Flaky()
  const lines = [lineOf('10.0.0.1', '10.0.0.1')]
  const group = await Group.start(store, { lines })
  assert.is(await group.change(add('10.0.0.2')), 'done')
  assert.is(group.names, '10.0.0.1 10.0.0.2')
  const patch = {
    kind: 'patch',
    group: 'u',
    server: '10.0.0.2:80',
    options: { weight: 4, down: true },
  } as const
  assert.is(await group.change(patch), 'done')
  assert.is(await store.text(), '[{"server":"10.0.0.1"},{"server":"10.0.0.2","weight":4,"down":true}]')
  assert.is(await group.change({ kind: 'remove', group: 'u', server: '10.0.0.1' }), 'done')
  assert.is(group.names, '10.0.0.2')
  group.source.stop()
})

test('what cannot be done to the list is said, and nothing changes', async () => {
  const store = new Flaky()
  await store.put(servers('10.0.0.1', 'app.test'))
  const group = await Group.start(store)
  const before = await store.text()
  const patch = (server: string, options: object): ServerChange => ({
    kind: 'patch',
    group: 'u',
    server,
    options,
  })
  assert.match(
    await group.change(add('10.0.0.1')),
    /^conflict: upstream "u" has the server "10\.0\.0\.1" already/,
  )
  assert.match(await group.change(patch('10.0.0.9', { down: true })), /^absent: upstream "u" has no server/)
  assert.match(
    await group.change(patch('10.0.0.1', { backup: true })),
    /^invalid: .*does not allow backup servers/,
  )
  const two = [ipAddress('127.0.0.8', 80), ipAddress('127.0.0.9', 80)]
  group.live.replace(
    group.live.servers.map((one) => (one.name === 'app.test' ? { ...one, addresses: two } : one)),
  )
  assert.match(
    await group.change(patch('127.0.0.8:80', { down: true })),
    'conflict: the list "chat" cannot be changed: servers are kept by name; change "app.test", which is all its addresses',
  )
  assert.is(await store.text(), before)
  await store.put('broken')
  assert.is(await group.change(add('10.0.0.3')), 'conflict: the list "chat" cannot be changed: it is no JSON')
  store.away = true
  assert.is(
    await group.change(add('10.0.0.3')),
    'storage: the list "chat" cannot be kept: the store does not answer',
  )
  group.source.stop()
  const service = await Group.start(new Flaky(), {
    lines: [{ ...lineOf('app.test', '10.0.0.1'), service: 'http' }],
  })
  assert.match(
    await service.change(add('10.0.0.3')),
    /^conflict: .*the service of "app\.test" cannot be in a list/,
  )
  service.source.stop()
})

test('many who change a list at the same time lose nothing', async () => {
  const store = new Flaky()
  const groups = await Promise.all(Array.from({ length: 4 }, () => Group.start(store, { lines: [] })))
  const done = await Promise.all(groups.map((group, i) => group.change(add(`10.0.0.${i}`))))
  assert.equal(done, ['done', 'done', 'done', 'done'])
  await Promise.all(groups.map(({ source }) => source.look()))
  for (const group of groups)
    assert.is(group.names.split(' ').sort().join(' '), '10.0.0.0 10.0.0.1 10.0.0.2 10.0.0.3')
  for (const { source } of groups) source.stop()
})

test('a list that others change all the time is given up', async () => {
  const store = new Flaky()
  let tries = 0
  const change = changeStoredServers(store, 'chat', () => {
    void store.put(servers(`10.0.0.${tries++}`))
    return '[]'
  })
  await change.then(
    () => assert.unreachable(),
    (error) =>
      assert.is(
        `${error.code} ${error.message}`,
        'conflict others change the list "chat" all the time; try again',
      ),
  )
  assert.is(tries, 10)
})

test.run()
