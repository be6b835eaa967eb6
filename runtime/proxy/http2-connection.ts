/**
 * One HTTP/2 client connection: Node's session for it, its streams, its limits, and how it ends. Knows no routing.
 *
 * The session is made by `http2.performServerHandshake`, there since Node 20.12 and so in every Node that is supported.
 * It takes the socket with what was read of it already (unshifted), makes no second server that would have to be
 * configured, closed and counted, and works on TLS sockets alike.
 */
import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { HttpFault } from '../http1/fault.ts'
import { NO_FIELDS } from '../http1/fields.ts'
import { RequestHead } from '../http1/request-reader.ts'
import { Deadline } from '../lib/deadline.ts'
import { TokenBucket } from '../lib/token-bucket.ts'
import {
  type ConnectionHome,
  type ConnectionPhase,
  headLimits,
  nextConnectionId,
  type OpenConnection,
  plainAddress,
} from './client-connection.ts'
import type { Listener } from './exchange.ts'
import { Http2HeadReader } from './http2-head.ts'
import { keepNative } from './http2-keeper.ts'
import { Http2Pulse } from './http2-pulse.ts'
import { Http2Stream } from './http2-stream.ts'
import type { Effective } from './plan.ts'

/** RFC 9113 section 6.9.2: the window that clients assume before they know ours. */
const DEFAULT_WINDOW = 65535
const MAX_WINDOW = 2 ** 31 - 1
/** RFC 9113 section 6.5.2: bytes that a field counts beyond its own. */
const FIELD_OVERHEAD = 32
/** Fields beyond `max_headers`, so that one too many is answered and not only reset: pseudo-headers, pieces of a cookie. */
const SPARE_FIELDS = 64
/** PING and SETTINGS frames at once, and a second. Each is answered, so each costs more than it costs the client. */
const CONTROL_BURST = 1000
const CONTROL_RATE = 100

/** Bytes of a response's head; `proxy_buffer_size` is what limits those of upstreams. */
const MAX_SENT_HEAD = 1024 * 1024

const FLOOD = new Error('flood')

export class Http2Connection implements OpenConnection {
  readonly home: ConnectionHome
  readonly connectionId = nextConnectionId()
  readonly openedAt = Date.now()
  /** Streams begun. */
  requests = 0
  readonly #socket: Socket
  readonly #session: ServerHttp2Session
  readonly #reader: Http2HeadReader
  readonly #streams = new Set<Http2Stream>()
  readonly #deadline: Deadline
  readonly #pulse: Http2Pulse
  readonly #resets: TokenBucket
  readonly #controls = new TokenBucket(CONTROL_BURST, CONTROL_RATE)
  /** When the deadline is armed for, while there are streams; ms on the monotonic clock. */
  #checkAt = Infinity
  #draining = false
  #flood = false
  #remoteAddress: string | null = null

  get phase(): ConnectionPhase {
    return this.#streams.size > 0 ? 'writing' : 'waiting'
  }

