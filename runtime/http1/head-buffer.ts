/**
 * The bytes of a connection that wait to be read as a head. The common case, a head that arrives whole in one chunk,
 * is read where it stands; only an unfinished head is copied, into memory that grows by doubling, so that a head sent
 * byte by byte costs no more than linear work. Knows lines only by their LF.
 */
import { LF } from './octets.ts'

const EMPTY = Buffer.alloc(0)
const LEAST = 1024

export class HeadBuffer {
  bytes: Buffer = EMPTY
  /** Where the current head begins. */
  start = 0
  /** The next byte to read. */
  position = 0
  end = 0
  /** Offset of the last LF; -1 if there is none. Lines up to it are whole. */
  lastLf = -1
  /** `bytes` is our own memory, not a chunk of the socket's. */
  #owned = false

  /** Adds a chunk. It is kept by reference until {@link settle} or {@link takeRest}. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    if (this.start === this.end) {
      this.bytes = chunk
      this.start = 0
      this.position = 0
      this.end = chunk.length
      this.lastLf = lastLineFeed(chunk)
      this.#owned = false
      return
    }
    if (!this.#owned || this.end + chunk.length > this.bytes.length) this.#grow(chunk.length)
    const lf = lastLineFeed(chunk)
    if (lf !== -1) this.lastLf = this.end + lf
    chunk.copy(this.bytes, this.end)
    this.end += chunk.length
  }

  /** Copies what is left of a chunk into memory of our own: the caller may reuse the chunk afterwards. */
  settle(): void {
    if (this.start === this.end) this.clear()
    else if (!this.#owned) this.#grow(0)
  }

  /** Bytes from `position` on, removed; null if there are none. */
  takeRest(): Buffer | null {
    const rest = this.position === this.end ? null : this.bytes.subarray(this.position, this.end)
    this.clear()
    return rest
  }

  /** Drops everything. */
  clear(): void {
    this.bytes = EMPTY
    this.start = 0
    this.position = 0
    this.end = 0
    this.lastLf = -1
    this.#owned = false
  }

  #grow(more: number): void {
    const live = this.end - this.start
    const bytes = Buffer.allocUnsafe(Math.max(LEAST, 2 * (live + more)))
    this.bytes.copy(bytes, 0, this.start, this.end)
    this.bytes = bytes
    this.position -= this.start
    this.lastLf = this.lastLf < this.start ? -1 : this.lastLf - this.start
    this.start = 0
    this.end = live
    this.#owned = true
  }
}

function lastLineFeed(chunk: Buffer): number {
  const last = chunk.length - 1
  // Fast path: a head without a body ends its chunk.
  return chunk[last] === LF ? last : chunk.lastIndexOf(LF)
}
