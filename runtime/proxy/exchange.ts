/**
 * One request and its response: everything the steps, variables, filters and hooks know of it. State only; what
 * happens to it stands in `steps.ts`. It outlives neither its client connection's interest nor its generation pin.
 */
import type { HttpFault } from '../http1/fault.ts'
import { Field } from '../http1/fields.ts'
import type { RequestHead } from '../http1/request-reader.ts'
import { escapeUri, normalizePath } from '../http1/uri.ts'
import type { Traffic } from '../observe/metrics-traffic.ts'
import type {
  BalancerView,
  BodyChunk,
  BodyFailure,
  HookRequest,
  LogLevel,
  Outcome,
  Phase,
  WebSocketView,
} from '../phases.ts'
import type { LimitState } from './limit-state.ts'
import type { Mirrors } from './mirror.ts'
import type { LocationPlan, ServerPlan } from './plan.ts'
import type { RequestBody } from './request-body.ts'
import { RequestHeaders } from './request-headers.ts'
import type { ResponseFilter } from './response-filter.ts'
import { ResponseHeaders } from './response-headers.ts'
import type { SsiPage } from './ssi-page.ts'
import type { Step } from './step.ts'
import type { Subrequest } from './subrequest.ts'
import type { UpstreamCall } from './upstream-call.ts'
import type { UpstreamTry } from './upstream-try.ts'
import type { WebSocketRelay } from './web-socket.ts'

/** Where a response goes: the client's transport, or a filter in front of it. */
export interface ResponseOutput {
  /** Sends the head made of `x.status` and `x.headers`, with the first bytes of the body when there are some. */
  sendHead(x: Exchange, first: Uint8Array | string | null): boolean
  /** Bytes that wait for the client to take them. */
  readonly pendingBytes: number
  /** Sends body bytes; false: full, `Exchange.onDrained` follows. */
  sendBody(x: Exchange, chunk: Uint8Array | string): boolean
  /** Body bytes that are already in chunked framing (only when `x.chunkedThrough`). */
  sendFramed(x: Exchange, chunk: Uint8Array | string): boolean
  /** The body is complete. LOG, or SUSPENDED when bytes are still to be made (LOG is resumed then). */
  sendEnd(x: Exchange): Step
}

/** How the client is reached: HTTP/1.x connection, HTTP/2 stream, or a subrequest's memory. */
export interface ClientTransport extends ResponseOutput {
  readonly protocol: 'HTTP/0.9' | 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2.0'
  /** Peer address without `::ffff:` mapping; `unix:` for a unix socket. */
  readonly remoteAddress: string
  readonly remotePort: string
  readonly serverAddress: string
  readonly serverPort: string
  /** `$connection`, and the number in `*N` of the error log. */
  readonly connectionId: number
  /** `$connection_requests` */
  readonly requests: number
  /** ms since the epoch when the connection was accepted. */
  readonly openedAt: number
  /** Address that `listen` gave, for finding the server by name. */
  readonly listener: Listener

  /** 1xx. */
  sendInformational(x: Exchange, head: string): void
  /** Gives up the connection (or stream) at once: a response that cannot be completed. */
  abort(x: Exchange): void
  /** The journey is over; the next request may be read. */
  finished(x: Exchange): void
  /** Reads `x.body` for nobody; a fault when what has arrived is malformed. */
  discardBody(): HttpFault | null
  /** Feeds `x.body` what has arrived already; a fault when that is malformed or too large. */
  prereadBody(): HttpFault | null
  /** Starts feeding `x.body`. */
  readBody(): void
  pauseBody(): void
  resumeBody(): void
}

/** A listening address and the servers behind it (`route.ts` resolves names). */
export interface Listener {
  readonly text: string
  /** Captures of a regular expression name become variables of the request. */
  findServer(host: string, x: Exchange): ServerPlan
  readonly defaultServer: ServerPlan
  /** A `listen` of this address says `http2`: every server behind it speaks it. */
  readonly http2: boolean
  /** Listeners of a wildcard socket by local address, where a `listen` names one. */
  readonly specific: ReadonlyMap<string, Listener> | null
}

/** The pin of a generation: old ones are disposed of when their last request ends. */
export interface GenerationPin {
  readonly id: number
  acquire(): void
  release(): void
  abandonHook(x: Exchange): void
  /** The request is over: scripts let go of what they hold for it. */
  releaseScripts(x: Exchange): void
  readonly services: Services
}

