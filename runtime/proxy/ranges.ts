/**
 * Range requests on bodies of our own (RFC 9110 section 14, ngx_http_range_filter_module): which ranges are asked
 * for, and the 206 that answers them from `x.parts`.
 */
import { randomBytes } from 'node:crypto'
import { parseHttpDate } from '../http1/date.ts'
import { closeParts, cutParts } from './body-parts.ts'
import type { BodyPart, Exchange } from './exchange.ts'
import { specialPage } from './special-page.ts'

/** `max_ranges` when it is not given; then nginx also refuses ranges that cost more than the whole. */
const UNLIMITED = 0x7fffffff

/** Bytes `start` (inclusive) to `end` (exclusive). */
export interface Range {
  readonly start: number
  readonly end: number
}

/**
 * Applies Range and If-Range to a 200 that allows it: cuts `x.parts`, or says with Accept-Ranges that it could.
 * @returns 416 when no range can be satisfied: the response has become that page, with its Content-Range, unless an
 * `error_page` wants it; else 0.
 */
export function applyRanges(x: Exchange): 0 | 416 {
  const { headers, parts } = x
  const { maxRanges } = x.location.settings
  const total = headers.contentLength
  if (x.status !== 200 || total < 0 || parts === null || !x.allowRanges || maxRanges === 0) return 0
  if (x.head.version === 9) return 0
  const asked = x.requestHeaders.get('range')
  const ranges = asked === undefined || !rangeHolds(x) ? 'whole' : parseRanges(asked, total, maxRanges)
  if (ranges === 'whole') headers.add('Accept-Ranges', 'bytes')
  else if (ranges === 'none') return unsatisfiable(x, total)
  else if (ranges.length === 1) answerOne(x, parts, ranges[0], total)
  else answerSeveral(x, parts, ranges, total)
  return 0
}

/** If-Range: an entity tag, or the exact Last-Modified date. RFC 9110 section 13.1.5: a weak tag never holds. */
function rangeHolds(x: Exchange): boolean {
  const condition = x.requestHeaders.get('if-range')
  if (condition === undefined) return true
  if (condition.endsWith('"')) return !condition.startsWith('W/') && condition === x.headers.get('etag')
  const { lastModified } = x.headers
  return lastModified !== null && parseHttpDate(condition) === parseHttpDate(lastModified)
}

// No two adjacent repetitions match the same text: time stays linear in the field's length.
const ONE = / *(?:([0-9]+) *-(?: *([0-9]+))?|-([0-9]+)) *(,|$)/y

/**
 * The ranges of a Range field, in the order asked for; those beyond the end are left out.
 * @param total bytes of the body
 * @returns 'whole': the field is to be ignored (another unit, too many, more than the body); 'none': 416
 */
export function parseRanges(field: string, total: number, maxRanges: number): Range[] | 'whole' | 'none' {
  if (field.length < 7 || field.slice(0, 6).toLowerCase() !== 'bytes=') return 'whole'
  const ranges: Range[] = []
  let size = 0
  ONE.lastIndex = 6
  for (;;) {
    const match = ONE.exec(field)
    if (match === null) return 'none'
    const range = rangeOf(match, total)
    if (range.start < range.end) {
      if (ranges.length === maxRanges) return 'whole'
      ranges.push(range)
      size += range.end - range.start
    } else if (range.start === 0) return 'whole'
    if (match[4] === '') break
  }
  if (ranges.length === 0) return 'none'
  if (ranges.length === 1) return ranges
  if (size > total) return 'whole'
  const costs = maxRanges >= UNLIMITED && size + ranges.length * 256 > total + 4096
  return costs ? 'whole' : ranges
}

function rangeOf([, first, last, suffix]: RegExpExecArray, total: number): Range {
  if (suffix !== undefined) return { start: Math.max(total - Number(suffix), 0), end: total }
  return { start: Number(first), end: last === undefined ? total : Math.min(Number(last) + 1, total) }
}

function answerOne(x: Exchange, parts: BodyPart[], { start, end }: Range, total: number): void {
  const { headers } = x
  const cut: BodyPart[] = []
  cutParts(parts, start, end, cut)
  replaceParts(x, cut)
  headers.remove('content-range')
  headers.add('Content-Range', `bytes ${start}-${end - 1}/${total}`)
  headers.contentLength = end - start
}

/** RFC 9110 section 14.6. The boundary is random: content cannot contain it by design. */
function answerSeveral(x: Exchange, parts: BodyPart[], ranges: readonly Range[], total: number): void {
  const { headers } = x
  const boundary = randomBytes(10).toString('hex')
  const type = headers.contentType === null ? '' : `Content-Type: ${headers.contentType}\r\n`
  const cut: BodyPart[] = []
  let length = 0
  for (const { start, end } of ranges) {
    const head = `\r\n--${boundary}\r\n${type}Content-Range: bytes ${start}-${end - 1}/${total}\r\n\r\n`
    length += head.length + end - start
    cut.push(head)
    cutParts(parts, start, end, cut)
  }
  const tail = `\r\n--${boundary}--\r\n`
  cut.push(tail)
  replaceParts(x, cut)
  headers.remove('content-range')
  headers.contentType = `multipart/byteranges; boundary=${boundary}`
  headers.contentLength = length + tail.length
}

function replaceParts(x: Exchange, cut: BodyPart[]): void {
  closeParts(x.parts)
  x.status = 206
  x.parts = cut
}

function unsatisfiable(x: Exchange, total: number): 416 {
  x.headers.clear()
  specialPage(x, 416)
  x.headers.add('Content-Range', `bytes */${total}`)
  return 416
}
