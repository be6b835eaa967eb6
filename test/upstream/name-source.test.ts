// The servers of a group whose names are followed: what an answer makes of them, and what it leaves as it is.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LiveGroup } from '../../runtime/upstream/live-group.ts'
import { WITHOUT_BACKUP } from '../../runtime/upstream/methods.ts'
import { firstServers, isFollowed, NameSource, type ServerLine } from '../../runtime/upstream/name-source.ts'
import { NameWatches } from '../../runtime/upstream/name-watches.ts'
import { KEEPALIVE_DEFAULTS, type Method, SERVER_DEFAULTS } from '../../runtime/upstream/options.ts'
import { DnsServer } from '../lib/dns-server.ts'

const dns = await DnsServer.start()
test.after(() => dns.close())

const PATIENCE = 5_000

function line(name: string, options: Partial<ServerLine> = {}): ServerLine {
  return { ...SERVER_DEFAULTS, name, addresses: [], resolve: true, service: '', ...options }
}

const fixed = (text: string): ServerLine => line(text, { resolve: false, addresses: [{ text }] })

/** A group that follows the names of these lines. */
class Following {
  readonly log: string[] = []
  readonly live: LiveGroup
  readonly #source: NameSource

  constructor(
    lines: readonly ServerLine[],
    method: Method = 'round_robin',
    watches = new NameWatches((_, message) => this.log.push(message)),
  ) {
    const servers = firstServers(lines)
    this.live = new LiveGroup({ name: 'u', method, servers, keepalive: KEEPALIVE_DEFAULTS, allowEmpty: true })
    this.#source = new NameSource(lines, {
      upstream: 'u',
      allowsBackup: !WITHOUT_BACKUP.has(method),
      resolver: { servers: [dns.address], valid: null, ipv4: true, ipv6: true, timeout: 700 },
      watches,
      log: (_, message) => this.log.push(message),
    })
  }

  static async start(
    lines: readonly ServerLine[],
    method?: Method,
    watches?: NameWatches,
  ): Promise<Following> {
    const one = new Following(lines, method, watches)
    await one.start()
    return one
  }

  start(): Promise<void> {
    return this.#source.start((change) => this.live.replace(change(this.live.servers)))
  }

  /** Addresses of the peers; backups in brackets. */
  get peers(): string {
    const texts = this.live.group.peers.map(({ address, backup }) =>
      backup ? `(${address.text})` : address.text,
    )
    return texts.join(' ')
  }

  async until(peers: string): Promise<void> {
    const deadline = Date.now() + PATIENCE
    while (this.peers !== peers) {
      if (Date.now() > deadline) throw new Error(`not ${peers} but ${this.peers}\n${this.log.join('\n')}`)
      await new Promise((next) => setTimeout(next, 5))
    }
  }

  stop(): void {
    this.#source.stop()
  }
}

test('only names are followed, and only where "resolve" says so', () => {
  const followed = (name: string, resolve = true) => isFollowed({ name, resolve })
  assert.equal(
    ['app.test', 'app.test:81', '127.0.0.1:80', '[::1]:80', 'unix:/run/a.sock'].map((name) => followed(name)),
    [true, true, false, false, false],
  )
  assert.is(followed('app.test', false), false)
  assert.throws(() => followed('a/b'), /invalid host/)
})

test('a name stands in its place with all its addresses, and goes with them', async () => {
  dns.set('app.test', { addresses: ['127.0.0.3', '::1', '127.0.0.2'] })
  const group = await Following.start([fixed('10.0.0.1:80'), line('app.test:81'), fixed('10.0.0.2:80')])
  assert.is(group.peers, '10.0.0.1:80 127.0.0.2:81 127.0.0.3:81 [::1]:81 10.0.0.2:80')
  dns.set('app.test', { addresses: ['127.0.0.4'] })
  await group.until('10.0.0.1:80 127.0.0.4:81 10.0.0.2:80')
  dns.delete('app.test')
  await group.until('10.0.0.1:80 10.0.0.2:80')
  assert.equal(group.log, [
    'app.test could not be resolved (3: Host not found); it has no servers until it is',
  ])
  group.stop()
})

test('what is known of an address that stays, stays known', async () => {
  dns.set('app.test', { addresses: ['127.0.0.2', '127.0.0.3'] })
  const group = await Following.start([line('app.test:80')])
  const [first] = group.live.group.peers
  first!.begin(() => 1)
  dns.set('app.test', { addresses: ['127.0.0.1', '127.0.0.2'] })
  await group.until('127.0.0.1:80 127.0.0.2:80')
  const [, same] = group.live.group.peers
  assert.is(same!.connections, 1)
  first!.endWell()
  assert.is(same!.connections, 0)
  group.stop()
})

