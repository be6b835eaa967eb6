/**
 * A request that a request makes of its own server (ngx_http_subrequest): an exchange whose client is memory. It goes
 * the whole journey for an internal URI, with the fields, variables and address of its parent; what its response is
 * for is the owner's business. It ends with its parent, however that ends.
 */
import { abandon } from './abandon.ts'
import { type ClientTransport, Exchange, type Listener } from './exchange.ts'
import { outputDrained } from './response-filter.ts'
import { Step } from './step.ts'

/** A subrequest of a subrequest of …: nginx's NGX_HTTP_MAX_SUBREQUESTS. */
export const MAX_DEPTH = 50
/** Subrequests that one request of a client may cause in all: what includes itself twice must come to an end. */
export const MAX_SUBREQUESTS = 1000
/** Bytes held of a response whose turn has not come. */
const HELD = 64 * 1024

/** Who reads a subrequest's response. */
export interface SubrequestOwner {
  /** Bytes whose turn it is; false: full, `Subrequest.wake` follows. */
  subrequestData(subrequest: Subrequest, chunk: Uint8Array | string): boolean
  /** The response is complete, or will never be. May be called before `begin` returns. */
  subrequestEnded(subrequest: Subrequest): void
  /** Bytes handed over that the client has not taken. */
  readonly pendingBytes: number
}

export interface SubrequestOptions {
  /** Decoded path. */
  readonly path: string
  readonly args: string
  /** `stream`: to the owner once it says `open`; `memory`: into `text`; `head`: the body is of no interest. */
  readonly mode: 'stream' | 'memory' | 'head'
  /** Sent instead of an error of our own or of an empty response. */
  readonly stub?: string | null
  /** Default: GET. */
  readonly method?: string
  /** Whether the parent's request body, when it has been read, goes along. */
  readonly body?: boolean
}

export class Subrequest implements ClientTransport {
  readonly parent: Exchange
  readonly exchange: Exchange
  readonly mode: SubrequestOptions['mode']
  /** The journey is over. */
  done = false
  /** The response came in whole. */
  complete = false
  /** The whole response of mode `memory`. */
  text = ''
  readonly #owner: SubrequestOwner
  #stub: string | null
  #held: (Uint8Array | string)[] = []
  #heldBytes = 0
  #open = false
  #overflowed = false
  #sent = 0

  constructor(parent: Exchange, owner: SubrequestOwner, options: SubrequestOptions) {
    this.parent = parent
    this.mode = options.mode
    this.#owner = owner
    this.#stub = options.stub ?? null
    this.exchange = inherit(parent, this, options)
  }

  /** HTTP status of the response. */
  get status(): number {
    return this.exchange.errorStatus || this.exchange.status
  }

  /** Starts the journey; it may be over when this returns. */
  begin(): void {
    const { exchange } = this
    exchange.generation.acquire()
    exchange.generation.services.resume(exchange, Step.SERVER_REWRITE)
  }