/** Counters of `stub_status` and `$connections_*`. */
export interface Statistics {
  accepted: number
  handled: number
  requests: number
  /** Client connections now: all of them, and by what they do. */
  readonly active: number
  readonly reading: number
  readonly writing: number
  readonly waiting: number
}

/** What the steps need of the process around them. */
export interface Services {
  log(level: LogLevel, message: string, x: Exchange | null): void
  readonly version: string
  /** Number of this process among those that serve the same; absent: 0. */
  readonly worker?: number
  readonly stats: Statistics
  /** Counts every request that is over; absent where nobody reads it. */
  readonly traffic?: Traffic | null
  readonly prefix: string
  /** A suspended hook of this exchange will never resume. */
  abandonHook(x: Exchange): void
  /** Goes on with a suspended journey at this step. */
  resume(x: Exchange, step: Step): void
}

/** Runs hooks that are no step's. */
export interface HookOwner {
  /** The hook that was suspended has settled. */
  hookSettled(outcome: Outcome): void
}

/** A file open for sending (`open-file.ts`). Each slice has one of its own, though they share a descriptor. */
export interface OpenFile {
  /** Reads into `block` from this offset of the file; calls back with the number of bytes, fewer only at its end. */
  read(block: Uint8Array, position: number, done: (error: Error | null, count: number) => void): void
  /** Another one of the same file, to be closed by itself. */
  share(): OpenFile
  /** When the slice was sent or the exchange died. A read under way ends first; a second call does nothing. */
  close(): void
}

/** Bytes `start` (inclusive) to `end` (exclusive) of a file. */
export interface FileSlice {
  readonly file: OpenFile
  readonly start: number
  readonly end: number
}

/** A response body of our own is a list of these, sent in order. */
export type BodyPart = string | Uint8Array | FileSlice

let lastRequestId = 0

export class Exchange implements HookRequest {
  readonly client: ClientTransport
  /** Changes only under an open WebSocket. */
  generation: GenerationPin
  readonly head: RequestHead
  /** Counts up in this process; not `$request_id`, which is random. */
  readonly serial: number
  /** ms since the epoch. */
  readonly startedAt: number

  // the request as routing sees it
  method: string
  /** `$request_uri`: the target as sent (absolute form: without scheme and authority). */
  unparsedUri = ''
  /** Decoded, normalized path. */
  path = ''
  args = ''
  hasArgs = false
  /** The target can be passed on as it was sent: nobody has changed the URI. */
  unparsedValid = true
  /** The location's name still stands at the front of the path; false after `rewrite … break`. */
  locationValid = true
  /** `try_files` found a file below the `alias` of a regular expression location: the path stands below it. */
  belowAlias = false
  /** The location's rewrite rules have run: only its hooks are left of the step. */
  ruled = false
  /** `100 Continue` has been considered. */
  continued = false
  /** Lower-case, no port: `$host`. */
  host = ''
  /** Port given in the Host field, `$request_port`; '' if none. */
  hostPort = ''
  /** Came from an internal redirect, an error page, a subrequest. */
  internal = false
  /** URI changes left before the request is refused as a cycle. */
  uriChanges = 11
  uriChanged = false
  /** After realip; else the connection's. */
  remoteAddress: string
  /** null: the connection's, which is asked for only when somebody reads it. */
  #remotePort: string | null = null

  server: ServerPlan
  location: LocationPlan
  /** Result of the last regular expression match, `$1`…`$9`. */
  captures: readonly (string | undefined)[] | null = null
  /** Values of `set`, `map` and captured variables by slot; undefined: not yet evaluated or never set. */
  readonly values: (string | undefined)[]

  readonly requestHeaders: RequestHeaders
  body: RequestBody | null = null

