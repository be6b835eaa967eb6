/**
 * The configuration as data: what nginx text is parsed into, and what a program that embeds Sluice builds itself.
 * Plain objects, no behaviour; imports nothing but types of level 1.
 *
 * Conventions: a setting is named after its directive in camelCase. Times are milliseconds, sizes bytes. Absent
 * (undefined) means "not given on this level": the level outside applies, then the default (`defaults.ts`). A
 * directive that may stand several times is ONE array, so that nginx's rule (inherited only where the inner level
 * has none) is plain object spreading. All text is byte strings (latin1), as on the wire.
 */
import type { ScriptLimits } from '../phases.ts'

/** A place in a configuration file; line and column count from 1. */
export interface Where {
  readonly file: string
  readonly line: number
  readonly column: number
}

/**
 * Text with variables, split: `"a$b"` is `['a', { variable: 'b' }]`; captures are the variables `1`…`9`. Names are
 * lower-case: variables are case-insensitive, as in nginx.
 */
export interface Template {
  readonly text: string
  readonly parts: readonly TemplatePart[]
  readonly where: Where
}
export type TemplatePart = string | { readonly variable: string }

/**
 * A regular expression translated from PCRE; `names` are its named captures, which become variables (lower-case, as
 * the groups in `source`). `text` is the pattern as written.
 */
export interface Pattern {
  readonly source: string
  readonly flags: string
  readonly names: readonly string[]
  readonly text: string
  readonly where: Where
}

export interface Model {
  readonly main: MainSettings
  readonly http: HttpModel | null
}

export interface MainSettings {
  workerProcesses: number | 'auto'
  daemon: boolean
  masterProcess: boolean
  pid: string
  errorLog: ErrorLogModel[]
  /** Worker connections of `events`; informative here, except as a cap on open client connections. */
  workerConnections: number
  /** ms; 0: no limit. */
  workerShutdownTimeout: number
  /** `env NAME[=value]`: informative. */
  env: string[]
}

export interface ErrorLogModel {
  readonly path: string // 'stderr' or a path
  readonly level: 'debug' | 'info' | 'notice' | 'warn' | 'error' | 'crit' | 'alert' | 'emerg'
}

export interface HttpModel {
  readonly where: Where
  readonly settings: Settings
  readonly servers: ServerModel[]
  readonly upstreams: UpstreamModel[]
  readonly maps: MapModel[]
  readonly splitClients: SplitClientsModel[]
  readonly geos: GeoModel[]
  readonly logFormats: LogFormatModel[]
  /** Variables that exist because some `set`, capture, map … names them, in order of appearance; lower-case. */
  readonly variables: readonly string[]
  readonly scriptWatch: boolean
  /** Generations whose scripts are kept for going back to (`script_generations`). */
  readonly scriptGenerations: number
  /** Where shared state lives. */
  readonly store: StoreModel
  /** ms for one call of the store. */
  readonly storeTimeout: number
  readonly sessionMaps: readonly SessionMapModel[]
  /** `limit_req_zone` and `limit_conn_zone`; each name is there once. */
  readonly limitZones: readonly LimitZoneModel[]
  /** The admin API; null: there is none. */
  readonly admin: AdminModel | null
  readonly scriptFleet: ScriptFleetModel
  /** `script_sign_key`; null: versions of the fleet are not signed. */
  readonly scriptSignKey: { readonly where: Where; readonly file: string } | null
}

/** `script_fleet`: machines that share a Redis share their scripts. */
export interface ScriptFleetModel {
  readonly where: Where
  /** Without a Redis there is nobody to share with. */
  readonly on: boolean
  /** What this machine is called; null: what its state file says, or else its host's name and some digits. */
  readonly name: string | null
  /** File that holds what this machine has taken over, absolute; null: one named after the configuration, below the prefix. */
  readonly state: string | null
}

/** `admin` */
export interface AdminModel {
  readonly where: Where
  readonly address: { readonly host: string; readonly port: number } | { readonly path: string }
  /** Its first line is what a caller has to show, absolute; null: nobody has to. */
  readonly tokenFile: string | null
  /** Names that it may be called by, besides addresses and `localhost`; lower-case. */
  readonly hosts: readonly string[]
}

