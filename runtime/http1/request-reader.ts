/**
 * Reads request heads from the bytes of one client connection: keep-alive, pipelining, heads in pieces. Refuses what
 * nginx refuses, and some more where strict readers disagree. Does no I/O and decides nothing about bodies.
 *
 * Method, target and version are split here (RFC 9112 section 3); what the target means is `uri.ts`'s business.
 */
import { ClientFault, type HttpFault } from './fault.ts'
import { Field, fieldBits } from './field-names.ts'
import { FieldParser, type FieldPolicy } from './field-parser.ts'
import { type FieldBlock, NO_FIELDS } from './fields.ts'
import { HeadBuffer } from './head-buffer.ts'
import { CR, DEL, LF, METHOD_OCTETS, SLASH, SP } from './octets.ts'

/** The limits and leniencies that nginx has directives for. */
export interface HeadLimits {
  /** `client_header_buffer_size`: a head that fits needs no more. */
  readonly headerBuffer: number
  /** `large_client_header_buffers`: how many more, and the longest line. */
  readonly largeCount: number
  readonly largeSize: number
  /** `underscores_in_headers` */
  readonly underscores: boolean
  /** `ignore_invalid_headers` */
  readonly ignoreInvalid: boolean
  /** `max_headers` */
  readonly maxFields: number
}

/** A request line and its fields. */
export class RequestHead {
  readonly method: string
  /** As sent; a byte string without controls and spaces. */
  readonly target: string
  /** 9: a request without a version and without fields, HTTP/0.9. Minor versions above 1 are taken as 11. 20: HTTP/2. */
  readonly version: 9 | 10 | 11 | 20
  readonly fields: FieldBlock
  /** The request line without its line end. */
  readonly lineText: string

  constructor(
    method: string,
    target: string,
    version: 9 | 10 | 11 | 20,
    fields: FieldBlock,
    lineText: string,
  ) {
    this.method = method
    this.target = target
    this.version = version
    this.fields = fields
    this.lineText = lineText
  }
}

/** Fields that make a request ambiguous when repeated; the same that nginx refuses. */
const ONCE = fieldBits(
  Field.HOST,
  Field.CONTENT_LENGTH,
  Field.TRANSFER_ENCODING,
  Field.EXPECT,
  Field.AUTHORIZATION,
  Field.PROXY_AUTHORIZATION,
  Field.IF_RANGE,
  Field.IF_MODIFIED_SINCE,
  Field.IF_UNMODIFIED_SINCE,
  Field.IF_MATCH,
  Field.IF_NONE_MATCH,
  Field.CONTENT_RANGE,
)

/** Bytes of empty lines skipped before a request (RFC 9112 section 2.2); more are an attack. */
const MAX_BLANK = 256

/** Longest piece of a request line kept for the log when the head is refused. */
const MAX_FAULT_LINE = 2048

const WANTS_LINE = 0
const WANTS_FIELDS = 1

export class RequestReader {
  readonly #buffer = new HeadBuffer()
  readonly #parser: FieldParser
  #state = WANTS_LINE
  #blank = 0
  #fault: HttpFault | null = null
  // Of the request line just read; offsets from the beginning of the head.
  #methodEnd = 0
  #targetEnd = 0
  #lineEnd = 0
  #version: 9 | 10 | 11 = 11
  /** Best-effort request line for the log when {@link next} returned a fault, or after {@link giveUp}. */
  faultLine: string | null = null

  constructor(limits: HeadLimits) {
    this.#parser = new FieldParser(clientPolicy(limits))
  }

  /**
   * Adds bytes from the connection. The chunk may be reused once {@link next} has returned null or
   * {@link takeRest} was called; what `takeRest` gives is a view of it.
   */
  push(chunk: Buffer): void {
    this.#buffer.push(chunk)
  }

  /** The rest of the head is not waited for: as if it had been read and found faulty. */
  giveUp(fault: HttpFault): HttpFault {
    return this.#refuse(fault)
  }

  /** True if bytes of a next request have arrived. */
  get hasBytes(): boolean {
    return this.#buffer.end > this.#buffer.start
  }

