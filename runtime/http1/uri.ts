/**
 * Request targets: which forms are served, what path they mean, how a path is written again. As nginx does it, which
 * is what locations, access rules and upstreams rely on. Works on byte strings and knows no configuration.
 *
 * RFC 9112 section 3.2, RFC 3986 section 5.2.4; nginx's `merge_slashes`.
 */
import { octetAt } from '../lib/octet-at.ts'
import { ClientFault, HttpFault } from './fault.ts'
import { HEX_VALUES, SLASH, TARGET_OCTETS } from './octets.ts'

/** A request target taken apart. */
export interface ParsedTarget {
  /** Decoded and normalized; a byte string that begins with `/`. */
  readonly path: string
  /** The path as sent. */
  readonly rawPath: string
  /** What follows the `?`, as sent, up to a `#`. */
  readonly args: string
  /** There was a `?`, though perhaps nothing behind it. */
  readonly hasArgs: boolean
  /** Authority of an absolute-form target: lower case, no port, valid. Null for origin-form. */
  readonly host: string | null
  /** Port in that authority; '' if none. */
  readonly port: string
  /** Scheme of an absolute-form target, lower case. */
  readonly scheme: string | null
  /** `path` differs from `rawPath`. */
  readonly complex: boolean
  /** `$request_uri`: the target as sent, without scheme and authority. */
  readonly unparsed: string
  /** `unparsed` may be passed on as it is: it has a path and no fragment. */
  readonly unparsedValid: boolean
}

/** A `Host` value taken apart. */
export interface ParsedHost {
  /** Lower case, without port and trailing dot. An address in brackets keeps them. */
  readonly host: string
  /** Decimal, '' if none was given. */
  readonly port: string
}

const PERCENT = 0x25
const QUESTION = 0x3f
const HASH = 0x23
const DOT = 0x2e

/** `scheme://authority` as nginx reads it from a request line; what follows must be a path, a query, or nothing. */
const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(\[[^\]]*\]|[A-Za-z0-9.-]*)(:[0-9]*)?(?=[/?]|$)/
const AUTHORITY = /^(?:\[[^\]]*\]|[A-Za-z0-9.-]+):[0-9]+$/

/**
 * Takes a request target apart.
 * @param mergeSlashes `merge_slashes`: adjacent slashes of the path become one
 * @returns a fault for what nginx refuses: 400, or 405 for a well-formed CONNECT
 */
export function parseTarget(method: string, target: string, mergeSlashes: boolean): ParsedTarget | HttpFault {
  if (method === 'CONNECT') return connectFault(target)
  if (octetAt(target, 0) === SLASH) return parseOrigin(target, mergeSlashes, null)
  const match = ABSOLUTE.exec(target)
  if (match === null) return ClientFault.REQUEST
  const authority = validateHost(match[2] + (match[3] ?? ''))
  if (authority instanceof HttpFault) return ClientFault.HOST_IN_LINE
  const absolute = { scheme: match[1].toLowerCase(), host: authority.host, port: authority.port }
  const rest = target.slice(match[0].length)
  if (rest === '') return parseOrigin('/', mergeSlashes, absolute)
  if (octetAt(rest, 0) === SLASH) return parseOrigin(rest, mergeSlashes, absolute)
  const parsed = parseOrigin(`/${rest}`, mergeSlashes, absolute)
  return parsed instanceof HttpFault ? parsed : { ...parsed, unparsed: rest, unparsedValid: false }
}

interface Absolute {
  readonly scheme: string
  readonly host: string
  readonly port: string
}

/** Octets of a path that mean only themselves. */
const ORDINARY = TARGET_OCTETS.map((allowed, octet) =>
  [PERCENT, QUESTION, HASH, DOT, SLASH].includes(octet) ? 0 : allowed,
)

/** A target that begins with a slash. Fast path: nothing in it to decode or normalize. */
function parseOrigin(
  target: string,
  mergeSlashes: boolean,
  absolute: Absolute | null,
): ParsedTarget | HttpFault {
  const length = target.length
  let pathEnd = length
  let complex = false
  for (let i = 1; i < length; i++) {
    const octet = octetAt(target, i)
    if (ORDINARY[octet] === 1) continue
    if (octet === QUESTION || octet === HASH) {
      pathEnd = i
      break
    }
    if (octet === PERCENT) complex = true
    else if (octet === SLASH || octet === DOT) complex ||= octetAt(target, i - 1) === SLASH
    else return ClientFault.REQUEST
  }
  let end = length
  for (let i = pathEnd; i < length; i++) {
    const octet = octetAt(target, i)
    if (octet === HASH && end === length) end = i
    if (TARGET_OCTETS[octet] !== 1) return ClientFault.REQUEST
  }
  const rawPath = pathEnd === length ? target : target.slice(0, pathEnd)
  const path = complex ? normalizePath(rawPath, mergeSlashes) : rawPath
  if (path === null) return ClientFault.REQUEST
  return {
    path,
    rawPath,
    args: pathEnd < end ? target.slice(pathEnd + 1, end) : '',
    hasArgs: pathEnd < end,
    host: absolute === null ? null : absolute.host,
    port: absolute === null ? '' : absolute.port,
    scheme: absolute === null ? null : absolute.scheme,
    complex: complex && path !== rawPath,
    unparsed: target,
    unparsedValid: end === length,
  }
}

