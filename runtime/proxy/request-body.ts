/**
 * The body of a request: decodes its framing and hands the bytes to whoever wants them — memory and then a
 * temporary file (`proxy_request_buffering on`), the upstream as they come (`off`), or nobody (discarded so that the
 * connection can be used again). Knows no sockets: the transport pushes bytes, asks whether to pause.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { ChunkedDecoder } from '../http1/chunked.ts'
import { HttpFault } from '../http1/fault.ts'
import type { FieldBlock } from '../http1/fields.ts'

/** Takes body bytes as they come; false: full, call `resumeBody` of the transport when there is room. */
export interface BodySink {
  bodyData(chunk: Buffer): boolean
  bodyEnd(): void
  bodyFailed(status: number): void
}

const TOO_LARGE = new HttpFault(413, 'client intended to send too large chunked body')

/** Where a buffered body lies: in memory, or in a file once it outgrew `client_body_buffer_size`. */
interface Spool {
  readonly fd: number
  readonly name: string
  /** Bytes written so far. */
  size: number
}

/** `client_body_*` settings that a body needs. */
export interface BodyOptions {
  /** Bytes kept in memory before a file is used. */
  readonly memory: number
  readonly folder: string
  readonly inFileOnly: 'on' | 'clean' | 'off'
  /** Largest body, 0: any. */
  readonly max: number
}

export class RequestBody {
  /** Content-Length, or -1 when it is not known. */
  readonly expected: number
  /** Body bytes decoded so far. */
  received = 0
  done = false
  /** Nobody has asked for the body yet: the transport keeps what it has. */
  started = false
  /** The sink has no room: the transport stops reading until `resumeBody`. */
  full = false
  trailers: FieldBlock | null = null
  readonly #decoder: ChunkedDecoder | null
  #options: BodyOptions | null = null
  #sink: BodySink | null = null
  /** Who waits for the whole body: the proxy, and hooks that read it. */
  #waiting: ((fault: HttpFault | null) => void)[] = []
  #chunks: Buffer[] = []
  #inMemory = 0
  #spool: Spool | null = null
  #discard = false

  /** @param framing of a body of unknown length: chunks of HTTP/1, or bytes until the transport calls `end` */
  constructor(expected: number, framing: 'chunked' | 'stream' = 'chunked') {
    this.expected = expected
    this.#decoder = expected < 0 && framing === 'chunked' ? new ChunkedDecoder('data') : null
  }

  /** Bytes of the whole body once known, else -1. */
  get length(): number {
    return this.done ? this.received : this.expected
  }

  get fileName(): string | null {
    return this.#spool === null ? null : this.#spool.name
  }

