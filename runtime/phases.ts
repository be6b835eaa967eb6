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
  /** Left out for a while after failures. Absent: no. */
  readonly resting?: boolean
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
  readBody(done: (error: BodyFailure | null, body: Uint8Array) => void): void
  /** One line on the error log with this request's context. */
  log(level: LogLevel, message: string): void
}

/** Why the body of a request cannot be read. The message is safe for the script. */
export interface BodyFailure extends Error {
  /** The client is to blame, and this is what it is answered unless the script says otherwise. */
  readonly status?: number
}

/** A variable resolved once by name, read many times. */
export interface VariableAccess {
  /** undefined: the variable has no value ("not found"). */
  get(request: HookRequest): string | undefined
  /** null: the variable cannot be set. */
  readonly set: ((request: HookRequest, value: string) => void) | null
}

/** What a script asks of the network. Whoever carries it out checks all of it. */
export interface FetchRequest {
  readonly url: string
  readonly method: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** `'stream'`: comes by `FetchCall.write`, ended by `FetchCall.finish`. */
  readonly body: Uint8Array | 'stream' | null
  readonly redirect: 'follow' | 'manual' | 'error'
  /** ms within which the whole answer must have been read. */
  readonly timeout: number
  /** The request in whose name it is made: the key of a hashing upstream group comes from it. null: the script's own. */
  readonly request: HookRequest | null
}

/** The head of an answer. */
export interface FetchResponse {
  /** Of the last of several redirected requests. */
  readonly url: string
  readonly redirected: boolean
  readonly status: number
  readonly statusText: string
  /** As received, repeated names included. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** There is no body, and the call is over. */
  readonly empty: boolean
}

export interface FetchFailure {
  /** `TypeError`: not allowed, or the network failed. Byte string for the script. */
  readonly kind: 'TypeError' | 'TimeoutError'
  readonly message: string
}

/**
 * What becomes of a fetch: `response`, then one `data` for each `read` until one is `last`; or at any time `failed`, and
 * nothing after it. Never called from within `ScriptHost.fetch` or a method of the call, nor after `abort`.
 */
export interface FetchEvents {
  response(response: FetchResponse): void
  /** @param chunk valid during the call; empty only if `last` */
  data(chunk: Uint8Array, last: boolean): void
  /** The `write` that returned false has been taken. */
  drained(): void
  failed(failure: FetchFailure): void
}

/** A fetch under way. */
export interface FetchCall {
  /** Asks for a piece of the body: what is there first, or (`whole`) as much as may come at once. One at a time. */
  read(whole: boolean): void
  /** A piece of a streamed body, which the call may keep. false: no more until `drained`. */
  write(chunk: Uint8Array): boolean
  /** The streamed body is complete. */
  finish(): void
  abort(): void
}

/** What a session map holds: JSON text, or bytes. */
export type MapValue = string | Uint8Array

/**
 * A `session_map` as scripts have it. Keys are texts, no byte strings; times are ms. What needs the store rejects with a
 * StoreError when the store cannot be asked, or refuses.
 */
export interface ScriptMap {
  readonly name: string
  /** What the map does while the store is away. */
  readonly onError: 'hash' | 'stale' | 'closed'
  /** What is known without a wait; null: there is nothing; undefined: ask. */
  peek(key: string): MapValue | null | undefined
  get(key: string): Promise<MapValue | null>
  /** @param ttl default: the map's own; so below */
  set(key: string, value: MapValue, ttl?: number): Promise<void>
  /** Sets where there is nothing. @returns what was there, or null: it was set */
  add(key: string, value: MapValue, ttl?: number): Promise<MapValue | null>
  /** Replaces `expected` (null: nothing) by `value` (null: deletes it). @returns whether it was done */
  compareAndSet(
    key: string,
    expected: MapValue | null,
    value: MapValue | null,
    ttl?: number,
  ): Promise<boolean>
  /** Replaces a value that is of no use any more. @returns what is there now */
  replace(key: string, gone: MapValue, value: MapValue, ttl?: number): Promise<MapValue>
  incr(key: string, by: number, ttl?: number): Promise<number>
  /** @returns whether it was there; so below */
  touch(key: string, ttl?: number): Promise<boolean>
  delete(key: string): Promise<boolean>
  /** A page of what there is, and the cursor of the next one; null: none is left. */
  entries(
    cursor: string | null,
    count: number,
  ): Promise<{ entries: readonly { key: string; value: MapValue }[]; cursor: string | null }>
  /** Notes an answer that was given without the store, to be written down when that is back. */
  owe(key: string, value: MapValue): void
}

/** A raw command: its name in capitals, and its words. Texts are no byte strings. */
export type RedisCommand = readonly [name: string, ...words: (string | Uint8Array)[]]

