/**
 * The upstream groups of a generation with their idle connections: those of `upstream` blocks, and one for each
 * address that a `proxy_pass` names itself. A group that did not change is handed on to the next generation as it is:
 * failure counts, connection counts and idle connections are not lost by a swap.
 */

import { compileSticky } from './compile-sticky.ts'
import { ConfigError } from './config/config-error.ts'
import type { UpstreamModel, Where } from './config/model.ts'
import type { Binder, Getter } from './proxy/plan.ts'
import type { Sticky } from './proxy/sticky.ts'
import type { UpstreamConnection, UpstreamPool } from './proxy/upstream-connection.ts'
import type { StoreSet } from './stores.ts'
import { UpstreamGroup } from './upstream/group.ts'
import { IdlePool } from './upstream/keepalive.ts'
import { type Address, type GroupOptions, implicitGroup } from './upstream/options.ts'
import type { PeerListener } from './upstream/peer-news.ts'
import { resolveServer } from './upstream/resolve.ts'

/** A group with what belongs to it. */
export interface Upstream {
  readonly group: UpstreamGroup
  readonly pool: UpstreamPool
  readonly key: Getter | null
  readonly sticky: Sticky | null
  readonly model: UpstreamModel | null
}

interface Entry {
  readonly group: UpstreamGroup
  readonly pool: UpstreamPool
  readonly options: string
}

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
  /** Pools that another generation uses as well and closes: a later one, or until `adopt` the previous one. */
  readonly #lent = new Set<UpstreamPool>()

  readonly #onPeer: PeerListener | null

  /** @param onPeer hears of failures in groups that other processes share */
  constructor(previous: Upstreams | null, onPeer: PeerListener | null = null) {
    this.#previous = previous
    this.#onPeer = onPeer
  }

  /** Makes the groups of all `upstream` blocks. @throws ConfigError when a name cannot be resolved. */
  async load(models: readonly UpstreamModel[], binder: Binder, stores: StoreSet): Promise<void> {
    for (const model of models) {
      const servers = await Promise.all(
        model.servers.map(async (server) => ({
          ...server,
          addresses: await lookUp(server.name, 80, server.where),
        })),
      )
      const entry = this.#entry({
        name: model.name,
        method: model.method,
        servers,
        keepalive: model.keepalive,
        shared: model.zone !== null,
      })
      const key = groupKey(model, binder)
      const sticky = model.sticky === null ? null : compileSticky(model.sticky, binder, stores)
      this.#named.set(model.name.toLowerCase(), { group: entry.group, pool: entry.pool, key, sticky, model })
    }
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
    const entry = this.#entry(implicitGroup(address, await lookUp(address, port, where)))
    return { group: entry.group, pool: entry.pool, key: null, sticky: null, model: null }
  }

  /** A group for an address that a request has made; few are kept, as clients may be able to make many. */
  dynamic(name: string, addresses: readonly Address[]): Upstream {
    const known = this.#dynamic.get(name)
    if (known !== undefined && known.addresses === addresses) return known.upstream
    known?.upstream.pool.closeAll()
    const options = implicitGroup(name, addresses)
    const pool = new IdlePool<UpstreamConnection>(options.keepalive)
    const upstream = { group: new UpstreamGroup(options), pool, key: null, sticky: null, model: null }
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
    if (previous === null) return
    for (const [name, { group, pool }] of this.#entries) {
      const before = previous.#entries.get(name)
      if (before === undefined) continue
      if (before.pool === pool) {
        previous.#lent.add(pool)
        this.#lent.delete(pool)
        continue
      }
      group.adopt(before.group)
      pool.adopt(before.pool)
    }
    this.#previous = null
  }

  /** Closes idle connections that no later generation uses. */
  dispose(): void {
    for (const { upstream } of this.#dynamic.values()) upstream.pool.closeAll()
    for (const { pool } of this.#entries.values()) if (!this.#lent.has(pool)) pool.closeAll()
  }

  #entry(options: GroupOptions): Entry {
    const text = JSON.stringify(options, (key, value) => (key === 'where' ? undefined : value))
    const own = this.#entries.get(options.name)
    if (own !== undefined && own.options === text) return own
    const before = this.#previous === null ? undefined : this.#previous.#entries.get(options.name)
    let entry: Entry
    if (before !== undefined && before.options === text) {
      this.#lent.add(before.pool)
      entry = before
    } else {
      const group = new UpstreamGroup(options)
      if (this.#onPeer !== null) group.tell(this.#onPeer)
      entry = {
        group,
        pool: new IdlePool<UpstreamConnection>(options.keepalive),
        options: text,
      }
    }
    this.#entries.set(options.name, entry)
    return entry
  }
}

async function lookUp(name: string, port: number, where: Where) {
  try {
    return await resolveServer(name, port)
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
