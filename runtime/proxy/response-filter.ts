/**
 * What every response filter is: an output in front of another one, and how "there is room again" travels back from
 * the client through the filters to whoever makes the body. Knows no filter by name.
 *
 *   body ---> filter ---> filter ---> client        sendHead, sendBody, sendEnd
 *        <---        <---        <---               drained, one by one; `Exchange.onDrained` at the front
 */
import type { Exchange, ResponseOutput } from './exchange.ts'
import type { Step } from './step.ts'

/**
 * A filter says `false` from `sendBody` only when `release` will follow, and counts in `pendingBytes` every byte that
 * it holds: whoever feeds it may use its buffer again when that is 0.
 */
export abstract class ResponseFilter implements ResponseOutput {
  readonly x: Exchange
  readonly next: ResponseOutput
  /** The filter that feeds this one; null: the maker of the body does. */
  previous: ResponseFilter | null = null

  constructor(x: Exchange, next: ResponseOutput) {
    this.x = x
    this.next = next
    if (next instanceof ResponseFilter) next.previous = this
    else x.lastFilter = this
    x.output = this
  }

  abstract get pendingBytes(): number
  abstract sendHead(x: Exchange, first: Uint8Array | string | null): boolean
  abstract sendBody(x: Exchange, chunk: Uint8Array | string): boolean
  abstract sendEnd(x: Exchange): Step

  /** The output behind this filter has taken what it was given. */
  abstract drained(): void

  /** The exchange is over, or its response begins anew: nothing of the filter may go on. A second call does nothing. */
  abstract dispose(): void

  /** Exchanges that this one waits for. */
  get inner(): Iterable<Exchange> {
    return NONE
  }

  sendFramed(): boolean {
    throw new Error('filters change bodies: chunked framing cannot go through them untouched')
  }

  /** There is room again: says so to whoever feeds this filter. */
  release(): void {
    if (this.previous === null) wakeProducer(this.x)
    else this.previous.drained()
  }
}

const NONE: readonly Exchange[] = []

/** The client has taken what was written: the filters hear of it first. */
export function outputDrained(x: Exchange): void {
  if (x.lastFilter === null) wakeProducer(x)
  else x.lastFilter.drained()
}

/** Takes all filters away: the exchange is over, or another response takes the place of this one. */
export function removeFilters(x: Exchange): void {
  for (let filter = x.lastFilter; filter !== null; filter = filter.previous) filter.dispose()
  x.lastFilter = null
  x.output = x.client
}

function wakeProducer(x: Exchange): void {
  const wake = x.onDrained
  if (wake === null) return
  x.onDrained = null
  wake(x)
}

/** Body bytes as a byte string. */
export function textOf(chunk: Uint8Array | string): string {
  if (typeof chunk === 'string') return chunk
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1')
}

/** Body bytes as a buffer, which may share memory with `chunk`. */
export function bytesOf(chunk: Uint8Array | string): Buffer {
  if (typeof chunk === 'string') return Buffer.from(chunk, 'latin1')
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
}

/** Whether the response's media type is among these; `*` is every type (`gzip_types` and its kin). */
export function isOfType(x: Exchange, types: ReadonlySet<string>): boolean {
  if (types.has('*')) return true
  const { contentType } = x.headers
  if (contentType === null) return false
  const semicolon = contentType.indexOf(';')
  const bare = semicolon < 0 ? contentType : contentType.slice(0, semicolon).trimEnd()
  return types.has(bare.toLowerCase())
}

/** The body will be another one: its length is not known, its bytes cannot be asked for by position. */
export function forgetBody(x: Exchange): void {
  const { headers } = x
  headers.contentLength = -1
  headers.remove('accept-ranges')
  x.allowRanges = false
}

/** RFC 9110 section 8.8.1: what is the same only in meaning has a weak tag. */
export function weakenEtag(x: Exchange): void {
  const { headers } = x
  const tag = headers.get('etag')
  if (tag === undefined || tag.startsWith('W/')) return
  headers.remove('etag')
  if (tag.startsWith('"')) headers.add('ETag', `W/${tag}`)
}
