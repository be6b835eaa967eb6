/**
 * Types of what a hook script sees: the hooks, a request type for each phase, the globals, and the `sluice:*`
 * modules. Declarations only, global, so that a plain .js file needs one comment per hook:
 *
 *     /** @type {Sluice.Balancer} *\/
 *     export function balancer(r, upstream) {
 *       return upstream.hash(r.variables.arg_userId, { consistent: true })
 *     }
 *
 * An editor finds this file through a jsconfig.json with `"lib": ["es2023"], "types": []` that includes it: a sandbox
 * has neither Node's globals nor a browser's.
 */

declare namespace Sluice {
  // ---- hooks ----

  /** Runs once per generation and worker, before it takes traffic. A throw refuses the generation. */
  type Init = (sluice: Info) => void | Promise<void>

  /** After the location is found: may change the request, answer it, or send it elsewhere. */
  type Rewrite = (r: RewriteRequest) => Decision | Promise<Decision>

  /** Before any upstream work: answers, or returns nothing to allow. */
  type Access = (r: AccessRequest) => Decision | Promise<Decision>

  /** Instead of proxying: answers; `r.decline()` or nothing leaves it to the location. */
  type Content = (r: ContentRequest) => Decision | Promise<Decision>

  /** On every try: returns a peer, its `host:port`, or nothing for the configured method. */
  type Balancer = (r: BalancerRequest, upstream: Upstream) => Choice | Promise<Choice>

  /** The response head is known and not sent. */
  type HeaderFilter = (r: HeaderFilterRequest) => void | Promise<void>

  /** After the response, off the request's path. */
  type Log = (r: LogRequest) => void | Promise<void>

  /**
   * Each piece of the response's body on its way to the client; the last one may be empty. What is returned goes on in
   * its place; null or `''`: nothing does.
   */
  type BodyFilter = (
    r: BodyFilterRequest,
    chunk: Uint8Array,
    info: { readonly last: boolean },
  ) => Replacement | Promise<Replacement>

  /** A WebSocket is open on both sides, and before its first message; once more after each `ws_reconnect`. */
  type WsOpen = (r: WsRequest, ws: WebSocket) => void | Promise<void>

  /** A message on its way to the other side. What is returned goes on in its place; null drops it. */
  type WsMessage = (r: WsRequest, msg: Message, ws: WebSocket) => Replacement | Promise<Replacement>

  /** A WebSocket has ended. */
  type WsClose = (r: WsRequest, info: CloseInfo, ws: WebSocket) => void | Promise<void>

  /**
   * No hook: makes the `ws.state` of an open WebSocket, kept by a version of the script with other sources, one of this
   * version. Returns the new state.
   */
  // biome-ignore lint/suspicious/noExplicitAny: what an earlier version kept is its own business
  type Migrate = (oldState: any) => unknown

  /** Every hook a script may export. */
  interface Hooks {
    init?: Init
    rewrite?: Rewrite
    access?: Access
    content?: Content
    balancer?: Balancer
    headerFilter?: HeaderFilter
    bodyFilter?: BodyFilter
    log?: Log
    wsOpen?: WsOpen
    wsMessage?: WsMessage
    wsClose?: WsClose
    migrate?: Migrate
  }

  // biome-ignore lint/suspicious/noConfusingVoidType: a hook that ends without `return` has decided nothing
  type Decision = Answer | void | undefined | null
  // biome-ignore lint/suspicious/noConfusingVoidType: a hook that ends without `return` leaves the choice to the configuration
  type Choice = Peer | string | void | undefined | null

  // biome-ignore lint/suspicious/noConfusingVoidType: a hook that ends without `return` lets pass what came
  type Replacement = string | Uint8Array | void | undefined | null

  /** An answer that a hook returns. */
  interface Answer {
    status: number
    /** The values of a repeated field are a list. */
    headers?:
      | Readonly<Record<string, string | readonly string[]>>
      | Iterable<readonly [name: string, value: string]>
    /** Without a body, a status of 300 or more gets its error page. */
    body?: string | Uint8Array
  }

  // ---- requests, by phase ----

  /** What every phase may read. */
  interface Request {
    readonly method: string
    /** The path: decoded and normalized, without the query. */
    readonly uri: string
    /** The query as sent, without `?`. */
    readonly rawArgs: string
    /** The query decoded; the values of a repeated name are a list. */
    readonly args: Readonly<Record<string, string | string[] | undefined>>
    /** `'1.1'` */
    readonly httpVersion: string
    readonly remoteAddress: string
    /** The status of the response; 0 before there is one. */
    readonly status: number
    /** This script's own values for this request; kept over phases and internal redirects. */
    // biome-ignore lint/suspicious/noExplicitAny: what a script keeps there is its own business
    ctx: Record<PropertyKey, any>
    /** nginx's variables by name, without the dollar. Those of `set` and some of nginx's own can be written. */
    readonly variables: Record<string, string | undefined>
    readonly headersIn: ReadonlyFields
    readonly headersOut: ReadonlyFields
    /** A line on the error log, at level info. */
    log(...values: unknown[]): void
    warn(...values: unknown[]): void
    error(...values: unknown[]): void
  }