export type StoreModel = MemoryModel | RedisModel

export interface MemoryModel {
  readonly kind: 'memory'
  /** Bytes. */
  readonly size: number
}

export interface RedisModel {
  readonly where: Where
  readonly kind: 'redis'
  readonly mode: 'single' | 'cluster' | 'sentinel'
  /** The server; nodes of the cluster; the sentinels. Empty with `path`. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /** A socket in the file system, or null. */
  readonly path: string | null
  /** The master's name. */
  readonly sentinel: string | null
  readonly username: string | null
  readonly password: string | null
  /** A file that holds the password, absolute. */
  readonly passwordFile: string | null
  readonly database: number
  readonly tls: boolean
  /** A file of certificates to trust, absolute. */
  readonly tlsCa: string | null
  /** Begins every key. */
  readonly prefix: string
  /** Scripts may run Lua in it (`allow_eval`). */
  readonly allowEval: boolean
}

/** `session_map` */
export interface SessionMapModel {
  readonly where: Where
  readonly name: string
  /** ms */
  readonly ttl: number
  /** Entries. */
  readonly max: number
  readonly onError: 'hash' | 'stale' | 'closed'
}

/** What requests or connections are counted by. */
export interface LimitZoneModel {
  readonly where: Where
  readonly kind: 'req' | 'conn'
  readonly name: string
  readonly key: Template
  /** Bytes of the states, as nginx counts them. */
  readonly size: number
  /** Thousandths of a request per second; of a `conn` zone 0. */
  readonly rate: number
  /** `sync`: counted in the store, wherever it is used. */
  readonly sync: boolean
}

/** `combined` is always there. */
export interface LogFormatModel {
  readonly name: string
  readonly escape: 'default' | 'json' | 'none'
  readonly template: Template
}

export interface MapModel {
  readonly where: Where
  readonly source: Template
  readonly variable: string
  readonly hostnames: boolean
  readonly volatile: boolean
  /** Result when nothing matches; null: the empty string. */
  readonly default: Template | null
  /** Keys lower-cased (nginx map keys are case-insensitive). */
  readonly exact: readonly { readonly key: string; readonly value: Template }[]
  /** `hostnames` wildcards: `*.example.com`, `.example.com`, `example.*`. */
  readonly wildcards: readonly { readonly key: string; readonly value: Template }[]
  readonly patterns: readonly { readonly pattern: Pattern; readonly value: Template }[]
}

export interface SplitClientsModel {
  readonly where: Where
  readonly source: Template
  readonly variable: string
  /** Upper bounds of each part in 1/2^32, cumulative; the last (`*`) is null. */
  readonly parts: readonly { readonly percent: number | null; readonly value: Template }[]
}

export interface GeoModel {
  readonly where: Where
  readonly variable: string
  /** Variable that holds the address; null: `$remote_addr`. */
  readonly source: string | null
  readonly default: string
  readonly ranges: readonly { readonly cidr: Cidr; readonly value: string }[]
  readonly proxies: readonly Cidr[]
  readonly proxyRecursive: boolean
}

/** Address block; `all` and `unix:` are special. Bytes are 4 or 16 numbers. */
export type Cidr =
  | { readonly kind: 'all' }
  | { readonly kind: 'unix' }
  | { readonly kind: 'ip'; readonly bytes: readonly number[]; readonly bits: number }

export interface ListenModel {
  readonly where: Where
  /** As written, e.g. `127.0.0.1:8080`, `[::]:80`, `unix:/run/s.sock`. */
  readonly text: string
  readonly address: { readonly host: string; readonly port: number } | { readonly path: string }
  readonly defaultServer: boolean
  readonly backlog: number // 511
  readonly ipv6only: boolean
  readonly reuseport: boolean
  readonly proxyProtocol: boolean
  readonly http2: boolean
}

export interface ServerNameModel {
  readonly where: Where
  readonly kind: 'exact' | 'leading' | 'trailing' | 'pattern'
  /** What `$server_name` shows when this is the server's first name. */
  readonly text: string
  /** Lower-cased; `leading`: the part after `*` with its dot (`.example.com`); `trailing`: `example.`. `.x` stands as exact `x` plus leading `.x`. */
  readonly name: string
  readonly pattern: Pattern | null
}

