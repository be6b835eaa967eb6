/**
 * One request's way through an upstream group: each try takes a peer and gives it back with a verdict. Counts the
 * tries left as nginx does. Whether a failure may be retried at all says `next-upstream.ts`.
 */
import type { UpstreamGroup } from './group.ts'
import { METHODS } from './methods.ts'
import type { Method } from './options.ts'
import type { Peer } from './peer.ts'
import { Search } from './search.ts'

/** How a try ended for its peer: `next` is an answer that only this request did not want (403, 404). */
export type Verdict = 'ok' | 'failed' | 'next'

export class Selection extends Search {
  readonly #key: string
  /** Tries given back to their peers. */
  #ended = 0
  #taken = 0
  /** Tries allowed in all; -1: not counted yet (it costs a walk over the peers that most requests never need). */
  #allowed = -1
  /** `proxy_next_upstream_tries`. */
  #cap = Infinity

  constructor(group: UpstreamGroup, key: string) {
    super(group)
    this.#key = key
  }

  /** Peers taken by this request so far. */
  get previous(): number {
    return this.#taken
  }

  /**
   * Tries left, the one under way included: at first the peers that are not down, backups too
   * (`proxy_next_upstream_tries` caps them).
   */
  get tries(): number {
    if (this.#allowed < 0) this.#allowed = Math.min(this.group.countUp(), this.#cap)
    return Math.max(0, this.#allowed - this.#ended)
  }

  /** Takes the peer that the group's method chooses; null: no live upstreams. */
  next(): Peer | null {
    const peer = this.group.pick(this, this.#key)
    if (peer !== null) this.#take(peer)
    return peer
  }

  /**
   * What a method would choose now, without taking it. A pick of `round_robin` and of ties advances its turn all the
   * same; the hashes give the same answer until that peer is taken, then go on with their sequence.
   * @param key of the hashes; the client's address for `ip_hash`
   * @returns index into the group's peers; -1: none is eligible
   * @throws RangeError for `hash consistent` when the weights are too large for a ring
   */
  peek(method: Method, key: string): number {
    return METHODS[method](this, key)?.index ?? -1
  }

  /** What the group's own method would choose, as `peek`. */
  peekConfigured(): number {
    return this.group.pick(this, this.#key)?.index ?? -1
  }

  /**
   * Takes the peer at this index of the group for this try, whatever its state.
   * @throws RangeError when there is none
   */
  take(index: number): Peer {
    const peer = this.group.peers[index]
    if (peer === undefined) {
      throw new RangeError(`no peer ${index} in upstream "${this.group.name}" of ${this.group.peers.length}`)
    }
    this.#take(peer)
    return peer
  }

  /** Ends a try. Each peer taken is released exactly once. */
  release(peer: Peer, verdict: Verdict): void {
    this.#ended++
    if (this.group.single) peer.endSingle()
    else if (verdict === 'failed') peer.endFailed(this.group.now)
    else peer.endWell()
  }

  /** The try met a kept connection that the peer had closed meanwhile: it does not count. After `release`. */
  giveBackTry(): void {
    this.#allowed = this.tries + this.#ended + 1
  }

  /** `proxy_next_upstream_tries`; 0: no limit. To be called before the first try. */
  capTries(limit: number): void {
    this.#cap = limit === 0 ? Infinity : limit
    this.#allowed = -1
  }

  /**
   * Allows `count` further tries after the one that is about to begin, within `capTries`; as OpenResty's
   * `set_more_tries`.
   * @throws RangeError when `count` is not a whole number from 0 on
   */
  setMoreTries(count: number): void {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(`the number of further tries must be a whole number from 0 on, not ${count}`)
    }
    this.#allowed = Math.min(this.#ended + 1 + count, this.#cap)
  }

  #take(peer: Peer): void {
    this.#taken++
    this.markTried(peer.index)
    peer.begin(this.group.now)
  }
}