  /** What the phases before the upstream may also do: answer, redirect, read the body. */
  interface EarlyRequest extends Request {
    /** Fields set here go out with what the upstream answers. An answer of the hook's own brings its own. */
    readonly headersOut: Fields
    /** Answers with a body, or, for 301, 302, 303, 307 and 308, with the URL to go to. Nothing else: the error page. */
    return(status: number, bodyOrUrl?: string | Uint8Array): void
    /** Searches the locations again with this URI, or enters `'@named'`. */
    internalRedirect(uri: string): void
    /** Leaves the request to what the configuration says. */
    decline(): void
    /**
     * The body, as UTF-8. Like the others it rejects when the body is too large, with an error of `status` 413; uncaught,
     * that is what the client is answered.
     */
    readText(): Promise<string>
    /** The body, parsed. Rejects when it is no JSON: the client is answered 400, unless the error is caught. */
    // biome-ignore lint/suspicious/noExplicitAny: as JSON.parse
    readJSON(): Promise<any>
    /** The fields of a form as `application/x-www-form-urlencoded`; of another type, the client is answered 415. */
    readForm(): Promise<Record<string, string | string[]>>
    readBytes(): Promise<Uint8Array>
  }

  interface RewriteRequest extends EarlyRequest {
    /** Fields changed here are what the upstream and later phases see. */
    readonly headersIn: Fields
    /** Changing it is a `rewrite … break`: this location goes on with the new path. */
    uri: string
    rawArgs: string
  }

  interface AccessRequest extends EarlyRequest {
    /** Fields changed here are what the upstream and later phases see. */
    readonly headersIn: Fields
  }

  interface ContentRequest extends EarlyRequest {}

  interface BalancerRequest extends Request {
    /** Fields changed here are what this try's peer sees. */
    readonly headersIn: Fields
  }

  interface HeaderFilterRequest extends Request {
    status: number
    readonly headersOut: Fields
  }

  interface BodyFilterRequest extends Request {}

  interface LogRequest extends Request {}

  /** The request that a WebSocket began with. */
  interface WsRequest extends Request {}

  /** A request whose response can be given fields. */
  type Responding = Request & { readonly headersOut: Fields }

  /** Header fields; names are case-insensitive, and `fields['x-key']` reads as `fields.get('x-key')`. */
  type ReadonlyFields = FieldReader & { readonly [name: string]: string | undefined }

  /** Header fields that can be changed, also by `fields['x-key'] = 'value'`; undefined deletes. */
  type Fields = FieldReader & FieldWriter & { [name: string]: string | undefined }

  interface FieldReader extends Iterable<[name: string, value: string]> {
    /** All values of that name, joined by `', '` (cookies by `'; '`). */
    get(name: string): string | undefined
    getAll(name: string): string[]
    has(name: string): boolean
    entries(): IterableIterator<[name: string, value: string]>
    keys(): IterableIterator<string>
    values(): IterableIterator<string>
    forEach(visit: (value: string, name: string) => void): void
  }

  interface FieldWriter {
    /** Throws a RangeError for control characters and for fields that frame the message, as Content-Length. */
    set(name: string, value: string): void
    append(name: string, value: string): void
    delete(name: string): void
  }

  // ---- balancing ----

  /** The upstream group of this request. Methods skip peers that failed, as nginx's do. */
  interface Upstream {
    readonly name: string
    readonly peers: readonly Peer[]
    /** Peers tried before by this request; 0 on the first try. */
    readonly tries: number
    /** Why the last try failed (`'error'`, `'timeout'`, `'http_502'`, …). */
    readonly lastFailure: string | null
    /** nginx's `hash KEY [consistent]`; an empty key is balanced round robin. */
    hash(key: string | undefined, options?: { consistent?: boolean }): Peer | null
    roundRobin(): Peer | null
    leastConn(): Peer | null
    random(): Peer | null
    ipHash(): Peer | null
    /** Of this and later tries, in milliseconds. */
    setTimeouts(timeouts: { connect?: number; send?: number; read?: number }): void
    /** Allows so many further tries after this one. */
    setMoreTries(count: number): void
  }

  /** One server of an upstream group. */
  interface Peer {
    /** As configured: `'app1.internal:8080'`. */
    readonly name: string
    /** As resolved: `'10.0.0.1:8080'` or `'unix:/path'`. */
    readonly address: string
    readonly weight: number
    /** Requests in flight. */
    readonly connections: number
    /** Failures within `fail_timeout`. */
    readonly fails: number
    readonly down: boolean
    readonly backup: boolean
  }

  // ---- WebSockets ----

  type Side = 'client' | 'upstream'

  /** An open WebSocket; usable until it is over, also from timers and from the hooks of others. */
  interface WebSocket {
    /** The subprotocol that both sides agreed on, or `''`. */
    readonly protocol: string
    /** Times that the upstream was connected to anew. */
    readonly reconnects: number
    /**
     * This script's own for this WebSocket: any JSON value, `{}` at first, of at most 64 KiB. It outlives a swap of the
     * script, see `Migrate`. Kept when a hook has ended that read or set it.
     */
    // biome-ignore lint/suspicious/noExplicitAny: what a script keeps there is its own business
    state: any
    /**
     * Sends a message, text or bytes, of at most 1 MiB. Throws a RangeError if that side is closed, or takes no more for
     * now.
     */
    send(to: Side, data: string | Uint8Array | ArrayBuffer): void
    /** Closes both sides; 1000 by default. Throws a RangeError for a code that may not be sent, or too long a reason. */
    close(code?: number, reason?: string): void
  }

