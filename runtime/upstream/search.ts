/**
 * What one request knows while it looks for a peer: which ones it tried, whether it has come to the backups, and how
 * far its hash sequence has got. The methods (`round-robin.ts`, `hash.ts`, …) read and move it; `Selection` is what the
 * rest of the program sees. Cheap to make: nothing but this object until a second peer is tried.
 */
import type { UpstreamGroup } from './group.ts'
import type { Method } from './options.ts'
import type { Peer } from './peer.ts'
import type { PeerSet } from './peer-set.ts'

/** Finds the next peer, or null if none is eligible; does not take it. */
export type Picker = (search: Search, key: string) => Peer | null

/** After so many unusable peers on its way a hash or a random draw gives up and round robin decides (nginx: 20). */
export const MAX_SKIPS = 20

const NO_BYTES: readonly number[] = []

export class Search {
  readonly group: UpstreamGroup
  /** Where to look: the primaries, and the backups for good once no primary was eligible. */
  set: PeerSet
  /** Hash so far (`hash`, `ip_hash`), or the position on the ring (`hash consistent`). */
  hash = 0
  /** How often the key was hashed (`hash`). */
  round = 0
  /** Unusable peers met. */
  skips = 0
  /** Bytes of the client's address (`ip_hash`). */
  bytes = NO_BYTES
  #method: Method | null = null
  #key = ''
  #chosen: Peer | null = null
  /** Index of the peer tried first; -1: none yet. */
  #firstTried = -1
  /** Bits of all tried ones, from the second on. */
  #tried: Uint32Array | null = null

  constructor(group: UpstreamGroup) {
    this.group = group
    this.set = group.primary
  }

  eligible(peer: Peer): boolean {
    return !peer.drain && this.takes(peer)
  }

  /** Whether a request that is bound to this peer may go there. */
  takes(peer: Peer): boolean {
    return !peer.down && !peer.full && !this.hasTried(peer.index) && !peer.resting(this.group.now)
  }

  hasTried(index: number): boolean {
    if (index === this.#firstTried) return true
    return this.#tried !== null && (this.#tried[index >>> 5]! & (1 << (index & 31))) !== 0
  }

  markTried(index: number): void {
    if (this.#firstTried === -1) {
      this.#firstTried = index
      return
    }
    this.#tried ??= new Uint32Array((this.group.peers.length + 31) >>> 5)
    this.#tried[index >>> 5]! |= 1 << (index & 31)
  }

  /** Goes on to the backups; false: there are none, or it is there already. */
  useBackups(): boolean {
    const { backup } = this.group
    if (backup === null || this.set === backup) return false
    this.set = backup
    return true
  }

  /**
   * Continues the sequence of this method and key (true), or begins a new one (false): a retry goes on where the try
   * before it stopped.
   */
  continues(method: Method, key: string): boolean {
    if (this.#method === method && this.#key === key) return true
    this.#method = method
    this.#key = key
    this.#chosen = null
    this.skips = 0
    return false
  }

  /** What the sequence chose last and was not taken: asking twice gives the same answer. */
  get pending(): Peer | null {
    const peer = this.#chosen
    return peer !== null && this.eligible(peer) ? peer : null
  }

  choose(peer: Peer): Peer {
    this.#chosen = peer
    return peer
  }
}
