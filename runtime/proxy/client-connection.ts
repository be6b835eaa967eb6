/**
 * One HTTP/1.x client connection: reads heads one after the other (keep-alive, pipelining), gives each to the
 * journey as an Exchange, and writes the response's bytes. Owns the socket and its timeouts; knows no routing.
 *
 *   idle --bytes--> reading head --head--> serving --finished--> idle
 *                      |                      |  \--101--> tunnel
 *                      +--fault--> serving    +--close--> lingering --> closed
 */
import type { Socket } from 'node:net'
import { encodeChunkHead, LAST_CHUNK } from '../http1/chunked.ts'
import { HttpFault } from '../http1/fault.ts'
import { FieldBlock } from '../http1/fields.ts'
import { type HeadLimits, RequestHead, RequestReader } from '../http1/request-reader.ts'
import { Deadline } from '../lib/deadline.ts'
import { type ClientTransport, Exchange, type GenerationPin, type Listener } from './exchange.ts'
import { beginExchange, beginFaulty, clientClosed, clientTimedOut } from './journey.ts'
import type { Effective } from './plan.ts'
import { outputDrained } from './response-filter.ts'
import { BodyFraming, chooseFraming, responseHead } from './response-writer.ts'
import { Step } from './step.ts'
import type { ClientTunnel } from './tunnel.ts'

const State = { IDLE: 0, HEAD: 1, SERVING: 2, TUNNEL: 3, LINGERING: 4, CLOSED: 5 } as const
type State = (typeof State)[keyof typeof State]

/** Chunks up to this size are joined with their framing into one string and written at once. */
const SMALL = 16384

const HEAD_TIMEOUT = new HttpFault(408, 'client timed out')

let lastConnection = 0

/** `$connection`: counts up in this process. */
export function nextConnectionId(): number {
  return ++lastConnection
}

/** nginx's words: a head is being read, a request is served, or nothing is under way. */
export type ConnectionPhase = 'reading' | 'writing' | 'waiting'

/** What the process needs of a connection, whatever it speaks. */
export interface OpenConnection {
  readonly phase: ConnectionPhase
  /** Graceful stop: closes when nothing is under way. */
  drain(): void
  destroy(): void
  /** Another generation serves now. Absent: it is asked for at each request anyway. */
  swapped?(): void
  /** The time for a graceful stop is over; what can say goodbye does, and closes soon. Absent: `destroy`. */
  leave?(): void
}

/** What a connection needs of the process: where requests go, and which settings hold before a server is known. */
export interface ConnectionHome {
  /** The generation that new requests run on. */
  readonly generation: GenerationPin
  /** No further request is served: graceful stop. */
  readonly draining: boolean
  /** The servers behind the address that this socket came in on, in the current generation. */
  listenerOf(socket: Socket): Listener
  opened(connection: OpenConnection): void
  closed(connection: OpenConnection): void
}

/** ms that a connection without a request may still bring one when it is to close. */
const FIRST_REQUEST_GRACE = 500

export class ClientConnection implements ClientTransport, OpenConnection {
  readonly socket: Socket
  readonly home: ConnectionHome
  readonly connectionId = nextConnectionId()
  readonly openedAt = Date.now()
  requests = 0
  protocol: 'HTTP/0.9' | 'HTTP/1.0' | 'HTTP/1.1' = 'HTTP/1.1'
  #state: State = State.IDLE
  #reader: RequestReader
  #exchange: Exchange | null = null
  #framing: BodyFraming = BodyFraming.NONE
  #deadline: Deadline
  #serving = false
  #paused = false
  #ended = false
  #tunnel: ClientTunnel | null = null
  /** `lingering_timeout` and when `lingering_time` is over; null: not reading away what the client still sends. */
  #lingering: { readonly timeout: number; readonly ends: number } | null = null
  #remoteAddress: string | null = null
  /** What an expired deadline means. */
  #waitingFor: 'request' | 'head' | 'body' | 'send' | 'linger' = 'request'