  /** A message, while its hook runs. */
  type Message = TextMessage | BinaryMessage

  interface TextMessage {
    readonly from: Side
    readonly data: string
    readonly binary: false
  }

  interface BinaryMessage {
    readonly from: Side
    readonly data: Uint8Array
    readonly binary: true
  }

  /** How a WebSocket ended. */
  interface CloseInfo {
    /** Who ended it. */
    readonly by: Side | 'proxy' | 'script'
    /** 1005: none was given; 1006: the connection was lost. */
    readonly code: number
    readonly reason: string
  }

  // ---- globals ----

  /** The script's surroundings, as the global `sluice`. */
  interface Info {
    /** The `name=value` pairs of the `script` directive. */
    readonly params: Readonly<Record<string, string | undefined>>
    readonly worker: number
    readonly version: string
    readonly generation: number
    /** The phase whose hook runs now; `'init'` while the script loads, `'timer'` for what `every` calls. */
    readonly phase: string
    /**
     * Has the function called again and again while the script's generation serves, from one interval after it began. A
     * run that still waits makes the next one skip. Only while the script loads: at its top level and in `init`.
     * @param interval nginx's notation (`'10s'`), or milliseconds; 100 ms at least
     */
    every(interval: string | number, callback: () => unknown): { stop(): void }
  }
}

declare const sluice: Sluice.Info

/** Lines go to the error log. */
interface Console {
  log(...values: unknown[]): void
  info(...values: unknown[]): void
  warn(...values: unknown[]): void
  error(...values: unknown[]): void
  debug(...values: unknown[]): void
}
declare var console: Console

// biome-ignore lint/suspicious/noExplicitAny: the values are the callback's own arguments
declare function setTimeout(callback: (...values: any[]) => void, ms?: number, ...values: any[]): number
declare function clearTimeout(id: number | undefined): void
declare function queueMicrotask(callback: () => void): void
declare function structuredClone<T>(value: T): T
/** Base64 to a text of one character per byte. */
declare function atob(base64: string): string
declare function btoa(bytes: string): string

/**
 * Makes an HTTP request: to an upstream group of the configuration by its name, `fetch('http://chat/rooms')`, or to what
 * `script_allow_fetch` lists. Bounded by the wall-clock limit and by the request that the hook runs for. A network
 * error, a refused URL included, is a TypeError.
 */
declare function fetch(
  input: string | URL | (FetchOptions & { url: string }),
  options?: FetchOptions,
): Promise<Response>

interface FetchOptions {
  /** `'GET'` */
  method?: string
  headers?: HeadersInit
  /** A stream is sent as fast as the peer takes it. */
  body?:
    | string
    | Uint8Array
    | ArrayBuffer
    | URLSearchParams
    | Iterable<string | Uint8Array>
    | AsyncIterable<string | Uint8Array>
    | null
  signal?: AbortSignal | null
  /** Milliseconds until all of the answer must have been read. */
  timeout?: number
  /** `'follow'`, up to five times, each place checked; `'manual'`: the redirect is the answer. */
  redirect?: 'follow' | 'manual' | 'error'
}

type HeadersInit =
  | Headers
  | Readonly<Record<string, string | readonly string[]>>
  | Iterable<readonly [name: string, value: string]>

/** Names are case-insensitive. */
interface Headers extends Iterable<[name: string, value: string]> {
  append(name: string, value: string): void
  delete(name: string): void
  entries(): IterableIterator<[name: string, value: string]>
  forEach(visit: (value: string, name: string, headers: Headers) => void): void
  /** All values of that name, joined by `', '`. */
  get(name: string): string | null
  getSetCookie(): string[]
  has(name: string): boolean
  keys(): IterableIterator<string>
  set(name: string, value: string): void
  values(): IterableIterator<string>
}
declare var Headers: { prototype: Headers; new (init?: HeadersInit): Headers }

/** What `fetch` answers. Its body is read once; what is not read is given up when the request is over. */
interface Response {
  readonly status: number
  readonly statusText: string
  /** The status is from 200 to 299. */
  readonly ok: boolean
  readonly url: string
  readonly redirected: boolean
  readonly headers: Headers
  readonly bodyUsed: boolean
  /** In pieces of at most 64 KiB, read from the network as they are asked for. null: there is none. */
  readonly body: (AsyncIterable<Uint8Array> & { cancel(): Promise<void> }) | null
  /** These four take up to 16 MiB. */
  text(): Promise<string>
  // biome-ignore lint/suspicious/noExplicitAny: as JSON.parse
  json(): Promise<any>
  bytes(): Promise<Uint8Array>
  arrayBuffer(): Promise<ArrayBuffer>
}

