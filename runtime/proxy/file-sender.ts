/**
 * Sends a slice of a file block by block: reads one, writes it, waits until the client has taken it. At most one
 * block is in memory, and it is used again. The length is promised already, so a file that turns out shorter ends the
 * connection.
 */
import type { Exchange, FileSlice } from './exchange.ts'

/** Bytes read at a time. */
const BLOCK = 64 * 1024

/**
 * Sends one slice and closes its file. `done` is called once, when the last block was handed over, or when the
 * client is gone (`x.closed`); a failure to read closes the connection.
 */
export function sendFileSlice(x: Exchange, slice: FileSlice, done: () => void): void {
  new FileSending(x, slice, done).next()
}

class FileSending {
  readonly #x: Exchange
  readonly #slice: FileSlice
  readonly #done: () => void
  #position: number
  #block: Buffer | null = null
  readonly #onRead = (error: Error | null, count: number): void => this.#send(error, count)
  readonly #onDrained = (): void => this.next()

  constructor(x: Exchange, slice: FileSlice, done: () => void) {
    this.#x = x
    this.#slice = slice
    this.#done = done
    this.#position = slice.start
  }

  next(): void {
    const left = this.#slice.end - this.#position
    if (this.#x.closed || left <= 0) {
      this.#end()
      return
    }
    const size = Math.min(BLOCK, left)
    // What waits in the socket is still the block of the last write.
    if (this.#block === null || this.#x.output.pendingBytes > 0) this.#block = Buffer.allocUnsafeSlow(size)
    if (this.#block.length > size) this.#block = this.#block.subarray(0, size)
    this.#slice.file.read(this.#block, this.#position, this.#onRead)
  }

  #send(error: Error | null, count: number): void {
    const x = this.#x
    const block = this.#block!
    if (x.closed) this.#end()
    else if (error !== null || count < block.length) this.#fail(error)
    else {
      this.#position += count
      if (x.output.sendBody(x, block) || this.#position === this.#slice.end) this.next()
      else x.onDrained = this.#onDrained
    }
  }

  #fail(error: Error | null): void {
    const x = this.#x
    x.log(
      'alert',
      error === null ? 'a file became shorter while it was sent' : `read() failed (${error.message})`,
    )
    x.keepAlive = false
    x.closed = true
    x.client.abort(x)
    this.#end()
  }

  #end(): void {
    this.#slice.file.close()
    this.#done()
  }
}
