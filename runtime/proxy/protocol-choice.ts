/**
 * A connection on an address that speaks HTTP/2 and HTTP/1: waits for enough bytes to tell which (RFC 9113 section 3.4),
 * then hands the socket on and is gone. So neither protocol pays for the question later.
 */
import type { Socket } from 'node:net'
import { Deadline } from '../lib/deadline.ts'
import {
  ClientConnection,
  type ConnectionHome,
  isNameless,
  type OpenConnection,
} from './client-connection.ts'
import { Http2Connection } from './http2-connection.ts'
import { isWhole, PREFACE, UnsettledSocket } from './http2-first-frame.ts'

export class ProtocolChoice implements OpenConnection {
  readonly phase = 'reading'
  readonly #socket: Socket
  readonly #home: ConnectionHome
  readonly #deadline: Deadline
  /** A beginning of the preface. */
  #seen: Buffer | null = null
  readonly #onData = (chunk: Buffer): void => this.#look(chunk)
  readonly #onEnd = (): void => this.destroy()
  readonly #onClose = (): void => this.#leave()
  readonly #onError = (): void => {}

  constructor(socket: Socket, home: ConnectionHome) {
    this.#socket = socket
    this.#home = home
    this.#deadline = new Deadline(() => this.destroy())
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
    socket.on('error', this.#onError)
    home.opened(this)
    this.#deadline.arm(home.listenerOf(socket).defaultServer.settings.clientHeaderTimeout)
    if (isNameless(socket)) this.destroy()
  }

  /** No request has begun. */
  drain(): void {
    this.destroy()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #look(chunk: Buffer): void {
    const bytes = this.#seen === null ? chunk : Buffer.concat([this.#seen, chunk])
    const length = Math.min(bytes.length, PREFACE.length)
    if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) this.#serveHttp1(bytes)
    else if (length === PREFACE.length) this.#serveHttp2(bytes)
    else this.#seen = bytes
  }

  #serveHttp1(bytes: Buffer): void {
    this.#letGo()
    this.#socket.unshift(bytes)
    new ClientConnection(this.#socket, this.#home)
    this.#leave()
    this.#socket.resume()
  }

  #serveHttp2(bytes: Buffer): void {
    this.#letGo()
    const whole = isWhole(bytes)
    if (whole) this.#socket.unshift(bytes)
    const stream = whole ? this.#socket : new UnsettledSocket(this.#socket, bytes)
    new Http2Connection(this.#socket, this.#home, stream)
    this.#leave()
  }

  /** Nothing is read of the socket until it has a new owner. */
  #letGo(): void {
    const socket = this.#socket
    socket.pause()
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    socket.off('error', this.#onError)
  }

  #leave(): void {
    this.#deadline.dispose()
    this.#home.closed(this)
  }
}