interface AbortSignal {
  readonly aborted: boolean
  // biome-ignore lint/suspicious/noExplicitAny: what was given to abort()
  readonly reason: any
  onabort: ((event: { type: 'abort'; target: AbortSignal }) => void) | null
  addEventListener(type: 'abort', listener: (event: { type: 'abort'; target: AbortSignal }) => void): void
  removeEventListener(type: 'abort', listener: (event: { type: 'abort'; target: AbortSignal }) => void): void
  throwIfAborted(): void
}
declare var AbortSignal: {
  prototype: AbortSignal
  abort(reason?: unknown): AbortSignal
  any(signals: Iterable<AbortSignal>): AbortSignal
  timeout(ms: number): AbortSignal
}

interface AbortController {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
}
declare var AbortController: { prototype: AbortController; new (): AbortController }

interface URL {
  href: string
  readonly origin: string
  protocol: string
  username: string
  password: string
  host: string
  hostname: string
  port: string
  pathname: string
  search: string
  readonly searchParams: URLSearchParams
  hash: string
  toString(): string
  toJSON(): string
}
declare var URL: {
  prototype: URL
  new (url: string | URL, base?: string | URL): URL
  canParse(url: string | URL, base?: string | URL): boolean
}

interface URLSearchParams extends Iterable<[name: string, value: string]> {
  readonly size: number
  append(name: string, value: string): void
  delete(name: string, value?: string): void
  entries(): IterableIterator<[name: string, value: string]>
  forEach(visit: (value: string, name: string, query: URLSearchParams) => void): void
  get(name: string): string | null
  getAll(name: string): string[]
  has(name: string, value?: string): boolean
  keys(): IterableIterator<string>
  set(name: string, value: string): void
  sort(): void
  toString(): string
  values(): IterableIterator<string>
}
declare var URLSearchParams: {
  prototype: URLSearchParams
  new (init?: string | Record<string, string> | Iterable<[string, string]>): URLSearchParams
}

interface TextEncoder {
  readonly encoding: string
  encode(text?: string): Uint8Array
}
declare var TextEncoder: { prototype: TextEncoder; new (): TextEncoder }