/** What Redis gave as the answer; `refusal`: its error, which may stand among the elements of an array as well. */
export type RedisReply = null | number | Uint8Array | { readonly refusal: string } | readonly RedisReply[]

/** The Redis of the configuration as scripts have it. */
export interface ScriptRedis {
  /** Begins the keys that are not the scripts'. */
  readonly prefix: string
  /** Scripts may run Lua there. */
  readonly allowsEval: boolean
  /**
   * Sends commands in one go; they have been checked. @param atomic nothing comes between them. Rejects with a StoreError
   * when Redis cannot be asked.
   */
  send(commands: readonly RedisCommand[], atomic: boolean): Promise<readonly RedisReply[]>
}

/** The time that a sandbox goes by. */
export interface ScriptClock {
  /** ms since the epoch. */
  now(): number
  /** @returns what `clearTimeout` takes */
  setTimeout(callback: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
  /** What the sandbox's `Math.random` begins with, above 0; null: the time. */
  readonly seed: number | null
}

/** Where a script failed: what the line on the error log says, for those who can show it better. */
export interface ScriptFault {
  /** null: a promise or a timer that nobody waits for. */
  readonly phase: Phase | null
  readonly message: string
  /** Absolute. */
  readonly file: string
  /** 0: not known. */
  readonly line: number
  /** In characters, from 1. */
  readonly column: number
  /** That line with a caret below the column, two lines for a terminal; '' if it is not known. */
  readonly excerpt: string
  /** The script's own stack, innermost first: `pick (lib/ring.js:3:12)`. */
  readonly stack: readonly string[]
}

/** One call of a rate. */
export interface RateRequest {
  readonly name: string
  readonly key: string
  /** Per second. */
  readonly rate: number
  /** Of a full bucket. */
  readonly burst: number
  readonly cost: number
}

/** Rates and connections that scripts limit, over all that is loaded under the same name. */
export interface ScriptRates {
  /** Above 0: refused, ms until it would be allowed; else taken, and minus the ms in which the bucket will be full again. */
  take(request: RateRequest): number
  /** The same in the store, where all who share it count together. Never rejects. */
  takeShared(request: RateRequest): Promise<number>
  /** Counts a request until it ends; false: there are `max` of the key already. */
  admit(request: HookRequest, name: string, key: string, max: number): boolean
}

/** What a generation offers the scripts that it loads. */
export interface ScriptHost {
  /** Resolves `$NAME` (without the dollar), or null if there is no such variable. */
  variable(name: string): VariableAccess | null
  /** Compiles a string with nginx variables, e.g. `'$scheme://$host'`. @throws Error naming an unknown variable. */
  template(text: string): (request: HookRequest) => string
  /** Is kept up to date with whose hook or continuation runs; null: nobody's. Absent: nobody wants to know. */
  readonly running?: { request: HookRequest | null }
  /** What `Math.random` gives: from 0 to below 1. Absent: what the sandbox makes up. */
  readonly random?: () => number
  /** Makes an HTTP request, as far as `script_allow_fetch` lets it. Never throws. */
  fetch(request: FetchRequest, events: FetchEvents): FetchCall
  /** A `session_map`; undefined: there is none of that name. Absent: there are none at all. */
  readonly map?: (name: string) => ScriptMap | undefined
  /** For `sluice:redis`. Absent: the store is no Redis, and a script that wants it is refused. */
  readonly redis?: ScriptRedis
  /** What `sluice:limit` counts by. Absent: nothing is counted, and everything is allowed. */
  readonly limits?: ScriptRates
  /** A line on the error log outside any request. */
  log(level: LogLevel, message: string): void
  /** A script has failed; the line on the error log is written anyway. Absent: nobody wants to know more. */
  readonly failed?: (fault: ScriptFault, request: HookRequest | null) => void
  /** A script reads one member of `r.args`, a byte string. Absent: nobody wants to know. */
  readonly argRead?: (request: HookRequest, name: string, value: string | undefined) => void
  readonly generation: number
  readonly worker: number
  readonly version: string
  /** Absent: the process's own. */
  readonly clock?: ScriptClock
}

/** Limits of one sandbox and of each hook call (`script_limits`). */
export interface ScriptLimits {
  /** Bytes of linear memory the sandbox may grow to. */
  readonly memory: number
  /** Bytes of JavaScript stack. */
  readonly stack: number
  /** CPU milliseconds per hook entry. */
  readonly cpu: number
  /** CPU milliseconds for compiling a script and running its top level; as many again for `init`. */
  readonly load: number
  /** Wall-clock milliseconds per hook, awaits included. */
  readonly wall: number
}

export const DEFAULT_LIMITS: ScriptLimits = {
  memory: 32 * 1024 * 1024,
  stack: 64 * 1024,
  cpu: 50,
  load: 70,
  wall: 10_000,
}
