/**
 * The two connections under a relayed WebSocket: turns their events into events of a side, and counts bytes. What
 * messages mean is for the relay, which extends it.
 */
import type { WebSocketSide as SideName } from '../phases.ts'
import type { Deflate } from '../ws/deflate.ts'
import type { ClientConnection } from './client-connection.ts'
import type { Exchange } from './exchange.ts'
import type { UpstreamCall } from './upstream-call.ts'
import type { UpstreamConnection, UpstreamOwner } from './upstream-connection.ts'
import type { WebSocketOffer } from './web-socket-offer.ts'
import { Side, type Wire } from './web-socket-side.ts'

/** What happened to a side. */
export interface PairEvents {
  /** Bytes have come. */
  arrived(side: Side): void
  /** A message may be ready that was not, or there is room that was not. */
  moved(side: Side): void
  /** Nothing more will come. */
  ended(side: Side): void
}

export class WebSocketPair implements UpstreamOwner {
  readonly client: Side
  readonly connection: ClientConnection
  /** The present ones; another upstream may take their place. */
  upstream: Side
  upstreamConnection: UpstreamConnection
  /** Bytes from the upstream connection in use. */
  received = 0
  readonly #x: Exchange
  readonly #offer: WebSocketOffer
  readonly #events: PairEvents

  /** Takes the upstream's connection over at once, the client's as soon as `fromClient` is called. */
  constructor(x: Exchange, offer: WebSocketOffer, call: UpstreamCall, events: PairEvents) {
    const client = x.client as ClientConnection
    this.#x = x
    this.#offer = offer
    this.#events = events
    this.connection = client
    const wire = {
      socket: client.socket,
      pause: () => client.pauseBody(),
      resume: () => client.resumeBody(),
    }
    this.client = this.#side('client', wire, offer.clientDeflate)
    this.upstreamConnection = call.detach()
    this.upstream = this.#attach()
  }

  /** Another upstream. */
  replaceUpstream(call: UpstreamCall): void {
    this.received = 0
    this.upstreamConnection = call.detach()
    this.upstream = this.#attach()
  }

  other(side: Side): Side {
    return side === this.client ? this.upstream : this.client
  }

  named(name: SideName): Side {
    return name === 'client' ? this.client : this.upstream
  }

  /** Cuts a side off. */
  destroy(side: Side): void {
    if (side === this.client) this.connection.socket.destroy()
    else this.upstreamConnection.close()
    side.gone = true
  }

  dispose(): void {
    this.client.dispose()
    this.upstream.dispose()
  }

  #attach(): Side {
    const connection = this.upstreamConnection
    const wire = {
      socket: connection.socket,
      pause: () => connection.pause(),
      resume: () => connection.resumeReading(),
    }
    const early = connection.beginBody()
    const side = this.#side('upstream', wire, this.#offer.upstreamDeflate)
    if (early !== null) side.push(Buffer.from(early))
    connection.beginTunnel(this)
    return side
  }

  #side(name: SideName, wire: Wire, deflate: Deflate | null): Side {
    const { settings } = this.#x.location
    const side: Side = new Side({
      name,
      wire,
      deflate,
      maxMessage: this.#offer.maxMessage,
      keeps: name === 'upstream' && settings.wsReconnectTries > 0,
      moved: () => this.#events.moved(side),
      sent: name === 'client' ? (bytes) => this.#count(bytes) : null,
    })
    return side
  }

  #count(bytes: number): void {
    this.#x.bytesSent += bytes
    this.#x.bodyBytesSent += bytes
  }

  fromClient(chunk: Buffer): void {
    this.#x.requestLength += chunk.length
    this.client.push(chunk)
    this.#events.arrived(this.client)
  }

  // ---- the upstream's connection ----

  responseData(chunk: Buffer): boolean {
    this.received += chunk.length
    // The buffer is used again for the next read; messages may outlive it.
    this.upstream.push(Buffer.from(chunk))
    this.#events.arrived(this.upstream)
    return true
  }

  responseEnd(): void {
    this.ended(this.upstream, false)
  }

  failed(): void {
    this.ended(this.upstream, true)
  }

  drained(): void {
    this.drainedSide(this.upstream)
  }

  connected(): void {}

  responseHead(): void {}

  // ---- either ----

  ended(side: Side, gone: boolean): void {
    side.ended = true
    if (gone) side.gone = true
    this.#events.ended(side)
  }

  drainedSide(side: Side): void {
    side.drained()
    this.#events.moved(side)
  }
}
