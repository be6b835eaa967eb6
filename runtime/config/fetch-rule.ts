/** Reads one entry of `script_allow_fetch`. Pure; what an entry allows is decided in `fetch/`. */
import type { FetchRule } from './model.ts'
import { decodeBytes } from './problems.ts'
import { parseCidr } from './values.ts'

/** `scheme://host[:port][/path]`, or `*.host[:port][/path]`; brackets hold an IPv6 address. */
const URL_ENTRY = /^(?:(https?):\/\/)?(\*\.)?(\[[0-9a-f:.]+\]|[^/:?#@[\]\\*%\s]+)(?::([0-9]+))?(\/[^?#]*)?$/i
const DOT_SEGMENTS = /(?:\.|%2e){2}|%2f|%5c|\\/i

/** @returns null for what is no entry, and for `none`, which stands alone */
export function parseFetchRule(text: string): FetchRule | null {
  if (text === 'upstreams' || text === 'any') return { kind: text }
  const block = parseCidr(text)
  if (block !== null) return block.lowBits ? null : { kind: 'block', cidr: block.cidr }
  return parseUrlRule(decodeBytes(text))
}

function parseUrlRule(text: string): FetchRule | null {
  const match = URL_ENTRY.exec(text)
  if (match === null) return null
  const [, scheme, wildcard, name, port, path = ''] = match
  if ((scheme === undefined && wildcard === undefined) || DOT_SEGMENTS.test(path)) return null
  // A URL leaves its scheme's own port out; without a scheme that one alone is meant.
  if (scheme === undefined && port !== undefined) return null
  const url = toUrl(`${scheme ?? 'http'}://${name}${port === undefined ? '' : `:${port}`}${path}`)
  // A number as a top-level domain makes an address of the whole: there is nothing below it.
  if (url === null || (wildcard !== undefined && /^\[|(?:^|\.)[0-9]+$/.test(url.hostname))) return null
  return {
    kind: 'url',
    scheme: scheme === undefined ? null : (url.protocol as 'http:' | 'https:'),
    host: wildcard === undefined ? url.hostname : `.${url.hostname}`,
    wildcard: wildcard !== undefined,
    port: url.port,
    path: path === '' || path === '/' ? '' : url.pathname,
  }
}

function toUrl(text: string): URL | null {
  try {
    return new URL(text)
  } catch {
    return null
  }
}
