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
  /** `local`: idle connections are not shared between locations (nginx: the default, and `keepalive N local`). */
  readonly keepalive: {
    readonly size: number // 32; 0: none
    readonly local: boolean
    readonly requests: number // 1000
    readonly timeout: number // 60 s
    readonly time: number // 1 h
  }
  readonly scripts: ScriptModel[]
  readonly scriptLimits: Partial<ScriptLimits> | null
  readonly scriptOnError: 'closed' | 'open' | null
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
}

export interface ScriptModel {
  readonly where: Where
  /** Absolute path, as `node:fs` takes it (decoded, not a byte string). */
  readonly file: string
  readonly params: Readonly<Record<string, string>>
}

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

  // scripts
  scripts?: readonly ScriptModel[]
  scriptLimits?: Partial<ScriptLimits>
  scriptOnError?: 'closed' | 'open'
}
