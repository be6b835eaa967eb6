/**
 * A response body in pieces, each read from the network only when it is asked for: between the questions at most a
 * stream's buffer and one piece are held.
 */
import type { IncomingMessage } from 'node:http'

/** Bytes of a piece, and of as much as comes at once. */
const PIECE = 64 * 1024
const LOT = 128 * 1024

export class BodyReader {
  readonly #message: IncomingMessage
  readonly #given: (chunk: Uint8Array, last: boolean) => void
  /** Bytes that must be there before they are given; 0: nobody asks. */
  #least = 0
  #most = 0
  #parts: Buffer[] = []
  #size = 0
  #ended = false

  /** @param given gets a piece for each `read`, never from within it */
  constructor(message: IncomingMessage, given: (chunk: Uint8Array, last: boolean) => void) {
    this.#message = message
    this.#given = given
    message.on('readable', () => this.#pump())
    message.on('end', () => this.#onEnd())
  }

  /** Asks for what is there first, or (`whole`) for a lot. */
  read(whole: boolean): void {
    this.#least = whole ? LOT : 1
    this.#most = whole ? LOT : PIECE
    process.nextTick(() => this.#pump())
  }

  #onEnd(): void {
    this.#ended = true
    this.#pump()
  }

  #pump(): void {
    // A body without bytes ends when it is read, whether or not somebody asks.
    if (this.#least === 0 && this.#message.readableLength > 0) return
    while (!this.#ended && this.#size < Math.max(1, this.#least)) {
      const part = this.#message.read() as Buffer | null
      if (part === null) break
      this.#parts.push(part)
      this.#size += part.length
    }
    if (this.#least > 0 && (this.#size >= this.#least || this.#ended)) this.#give()
  }

  #give(): void {
    const all = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts)
    const chunk = all.subarray(0, this.#most)
    const rest = all.subarray(this.#most)
    this.#parts = rest.length === 0 ? [] : [rest]
    this.#size = rest.length
    this.#least = 0
    this.#given(chunk, this.#ended && rest.length === 0)
  }
}