  constructor(socket: Socket, home: ConnectionHome) {
    this.socket = socket
    this.home = home
    const settings = this.listener.defaultServer.settings
    this.#reader = new RequestReader(headLimits(settings))
    this.#deadline = new Deadline(() => this.#onDeadline())
    socket.on('data', (chunk) => this.#onData(chunk))
    socket.on('end', () => this.#onEnd())
    socket.on('close', () => this.#onClose())
    socket.on('error', () => {})
    socket.on('drain', () => this.#onDrain())
    home.opened(this)
    // nginx: the first request must begin within client_header_timeout.
    this.#wait('head', settings.clientHeaderTimeout)
    if (isNameless(socket)) this.destroy()
  }

  get listener(): Listener {
    return this.home.listenerOf(this.socket)
  }

  get remoteAddress(): string {
    return (this.#remoteAddress ??= plainAddress(this.socket.remoteAddress))
  }

  get remotePort(): string {
    return this.socket.remotePort === undefined ? '' : String(this.socket.remotePort)
  }

  get serverAddress(): string {
    return plainAddress(this.socket.localAddress)
  }

  get serverPort(): string {
    return this.socket.localPort === undefined ? '' : String(this.socket.localPort)
  }

  /** Bytes that wait for the client to take them. */
  get pendingBytes(): number {
    return this.socket.writableLength
  }

  get phase(): ConnectionPhase {
    if (this.#state === State.IDLE) return 'waiting'
    return this.#state === State.HEAD ? 'reading' : 'writing'
  }

  // ---- ClientTransport ----

  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    x.headSent = true
    if (x.head.version === 9) {
      this.#framing = x.headOnly ? BodyFraming.NONE : BodyFraming.CLOSE
      return first === null ? true : this.sendBody(x, first)
    }
    const framing = (this.#framing = chooseFraming(x))
    if ((this.#ended && !this.#reader.hasBytes) || this.home.draining) x.keepAlive = false
    const head = responseHead(x, framing)
    x.bytesSent += head.length
    if (first === null || framing === BodyFraming.NONE) return this.#write(head, 'latin1')
    if (typeof first === 'string' && framing !== BodyFraming.CHUNKED) {
      // Fast path: head and body leave in one write.
      x.bytesSent += first.length
      x.bodyBytesSent += first.length
      return this.#write(head + first, 'latin1')
    }
    this.socket.cork()
    this.#write(head, 'latin1')
    const room = x.chunkedThrough ? this.sendFramed(x, first) : this.sendBody(x, first)
    this.socket.uncork()
    return room
  }

  sendBody(x: Exchange, chunk: Uint8Array | string): boolean {
    const size = chunk.length
    if (this.#framing === BodyFraming.NONE || size === 0) return true
    x.bytesSent += size
    x.bodyBytesSent += size
    if (this.#framing !== BodyFraming.CHUNKED) return this.#write(chunk, 'latin1')
    const head = encodeChunkHead(size)
    x.bytesSent += head.length + 2
    x.bodyBytesSent += head.length + 2
    if (typeof chunk === 'string') return this.#write(`${head}${chunk}\r\n`, 'latin1')
    if (size <= SMALL) return this.#write(`${head}${(chunk as Buffer).toString('latin1')}\r\n`, 'latin1')
    this.socket.cork()
    this.#write(head, 'latin1')
    this.#write(chunk)
    const room = this.#write('\r\n', 'latin1')
    this.socket.uncork()
    return room
  }

  sendFramed(x: Exchange, chunk: Uint8Array | string): boolean {
    if (this.#framing === BodyFraming.NONE) return true
    x.bytesSent += chunk.length
    x.bodyBytesSent += chunk.length
    return this.#write(chunk, 'latin1')
  }

  sendEnd(x: Exchange): Step {
    if (this.#framing !== BodyFraming.CHUNKED) return Step.LOG
    const text = x.trailers === null ? LAST_CHUNK : trailerSection(x.trailers)
    x.bytesSent += text.length
    x.bodyBytesSent += text.length
    this.#write(text, 'latin1')
    return Step.LOG
  }

  sendInformational(_x: Exchange, head: string): void {
    this.#write(head, 'latin1')
  }

  abort(_x: Exchange): void {
    this.socket.destroy()
  }

  finished(x: Exchange): void {
    if (this.#exchange !== x) return
    if (this.#state === State.CLOSED || this.#state === State.TUNNEL) {
      this.#exchange = null
      if (this.#state === State.TUNNEL) this.#closeWhenSent(x.location.settings.sendTimeout)
      return
    }
    const body = x.body
    if (x.keepAlive && body !== null && !body.done) {
      // The response is out before the whole request came in: read the rest away, then go on.
      this.#discardBody(x)
      // It may have been there already, and the next request with it.
      if (this.#exchange !== x || (x.keepAlive && !body.done)) return
    }
    if (x.keepAlive && this.socket.writableNeedDrain) {
      // The next response waits until the client takes this one; `#onDrain` comes back here.
      this.#wait('send', x.location.settings.sendTimeout)
      return
    }
    this.#exchange = null
    if (!x.keepAlive || this.home.draining || (this.#ended && !this.#reader.hasBytes)) {
      this.#close(x)
      return
    }
    this.#state = State.IDLE
    this.#wait('request', x.location.settings.keepaliveTimeout)
    if (this.#paused) this.resumeBody()
    if (!this.#serving) this.#serve(true)
  }

  /** Body bytes that came with the head. */
  prereadBody(): HttpFault | null {
    const x = this.#exchange!
    const rest = this.#reader.takeRest()
    x.body!.preread(x.location.body)
    return rest === null ? null : this.#onBody(x, rest)
  }

  discardBody(): HttpFault | null {
    const x = this.#exchange!
    const rest = this.#reader.takeRest()
    x.body!.discard()
    const fault = rest === null ? null : this.#onBody(x, rest)
    if (fault !== null) x.keepAlive = false
    else if (this.#paused && !x.body!.done) this.resumeBody()
    return fault
  }

  /** Starts reading the body of the current request: what has arrived first, then what comes. */
  readBody(): void {
    const x = this.#exchange!
    const rest = this.#reader.takeRest()
    this.#wait('body', x.location.settings.clientBodyTimeout)
    if (rest !== null) this.#onBody(x, rest)
    if (this.#paused && !x.body!.full) this.resumeBody()
  }

  pauseBody(): void {
    this.#paused = true
    this.socket.pause()
  }

  resumeBody(): void {
    this.#paused = false
    this.socket.resume()
    const x = this.#exchange
    if (this.#state === State.SERVING && x?.body?.flowing)
      this.#wait('body', x.location.settings.clientBodyTimeout)
  }

  /** From here on bytes go through the tunnel both ways. Returns early bytes of the client, if any. */
  becomeTunnel(tunnel: ClientTunnel): Buffer | null {
    this.#state = State.TUNNEL
    this.#tunnel = tunnel
    this.#deadline.disarm()
    const early = this.#reader.takeRest()
    if (this.#paused) this.resumeBody()
    return early
  }

  /**
   * Closes the connection if no request is under way (graceful stop), else after the current one. A new one may have sent
   * its first request a moment ago, and its client has no reason to send it again: it gets a moment more.
   */
  drain(): void {
    if (this.requests > 0) this.#closeIfIdle()
    else setTimeout(() => this.#closeIfIdle(), FIRST_REQUEST_GRACE).unref()
  }

  #closeIfIdle(): void {
    if (this.#state === State.IDLE || (this.#state === State.HEAD && !this.#reader.hasBytes)) {
      this.#closeWhenSent(this.listener.defaultServer.settings.sendTimeout)
    }
  }

  destroy(): void {
    if (this.#state === State.TUNNEL) this.#tunnel!.abort()
    this.socket.destroy()
  }

  swapped(): void {
    if (this.#state === State.TUNNEL) this.#tunnel!.swapped()
  }

  leave(): void {
    if (this.#state === State.TUNNEL) this.#tunnel!.leave()
    else this.destroy()
  }

  // ---- bytes from the client ----

  #onData(chunk: Buffer): void {
    switch (this.#state) {
      case State.SERVING: {
        const x = this.#exchange!
        if (x.body?.flowing) this.#onBody(x, chunk)
        else {
          // A pipelined request, or a body nobody has asked for yet: keep what came, take no more.
          this.#reader.push(chunk)
          this.pauseBody()
        }
        return
      }
      case State.TUNNEL:
        this.#tunnel!.fromClient(chunk)
        return
      case State.LINGERING:
        if (this.#lingering !== null) this.#linger()
        return
      case State.CLOSED:
        return
      default:
        this.#reader.push(chunk)
        this.#serve(false)
    }
  }

  #onBody(x: Exchange, chunk: Buffer): HttpFault | null {
    const body = x.body!
    const used = body.push(chunk)
    if (typeof used !== 'number') {
      x.keepAlive = false
      return used
    }
    x.requestLength += used
    if (used < chunk.length) this.#reader.push(chunk.subarray(used))
    if (body.done) {
      if (this.socket.writableNeedDrain) this.#wait('send', x.location.settings.sendTimeout)
      else if (this.#waitingFor === 'body') this.#deadline.disarm()
      if (body.discarding && x.completed) this.finished(x)
    } else {
      this.#wait('body', x.location.settings.clientBodyTimeout)
      if (body.full) {
        this.pauseBody()
        if (this.socket.writableNeedDrain) this.#wait('send', x.location.settings.sendTimeout)
        else this.#deadline.disarm()
      }
    }
    return null
  }

  /** @param pipelined the bytes of the next head came while another request was served (`$pipe`) */
  #serve(pipelined: boolean): void {
    this.#serving = true
    let waited = pipelined
    while (this.#state <= State.HEAD) {
      const head = this.#reader.next()
      if (head === null) {
        if (this.#state === State.IDLE && this.#reader.hasBytes) this.#beginHead()
        break
      }
      this.#deadline.disarm()
      this.#state = State.SERVING
      this.requests++
      if (head instanceof HttpFault) this.#refuse(head)
      else this.#begin(head, waited)
      waited = true
    }
    this.#serving = false
  }

  #beginHead(): void {
    this.#state = State.HEAD
    this.#wait('head', this.listener.defaultServer.settings.clientHeaderTimeout)
  }

  #begin(head: RequestHead, pipelined: boolean): void {
    this.protocol = head.version === 11 ? 'HTTP/1.1' : head.version === 10 ? 'HTTP/1.0' : 'HTTP/0.9'
    const x = new Exchange(this, this.home.generation, head, this.listener.defaultServer)
    x.pipelined = pipelined
    this.#exchange = x
    beginExchange(x)
  }

  /** A head that could not be read: the request still has a log line and an error page. */
  #refuse(fault: HttpFault): void {
    const line = this.#reader.faultLine ?? ''
    const head = new RequestHead('', '', 10, FieldBlock.from([]), line)
    const x = new Exchange(this, this.home.generation, head, this.listener.defaultServer)
    this.#exchange = x
    beginFaulty(x, fault)
  }

  #discardBody(x: Exchange): void {
    const body = x.body!
    if (body.started) body.discard()
    else {
      body.discard()
      this.readBody()
    }
    if (this.#paused) this.resumeBody()
    if (!body.done) this.#wait('body', x.location.settings.lingeringTimeout)
  }

  // ---- closing ----

  /** Closes after the last response. nginx lingering_close: unread bytes would turn our close into a reset. */
  #close(x: Exchange): void {
    this.#state = State.LINGERING
    const settings = x.location.settings
    const unread = (x.body !== null && !x.body.done) || this.#reader.hasBytes
    const linger = settings.lingeringClose === 'always' || (settings.lingeringClose === 'on' && unread)
    if (this.#paused) this.resumeBody()
    if (!linger || this.#ended) {
      this.#closeWhenSent(settings.sendTimeout)
      return
    }
    this.socket.end()
    this.#lingering = { timeout: settings.lingeringTimeout, ends: Date.now() + settings.lingeringTime }
    this.#linger()
  }

  #linger(): void {
    const { timeout, ends } = this.#lingering!
    this.#wait('linger', Math.min(timeout, Math.max(0, ends - Date.now())))
  }

  #closeWhenSent(sendTimeout: number): void {
    this.#state = State.LINGERING
    this.socket.destroySoon()
    if (this.socket.writableLength > 0) this.#wait('send', sendTimeout)
  }

  #onEnd(): void {
    this.#ended = true
    switch (this.#state) {
      case State.SERVING: {
        const x = this.#exchange!
        if (x.body?.started && !x.body.done) x.body.abort(400)
        if (x.completed) {
          if (x.body !== null && !x.body.done) x.keepAlive = false
          this.finished(x)
        } else clientClosed(x, true)
        return
      }
      case State.TUNNEL:
        this.#tunnel!.clientEnded()
        return
      case State.LINGERING:
        this.socket.destroySoon()
        return
      default:
        this.#closeWhenSent(this.listener.defaultServer.settings.sendTimeout)
    }
  }

  #onClose(): void {
    const was = this.#state
    this.#state = State.CLOSED
    this.#deadline.dispose()
    this.home.closed(this)
    if (was === State.TUNNEL) {
      this.#tunnel!.clientGone()
      return
    }
    const x = this.#exchange
    if (x === null) return
    this.#exchange = null
    if (x.body !== null && !x.body.done) x.body.abort(400)
    clientClosed(x, false)
  }

  // ---- timeouts and back-pressure ----

  #write(data: string | Uint8Array, encoding?: 'latin1'): boolean {
    const room = typeof data === 'string' ? this.socket.write(data, encoding) : this.socket.write(data)
    // `send_timeout` runs while the client takes nothing.
    if (!room && this.#exchange !== null) this.#wait('send', this.#exchange.location.settings.sendTimeout)
    return room
  }

  #onDrain(): void {
    if (this.#state === State.TUNNEL) {
      this.#tunnel!.clientDrained()
      return
    }
    const x = this.#exchange
    if (x === null) return
    if (this.#waitingFor === 'send') this.#deadline.disarm()
    if (x.completed) this.finished(x)
    else outputDrained(x)
  }

  #wait(what: 'request' | 'head' | 'body' | 'send' | 'linger', ms: number): void {
    this.#waitingFor = what
    this.#deadline.arm(ms)
  }

  #onDeadline(): void {
    const x = this.#exchange
    switch (this.#waitingFor) {
      case 'body':
        if (x !== null && x.body !== null && !x.body.done) clientTimedOut(x)
        return
      case 'head':
        if (this.#reader.hasBytes) this.#refuse408()
        else this.socket.destroy()
        return
      case 'request':
        // Bytes of the last response that the client has not taken yet are not cut off.
        if (this.socket.writableLength > 0)
          this.#closeWhenSent(this.listener.defaultServer.settings.sendTimeout)
        else this.socket.destroy()
        return
      default:
        this.socket.destroy()
    }
  }

  /** nginx closes without an answer when the head does not come in time, and logs 408. */
  #refuse408(): void {
    this.#state = State.SERVING
    this.#refuse(this.#reader.giveUp(HEAD_TIMEOUT))
  }
}

function trailerSection(trailers: readonly [string, string][]): string {
  let text = '0\r\n'
  for (const [name, value] of trailers) text += `${name}: ${value}\r\n`
  return `${text}\r\n`
}

/** `::ffff:127.0.0.1` is IPv4; a unix socket has no address. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return 'unix:'
  return address.startsWith('::ffff:') ? address.slice(7) : address
}

/**
 * The client reset the connection before anybody asked who it is: there is nobody to serve, and for a unix socket it
 * must not be taken. Asked at the beginning, so that Node keeps the address for the log of a request cut off.
 */
export function isNameless(socket: Socket): boolean {
  return socket.remoteAddress === undefined && socket.localAddress !== undefined
}

/** The limits of a request head by the settings of a server. */
export function headLimits(settings: Effective): HeadLimits {
  return {
    headerBuffer: settings.clientHeaderBufferSize,
    largeCount: settings.largeClientHeaderBuffers.count,
    largeSize: settings.largeClientHeaderBuffers.size,
    underscores: settings.underscoresInHeaders,
    ignoreInvalid: settings.ignoreInvalidHeaders,
    maxFields: settings.maxHeaders,
  }
}
