/**
 * The servers of one upstream group as they are now, and the group made of them: each change makes another group, which
 * goes on with what is known of the addresses that stay. A request keeps the group that it began with, so that an index
 * means the same peer from its first try to its last. Knows neither who changes the servers nor why.
 */
import { UpstreamGroup } from './group.ts'
import type { GroupOptions, ServerOptions } from './options.ts'
import type { PeerCounts } from './peer-counts.ts'
import type { PeerListener } from './peer-news.ts'

export interface LiveGroupSources {
  /** Whole seconds. */
  readonly now?: () => number
  /** From 0 to below 1. */
  readonly random?: () => number
  /** Hears what happens to the peers of a shared group. */
  readonly onPeer?: PeerListener | null
  /** Counts the requests of a shared group over all processes. */
  readonly counts?: PeerCounts | null
}

export class LiveGroup {
  readonly #options: GroupOptions
  readonly #sources: LiveGroupSources
  readonly #listeners: ((group: UpstreamGroup) => void)[] = []
  #servers: readonly ServerOptions[]
  #group: UpstreamGroup

  /** @throws Error as `UpstreamGroup`'s constructor */
  constructor(options: GroupOptions, sources: LiveGroupSources = {}) {
    this.#options = options
    this.#sources = sources
    this.#servers = options.servers
    this.#group = this.#make(options.servers)
  }

  get name(): string {
    return this.#options.name
  }

  /** For requests that begin now; replaced as a whole by every change. */
  get group(): UpstreamGroup {
    return this.#group
  }

  /** In configured order, then in the order in which they came. */
  get servers(): readonly ServerOptions[] {
    return this.#servers
  }

  /** The group may be without servers. */
  get allowsEmpty(): boolean {
    return this.#options.allowEmpty === true
  }

  /** @throws Error when these servers could not be its own; as `replace`, but nothing changes in any case */
  check(servers: readonly ServerOptions[]): void {
    this.#make(servers)
  }

  /**
   * Other servers from now on. What is known of addresses that stay (failures, requests in flight, whose turn it is) stays
   * known. Begin with {@link servers}: what was changed while it served (down, drain, weights) stands there alone.
   * @throws Error as `UpstreamGroup`'s constructor, and nothing changes
   */
  replace(servers: readonly ServerOptions[]): void {
    const group = this.#make(servers)
    this.#sources.counts?.join(group)
    group.adopt(this.#group)
    this.#servers = servers
    this.#group = group
    for (const listener of this.#listeners) listener(group)
  }

  /** Goes into service, instead of `previous` after a reload. To be called once. */
  serve(previous: LiveGroup | null): void {
    this.#sources.counts?.join(this.#group)
    if (previous !== null) this.#group.adopt(previous.#group)
  }

  /** Is called with the new group after every change. */
  onChange(listener: (group: UpstreamGroup) => void): void {
    this.#listeners.push(listener)
  }

  #make(servers: readonly ServerOptions[]): UpstreamGroup {
    const { now, random, onPeer } = this.#sources
    const group = new UpstreamGroup({ ...this.#options, servers }, now, random)
    if (onPeer != null) group.tell(onPeer)
    return group
  }
}
