/**
 * How often each key has come: the states of one `limit_req_zone`, bounded in bytes, the least recently used gone
 * first. The arithmetic is that of nginx: excess over the rate in thousandths of a request, whole milliseconds.
 * Knows no requests; every call is atomic as it is synchronous.
 */
import { LRUCache } from 'lru-cache'

interface State {
  excess: number
  /** ms on the monotonic clock. */
  last: number
}

/** What one request counts, in thousandths. */
const ONE = 1000
/** A state that has been idle so long, ms, goes when another key comes, if nothing is left of its excess. */
const IDLE = 60_000
/** What nginx's state takes beside its key, bytes: node, list, numbers. */
const OVERHEAD = 80

/** There is no room for the key, whoever goes. */
export const NO_ROOM = -1

export interface ZoneOptions {
  readonly name: string
  /** Bytes, as nginx would use them. */
  readonly size: number
  /** ms on a monotonic clock; for tests. */
  readonly now?: () => number
}

export class RateZone {
  readonly name: string
  readonly size: number
  /** Decisions that the store should have made and this zone did. */
  missed = 0
  /** The store did not answer when it was last asked. */
  alone = false
  readonly #now: () => number
  readonly #room: number
  readonly #states: LRUCache<string, State>

  constructor({ name, size, now = monotonic }: ZoneOptions) {
    this.name = name
    this.size = size
    this.#now = now
    this.#room = slabRoom(size)
    this.#states = new LRUCache({ maxSize: this.#room })
  }

  /** Keys that it has a state of. */
  get keys(): number {
    return this.#states.size
  }

  /**
   * What one more request would stand above the rate, in thousandths; nothing is counted.
   * @param rate thousandths of a request per second
   */
  look(key: string, rate: number): number {
    const state = this.#states.get(key)
    return state === undefined ? 0 : excessOf(state, rate, this.#elapsed(state, this.#now()))
  }

  /** As `look`, and counts the request unless it stands above `most`. NO_ROOM: the key cannot be counted. */
  take(key: string, rate: number, most: number): number {
    const now = this.#now()
    const state = this.#states.get(key)
    if (state === undefined) return this.#add(key, rate, now)
    const ms = this.#elapsed(state, now)
    const excess = excessOf(state, rate, ms)
    if (excess > most) return excess
    state.excess = excess
    if (ms > 0) state.last = now
    return excess
  }

  /** The first request of a key is within every rate. */
  #add(key: string, rate: number, now: number): number {
    const size = slabSize(OVERHEAD + key.length)
    if (size > this.#room) return NO_ROOM
    this.#forgetIdle(rate, now)
    this.#states.set(key, { excess: 0, last: now }, { size })
    return 0
  }

  #elapsed(state: State, now: number): number {
    return Math.max(0, now - state.last)
  }

  /** At most two, so that what comes never waits long for what has gone. */
  #forgetIdle(rate: number, now: number): void {
    for (let left = 2; left > 0; left--) {
      const { value: key, done } = this.#states.rkeys().next()
      if (done) return
      const state = this.#states.peek(key as string)!
      const ms = now - state.last
      if (ms < IDLE || excessOf(state, rate, ms) > ONE) return
      this.#states.delete(key as string)
    }
  }
}

function excessOf({ excess }: State, rate: number, ms: number): number {
  return Math.max(0, excess - Math.floor((rate * ms) / 1000) + ONE)
}

function monotonic(): number {
  return Math.floor(performance.now())
}

const PAGE = 4096
/** A page and nginx's note of it. */
const PAGE_SPAN = PAGE + 24

/** Bytes of a zone that its states may take. */
export function slabRoom(size: number): number {
  return Math.floor(size / PAGE_SPAN) * PAGE
}

/** What a piece of memory takes in nginx's slabs: a power of two, or whole pages. */
export function slabSize(bytes: number): number {
  if (bytes > PAGE / 2) return Math.ceil(bytes / PAGE) * PAGE
  return 2 ** Math.ceil(Math.log2(bytes))
}
