/**
 * After `101 Switching Protocols`: raw bytes both ways between client and peer until one side ends. Either side may
 * close its half; `proxy_read_timeout` is re-armed by traffic either way. Back-pressure each way.
 */

import { Deadline } from '../lib/deadline.ts'
import { CloseCode, closePayload } from '../ws/close-codes.ts'
import { FrameBoundary } from '../ws/frame-header.ts'
import { encodeFrame, Opcode } from '../ws/frame-writer.ts'
import type { ClientConnection } from './client-connection.ts'
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'
import type { UpstreamCall } from './upstream-call.ts'
import type { UpstreamConnection, UpstreamOwner } from './upstream-connection.ts'

/** What takes a client connection over after a 101. */
export interface ClientTunnel {
  fromClient(chunk: Buffer): void
  /** The client sends nothing more. */
  clientEnded(): void
  /** Its connection is closed. */
  clientGone(): void
  clientDrained(): void
  /** Another generation serves now. */
  swapped(): void
  /** The time for a graceful stop is over: says goodbye if the protocol can. */
  leave(): void
  /** Ends at once. */
  abort(): void
}

/** Sends the 101 and joins the two connections. */
export function startTunnel(x: Exchange, call: UpstreamCall): Step {
  const client = x.client as ClientConnection
  const connection = call.detach()
  const early = connection.beginBody()
  x.keepAlive = false
  const first = early === null ? null : Buffer.from(early)
  client.sendHead(x, null)
  const tunnel = new Tunnel(x, call, client, connection)
  if (first !== null) tunnel.responseData(first)
  const sent = client.becomeTunnel(tunnel)
  if (sent !== null) tunnel.fromClient(sent)
  return Step.SUSPENDED
}

export class Tunnel implements UpstreamOwner, ClientTunnel {
  readonly x: Exchange
  readonly #call: UpstreamCall
  readonly #client: ClientConnection
  readonly #upstream: UpstreamConnection
  readonly #deadline: Deadline
  #clientDone = false
  #upstreamDone = false
  #over = false
  #received = 0
  /** Frames on their way, when it is a WebSocket: a close frame of ours may only stand between two of them. */
  readonly #toClient: FrameBoundary | null
  readonly #toUpstream: FrameBoundary | null
  #leaving = false

  constructor(x: Exchange, call: UpstreamCall, client: ClientConnection, upstream: UpstreamConnection) {
    this.x = x
    this.#call = call
    this.#client = client
    this.#upstream = upstream
    this.#deadline = new Deadline(() => this.#onTimeout())
    this.#toClient = x.wantsWebSocket ? new FrameBoundary() : null
    this.#toUpstream = x.wantsWebSocket ? new FrameBoundary() : null
    upstream.beginTunnel(this)
    this.#touch()
  }

  // ---- client to peer ----

  fromClient(chunk: Buffer): void {
    this.#touch()
    this.x.requestLength += chunk.length
    this.#toUpstream?.push(chunk)
    if (!this.#upstream.write(chunk)) this.#client.pauseBody()
  }

  clientEnded(): void {
    this.#clientDone = true
    this.#upstream.socket.end()
    if (this.#upstreamDone) this.close()
  }

  clientGone(): void {
    this.#finish()
  }

  clientDrained(): void {
    this.#upstream.resumeReading()
  }

  // ---- peer to client ----

  responseData(chunk: Buffer): boolean {
    this.#touch()
    this.#received += chunk.length
    this.#toClient?.push(chunk)
    this.x.bytesSent += chunk.length
    this.x.bodyBytesSent += chunk.length
    const { socket } = this.#client
    // Text copies out of the shared read buffer; large chunks are copied as bytes.
    return chunk.length <= 16384
      ? socket.write(chunk.toString('latin1'), 'latin1')
      : socket.write(Buffer.from(chunk))
  }

  responseEnd(): void {
    this.#upstreamDone = true
    this.#client.socket.end()
    if (this.#clientDone) this.close()
  }

  failed(_event: 'error' | 'timeout' | 'invalid_header', reason: string): void {
    if (!this.#over && !this.#upstreamDone)
      this.x.log('info', reason.replace(/while .*/, 'while proxying upgraded connection'))
    this.#client.socket.destroySoon()
    this.#finish()
  }

  drained(): void {
    this.#client.resumeBody()
  }

  connected(): void {}

  responseHead(): void {}

  /** Raw bytes belong to no generation. */
  swapped(): void {}

  /** A WebSocket is closed from both ends where no frame is under way; then both sides have some time to agree. */
  leave(): void {
    if (this.#leaving) return
    this.#leaving = true
    if (this.#toClient?.clean) this.#client.socket.write(closeFrame(false))
    if (this.#toUpstream?.clean) this.#upstream.write(closeFrame(true))
    if (this.#toClient === null) this.close()
    else this.#deadline.arm(this.x.location.settings.wsCloseTimeout)
  }

  abort(): void {
    this.close()
  }

  /** Ends both sides at once. */
  close(): void {
    this.#client.socket.destroySoon()
    this.#finish()
  }

  #touch(): void {
    if (!this.#leaving) this.#deadline.arm(this.#call.readTimeout)
  }

  #onTimeout(): void {
    if (!this.#leaving)
      this.x.log('info', 'upstream timed out (110: Connection timed out) while proxying upgraded connection')
    this.close()
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#deadline.dispose()
    this.#upstream.close()
    this.#call.tunnelClosed(this.#received)
    this.x.generation.services.resume(this.x, Step.LOG)
  }
}

function closeFrame(masked: boolean): Buffer {
  const payload = closePayload(CloseCode.GOING_AWAY, '')
  return encodeFrame(payload, { opcode: Opcode.CLOSE, compressed: false, masked })
}