interface TextDecoder {
  readonly encoding: string
  readonly fatal: boolean
  readonly ignoreBOM: boolean
  /**
   * @param options `stream`: more follows, and a character that is not complete is kept for it; not for ISO-2022-JP
   */
  decode(bytes?: Uint8Array | ArrayBuffer, options?: { stream?: boolean }): string
}
declare var TextDecoder: {
  prototype: TextDecoder
  new (encoding?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoder
}

/** Ready hooks; see policy.md. */
declare module 'sluice:limit' {
  /** A text that may hold nginx variables; or a function of the request, which needs `name`. Empty: not limited. */
  export type Key<R = Sluice.Request> = string | ((r: R) => string | number | undefined | null)

  /** So many in a second, a minute, an hour or a day: `10r/s`, `30r/m`, `500r/h`, `1000r/d`. */
  export type Rate = `${number}r/${'s' | 'm' | 'h' | 'd'}`

  export interface RateOptions<R = Sluice.Request> {
    /** Requests beyond the first that may come at once; 0. */
    burst?: number
    /** What is counted apart; `$remote_addr`. */
    key?: Key<R>
    /** Limits of one name are one limit. Default: made of rate, burst and key. */
    name?: string
    /** Counted in the configured store, by all workers and machines together; false: by this worker process. */
    store?: boolean
  }

  export interface Verdict {
    readonly allowed: boolean
    /** Whole seconds until it would be allowed; 0 when it is. */
    readonly retryAfter: number
    /** Requests that may still come at once. */
    readonly remaining: number
  }

  export interface Limiter<R = Sluice.Request> {
    /** Takes one, or `cost`, if that is allowed. */
    take(r: R, cost?: number): Promise<Verdict>
  }

  /** A rate by key, to be asked in any hook. */
  export function rate<R = Sluice.Request>(limit: Rate, options?: RateOptions<R>): Limiter<R>

  export interface Refusing {
    /** 429 */
    status?: number
    /** Without one, the status gets its error page. */
    body?: string
  }

  type Refuser = (
    r: Sluice.RewriteRequest | Sluice.AccessRequest | Sluice.ContentRequest,
  ) => Sluice.Decision | Promise<Sluice.Decision>

  /** Refuses what comes too fast, and says in `Retry-After` when to come again. */
  export function limit(rate: Rate, options?: RateOptions & Refusing): Refuser

  export interface ConnectionsOptions extends Refusing {
    key?: Key
    name?: string
  }

  /** Refuses what comes while `max` requests of the key are under way in this worker process. */
  export function connections(max: number, options?: ConnectionsOptions): Refuser
}

declare module 'sluice:policy' {
  /** A text that may hold nginx variables, or a function of the request. */
  export type Text<R = Sluice.Request> = string | ((r: R) => string | undefined | null)

  /** `hash KEY [consistent]` as nginx computes it. An empty key is balanced round robin. */
  export function hash(
    key: Text<Sluice.BalancerRequest>,
    options?: {
      /** The ketama ring instead of a modulus: few keys move when a server is added or lost. */
      consistent?: boolean
    },
  ): Sluice.Balancer

  export interface HeaderEdits<R> {
    /** Removed first. */
    remove?: readonly string[]
    /** Replaced; a value that comes out empty removes the field. */
    set?: Readonly<Record<string, Text<R>>>
    /** Added; a value that comes out empty adds nothing. */
    append?: Readonly<Record<string, Text<R>>>
  }

  /** Edits the fields of the response. */
  export function headers(options: HeaderEdits<Sluice.HeaderFilterRequest>): Sluice.HeaderFilter

  /** Edits the fields of the request that the upstream will see. */
  export function requestHeaders(
    options: HeaderEdits<Sluice.RewriteRequest | Sluice.AccessRequest>,
  ): (r: Sluice.RewriteRequest | Sluice.AccessRequest) => undefined

  /** A text, several texts, a RegExp, or a function, which may be async. */
  export type Test =
    | string
    | readonly string[]
    | ReadonlySet<string>
    | RegExp
    | ((value: string, r: Sluice.AccessRequest) => unknown)

  export interface Refusal {
    /** 403, or 302 with `redirect`. */
    status?: number
    /** Without one, and without headers, the status gets its error page. */
    body?: Text
    headers?: Readonly<Record<string, string>>
    /** Sends the client there instead. */
    redirect?: Text
  }

  /** Lets a request through only if the value passes the test. Listed values are compared in constant time. */
  export function allowIf(value: Text<Sluice.AccessRequest>, test: Test, refusal?: Refusal): Sluice.Access

  /** Turns a request away if the value passes the test. */
  export function denyIf(value: Text<Sluice.AccessRequest>, test: Test, refusal?: Refusal): Sluice.Access

  export interface CanaryOptions {
    /** Of the keys, 0 to 100; fractions count. Growing it never moves a key back. */
    percent: number | string
    /** Where the chosen go: `'@location'` or `'/path'`. Either this … */
    to?: string
    /** … or variables to set, for instance the group that `proxy_pass http://$pool` names. */
    set?: Readonly<Record<string, Text<Sluice.RewriteRequest>>>
    /** A request header whose value `always` or `never` decides. */
    header?: string
    /** A cookie whose value `always` or `never` decides. */
    cookie?: string
    /** Makes canaries with the same keys independent of one another. */
    salt?: string
  }

  /** Sends a part of the keys another way. Requests with an empty key stay. */
  export function canary(
    key: Text<Sluice.RewriteRequest>,
    options: CanaryOptions,
  ): (r: Sluice.RewriteRequest | Sluice.AccessRequest) => undefined

  export interface AbTestOptions {
    /** Names and weights: `{ a: 90, b: 10 }`. */
    variants: Readonly<Record<string, number>>
    /** The variable that gets the variant's name. */
    set?: string
    /** The request header that tells the upstream the variant's name. */
    header?: string
    /** The cookie that keeps the choice; needs the `headerFilter` beside the hook. */
    cookie?: string
    /** Seconds the cookie lasts; 30 days. */
    maxAge?: number
    /** Makes tests with the same keys independent of one another; the name in `set` by default. */
    salt?: string
  }

  /** A rewrite hook with the hook that keeps its choice: `export const { rewrite, headerFilter } = abTest(…)`. */
  export interface AbTest {
    (r: Sluice.RewriteRequest | Sluice.AccessRequest): undefined
    readonly rewrite: (r: Sluice.RewriteRequest | Sluice.AccessRequest) => undefined
    readonly headerFilter: (r: Sluice.HeaderFilterRequest) => undefined
  }

  /** Divides the keys among variants. Requests with an empty key get one at random. */
  export function abTest(key: Text<Sluice.RewriteRequest>, options: AbTestOptions): AbTest

  export interface MaintenanceOptions {
    /** A flag, a text that is on unless it comes out as `''` or `'0'`, or a function. On without it. */
    when?: boolean | Text
    /** Requests that pass all the same. */
    unless?: boolean | Text
    /** Begin and end, as `'2030-01-31T06:00:00Z'`. */
    from?: string | number | Date
    until?: string | number | Date
    /** 503 */
    status?: number
    /** Seconds for Retry-After; the time left until `until` by default. */
    retryAfter?: number
    body?: Text
    /** `text/plain; charset=utf-8` */
    contentType?: string
  }

  /** Answers 503 while the work lasts. */
  export function maintenance(
    options?: MaintenanceOptions,
  ): (r: Sluice.RewriteRequest | Sluice.AccessRequest | Sluice.ContentRequest) => Sluice.Answer | undefined
}

/** Checksums, nginx's ring, digests; see hash.md. Texts are hashed as UTF-8. */
declare module 'sluice:hash' {
  export type Encoding = 'hex' | 'base64' | 'base64url' | 'bytes'
  export type Encoded<E extends Encoding> = E extends 'bytes' ? Uint8Array : string

  /** CRC-32 as zlib and nginx's `hash` compute it: 0 to 2^32-1. */
  export function crc32(data: string | Uint8Array): number
  /** MurmurHash3, x86, 32 bits. */
  export function murmur3(data: string | Uint8Array, seed?: number): number
  /** FNV-1a, 32 bits. */
  export function fnv1a(data: string | Uint8Array): number

  export function md5<E extends Encoding = 'hex'>(data: string | Uint8Array, encoding?: E): Encoded<E>
  export function sha1<E extends Encoding = 'hex'>(data: string | Uint8Array, encoding?: E): Encoded<E>
  export function sha256<E extends Encoding = 'hex'>(data: string | Uint8Array, encoding?: E): Encoded<E>
  export function sha512<E extends Encoding = 'hex'>(data: string | Uint8Array, encoding?: E): Encoded<E>
  /** RFC 2104. */
  export function hmac<E extends Encoding = 'hex'>(
    algorithm: 'md5' | 'sha1' | 'sha256' | 'sha512',
    key: string | Uint8Array,
    data: string | Uint8Array,
    encoding?: E,
  ): Encoded<E>
  /** Compares without telling by its time where the texts differ. */
  export function timingSafeEqual(a: string, b: string): boolean

  /** The 160 points per weight of one server on nginx's ring, in the order they are computed. */
  export function ketamaPoints(name: string, weight?: number): Uint32Array

  export interface Ketama {
    /** Points on the ring. */
    readonly size: number
    /** The server for a key: the one that nginx's `hash KEY consistent` tries first. */
    get(key: string): string
  }

  /** A ring as nginx's `hash … consistent` builds it of servers in the order of the configuration. */
  export function ketama(servers: readonly (string | { name: string; weight?: number })[]): Ketama
}

/** Values of header fields; see headers.md. Parsing never throws, formatting does. */
declare module 'sluice:headers' {
  export interface Parameterized {
    value: string
    /** Names in lower case. */
    parameters: Record<string, string>
  }

  export interface Preference {
    /** In lower case. */
    value: string
    /** 0 to 1; 0 means not acceptable. */
    q: number
    /** Parameters but for `q`. */
    parameters: Record<string, string>
  }

  /** The members of a comma-separated list. */
  export function parseList(value: string | undefined): string[]
  /** `text/html; charset="utf-8"` as value and parameters. */
  export function parseParameters(value: string | undefined): Parameterized
  export function formatParameters(
    value: string,
    parameters?: Readonly<Record<string, string | number>>,
  ): string
  /** A token as it is, everything else as a quoted string. */
  export function quote(text: string): string

  /** An Accept-like list, best first. */
  export function parseQuality(value: string | undefined): Preference[]
  /** The offer that an Accept, Accept-Language or Accept-Encoding value likes best. */
  export function negotiate<T extends string>(value: string | undefined, offers: readonly T[]): T | null

  /** Seconds as numbers, bare directives as true, others as texts. */
  export function parseCacheControl(value: string | undefined): Record<string, string | number | true>
  export function formatCacheControl(
    directives: Readonly<Record<string, string | number | boolean | undefined>>,
  ): string

  /** The elements of Forwarded, with `for`, `by`, `host` and `proto`; the client's first. */
  export function parseForwarded(value: string | undefined): Record<string, string>[]
  export function formatForwarded(...elements: Readonly<Record<string, string>>[]): string

  /** Adds names to the response's Vary, each once; in headerFilter. */
  export function vary(r: Sluice.Responding, ...names: string[]): void

  /** User and password of `Authorization: Basic …`. */
  export function parseBasic(value: string | undefined): { user: string; password: string } | null
  /** The token of `Authorization: Bearer …`. */
  export function parseBearer(value: string | undefined): string | null
}

/** URLs, queries and paths; see url.md. */
declare module 'sluice:url' {
  export interface Parts {
    /** In lower case, without `:`. */
    scheme?: string
    /** `user` or `user:password`. */
    user?: string
    /** In lower case; IPv6 in brackets. */
    host?: string
    port?: string
    path: string
    query?: string
    fragment?: string
  }

  /** The parts of a URL or path, as they are; null when it is none. */
  export function parse(url: string): Parts | null
  export function format(parts: Partial<Parts>): string

  /** The first value of a parameter, decoded. */
  export function getQuery(query: string | undefined, name: string): string | undefined
  /** All parameters, decoded. */
  export function parseQuery(query: string | undefined): [name: string, value: string][]
  /** The query with the parameter set where it first stood, or at the end. */
  export function setQuery(query: string | undefined, name: string, value: string | number): string
  export function appendQuery(query: string | undefined, name: string, value: string | number): string
  export function deleteQuery(query: string | undefined, ...names: string[]): string
  /** The query with these parameters only. */
  export function keepQuery(query: string | undefined, ...names: string[]): string
  /** The parameters in order of their names. */
  export function sortQuery(query: string | undefined): string

  /** The segments of a path that are not empty. */
  export function segments(path: string): string[]
  /** Joins with one slash; `..` never leads above `base`. */
  export function join(base: string, ...parts: string[]): string

  export type Match = (path: string) => Record<string, string> | null
  /** Compiles `/users/:id` or `/files/*rest`. */
  export function pattern(text: string): Match
  /** The parameters of a path, or null if the pattern does not fit. */
  export function match(text: string, path: string): Record<string, string> | null

  /** True for a path on this site, and nothing that a browser takes for another host. */
  export function isLocal(url: string): boolean
}

/** JSON Web Tokens, signed; see jwt.md. */
declare module 'sluice:jwt' {
  export type Algorithm = 'HS256' | 'HS384' | 'HS512' | 'RS256' | 'ES256' | 'EdDSA'

  /** A JSON Web Key (RFC 7517). */
  export interface Jwk {
    kty: 'oct' | 'RSA' | 'EC' | 'OKP'
    kid?: string
    alg?: string
    use?: string
    key_ops?: readonly string[]
    readonly [member: string]: unknown
  }

  /** PEM, a secret of at least the hash's length, or a JWK. */
  export type Key = string | Uint8Array | Jwk

  export interface Claims {
    iss?: string
    sub?: string
    aud?: string | string[]
    /** Seconds since 1970, as `nbf` and `iat`. */
    exp?: number
    nbf?: number
    iat?: number
    jti?: string
    // biome-ignore lint/suspicious/noExplicitAny: what an issuer puts there is its own business
    [claim: string]: any
  }

  export interface Header {
    alg: string
    typ?: string
    kid?: string
    readonly [member: string]: unknown
  }

  export interface Decoded {
    header: Header
    payload: Claims
  }

  export interface VerifyOptions {
    /** Those that may be used; there is no default. */
    algorithms: readonly Algorithm[]
    /** Either this … */
    key?: Key
    /** … or keys by id, or a JWK set; the token's `kid` chooses. */
    keys?: Readonly<Record<string, Key>> | { readonly keys: readonly Jwk[] }
    issuer?: string | readonly string[]
    subject?: string | readonly string[]
    /** Needed for a token that has one; false: not looked at. */
    audience?: string | readonly string[] | false
    /** The token's `typ`, e.g. `at+jwt`. */
    type?: string
    /** Claims that must be there. */
    required?: readonly string[]
    /** Seconds that clocks may differ by; 0. */
    clockTolerance?: number
    /** A Date or seconds since 1970; the current time. */
    now?: number | Date
  }

  export interface SignOptions {
    algorithm: Algorithm
    key: Key
    keyId?: string
    /** Seconds, or a text as `'15m'`. */
    expiresIn?: number | string
    notBefore?: number | string
    issuer?: string
    subject?: string
    audience?: string | readonly string[]
    /** `JWT` */
    type?: string
    header?: Readonly<Record<string, unknown>>
    now?: number | Date
  }

  /** Checks signature and claims; throws a JwtError. */
  export function verify(token: string | null | undefined, options: VerifyOptions): Decoded
  /** Makes a token. */
  export function sign(claims: Claims, options: SignOptions): string
  /** What a token says, unchecked. */
  export function decode(token: string | null | undefined): Decoded

  export type JwtErrorCode =
    | 'malformed'
    | 'too_large'
    | 'algorithm'
    | 'key'
    | 'signature'
    | 'type'
    | 'expired'
    | 'not_active'
    | 'issuer'
    | 'subject'
    | 'audience'
    | 'claim'

  /** Why a token is refused. */
  export class JwtError extends Error {
    constructor(code: JwtErrorCode, message: string)
    readonly code: JwtErrorCode
  }
}

/** Cookies of requests and responses; see cookie.md. */
declare module 'sluice:cookie' {
  export interface ReadOptions {
    /** The value as sent instead of percent-decoded. */
    raw?: boolean
  }

  export interface SetOptions {
    /** `'/'`; null leaves the attribute out. */
    path?: string | null
    domain?: string
    /** In seconds; 0 or less deletes the cookie. */
    maxAge?: number
    expires?: Date
    secure?: boolean
    httpOnly?: boolean
    sameSite?: 'Strict' | 'Lax' | 'None' | 'strict' | 'lax' | 'none'
    priority?: 'Low' | 'Medium' | 'High' | 'low' | 'medium' | 'high'
    partitioned?: boolean
    /** The value is written as it is, and must be one that may stand in a cookie. */
    raw?: boolean
  }

  /** All cookies of a Cookie value. */
  export function parse(header: string | undefined, options?: ReadOptions): Record<string, string>
  /** One cookie of the request. */
  export function get(r: Sluice.Request, name: string, options?: ReadOptions): string | undefined
  /** A Set-Cookie value. */
  export function serialize(name: string, value: string, options?: SetOptions): string
  /** Adds a Set-Cookie field; in headerFilter. */
  export function set(r: Sluice.Responding, name: string, value: string, options?: SetOptions): void
  /** Tells the client to forget a cookie set with the same path and domain. */
  function remove(
    r: Sluice.Responding,
    name: string,
    options?: Pick<SetOptions, 'path' | 'domain' | 'secure' | 'partitioned'>,
  ): void

  export { remove as delete }
}

/** Session maps, shared by workers and machines; see store.md. */
declare module 'sluice:store' {
  export interface StoreOptions {
    /** A time such as `'1h'`, or milliseconds; default: the map's own. */
    ttl?: string | number
  }

  export interface EntriesOptions {
    /** How many; all. */
    limit?: number
  }

  /** A string or a number, of at most 1 KiB. */
  export type Key = string | number

  export interface SessionMap {
    readonly name: string
    /** The value, or null. */
    // biome-ignore lint/suspicious/noExplicitAny: what is in a map is its users' business
    get(key: Key): Promise<any>
    set(key: Key, value: unknown, options?: StoreOptions): Promise<void>
    /** Sets where there is nothing; whether it did. */
    add(key: Key, value: unknown, options?: StoreOptions): Promise<boolean>
    /**
     * The value; where there is none, what `make` gives, unless another was quicker; undefined is not stored. In `balancer` a
     * value that names a server which is gone, down or rests is replaced by the server that `make` names.
     */
    // biome-ignore lint/suspicious/noExplicitAny: as above
    getOrSet(key: Key, make: () => unknown, options?: StoreOptions): Promise<any>
    /** Null stands for nothing, before or after; whether it was done. */
    compareAndSet(key: Key, expected: unknown, value: unknown, options?: StoreOptions): Promise<boolean>
    /** Replaces a value that is of no use any more; what is there now. */
    // biome-ignore lint/suspicious/noExplicitAny: as above
    replace(key: Key, old: unknown, value: unknown, options?: StoreOptions): Promise<any>
    /** The new number. */
    incr(key: Key, by?: number, options?: StoreOptions): Promise<number>
    /** Whether it was there. */
    touch(key: Key, options?: StoreOptions): Promise<boolean>
    delete(key: Key): Promise<boolean>
    /** In no order. */
    // biome-ignore lint/suspicious/noExplicitAny: as above
    entries(options?: EntriesOptions): AsyncIterableIterator<[key: string, value: any]>
  }

  /** A `session_map` of the configuration. */
  export function map(name: string): SessionMap

  export type StoreErrorCode = 'timeout' | 'unavailable' | 'full' | 'too_large' | 'wrong_type' | 'closed'

  /** The store did not answer, or refused. */
  export class StoreError extends Error {
    constructor(code: StoreErrorCode, message: string)
    readonly code: StoreErrorCode
  }
}

declare module 'sluice:redis' {
  /** An array stands for its elements. */
  export type Word = string | number | Uint8Array | readonly Word[]

  /** What Redis gives for text is a text (UTF-8), or with `bytes` a Uint8Array. */
  export type Reply<T = string> = T | number | null | RedisError | Reply<T>[]

  /** Sends one command; its reply. Rejects with a RedisError. */
  export function call<T = Reply>(command: string, ...words: Word[]): Promise<T>

  /** As `call`; what Redis gives as text comes as a Uint8Array. */
  export function bytes<T = Reply<Uint8Array>>(command: string, ...words: Word[]): Promise<T>

  /** Sends many commands at once, such as `[['GET', 'a'], ['TTL', 'a']]`: their replies, of which each may be a RedisError. */
  export function pipeline(commands: readonly (readonly [string, ...Word[]])[]): Promise<Reply[]>

  /** The same with nothing between them. If one cannot even be queued, none is done. */
  export function transaction(commands: readonly (readonly [string, ...Word[]])[]): Promise<Reply[]>

  export function get(key: Word): Promise<string | null>

  /** `options` as Redis has them: `'EX', 60, 'NX'`. `'OK'`, or null where a condition was not met. */
  export function set(key: Word, value: Word, ...options: Word[]): Promise<string | null>

  /** How many of them there were. */
  export function del(...keys: Word[]): Promise<number>

  /** How many of them there are. */
  export function exists(...keys: Word[]): Promise<number>

  /** The new number; `by` is 1 unless it is given. */
  export function incr(key: Word, by?: number): Promise<number>

  /** 1, or 0 where there is nothing. */
  export function expire(key: Word, seconds: number): Promise<number>

  /** Seconds; -1: for ever; -2: there is nothing. */
  export function ttl(key: Word): Promise<number>

  export function hget(key: Word, field: Word): Promise<string | null>

  /** How many fields are new. */
  export function hset(
    key: Word,
    ...fields: (Word | Readonly<Record<string, string | number>>)[]
  ): Promise<number>

  /** An object without a prototype; empty when there is nothing. */
  export function hgetall(key: Word): Promise<Record<string, string>>

  /** How many of them there were. */
  export function hdel(key: Word, ...fields: Word[]): Promise<number>

  /** How many are new. */
  export function sadd(key: Word, ...members: Word[]): Promise<number>

  /** How many of them there were. */
  export function srem(key: Word, ...members: Word[]): Promise<number>

  export function smembers(key: Word): Promise<string[]>

  export function sismember(key: Word, member: Word): Promise<boolean>

  /** Scores and members, after Redis's options; how many are new. */
  export function zadd(key: Word, ...scores: Word[]): Promise<number | string | null>

  /** How many of them there were. */
  export function zrem(key: Word, ...members: Word[]): Promise<number>

  /** Members; with `'WITHSCORES'` each is followed by its score. */
  export function zrange(key: Word, start: Word, stop: Word, ...options: Word[]): Promise<string[]>

  /** The new length. */
  export function lpush(key: Word, ...values: Word[]): Promise<number>

  /** The new length. */
  export function rpush(key: Word, ...values: Word[]): Promise<number>

  export function lrange(key: Word, start: number, stop: number): Promise<string[]>

  /** How many have received it. */
  export function publish(channel: Word, message: Word): Promise<number>

  /** Runs Lua in Redis, where `store` has `allow_eval`. */
  function evaluate<T = Reply>(lua: string, keys?: readonly Word[], args?: readonly Word[]): Promise<T>

  export { evaluate as eval }

  /** No reply, or Redis's own error, whose first word is the code. */
  export class RedisError extends Error {
    constructor(code: string, message: string)
    /** `timeout`, `unavailable`, `too_large`; or Redis's own, such as `WRONGTYPE`. */
    readonly code: string
  }
}
