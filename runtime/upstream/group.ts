/**
 * An upstream group: its peers and its balancing method. Requests come through `select`. Its servers do not change: where
 * they do, another group takes its place (`live-group.ts`). Opens no connections; idle ones are kept by `keepalive.ts`.
 */
import type { PeerInfo } from '../phases.ts'
import { METHODS, WITHOUT_BACKUP } from './methods.ts'
import type { GroupOptions, Method, ServerOptions } from './options.ts'
import { Peer } from './peer.ts'
import type { PeerListener } from './peer-news.ts'
import { PeerSet } from './peer-set.ts'
import { Ring } from './ring.ts'
import type { Picker } from './search.ts'
import { Selection } from './selection.ts'

export class UpstreamGroup {
  readonly name: string
  readonly method: Method
  /** Primaries in configured order, then backups; one for each address. */
  readonly peers: readonly Peer[]
  readonly primary: PeerSet
  readonly backup: PeerSet | null
  /** One peer and no backup: it is used whatever its failures. */
  readonly single: boolean
  /** Failures are counted over all processes that share the group (`zone`). */
  readonly shared: boolean
  readonly pick: Picker
  /** Whole seconds. */
  readonly now: () => number
  /** From 0 to below 1. */
  readonly random: () => number
  /** The peers as scripts see them; null: nobody has asked yet. */
  infos: readonly PeerInfo[] | null = null
  #ring: Ring | null = null

  /**
   * @throws Error when no request could ever be balanced: no servers (unless `allowEmpty`), weights that are none, backups
   * beside a hash
   */
  constructor(options: GroupOptions, now: () => number = seconds, random: () => number = Math.random) {
    this.name = options.name
    this.method = options.method
    const primaries = options.servers.filter((server) => !server.backup)
    const backups = options.servers.filter((server) => server.backup)
    this.peers = makePeers([...primaries, ...backups])
    check(options, this.peers)
    const split = this.peers.findIndex((peer) => peer.backup)
    this.primary = new PeerSet(split === -1 ? this.peers : this.peers.slice(0, split))
    this.backup = split === -1 ? null : new PeerSet(this.peers.slice(split))
    this.single = this.peers.length === 1 && split === -1
    this.shared = options.shared ?? false
    this.pick = METHODS[options.method]
    this.now = now
    this.random = random
    if (options.method === 'hash consistent') this.#ring = new Ring(this.primary.peers)
  }

  /** The ring of `hash … consistent`; built at first use where the group's own method is another. @throws RangeError */
  get ring(): Ring {
    this.#ring ??= new Ring(this.primary.peers)
    return this.#ring
  }

  /** Has what happens to the peers of a shared group told to others. */
  tell(listener: PeerListener): void {
    if (!this.shared || this.single) return
    for (const peer of this.peers) peer.watch = (event) => listener(this, peer, event)
  }

  /**
   * Begins one request's choice of peers.
   * @param key the expanded key of `hash`, the client's address for `ip_hash`, else ''
   */
  select(key: string): Selection {
    return new Selection(this, key)
  }

  /** Texts of the peers' addresses. */
  get addresses(): ReadonlySet<string> {
    return new Set(this.peers.map(({ address }) => address.text))
  }

  /** Peers that are not marked down. */
  countUp(): number {
    let count = 0
    for (const peer of this.peers) if (!peer.down) count++
    return count
  }

  /**
   * Takes the place of `previous`: what is known of an address (failures, requests in flight, whose turn it is) stays
   * known, and requests that still end there count here. To be called once, when the new group goes into service.
   */
  adopt(previous: UpstreamGroup): void {
    const known = new Map<string, Peer[]>()
    for (const peer of previous.peers) {
      const same = known.get(peer.address.text)
      if (same === undefined) known.set(peer.address.text, [peer])
      else same.push(peer)
    }
    for (const peer of this.peers) {
      const same = known.get(peer.address.text)?.shift()
      if (same !== undefined) peer.adopt(same, (peer.backup ? this.backup! : this.primary).totalWeight)
    }
    for (const peers of known.values()) for (const peer of peers) peer.leave()
  }
}

function makePeers(servers: readonly ServerOptions[]): Peer[] {
  const peers: Peer[] = []
  for (const server of servers) {
    for (const address of server.addresses) peers.push(new Peer(server, address, peers.length))
  }
  return peers
}

function check({ name, method, allowEmpty }: GroupOptions, peers: readonly Peer[]): void {
  if (!allowEmpty && !peers.some((peer) => !peer.backup)) throw new Error(`no servers in upstream "${name}"`)
  for (const peer of peers) {
    if (!Number.isSafeInteger(peer.weight) || peer.weight < 1) {
      throw new Error(`the weight of "${peer.name}" in upstream "${name}" must be a whole number from 1 on`)
    }
    if (peer.backup && WITHOUT_BACKUP.has(method)) {
      throw new Error(`upstream "${name}": balancing method "${method}" does not allow backup servers`)
    }
  }
}

/** Seconds since the epoch that never go back. */
function seconds(): number {
  return Math.floor((performance.timeOrigin + performance.now()) / 1000)
}
