// Reads HTTP/1 messages for tests, strictly and independently of the codec under test: CRLF only, no tolerance.
// Owns no socket. Speed does not matter here, being right does.

const CRLF = '\r\n'

/** One message as it came, its body with the framing taken off. All text is latin1. */
export interface Message {
  /** Start line and fields with the empty line that ends them. */
  readonly head: string
  readonly startLine: string
  /** Fields in order, names as sent. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: string
  readonly trailers: readonly (readonly [name: string, value: string])[]
}

/** What a reader reads; a response also depends on the method it answers (`HEAD` has no body). */
export type MessageKind = 'request' | 'response'

interface Part {
  readonly body: string
  readonly trailers: Message['trailers']
  /** Offset after the body. */
  readonly end: number
}

/** Accumulates bytes and takes whole messages off the front. Throws on anything that is not strict HTTP/1. */
export class MessageReader {
  readonly #kind: MessageKind
  #text = ''

  constructor(kind: MessageKind) {
    this.#kind = kind
  }

  /** Bytes that belong to no complete message yet. */
  get rest(): string {
    return this.#text
  }

  push(chunk: Buffer | string): void {
    this.#text += typeof chunk === 'string' ? chunk : chunk.toString('latin1')
  }

  /**
   * The next complete message, or null when more bytes are needed.
   * @param method of the request that a response answers
   * @param ended the peer has closed its side: a response without a length is complete
   */
  next(method = 'GET', ended = false): Message | null {
    const headEnd = this.#text.indexOf(CRLF + CRLF)
    if (headEnd === -1) return null
    const head = this.#text.slice(0, headEnd + 4)
    const [startLine, ...lines] = head.slice(0, -4).split(CRLF)
    const fields = parseFields(lines)
    const part = this.#body(startLine!, fields, headEnd + 4, method, ended)
    if (part === null) return null
    this.#text = this.#text.slice(part.end)
    return { head, startLine: startLine!, fields, body: part.body, trailers: part.trailers }
  }

  #body(
    startLine: string,
    fields: Message['fields'],
    at: number,
    method: string,
    ended: boolean,
  ): Part | null {
    const none = { body: '', trailers: [], end: at }
    if (this.#kind === 'response' && (method === 'HEAD' || hasNoBody(startLine))) return none
    const lengths = valuesOf(fields, 'content-length')
    const codings = valuesOf(fields, 'transfer-encoding')
    if (lengths.length + codings.length > 1) throw new Error(`ambiguous framing: ${JSON.stringify(fields)}`)
    if (codings.length === 1) {
      if (codings[0] !== 'chunked') throw new Error(`unexpected Transfer-Encoding: ${codings[0]}`)
      return readChunked(this.#text, at)
    }
    if (lengths.length === 1) {
      if (!/^\d{1,15}$/.test(lengths[0]!)) throw new Error(`bad Content-Length: ${lengths[0]}`)
      const end = at + Number(lengths[0])
      return this.#text.length < end ? null : { ...none, body: this.#text.slice(at, end), end }
    }
    if (this.#kind === 'request') return none
    return ended ? { ...none, body: this.#text.slice(at), end: this.#text.length } : null
  }
}

/** All values of a field, its name given in lower case. */
export function valuesOf(fields: Message['fields'], lowerName: string): string[] {
  return fields.filter(([name]) => name.toLowerCase() === lowerName).map(([, value]) => value)
}

function hasNoBody(statusLine: string): boolean {
  const match = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine)
  if (match === null) throw new Error(`bad status line: ${JSON.stringify(statusLine)}`)
  const status = Number(match[1])
  return status < 200 || status === 204 || status === 304
}

function parseFields(lines: readonly string[]): [string, string][] {
  return lines.map((line) => {
    const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*$/.exec(line)
    if (match === null) throw new Error(`bad field line: ${JSON.stringify(line)}`)
    return [match[1]!, match[2]!]
  })
}

function readChunked(text: string, start: number): Part | null {
  let at = start
  let body = ''
  for (;;) {
    const lineEnd = text.indexOf(CRLF, at)
    if (lineEnd === -1) return null
    const match = /^([0-9a-fA-F]{1,12})(;[^\r\n]*)?$/.exec(text.slice(at, lineEnd))
    if (match === null) throw new Error(`bad chunk line: ${JSON.stringify(text.slice(at, lineEnd))}`)
    const size = Number.parseInt(match[1]!, 16)
    at = lineEnd + 2
    if (size === 0) return readTrailers(text, at, body)
    if (text.length < at + size + 2) return null
    if (text.slice(at + size, at + size + 2) !== CRLF) throw new Error('a chunk does not end in CRLF')
    body += text.slice(at, at + size)
    at += size + 2
  }
}

function readTrailers(text: string, at: number, body: string): Part | null {
  if (text.startsWith(CRLF, at)) return { body, trailers: [], end: at + 2 }
  const end = text.indexOf(CRLF + CRLF, at)
  if (end === -1) return null
  return { body, trailers: parseFields(text.slice(at, end).split(CRLF)), end: end + 4 }
}