  /**
   * @param stream the socket or what stands before it; its first bytes, read or unshifted, are the client's preface
   */
  constructor(socket: Socket, home: ConnectionHome, stream: Duplex) {
    this.#socket = socket
    this.home = home
    const { settings } = this.listener.defaultServer
    const streams = settings.http2MaxConcurrentStreams
    this.#reader = new Http2HeadReader(headLimits(settings))
    this.#resets = new TokenBucket(2 * Math.max(streams, 100), Math.max(streams, 100))
    this.#deadline = new Deadline(() => this.#onDeadline())
    socket.on('error', () => {})
    socket.on('end', () => this.destroy())
    socket.on('close', () => this.#onClose())
    const session = (this.#session = performServerHandshake(stream, sessionOptions(settings)))
    keepNative(session)
    // Streams hold back on their own windows: the connection's must not make one wait for another.
    session.setLocalWindowSize(Math.min(streams * streamWindow(settings), MAX_WINDOW))
    session.on('stream', (stream: ServerHttp2Stream, _fields: unknown, _flags: number, list: string[]) => {
      this.#onStream(stream, list)
    })
    session.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code?.startsWith('ERR_HTTP2_')) this.#log(`client sent invalid HTTP/2: ${error.message}`)
    })
    session.on('ping', () => this.#onControl())
    session.on('remoteSettings', () => this.#onControl())
    this.#pulse = new Http2Pulse(session, socket, settings.lingeringTimeout, {
      blocked: () => this.drain(),
      over: () => this.#onOver(),
    })
    home.opened(this)
    this.#deadline.arm(settings.clientHeaderTimeout)
  }

  get listener(): Listener {
    return this.home.listenerOf(this.#socket)
  }

  get remoteAddress(): string {
    return (this.#remoteAddress ??= plainAddress(this.#socket.remoteAddress))
  }

  get remotePort(): string {
    return this.#socket.remotePort === undefined ? '' : String(this.#socket.remotePort)
  }

  get serverAddress(): string {
    return plainAddress(this.#socket.localAddress)
  }

  get serverPort(): string {
    return this.#socket.localPort === undefined ? '' : String(this.#socket.localPort)
  }

  /** No further streams (GOAWAY); closes when the last of those open has ended. */
  drain(): void {
    if (this.#draining) return
    this.#draining = true
    this.#session.close()
    if (this.#streams.size === 0) this.#linger()
  }

  destroy(): void {
    this.#session.destroy()
    this.#socket.destroy()
  }

  // ---- for its streams ----

  /** The time `ms` from now on the monotonic clock; the stream is looked at then. */
  dueIn(ms: number): number {
    const now = performance.now()
    const at = now + ms
    if (at < this.#checkAt) {
      this.#checkAt = at
      this.#deadline.arm(ms)
    }
    return at
  }

  left(stream: Http2Stream): void {
    this.#streams.delete(stream)
    if (this.#streams.size > 0 || this.#socket.destroyed) return
    this.#checkAt = Infinity
    if (this.#draining) this.#linger()
    else this.#deadline.arm(this.listener.defaultServer.settings.keepaliveTimeout)
  }

  /** The client gave up a request before its response was complete: work for nothing, so only so often. */
  countReset(): void {
    if (!this.#resets.take()) this.#flooded('resets')
  }

  // ---- events of the session ----

  #onStream(stream: ServerHttp2Stream, list: readonly string[]): void {
    this.requests++
    // The event comes a turn late: what the client has taken back meanwhile would report nothing more.
    if (stream.destroyed || stream.closed) {
      stream.on('error', () => {})
      this.countReset()
      return
    }
    if (this.#streams.size === 0) this.#deadline.disarm()
    const read = this.#reader.read(list)
    const fault = read instanceof HttpFault ? read : null
    const head = read instanceof HttpFault ? new RequestHead('', '', 20, NO_FIELDS, this.#reader.line) : read
    const client = new Http2Stream(this, stream, head)
    this.#streams.add(client)
    if (this.#isLast()) this.drain()
    client.begin(fault)
  }

  /** `keepalive_requests`, `keepalive_time`, `keepalive_timeout 0` of the address's default server. */
  #isLast(): boolean {
    const { settings } = this.listener.defaultServer
    return (
      settings.keepaliveTimeout === 0 ||
      this.requests >= settings.keepaliveRequests ||
      Date.now() - this.openedAt > settings.keepaliveTime
    )
  }

  #onControl(): void {
    if (!this.#controls.take()) this.#flooded('control frames')
  }

  #flooded(what: string): void {
    if (this.#flood) return
    this.#flood = true
    this.#log(`http2 flood detected: too many ${what}`)
    // Not from inside an event of the session: Node aborts the process when it still has frames to read.
    setImmediate(() => this.#session.destroy(FLOOD, constants.NGHTTP2_ENHANCE_YOUR_CALM))
  }

  /** `lingering_timeout` for the client to take the rest and to close. */
  #linger(): void {
    this.#deadline.arm(this.listener.defaultServer.settings.lingeringTimeout)
  }

  #onOver(): void {
    if (this.#session.destroyed) {
      // What it wrote last may be under way.
      this.#draining = true
      this.#linger()
      return
    }
    this.#log('client sent invalid HTTP/2, which ended the session')
    this.destroy()
  }

  #onDeadline(): void {
    if (this.#draining && (this.#streams.size === 0 || this.#session.destroyed)) {
      this.#socket.destroy()
      return
    }
    if (this.#streams.size === 0) {
      this.drain()
      return
    }
    const now = performance.now()
    this.#checkAt = Infinity
    for (const stream of this.#streams) if (stream.expiresAt <= now) stream.expire(now)
    for (const stream of this.#streams) this.#checkAt = Math.min(this.#checkAt, stream.expiresAt)
    if (this.#checkAt !== Infinity) this.#deadline.arm(this.#checkAt - now)
  }

  #onClose(): void {
    this.#deadline.dispose()
    this.#pulse.stop()
    for (const stream of this.#streams) stream.gone()
    this.home.closed(this)
  }

  #log(message: string): void {
    this.home.generation.services.log('info', `${message}, client: ${this.remoteAddress}`, null)
  }
}

/** `http2_body_preread_size`, but never so little that a body nobody has asked for yet could not begin. */
function streamWindow(settings: Effective): number {
  return Math.min(Math.max(settings.http2BodyPrereadSize, DEFAULT_WINDOW), MAX_WINDOW)
}

/**
 * Node's own limits stand behind these: 10 MB a session, 10 PINGs of ours unanswered, 32 settings a frame, invalid frames,
 * rejected streams, and the reset rate of its nghttp2.
 */
function sessionOptions(settings: Effective) {
  const { count, size } = settings.largeClientHeaderBuffers
  const pairs = settings.maxHeaders + SPARE_FIELDS
  const bytes = settings.clientHeaderBufferSize + count * size + pairs * FIELD_OVERHEAD
  return {
    maxHeaderListPairs: pairs,
    maxSendHeaderBlockLength: MAX_SENT_HEAD,
    settings: {
      maxConcurrentStreams: settings.http2MaxConcurrentStreams,
      maxHeaderListSize: Math.min(bytes, 2 ** 31),
      initialWindowSize: streamWindow(settings),
    },
  }
}
