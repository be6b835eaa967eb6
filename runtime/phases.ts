/**
 * The contract between the request's journey (`proxy/`) and whatever runs in its phases (`script/`).
 *
 * `proxy/` calls a {@link PhaseHandler} and reads the {@link Outcome}; it does not know that a QuickJS sandbox
 * stands behind it. `script/` sees a request only through {@link HookRequest}; it does not know `proxy/`.
 *
 * Strings that cross this contract are byte strings (latin1: one character, one byte), as everywhere on the
 * data path; the sandbox door decodes them as UTF-8 towards the script and encodes them on the way back.
 */

/** Every hook a script may export, in the order of a request's life. */
export const PHASES = [
  'init',
  'rewrite',
  'access',
  'content',
  'balancer',
  'headerFilter',
  'bodyFilter',
  'log',
  'wsOpen',
  'wsMessage',
  'wsClose',
  'preread',
] as const

export type Phase = (typeof PHASES)[number]

/**
 * What a hook decided. Details travel through {@link HookRequest} (`answer`, `redirect`, `choosePeer`, `fail`),
 * so that the common outcomes cost no allocation.
 */
export const Outcome = {
  /** Go on as if the hook were absent. */
  PASS: 0,
  /** The hook awaits something; `HookRequest.hookSettled` follows exactly once, unless the request ends first. */
  SUSPENDED: 1,
  /** The hook answered the request: `HookRequest.answer` has been called. */
  ANSWER: 2,
  /** The hook asked for an internal redirect: `HookRequest.redirect` has been called. */
  REDIRECT: 3,
  /** The balancer hook chose a peer: `BalancerView.choose` has been called. */
  PEER: 4,
  /** The hook threw or overran a limit (and `script_on_error` is closed): `HookRequest.fail` has been called. */
  FAILED: 5,
  /** The hook gave other bytes: `BodyChunk.replace` or `WebSocketView.replace` has been called. */
  REPLACED: 6,
  /** `wsMessage` dropped the message. */
  DROPPED: 7,
} as const

export type Outcome = (typeof Outcome)[keyof typeof Outcome]

/**
 * Runs one hook for one request. Synchronous unless it returns `Outcome.SUSPENDED`.
 * Never throws: a failing script is an outcome.
 */
export type PhaseHandler = (request: HookRequest) => Outcome

/** Header fields as a script sees them. Names are case-insensitive. Implementations validate what is set. */
export interface HeaderAccess {
  /** The values of all fields of that name joined by `', '` (`'; '` for cookie), or undefined. */
  get(name: string): string | undefined
  /** Every value of that name, in order. */
  getAll(name: string): string[]
  /** @throws RangeError when the name, the value or the phase does not allow it; the message is safe for the script. */
  set(name: string, value: string): void
  /** @throws RangeError as `set`. */
  append(name: string, value: string): void
  /** @throws RangeError as `set`. Absent fields are no error. */
  delete(name: string): void
  has(name: string): boolean
  /** Name and value pairs in order, names as received. */
  entries(): [name: string, value: string][]
}

/** One server of an upstream group as a script sees it. */
export interface PeerInfo {
  /** The configured name, e.g. `backend1:8080`. */
  readonly name: string
  /** The resolved address, `ip:port` or `unix:/path`. */
  readonly address: string
  readonly weight: number
  readonly backup: boolean
  readonly down: boolean
  /** Requests in flight to this peer now. */
  readonly connections: number
  /** Failures counted within `fail_timeout`. */
  readonly fails: number
}

/** The upstream group as the balancer hook sees it. Indexes point into `peers`; -1 means that no peer is eligible. */
export interface BalancerView {
  readonly name: string
  readonly peers: readonly PeerInfo[]
  /** Peers tried before by this request (0 on the first try). */
  readonly tries: number
  /** Why the last try failed (`error`, `timeout`, `http_502`, …), or null. */
  readonly lastFailure: string | null
  /** nginx `hash KEY [consistent]` over this group. */
  hash(key: string, consistent: boolean): number
  roundRobin(): number
  leastConn(): number
  random(): number
  ipHash(): number
  /** Timeouts of this and later tries in milliseconds; undefined leaves one as configured. */
  setTimeouts(connect: number | undefined, send: number | undefined, read: number | undefined): void
  /** Allows up to `count` further tries after this one, as OpenResty's `set_more_tries`. */
  setMoreTries(count: number): void
  /** Takes the peer at this index for this try. Out of range: RangeError. */
  choose(index: number): void
}

/** A piece of a response body as the `bodyFilter` hook sees it. */
export interface BodyChunk {
  /** Valid until the hook has settled. Empty only when `last` stands alone. */
  readonly data: Uint8Array
  /** Nothing follows. */
  readonly last: boolean
  /** What goes on in its place; no bytes: nothing does. */
  replace(data: Uint8Array): void
}

export type WebSocketSide = 'client' | 'upstream'

export interface WebSocketMessage {
  readonly from: WebSocketSide
  /** Text as UTF-8, checked. Valid until the hook has settled. */
  readonly data: Uint8Array
  readonly binary: boolean
}

