/**
 * Header lists of HTTP/2 to heads and back (RFC 9113 section 8). A request's fields go through the parser of HTTP/1,
 * so that limits, doubtful names and repeated fields are judged alike in both protocols. Knows no streams.
 */
import type { OutgoingHttpHeaders } from 'node:http2'
import { httpDate } from '../http1/date.ts'
import { ClientFault, HttpFault } from '../http1/fault.ts'
import { FieldParser } from '../http1/field-parser.ts'
import { Field, fieldId } from '../http1/fields.ts'
import { clientPolicy, type HeadLimits, RequestHead } from '../http1/request-reader.ts'
import type { Exchange } from './exchange.ts'
import { serverName } from './response-writer.ts'

const FAULT = {
  PSEUDO: new HttpFault(400, 'client sent invalid pseudo-header'),
  INCOMPLETE: new HttpFault(400, 'client sent no :method, :scheme or :path header'),
  METHOD: ClientFault.METHOD,
  SCHEME: new HttpFault(400, 'client sent invalid :scheme header'),
  PATH: new HttpFault(400, 'client sent invalid :path header'),
  NAME: new HttpFault(400, 'client sent invalid header name'),
  VALUE: new HttpFault(400, 'client sent header with invalid value'),
  CONNECTION: new HttpFault(400, 'client sent connection-specific header'),
  TE: new HttpFault(400, 'client sent invalid "TE" header'),
  NO_HOST: new HttpFault(400, 'client sent neither ":authority" nor "Host" header'),
  TWO_HOSTS: new HttpFault(400, 'client sent ":authority" and "Host" headers with different values'),
} as const

const METHOD = /^[A-Z_-]+$/
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/
/** RFC 9113 section 8.2.1: tokens without upper-case letters. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const BAD_VALUE = /[\r\n\0]/

/** Reads the header lists of one connection. */
export class Http2HeadReader {
  readonly #parser: FieldParser
  #method = ''
  #scheme = ''
  #path = ''
  #authority: string | null = null
  #host: string | null = null
  #cookie: string | null = null
  /** Field lines, as HTTP/1 would have them. */
  #lines = ''

  constructor(limits: HeadLimits) {
    // Host, made of `:authority`, does not count.
    this.#parser = new FieldParser(clientPolicy({ ...limits, maxFields: limits.maxFields + 1 }))
  }

  /** @param list name, value, name, value, … as received; byte strings */
  read(list: readonly string[]): RequestHead | HttpFault {
    this.#begin()
    for (let i = 0; i < list.length; i += 2) {
      const fault = list[i].startsWith(':')
        ? this.#pseudo(list[i], list[i + 1])
        : this.#field(list[i], list[i + 1])
      if (fault !== null) return fault
    }
    return this.#requestFault() ?? this.#head()
  }

  /** The request line, as far as it could be read, for the log of a head that was refused. */
  get line(): string {
    return this.#method === '' || this.#path === '' ? '' : `${this.#method} ${this.#path} HTTP/2.0`
  }