/** nginx serves no CONNECT: 405 if it is well-formed, else 400. */
function connectFault(target: string): HttpFault {
  if (!AUTHORITY.test(target)) return ClientFault.REQUEST
  return validateHost(target) instanceof HttpFault ? ClientFault.HOST_IN_LINE : ClientFault.CONNECT
}

/**
 * Decodes `%XX` and removes `.`, `..` and, if wanted, empty segments, also where the dots or slashes were encoded.
 * A `?` or `#` in `raw` is an ordinary character: cut the query off before.
 * @returns null if `raw` does not begin with `/`, has a bad `%XX`, a NUL or what is no byte, or climbs above the root
 */
export function normalizePath(raw: string, mergeSlashes: boolean): string | null {
  if (octetAt(raw, 0) !== SLASH) return null
  const out = Buffer.allocUnsafe(raw.length)
  let size = 1
  let segment = 1
  out[0] = SLASH
  for (let i = 1; i < raw.length; i++) {
    let octet = octetAt(raw, i)
    if (octet === PERCENT) {
      const high = HEX_VALUES[octetAt(raw, i + 1)]
      const low = HEX_VALUES[octetAt(raw, i + 2)]
      if (!(high < 16 && low < 16)) return null
      octet = 16 * high + low
      i += 2
    }
    if (octet === 0 || octet > 0xff) return null
    if (octet !== SLASH) {
      out[size++] = octet
      continue
    }
    const kept = closeSegment(out, segment, size)
    if (kept === -1) return null
    // A removed segment leaves the slash before it; so does an empty one when slashes are merged.
    if (kept < size || (size === segment && mergeSlashes)) size = kept
    else out[size++] = SLASH
    segment = size
  }
  size = closeSegment(out, segment, size)
  return size === -1 ? null : out.toString('latin1', 0, size)
}

/** The size of `out` once a last segment `.` or `..` is removed; -1 if that leads above the root. */
function closeSegment(out: Buffer, segment: number, size: number): number {
  if (size - segment === 1 && out[segment] === DOT) return segment
  if (size - segment !== 2 || out[segment] !== DOT || out[segment + 1] !== DOT) return size
  if (segment < 2) return -1
  return out.lastIndexOf(SLASH, segment - 2) + 1
}

/** Octets that each kind of escaping encodes besides controls and everything above 0x7e. */
const ESCAPED = {
  /** Paths. */
  uri: ' "#%<>?\\^`{|}',
  /** A value inside a query. */
  args: ' "#%&+;<>?\\^`{|}',
  /** Everything but unreserved characters. */
  component: ' !"#$%&\'()*+,/:;<=>?@[\\]^`{|}',
  /** A link in a page. */
  html: ' "#%\'<>\\^`{|}',
  /** A `Refresh` or redirect that is escaped already. nginx encodes `~` here, and not `}`. */
  refresh: ' "\'<>\\^`{|~',
  /** A memcached key; octets above 0x7e stay. */
  memcached: ' %',
} as const

/** Which table of nginx's `ngx_escape_uri` to use. */
export type EscapeKind = keyof typeof ESCAPED

const ESCAPE_TABLES = Object.fromEntries(
  Object.entries(ESCAPED).map(([kind, characters]) => [kind, escapeTable(kind, characters)]),
) as Record<EscapeKind, Uint8Array>

function escapeTable(kind: string, characters: string): Uint8Array {
  const above = kind === 'memcached' ? 256 : 0x7f
  return Uint8Array.from({ length: 256 }, (_, octet) =>
    octet < 0x20 || octet >= above || characters.includes(String.fromCharCode(octet)) ? 1 : 0,
  )
}

/** Encodes octets of a byte string as `%XX`. Returns the same string if there is nothing to encode. */
export function escapeUri(text: string, kind: EscapeKind): string {
  const table = ESCAPE_TABLES[kind]
  let out = ''
  let from = 0
  const { length } = text
  for (let i = 0; i < length; i++) {
    const octet = octetAt(text, i)
    if (table[octet] === 0) continue
    const hex = octet.toString(16).toUpperCase()
    out += `${text.slice(from, i)}%${octet < 16 ? '0' : ''}${hex}`
    from = i + 1
  }
  return from === 0 ? text : out + text.slice(from)
}

/** Letters, digits and the rest of RFC 3986's reg-name; an IP literal; then perhaps a port. */
const HOST = /^(?:([A-Za-z0-9\-._~!$&'()*+,;=%]+)|(\[[A-Za-z0-9\-._~!$&'()*+,;=:]*\]))(?::([0-9]*))?$/
const SIMPLE_HOST = /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/

/** Takes a `Host` value or an authority apart; a fault (400) if nginx would refuse it. */
export function validateHost(value: string): ParsedHost | HttpFault {
  if (SIMPLE_HOST.test(value)) return { host: value, port: '' }
  const match = HOST.exec(value)
  if (match === null || value.includes('..')) return ClientFault.HOST
  const port = Number(match[3] ?? '')
  if (port > 65535) return ClientFault.HOST
  let host = (match[1] ?? match[2]).toLowerCase()
  if (host.endsWith('.')) host = host.slice(0, -1)
  if (host === '') return ClientFault.HOST
  return { host, port: port === 0 ? '' : String(port) }
}
