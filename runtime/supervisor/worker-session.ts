/**
 * A worker's end of the channel: one gateway, told what to load, when to swap and when to leave. Decides nothing that
 * concerns other workers.
 */
import type { ServerChange } from '../control.ts'
import { createGateway, type Gateway } from '../gateway.ts'
import { GatewayMetrics } from '../gateway-metrics.ts'
import { reportOf, upstreamsOf } from '../gateway-report.ts'
import type { Channel } from '../lib/channel.ts'
import type { LogLevel } from '../phases.ts'
import { groupNamed, plannedServers } from '../server-changes.ts'
import { MachineLimits } from '../store/machine-limits.ts'
import { WorkerStore } from '../store/worker-store.ts'
import type { StoreServers } from '../store-servers.ts'
import type { Change, PreparedSwap, SwapResult } from '../swap.ts'
import type { LiveGroup } from '../upstream/live-group.ts'
import { withOwnAddresses } from '../upstream/name-source.ts'
import type { Address, ServerOptions } from '../upstream/options.ts'
import { type PeerCount, PeerCounts } from '../upstream/peer-counts.ts'
import { hear, newsOf, type PeerNews } from '../upstream/peer-news.ts'
import { type Load, type Prepared, refusalOf, type Standing } from './protocol.ts'

/** ms for clearing a path, which the supervisor does with a connection of its own. */
const CLEAR_TIMEOUT = 10_000
/** ms that a fast stop takes at most. */
const STOP_TIMEOUT = 1000
/** ms of a call to the supervisor, unless `store_timeout` says otherwise. */
const STORE_TIMEOUT = 50

export class WorkerSession {
  readonly #channel: Channel
  readonly #exit: () => void
  #gateway: Gateway | null = null
  #metrics: GatewayMetrics | null = null
  #prepared: PreparedSwap | null = null
  #worker = 0
  readonly #counts = new PeerCounts((counts) => this.#channel.tell('counts', counts))
  /** What failed before this worker began; heard when it serves. */
  readonly #news: PeerNews[] = []
  #leaving = false

  /** @param exit ends the process */
  constructor(channel: Channel, exit: () => void) {
    this.#channel = channel
    this.#exit = exit
    channel.answer('load', (load: Load) => this.#load(load))
    channel.answer('prepare', (id: number, change: Change) => this.#prepare(id, change))
    channel.answer('commit', () => this.#commit())
    channel.answer('discard', () => this.#discard())
    channel.answer('standing', () => this.#standing())
    channel.answer('report', () => reportOf(this.#running))
    channel.answer('scripts', () => this.#running.scripts)
    channel.answer('history', () => this.#running.history)
    channel.answer('upstreams', () => upstreamsOf(this.#running))
    channel.answer('metrics', () => this.#metrics?.read())
    channel.answer('plan servers', (change: ServerChange, addresses: readonly Address[]) =>
      plannedServers(this.#group(change.group), change, addresses),
    )
    channel.answer('set servers', (group: string, servers: readonly ServerOptions[]) =>
      this.#setServers(group, servers),
    )
    channel.answer('change stored', (change: ServerChange, addresses: readonly Address[]) =>
      this.#stored(change.group)?.change(change, addresses, this.#group(change.group)),
    )
    channel.answer('look at stored', (group: string) => this.#stored(group)?.look())
    channel.answer('reopen', () => this.#gateway?.reopenLogs())
    channel.answer('drain', () => void this.drain())
    channel.answer('stop', () => this.stop())
    channel.answer('counts', (counts: readonly PeerCount[]) => this.#counts.hear(counts))
    channel.answer('peer', (news: PeerNews) => this.#gateway !== null && this.#hear(news))
  }

  log(level: LogLevel, message: string): void {
    this.#gateway?.log(level, message)
  }

  /** Requests under way may end first. */
  async drain(): Promise<void> {
    if (this.#leaving) return
    this.#leaving = true
    this.log('notice', 'gracefully shutting down')
    this.#prepared?.discard()
    this.#prepared = null
    await this.#gateway?.drain()
    this.#exit()
  }

  stop(): void {
    this.#leaving = true
    this.log('notice', 'exiting')
    if (this.#gateway === null) {
      this.#exit()
      return
    }
    void this.#gateway.close().then(this.#exit)
    // A swap under way waits for the scripts' `init`; nobody waits for that any more.
    setTimeout(this.#exit, STOP_TIMEOUT)
  }

  /** The supervisor has gone: nobody would replace this worker, or tell it anything. */
  onOrphaned(): void {
    this.log('alert', 'the supervisor has gone')
    void this.drain()
  }

  get #running(): Gateway {
    if (this.#gateway === null) throw new Error('nothing is loaded yet')
    return this.#gateway
  }

  /** @throws ServerChangeError */
  #group(name: string): LiveGroup {
    return groupNamed(this.#running.generation.upstreams, name)
  }

  /** This worker's answers from name servers may be newer than those of the one that planned. */
  #setServers(name: string, servers: readonly ServerOptions[]): void {
    const live = this.#group(name)
    live.replace(withOwnAddresses(servers, live.servers))
  }

  #stored(group: string): StoreServers | null {
    return this.#running.generation.upstreams.named(group)?.stored ?? null
  }

  async #load(load: Load): Promise<Prepared> {
    const { model, prefix, worker, generation, scripts } = load
    try {
      await this.#gateway?.close()
      this.#worker = worker
      this.#news.push(...load.peers)
      const gateway = createGateway(model, {
        prefix,
        worker,
        store: new WorkerStore(this.#channel, model.http?.storeTimeout ?? STORE_TIMEOUT),
        limits: new MachineLimits(this.#channel, STORE_TIMEOUT),
        peerCounts: this.#counts,
        onPeer: (group, peer, event) => this.#channel.tell('peer', newsOf(group, peer, event, worker)),
        changedServers: new Map(load.servers),
        onRemoval: (removal) => this.#channel.tell('removal', removal),
        clearPath: (path) => this.#channel.ask('clear path', CLEAR_TIMEOUT, path),
      })
      this.#gateway = gateway
      this.#metrics = new GatewayMetrics(gateway)
      if (scripts !== null) gateway.restore(scripts)
    } catch (error) {
      return { kind: 'refused', refusal: refusalOf(error) }
    }
    return this.#prepare(generation, { kind: 'start' })
  }

  async #prepare(id: number, change: Change): Promise<Prepared> {
    try {
      const prepared = await this.#running.prepare(change, id)
      if (prepared === null) return { kind: 'same' }
      this.#prepared = prepared
      return { kind: 'ready', digests: prepared.digests }
    } catch (error) {
      return { kind: 'refused', refusal: refusalOf(error) }
    }
  }

  #commit(): SwapResult {
    if (this.#prepared === null) throw new Error('nothing is prepared')
    const prepared = this.#prepared
    this.#prepared = null
    const result = prepared.commit()
    for (const news of this.#news.splice(0)) this.#hear(news, true)
    return result
  }

  #discard(): void {
    this.#prepared?.discard()
    this.#prepared = null
  }

  #standing(): Standing {
    const gateway = this.#running
    return {
      watchScripts: gateway.generation.watchScripts,
      scriptFiles: gateway.scriptFiles,
      addresses: gateway.addresses,
      scripts: gateway.snapshot(),
    }
  }

  #hear(news: PeerNews, isNew = false): void {
    const gateway = this.#running
    if (gateway.liveGenerations === 0) {
      if (!this.#leaving) this.#news.push(news)
      return
    }
    const group = gateway.generation.upstreams.named(news.group)?.live.group
    if (group?.shared) hear(group, news, this.#worker, isNew)
  }
}
