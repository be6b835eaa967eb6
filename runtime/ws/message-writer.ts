/**
 * Messages and control frames of one side to bytes, in order even while one of them is being compressed. Does no I/O:
 * bytes go to a sink.
 */
import { closePayload } from './close-codes.ts'
import type { Deflate } from './deflate.ts'
import { encodeFrame, encodeHeader, Opcode } from './frame-writer.ts'

/** Where frames go. */
export interface FrameSink {
  /** @param taken to be called when the kernel has the frame; null: nobody asks */
  write(frame: Uint8Array, taken: (() => void) | null): void
  /** A header and its payload, in one go. */
  write2(header: Uint8Array, payload: Uint8Array, taken: (() => void) | null): void
  /** Nothing waits in the writer any more. */
  idle(): void
}

export interface MessageWriterOptions {
  /** Towards a server. */
  readonly masked: boolean
  readonly deflate: Deflate | null
  /** Messages that have not left are kept for `unsent`. */
  readonly keeps: boolean
}

interface Queued {
  readonly opcode: Opcode
  readonly payload: Uint8Array
}

/** Payloads from here on are not copied behind their header. */
const LARGE = 8192

export class MessageWriter {
  /** The close frame has been handed to the sink: nothing follows. */
  closed = false
  /** Payload bytes that wait for those before them. */
  waiting = 0
  readonly #sink: FrameSink
  readonly #masked: boolean
  readonly #deflate: Deflate | null
  readonly #keeps: boolean
  readonly #queue: Queued[] = []
  #compressing: Queued | null = null
  #disposed = false
  /** Messages handed to the sink that the kernel has not taken whole. */
  readonly #leaving: Queued[] = []
  #closing = false

  constructor(sink: FrameSink, options: MessageWriterOptions) {
    this.#sink = sink
    this.#masked = options.masked
    this.#deflate = options.deflate
    this.#keeps = options.keeps
  }

  /** A close frame has been written, or waits for what is before it. */
  get closing(): boolean {
    return this.#closing
  }

  /** @param payload is not to be changed any more */
  message(payload: Uint8Array, binary: boolean): void {
    if (this.#closing) return
    this.#add({ opcode: binary ? Opcode.BINARY : Opcode.TEXT, payload })
  }

  /** Not held up by messages that wait. */
  ping(): void {
    if (!this.#closing) this.#frame(Opcode.PING, NO_BYTES)
  }

  /** Not held up by messages that wait. */
  pong(payload: Uint8Array): void {
    if (!this.#closing) this.#frame(Opcode.PONG, payload)
  }

  /** The close frame, behind the messages that wait. A second one is none. @param code may be one of no frame */
  close(code: number, reason: string): void {
    if (this.#closing) return
    this.#add({ opcode: Opcode.CLOSE, payload: closePayload(code, reason) })
    this.#closing = true
  }

  /** What the peer cannot have read: to be sent elsewhere. Only of a writer that `keeps`. */
  unsent(): { payload: Uint8Array; binary: boolean }[] {
    const waiting = this.#compressing === null ? this.#queue : [this.#compressing, ...this.#queue]
    return [...this.#leaving, ...waiting]
      .filter(({ opcode }) => opcode !== Opcode.CLOSE)
      .map(({ opcode, payload }) => ({ payload, binary: opcode === Opcode.BINARY }))
  }

  dispose(): void {
    this.#disposed = true
    this.#closing = true
    this.#queue.length = 0
    this.waiting = 0
  }

  #add(entry: Queued): void {
    if (this.#compressing !== null) {
      this.#queue.push(entry)
      this.waiting += entry.payload.length
    } else this.#send(entry)
  }

  #send(entry: Queued): void {
    const { opcode, payload } = entry
    const deflate = this.#deflate
    if (opcode !== Opcode.CLOSE && deflate?.worthwhile(payload.length)) {
      this.#compressing = entry
      this.waiting += payload.length
      deflate.deflate(payload, (data) => this.#onDeflated(entry, data))
      return
    }
    this.#write(entry, payload, false)
  }

  #onDeflated(entry: Queued, data: Buffer): void {
    if (this.#disposed) return
    this.#compressing = null
    this.waiting -= entry.payload.length
    this.#write(entry, data, true)
    while (this.#queue.length > 0 && this.#compressing === null) {
      const next = this.#queue.shift()!
      this.waiting -= next.payload.length
      this.#send(next)
    }
    if (this.#compressing === null) this.#sink.idle()
  }

  #write(entry: Queued, data: Uint8Array, compressed: boolean): void {
    const { opcode } = entry
    const taken = this.#keeps && opcode !== Opcode.CLOSE ? this.#keep(entry) : null
    if (this.#masked || data.length < LARGE)
      this.#sink.write(encodeFrame(data, { opcode, compressed, masked: this.#masked }), taken)
    else this.#sink.write2(encodeHeader(data.length, opcode, compressed), data, taken)
    if (opcode === Opcode.CLOSE) this.closed = true
  }

  #frame(opcode: Opcode, payload: Uint8Array): void {
    this.#sink.write(encodeFrame(payload, { opcode, compressed: false, masked: this.#masked }), null)
  }

  /** The kernel takes messages in the order in which they were written. */
  #keep(entry: Queued): () => void {
    this.#leaving.push(entry)
    return () => void this.#leaving.shift()
  }
}

const NO_BYTES = new Uint8Array(0)
