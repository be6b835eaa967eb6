/**
 * `ws_reconnect`: looks for another upstream for an open WebSocket by the journey's own steps, from the balancer on,
 * and keeps meanwhile what was meant for it. Each try takes one peer. Peers that this WebSocket has not tried come at
 * once; after them the search begins anew, each time a little later.
 */
import type { ClientConnection } from './client-connection.ts'
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'
import { moveToCurrent } from './web-socket-move.ts'

/** ms before the search begins anew, doubled each time. */
const FIRST_PAUSE = 100
const LONGEST_PAUSE = 2000
/** An upstream that has lasted as long, ms, is no failed try. */
const STEADY = 5000

export class Reconnection {
  /** Bytes kept. */
  bytes = 0
  readonly #x: Exchange
  readonly #gaveUp: () => void
  #kept: { payload: Uint8Array; binary: boolean }[] = []
  #tries = 0
  /** Peers that this call had taken before the try under way. */
  #taken = 0
  #pause = FIRST_PAUSE
  #timer: NodeJS.Timeout | null = null
  /** ms since the epoch when the last search ended well. */
  #openedAt = 0

  constructor(x: Exchange, gaveUp: () => void) {
    this.#x = x
    this.#gaveUp = gaveUp
  }

  /** Tries for each loss; 0: `ws_reconnect off`. */
  get allowed(): number {
    return this.#x.location.settings.wsReconnectTries
  }

  keep(payload: Uint8Array, binary: boolean): void {
    this.#kept.push({ payload, binary })
    this.bytes += payload.length
  }

  /** What is to be sent to the new upstream first. */
  takeKept(): readonly { readonly payload: Uint8Array; readonly binary: boolean }[] {
    const kept = this.#kept
    this.#kept = []
    this.bytes = 0
    return kept
  }

  /** The upstream is lost. One that comes and goes is tried no more often than one that does not come. */
  start(): void {
    if (Date.now() - this.#openedAt >= STEADY) {
      this.#tries = 0
      this.#pause = FIRST_PAUSE
    }
    if (this.#tries === 0) this.#next()
    else this.#later(this.#pause)
  }

  /** Another upstream has taken its place. */
  succeeded(): void {
    this.#openedAt = Date.now()
  }

  /** Goes to the balancer, in the generation and the group that serve now. */
  #next(): void {
    const x = this.#x
    const before = x.generation
    moveToCurrent(x, x.client as ClientConnection)
    if (x.generation !== before || x.call?.isOutdated) x.call = null
    if (this.#tries++ >= this.allowed || x.location.content.kind !== 'proxy') {
      this.#gaveUp()
      return
    }
    this.#taken = x.call?.selection.previous ?? 0
    x.relay!.offer.renew()
    x.hookIndex = 0
    x.settled = -1
    x.generation.services.resume(x, Step.BALANCE)
  }

  /** A try has failed. */
  failed(): Step {
    const { call } = this.#x
    this.#x.status = 101
    this.#x.failedPhase = null
    const taken = call?.selection.previous ?? 0
    // A try that found no live upstream would find none a moment later either.
    const more = taken > this.#taken && taken < call!.group.peers.length
    if (!more) this.#x.call = null
    this.#later(more || this.#tries >= this.allowed ? 0 : this.#pause)
    return Step.SUSPENDED
  }

  /** Not from within the steps that failed. */
  #later(pause: number): void {
    if (pause > 0) this.#pause = Math.min(2 * pause, LONGEST_PAUSE)
    this.#timer = setTimeout(() => this.#next(), pause)
  }

  /** Nobody waits for another upstream any more. @param early the search has not begun: a `ws*` hook still runs */
  stop(early: boolean): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    const x = this.#x
    x.call?.abandon()
    if (!early) x.generation.abandonHook(x)
    x.balancer = null
  }
}
