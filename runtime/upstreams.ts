/**
 * The upstream groups of a generation with their idle connections: those of `upstream` blocks, and one for each
 * address that a `proxy_pass` names itself. A generation of the same configuration has the very groups of the one before
 * it, with what was changed of them while they served; no name is looked up again. One of another configuration begins
 * with the servers that stand there, and with what is known of their addresses and its idle connections.
 */

import { compileSticky } from './compile-sticky.ts'
import { ConfigError } from './config/config-error.ts'
import type { UpstreamModel, Where } from './config/model.ts'
import type { Binder, Getter } from './proxy/plan.ts'
import type { Sticky } from './proxy/sticky.ts'
import type { UpstreamConnection, UpstreamPool } from './proxy/upstream-connection.ts'
import { mayBeEmpty, type ServerSources } from './server-sources.ts'
import { StoreServers } from './store-servers.ts'
import type { StoreSet } from './stores.ts'
import { IdlePool } from './upstream/keepalive.ts'
import { LiveGroup } from './upstream/live-group.ts'
import { firstServers, isFollowed, type ServerLine } from './upstream/name-source.ts'
import type { NameWatches } from './upstream/name-watches.ts'
import { type Address, type GroupOptions, implicitGroup, type ServerOptions } from './upstream/options.ts'
import type { PeerCounts } from './upstream/peer-counts.ts'
import type { PeerListener } from './upstream/peer-news.ts'
import { resolveServer } from './upstream/resolve.ts'
import type { ApplyServers, ServerSource } from './upstream/server-source.ts'

/** A group with what belongs to it. */
export interface Upstream {
  readonly live: LiveGroup
  readonly pool: UpstreamPool
  readonly key: Getter | null
  readonly sticky: Sticky | null
  readonly model: UpstreamModel | null
  /** What keeps its servers in the store; null: they are not kept there. */
  readonly stored: StoreServers | null
}

interface Entry {
  readonly live: LiveGroup
  readonly pool: UpstreamPool
  /** What changes its servers by itself; runs as long as requests may begin with it. */
  source: ServerSource | null
}

/** Servers of groups by name, as they are now. */
export type ChangedServers = ReadonlyMap<string, readonly ServerOptions[]>

/** Groups kept for addresses that requests have made. */
const MAX_DYNAMIC = 1000

export class Upstreams {
  readonly #entries = new Map<string, Entry>()
  readonly #named = new Map<string, Upstream>()
  readonly #dynamic = new Map<
    string,
    { readonly addresses: readonly Address[]; readonly upstream: Upstream }
  >()
  /** Those in service until now; let go of at the swap, so that generations do not form a chain. */
  #previous: Upstreams | null
  /** What the groups were made of: another list, another configuration. */
  #models: readonly UpstreamModel[] | null = null
  /** The names that its groups follow; the next generation goes on with them. */
  watches: NameWatches | null = null
  /** Pools that another generation uses as well and closes: a later one, or until `adopt` the previous one. */
  readonly #lent = new Set<UpstreamPool>()

  readonly #onPeer: PeerListener | null
  readonly #counts: PeerCounts | null
  readonly #changed: ChangedServers

  /**
   * @param onPeer hears of failures in groups that other processes share
   * @param counts their requests, over all those processes
   * @param changed groups whose servers are not those of their blocks any more; no name of them is looked up
   */
  constructor(
    previous: Upstreams | null,
    onPeer: PeerListener | null = null,
    counts: PeerCounts | null = null,
    changed: ChangedServers = new Map(),
  ) {
    this.#previous = previous
    this.#onPeer = onPeer
    this.#counts = counts
    this.#changed = changed
  }

  /** Makes the groups of all `upstream` blocks. @throws ConfigError when a name cannot be resolved. */
  async load(
    models: readonly UpstreamModel[],
    binder: Binder,
    stores: StoreSet,
    sources: ServerSources,
  ): Promise<void> {
    this.#models = models
    this.watches = sources.watches
    const started: Promise<void>[] = []
    for (const model of models) {
      const entry = this.#same(model.name) ?? (await this.#make(model, sources, started))
      const { live, pool, source } = entry
      const key = groupKey(model, binder)
      const sticky = model.sticky === null ? null : compileSticky(model.sticky, binder, stores)
      const stored = source instanceof StoreServers ? source : null
      this.#named.set(model.name.toLowerCase(), { live, pool, key, sticky, model, stored })
    }
    await Promise.all(started)
  }

