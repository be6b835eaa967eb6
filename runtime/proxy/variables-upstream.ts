/** `$upstream_*` and `$proxy_*`. Lists over tries: `, ` between them, ` : ` where an internal redirect lies between. */
import { formatSeconds } from '../lib/time-format.ts'
import type { Exchange } from './exchange.ts'
import type { VariableGetter } from './plan.ts'
import type { UpstreamTry } from './upstream-try.ts'
import { cookieValueAt, requestFieldVariable } from './variables-named.ts'

const forwardedFor = requestFieldVariable('x_forwarded_for')

export const UPSTREAM_VARIABLES: Readonly<Record<string, VariableGetter>> = {
  upstream_addr: overTries((one) => one.address),
  upstream_status: overTries((one) => (one.status === 0 ? '-' : String(one.status))),
  upstream_connect_time: overTries((one) => duration(one.connectTime)),
  upstream_header_time: overTries((one) => duration(one.headerTime)),
  upstream_response_time: overTries((one) => duration(one.responseTime)),
  upstream_response_length: overTries((one) => String(one.responseLength)),
  upstream_bytes_received: overTries((one) => String(one.bytesReceived)),
  upstream_bytes_sent: overTries((one) => String(one.bytesSent)),
  // Nothing is cached yet, which nginx calls "not found" as well.
  upstream_cache_status: () => undefined,

  proxy_host: (x) => x.call?.target.host,
  proxy_port: (x) => x.call?.target.port,
  proxy_add_x_forwarded_for: addForwardedFor,
  proxy_internal_body_length: (x) =>
    x.body === null || x.body.length < 0 ? undefined : String(x.body.length),
  proxy_internal_chunked: (x) => (x.body !== null && x.body.length < 0 ? 'chunked' : ''),
}

/** `$upstream_http_NAME`: a field of the last answer. */
export function upstreamFieldVariable(name: string): VariableGetter {
  return (x) => lastTry(x)?.fields?.joinedUnderscored(name)
}

/** `$upstream_trailer_NAME` */
export function upstreamTrailerVariable(name: string): VariableGetter {
  return (x) => lastTry(x)?.trailers?.joinedUnderscored(name)
}

/** `$upstream_cookie_NAME`: the value of the first `Set-Cookie` of that name. */
export function upstreamCookieVariable(name: string): VariableGetter {
  return (x) => {
    const fields = lastTry(x)?.fields
    if (!fields) return undefined
    for (let i = fields.findName('set-cookie'); i >= 0; i = fields.findName('set-cookie', i + 1)) {
      const value = cookieValueAt(fields.value(i), 0, name)
      if (value !== undefined) return value
    }
    return undefined
  }
}

function overTries(show: (one: UpstreamTry) => string): VariableGetter {
  return (x) => {
    const { tries } = x
    if (tries === null || tries.length === 0) return undefined
    let text = show(tries[0])
    for (let i = 1; i < tries.length; i++) text += (tries[i].redirectBefore ? ' : ' : ', ') + show(tries[i])
    return text
  }
}

function duration(ms: number): string {
  return ms === -1 ? '-' : formatSeconds(ms)
}

function lastTry(x: Exchange): UpstreamTry | undefined {
  return x.tries === null ? undefined : x.tries[x.tries.length - 1]
}

/** The field as received with the client's address behind it. */
function addForwardedFor(x: Exchange): string {
  const received = forwardedFor(x)
  return received === undefined ? x.remoteAddress : `${received}, ${x.remoteAddress}`
}
