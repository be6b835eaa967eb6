/**
 * One HTTP/2 stream: a request and its response, as the steps see a client. Owns how bodies pass both ways, what ends
 * the stream, and when it has waited too long; the connection keeps the one timer.
 *
 *   HEAD --sendHead--> BODY --sendEnd--> ENDED --all taken--> GONE
 *     \------------------\--client resets, or we do-----------^
 */
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { HttpFault } from '../http1/fault.ts'
import { Field } from '../http1/fields.ts'
import type { RequestHead } from '../http1/request-reader.ts'
import { type ClientTransport, Exchange, type Listener } from './exchange.ts'
import type { Http2Connection } from './http2-connection.ts'
import { responseList, sendList, trailerList } from './http2-head.ts'
import { beginExchange, beginFaulty, clientClosed, clientTimedOut } from './journey.ts'
import { RequestBody } from './request-body.ts'
import { outputDrained } from './response-filter.ts'
import { Step } from './step.ts'

const State = { HEAD: 0, BODY: 1, ENDED: 2, GONE: 3 } as const
type State = (typeof State)[keyof typeof State]

/** Response bytes may wait up to here before more are asked for. */
const LOW_WATER = 16384

/** Ends a stream with INTERNAL_ERROR and, unlike `close()`, without a clean end of the body before it. */
const RESET = new Error('the response cannot be completed')

export class Http2Stream implements ClientTransport {
  readonly protocol = 'HTTP/2.0'
  readonly requests: number
  readonly #connection: Http2Connection
  readonly #stream: ServerHttp2Stream
  readonly #exchange: Exchange
  readonly #onTaken = (): void => this.#taken()
  #state: State = State.HEAD
  /** We gave the stream up ourselves. */
  #reset = false
  /** The response ends where it is, as a failure, once the client has taken what there is. */
  #truncated = false
  /** Nothing follows the response head. */
  #bodyless = false
  #reading = false
  #bodyEnded: boolean
  /** When waiting for body bytes, or for the client to take some, has been too long; ms on the monotonic clock. */
  #bodyBy = Infinity
  #sendBy = Infinity

