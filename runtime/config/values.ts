/**
 * Values as nginx writes them: times, sizes, numbers, address blocks, host and port. Each parser returns null for
 * what it does not take; the wording of the problem is the caller's.
 */
import { parseIpv4, parseIpv6 } from '../lib/ip-address.ts'
import type { Cidr } from './model.ts'

/** A whole number without sign, within what JavaScript counts exactly. */
export function parseCount(text: string): number | null {
  if (!/^[0-9]{1,16}$/.test(text)) return null
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : null
}

/** Bytes: `512`, `8k`, `1m`. nginx takes `g` for some directives only, see {@link parseOffset}. */
export function parseSize(text: string): number | null {
  return parseScaled(text, /^([0-9]+)([kKmM]?)$/)
}

/** Bytes, `g` included (`ngx_conf_set_off_slot`). */
export function parseOffset(text: string): number | null {
  return parseScaled(text, /^([0-9]+)([kKmMgG]?)$/)
}

const SCALES: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

function parseScaled(text: string, form: RegExp): number | null {
  const match = form.exec(text)
  if (!match) return null
  const value = Number(match[1]) * SCALES[match[2]!.toLowerCase()]!
  return Number.isSafeInteger(value) ? value : null
}

const SECOND = 1000
const UNITS: Readonly<Record<string, { readonly ms: number; readonly rank: number }>> = {
  y: { ms: 365 * 86400 * SECOND, rank: 1 },
  M: { ms: 30 * 86400 * SECOND, rank: 2 },
  w: { ms: 7 * 86400 * SECOND, rank: 3 },
  d: { ms: 86400 * SECOND, rank: 4 },
  h: { ms: 3600 * SECOND, rank: 5 },
  m: { ms: 60 * SECOND, rank: 6 },
  s: { ms: SECOND, rank: 7 },
  ms: { ms: 1, rank: 8 },
}

/**
 * A time in milliseconds: `30` (seconds), `500ms`, `1h30m`, `1d 12h`. Units go from large to small, each once.
 * With unit `s` the directive counts in whole seconds: years are taken, milliseconds are not (`ngx_parse_time`).
 */
export function parseTime(text: string, unit: 'ms' | 's' = 'ms'): number | null {
  const part = /([0-9]+)(ms|[yMwdhms]?)( *)/y
  let total = 0
  let rank = unit === 's' ? 0 : 2
  do {
    const match = part.exec(text)
    if (!match || (unit === 's' && match[2] === 'ms')) return null
    const scale = UNITS[match[2] || 's']!
    const bareAtEnd = match[2] === '' && match[3] === '' && part.lastIndex === text.length
    if (scale.rank <= rank && !bareAtEnd) return null
    total += Number(match[1]) * scale.ms
    // Nothing but the end may follow a number that has no unit.
    rank = match[2] === '' ? 8 : scale.rank
  } while (part.lastIndex < text.length)
  return Number.isSafeInteger(total) ? total : null
}

/** A percentage with at most two decimals, in hundredths of a percent: `0.5%` is 50. */
export function parsePercent(text: string): number | null {
  const match = /^([0-9]{1,9})(?:\.([0-9]{0,2}))?%$/.exec(text)
  return match ? Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0')) : null
}

export interface ParsedCidr {
  readonly cidr: Cidr
  /** Bits behind the mask were set; they are cleared. */
  readonly lowBits: boolean
}

/** `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`. */
export function parseCidr(text: string): ParsedCidr | null {
  const slash = text.indexOf('/')
  const bytes = parseIp(slash < 0 ? text : text.slice(0, slash))
  if (!bytes) return null
  const full = bytes.length * 8
  const bits = slash < 0 ? full : parseCount(text.slice(slash + 1))
  if (bits === null || bits > full) return null
  const masked = bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - i * 8))) & 0xff)
  return { cidr: { kind: 'ip', bytes: masked, bits }, lowBits: masked.some((byte, i) => byte !== bytes[i]) }
}

/** 4 or 16 bytes of an address, or null. */
export function parseIp(text: string): number[] | null {
  const ipv4 = parseIpv4(text)
  if (ipv4 >= 0) return [ipv4 >>> 24, (ipv4 >>> 16) & 255, (ipv4 >>> 8) & 255, ipv4 & 255]
  const ipv6 = parseIpv6(text)
  return ipv6 && [...ipv6]
}

