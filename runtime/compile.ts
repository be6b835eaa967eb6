/**
 * Model to generation: resolves names, loads scripts, opens logs, and compiles every server and location into its
 * plan. The only place that knows both the configuration and the journey. Fails as a whole or not at all.
 */
import { compileServer, type ServerContext } from './compile-locations.ts'
import { ProxyTargets } from './compile-proxy.ts'
import { DEFAULTS, inherit } from './config/defaults.ts'
import type { HttpModel, ListenModel, Model, ServerModel } from './config/model.ts'
import { FetchAgents } from './fetch/agents.ts'
import { Generation } from './generation.ts'
import type { GenerationScripts } from './generation-scripts.ts'
import type { ListenAddress } from './listen/listen-sockets.ts'
import { LogFiles } from './observe/log-files.ts'
import { LogFormats } from './observe/log-format.ts'
import type { LogLevel } from './phases.ts'
import type { RequestBinder } from './proxy/binder.ts'
import type { Exchange, Listener, Services } from './proxy/exchange.ts'
import type { Effective, ServerPlan } from './proxy/plan.ts'
import { ServerNames } from './proxy/server-names.ts'
import { fetchSurroundings } from './script-fetch.ts'
import { ScriptRegistry } from './script-registry.ts'
import { type ScriptProbe, ScriptSet } from './script-set.ts'
import { ServerSources } from './server-sources.ts'
import { LimitZones } from './store/limit-zones.ts'
import type { MachineLimits } from './store/machine-limits.ts'
import { aloneStores, type StoreSet } from './stores.ts'
import { NameWatches } from './upstream/name-watches.ts'
import type { PeerCounts } from './upstream/peer-counts.ts'
import type { PeerListener } from './upstream/peer-news.ts'
import { type ChangedServers, Upstreams } from './upstreams.ts'

export type { Generation } from './generation.ts'

export interface CompileOptions {
  readonly id: number
  readonly prefix: string
  readonly services: Services
  /** The generation that this one replaces. */
  readonly previous: Generation | null
  readonly onRetired: (generation: Generation) => void
  /** Which versions of the scripts it has; default: what is on the disk. */
  readonly scripts?: GenerationScripts
  /** Connections of the scripts' fetches, which outlive generations; default: their own. */
  readonly fetchAgents?: FetchAgents
  /** Hears of failures in upstream groups that other processes share. */
  readonly onPeer?: PeerListener
  readonly peerCounts?: PeerCounts
  /** Upstream groups whose servers were changed since they were configured. */
  readonly changedServers?: ChangedServers | undefined
  /** Where all workers of the machine count what limits apply to; default: this process is the only one. */
  readonly limits?: MachineLimits | undefined
  /** Shared state; default: memory of its own. */
  readonly stores?: StoreSet
  /** Sees what scripts read and decide; default: nobody does. */
  readonly probe?: ScriptProbe
}

/** A configuration without an `http` block. */
export const NO_HTTP: HttpModel = {
  where: { file: '', line: 0, column: 0 },
  settings: {},
  servers: [],
  upstreams: [],
  maps: [],
  splitClients: [],
  geos: [],
  logFormats: [],
  variables: [],
  scriptWatch: true,
  scriptGenerations: 10,
  store: { kind: 'memory', size: 64 * 1024 * 1024 },
  storeTimeout: 50,
  sessionMaps: [],
  limitZones: [],
  admin: null,
  scriptFleet: { where: { file: '', line: 0, column: 0 }, on: false, name: null, state: null },
  scriptSignKey: null,
}

/** @throws ConfigError, ScriptError, LogPathError; nothing of the new generation is left behind then. */
export async function compileGeneration(model: Model, options: CompileOptions): Promise<Generation> {
  const madeAt = Date.now()
  const http = model.http ?? NO_HTTP
  const { services, prefix, id } = options
  const held = options.scripts ?? aloneScripts(services)
  const link = held.bind(http)
  const { binder } = link
  const stores = options.stores ?? aloneStores(http)
  link.stores ??= stores
  const zones = new LimitZones(http.limitZones, options.previous?.limitZones ?? null, options.limits)
  link.counts ??= zones.scripts
  const logFiles = new LogFiles({ prefix, report: (level, message) => services.log(level, message, null) })
  const upstreams = new Upstreams(
    options.previous?.upstreams ?? null,
    options.onPeer,
    options.peerCounts,
    options.changedServers,
  )
  const settings = inherit(DEFAULTS, http.settings) as Effective
  held.setFetch(fetchSurroundings(upstreams, options.fetchAgents ?? new FetchAgents(), settings))
  const scripts = new ScriptSet({ scripts: held, link, services, generation: id, probe: options.probe })
  try {
    const watches = options.previous?.upstreams.watches ?? new NameWatches(logOf(services))
    const sources = new ServerSources({ ...settings, store: stores.store, watches, log: logOf(services) })
    await upstreams.load(http.upstreams, binder, stores, sources)
    const targets = new ProxyTargets(upstreams)
    await targets.load(http)
    await scripts.load(http)
    const logs = { formats: new LogFormats<Exchange>(http.logFormats, binder), files: logFiles }
    const { store } = stores
    const context: ServerContext = {
      binder,
      logs,
      prefix,
      settings,
      scripts,
      targets,
      services,
      zones,
      store,
    }
    const plans = new Map(http.servers.map((server) => [server, compileServer(server, context)]))
    const { addresses, listeners } = groupListeners(plans, binder)
    return new Generation({
      id,
      madeAt,
      services,
      addresses,
      listeners,
      scripts: held,
      watchScripts: http.scriptWatch,
      logFiles,
      upstreams,
      stores,
      limitZones: zones,
      binder,
      onRetired: options.onRetired,
    })
  } catch (error) {
    held.release()
    upstreams.dispose()
    logFiles.close()
    throw error
  }
}