test('what was changed of a server while it served stays; one that was taken out stays out', async () => {
  dns.set('app.test', { addresses: ['127.0.0.2'] })
  dns.set('other.test', { addresses: ['127.0.1.2'] })
  const group = await Following.start([line('app.test:80'), line('other.test:80')])
  const [app, other] = group.live.servers
  group.live.replace([{ ...app!, weight: 5, apart: { '127.0.0.3:80': { down: true } } }])
  dns.set('other.test', { addresses: ['127.0.1.3'] })
  dns.set('app.test', { addresses: ['127.0.0.2', '127.0.0.3'] })
  await group.until('127.0.0.2:80 127.0.0.3:80')
  const [two, three] = group.live.group.peers
  assert.equal([two!.weight, two!.down, three!.weight, three!.down], [5, false, 5, true])
  group.live.replace([...group.live.servers, other!])
  dns.set('other.test', { addresses: ['127.0.1.4'] })
  await group.until('127.0.0.2:80 127.0.0.3:80 127.0.1.4:80')
  group.stop()
})

test('a service makes a server of each target; weight and backup of the line go before those of the records', async () => {
  dns.set('a.test', { addresses: ['127.0.0.1'] })
  dns.set('b.test', { addresses: ['127.0.0.2'] })
  const srv = [
    { target: 'a.test', port: 81, priority: 1, weight: 3 },
    { target: 'b.test', port: 82, priority: 2, weight: 4 },
  ]
  dns.set('_http._tcp.app.test', { srv })
  const records = line('app.test', { service: 'http', maxFails: 7 })
  const group = await Following.start([records, fixed('10.0.0.1:80')])
  assert.is(group.peers, '127.0.0.1:81 10.0.0.1:80 (127.0.0.2:82)')
  assert.equal(
    group.live.group.peers.map(({ weight, maxFails }) => [weight, maxFails]),
    [
      [3, 7],
      [1, 1],
      [4, 7],
    ],
  )
  group.stop()
  const heavy = await Following.start([{ ...records, weight: 9 }])
  assert.equal(
    heavy.live.group.peers.map(({ weight }) => weight),
    [9, 9],
  )
  heavy.stop()
  const spare = await Following.start([{ ...records, backup: true }, fixed('10.0.0.1:80')])
  assert.is(spare.peers, '10.0.0.1:80 (127.0.0.1:81)')
  spare.stop()
  const hashed = await Following.start([records], 'hash consistent')
  assert.is(hashed.peers, '127.0.0.1:81', 'a method without backups leaves them out')
  hashed.stop()
})

test('targets of a service that stay keep what was changed of them; all may go and come again', async () => {
  dns.set('a.test', { addresses: ['127.0.0.1'], ttl: 1 })
  dns.set('b.test', { addresses: ['127.0.0.2'], ttl: 1 })
  const zone = (...targets: string[]) =>
    dns.set('_http._tcp.app.test', { srv: targets.map((target) => ({ target, port: 81 })) })
  zone('a.test')
  const group = await Following.start([line('app.test', { service: 'http' }), fixed('10.0.0.1:80')])
  group.live.replace(group.live.servers.map((server, i) => (i === 0 ? { ...server, down: true } : server)))
  zone('a.test', 'b.test')
  await group.until('127.0.0.1:81 127.0.0.2:81 10.0.0.1:80')
  assert.equal(
    group.live.group.peers.map(({ down }) => down),
    [true, false, false],
  )
  for (const name of ['a.test', 'b.test']) dns.set(name, {})
  await group.until('10.0.0.1:80')
  assert.is(group.live.servers.length, 2, 'its place is kept')
  group.stop()
})

test('a target that is there twice is two servers, each with what was changed of it', async () => {
  dns.set('a.test', { addresses: ['127.0.0.1'], ttl: 1 })
  const twice = [
    { target: 'a.test', port: 81 },
    { target: 'a.test', port: 81 },
  ]
  dns.set('_http._tcp.app.test', { srv: twice })
  const group = await Following.start([line('app.test', { service: 'http' })])
  assert.is(group.peers, '127.0.0.1:81 127.0.0.1:81')
  group.live.replace(group.live.servers.map((server, i) => (i === 1 ? { ...server, down: true } : server)))
  dns.set('a.test', { addresses: ['127.0.0.2'], ttl: 1 })
  await group.until('127.0.0.2:81 127.0.0.2:81')
  assert.equal(
    group.live.group.peers.map(({ down }) => down),
    [false, true],
  )
  group.stop()
})

