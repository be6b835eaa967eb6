/**
 * Conditional requests on responses of our own (RFC 9110 section 13, ngx_http_not_modified_filter_module): 304 and
 * 412, by what the head says.
 */
import { parseHttpDate } from '../http1/date.ts'
import { closeParts } from './body-parts.ts'
import type { Exchange } from './exchange.ts'
import { specialPage } from './special-page.ts'

/**
 * Applies If-Unmodified-Since, If-Match, If-Modified-Since and If-None-Match to a 200. May turn it into a 304.
 * @returns 412 when a precondition failed: the response has become that page, unless an `error_page` wants it; else 0.
 */
export function applyConditional(x: Exchange): 0 | 412 {
  if (x.status !== 200) return 0
  const { requestHeaders } = x
  const unmodifiedSince = requestHeaders.get('if-unmodified-since')
  if (unmodifiedSince !== undefined && !isUnmodified(x, unmodifiedSince)) return failed(x)
  const match = requestHeaders.get('if-match')
  if (match !== undefined && !matches(x, match, false)) return failed(x)
  const modifiedSince = requestHeaders.get('if-modified-since')
  const noneMatch = requestHeaders.get('if-none-match')
  if (modifiedSince === undefined && noneMatch === undefined) return 0
  if (modifiedSince !== undefined && isModified(x, modifiedSince)) return 0
  if (noneMatch !== undefined && !matches(x, noneMatch, true)) return 0
  notModified(x)
  return 0
}

function failed(x: Exchange): 412 {
  x.headers.clear()
  specialPage(x, 412)
  return 412
}

function notModified(x: Exchange): void {
  const { headers } = x
  closeParts(x.parts)
  x.status = 304
  x.parts = []
  x.allowRanges = false
  headers.contentType = null
  headers.contentLength = -1
  headers.remove('content-encoding')
  headers.remove('accept-ranges')
}

function isUnmodified(x: Exchange, since: string): boolean {
  const { lastModified } = x.headers
  return lastModified !== null && parseHttpDate(since) >= parseHttpDate(lastModified)
}

/** `if_modified_since`: `exact` compares for equality, `before` takes any later date too, `off` ignores the field. */
function isModified(x: Exchange, since: string): boolean {
  const { lastModified } = x.headers
  const { ifModifiedSince } = x.location.settings
  if (lastModified === null || ifModifiedSince === 'off') return true
  const seen = parseHttpDate(since)
  const last = parseHttpDate(lastModified)
  return ifModifiedSince === 'exact' ? seen !== last : !(seen >= last)
}

/** A comma may stand inside a tag. */
const TAGS = /[ \t]*((?:W\/)?"[^"]*"(?=[ \t]*(?:,|$))|[^,]+)/g

/** RFC 9110 section 8.8.3.2: `weak` ignores the `W/` marks, otherwise a weak tag never matches. */
function matches(x: Exchange, list: string, weak: boolean): boolean {
  if (list === '*') return true
  const own = x.headers.get('etag')
  if (own === undefined) return false
  const tag = weak ? strengthened(own) : own
  for (const [, item] of list.matchAll(TAGS)) {
    const candidate = item.trim()
    if ((weak ? strengthened(candidate) : candidate) === tag) return weak || !tag.startsWith('W/')
  }
  return false
}

function strengthened(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag
}
