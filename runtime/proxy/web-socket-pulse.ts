/** `ws_ping_interval`: finds sides of a WebSocket that are dead without having said so. */
import { Deadline } from '../lib/deadline.ts'
import type { Exchange } from './exchange.ts'
import type { WebSocketPair } from './web-socket-pair.ts'
import type { Side } from './web-socket-side.ts'

export class Pulse {
  readonly #x: Exchange
  readonly #died: (side: Side) => void
  readonly #deadline = new Deadline(() => this.#beat())
  #pair: WebSocketPair | null = null

  constructor(x: Exchange, died: (side: Side) => void) {
    this.#x = x
    this.#died = died
  }

  /** Begins anew, with the interval that holds now. */
  start(pair: WebSocketPair): void {
    this.#pair = pair
    const interval = this.#x.location.settings.wsPingInterval
    if (interval > 0) this.#deadline.arm(interval)
    else this.#deadline.disarm()
  }

  stop(): void {
    this.#pair = null
    this.#deadline.dispose()
  }

  /** A side that has neither sent anything since the last ping nor answered it is dead. */
  #beat(): void {
    const pair = this.#pair!
    for (const side of [pair.client, pair.upstream]) {
      if (side.gone || side.beat()) continue
      this.#x.log('info', `${side.name} does not answer pings of a WebSocket`)
      this.#died(side)
    }
    if (this.#pair !== null) this.start(pair)
  }
}