  /** Removes and returns the bytes behind the head just returned: its body, pipelined requests; null if none. */
  takeRest(): Buffer | null {
    return this.#buffer.takeRest()
  }

  /** The next head; null: more bytes are needed. After a fault the connection is of no more use: the same fault follows. */
  next(): RequestHead | HttpFault | null {
    if (this.#fault !== null) return this.#fault
    if (this.#state === WANTS_LINE) {
      if (!this.#skipBlank()) return this.#wait(null)
      const { bytes, start, lastLf } = this.#buffer
      // At once, without waiting for a line: TLS on a plain port has none.
      if (METHOD_OCTETS[bytes[start]] !== 1) return this.#refuse(ClientFault.METHOD)
      this.#parser.begin()
      if (start > lastLf) return this.#wait(ClientFault.URI_TOO_LONG)
      const fault = this.#readLine()
      if (fault !== null) return this.#refuse(fault)
      if (this.#version === 9) return this.#finish(NO_FIELDS)
      this.#state = WANTS_FIELDS
    }
    const { bytes, position, lastLf, start } = this.#buffer
    const parser = this.#parser
    this.#buffer.position = parser.read(bytes, position, lastLf, start)
    if (parser.fault !== null) return this.#refuse(parser.fault)
    if (!parser.done) return this.#wait(ClientFault.FIELD_TOO_LONG)
    if (this.#version === 11 && !parser.saw(Field.HOST)) return this.#refuse(ClientFault.NO_HOST)
    return this.#finish(null)
  }

  #finish(fields: FieldBlock | null): RequestHead | HttpFault {
    const buffer = this.#buffer
    const text = buffer.bytes.toString('latin1', buffer.start, buffer.position)
    const method = methodOf(text, this.#methodEnd)
    if (method === 'TRACE') return this.#refuse(ClientFault.TRACE)
    const target = text.slice(this.#methodEnd + 1, this.#targetEnd)
    const line = text.slice(0, this.#lineEnd)
    buffer.start = buffer.position
    this.#state = WANTS_LINE
    this.#blank = 0
    return new RequestHead(method, target, this.#version, fields ?? this.#parser.block(text), line)
  }

  /** Moves behind empty lines, up to the limit; false if nothing but them has arrived. */
  #skipBlank(): boolean {
    const buffer = this.#buffer
    const { bytes, end } = buffer
    let at = buffer.start
    while (at < end && this.#blank <= MAX_BLANK) {
      const size = bytes[at] === LF ? 1 : bytes[at] === CR && bytes[at + 1] === LF && at + 1 < end ? 2 : 0
      if (size === 0) break
      this.#blank += size
      at += size
    }
    buffer.start = at
    buffer.position = at
    if (at === end) return false
    // A CR whose LF is still on its way.
    return !(bytes[at] === CR && at + 1 === end)
  }

  /** Reads the request line at the head's start; its LF has arrived. */
  #readLine(): HttpFault | null {
    const { bytes, start } = this.#buffer
    let at = start
    let octet = bytes[at]
    while (METHOD_OCTETS[octet] === 1) octet = bytes[++at]
    if (octet !== SP) return ClientFault.METHOD
    this.#methodEnd = at - start
    octet = bytes[++at]
    if (octet !== SLASH && !isTargetStart(octet) && !this.#isConnect()) return ClientFault.REQUEST
    while (octet > SP && octet !== DEL) octet = bytes[++at]
    if (at - start === this.#methodEnd + 1) return ClientFault.REQUEST
    this.#targetEnd = at - start
    const fault = octet === SP ? this.#readVersion(at + 1) : this.#setVersion(9, at)
    if (fault !== null) return fault
    at = start + this.#lineEnd
    if (bytes[at] === CR) at++
    if (bytes[at] !== LF) return ClientFault.REQUEST
    this.#buffer.position = at + 1
    if (!this.#parser.takeRoom(at + 1 - start)) return ClientFault.URI_TOO_LONG
    if (this.#version === 9 && !this.#isGet()) return ClientFault.METHOD_09
    return null
  }

  /** `HTTP/1.` and a digit. Bytes are looked at one after the other, so never behind the line's LF. */
  #readVersion(at: number): HttpFault | null {
    const { bytes } = this.#buffer
    const named =
      bytes[at] === 0x48 &&
      bytes[at + 1] === 0x54 &&
      bytes[at + 2] === 0x54 &&
      bytes[at + 3] === 0x50 &&
      bytes[at + 4] === SLASH
    if (!named || !isDigit(bytes[at + 5])) return ClientFault.REQUEST
    const major = bytes[at + 5]
    if (major > 0x31 || (major === 0x31 && isDigit(bytes[at + 6]))) return ClientFault.VERSION
    if (major !== 0x31 || bytes[at + 6] !== 0x2e || !isDigit(bytes[at + 7])) return ClientFault.REQUEST
    return this.#setVersion(bytes[at + 7] === 0x30 ? 10 : 11, at + 8)
  }

  #setVersion(version: 9 | 10 | 11, lineEnd: number): null {
    this.#version = version
    this.#lineEnd = lineEnd - this.#buffer.start
    return null
  }

  #isGet(): boolean {
    const { bytes, start } = this.#buffer
    return this.#methodEnd === 3 && bytes.toString('latin1', start, start + 3) === 'GET'
  }

  /** CONNECT's target is an authority, which may begin with a digit or a bracket. */
  #isConnect(): boolean {
    const { bytes, start } = this.#buffer
    return this.#methodEnd === 7 && bytes.toString('latin1', start, start + 7) === 'CONNECT'
  }

  /** Nothing to return yet: lets go of the caller's chunk. `tooLong` is the fault of a line that cannot fit any more. */
  #wait(tooLong: HttpFault | null): HttpFault | null {
    const buffer = this.#buffer
    const unfinished = buffer.end - buffer.position
    if (tooLong !== null && unfinished > 0 && !this.#parser.hasRoom(unfinished)) return this.#refuse(tooLong)
    buffer.settle()
    return null
  }

  #refuse(fault: HttpFault): HttpFault {
    const { bytes, start, end } = this.#buffer
    const text = bytes.toString('latin1', start, Math.min(end, start + MAX_FAULT_LINE))
    const lf = text.indexOf('\n')
    const line = lf === -1 ? text : text.slice(0, lf)
    this.faultLine = line.endsWith('\r') ? line.slice(0, -1) : line
    this.#fault = fault
    return fault
  }
}

/** Which fields of a request are taken, dropped or refused. */
export function clientPolicy(limits: HeadLimits): FieldPolicy {
  return {
    underscores: limits.underscores || !limits.ignoreInvalid,
    tokens: !limits.ignoreInvalid,
    drop: limits.ignoreInvalid,
    refuseLookalikes: true,
    bareLf: true,
    maxFields: limits.maxFields,
    once: ONCE,
    forbidden: null,
    room: limits.headerBuffer,
    largeCount: limits.largeCount,
    largeSize: limits.largeSize,
    faults: CLIENT_FAULTS,
  }
}

const CLIENT_FAULTS = {
  FIELD: ClientFault.FIELD,
  TOO_LONG: ClientFault.FIELD_TOO_LONG,
  TOO_MANY: ClientFault.TOO_MANY_FIELDS,
  DUPLICATE: ClientFault.DUPLICATE,
  DUPLICATE_HOST: ClientFault.DUPLICATE_HOST,
}

/** The method as a constant where it is a common one: no slice that keeps the head alive. */
function methodOf(text: string, end: number): string {
  if (end === 3 && text.startsWith('GET')) return 'GET'
  if (end === 4 && text.startsWith('POST')) return 'POST'
  if (end === 4 && text.startsWith('HEAD')) return 'HEAD'
  return text.slice(0, end)
}

function isDigit(octet: number): boolean {
  return octet >= 0x30 && octet <= 0x39
}

/** nginx begins a target with `/` or, in absolute form, with the letter of a scheme; `*` is not served. */
function isTargetStart(octet: number): boolean {
  const lower = octet | 0x20
  return lower >= 0x61 && lower <= 0x7a
}
