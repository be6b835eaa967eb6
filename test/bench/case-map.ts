// Case `map`: what a hit in a session map adds to a request, on each kind of store. First the hook alone, in this process, then
// whole proxies. CPU time, so that a busy machine tells nearly the same as an idle one.

import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Channel, type Wire } from '../../runtime/lib/channel.ts'
import { DEFAULT_LIMITS, type HookRequest, Outcome, type ScriptHost } from '../../runtime/phases.ts'
import { loadScript, releaseRequest } from '../../runtime/script/engine.ts'
import { MemoryStore } from '../../runtime/store/memory-store.ts'
import { RedisStore } from '../../runtime/store/redis-store.ts'
import { SessionMap } from '../../runtime/store/session-map.ts'
import type { Store } from '../../runtime/store/store.ts'
import { serveStore, WorkerStore } from '../../runtime/store/worker-store.ts'
import { RedisServer } from '../lib/redis.ts'
import { FakeBalancer, FakeHost, FakeRequest } from '../script/fake-request.ts'
import { compare, type Effort } from './case-http.ts'
import { mapConfig } from './configs.ts'
import { sluice } from './contenders.ts'
import { markdownTable, median, type Row } from './table.ts'

const USERS = Array.from({ length: 5000 }, (_, i) => `user${i + 1}`)
const PEER = 'a.example:8080'
const HOUR = 3_600_000

const MAP = "import { map } from 'sluice:store'\nconst users = map('users')\n"
const GET = 'users.getOrSet(r.variables.arg_userId, () => u.leastConn().name)'
/** Each with what it is compared with: the same without a map. */
const HOOKS = {
  plain: `export function balancer(r, u) { r.variables.arg_userId; return '${PEER}' }`,
  hit: `${MAP}export function balancer(r, u) { return ${GET} }`,
  plainAsync: `export async function balancer(r, u) { r.variables.arg_userId; return await '${PEER}' }`,
  hitAsync: `${MAP}export async function balancer(r, u) { return await ${GET} }`,
} as const

/** Two tables. */
export async function mapCase(effort: Effort): Promise<string> {
  const redis = await RedisServer.start()
  try {
    const hooks = await hookTable(redis, effort)
    return `${hooks}\n\n${await proxyTable(redis, effort)}`
  } finally {
    await redis.stop()
  }
}

// ---- the hook alone ----

async function hookTable(redis: RedisServer, { rounds }: Effort): Promise<string> {
  const ports: MessagePort[] = []
  const rows: Row[] = []
  for (const [name, store] of await openStores(redis, ports)) {
    const map = new SessionMap(store, { name: 'users', ttl: HOUR, max: 1_000_000, onError: 'hash' })
    for (const user of USERS) await map.set(user, JSON.stringify(PEER))
    const cost: Record<string, number> = {}
    for (const [kind, source] of Object.entries(HOOKS)) cost[kind] = await measure(source, map, rounds)
    const { plain, hit, plainAsync, hitAsync } = cost as Record<keyof typeof HOOKS, number>
    rows.push({ name, values: [plain, hit, hit - plain, hitAsync - plainAsync, peekCost(map, rounds)] })
    map.close()
    await store.close()
  }
  for (const port of ports) port.close()
  const columns = [
    'CPU µs of a balancer hook; 5000 users',
    'names a peer',
    'returns a hit',
    'a hit adds',
    'adds if awaited',
    'the map alone',
  ]
  return markdownTable(columns, rows)
}

async function openStores(redis: RedisServer, ports: MessagePort[]): Promise<[name: string, store: Store][]> {
  const { port1, port2 } = new MessageChannel()
  ports.push(port1, port2)
  serveStore(new Channel(wireOf(port1)), new MemoryStore({ size: 64 * 1024 * 1024 }))
  const far = new RedisStore({
    addresses: [{ host: '127.0.0.1', port: redis.port }],
    mode: 'single',
    database: 0,
    tls: null,
    prefix: 'bench:',
    timeout: 5000,
    log: () => undefined,
  })
  await far.ready(10_000)
  return [
    ['memory', new MemoryStore({ size: 64 * 1024 * 1024 })],
    ['memory, of a worker', new WorkerStore(new Channel(wireOf(port2)), 5000)],
    ['Redis', far],
  ]
}

function wireOf(port: MessagePort): Wire {
  return {
    send: (message) => port.postMessage(message),
    onMessage: (listener) => void port.on('message', listener),
    onClose: (listener) => void port.on('close', listener),
  }
}

class MapHost extends FakeHost {
  user = ''
  readonly #map: SessionMap

  constructor(map: SessionMap) {
    super()
    this.#map = map
  }

  map = (): SessionMap => this.#map

  override variable(): ReturnType<ScriptHost['variable']> {
    return { get: () => this.user, set: null }
  }
}

/** Median of µs per call. */
async function measure(source: string, map: SessionMap, rounds: number): Promise<number> {
  const host = new MapHost(map)
  const file = '/scripts/bench.js'
  const limits = DEFAULT_LIMITS
  const script = await loadScript({ file, source, params: {}, limits, onError: 'closed', host })
  const hook = script.hooks.balancer!
  const request: HookRequest & FakeRequest = new FakeRequest()
  request.balancer = new FakeBalancer()
  const pass = () => {
    for (const user of USERS) {
      host.user = user
      if (hook(request) !== Outcome.PEER) throw new Error('it is no hit')
      if (request.scriptState !== null) releaseRequest(request)
    }
  }
  const cost = perUser(pass, rounds)
  script.dispose()
  return cost
}

function peekCost(map: SessionMap, rounds: number): number {
  return perUser(() => {
    for (const user of USERS) if (!map.peek(user)) throw new Error('it is no hit')
  }, rounds)
}

const PASSES = 10

function perUser(pass: () => void, rounds: number): number {
  for (let i = 0; i < 2 * PASSES; i++) pass()
  const costs = Array.from({ length: Math.max(3, rounds) }, () => {
    const before = process.cpuUsage()
    for (let i = 0; i < PASSES; i++) pass()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / (PASSES * USERS.length)
  })
  return median(costs)
}

// ---- whole proxies ----

function proxyTable(redis: RedisServer, effort: Effort): Promise<string> {
  const far = `redis://127.0.0.1:${redis.port}/0`
  const hash = 'hash $arg_userId consistent;'
  const sticky = 'sticky map=users key=$arg_userId;'
  const scripted = 'script scripts/hooks.js;'
  const named = `export const balancer = (r, u) => u.hash(r.variables.arg_userId, { consistent: true })`
  const contenders = [
    sluice((places) => mapConfig(places, 'memory', hash), HASH),
    sluice((places) => mapConfig(places, 'memory', sticky), '`sticky map=`, memory'),
    sluice((places) => mapConfig(places, far, sticky), '`sticky map=`, Redis'),
    sluice((places) => mapConfig(places, 'memory', scripted), SCRIPTED, named),
    sluice((places) => mapConfig(places, 'memory', scripted), 'a script that asks a map, memory', HOOKS.hit),
    sluice((places) => mapConfig(places, far, scripted), 'a script that asks a map, Redis', HOOKS.hit),
    sluice((places) => mapConfig(places, 'memory', hash, 2), WORKERS),
    sluice(
      (places) => mapConfig(places, 'memory', scripted, 2),
      'a script that asks a map, two workers',
      HOOKS.hit,
    ),
  ]
  return compare(contenders, [HASH, SCRIPTED, WORKERS], effort)
}

const HASH = '`hash … consistent`'
const SCRIPTED = 'a script that hashes'
const WORKERS = '`hash`, two workers'
