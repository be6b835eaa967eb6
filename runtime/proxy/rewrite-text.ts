/**
 * The text of a `rewrite`'s replacement: its path and query, and what is encoded in it. Captures are decoded text;
 * nginx encodes them again where they go into a query or a redirect, if the URI came encoded.
 */
import type { TemplatePart } from '../config/model.ts'
import { HEX_VALUES } from '../http1/octets.ts'
import { escapeUri } from '../http1/uri.ts'
import type { Exchange } from './exchange.ts'
import type { VariableGetter } from './plan.ts'

const PERCENT = 0x25
const PLUS = 0x2b
const QUESTION = 0x3f

/** A `?` is written in the text, whatever the variables hold. */
export function hasQuery(parts: readonly TemplatePart[]): boolean {
  return parts.some((part) => typeof part === 'string' && part.includes('?'))
}

/** Cuts at the first literal `?`; null: there is none. */
export function splitQuery(
  parts: readonly TemplatePart[],
): [path: readonly TemplatePart[], args: readonly TemplatePart[] | null] {
  for (const [i, part] of parts.entries()) {
    if (typeof part !== 'string') continue
    const query = part.indexOf('?')
    if (query < 0) continue
    return [
      [...parts.slice(0, i), part.slice(0, query)],
      [part.slice(query + 1), ...parts.slice(i + 1)],
    ]
  }
  return [parts, null]
}

/** `$1`…`$9` encoded as an argument of a query, if the request's path came encoded. */
export function encodedCapture(n: number): VariableGetter {
  return (x) => {
    const value = x.captures?.[n]
    return value === undefined || !cameEncoded(x) ? value : escapeUri(value, 'args')
  }
}

/** The path as sent has a `%` or a `+`. */
function cameEncoded(x: Exchange): boolean {
  const { unparsedUri } = x
  const query = unparsedUri.indexOf('?')
  const end = query < 0 ? unparsedUri.length : query
  for (let i = 0; i < end; i++) {
    const octet = unparsedUri.charCodeAt(i)
    if (octet === PERCENT || octet === PLUS) return true
  }
  return false
}

/**
 * Decodes `%XX` in the path of a redirect where the octet is printable and above `%`; a `?`, decoded or not, ends the
 * path. What is no `%XX` loses its `%`, as in nginx (ngx_unescape_uri).
 */
export function decodeRedirect(location: string): string {
  let at = location.indexOf('%')
  const query = location.indexOf('?')
  if (at < 0 || (query >= 0 && query < at)) return location
  let text = location.slice(0, at)
  for (; at < location.length; at++) {
    if (location.charCodeAt(at) === QUESTION) break
    if (location.charCodeAt(at) !== PERCENT) {
      text += location[at]
      continue
    }
    const high = HEX_VALUES[location.charCodeAt(at + 1)] ?? 16
    const low = HEX_VALUES[location.charCodeAt(at + 2)] ?? 16
    if (high === 16) text += location[++at] ?? ''
    else {
      const octet = 16 * high + low
      if (low < 16)
        text += octet > PERCENT && octet < 0x7f ? String.fromCharCode(octet) : location.slice(at, at + 3)
      at += 2
      if (low < 16 && octet === QUESTION) return text + location.slice(at + 1)
    }
  }
  return text + location.slice(at)
}
