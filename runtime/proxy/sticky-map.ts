/**
 * `sticky map=NAME key=…`: which peer a key belongs to stands in a session map, written down by whoever asks first. What this
 * worker knows is used without a wait.
 *
 *     known here --------------------------------> its peer
 *     in the store ------------------------------> its peer
 *     nowhere ---------> the method's choice, unless another was quicker: its choice
 *     its peer is gone, down or rests ----> the method's choice in its place (compare and set), or what is there now
 *     its peer is full, or was tried -----> the method's choice for this try alone
 *     the store is away (`on_error`) -----> a consistent hash of the key, owed to the store; or 503 (`closed`)
 */
import { createHash } from 'node:crypto'
import { Outcome } from '../phases.ts'
import { isOut, type SessionMap } from '../store/session-map.ts'
import type { Store } from '../store/store.ts'
import type { Peer } from '../upstream/peer.ts'
import type { Exchange } from './exchange.ts'
import type { Getter } from './plan.ts'
import { namesOf, Sticky, takePeer } from './sticky.ts'
import type { UpstreamCall } from './upstream-call.ts'

/** Bytes of a key as clients send it; a hash stands for what is longer. */
const MAX_KEY = 256
/** Entries that are being kept alive. */
const MAX_TOUCHED = 1000
/** ms between two lines on what fails. */
const QUIET = 1000
const NOT_ASCII = /[^\x00-\x7f]/
/** A peer was to be chosen, and none is eligible. */
const NO_PEER = new Error('no live upstreams')

export interface StickyMapOptions {
  readonly map: SessionMap
  readonly store: Store
  /** ms that an entry lives; in use it is kept alive. */
  readonly ttl: number
  readonly key: Getter
}

export function stickyMap(options: StickyMapOptions): Sticky {
  const binding = new MapBinding(options)
  return new Sticky((request) => binding.balance(request as Exchange))
}

class MapBinding {
  readonly #map: SessionMap
  readonly #store: Store
  readonly #ttl: number
  readonly #key: Getter
  readonly #touched = new Set<string>()
  #told = Number.NEGATIVE_INFINITY

  constructor({ map, store, ttl, key }: StickyMapOptions) {
    this.#map = map
    this.#store = store
    this.#ttl = ttl
    this.#key = key
  }

  balance(x: Exchange): Outcome {
    const text = this.#key(x)
    if (text === '') return Outcome.PASS
    const key = keyOf(text)
    const call = x.call!
    const entry = this.#store.peek(this.#map.name, key)
    if (entry) {
      this.#map.stats.hits++
      if (entry.expires - Date.now() < this.#ttl / 2) this.#keepAlive(key)
      const peer = peerOf(call, entry.value)
      if (peer !== undefined && !isLost(call, peer)) return takePeer(call, peer)
    }
    void this.#settle(x, call, key)
    return Outcome.SUSPENDED
  }

  async #settle(x: Exchange, call: UpstreamCall, key: string): Promise<void> {
    let outcome: Outcome
    try {
      outcome = await this.#find(call, key)
    } catch (error) {
      outcome = this.#without(x, call, key, error)
    }
    if (x.call === call) x.hookSettled(outcome)
  }

  async #find(call: UpstreamCall, key: string): Promise<Outcome> {
    const value = await this.#map.getOrSet(key, () => choice(call))
    const peer = peerOf(call, value)
    if (peer !== undefined && !isLost(call, peer)) return takePeer(call, peer)
    return takePeer(call, peerOf(call, await this.#map.replace(key, value, choice(call))))
  }

  /** The store does not answer, or refuses. */
  #without(x: Exchange, call: UpstreamCall, key: string, error: unknown): Outcome {
    if (error === NO_PEER) return Outcome.PASS
    const map = this.#map
    const isStores = isOut(error)
    if (map.onError === 'closed' || !isStores) {
      const message = `sticky map "${map.name}": ${(error as Error).message}`
      this.#tell(x, message)
      if (isStores) {
        x.answer(503, [], null)
        return Outcome.ANSWER
      }
      x.fail('balancer', message)
      return Outcome.FAILED
    }
    const index = call.hash(toBytes(key), true)
    if (index < 0) return Outcome.PASS
    map.owe(key, JSON.stringify(namesOf(call.group).name(index)))
    call.choose(index)
    return Outcome.PEER
  }

  /** While the store is away every request fails alike: a line a second says so. */
  #tell(x: Exchange, message: string): void {
    const now = performance.now()
    if (now - this.#told < QUIET) return
    this.#told = now
    x.log('error', message)
  }

  /** Those who come again and again do not lose their peer. */
  #keepAlive(key: string): void {
    if (this.#touched.has(key) || this.#touched.size >= MAX_TOUCHED) return
    this.#touched.add(key)
    const done = () => this.#touched.delete(key)
    this.#map.touch(key).then(done, done)
  }
}

/** What the group's method chooses, as the map holds it. @throws NO_PEER */
function choice(call: UpstreamCall): string {
  const index = call.configured()
  if (index < 0) throw NO_PEER
  return JSON.stringify(namesOf(call.group).name(index))
}

function peerOf(call: UpstreamCall, value: string | Uint8Array): Peer | undefined {
  if (typeof value !== 'string' || value.length < 2 || value.charCodeAt(0) !== 0x22) return undefined
  return namesOf(call.group).byName(value.slice(1, -1))
}

/** Its key is to go elsewhere from now on. */
function isLost(call: UpstreamCall, peer: Peer): boolean {
  const { group } = call
  return peer.down || (!group.single && peer.resting(group.now))
}

/** As scripts have it: text. What is too long for a key is known by its hash. */
function keyOf(text: string): string {
  if (text.length > MAX_KEY)
    return `sha256:${createHash('sha256').update(text, 'latin1').digest('base64url')}`
  return NOT_ASCII.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text
}

function toBytes(key: string): string {
  return NOT_ASCII.test(key) ? Buffer.from(key, 'utf8').toString('latin1') : key
}