  /** @param started grows by what is to be waited for */
  async #make(model: UpstreamModel, sources: ServerSources, started: Promise<void>[]): Promise<Entry> {
    const changed = this.#changed.get(model.name)
    const lines = await linesOf(model, changed === undefined)
    const options = groupOf(model, changed ?? firstServers(lines), mayBeEmpty(model))
    const entry = this.#entry(options)
    const before = this.#previous?.named(model.name)
    const known = before?.model?.fromStore === model.fromStore ? (before?.stored?.known ?? null) : null
    entry.source = sources.of(model, options, lines, known)
    const { live } = entry
    const apply: ApplyServers = (change) => {
      const servers = change(live.servers)
      if (servers !== live.servers) live.replace(servers)
    }
    if (entry.source !== null) started.push(entry.source.start(apply))
    return entry
  }

  /** The group of an `upstream` block. */
  named(name: string): Upstream | undefined {
    return this.#named.get(name.toLowerCase())
  }

  get all(): Upstream[] {
    return [...this.#named.values()]
  }

  /** A group for one address, `host[:port]` or `unix:/path`. @throws ConfigError when it cannot be resolved. */
  async single(address: string, port: number, where: Where): Promise<Upstream> {
    const { live, pool } =
      this.#entries.get(address) ??
      this.#same(address) ??
      this.#entry(implicitGroup(address, await lookUp(address, port, where)))
    return { live, pool, key: null, sticky: null, model: null, stored: null }
  }

  /** A group for an address that a request has made; few are kept, as clients may be able to make many. */
  dynamic(name: string, addresses: readonly Address[]): Upstream {
    const known = this.#dynamic.get(name)
    if (known !== undefined && known.addresses === addresses) return known.upstream
    known?.upstream.pool.closeAll()
    const group = implicitGroup(name, addresses)
    // As nginx, every request finds all of them in service.
    const options = { ...group, servers: group.servers.map((server) => ({ ...server, maxFails: 0 })) }
    const pool = new IdlePool<UpstreamConnection>(options.keepalive)
    const live = new LiveGroup(options)
    const upstream = { live, pool, key: null, sticky: null, model: null, stored: null }
    this.#dynamic.delete(name)
    this.#dynamic.set(name, { addresses, upstream })
    if (this.#dynamic.size > MAX_DYNAMIC) this.#forgetOldest()
    return upstream
  }

  #forgetOldest(): void {
    const [name, { upstream }] = this.#dynamic.entries().next().value!
    upstream.pool.closeAll()
    this.#dynamic.delete(name)
  }

  /** Goes into service: what the previous generation knew of the same addresses stays known. */
  adopt(): void {
    const previous = this.#previous
    for (const [name, { live, pool }] of this.#entries) {
      const before = previous === null ? undefined : previous.#entries.get(name)
      if (before === undefined) {
        live.serve(null)
        continue
      }
      if (before.pool === pool) {
        previous!.#lent.add(pool)
        this.#lent.delete(pool)
        continue
      }
      live.serve(before.live)
      pool.adopt(before.pool)
      pool.keepOnly(live.group.addresses)
    }
    if (previous === null) return
    // What is known of an address is the new group's now: the one before may not change any more.
    for (const { pool, source } of previous.#entries.values()) if (!previous.#lent.has(pool)) source?.stop()
    this.#previous = null
  }

  /** Closes idle connections that no later generation uses. */
  dispose(): void {
    for (const { upstream } of this.#dynamic.values()) upstream.pool.closeAll()
    for (const { pool, source } of this.#entries.values()) {
      if (this.#lent.has(pool)) continue
      source?.stop()
      pool.closeAll()
    }
  }

  /** The group of the generation before, when it was made of the same configuration. */
  #same(name: string): Entry | null {
    const previous = this.#previous
    if (previous === null || previous.#models !== this.#models) return null
    const entry = previous.#entries.get(name)
    if (entry === undefined) return null
    this.#lent.add(entry.pool)
    this.#entries.set(name, entry)
    return entry
  }

  #entry(options: GroupOptions): Entry {
    const live = new LiveGroup(options, { onPeer: this.#onPeer, counts: this.#counts })
    const pool = new IdlePool<UpstreamConnection>(options.keepalive)
    live.onChange((group) => pool.keepOnly(group.addresses))
    const entry: Entry = { live, pool, source: null }
    this.#entries.set(options.name, entry)
    return entry
  }
}

/** The servers of a block; names that are followed have no addresses yet. @throws ConfigError when one cannot be resolved. */
function linesOf(model: UpstreamModel, looksUp: boolean): Promise<ServerLine[]> {
  return Promise.all(
    model.servers.map(async ({ where, ...server }) => ({
      ...server,
      addresses: looksUp ? await lookUp(server.name, 80, where, server.resolve) : [],
    })),
  )
}

function groupOf(
  { name, method, keepalive, zone }: UpstreamModel,
  servers: readonly ServerOptions[],
  allowEmpty: boolean,
): GroupOptions {
  return { name, method, servers, keepalive, shared: zone !== null, allowEmpty }
}

async function lookUp(name: string, port: number, where: Where, resolve = false) {
  try {
    return isFollowed({ name, resolve }) ? [] : await resolveServer(name, port)
  } catch (error) {
    throw new ConfigError(
      where,
      `host not found in upstream "${name}"; ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

function groupKey(model: UpstreamModel, binder: Binder): Getter | null {
  if (model.method === 'ip_hash') return (x) => x.remoteAddress
  return model.hashKey === null ? null : binder.bind(model.hashKey)
}
