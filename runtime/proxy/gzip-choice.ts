/**
 * Whether a response is compressed (ngx_http_gzip_module, `ngx_http_gzip_ok`): what the location allows, what the
 * client takes, and whether it came through a proxy. Knows nothing of the compressing.
 */
import { parseHttpDate } from '../http1/date.ts'
import type { Exchange } from './exchange.ts'
import type { Binder, Effective } from './plan.ts'
import { isOfType } from './response-filter.ts'

/** The `gzip_*` directives of one location. */
export interface GzipPlan {
  readonly types: ReadonlySet<string>
  readonly minLength: number
  readonly level: number
  /** `gzip_http_version`: 10 or 11. */
  readonly version: number
  /** `gzip_proxied`; empty: `off`. */
  readonly proxied: ReadonlySet<string>
  readonly vary: boolean
  /** `gzip_disable`: browsers that get no compressed response. */
  readonly disabled: readonly RegExp[]
  readonly disablesMsie6: boolean
}

/** null: `gzip off`. */
export function compileGzip(settings: Effective, binder: Binder): GzipPlan | null {
  if (!settings.gzip) return null
  return {
    types: new Set(settings.gzipTypes),
    minLength: settings.gzipMinLength,
    level: settings.gzipCompLevel,
    version: settings.gzipHttpVersion === '1.0' ? 10 : 11,
    proxied: new Set(settings.gzipProxied),
    vary: settings.gzipVary,
    disabled: settings.gzipDisable.flatMap((entry) => (entry === 'msie6' ? [] : [binder.pattern(entry)])),
    disablesMsie6: settings.gzipDisable.includes('msie6'),
  }
}

/** Whether this response would be compressed for a client that takes it: then it varies. */
export function isCompressible(x: Exchange, plan: GzipPlan): boolean {
  const { headers, status } = x
  if (status !== 200 && status !== 403 && status !== 404) return false
  if (headers.contentLength >= 0 && headers.contentLength < plan.minLength) return false
  return isOfType(x, plan.types) && !headers.get('content-encoding')
}

export function clientTakesGzip(x: Exchange, plan: GzipPlan): boolean {
  const { requestHeaders } = x
  const accepted = requestHeaders.get('accept-encoding')
  if (accepted === undefined || !acceptsGzip(accepted) || x.head.version < plan.version) return false
  if (plan.disablesMsie6 || plan.disabled.length > 0) {
    const agent = requestHeaders.get('user-agent')
    if (agent !== undefined && isDisabled(agent, plan)) return false
  }
  return !requestHeaders.has('via') || mayGoThroughProxy(x, plan.proxied)
}

const GZIP = /(?:^|[, ])gzip *(?:$|,|; *(?:$|q(=[^, ]*)?))/i

/** `gzip` with any weight but 0 (RFC 9110 section 12.5.3); a weight that is none counts as 0. */
export function acceptsGzip(field: string): boolean {
  const match = GZIP.exec(field)
  if (match === null) return false
  if (!/; *q/i.test(match[0])) return true
  const weight = /^=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.exec(match[1] ?? '')
  return weight !== null && Number(weight[1]) > 0
}

function isDisabled(agent: string, plan: GzipPlan): boolean {
  if (plan.disablesMsie6 && isMsie6(agent)) return true
  return plan.disabled.some((pattern) => pattern.test(agent))
}

/** Internet Explorer 4 to 6, but for 6 with its second service pack. */
function isMsie6(agent: string): boolean {
  const match = /MSIE ([456])\../.exec(agent)
  if (match === null || agent.includes('Opera')) return false
  return match[1] !== '6' || !agent.includes('SV1', match.index)
}

/** `gzip_proxied`: a proxy on the way may give what it keeps to clients that cannot read it. */
function mayGoThroughProxy(x: Exchange, proxied: ReadonlySet<string>): boolean {
  if (proxied.size === 0) return false
  if (proxied.has('any')) return true
  if (proxied.has('auth') && x.requestHeaders.has('authorization')) return true
  const { headers } = x
  const expires = headers.get('expires')
  if (expires !== undefined) return proxied.has('expired') && isPast(x, expires)
  const control = headers.get('cache-control')
  if (control !== undefined) {
    const words = control.toLowerCase().split(/[\s,;=]+/)
    return ['no-cache', 'no-store', 'private'].some((word) => proxied.has(word) && words.includes(word))
  }
  if (proxied.has('no_last_modified') && headers.lastModified !== null) return false
  return !(proxied.has('no_etag') && headers.has('etag'))
}

function isPast(x: Exchange, expires: string): boolean {
  const { date } = x.headers
  const now = date ? parseHttpDate(date) : Math.floor(Date.now() / 1000) * 1000
  return parseHttpDate(expires) < now
}