/** How a WebSocket ended. */
export interface WebSocketEnd {
  /** Who ended it. */
  readonly by: WebSocketSide | 'proxy' | 'script'
  /** RFC 6455 section 7.4; 1005: none was given, 1006: the connection was lost. */
  readonly code: number
  readonly reason: string
}

/** `ws.state` of one script for one WebSocket, as JSON, and the version of the script that wrote it. */
export interface WebSocketState {
  readonly json: string
  readonly version: string
}

/** A WebSocket through a location with `ws*` hooks. */
export interface WebSocketView {
  /** The subprotocol that both sides agreed on, or ''. */
  readonly protocol: string
  /** Times that the upstream was connected to anew (`ws_reconnect`). */
  readonly reconnects: number
  /** Set only while `wsMessage` runs (and is suspended). */
  readonly message: WebSocketMessage | null
  /** Set only while `wsClose` runs. */
  readonly end: WebSocketEnd | null
  /** What goes on in the message's place. */
  replace(data: Uint8Array, binary: boolean): void
  /** Queues a message for one side, behind those that are on their way. @throws RangeError: closed, too large, queue full */
  send(to: WebSocketSide, data: Uint8Array, binary: boolean): void
  /** Closes both sides with this code. @throws RangeError: a code that may not be sent, a reason over 123 bytes */
  close(code: number, reason: string): void
  /** The script engine's own: kept by the proxy as long as the WebSocket, over generations and sandboxes, by script file. */
  readonly states: Map<string, WebSocketState>
}

/** How bad a log line is; nginx's words. */
export type LogLevel = 'debug' | 'info' | 'notice' | 'warn' | 'error' | 'crit' | 'alert' | 'emerg'

/**
 * One request as the hooks see it. The proxy's exchange implements it; `sluice try` and the tests do too.
 */
export interface HookRequest {
  /**
   * Slots for the script engine's own use: the sandbox's handle of this request, one per sandbox that has run
   * for it. The proxy creates it as null and never touches it.
   */
  scriptState: unknown

  readonly method: string
  readonly httpVersion: string
  readonly remoteAddress: string
  /** The normalized path; setting it is a rewrite in place (`rewrite … break`). RangeError when it is not a path. */
  uri: string
  /** The query without `?`. RangeError when it holds characters a request line may not. */
  rawArgs: string
  /** Response status; settable in `headerFilter`. RangeError outside 100-999. */
  status: number
  readonly requestHeaders: HeaderAccess
  readonly responseHeaders: HeaderAccess
  /** Set only while a balancer hook runs (and is suspended). */
  readonly balancer: BalancerView | null
  /** Set only while a `bodyFilter` hook runs (and is suspended). */
  readonly bodyChunk: BodyChunk | null
  /** Set from the handshake of a WebSocket through a location with `ws*` hooks on. */
  readonly webSocket: WebSocketView | null

  /** Ends the request with this answer. Redirect statuses take the URL in a `Location` header. */
  answer(
    status: number,
    headers: readonly (readonly [string, string])[],
    body: string | Uint8Array | null,
  ): void
  /** Internal redirect to `uri` (which may carry `?args`) or to a named location `@name`. */
  redirect(uri: string): void
  /** Records the failure of a hook; the engine has logged it. */
  fail(phase: Phase, message: string): void
  /** Resumes the journey after `Outcome.SUSPENDED`. */
  hookSettled(outcome: Outcome): void
  /** True once the request is over (client gone, aborted): the engine drops pending work for it. */
  readonly closed: boolean
  /** Reads the whole request body, then calls back (at once or later) with it, or with an error. */
  readBody(done: (error: Error | null, body: Uint8Array) => void): void
  /** One line on the error log with this request's context. */
  log(level: LogLevel, message: string): void
}

/** A variable resolved once by name, read many times. */
export interface VariableAccess {
  /** undefined: the variable has no value ("not found"). */
  get(request: HookRequest): string | undefined
  /** null: the variable cannot be set. */
  readonly set: ((request: HookRequest, value: string) => void) | null
}

/** What a generation offers the scripts that it loads. */
export interface ScriptHost {
  /** Resolves `$NAME` (without the dollar), or null if there is no such variable. */
  variable(name: string): VariableAccess | null
  /** Compiles a string with nginx variables, e.g. `'$scheme://$host'`. @throws Error naming an unknown variable. */
  template(text: string): (request: HookRequest) => string
  /** A line on the error log outside any request. */
  log(level: LogLevel, message: string): void
  readonly generation: number
  readonly worker: number
  readonly version: string
}

/** Limits of one sandbox and of each hook call (`script_limits`). */
export interface ScriptLimits {
  /** Bytes of linear memory the sandbox may grow to. */
  readonly memory: number
  /** Bytes of JavaScript stack. */
  readonly stack: number
  /** CPU milliseconds per hook entry. */
  readonly cpu: number
  /** Wall-clock milliseconds per hook, awaits included. */
  readonly wall: number
}

export const DEFAULT_LIMITS: ScriptLimits = {
  memory: 32 * 1024 * 1024,
  stack: 64 * 1024,
  cpu: 50,
  wall: 10_000,
}
