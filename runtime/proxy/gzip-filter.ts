/**
 * Compresses a body on its way to the client (ngx_http_gzip_module). A body that is small enough is compressed in one
 * go when its end is known, and leaves in one write with the head; a larger one goes through a zlib stream, off the
 * main thread. Whether to compress at all is `gzip-choice.ts`'s.
 *
 *   COLLECTING --end--> ENDED            COLLECTING --more than SMALL, or a flush--> STREAMING --end--> ENDED
 */
import { constants, createGzip, type Gzip, gzipSync } from 'node:zlib'
import type { Exchange, ResponseOutput } from './exchange.ts'
import { bytesOf, ResponseFilter } from './response-filter.ts'
import { Step } from './step.ts'

const State = { COLLECTING: 0, STREAMING: 1, ENDED: 2 } as const
type State = (typeof State)[keyof typeof State]

/** Bytes that are compressed at once: a third of a millisecond at level 1, less than the way to a thread and back. */
const SMALL = 32 * 1024

export class GzipFilter extends ResponseFilter {
  /** For `$gzip_ratio`. */
  bytesIn = 0
  bytesOut = 0
  readonly #level: number
  /** `proxy_buffering off`: what the upstream sends is to reach the client at once. */
  readonly #flushes: boolean
  #state: State = State.COLLECTING
  #pieces: Buffer[] = []
  #stream: Gzip | null = null
  #full = false

  constructor(x: Exchange, next: ResponseOutput, level: number) {
    super(x, next)
    this.#level = level
    this.#flushes = x.call !== null && x.parts === null && !x.call.plan.settings.proxyBuffering
  }

  get pendingBytes(): number {
    const stream = this.#stream
    const held = stream === null ? 0 : stream.writableLength + stream.readableLength
    return held + this.next.pendingBytes
  }

  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    if (this.#flushes) this.#start()
    return first === null ? true : this.sendBody(x, first)
  }

  sendBody(_x: Exchange, chunk: Uint8Array | string): boolean {
    if (chunk.length === 0 || this.#state === State.ENDED) return true
    this.bytesIn += chunk.length
    if (this.#state === State.COLLECTING) {
      if (this.bytesIn <= SMALL) {
        // Whoever feeds us may use its buffer again.
        this.#pieces.push(typeof chunk === 'string' ? bytesOf(chunk) : Buffer.from(chunk))
        return true
      }
      this.#start()
    }
    return this.#write(bytesOf(chunk))
  }

  sendEnd(x: Exchange): Step {
    if (this.#state === State.STREAMING) {
      this.#state = State.ENDED
      this.#stream!.end()
      return Step.SUSPENDED
    }
    this.#state = State.ENDED
    const whole = gzipSync(Buffer.concat(this.#pieces), { level: this.#level, ...memoryFor(this.bytesIn) })
    this.#pieces = []
    this.bytesOut = whole.length
    this.next.sendHead(x, whole)
    return this.next.sendEnd(x)
  }

  drained(): void {
    const stream = this.#stream
    this.#full = false
    stream?.resume()
    if (stream === null || !stream.writableNeedDrain) this.release()
  }

  dispose(): void {
    this.#state = State.ENDED
    this.#pieces = []
    this.#stream?.off('end', this.#onEnd).destroy()
  }

  #start(): void {
    this.#state = State.STREAMING
    this.next.sendHead(this.x, null)
    const stream = createGzip({ level: this.#level })
    this.#stream = stream
    stream.on('data', this.#onData)
    stream.on('drain', () => this.release())
    stream.on('end', this.#onEnd)
    stream.on('error', this.#onError)
    for (const piece of this.#pieces) this.#write(piece)
    this.#pieces = []
  }

  #write(bytes: Buffer): boolean {
    const stream = this.#stream!
    const room = stream.write(bytes, this.#onWritten)
    if (this.#flushes) stream.flush(constants.Z_SYNC_FLUSH)
    return room
  }

  /** Somebody may wait although the stream itself never was full. */
  readonly #onWritten = (): void => {
    const stream = this.#stream!
    if (!this.#full && !stream.writableNeedDrain && stream.writableLength === 0) this.release()
  }

  readonly #onData = (bytes: Buffer): void => {
    this.bytesOut += bytes.length
    if (this.next.sendBody(this.x, bytes)) return
    this.#full = true
    this.#stream!.pause()
  }

  readonly #onEnd = (): void => {
    const { x } = this
    x.generation.services.resume(x, this.next.sendEnd(x))
  }

  readonly #onError = (error: Error): void => {
    const { x } = this
    x.log('alert', `deflate() failed: ${error.message}`)
    x.keepAlive = false
    x.client.abort(x)
  }
}

/** No more memory than a body of this size has a use for: setting it up is most of the cost of a small one. */
function memoryFor(size: number): { windowBits: number; memLevel: number } {
  const windowBits = Math.min(15, Math.max(9, 32 - Math.clz32(size + 262)))
  return { windowBits, memLevel: Math.max(1, windowBits - 7) }
}

/** `$gzip_ratio`: how many times smaller; undefined when the response was not compressed. */
export function gzipRatio(x: Exchange): string | undefined {
  for (let filter = x.lastFilter; filter !== null; filter = filter.previous) {
    if (filter instanceof GzipFilter && filter.bytesOut > 0)
      return (Math.round((filter.bytesIn / filter.bytesOut) * 100) / 100).toFixed(2)
  }
  return undefined
}