/** One text for one address, so that `[::1]` and `[0:0::1]` compare equal. */
export function canonicalHost(host: string): string {
  const bytes = parseIp(host)
  return bytes ? bytes.join('.') : host.toLowerCase()
}

export type Endpoint =
  | {
      readonly kind: 'inet'
      readonly host: string
      readonly port: number | null
      readonly lastPort: number | null
      readonly uri: string
    }
  | { readonly kind: 'unix'; readonly path: string; readonly uri: string }

export interface EndpointForm {
  /** A port alone is an address, `*` a host, and a port may be a range. */
  readonly listen?: boolean
  /** A URI may follow (`proxy_pass`). */
  readonly uri?: boolean
}

/** Longest path of a unix socket on Linux, its final NUL not counted. */
const MAX_SOCKET_PATH = 107

/**
 * Host and port as `ngx_parse_url` takes them: `host`, `host:port`, `[v6]:port`, `unix:/path`, and what `form` adds.
 * A string is what is wrong.
 */
export function parseEndpoint(text: string, form: EndpointForm): Endpoint | string {
  if (/^unix:/i.test(text)) return parseUnix(text.slice(5), form)
  const start = text.startsWith('[') ? text.indexOf(']') : 0
  if (start < 0) return 'invalid host'
  const slash = text.slice(start).search(form.uri && start === 0 ? /[/?]/ : /\//)
  const uri = slash < 0 ? '' : text.slice(start + slash)
  if (uri !== '' && !form.uri) return 'invalid host'
  return parseInet(text.slice(0, text.length - uri.length), start, uri, form)
}

function parseInet(authority: string, start: number, uri: string, form: EndpointForm): Endpoint | string {
  const colon = authority.indexOf(':', start)
  if (form.listen && start === 0 && colon < 0 && /^[0-9]/.test(authority) && /^[0-9-]+$/.test(authority)) {
    const ports = parsePorts(authority, true)
    return typeof ports === 'string' ? ports : { kind: 'inet', host: '0.0.0.0', uri, ...ports }
  }
  const ports =
    colon < 0 ? { port: null, lastPort: null } : parsePorts(authority.slice(colon + 1), form.listen)
  if (typeof ports === 'string') return ports
  const name = colon < 0 ? authority : authority.slice(0, colon)
  const host = parseHost(name, start, form)
  return host.problem ? host.problem : { kind: 'inet', host: host.name, uri, ...ports }
}

function parseHost(
  name: string,
  bracket: number,
  form: EndpointForm,
): { name: string; problem: string | null } {
  if (bracket > 0) {
    if (name.length !== bracket + 1) return { name, problem: 'invalid host' }
    const address = name.slice(1, -1)
    if (address === '') return { name, problem: 'no host' }
    return parseIp(address)?.length === 16
      ? { name: address, problem: null }
      : { name, problem: 'invalid IPv6 address' }
  }
  if (name === '') return { name, problem: 'no host' }
  if (form.listen && name === '*') return { name: '0.0.0.0', problem: null }
  return { name, problem: /[\0-\x20\x7f"<>\\^`{|}]/.test(name) ? 'invalid host' : null }
}

function parsePorts(text: string, range = false): { port: number; lastPort: number | null } | string {
  const [first = '', last] = range ? text.split(/-(.*)/s) : [text]
  const port = parseCount(first)
  const lastPort = last === undefined ? null : parseCount(last)
  const valid = (n: number | null) => n !== null && n >= 1 && n <= 65535
  if (!valid(port) || (last !== undefined && !valid(lastPort))) return 'invalid port'
  if (lastPort !== null && port! > lastPort) return 'invalid port range'
  return { port: port!, lastPort }
}

function parseUnix(text: string, form: EndpointForm): Endpoint | string {
  const colon = form.uri ? text.indexOf(':') : -1
  const path = colon < 0 ? text : text.slice(0, colon)
  if (path === '') return 'no path in the unix domain socket'
  if (path.length > MAX_SOCKET_PATH) return 'too long path in the unix domain socket'
  return { kind: 'unix', path, uri: colon < 0 ? '' : text.slice(colon + 1) }
}
