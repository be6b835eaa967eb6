/**
 * Idle connections to the peers of a group, as nginx's keepalive module keeps them: the one used last is used first;
 * when there are too many, all peers together, the one idle longest is closed. Knows addresses and when to let go,
 * nothing of what a connection speaks.
 *
 *   oldest <-> ... <-> newest      one list over all peers, by the time of `put`: full and timeout take from its left
 *   top -> below -> below          one stack for each address: `take` pops it
 */
import { KEEPALIVE_DEFAULTS } from './options.ts'
import type { Peer } from './peer.ts'

/** A connection that may serve one request after another. */
export interface Reusable {
  /** Requests sent over it so far. */
  readonly requests: number
  /** ms since the epoch. */
  readonly openedAt: number
  /** Where it stands among the idle ones: the pool's own to read and to set. null at first. */
  place: Place | null
  close(): void
}

export interface IdlePoolOptions {
  /** Idle connections kept in all (`keepalive`); 0: none. */
  readonly size: number
  /** ms that one may be idle (`keepalive_timeout`); 0: none is kept. */
  readonly timeout: number
  /** Requests after which a connection is not kept (`keepalive_requests`). */
  readonly requests?: number
  /** ms after which a connection is not kept (`keepalive_time`). */
  readonly time?: number
}

/** A timer longer than this would fire at once. */
const LONGEST_TIMER = 0x7fffffff

/** A connection's place in the lists of one pool after the other; made at its first `put`. */
export class Place {
  readonly connection: Reusable
  stack: Stack | null = null
  since = 0
  older: Place | null = null
  newer: Place | null = null
  above: Place | null = null
  below: Place | null = null

  constructor(connection: Reusable) {
    this.connection = connection
  }
}

/** The idle connections to one address. */
interface Stack {
  readonly address: string
  readonly pool: object
  top: Place | null
}

export class IdlePool<T extends Reusable> {
  readonly #size: number
  readonly #timeout: number
  readonly #requests: number
  readonly #time: number
  readonly #stacks = new Map<string, Stack>()
  #oldest: Place | null = null
  #newest: Place | null = null
  #count = 0
  #timer: NodeJS.Timeout | null = null
  #closed = false
  /** The pool that took this one's place. */
  #successor: IdlePool<T> | null = null

  constructor(options: IdlePoolOptions) {
    this.#size = options.timeout > 0 ? options.size : 0
    this.#timeout = options.timeout
    this.#requests = options.requests ?? KEEPALIVE_DEFAULTS.requests
    this.#time = options.time ?? KEEPALIVE_DEFAULTS.time
  }

  /** Idle connections kept now. */
  get count(): number {
    return this.#successor?.count ?? this.#count
  }

  /** The connection to this peer's address that was used last, or null. */
  take(peer: Peer): T | null {
    if (this.#successor !== null) return this.#successor.take(peer)
    const place = this.#stacks.get(peer.address.text)?.top ?? null
    if (place === null) return null
    this.#unlink(place)
    return place.connection as T
  }

  /**
   * Keeps a connection whose exchange is over, or closes it when it has served its time, its requests, none may be kept,
   * or its peer has left the group. Closes the one that has been idle longest when there would be too many.
   * @throws Error when it is here already
   */
  put(peer: Peer, connection: T): void {
    if (this.#successor !== null) {
      this.#successor.put(peer, connection)
      return
    }
    const now = Date.now()
    const worn = connection.requests >= this.#requests || now - connection.openedAt > this.#time
    if (worn || this.#closed || this.#size === 0 || peer.gone) connection.close()
    else this.#keep(peer.address.text, connection, now)
  }

  /** Forgets a connection that its peer closed. One that is not idle here is none of its business. */
  remove(connection: T): void {
    if (this.#successor !== null) this.#successor.remove(connection)
    const { place } = connection
    if (place?.stack?.pool === this) this.#unlink(place)
  }

  /** Closes the idle connections to all other addresses. */
  keepOnly(addresses: ReadonlySet<string>): void {
    for (const [address, stack] of this.#stacks) {
      if (addresses.has(address)) continue
      while (stack.top !== null) this.#drop(stack.top)
      this.#stacks.delete(address)
    }
  }

  /** Closes all idle connections, and from now on every one that is put. What a successor has taken over stays its own. */
  closeAll(): void {
    this.#closed = true
    while (this.#oldest !== null) this.#drop(this.#oldest)
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /**
   * Takes over the idle connections of the pool that this one replaces, and every one that is put there later.
   * @throws Error when a pool would take over itself
   */
  adopt(previous: IdlePool<T>): void {
    if (previous.#final() === this.#final()) throw new Error('an idle pool cannot take over itself')
    for (let place = previous.#oldest; place !== null; place = previous.#oldest) {
      const { stack, connection, since } = place
      previous.#unlink(place)
      if (this.#size === 0 || this.#closed) connection.close()
      else this.#keep(stack!.address, connection, since)
    }
    previous.closeAll()
    previous.#successor = this
  }

  #final(): IdlePool<T> {
    return this.#successor === null ? this : this.#successor.#final()
  }

  #keep(address: string, connection: Reusable, since: number): void {
    const place = (connection.place ??= new Place(connection))
    if (place.stack !== null) throw new Error('a connection was put into its idle pool twice')
    if (this.#count >= this.#size) this.#drop(this.#oldest!)
    place.since = since
    this.#link(place, this.#stackOf(address))
    if (this.#timer === null) this.#schedule(this.#timeout)
  }

  #stackOf(address: string): Stack {
    let stack = this.#stacks.get(address)
    if (stack === undefined) {
      stack = { address, pool: this, top: null }
      this.#stacks.set(address, stack)
    }
    return stack
  }

  #link(place: Place, stack: Stack): void {
    place.stack = stack
    place.below = stack.top
    if (stack.top !== null) stack.top.above = place
    stack.top = place
    place.older = this.#newest
    if (this.#newest !== null) this.#newest.newer = place
    else this.#oldest = place
    this.#newest = place
    this.#count++
  }

  #unlink(place: Place): void {
    const { stack, above, below, older, newer } = place
    if (above !== null) above.below = below
    else stack!.top = below
    if (below !== null) below.above = above
    if (older !== null) older.newer = newer
    else this.#oldest = newer
    if (newer !== null) newer.older = older
    else this.#newest = older
    place.stack = place.above = place.below = place.older = place.newer = null
    this.#count--
  }

  #drop(place: Place): void {
    this.#unlink(place)
    place.connection.close()
  }

  /** One timer for all: it looks at the oldest only, and does not keep the process alive. */
  #schedule(ms: number): void {
    this.#timer = setTimeout(() => this.#sweep(), Math.min(ms, LONGEST_TIMER))
    this.#timer.unref()
  }

  #sweep(): void {
    this.#timer = null
    const now = Date.now()
    while (this.#oldest !== null && now - this.#oldest.since >= this.#timeout) this.#drop(this.#oldest)
    // A clock that was set back must not make a connection stay longer than one more timeout.
    if (this.#oldest !== null)
      this.#schedule(Math.min(this.#timeout, this.#oldest.since + this.#timeout - now))
  }
}