export interface ServerModel {
  readonly where: Where
  readonly listens: ListenModel[]
  /** Never empty: a server without `server_name` has the exact name ''. */
  readonly names: ServerNameModel[]
  readonly settings: Settings
  /** The server-level part of the rewrite module, run once per request before a location is searched. */
  readonly rules: RewriteRule[]
  readonly locations: LocationModel[]
}

export interface LocationMatch {
  readonly kind: 'exact' | 'prefix' | 'priority' /* ^~ */ | 'pattern' | 'named'
  /** The path (decoded as written), or the name with its `@`. */
  readonly path: string
  readonly pattern: Pattern | null
}

export interface LocationModel {
  readonly where: Where
  readonly match: LocationMatch
  readonly settings: Settings
  readonly rules: RewriteRule[]
  readonly locations: LocationModel[]
  /** Content of this location itself; never inherited by nested locations (but by `if` inside). */
  readonly content: LocationContent
}

/** What answers requests in a location; proxy_pass wins over static files. */
export interface LocationContent {
  proxyPass?: ProxyPassModel
  alias?: Template
  internal?: boolean
  /** `limit_except METHODS { allow/deny … }` */
  limitExcept?: {
    readonly methods: readonly string[]
    readonly settings: Settings
    readonly content: LocationContent
  }
  stubStatus?: boolean
  emptyGif?: boolean
}

export interface ProxyPassModel {
  readonly where: Where
  /** The whole argument. Without variables it is split below. */
  readonly template: Template
  /** null when the argument has variables (then it is taken apart per request). */
  readonly fixed: {
    readonly scheme: 'http' | 'https'
    /** `host[:port]`, upstream name, or `unix:/path`, as written. */
    readonly host: string
    /** URI part, or null when there is none (the request's URI is passed on as it came). */
    readonly uri: string | null
  } | null
}

/** The rewrite module's program; `if` holds rules of its own and settings that make an anonymous location. */
export type RewriteRule =
  | { readonly kind: 'set'; readonly where: Where; readonly variable: string; readonly value: Template }
  | {
      readonly kind: 'rewrite'
      readonly where: Where
      readonly pattern: Pattern
      readonly replacement: Template
      /** A trailing `?` on the replacement: old arguments are not appended. Removed from `replacement`. */
      readonly dropArgs: boolean
      readonly flag: 'last' | 'break' | 'redirect' | 'permanent' | null
    }
  | {
      readonly kind: 'return'
      readonly where: Where
      readonly status: number
      readonly body: Template | null
    }
  | { readonly kind: 'break'; readonly where: Where }
  | {
      readonly kind: 'if'
      readonly where: Where
      readonly condition: Condition
      readonly rules: RewriteRule[]
      readonly settings: Settings
      readonly content: LocationContent
    }

export type Condition =
  | { readonly kind: 'true'; readonly variable: string } // not empty and not "0"
  | { readonly kind: 'equal'; readonly variable: string; readonly value: Template; readonly negate: boolean }
  | { readonly kind: 'match'; readonly variable: string; readonly pattern: Pattern; readonly negate: boolean }
  | {
      readonly kind: 'file'
      readonly test: 'file' | 'directory' | 'exists' | 'executable'
      readonly path: Template
      readonly negate: boolean
    }

