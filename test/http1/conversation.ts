/** Reads a client's bytes the way the proxy does, and says in a line each what it understood. For the tests beside it. */
import { ChunkedDecoder } from '../../runtime/http1/chunked.ts'
import { isFault } from '../../runtime/http1/fault.ts'
import { Field } from '../../runtime/http1/fields.ts'
import { requestFraming } from '../../runtime/http1/framing.ts'
import { type HeadLimits, type RequestHead, RequestReader } from '../../runtime/http1/request-reader.ts'
import { parseTarget, validateHost } from '../../runtime/http1/uri.ts'

/** nginx's defaults. */
export const LIMITS: HeadLimits = {
  headerBuffer: 1024,
  largeCount: 4,
  largeSize: 8192,
  underscores: false,
  ignoreInvalid: true,
  maxFields: 1000,
}

export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

/** The text in pieces, cut at these offsets. */
export function cut(text: string, ...offsets: readonly number[]): Buffer[] {
  const ends = [...offsets, text.length]
  return ends.map((end, i) => bytes(text.slice(i === 0 ? 0 : ends[i - 1], end)))
}

/**
 * Every request in the text, in order: `METHOD path framing "body"`, or the status that ends the conversation, or
 * `incomplete`. A request that HTTP/0.9 or a fault ends is the last.
 */
export function conversation(text: string | readonly Buffer[], limits: HeadLimits = LIMITS): string[] {
  const chunks = typeof text === 'string' ? [bytes(text)] : text
  const said: string[] = []
  const reader = new RequestReader(limits)
  let body: BodyReader | null = null
  for (const chunk of chunks) {
    if (body === null) reader.push(chunk)
    else body = feed(body, chunk, reader, said)
    while (body === null) {
      const head = reader.next()
      if (head === null) break
      if (isFault(head)) return [...said, String(head.status)]
      const fault = faultOf(head)
      if (fault !== null) return [...said, String(fault)]
      body = new BodyReader(head)
      const rest = reader.takeRest()
      body = feed(body, rest ?? bytes(''), reader, said)
      if (said.at(-1) === '400' || head.version === 9) return said
    }
    if (said.at(-1) === '400') return said
  }
  if (body !== null || reader.hasBytes) said.push('incomplete')
  return said
}

/** Passes bytes to the body; null once it is complete, its line said and what follows it given back. */
function feed(body: BodyReader, chunk: Buffer, reader: RequestReader, said: string[]): BodyReader | null {
  const used = body.push(chunk)
  if (used === -1) {
    said.push('400')
    return body
  }
  if (!body.done) return body
  said.push(body.summary())
  reader.push(chunk.subarray(used))
  return null
}

/** The checks that are not the reader's, in the proxy's order. */
function faultOf(head: RequestHead): number | null {
  const target = parseTarget(head.method, head.target, true)
  if (isFault(target)) return target.status
  const i = head.fields.find(Field.HOST)
  const host = i === -1 ? null : validateHost(head.fields.value(i))
  if (isFault(host)) return host.status
  const framing = requestFraming(head)
  return isFault(framing) ? framing.status : null
}

class BodyReader {
  readonly #head: RequestHead
  readonly #decoder: ChunkedDecoder | null = null
  readonly #length: number
  #text = ''
  done = false

  constructor(head: RequestHead) {
    this.#head = head
    const framing = requestFraming(head)
    if (framing.kind === 'chunked') this.#decoder = new ChunkedDecoder('data')
    this.#length = framing.kind === 'length' ? framing.length : 0
    this.done = this.#decoder === null && this.#length === 0
  }

  /** How many bytes belong to the body; -1 for a fault. */
  push(chunk: Buffer): number {
    const decoder = this.#decoder
    if (decoder === null) {
      const used = Math.min(chunk.length, this.#length - this.#text.length)
      this.#text += chunk.toString('latin1', 0, used)
      this.done = this.#text.length === this.#length
      return used
    }
    if (decoder.push(chunk) !== null) return -1
    for (let i = 0; i < decoder.rangeCount; i++) {
      this.#text += chunk.toString('latin1', decoder.ranges[2 * i], decoder.ranges[2 * i + 1])
    }
    this.done = decoder.done
    return decoder.consumed
  }

  summary(): string {
    const { method, target } = this.#head
    const kind = requestFraming(this.#head).kind
    return kind === 'none' ? `${method} ${target}` : `${method} ${target} ${kind} "${this.#text}"`
  }
}
