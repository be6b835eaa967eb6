/**
 * The bytes of an HTTP/1.x response head: status line, our own fields in nginx's order, the upstream's fields copied
 * where they stand, added fields. Decides how the body is framed for this client (RFC 9112 section 6).
 */
import { httpDate } from '../http1/date.ts'
import { Field } from '../http1/fields.ts'
import { reasonPhrase } from '../http1/status.ts'
import type { Exchange } from './exchange.ts'
import type { ResponseHeaders } from './response-headers.ts'

/** How the body of a response is delimited on the wire. */
export const BodyFraming = { NONE: 0, LENGTH: 1, CHUNKED: 2, CLOSE: 3 } as const
export type BodyFraming = (typeof BodyFraming)[keyof typeof BodyFraming]

const STATUS_LINES: (string | undefined)[] = []

function statusLine(status: number, text: string | null): string {
  if (text !== null) return `HTTP/1.1 ${status} ${text}\r\n`
  return (STATUS_LINES[status] ??= `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`)
}

/** The `Server` value by `server_tokens`. */
export function serverName(x: Exchange): string {
  const tokens = x.location.settings.serverTokens
  if (tokens === 'off') return 'sluice'
  if (typeof tokens === 'string') return `sluice/${x.generation.services.version}`
  return x.location.serverTokens!(x)
}

let dateText = ''
let dateLine = ''

function dateField(): string {
  const date = httpDate()
  if (date !== dateText) {
    dateText = date
    dateLine = `Date: ${date}\r\n`
  }
  return dateLine
}

/** Chooses the framing; a response whose length is unknown is chunked, or ends with the connection. */
export function chooseFraming(x: Exchange): BodyFraming {
  if (x.headOnly) return BodyFraming.NONE
  const chunkable = x.head.version === 11 && x.location.settings.chunkedTransferEncoding
  // Trailers need chunks (RFC 9112 section 7.1.2).
  if (x.trailers !== null && chunkable) x.headers.contentLength = -1
  if (x.headers.contentLength >= 0) return BodyFraming.LENGTH
  if (chunkable) return BodyFraming.CHUNKED
  x.keepAlive = false
  return BodyFraming.CLOSE
}

/** The whole head, final blank line included. */
export function responseHead(x: Exchange, framing: BodyFraming): string {
  const headers = x.headers
  const status = x.status
  let head = statusLine(status, x.statusText)
  const server = headers.server === null ? serverName(x) : headers.server
  if (server !== '') head += `Server: ${server}\r\n`
  if (headers.date === null) head += dateField()
  else if (headers.date !== '') head += `Date: ${headers.date}\r\n`
  if (headers.contentType !== null && status !== 304) head += `Content-Type: ${headers.contentType}\r\n`
  if (headers.contentLength >= 0 && status !== 204 && status >= 200)
    head += `Content-Length: ${headers.contentLength}\r\n`
  if (headers.lastModified !== null) head += `Last-Modified: ${headers.lastModified}\r\n`
  if (headers.location !== null) head += `Location: ${headers.location}\r\n`
  if (framing === BodyFraming.CHUNKED) head += 'Transfer-Encoding: chunked\r\n'
  head += connectionFields(x)
  return `${head}${otherFields(headers)}\r\n`
}

function connectionFields(x: Exchange): string {
  if (x.status === 101) return 'Connection: upgrade\r\n'
  if (!x.keepAlive) return 'Connection: close\r\n'
  const settings = x.location.settings
  if (settings.keepaliveHeader > 0) {
    return `Connection: keep-alive\r\nKeep-Alive: timeout=${settings.keepaliveHeader}\r\n`
  }
  return 'Connection: keep-alive\r\n'
}

function otherFields(headers: ResponseHeaders): string {
  const { block, hidden, extra } = headers
  let text = ''
  if (block !== null) {
    const count = block.count
    for (let i = 0; i < count; i++) if (hidden === null || hidden[i] === 0) text += block.line(i)
  }
  if (extra !== null) {
    for (let i = 0; i < extra.length; i += 2) text += `${extra[i]}: ${extra[i + 1]}\r\n`
  }
  return text
}

/** `Connection` of a 101 is `upgrade`; the upgrade token itself stays among the upstream's fields. */
export function keepsUpgrade(x: Exchange, id: number): boolean {
  return id === Field.UPGRADE && x.status === 101
}