  // the response
  #status = 0
  #logHooks = 0
  /** The head is on its way: nothing about it can change. */
  headSent = false
  readonly headers = new ResponseHeaders()
  /** Body of a response of our own; null for a proxied one. The status and `headers` go with it. */
  parts: BodyPart[] | null = null
  /** Range requests may be answered from `parts` (static files). */
  allowRanges = false
  /** The upstream's Content-Type, when its `X-Accel-Redirect` is followed. */
  keptContentType: string | null = null
  /** Status kept over an error page's internal redirect; 0: none. */
  errorStatus = 0
  /** An error page is being answered: no other one follows, but for `recursive_error_pages`. */
  inErrorPage = false
  /** Who the response comes from: error pages apply to our own statuses, to the upstream's only when intercepted. */
  statusText: string | null = null
  /** Location to search or named location to enter next (`internalRedirect`). */
  redirectTarget: string | null = null
  bytesSent = 0
  bodyBytesSent = 0
  requestLength = 0
  /** Bytes per second that `set $limit_rate` gave; -1: as configured. */
  limitRate = -1
  /** The client connection may serve another request after this one. */
  keepAlive = false
  /** Where the response is written to: the client, or the first of the filters before it. */
  output: ResponseOutput
  /** The filter that writes to the client; null: there is none. */
  lastFilter: ResponseFilter | null = null
  /** Response without a body whatever its head says (HEAD, 204, 304). */
  headOnly = false
  /** The piece of the body that is being sent is known to be the last one. */
  lastPiece = false
  /** The upstream's chunked framing goes to the client untouched. */
  chunkedThrough = false
  completed = false
  /** Trailer fields of the response. */
  trailers: [name: string, value: string][] | null = null
  /** Called once when the client has taken what was written. */
  onDrained: ((x: Exchange) => void) | null = null

  // the upstream side
  call: UpstreamCall | null = null
  /** Every try so far, for the `$upstream_*` lists; null before the first. */
  tries: UpstreamTry[] | null = null
  /** An internal redirect happened since the last try (` : ` in `$upstream_*`). */
  triesBroken = false
  /** The request's body goes to the upstream as it comes (`proxy_request_buffering off`). */
  streamsBody = false

  // the journey
  /** Step to resume at after a suspension. */
  step = 0
  /** Position in a phase's chain of hooks. */
  hookIndex = 0
  /** A hook of a step awaits something. */
  hookWaits = false
  /** Outcome of a suspended hook that has settled; -1: none. */
  settled: Outcome | -1 = -1
  /** Who runs hooks outside of the steps and waits for one; null: it is a step that waits, if anybody does. */
  hookOwner: HookOwner | null = null
  closed = false

  // limits
  /** What `limit_req` and `limit_conn` have decided; kept at `main`. */
  limits: LimitState | null = null
  /** The request waits its turn (`limit_req`). */
  delay: NodeJS.Timeout | null = null

  // subrequests
  /** The exchange that this one answers a part of; null: it answers a client. */
  readonly parent: Exchange | null
  /** The client's own request, whose `values` every subrequest of it shares. */
  readonly main: Exchange
  /** Subrequests begun so far, in all; counted at `main`. */
  subrequests = 0
  /** The subrequest of `auth_request` at this location. */
  authorization: Subrequest | null = null
  /** Copies of the request that `mirror` has sent; null: none. */
  mirrors: Mirrors | null = null
  /** `mirror` has sent those of this location. */
  mirrored = false
  /** What the SSI commands of a response and of everything included share; kept at `main`. */
  ssi: SsiPage | null = null

  scriptState: unknown = null
  /** Which versions of scripts it keeps to, where there are two: `script-canary.ts`'s own. Of `main` alone. */
  scriptChoices: unknown = null
  /** Phase of the hook that failed. */
  failedPhase: Phase | null = null
  /** A body hook has failed: the response that says so goes without them. */
  bodyHooksFailed = false
  balancer: BalancerView | null = null
  bodyChunk: BodyChunk | null = null
  webSocket: WebSocketView | null = null
  /** The same, as the journey sees it: the proxy speaks WebSocket itself, or is about to. */
  relay: WebSocketRelay | null = null
  /** The request was there before the one ahead of it was done: `$pipe`. */
  pipelined = false
  /** `$request_id`, made at first use. */
  requestId: string | null = null

  constructor(
    client: ClientTransport,
    generation: GenerationPin,
    head: RequestHead,
    server: ServerPlan,
    parent: Exchange | null = null,
  ) {
    this.client = client
    this.parent = parent
    this.main = parent === null ? this : parent.main
    this.values = parent === null ? [] : parent.values
    this.output = client
    this.generation = generation
    this.head = head
    this.serial = ++lastRequestId
    this.startedAt = Date.now()
    this.method = head.method
    this.server = server
    this.location = server.root
    this.remoteAddress = client.remoteAddress
    this.requestHeaders = new RequestHeaders(head.fields)
  }

