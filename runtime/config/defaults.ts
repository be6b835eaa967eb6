/**
 * nginx 1.31's defaults, and how a block inherits from the one around it. Paths that depend on the prefix (`root`,
 * the access log) are not here: the parser writes them into the http level.
 */
import type { Settings } from './model.ts'

const KIB = 1024
const MIB = 1024 * KIB
const SECOND = 1000
const HOUR = 3600 * SECOND

/** Every setting that has a default, as on a level where nothing is given. */
export const DEFAULTS = {
  index: [{ text: 'index.html', parts: ['index.html'], where: { file: 'built-in', line: 1, column: 1 } }],
  defaultType: 'text/plain',
  types: { html: 'text/html', gif: 'image/gif', jpg: 'image/jpeg' },
  etag: true,
  ifModifiedSince: 'exact',
  maxRanges: 2 ** 31 - 1,
  chunkedTransferEncoding: true,
  absoluteRedirect: true,
  portInRedirect: true,
  serverNameInRedirect: false,
  satisfy: 'all',
  logNotFound: true,
  logSubrequest: false,
  msiePadding: true,
  recursiveErrorPages: false,

  clientMaxBodySize: MIB,
  clientBodyBufferSize: 8 * KIB,
  clientBodyInFileOnly: 'off',
  clientBodyInSingleBuffer: false,
  clientHeaderTimeout: 60 * SECOND,
  clientBodyTimeout: 60 * SECOND,
  sendTimeout: 60 * SECOND,
  keepaliveTimeout: 75 * SECOND,
  keepaliveHeader: 0,
  keepaliveRequests: 1000,
  keepaliveTime: HOUR,
  keepaliveMinTimeout: 0,
  keepaliveDisable: ['msie6'],
  lingeringClose: 'on',
  lingeringTime: 30 * SECOND,
  lingeringTimeout: 5 * SECOND,
  resetTimedoutConnection: false,
  tcpNodelay: true,
  clientHeaderBufferSize: KIB,
  largeClientHeaderBuffers: { count: 4, size: 8 * KIB },
  maxHeaders: 1000,
  serverTokens: 'on',
  underscoresInHeaders: false,
  ignoreInvalidHeaders: true,
  mergeSlashes: true,
  http2: false,
  http2MaxConcurrentStreams: 128,
  http2BodyPrereadSize: 64 * KIB,

  ssi: false,
  ssiTypes: ['text/html'],
  ssiSilentErrors: false,
  ssiValueLength: 255,
  ssiLastModified: false,
  subFilters: [],
  subFilterTypes: ['text/html'],
  subFilterOnce: true,
  subFilterLastModified: false,
  gzip: false,
  gzipTypes: ['text/html'],
  gzipMinLength: 20,
  gzipCompLevel: 1,
  gzipHttpVersion: '1.1',
  gzipProxied: [],
  gzipVary: false,
  gzipDisable: [],
  addBeforeBody: '',
  addAfterBody: '',
  additionTypes: ['text/html'],
  subrequestOutputBufferSize: 4 * KIB,

  access: [],
  limitReqs: [],
  limitReqStatus: 503,
  limitReqLogLevel: 'error',
  limitReqDryRun: false,
  limitConns: [],
  limitConnStatus: 503,
  limitConnLogLevel: 'error',
  limitConnDryRun: false,
  authRequest: '',
  authRequestSets: [],
  mirrors: [],
  mirrorRequestBody: true,
  realIpFrom: [],
  realIpHeader: 'X-Real-IP',
  realIpRecursive: false,
  errorPages: [],
  addHeaders: [],
  addTrailers: [],
  addHeaderInherit: 'on',
  addTrailerInherit: 'on',
  uninitializedVariableWarn: true,
  rewriteLog: false,

  accessLogs: [],
  errorLogs: [],

  openLogFileCache: null,
  resolverTimeout: 30_000,
  proxySetHeaders: [],
  proxyHideHeaders: [],
  proxyPassHeaders: [],
  proxyIgnoreHeaders: [],
  proxyHttpVersion: '1.1',
  proxyPassRequestHeaders: true,
  proxyPassRequestBody: true,
  proxyPassTrailers: false,
  proxyRedirects: ['default'],
  proxyCookieDomains: [],
  proxyCookiePaths: [],
  proxyConnectTimeout: 60 * SECOND,
  proxyReadTimeout: 60 * SECOND,
  proxySendTimeout: 60 * SECOND,
  proxyRequestBuffering: true,
  proxyBuffering: true,
  proxyBufferSize: 4 * KIB,
  proxyBuffers: { count: 8, size: 4 * KIB },
  proxyBusyBuffersSize: 8 * KIB,
  proxyMaxTempFileSize: 1024 * MIB,
  proxyNextUpstream: ['error', 'timeout'],
  proxyNextUpstreamTries: 0,
  proxyNextUpstreamTimeout: 0,
  proxyInterceptErrors: false,
  proxyIgnoreClientAbort: false,
  proxyForceRanges: false,
  proxySocketKeepalive: false,
  proxyWebsocket: true,

  wsPermessageDeflate: true,
  wsMaxMessageSize: MIB,
  wsSendQueue: MIB,
  wsCloseTimeout: 5 * SECOND,
  wsPingInterval: 30 * SECOND,
  wsReconnectTries: 0,

  scriptOnError: 'closed',
  scriptAllowFetch: [{ kind: 'upstreams' }],
  scriptEjectAfter: 5,
} as const satisfies Settings

/**
 * The settings of a block inside another: what the inner one gives replaces what the outer one has, lists as a
 * whole. Except that
 * - `try_files` is not inherited at all (nginx: nor by `if`);
 * - `add_header_inherit` and `add_trailer_inherit` join the lists (`merge`, inner ones first) or cut them (`off`);
 * - `script_limits` are inherited word by word.
 *
 * `scripts` are replaced as a list here; that each phase has its own innermost level is for whoever loads them, who
 * must look at the levels one by one.
 */
export function inherit(outer: Settings, inner: Settings): Settings {
  const { tryFiles: _, ...inherited } = outer
  const merged: Settings = { ...inherited, ...given(inner) }
  merged.addHeaders = joined(outer.addHeaders, inner.addHeaders, merged.addHeaderInherit)
  merged.addTrailers = joined(outer.addTrailers, inner.addTrailers, merged.addTrailerInherit)
  if (outer.scriptLimits || inner.scriptLimits) {
    merged.scriptLimits = { ...outer.scriptLimits, ...inner.scriptLimits }
  }
  return given(merged)
}

/** Without the keys whose value is undefined, which spreading would let win. */
function given(settings: Settings): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

function joined<T>(
  outer: readonly T[] | undefined,
  inner: readonly T[] | undefined,
  how: Settings['addHeaderInherit'],
): readonly T[] | undefined {
  if (how === 'off') return inner ?? []
  if (how === 'merge' && inner && outer) return [...inner, ...outer]
  return inner ?? outer
}
