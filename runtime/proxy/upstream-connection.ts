/**
 * One HTTP/1.1 connection to a peer: connects, writes a request, reads the response head and body, and goes back to
 * the pool. Tells its owner (the current exchange's relay) through `UpstreamOwner`; knows no retries.
 *
 *   connecting --connect--> ready --take--> busy --release--> idle (pool) --take--> busy …
 *                                             \--101--> tunnel           any --> closed
 */
import { connect, isIP, type Socket } from 'node:net'
import { HttpFault } from '../http1/fault.ts'
import { type ResponseHead, ResponseReader } from '../http1/response-reader.ts'
import { Deadline } from '../lib/deadline.ts'
import type { IdlePool, Reusable } from '../upstream/keepalive.ts'
import type { Peer } from '../upstream/peer.ts'

/** What the connection tells whoever uses it. Exactly one of `responseEnd` and `failed` ends a use. */
export interface UpstreamOwner {
  connected(): void
  responseHead(head: ResponseHead): void
  /**
   * Body bytes, valid only during the call: the buffer is used again for the next read, of any connection.
   * false: stop reading until `resume`.
   */
  responseData(chunk: Buffer): boolean
  /** The peer closed its side. */
  responseEnd(): void
  failed(event: 'error' | 'timeout' | 'invalid_header', reason: string): void
  drained(): void
}

/** One read buffer for all upstream sockets: its bytes are passed on or copied before the next read. */
const shared = Buffer.allocUnsafeSlow(65536)

const State = { CONNECTING: 0, IDLE: 1, HEAD: 2, BODY: 3, CLOSED: 4 } as const
type State = (typeof State)[keyof typeof State]

export interface UpstreamConnectionOptions {
  readonly peer: Peer
  readonly connectTimeout: number
  /** Largest response head in bytes (`proxy_buffer_size`). */
  readonly maxHead: number
  /** Local address (`proxy_bind`), or null. */
  readonly bind: string | null
}

export class UpstreamConnection implements Reusable {
  readonly peer: Peer
  readonly socket: Socket
  /** Requests sent over it, this one included. */
  requests = 0
  readonly openedAt = Date.now()
  place: Reusable['place'] = null
  /** Bytes read since `take`. */
  bytesReceived = 0
  /** A response byte has arrived since `take`. */
  answered = false
  /** The chunk being handed over lies in a buffer of this connection alone: a write may keep it (then `swapBuffer`). */
  chunkOwned = false
  /** Where it idles; told when it dies there. */
  #pool: UpstreamPool | null = null
  #state: State = State.CONNECTING
  #owner: UpstreamOwner | null
  #reader: ResponseReader
  #deadline: Deadline
  #buffer: Buffer = shared
  #own = false
  #paused = false
  #phase:
    | 'connecting to upstream'
    | 'sending request to upstream'
    | 'reading response header from upstream'
    | 'reading upstream' = 'connecting to upstream'

