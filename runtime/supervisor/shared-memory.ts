/**
 * What workers share and the supervisor keeps: the memory store, what limits have counted, what is known of peers that
 * failed, and how many requests each peer has. Knows workers as channels alone.
 */
import type { HttpModel, Model } from '../config/model.ts'
import type { Channel } from '../lib/channel.ts'
import { LimitBooks } from '../store/machine-limits.ts'
import { MemoryStore } from '../store/memory-store.ts'
import { serveStore } from '../store/worker-store.ts'
import type { ServerOptions } from '../upstream/options.ts'
import { CountLedger } from '../upstream/peer-counts.ts'
import { PeerLedger, type PeerNews } from '../upstream/peer-news.ts'

interface Member {
  readonly channel: Channel
  endStore: () => void
}

export class SharedMemory {
  readonly #members = new Set<Member>()
  readonly #ledger = new PeerLedger()
  readonly #counts = new CountLedger()
  readonly #limits = new LimitBooks()
  readonly #onReplaced: () => void
  readonly #servers = new Map<string, readonly ServerOptions[]>()
  #store: MemoryStore | null = null
  #size = 0

  /** @param onReplaced the store was made anew, and is empty */
  constructor(onReplaced: () => void) {
    this.#onReplaced = onReplaced
  }

  /** What failed, for a worker that joins. */
  get news(): readonly PeerNews[] {
    return this.#ledger.all
  }

  /** The upstream groups that were changed since they were configured, for a worker that joins. */
  get servers(): readonly (readonly [group: string, servers: readonly ServerOptions[]])[] {
    return [...this.#servers]
  }

  /** These are the servers of a group from now on, until the next configuration. */
  noteServers(group: string, servers: readonly ServerOptions[]): void {
    this.#servers.set(group, servers)
    const addresses = servers.flatMap((server) => server.addresses.map(({ text }) => text))
    this.#ledger.keepAddresses(group, new Set(addresses))
  }

  /** The configuration that serves from now on. */
  adopt({ http }: Model): void {
    this.#limits.adopt(http?.limitZones ?? [])
    this.#servers.clear()
    this.#ledger.keepOnly(new Set(http?.upstreams.map(({ name }) => name)))
    if (http?.store.kind !== 'memory') return
    if (this.#store === null || this.#size !== http.store.size) this.#open(http.store.size)
    this.#define(http)
  }

  #open(size: number): void {
    const before = this.#store
    this.#store = new MemoryStore({ size })
    this.#size = size
    for (const member of this.#members) {
      member.endStore()
      this.#serve(member)
      if (before !== null) member.channel.tell('store changed', '', null)
    }
    if (before === null) return
    void before.close()
    this.#onReplaced()
  }

  /** Bounds are the configuration's to say, once for all workers. */
  #define({ sessionMaps }: HttpModel): void {
    for (const { name, max } of sessionMaps) this.#store?.define(name, max)
  }

  /** @returns a function that ends it */
  join(channel: Channel): () => void {
    const member: Member = { channel, endStore: () => undefined }
    this.#members.add(member)
    this.#serve(member)
    channel.answer('peer', (news: PeerNews) => this.#relay(news))
    const counts = this.#counts.join((counts) => channel.tell('counts', counts))
    channel.answer('counts', counts.hear)
    const endLimits = this.#limits.serve(channel)
    return () => {
      counts.leave()
      endLimits()
      member.endStore()
      this.#members.delete(member)
    }
  }

  #serve(member: Member): void {
    if (this.#store === null) return
    member.endStore = serveStore(member.channel, this.#store)
    member.channel.answer('store define', () => undefined)
  }

  /** In one order to all, the teller included: so that all agree who saw the last failure. */
  #relay(news: PeerNews): void {
    this.#ledger.note(news)
    for (const { channel } of this.#members) channel.tell('peer', news)
  }

  close(): void {
    void this.#store?.close()
  }
}