  #begin(): void {
    this.#method = ''
    this.#scheme = ''
    this.#path = ''
    this.#authority = null
    this.#host = null
    this.#cookie = null
    this.#lines = ''
  }

  /** Section 8.3: known ones, each once, not empty, before every other field. */
  #pseudo(name: string, value: string): HttpFault | null {
    if (this.#lines !== '' || this.#host !== null || this.#cookie !== null) return FAULT.PSEUDO
    if (name === ':authority') {
      if (this.#authority !== null || BAD_VALUE.test(value)) return FAULT.PSEUDO
      this.#authority = value
      return null
    }
    if (value === '') return FAULT.PSEUDO
    if (name === ':method' && this.#method === '') this.#method = value
    else if (name === ':scheme' && this.#scheme === '') this.#scheme = value
    else if (name === ':path' && this.#path === '') this.#path = value
    else return FAULT.PSEUDO
    return null
  }

  #field(name: string, value: string): HttpFault | null {
    if (!NAME.test(name)) return FAULT.NAME
    if (BAD_VALUE.test(value)) return FAULT.VALUE
    const id = fieldId(name)
    if (isConnectionSpecific(id)) return FAULT.CONNECTION
    if (id === Field.TE && value.toLowerCase() !== 'trailers') return FAULT.TE
    if (id === Field.HOST) {
      if (this.#host !== null) return ClientFault.DUPLICATE_HOST
      this.#host = value
    } else if (id === Field.COOKIE) {
      // Section 8.2.3: pieces of one field.
      this.#cookie = this.#cookie === null ? value : `${this.#cookie}; ${value}`
    } else this.#lines += `${name}: ${value}\r\n`
    return null
  }

  #requestFault(): HttpFault | null {
    if (!METHOD.test(this.#method)) return this.#method === '' ? FAULT.INCOMPLETE : FAULT.METHOD
    if (this.#method === 'TRACE') return ClientFault.TRACE
    // Section 8.5: CONNECT has neither scheme nor path; what is left of it is refused with its target.
    if (this.#method !== 'CONNECT') {
      if (this.#scheme === '' || this.#path === '') return FAULT.INCOMPLETE
      if (!SCHEME.test(this.#scheme)) return FAULT.SCHEME
      if (!this.#path.startsWith('/')) return FAULT.PATH
    }
    if (this.#authority === null) return this.#host === null ? FAULT.NO_HOST : null
    return this.#host !== null && this.#host !== this.#authority ? FAULT.TWO_HOSTS : null
  }

  #head(): RequestHead | HttpFault {
    const parser = this.#parser
    const cookie = this.#cookie === null ? '' : `cookie: ${this.#cookie}\r\n`
    const target = this.#method === 'CONNECT' ? (this.#authority ?? '') : this.#path
    const line = `${this.#method} ${target} HTTP/2.0`
    const text = `${line}\r\nhost: ${this.#authority ?? this.#host}\r\n${this.#lines}${cookie}\r\n`
    const bytes = Buffer.from(text, 'latin1')
    const start = line.length + 2
    parser.begin()
    if (!parser.takeRoom(start)) return ClientFault.URI_TOO_LONG
    parser.read(bytes, start, bytes.length - 1, 0)
    if (parser.fault !== null) return parser.fault
    return new RequestHead(this.#method, target, 20, parser.block(text), line)
  }
}

/** Section 8.2.2: fields that are about an HTTP/1 connection. */
function isConnectionSpecific(id: number): boolean {
  return (
    id === Field.CONNECTION ||
    id === Field.KEEP_ALIVE ||
    id === Field.PROXY_CONNECTION ||
    id === Field.TRANSFER_ENCODING ||
    id === Field.UPGRADE
  )
}

/** A header list under construction. */
export interface HeaderList {
  readonly fields: OutgoingHttpHeaders
  /** Bytes of its names and values before compression. */
  size: number
}

/**
 * The header list of the response in `x`. A `Date` there always is: an absent one is added by Node.
 * @param status what goes on the wire
 */
export function responseList(x: Exchange, status: number): HeaderList {
  const { headers } = x
  const list: HeaderList = { fields: Object.create(null) as OutgoingHttpHeaders, size: 3 }
  list.fields[':status'] = status
  const server = headers.server === null ? serverName(x) : headers.server
  if (server !== '') put(list, 'server', server)
  put(list, 'date', headers.date || httpDate())
  if (headers.contentType !== null && status !== 304) put(list, 'content-type', headers.contentType)
  if (headers.contentLength >= 0 && status !== 204) put(list, 'content-length', String(headers.contentLength))
  if (headers.lastModified !== null) put(list, 'last-modified', headers.lastModified)
  if (headers.location !== null) put(list, 'location', headers.location)
  const { block, hidden, extra } = headers
  if (block !== null) {
    for (let i = 0; i < block.count; i++) {
      if (hidden === null || hidden[i] === 0) add(list, block.name(i), block.value(i))
    }
  }
  if (extra !== null) for (let i = 0; i < extra.length; i += 2) add(list, extra[i], extra[i + 1])
  return list
}

/** Trailer fields as a header list. */
export function trailerList(trailers: readonly [name: string, value: string][]): HeaderList {
  const list: HeaderList = { fields: Object.create(null) as OutgoingHttpHeaders, size: 0 }
  for (const [name, value] of trailers) add(list, name, value)
  return list
}

function put(list: HeaderList, name: string, value: string): void {
  list.fields[name] = value
  list.size += name.length + value.length
}

/** Adds a field, unless it belongs to an HTTP/1 connection. */
function add(list: HeaderList, name: string, text: string): void {
  const id = fieldId(name)
  if (isConnectionSpecific(id) || id === Field.TE) return
  const lower = name.toLowerCase()
  if (lower === 'http2-settings') return
  const { fields } = list
  const value = trimmed(text)
  const present = fields[lower] as string | string[] | undefined
  list.size += lower.length + value.length
  if (present === undefined) fields[lower] = value
  else fields[lower] = typeof present === 'string' ? [present, value] : [...present, value]
}

/**
 * Sends a header list. Node refuses repeated fields where it knows a name to have one value, and then sends nothing:
 * those are joined (RFC 9110 section 5.3).
 */
export function sendList(fields: OutgoingHttpHeaders, send: (fields: OutgoingHttpHeaders) => void): void {
  try {
    send(fields)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_HTTP2_HEADER_SINGLE_VALUE') throw error
    for (const [name, value] of Object.entries(fields)) {
      if (Array.isArray(value) && name !== 'set-cookie') fields[name] = value.join(', ')
    }
    send(fields)
  }
}

/** Section 8.2.1: no blanks around a value; HTTP/1 allows them. */
function trimmed(value: string): string {
  const first = value.charCodeAt(0)
  const last = value.charCodeAt(value.length - 1)
  return first === 0x20 || first === 0x09 || last === 0x20 || last === 0x09
    ? value.replace(/^[\t ]+|[\t ]+$/g, '')
    : value
}
