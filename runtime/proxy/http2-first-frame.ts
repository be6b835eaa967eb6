/**
 * The beginning of an HTTP/2 connection, made whole: RFC 9113 section 3.4 wants a SETTINGS frame behind the preface.
 * nginx serves clients that send none, Node's session does not, so they get an empty one put in. Knows no other frames.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

const FRAME_HEADER = 9
const SETTINGS = 4
const ACK = 1
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])

/** The first frame is there and is the client's SETTINGS. @param bytes from the preface on */
export function isWhole(bytes: Buffer): boolean {
  return bytes.length >= PREFACE.length + FRAME_HEADER && isSettings(bytes, PREFACE.length)
}

function isSettings(bytes: Buffer, at: number): boolean {
  return bytes[at + 3] === SETTINGS && (bytes[at + 4] & ACK) === 0
}

/**
 * A socket whose first frame has not arrived with the preface. The session starts all the same, for some clients wait
 * for the server's SETTINGS; what arrives first decides. Slower than the bare socket: bytes pass through JavaScript.
 */
export class UnsettledSocket extends Duplex {
  readonly #socket: Socket
  /** What has come, until the first frame can be told. */
  #begun: Buffer | null

  /** @param bytes all that was read of the socket, which is paused and has no listeners for data */
  constructor(socket: Socket, bytes: Buffer) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    this.#begun = bytes.subarray(PREFACE.length)
    this.push(PREFACE)
    socket.on('data', (chunk) => this.#onData(chunk))
    socket.on('end', () => this.push(null))
    socket.on('close', () => this.destroy())
    this.#decide()
  }

  #onData(chunk: Buffer): void {
    if (this.#begun === null) {
      if (!this.push(chunk)) this.#socket.pause()
      return
    }
    this.#begun = Buffer.concat([this.#begun, chunk])
    this.#decide()
  }

  #decide(): void {
    const begun = this.#begun!
    if (begun.length < FRAME_HEADER) return
    this.#begun = null
    if (!isSettings(begun, 0)) this.push(EMPTY_SETTINGS)
    this.push(begun)
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, encoding, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}