export interface UpstreamModel {
  readonly where: Where
  readonly name: string
  readonly servers: UpstreamServerModel[]
  readonly method:
    | 'round_robin'
    | 'hash'
    | 'hash consistent'
    | 'ip_hash'
    | 'least_conn'
    | 'random'
    | 'random two'
  /** The key of `hash`. */
  readonly hashKey: Template | null
  /** Name of `zone`: failures of peers are counted over all workers. null: each counts its own. */
  readonly zone: string | null
  /** `local`: idle connections are not shared between locations (nginx: the default, and `keepalive N local`). */
  readonly keepalive: {
    readonly size: number // 32; 0: none
    readonly local: boolean
    readonly requests: number // 1000
    readonly timeout: number // 60 s
    readonly time: number // 1 h
  }
  /** Where names of `resolve` servers are asked for; null: as the `http` block says. */
  readonly resolver: ResolverModel | null
  /** ms; null: as the `http` block says. */
  readonly resolverTimeout: number | null
  /** `upstream_from_store`: the key of a list that goes before the servers here; null: there is none. */
  readonly fromStore: string | null
  readonly sticky: StickyModel | null
  /** File that keeps the servers, absolute (`state`); `servers` are what it held when it was read. null: there is none. */
  readonly state: string | null
  /** Digest of what the file held (`stateDigest`); null: there was none. */
  readonly stateDigest: string | null
  readonly scripts: ScriptModel[]
  readonly scriptLimits: Partial<ScriptLimits> | null
  readonly scriptOnError: 'closed' | 'open' | null
  readonly scriptAllowFetch: readonly FetchRule[] | null
  readonly scriptEjectAfter: number | null
}

/** `sticky`: how requests of one client keep to one server. */
export type StickyModel =
  | { readonly kind: 'map'; readonly where: Where; readonly map: string; readonly key: Template }
  | {
      readonly kind: 'cookie'
      readonly where: Where
      readonly name: string
      /** Seconds; null: the cookie goes with the browser's session. */
      readonly expires: number | 'max' | null
      readonly domain: Template | null
      readonly path: string | null
      readonly httpOnly: boolean
      readonly secure: boolean
      readonly sameSite: Template | null
    }
  | { readonly kind: 'route'; readonly where: Where; readonly lookups: readonly Template[] }
  | {
      readonly kind: 'learn'
      readonly where: Where
      readonly creates: readonly Template[]
      readonly lookups: readonly Template[]
      readonly header: boolean // false
      /** The session map that its zone stands for. */
      readonly map: string
    }

export interface UpstreamServerModel {
  readonly where: Where
  /** As written: `host`, `host:port`, `[v6]:port`, `unix:/path`. */
  readonly name: string
  readonly weight: number // 1
  readonly maxFails: number // 1
  readonly failTimeout: number // 10000 ms
  readonly maxConns: number // 0
  readonly backup: boolean
  readonly down: boolean
  /** Only requests that are bound to it by `sticky` go there. */
  readonly drain: boolean
  /** What `sticky` knows it by; '': a hash of its address. */
  readonly route: string
  /** Its name is looked up again while it serves. */
  readonly resolve: boolean
  /** `service=`: the SRV records of the name that make servers of their own; '': none. */
  readonly service: string
}

export interface ScriptModel {
  readonly where: Where
  /** Absolute path, as `node:fs` takes it (decoded, not a byte string). */
  readonly file: string
  readonly params: Readonly<Record<string, string>>
  readonly canary?: CanaryModel
  readonly shadow?: ShadowModel
  readonly record?: RecordModel
}

/** `script_shadow`: a candidate that runs beside a script, and nothing comes of it. */
export interface ShadowModel {
  readonly where: Where
  /** Absolute path. */
  readonly file: string
  /** Of the requests, in hundredths of a percent. */
  readonly sample: number
}

/** `script_record`: a journal of what the hooks of a script find, ask and decide. */
export interface RecordModel {
  readonly where: Where
  /** As `node:fs` takes it; relative to the prefix. */
  readonly file: string
  /** Of the requests, in hundredths of a percent. */
  readonly sample: number
  /** Bytes of the file, after which it goes on in a new one; the one before it is kept as `FILE.1`. */
  readonly max: number
  /** Header fields whose values are masked, in lower case. */
  readonly mask: readonly string[]
  /** Query arguments whose values are masked, in lower case. */
  readonly maskArgs: readonly string[]
}

/** `script_canary`: a second version of a script, for a share of the keys. */
export interface CanaryModel {
  readonly where: Where
  /** Absolute path. */
  readonly file: string
  /** Of the keys, in hundredths of a percent. */
  readonly percent: number
  /** null: the client's address. */
  readonly key: Template | null
  /** How much more often than those of the script its hooks may fail, in hundredths of a percent. */
  readonly maxErrors: number
  /** ms that 99 of 100 calls may take; null: what those of the script take, and a margin. */
  readonly maxLatency: number | null
  /** Calls that are waited for before it is judged. */
  readonly minCalls: number
}

