/**
 * Which peer a try goes to, and which ones were tried before: the group as the balancer hook sees it, what that hook
 * has chosen, and the record of each try. Knows nothing of connections or messages.
 */
import type { BalancerView, PeerInfo } from '../phases.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import type { Peer } from '../upstream/peer.ts'
import type { Selection } from '../upstream/selection.ts'
import type { Exchange } from './exchange.ts'
import { peerInfos } from './peer-infos.ts'
import type { ProxyPlan, ProxyTarget } from './plan.ts'
import { UpstreamTry } from './upstream-try.ts'

export class UpstreamChoice implements BalancerView {
  readonly x: Exchange
  readonly plan: ProxyPlan
  readonly target: ProxyTarget
  readonly selection: Selection
  connectTimeout: number
  sendTimeout: number
  readTimeout: number
  lastFailure: string | null = null
  /** Peer chosen by the balancer hook for this try; -1: none. */
  chosen = -1
  peer: Peer | null = null
  record: UpstreamTry | null = null

  constructor(x: Exchange, plan: ProxyPlan, target: ProxyTarget) {
    const settings = plan.settings
    this.x = x
    this.plan = plan
    this.target = target
    this.connectTimeout = settings.proxyConnectTimeout
    this.sendTimeout = settings.proxySendTimeout
    this.readTimeout = settings.proxyReadTimeout
    this.selection = target.live.group.select(target.key === null ? '' : target.key(x))
    this.selection.capTries(settings.proxyNextUpstreamTries)
  }

  /** As it was when this request began: indexes are of this one, whatever servers have come or gone since. */
  get group(): UpstreamGroup {
    return this.selection.group
  }

  /** Servers have come, gone or changed since this request began. */
  get isOutdated(): boolean {
    return this.group !== this.target.live.group
  }

  // ---- BalancerView: what the balancer hook sees ----

  get name(): string {
    return this.group.name
  }

  get peers(): readonly PeerInfo[] {
    return peerInfos(this.group)
  }

  get tries(): number {
    return this.selection.previous
  }

  hash(key: string, consistent: boolean): number {
    return this.selection.peek(consistent ? 'hash consistent' : 'hash', key)
  }

  roundRobin(): number {
    return this.selection.peek('round_robin', '')
  }

  leastConn(): number {
    return this.selection.peek('least_conn', '')
  }

  random(): number {
    return this.selection.peek('random', '')
  }

  ipHash(): number {
    return this.selection.peek('ip_hash', this.x.remoteAddress)
  }

  /** What the group's own method would choose now, without taking it; -1: none is eligible. */
  configured(): number {
    return this.selection.peekConfigured()
  }

  setTimeouts(connect: number | undefined, send: number | undefined, read: number | undefined): void {
    if (connect !== undefined) this.connectTimeout = connect
    if (send !== undefined) this.sendTimeout = send
    if (read !== undefined) this.readTimeout = read
  }

  setMoreTries(count: number): void {
    this.selection.setMoreTries(count)
  }

  choose(index: number): void {
    if (!(index >= 0 && index < this.group.peers.length)) throw new RangeError('no such peer')
    this.chosen = index
  }

  // ---- taking peers ----

  /** Takes the peer for this try; null: no live upstreams. */
  nextPeer(): Peer | null {
    const peer = this.chosen >= 0 ? this.selection.take(this.chosen) : this.selection.next()
    this.chosen = -1
    this.peer = peer
    if (peer === null) return null
    this.#note((this.record = new UpstreamTry(peer.address.text, this.group.name)))
    return peer
  }

  /** `$upstream_addr` is the group's name when no peer could be taken, as in nginx. */
  noPeer(): void {
    const { name } = this.group
    const record = new UpstreamTry(name, name)
    record.status = 502
    record.responseTime = 0
    this.#note(record)
  }

  #note(record: UpstreamTry): void {
    const { x } = this
    record.redirectBefore = x.triesBroken
    x.triesBroken = false
    if (x.tries === null) x.tries = [record]
    else x.tries.push(record)
  }
}