  /** From now on bytes go to the owner as they come, those held so far first. A second call does nothing. */
  open(): void {
    if (this.#open) return
    this.#open = true
    this.wake()
  }

  /** The owner has room again. */
  wake(): void {
    while (this.#held.length > 0) {
      const chunk = this.#held.shift()!
      this.#heldBytes -= chunk.length
      if (!this.#owner.subrequestData(this, chunk)) return
    }
    if (!this.done) outputDrained(this.exchange)
  }

  /** Nobody wants the response any more. */
  abandon(): void {
    this.#held = []
    this.#heldBytes = 0
    if (!this.done) abandon(this.exchange)
  }

  /** Bytes are there that the owner has not been given. */
  get holds(): boolean {
    return this.#heldBytes > 0
  }

  /** The response that takes the place of an error, or of nothing; null: there is none. */
  stubInstead(): Step | null {
    const stub = this.#stub
    if (stub === null || this.#sent > 0) return null
    const x = this.exchange
    this.#stub = null
    x.call?.abandon()
    x.headers.clear()
    x.headers.contentType = this.parent.headers.contentType
    x.status = 200
    x.errorStatus = 0
    x.headSent = false
    x.headOnly = false
    x.parts = stub === '' ? [] : [stub]
    return Step.HEADER_FILTER
  }

  // ---- the response ----

  get pendingBytes(): number {
    return this.#open ? this.#heldBytes + this.#owner.pendingBytes : this.#heldBytes
  }

  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    x.headSent = true
    if (this.mode === 'memory' && !x.headOnly && x.headers.contentLength > this.#memory) this.#overflow()
    return first === null ? true : this.sendBody(x, first)
  }

  sendBody(x: Exchange, chunk: Uint8Array | string): boolean {
    if (chunk.length === 0 || x.headOnly || this.#overflowed) return true
    this.#sent += chunk.length
    x.bytesSent += chunk.length
    x.bodyBytesSent += chunk.length
    switch (this.mode) {
      case 'head':
        return true
      case 'memory':
        return this.#collect(chunk)
      default:
        return this.#pass(chunk)
    }
  }

  sendFramed(): boolean {
    throw new Error('a subrequest has no chunked framing')
  }

  sendEnd(_x: Exchange): Step {
    const stub = this.stubInstead()
    if (stub !== null) return stub
    this.complete = true
    return Step.LOG
  }

  #pass(chunk: Uint8Array | string): boolean {
    if (this.#open && this.#held.length === 0) return this.#owner.subrequestData(this, chunk)
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    return this.#heldBytes < HELD
  }

  /** nginx `subrequest_output_buffer_size`. */
  get #memory(): number {
    return this.exchange.location.settings.subrequestOutputBufferSize
  }

  #collect(chunk: Uint8Array | string): boolean {
    if (this.text.length + chunk.length > this.#memory) this.#overflow()
    else this.text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1')
    return true
  }

  /** As in nginx, the client's request ends with it: a part of a response would pass for all of it. */
  #overflow(): void {
    this.#overflowed = true
    this.exchange.log('error', 'too big subrequest response')
    this.abort(this.exchange)
  }

  // ---- the client's side of the parent ----

  get protocol(): ClientTransport['protocol'] {
    return this.parent.client.protocol
  }

  get remoteAddress(): string {
    return this.parent.client.remoteAddress
  }

  get remotePort(): string {
    return this.parent.client.remotePort
  }

  get serverAddress(): string {
    return this.parent.client.serverAddress
  }

  get serverPort(): string {
    return this.parent.client.serverPort
  }

  get connectionId(): number {
    return this.parent.client.connectionId
  }

  get requests(): number {
    return this.parent.client.requests
  }

  get openedAt(): number {
    return this.parent.client.openedAt
  }

  get listener(): Listener {
    return this.parent.client.listener
  }

  sendInformational(): void {}

  /** A response that cannot go on takes the whole request with it. */
  abort(_x: Exchange): void {
    this.parent.keepAlive = false
    this.parent.client.abort(this.parent)
  }

  finished(x: Exchange): void {
    this.done = true
    // What is missing of it is missing from the client's response: it must not pass for a complete one's connection.
    if (x.headSent && !this.complete) this.parent.main.keepAlive = false
    this.#owner.subrequestEnded(this)
  }

  // The body is the parent's, read whole, or there is none.

  discardBody(): null {
    return null
  }

  prereadBody(): null {
    return null
  }
  readBody(): void {}
  pauseBody(): void {}
  resumeBody(): void {}
}

/** Whether `parent` may make another one; says so on the error log when not. */
export function maySubrequest(parent: Exchange, path: string): boolean {
  const { main } = parent
  let depth = 0
  for (let x = parent; x.parent !== null; x = x.parent) depth++
  if (depth < MAX_DEPTH && main.subrequests < MAX_SUBREQUESTS) {
    main.subrequests++
    return true
  }
  const cause = depth >= MAX_DEPTH ? 'cycle' : 'are too many'
  parent.log('error', `subrequests ${cause} while processing "${path}"`)
  return false
}

function inherit(parent: Exchange, client: Subrequest, options: SubrequestOptions): Exchange {
  const x = new Exchange(client, parent.generation, parent.head, parent.server, parent)
  x.method = options.method ?? 'GET'
  x.path = options.path
  x.args = options.args
  x.hasArgs = options.args !== ''
  x.unparsedUri = parent.unparsedUri
  x.unparsedValid = false
  x.host = parent.host
  x.hostPort = parent.hostPort
  x.internal = true
  x.remoteAddress = parent.remoteAddress
  x.remotePort = parent.remotePort
  x.requestLength = parent.requestLength
  x.headOnly = options.mode === 'head'
  x.continued = true
  const { hidden, extra } = parent.requestHeaders
  x.requestHeaders.hidden = hidden === null ? null : hidden.slice()
  x.requestHeaders.extra = extra === null ? null : extra.slice()
  const { body } = parent
  if (options.body !== false && body?.done && !body.lost) x.body = body
  return x
}