/** One entry of `script_allow_fetch`; `none` is the empty list. */
export type FetchRule =
  | { readonly kind: 'upstreams' | 'any' }
  | { readonly kind: 'block'; readonly cidr: Cidr }
  | FetchUrlRule

/** `https://api.example.com:8443/v1`, `https://*.example.com`, `*.example.com`. */
export interface FetchUrlRule {
  readonly kind: 'url'
  /** null: either, each on its own port. */
  readonly scheme: 'http:' | 'https:' | null
  /** As `URL.hostname` has it; of a wildcard what follows the asterisk, with its dot. */
  readonly host: string
  readonly wildcard: boolean
  /** As `URL.port` has it: empty for the scheme's own. */
  readonly port: string
  /** The path and what is below it; empty: all. */
  readonly path: string
}

/** `limit_req` */
export interface LimitReqModel {
  readonly where: Where
  readonly zone: string
  /** Requests beyond the rate that wait or pass. */
  readonly burst: number
  /** Those of them that do not wait; Infinity: `nodelay`. */
  readonly delay: number
  /** Counted in the store, together with all who share it. */
  readonly store: boolean
}

/** `limit_conn` */
export interface LimitConnModel {
  readonly where: Where
  readonly zone: string
  readonly max: number
}

export const LIMIT_LOG_LEVELS = ['info', 'notice', 'warn', 'error'] as const
export type LimitLogLevel = (typeof LIMIT_LOG_LEVELS)[number]

export interface AccessRule {
  readonly where: Where
  readonly allow: boolean
  readonly cidr: Cidr
}

export interface AccessLogModel {
  readonly where: Where
  /** Path with or without variables. */
  readonly path: Template
  /** Name of a log_format, spelt as in its definition; `combined` by default. */
  readonly format: string
  /** `if=`: logged unless empty or "0". */
  readonly condition: Template | null
  /** Bytes; 0: unbuffered. */
  readonly buffer: number
  /** ms; 0: none. */
  readonly flush: number
  /** gzip level 1-9, 0: plain. */
  readonly gzip: number
}

export interface ErrorPageModel {
  readonly where: Where
  readonly statuses: readonly number[]
  /** `=200` sets it; `=` alone is `'answer'`: the status of the page's own response; null: the original one. */
  readonly status: number | 'answer' | null
  /** URI, `@name`, or URL; may hold variables. */
  readonly target: Template
}

/** `resolver ADDRESS … [valid=TIME] [ipv4=off] [ipv6=off]` */
export interface ResolverModel {
  readonly servers: readonly string[]
  /** ms; null: the TTL of each answer. */
  readonly valid: number | null
  readonly ipv4: boolean
  readonly ipv6: boolean
}

export interface HeaderRule {
  readonly where: Where
  readonly name: string
  readonly value: Template
}

/** `sub_filter text replacement` */
export interface SubFilterModel {
  readonly where: Where
  readonly text: Template
  readonly replacement: Template
}

/** `auth_request_set $variable value` */
export interface AuthRequestSet {
  readonly where: Where
  readonly variable: string
  readonly value: Template
}

/** One pair of `proxy_redirect`, `proxy_cookie_domain`, `proxy_cookie_path`. */
export interface ReplacementRule {
  readonly where: Where
  readonly from: Template | Pattern
  readonly to: Template
}

export const EVENT_NAMES = [
  'error',
  'timeout',
  'invalid_header',
  'http_500',
  'http_502',
  'http_503',
  'http_504',
  'http_403',
  'http_404',
  'http_429',
  'non_idempotent',
] as const
export type NextUpstreamEvent = (typeof EVENT_NAMES)[number]

export const GZIP_PROXIED_CASES = [
  'expired',
  'no-cache',
  'no-store',
  'private',
  'no_last_modified',
  'no_etag',
  'auth',
  'any',
] as const
export type GzipProxiedCase = (typeof GZIP_PROXIED_CASES)[number]