  /** RFC 6455 section 4.1, as far as a proxy needs to see. */
  get wantsWebSocket(): boolean {
    const { fields } = this.head
    const index = fields.find(Field.UPGRADE)
    return (
      index >= 0 &&
      this.parent === null &&
      this.method === 'GET' &&
      this.head.version === 11 &&
      fields.value(index).toLowerCase() === 'websocket'
    )
  }

  /** The client asked to switch protocols. */
  get upgrade(): boolean {
    return this.parent === null && this.head.version === 11 && this.head.fields.find(Field.UPGRADE) >= 0
  }

  get remotePort(): string {
    return this.#remotePort ?? this.client.remotePort
  }

  set remotePort(value: string) {
    this.#remotePort = value
  }

  // ---- HookRequest: what scripts see ----

  get httpVersion(): string {
    return this.client.protocol.slice(5)
  }

  get uri(): string {
    return this.path
  }

  /** A rewrite in place: the location stays (`rewrite … break`). */
  set uri(value: string) {
    if (!value.startsWith('/')) throw new RangeError('a uri begins with "/"')
    const path = normalizePath(escapeUri(value, 'uri'), false)
    if (path === null) throw new RangeError('not a path that may be requested')
    this.path = path
    this.unparsedValid = false
    this.locationValid = false
  }

  get rawArgs(): string {
    return this.args
  }

  set rawArgs(value: string) {
    if (/[\x00-\x20\x7f#]/.test(value))
      throw new RangeError('a query holds no space, "#" or control character; encode them')
    this.args = value
    this.hasArgs = value !== ''
    this.unparsedValid = false
  }

  get status(): number {
    return this.#status
  }

  set status(value: number) {
    if (!(value === 0 || (value >= 100 && value <= 999 && Number.isInteger(value)))) {
      throw new RangeError('a status is a whole number from 100 to 999')
    }
    this.#status = value
    this.statusText = null
  }

  get responseHeaders(): ResponseHeaders {
    return this.headers
  }

  answer(
    status: number,
    headers: readonly (readonly [string, string])[],
    body: string | Uint8Array | null,
  ): void {
    // What a script has set before stays; what the upstream sent does not belong to this answer.
    if (this.headers.block !== null) this.headers.clear()
    for (const [name] of headers) this.headers.delete(name)
    for (const [name, value] of headers) this.headers.append(name, value)
    this.status = status
    this.parts = body === null ? null : [body]
    if (body !== null && this.headers.contentType === null)
      this.headers.contentType = this.location.files.defaultType
  }

  redirect(uri: string): void {
    if (!/^[/@][^\x00-\x20\x7f]*$/.test(uri))
      throw new RangeError('a redirect goes to a "/path" or to a named "@location"')
    this.redirectTarget = uri
  }

  fail(phase: Phase, _message: string): void {
    this.failedPhase = phase
  }

  hookSettled(outcome: Outcome): void {
    if (this.#logHooks > 0) {
      this.#logHooks--
      this.generation.release()
      return
    }
    if (this.closed || this.completed) return
    if (this.hookOwner !== null) {
      this.hookOwner.hookSettled(outcome)
      return
    }
    this.settled = outcome
    this.generation.services.resume(this, this.step as Step)
  }

  /** A log hook still awaits something: its generation has to stay. */
  keepForLog(): void {
    this.#logHooks++
    this.generation.acquire()
  }

  readBody(done: (error: Error | null, body: Uint8Array) => void): void {
    const body = this.body
    if (body === null) {
      done(null, EMPTY)
      return
    }
    const options = this.location.body
    const whenDone = (fault: HttpFault | null): void => {
      if (fault !== null) done(bodyFailure(fault.status, fault.reason), EMPTY)
      else if (body.received > options.memory)
        done(bodyFailure(413, 'the request body is larger than client_body_buffer_size'), EMPTY)
      else done(null, body.bytes())
    }
    body.buffer(options, whenDone)
    if (!body.done) this.client.readBody()
  }

  log(level: LogLevel, message: string): void {
    this.generation.services.log(level, message, this)
  }
}

const EMPTY = new Uint8Array(0)

function bodyFailure(status: number, reason: string): BodyFailure {
  return status < 500 ? Object.assign(new Error(reason), { status }) : new Error(reason)
}