test('servers that no group can be made of change nothing, and do not keep others back', async () => {
  const targets = ['a.test', 'c.test']
  for (const name of targets) dns.set(name, { addresses: ['127.0.0.1'] })
  const srv = targets.map((target) => ({ target, port: 81, weight: 65_535 }))
  dns.set('_http._tcp.app.test', { srv })
  dns.set('b.test', { addresses: ['127.0.0.2'] })
  const group = await Following.start(
    [line('app.test', { service: 'http' }), line('b.test:80')],
    'hash consistent',
  )
  assert.is(group.peers, '127.0.0.2:80')
  const [first] = targets
  await dns.untilAsked(`A ${first}`, 2)
  dns.set('b.test', { addresses: ['127.0.0.5'] })
  await group.until('127.0.0.5:80')
  assert.is(group.log.length, 1)
  assert.match(group.log[0], /^the servers of upstream "u" stay as they are: a consistent hash needs weights/)
  group.stop()
})

test('a group whose names nobody knows begins without them, after a moment', async () => {
  dns.set('slow.test', { fails: 'silent' })
  const watches = new NameWatches(() => undefined)
  const started = Date.now()
  const group = new Following([line('slow.test:80'), fixed('10.0.0.1:80')], 'round_robin', watches)
  await group.start()
  assert.ok(Date.now() - started < 4_500)
  assert.is(group.peers, '10.0.0.1:80')
  dns.set('slow.test', { addresses: ['127.0.0.1'] })
  await group.until('127.0.0.1:80 10.0.0.1:80')
  group.stop()
})

test('groups that follow the same name share one watch; a later one knows at once what is known', async () => {
  dns.set('shared.test', { addresses: ['127.0.0.1'], ttl: 60 })
  const watches = new NameWatches(() => undefined)
  const first = await Following.start(
    [line('shared.test:80'), line('shared.test:81')],
    'round_robin',
    watches,
  )
  dns.set('shared.test', { fails: 'silent' })
  const second = await Following.start([line('shared.test:82')], 'round_robin', watches)
  assert.equal([first.peers, second.peers], ['127.0.0.1:80 127.0.0.1:81', '127.0.0.1:82'])
  assert.is(dns.count('A shared.test'), 1)
  first.stop()
  const third = await Following.start([line('shared.test:83')], 'round_robin', watches)
  assert.is(third.peers, '127.0.0.1:83')
  second.stop()
  third.stop()
  dns.set('shared.test', { addresses: ['127.0.0.2'] })
  const fourth = await Following.start([line('shared.test:84')], 'round_robin', watches)
  assert.is(fourth.peers, '127.0.0.2:84', 'nothing is kept of names that nobody follows')
  fourth.stop()
})

test('a ring does not move when a name gets another address: its keys go around among its addresses', async () => {
  dns.set('app.test', { addresses: ['127.0.0.1', '127.0.0.2'] })
  const group = await Following.start(
    [line('app.test:80'), fixed('10.0.0.1:80'), fixed('10.0.0.2:80')],
    'hash consistent',
  )
  const owners = () =>
    Array.from({ length: 3_000 }, (_, i) => group.live.group.select(`user-${i}`).next()!.name)
  const before = owners()
  dns.set('app.test', { addresses: ['127.0.0.1', '127.0.0.2', '127.0.0.3'] })
  await group.until('127.0.0.1:80 127.0.0.2:80 127.0.0.3:80 10.0.0.1:80 10.0.0.2:80')
  assert.equal(owners(), before)
  group.stop()
})

test('a ring places targets of a service by their names: another one moves few keys', async () => {
  const targets = Array.from({ length: 11 }, (_, i) => `t${i}.test`)
  for (const [i, name] of targets.entries()) dns.set(name, { addresses: [`127.0.1.${i + 1}`], ttl: 1 })
  const zone = (count: number) =>
    dns.set('_http._tcp.ring.test', { srv: targets.slice(0, count).map((target) => ({ target, port: 80 })) })
  zone(10)
  const group = await Following.start([line('ring.test', { service: 'http' })], 'hash consistent')
  const owners = () =>
    Array.from({ length: 10_000 }, (_, i) => group.live.group.select(`user-${i}`).next()!.name)
  const before = owners()
  zone(11)
  await group.until(
    targets
      .toSorted()
      .map((name) => `127.0.1.${Number(name.slice(1, -5)) + 1}:80`)
      .join(' '),
  )
  const after = owners()
  const moved = after.filter((name, i) => name !== before[i])
  assert.ok(moved.every((name) => name === 't10.test'))
  assert.ok(moved.length > 500 && moved.length < 1_500, `${moved.length} of 10000 moved`)
  group.stop()
})

test.run()