/**
 * Everything that http, server, location and `if in location` may hold and that is inherited inwards. See the
 * file's head for what absence means.
 */
export interface Settings {
  // files
  root?: Template
  index?: readonly Template[]
  /** Not inherited from a level that only an inner one replaces: nginx inherits none; compile drops it on nesting. */
  tryFiles?: {
    readonly where: Where
    readonly files: readonly Template[]
    readonly fallback: Template | null
    readonly status: number | null
  }
  defaultType?: string
  /** File extension (lower-case) to media type. */
  types?: Readonly<Record<string, string>>
  etag?: boolean
  ifModifiedSince?: 'off' | 'exact' | 'before'
  maxRanges?: number
  /** `modified` with a template: seconds from the file's own time, worked out per request. */
  expires?: {
    readonly where: Where
    readonly kind: 'off' | 'epoch' | 'max' | 'access' | 'modified' | 'daily' | 'variable'
    readonly seconds: number
    readonly template: Template | null
  } | null
  chunkedTransferEncoding?: boolean
  absoluteRedirect?: boolean
  portInRedirect?: boolean
  serverNameInRedirect?: boolean
  satisfy?: 'all' | 'any'
  logNotFound?: boolean
  logSubrequest?: boolean
  msiePadding?: boolean
  recursiveErrorPages?: boolean

  // client side
  clientMaxBodySize?: number // 1m; 0: unlimited
  clientBodyBufferSize?: number // 8k
  clientBodyInFileOnly?: 'on' | 'clean' | 'off'
  clientBodyInSingleBuffer?: boolean
  clientBodyTempPath?: string
  clientHeaderTimeout?: number // 60s
  clientBodyTimeout?: number // 60s
  sendTimeout?: number // 60s
  keepaliveTimeout?: number // 75s; 0: no keep-alive
  /** Seconds for the `Keep-Alive: timeout=` header; 0: no header. */
  keepaliveHeader?: number
  keepaliveRequests?: number // 1000
  keepaliveTime?: number // 1h
  keepaliveMinTimeout?: number // 0
  /** `msie6`, `safari` or none. */
  keepaliveDisable?: readonly string[]
  lingeringClose?: 'on' | 'always' | 'off'
  lingeringTime?: number
  lingeringTimeout?: number
  resetTimedoutConnection?: boolean
  tcpNodelay?: boolean
  clientHeaderBufferSize?: number // 1k
  largeClientHeaderBuffers?: { readonly count: number; readonly size: number } // 4 8k
  maxHeaders?: number // 1000
  serverTokens?: 'on' | 'off' | 'build' | Template
  underscoresInHeaders?: boolean // off
  ignoreInvalidHeaders?: boolean // on
  mergeSlashes?: boolean // on
  limitRate?: Template
  limitRateAfter?: Template
  http2?: boolean
  http2MaxConcurrentStreams?: number // 128
  /** Bytes of a body that a client may send before anybody asks for it. */
  http2BodyPrereadSize?: number // 64k

  // response filters
  ssi?: boolean
  ssiTypes?: readonly string[] // as gzipTypes
  ssiSilentErrors?: boolean
  ssiValueLength?: number // 255
  ssiLastModified?: boolean
  subFilters?: readonly SubFilterModel[]
  subFilterTypes?: readonly string[] // as gzipTypes
  subFilterOnce?: boolean // on
  subFilterLastModified?: boolean
  gzip?: boolean
  gzipTypes?: readonly string[] // text/html is always among them; '*': every type
  gzipMinLength?: number // 20
  gzipCompLevel?: number // 1
  gzipHttpVersion?: '1.0' | '1.1'
  gzipProxied?: readonly GzipProxiedCase[] // 'off' is the empty array
  gzipVary?: boolean
  /** Patterns of `User-Agent`, or the word for Internet Explorer 4 to 6. */
  gzipDisable?: readonly (Pattern | 'msie6')[]
  /** URIs of `add_before_body` and `add_after_body`; '': none. */
  addBeforeBody?: string
  addAfterBody?: string
  additionTypes?: readonly string[] // as gzipTypes
  /** Bytes of a response that is kept in memory for another one. */
  subrequestOutputBufferSize?: number // 4k