/** For a generation that none comes after. */
function aloneScripts(services: Services): GenerationScripts {
  return new ScriptRegistry({ log: logOf(services), swap: () => undefined }).planAll('start')
}

function logOf(services: Services): (level: LogLevel, message: string) => void {
  return (level, message) => services.log(level, message, null)
}

interface Shared {
  readonly listen: ListenModel
  readonly servers: { server: ServerModel; plan: ServerPlan; isDefault: boolean }[]
}

/** Servers by address; an address that a wildcard of the same port covers is not bound of its own. */
function groupListeners(plans: ReadonlyMap<ServerModel, ServerPlan>, binder: RequestBinder) {
  const groups = new Map<string, Shared>()
  for (const [server, plan] of plans) {
    for (const listen of server.listens) {
      const key = addressKey(listen)
      const group = groups.get(key) ?? { listen, servers: [] }
      group.servers.push({ server, plan, isDefault: listen.defaultServer })
      groups.set(key, group)
    }
  }
  const listeners = new Map<string, Listener>()
  const addresses: ListenAddress[] = []
  const specifics = new Map<string, Map<string, Listener>>()
  for (const [key, group] of groups) {
    const wildcard = wildcardOf(group.listen)
    const listener = new NamedListener(key, group, binder)
    if (wildcard !== null && wildcard !== key && groups.has(wildcard)) {
      const hosts = specifics.get(wildcard) ?? new Map<string, Listener>()
      hosts.set((group.listen.address as { host: string }).host, listener)
      specifics.set(wildcard, hosts)
      continue
    }
    listeners.set(key, listener)
    addresses.push(bindAddress(key, group))
  }
  for (const [key, hosts] of specifics) (listeners.get(key) as NamedListener).specific = hosts
  return { addresses, listeners }
}

function addressKey(listen: ListenModel): string {
  const { address } = listen
  if ('path' in address) return `unix:${address.path}`
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${host === '0.0.0.0' ? '*' : host}:${address.port}`
}

function wildcardOf(listen: ListenModel): string | null {
  const { address } = listen
  if ('path' in address) return null
  return address.host.includes(':') ? `[::]:${address.port}` : `*:${address.port}`
}

function bindAddress(key: string, group: Shared): ListenAddress {
  const { address } = group.listen
  // Options may stand on any of the listens of one address.
  const all = group.servers.flatMap(({ server }) =>
    server.listens.filter((listen) => addressKey(listen) === key),
  )
  const backlog = Math.max(...all.map((listen) => listen.backlog))
  const ipv6only = all.every((listen) => listen.ipv6only)
  return 'path' in address
    ? { text: key, path: address.path, backlog, ipv6only }
    : {
        text: key,
        host: address.host === '*' ? '0.0.0.0' : address.host,
        port: address.port,
        backlog,
        ipv6only,
      }
}

class NamedListener implements Listener {
  readonly text: string
  readonly defaultServer: ServerPlan
  readonly http2: boolean
  specific: ReadonlyMap<string, Listener> | null = null
  /** null: one server, whatever the name. */
  readonly #names: ServerNames | null

  constructor(key: string, group: Shared, binder: RequestBinder) {
    const { servers } = group
    this.text = key
    this.http2 = servers.some(({ server }) =>
      server.listens.some((listen) => listen.http2 && addressKey(listen) === key),
    )
    this.defaultServer = (servers.find((entry) => entry.isDefault) ?? servers[0]).plan
    const plain = servers.length === 1 && servers[0].server.names.every((name) => name.kind !== 'pattern')
    const entries = servers.map(({ server, plan }) => ({ names: server.names, server: plan }))
    this.#names = plain ? null : new ServerNames(entries, this.defaultServer, binder)
  }

  findServer(host: string, x: Exchange): ServerPlan {
    return this.#names === null ? this.defaultServer : this.#names.find(host, x)
  }
}