  constructor(connection: Http2Connection, stream: ServerHttp2Stream, head: RequestHead) {
    this.#connection = connection
    this.#stream = stream
    this.requests = connection.requests
    this.#bodyEnded = stream.endAfterHeaders
    const { generation } = connection.home
    this.#exchange = new Exchange(this, generation, head, connection.listener.defaultServer)
    stream.on('aborted', () => this.#onAborted())
    stream.on('close', () => this.#onClose())
    stream.on('error', () => {})
  }

  /** Starts the journey; with a fault, that of a head that could not be read. */
  begin(fault: HttpFault | null): void {
    const x = this.#exchange
    if (fault !== null) {
      beginFaulty(x, fault)
      return
    }
    // A declared length makes the body in `journey.ts`.
    if (!this.#bodyEnded && !x.head.fields.has(Field.CONTENT_LENGTH)) x.body = new RequestBody(-1, 'stream')
    beginExchange(x)
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress
  }

  get remotePort(): string {
    return this.#connection.remotePort
  }

  get serverAddress(): string {
    return this.#connection.serverAddress
  }

  get serverPort(): string {
    return this.#connection.serverPort
  }

  get connectionId(): number {
    return this.#connection.connectionId
  }

  get openedAt(): number {
    return this.#connection.openedAt
  }

  get listener(): Listener {
    return this.#connection.listener
  }

  /** When `expire` is due, ms on the monotonic clock; Infinity: the stream waits for nothing of the client. */
  get expiresAt(): number {
    return Math.min(this.#bodyBy, this.#sendBy)
  }

  /** `client_body_timeout` or `send_timeout` is over. */
  expire(now: number): void {
    const x = this.#exchange
    if (this.#bodyBy <= now) {
      this.#bodyBy = Infinity
      clientTimedOut(x)
      return
    }
    this.#sendBy = Infinity
    x.log('info', 'client timed out (110: Connection timed out) while sending to client')
    this.#giveUp()
  }

  /** Nothing can be sent any more, though the event that says so may be on its way. */
  get #dead(): boolean {
    return this.#reset || this.#stream.destroyed || this.#stream.closed
  }

  // ---- the response ----

  get pendingBytes(): number {
    return this.#state === State.GONE ? 0 : this.#stream.writableLength
  }

  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    x.headSent = true
    if (this.#state !== State.HEAD || this.#dead) return true
    this.#state = State.BODY
    const status = wireStatus(x.status)
    // Node sends no body with 205 or after HEAD either.
    this.#bodyless = x.headOnly || status === 205 || x.head.method === 'HEAD'
    const trailers = !this.#bodyless && mayHaveTrailers(x)
    const { fields, size } = responseList(x, status)
    x.bytesSent += size
    if (trailers) this.#stream.on('wantTrailers', () => this.#sendTrailers(x))
    const options = { endStream: this.#bodyless, waitForTrailers: trailers }
    sendList(fields, (list) => this.#stream.respond(list, options))
    return first === null ? true : this.sendBody(x, first)
  }

  sendBody(x: Exchange, chunk: Uint8Array | string): boolean {
    if (this.#state !== State.BODY || this.#dead || this.#bodyless || chunk.length === 0) return true
    x.bytesSent += chunk.length
    x.bodyBytesSent += chunk.length
    const stream = this.#stream
    const room =
      typeof chunk === 'string'
        ? stream.write(chunk, 'latin1', this.#onTaken)
        : stream.write(chunk, this.#onTaken)
    if (!room && this.#sendBy === Infinity) this.#waitSend()
    return room
  }

  sendFramed(): boolean {
    throw new Error('HTTP/2 has no chunked framing; `chunkedThrough` is for HTTP/1.1 clients')
  }

  sendEnd(_x: Exchange): Step {
    if (this.#state !== State.BODY || this.#dead) return Step.LOG
    this.#state = State.ENDED
    if (!this.#bodyless) this.#stream.end()
    return Step.LOG
  }

  #sendTrailers(x: Exchange): void {
    const fields = x.trailers === null ? {} : trailerList(x.trailers).fields
    sendList(fields, (list) => this.#stream.sendTrailers(list))
  }

  sendInformational(_x: Exchange, head: string): void {
    if (this.#state !== State.HEAD || this.#dead) return
    const [line, ...lines] = head.trimEnd().split('\r\n')
    const fields: OutgoingHttpHeaders = { ':status': Number(line.split(' ')[1]) }
    for (const text of lines) {
      const colon = text.indexOf(':')
      fields[text.slice(0, colon).toLowerCase()] = text.slice(colon + 1).trim()
    }
    this.#stream.additionalHeaders(fields)
  }

  abort(_x: Exchange): void {
    this.#giveUp()
  }

  finished(_x: Exchange): void {
    this.#bodyBy = Infinity
    if (this.#state === State.GONE || this.#dead) return
    if (this.#state !== State.ENDED) {
      this.#truncate()
      return
    }
    if (!this.#stream.endAfterHeaders) this.#declineRest()
    this.#waitSend()
  }

  /**
   * RFC 9113 section 8.1: the response is complete, the rest of the request is not wanted. Node closes a stream whose
   * body nobody read by itself. Not before the response has left: Node 20 is caught in an endless loop when a stream
   * that both sides have ended is closed in the same turn.
   */
  #declineRest(): void {
    const stream = this.#stream
    const decline = () => {
      if (!stream.closed && !stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR)
    }
    stream.once('finish', () => setImmediate(decline))
  }

  #giveUp(): void {
    if (this.#state === State.GONE) return
    this.#reset = true
    destroyLater(this.#stream, RESET)
  }

  #truncate(): void {
    if (this.#state === State.HEAD || this.#stream.writableLength === 0) {
      this.#giveUp()
      return
    }
    this.#truncated = true
    this.#waitSend()
  }

  /** The client, or the connection's buffer, has taken a piece. */
  #taken(): void {
    if (this.#state === State.GONE) return
    const left = this.#stream.writableLength
    if (this.#sendBy !== Infinity) {
      if (left === 0 && this.#state === State.BODY) this.#sendBy = Infinity
      else this.#waitSend()
    }
    if (this.#truncated) {
      if (left === 0) this.#giveUp()
      return
    }
    const x = this.#exchange
    if (left <= LOW_WATER && !x.completed) outputDrained(x)
  }

  #waitSend(): void {
    this.#sendBy = this.#connection.dueIn(this.#exchange.location.settings.sendTimeout)
  }

  // ---- the request's body ----

  /** With the stream's event no body has come yet. */
  prereadBody(): null {
    this.#exchange.body!.preread(this.#exchange.location.body)
    return null
  }

  discardBody(): null {
    this.#exchange.body!.discard()
    this.#stream.resume()
    return null
  }

  readBody(): void {
    if (this.#reading || this.#state === State.GONE) return
    this.#reading = true
    this.#stream.on('data', (chunk: Buffer) => this.#onData(chunk))
    this.#stream.on('end', () => this.#onEnd())
    this.#waitBody()
  }

  pauseBody(): void {
    this.#bodyBy = Infinity
    this.#stream.pause()
  }

  resumeBody(): void {
    if (this.#state === State.GONE || this.#bodyEnded) return
    this.#waitBody()
    this.#stream.resume()
  }

  #waitBody(): void {
    this.#bodyBy = this.#connection.dueIn(this.#exchange.location.settings.clientBodyTimeout)
  }

  #onData(chunk: Buffer): void {
    const x = this.#exchange
    const body = x.body!
    if (body.done) return
    x.requestLength += chunk.length
    const used = body.push(chunk)
    if (typeof used !== 'number') {
      // Answered by whoever waited for the body; the client is told not to send the rest.
      this.pauseBody()
    } else if (body.done) this.#bodyBy = Infinity
    else if (body.full) this.pauseBody()
    else this.#waitBody()
  }

  #onEnd(): void {
    this.#bodyBy = Infinity
    const { body } = this.#exchange
    // Node ends what a reset cut off in the same way.
    if (this.#stream.closed) return
    this.#bodyEnded = true
    if (body !== null && !body.discarding) body.end()
  }

  // ---- the end of the stream ----

  #onAborted(): void {
    // Our own reset is reported when the stream is closed, so never in the middle of a step.
    if (this.#reset) return
    this.gone()
    // What it still holds unread would keep it from closing.
    destroyLater(this.#stream)
  }

  #onClose(): void {
    this.gone()
    this.#connection.left(this)
  }

  /** The stream carries nothing any more, whoever ended it. */
  gone(): void {
    if (this.#state === State.GONE) return
    const early = this.#state !== State.ENDED && !this.#reset
    this.#state = State.GONE
    this.#bodyBy = Infinity
    this.#sendBy = Infinity
    const x = this.#exchange
    if (!x.completed) {
      if (x.body !== null && !x.body.done) x.body.abort(400)
      clientClosed(x, false)
    }
    if (early) this.#connection.countReset()
  }
}

/** Node aborts the process when frames are still being read for what its own events have destroyed. */
function destroyLater(stream: ServerHttp2Stream, error?: Error): void {
  setImmediate(() => stream.destroy(error))
}

/** Trailers are there, or may come at the end of a body of unknown length. */
function mayHaveTrailers(x: Exchange): boolean {
  if (x.trailers !== null) return true
  return x.headers.contentLength < 0 && x.call !== null && x.call.plan.settings.proxyPassTrailers
}

/** RFC 9110 section 15: what is no status of a final response is taken for a 5xx; Node sends no other ones. */
function wireStatus(status: number): number {
  return status >= 200 && status <= 599 ? status : 500
}