  // access and rules
  access?: readonly AccessRule[]
  limitReqs?: readonly LimitReqModel[]
  limitReqStatus?: number // 503
  limitReqLogLevel?: LimitLogLevel
  limitReqDryRun?: boolean
  limitConns?: readonly LimitConnModel[]
  limitConnStatus?: number // 503
  limitConnLogLevel?: LimitLogLevel
  limitConnDryRun?: boolean
  /** URI of `auth_request`; `off` is ''. */
  authRequest?: string
  authRequestSets?: readonly AuthRequestSet[]
  /** URIs of `mirror`; `off` is the empty array. */
  mirrors?: readonly string[]
  mirrorRequestBody?: boolean // on
  realIpFrom?: readonly Cidr[]
  realIpHeader?: string // 'X-Real-IP' | 'X-Forwarded-For' | any header | 'proxy_protocol'
  realIpRecursive?: boolean
  errorPages?: readonly ErrorPageModel[]
  addHeaders?: readonly (HeaderRule & { readonly always: boolean })[]
  addTrailers?: readonly (HeaderRule & { readonly always: boolean })[]
  addHeaderInherit?: 'on' | 'off' | 'merge'
  addTrailerInherit?: 'on' | 'off' | 'merge'
  uninitializedVariableWarn?: boolean
  rewriteLog?: boolean

  // logs
  /** `off` is the empty array. */
  accessLogs?: readonly AccessLogModel[]
  /** For paths with variables; null: off. Times in ms. */
  openLogFileCache?: { readonly max: number; readonly inactive: number; readonly minUses: number } | null
  errorLogs?: readonly ErrorLogModel[]

  // proxy
  proxySetHeaders?: readonly HeaderRule[]
  proxyHideHeaders?: readonly string[]
  proxyPassHeaders?: readonly string[]
  proxyIgnoreHeaders?: readonly string[]
  proxyHttpVersion?: '1.0' | '1.1'
  proxyMethod?: Template
  proxyPassRequestHeaders?: boolean
  proxyPassRequestBody?: boolean
  proxySetBody?: Template
  proxyPassTrailers?: boolean
  /** `default` makes the pair that proxy_pass implies; `off` is the empty array. */
  proxyRedirects?: readonly (ReplacementRule | 'default')[]
  proxyCookieDomains?: readonly ReplacementRule[]
  proxyCookiePaths?: readonly ReplacementRule[]
  proxyConnectTimeout?: number
  proxyReadTimeout?: number
  proxySendTimeout?: number
  proxyRequestBuffering?: boolean
  proxyBuffering?: boolean
  proxyBufferSize?: number
  proxyBuffers?: { readonly count: number; readonly size: number }
  proxyBusyBuffersSize?: number
  proxyMaxTempFileSize?: number
  proxyNextUpstream?: readonly NextUpstreamEvent[] // 'off' is the empty array
  proxyNextUpstreamTries?: number
  proxyNextUpstreamTimeout?: number
  proxyInterceptErrors?: boolean
  /** Address template, or `off`. */
  proxyBind?: { readonly address: Template; readonly transparent: boolean } | 'off'
  proxyIgnoreClientAbort?: boolean
  proxyForceRanges?: boolean
  proxySocketKeepalive?: boolean
  proxyLimitRate?: Template
  proxyWebsocket?: boolean

  // names that requests make
  resolver?: ResolverModel
  resolverTimeout?: number // 30s

  // WebSockets whose messages hooks read
  wsPermessageDeflate?: boolean
  wsMaxMessageSize?: number
  wsSendQueue?: number
  wsCloseTimeout?: number
  wsPingInterval?: number // 0: no pings
  wsReconnectTries?: number // 0: off

  // scripts
  scripts?: readonly ScriptModel[]
  scriptLimits?: Partial<ScriptLimits>
  scriptOnError?: 'closed' | 'open'
  scriptAllowFetch?: readonly FetchRule[]
  /** Overruns in a row after which a script is taken out of service; 0: never. */
  scriptEjectAfter?: number
}