  /** `$request_body`: the body as a byte string, unless a file holds it. */
  inMemory(): string | null {
    if (this.#spool !== null || !this.done || this.#chunks.length === 0) return null
    return this.#joined().toString('latin1')
  }

  /** Collects the whole body, then calls back; at once if it is complete. */
  buffer(options: BodyOptions, whenDone: (fault: HttpFault | null) => void): void {
    this.started = true
    this.#options = options
    if (this.done) {
      whenDone(null)
      return
    }
    this.#waiting.push(whenDone)
  }

  /** Takes what has arrived already; whoever asks next gets it first. */
  preread(options: BodyOptions): void {
    this.started = true
    this.#options = options
  }

  /** Passes the body on as it comes, what was read before first. */
  stream(options: BodyOptions, sink: BodySink): void {
    this.started = true
    this.#options = options
    this.#sink = sink
    const chunks = this.#chunks
    this.#chunks = []
    for (const chunk of chunks) this.full = !sink.bodyData(chunk)
    if (this.done) sink.bodyEnd()
  }

  /** Reads the rest for nobody. */
  discard(): void {
    this.started = true
    this.#discard = true
    this.full = false
    this.#sink = null
    this.#waiting = []
  }

  /** Somebody takes the bytes; until then the transport keeps what comes. */
  get flowing(): boolean {
    return !this.done && (this.#discard || this.#sink !== null || this.#waiting.length > 0)
  }

  /** Bytes of it were dropped, or went to an upstream: it cannot be passed on again. */
  get lost(): boolean {
    return this.#discard || this.#sink !== null
  }

  get discarding(): boolean {
    return this.#discard
  }

  /** Bytes from the wire. Returns how many belonged to the body, or the fault that ends it. */
  push(chunk: Buffer): number | HttpFault {
    const decoder = this.#decoder
    if (decoder === null) return this.#pushLength(chunk)
    const fault = decoder.push(chunk)
    if (fault !== null) return this.#fail(fault)
    const problem = this.#data(rangesOf(decoder, chunk))
    if (problem !== null) return this.#fail(problem)
    if (decoder.done) {
      this.trailers = decoder.trailers
      this.#complete()
    }
    return decoder.done ? decoder.consumed : chunk.length
  }

  /** The transport says that there are no more bytes (HTTP/2). */
  end(): void {
    if (this.done) return
    if (this.expected < 0) this.#complete()
    else this.abort(400)
  }

  /** The client is gone, or its body cannot be trusted any more. */
  abort(status: number): void {
    if (this.done) return
    this.#fail(new HttpFault(status, 'client prematurely closed connection'))
  }

  /** Sends a buffered body: `take(piece)` until it returns false, from `offset` on; returns the offset reached. */
  replay(offset: number, take: (piece: Buffer) => boolean): number {
    let position = offset
    while (position < this.received) {
      const piece = this.#piece(position)
      position += piece.length
      if (!take(piece)) break
    }
    return position
  }

  /** The whole body; only for bodies known to be small enough. */
  bytes(): Buffer {
    if (this.#spool === null) return this.#joined()
    const all = Buffer.allocUnsafe(this.received)
    readSync(this.#spool.fd, all, 0, this.received, 0)
    return all
  }

  /** Removes the temporary file. */
  dispose(): void {
    this.#chunks = []
    const spool = this.#spool
    if (spool === null) return
    this.#spool = null
    closeSync(spool.fd)
    if (this.#options!.inFileOnly !== 'on') unlinkSync(spool.name)
  }

  #pushLength(chunk: Buffer): number | HttpFault {
    const left = this.expected < 0 ? chunk.length : this.expected - this.received
    const mine = chunk.length <= left ? chunk : chunk.subarray(0, left)
    const problem = this.#data(mine)
    if (problem !== null) return this.#fail(problem)
    if (this.received === this.expected) this.#complete()
    return mine.length
  }

  #data(chunk: Buffer): HttpFault | null {
    this.received += chunk.length
    if (this.#discard || chunk.length === 0) return null
    const options = this.#options!
    if (options.max > 0 && this.received > options.max) return TOO_LARGE
    if (this.#sink !== null) {
      this.full = !this.#sink.bodyData(chunk)
      return null
    }
    try {
      this.#keep(chunk, options)
      return null
    } catch (error) {
      return new HttpFault(
        500,
        `cannot keep the request body: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }

  #keep(chunk: Buffer, options: BodyOptions): void {
    const small = this.#inMemory + chunk.length <= options.memory && options.inFileOnly === 'off'
    // Before anybody takes the body there is only what came with the head.
    if (this.#spool === null && (small || this.#waiting.length === 0)) {
      this.#chunks.push(chunk)
      this.#inMemory += chunk.length
      return
    }
    // As nginx without aio: the page cache takes the write at once.
    const spool = (this.#spool ??= this.#openSpool(options))
    for (const held of this.#chunks) spool.size += writeSync(spool.fd, held)
    this.#chunks = []
    spool.size += writeSync(spool.fd, chunk)
  }

  #openSpool(options: BodyOptions): Spool {
    const name = join(options.folder, `sluice-${randomBytes(8).toString('hex')}`)
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    return { fd: openSync(name, 'wx+', 0o600), name, size: 0 }
  }

  #complete(): void {
    this.done = true
    if (this.#sink !== null) this.#sink.bodyEnd()
    else if (this.#waiting.length > 0) {
      this.#notify(null)
    }
  }

  #fail(fault: HttpFault): HttpFault {
    const sink = this.#sink
    const waiting = this.#waiting
    this.discard()
    if (sink !== null) sink.bodyFailed(fault.status)
    for (const whenDone of waiting) whenDone(fault)
    return fault
  }

  #notify(fault: HttpFault | null): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const whenDone of waiting) whenDone(fault)
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0] ?? Buffer.alloc(0)
  }

  #piece(position: number): Buffer {
    if (this.#spool === null) return this.#joined().subarray(position)
    const block = Buffer.allocUnsafe(Math.min(65536, this.received - position))
    const count = readSync(this.#spool.fd, block, 0, block.length, position)
    return count === block.length ? block : block.subarray(0, count)
  }
}

/** The body bytes of a chunk of the wire, without the framing between them. */
function rangesOf(decoder: ChunkedDecoder, chunk: Buffer): Buffer {
  const { ranges, rangeCount } = decoder
  if (rangeCount === 0) return chunk.subarray(0, 0)
  if (rangeCount === 1) return chunk.subarray(ranges[0], ranges[1])
  const pieces: Buffer[] = []
  for (let i = 0; i < rangeCount; i++) pieces.push(chunk.subarray(ranges[2 * i], ranges[2 * i + 1]))
  return Buffer.concat(pieces)
}