  constructor(options: UpstreamConnectionOptions, owner: UpstreamOwner) {
    this.peer = options.peer
    this.#owner = owner
    this.#reader = new ResponseReader(options.maxHead)
    this.#deadline = new Deadline(() => this.#onTimeout())
    const { address } = options.peer
    const onread = {
      buffer: () => this.#buffer,
      callback: (size: number, buffer: Uint8Array) => this.#onRead(size, buffer as Buffer),
    }
    this.socket =
      address.path !== undefined
        ? connect({ path: address.path, allowHalfOpen: true, onread })
        : connect({
            host: address.host!,
            port: address.port!,
            ...localEnd(options.bind),
            allowHalfOpen: true,
            noDelay: true,
            onread,
          })
    this.#deadline.arm(options.connectTimeout)
    this.socket.on('connect', () => this.#onConnect())
    this.socket.on('end', () => this.#onEnd())
    this.socket.on('error', (error: NodeJS.ErrnoException) => this.#onError(error))
    this.socket.on('close', () => this.#onClose())
    this.socket.on('drain', () => this.#owner?.drained())
  }

  /** Idle and still open: may serve another request. */
  get idle(): boolean {
    return this.#state === State.IDLE
  }

  get connecting(): boolean {
    return this.#state === State.CONNECTING
  }

  /** Begins a request on an open connection. */
  take(owner: UpstreamOwner): void {
    this.#owner = owner
    this.#state = State.HEAD
    this.requests++
    this.bytesReceived = 0
    this.answered = false
    this.#phase = 'sending request to upstream'
    this.#reader.reset()
  }

  /** false: full, `UpstreamOwner.drained` follows. */
  write(data: string | Uint8Array): boolean {
    return typeof data === 'string' ? this.socket.write(data, 'latin1') : this.socket.write(data)
  }

  /** The request is out; the answer must come within `ms`. Re-armed by `touch`. */
  awaitResponse(ms: number): void {
    this.#phase = 'reading response header from upstream'
    this.#deadline.arm(ms)
  }

  awaitDrain(ms: number): void {
    this.#phase = 'sending request to upstream'
    this.#deadline.arm(ms)
  }

  touch(ms: number): void {
    this.#deadline.arm(ms)
  }

  noTimeout(): void {
    this.#deadline.disarm()
  }

  /** A hook still works on the head: what came with it is kept, nothing more is read until `resume`. */
  hold(): void {
    if (this.#state !== State.HEAD) return
    this.#reader.keepRest()
    this.pause()
  }

  /** Head seen: what follows is the body. Returns bytes that came with it (valid only now). */
  beginBody(): Buffer | null {
    this.#state = State.BODY
    this.#phase = 'reading upstream'
    return this.#reader.takeRest()
  }

  /** The connection leaves HTTP: every byte goes to the tunnel. */
  beginTunnel(owner: UpstreamOwner): void {
    this.#owner = owner
    this.#state = State.BODY
    this.#deadline.disarm()
    this.resumeReading()
  }

  resumeReading(): void {
    if (!this.#paused) return
    this.#paused = false
    this.socket.resume()
  }

  /** Another head follows (after 1xx): reads on from what is buffered. */
  nextHead(): void {
    this.#readHead()
  }

  /** A body long enough to be streamed gets a buffer of its own, so that writes need not copy. */
  ownBuffer(): void {
    if (this.#own) return
    this.#own = true
    this.#buffer = Buffer.allocUnsafeSlow(65536)
  }

  /** The last bytes read are still on their way to the client: read into another buffer from now on. */
  swapBuffer(): void {
    this.#buffer = Buffer.allocUnsafeSlow(65536)
  }

  pause(): void {
    this.#paused = true
    this.socket.pause()
    this.#deadline.disarm()
  }

  resume(ms: number): void {
    if (!this.#paused) return
    this.#paused = false
    this.socket.resume()
    this.#deadline.arm(ms)
  }

  /** Ends a use; the connection waits for another one in this pool. */
  release(pool: UpstreamPool): void {
    this.#pool = pool
    this.#owner = null
    this.#state = State.IDLE
    this.#deadline.disarm()
    if (this.#own) {
      this.#own = false
      this.#buffer = shared
    }
    if (this.#paused) {
      this.#paused = false
      this.socket.resume()
    }
  }

  close(): void {
    this.#state = State.CLOSED
    this.#owner = null
    this.#deadline.dispose()
    this.socket.destroy()
  }

  /** `$upstream_addr`-like name for log lines. */
  get phase(): string {
    return this.#phase
  }

  // ---- events ----

  #onRead(size: number, buffer: Buffer): boolean {
    this.bytesReceived += size
    this.answered = true
    this.chunkOwned = buffer !== shared
    const chunk = buffer.subarray(0, size)
    switch (this.#state) {
      case State.BODY:
        if (!this.#owner!.responseData(chunk)) {
          this.#paused = true
          this.#deadline.disarm()
          return false
        }
        return true
      case State.HEAD:
        this.#reader.push(chunk)
        this.#readHead()
        return !this.#paused
      default:
        // Bytes on an idle connection: nobody asked; such a connection cannot be trusted.
        this.#retire()
        return true
    }
  }

  #readHead(): void {
    const head = this.#reader.next()
    if (head === null) return
    if (head instanceof HttpFault) this.#fail('invalid_header', `${head.reason} while ${this.#phase}`)
    else this.#owner!.responseHead(head)
  }

  #onConnect(): void {
    this.#state = State.HEAD
    this.requests++
    this.#deadline.disarm()
    this.#phase = 'sending request to upstream'
    this.#owner?.connected()
  }

  #onEnd(): void {
    if (this.#state === State.BODY) this.#owner!.responseEnd()
    else if (this.#state === State.HEAD) {
      this.#fail('error', `upstream prematurely closed connection while ${this.#phase}`)
    } else this.#retire()
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#owner === null) return
    const call =
      this.#state === State.CONNECTING ? 'connect()' : this.#phase.startsWith('sending') ? 'send()' : 'recv()'
    this.#fail('error', `${call} failed (${describeError(error)}) while ${this.#phase}`)
  }

  #onClose(): void {
    if (this.#state === State.CLOSED) return
    if (this.#owner !== null)
      this.#fail('error', `upstream prematurely closed connection while ${this.#phase}`)
    else this.#retire()
  }

  #onTimeout(): void {
    this.#fail('timeout', `upstream timed out (110: Connection timed out) while ${this.#phase}`)
  }

  #fail(event: 'error' | 'timeout' | 'invalid_header', reason: string): void {
    const owner = this.#owner
    this.close()
    owner?.failed(event, reason)
  }

  #retire(): void {
    this.close()
    this.#pool?.remove(this)
  }
}

/** `proxy_bind`: an address, or `address:port`. What is neither is as good as none: connecting says so. */
function localEnd(bind: string | null): { localAddress?: string; localPort?: number } {
  if (bind === null || bind === '') return {}
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::(\d{1,5}))?$/.exec(bind)
  if (match === null) return isIP(bind) === 0 ? {} : { localAddress: bind }
  return {
    localAddress: match[1] ?? match[2],
    localPort: match[3] === undefined ? undefined : Number(match[3]),
  }
}

/** `111: Connection refused`, as nginx words system errors. */
export function describeError(error: NodeJS.ErrnoException): string {
  const words = SYSTEM_ERRORS[error.code ?? '']
  const number = error.errno === undefined ? 0 : Math.abs(error.errno)
  return `${number}: ${words ?? error.message}`
}

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  EPIPE: 'Broken pipe',
  ETIMEDOUT: 'Connection timed out',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EADDRNOTAVAIL: 'Cannot assign requested address',
}

/** Idle connections of one group. */
export type UpstreamPool = IdlePool<UpstreamConnection>
