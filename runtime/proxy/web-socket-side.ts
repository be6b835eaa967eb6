/**
 * One side of a relayed WebSocket: its frames in and out, its share of the close handshake, pings and pongs, and how
 * much waits for it. Knows nothing of the other side or of hooks.
 */
import type { Socket } from 'node:net'
import type { WebSocketSide as SideName } from '../phases.ts'
import type { Deflate } from '../ws/deflate.ts'
import { Found, MessageReader } from '../ws/message-reader.ts'
import { type FrameSink, MessageWriter } from '../ws/message-writer.ts'

/** More than this waits to be compressed: the side counts as full. */
const HIGH_WATER = 65536

/** The connection of a side. */
export interface Wire {
  readonly socket: Socket
  pause(): void
  resume(): void
}

export interface SideOptions {
  readonly name: SideName
  readonly wire: Wire
  readonly deflate: Deflate | null
  readonly maxMessage: number
  /** What has not left is kept for another connection. */
  readonly keeps: boolean
  /** A message may be ready that was not, or there is room that was not. */
  readonly moved: () => void
  /** Bytes were written; null: nobody counts them. */
  readonly sent: ((bytes: number) => void) | null
}

export class Side implements FrameSink {
  readonly name: SideName
  readonly reader: MessageReader
  readonly writer: MessageWriter
  readonly #options: SideOptions
  readonly #socket: Socket
  /** Nothing more will be read: it has ended, or is gone. */
  ended = false
  /** Its close frame has come. */
  closeReceived = false
  /** It broke the protocol: nothing that it sends is understood any more. */
  broken = false
  /** Its connection is of no more use. */
  gone = false
  #paused = false
  /** Something came since the last look of `beat`. */
  #heard = true
  #pinged = false
  /** The newest ping whose answer waits for room. RFC 6455 section 5.5.3 lets the older ones go unanswered. */
  #pongDue: Buffer | null = null

  constructor(options: SideOptions) {
    const { deflate, maxMessage, keeps, moved } = options
    // Frames from a client are masked, frames to an upstream are.
    const fromClient = options.name === 'client'
    this.name = options.name
    this.#options = options
    this.#socket = options.wire.socket
    this.reader = new MessageReader({ masked: fromClient, maxMessage, deflate, wake: moved })
    this.writer = new MessageWriter(this, { masked: !fromClient, deflate, keeps })
  }

  // ---- reading ----

  push(chunk: Buffer): void {
    this.#heard = true
    this.reader.push(chunk)
  }

  pause(): void {
    if (this.#paused || this.gone) return
    this.#paused = true
    this.#options.wire.pause()
  }

  resume(): void {
    if (!this.#paused || this.gone) return
    this.#paused = false
    this.#heard = true
    this.#options.wire.resume()
  }

  /** Reads no more while there is something that cannot be handled yet. */
  hold(): void {
    if (this.reader.pending > 0) this.pause()
  }

  /** Looks for its close frame and for nothing else. */
  readClose(): void {
    let found: Found = Found.PING
    while (found !== Found.NOTHING && found !== Found.WAIT) {
      found = this.reader.next()
      if (found === Found.CLOSE) this.closeReceived = true
      else if (found === Found.FAULT) this.broken = true
    }
  }

  // ---- writing ----

  /** Bytes that wait for it. */
  get buffered(): number {
    return this.#socket.writableLength + this.writer.waiting
  }

  /** Whoever sends to it should wait. */
  get full(): boolean {
    return this.#socket.writableNeedDrain || this.writer.waiting > HIGH_WATER
  }

  cork(): void {
    this.#socket.cork()
  }

  uncork(): void {
    this.#socket.uncork()
  }

  /** The close handshake is done, or cannot be. */
  get done(): boolean {
    return this.gone || (this.writer.closed && (this.closeReceived || this.ended))
  }

  answerPing(payload: Buffer): void {
    if (this.#socket.writableNeedDrain) this.#pongDue = Buffer.from(payload)
    else this.writer.pong(payload)
  }

  drained(): void {
    const due = this.#pongDue
    this.#pongDue = null
    if (due !== null) this.writer.pong(due)
  }

  write(frame: Uint8Array, taken: (() => void) | null): void {
    if (this.gone) return
    this.#options.sent?.(frame.length)
    if (taken === null) this.#socket.write(frame)
    else this.#socket.write(frame, (error) => error == null && taken())
  }

  write2(header: Uint8Array, payload: Uint8Array, taken: (() => void) | null): void {
    this.#socket.cork()
    this.write(header, null)
    this.write(payload, taken)
    this.#socket.uncork()
  }

  idle(): void {
    this.#options.moved()
  }

  // ---- signs of life ----

  /** Once every `ws_ping_interval`: asks a silent side for a sign of life. false: it was asked the last time. */
  beat(): boolean {
    if (this.#paused) return true
    if (this.#heard) {
      this.#heard = this.#pinged = false
      return true
    }
    if (this.#pinged) return false
    this.#pinged = true
    this.writer.ping()
    return true
  }

  /**
   * Both have said goodbye: a client is left to close the connection, an upstream's is closed (it does so first, or has
   * nothing to lose). Who broke the protocol may still be sending, and would lose our close frame to a reset.
   */
  leave(): void {
    if (this.gone) return
    if (this.done && this.name === 'upstream') this.#socket.destroySoon()
    else this.#socket.end()
  }

  /** Nothing is read or written any more. */
  dispose(): void {
    this.gone = true
    this.reader.dispose()
    this.writer.dispose()
    this.#options.deflate?.dispose()
  }
}
