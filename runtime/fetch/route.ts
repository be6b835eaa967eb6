/**
 * Where one request of a fetch may go: the peers of an upstream group, or the addresses of a host. Counts for a peer what
 * became of it. Opens no connections.
 */
import type { UpstreamGroup } from '../upstream/group.ts'
import type { Address } from '../upstream/options.ts'
import type { Peer } from '../upstream/peer.ts'
import type { Selection } from '../upstream/selection.ts'

export interface Route {
  /** Why there is nowhere to go, if nothing was tried. */
  readonly nowhere: string
  /** The next address; null: all were tried. */
  next(): Address | null
  /** The try has ended; `failed` counts against the peer. A second call does nothing. */
  end(verdict: 'ok' | 'failed'): void
}

export class GroupRoute implements Route {
  readonly nowhere: string
  readonly #selection: Selection
  #peer: Peer | null = null

  /** @param key of a hashing group, or the client's address for `ip_hash` */
  constructor(group: UpstreamGroup, key: string) {
    this.nowhere = `no live upstreams in ${group.name}`
    this.#selection = group.select(key)
  }

  next(): Address | null {
    if (this.#selection.tries === 0) return null
    this.#peer = this.#selection.next()
    return this.#peer === null ? null : this.#peer.address
  }

  end(verdict: 'ok' | 'failed'): void {
    if (this.#peer !== null) this.#selection.release(this.#peer, verdict)
    this.#peer = null
  }
}

export class AddressRoute implements Route {
  readonly nowhere = 'no address'
  readonly #addresses: Iterator<Address>

  constructor(addresses: readonly Address[]) {
    this.#addresses = addresses[Symbol.iterator]()
  }

  next(): Address | null {
    const { done, value } = this.#addresses.next()
    return done ? null : value
  }

  end(): void {}
}
