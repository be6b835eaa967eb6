/**
 * The chunked transfer coding, RFC 9112 section 7.1: an incremental, strict decoder that hands out ranges of the
 * buffers it is given instead of copying, and the two strings that an encoder needs. No I/O.
 *
 *   SIZE --CR--> SIZE_LF --> DATA --> DATA_CR --> DATA_LF --> SIZE ...
 *     \--;--> EXTENSION --CR--^ \
 *                                size 0: LINE_START <--LF-- LINE_LF <--CR-- LINE   (trailer fields)
 *                                            \--CR--> END_LF --> DONE
 *
 * Stricter than nginx: no white space behind a size unless an extension follows, no controls in extensions.
 */
import { ClientFault, type HttpFault, UpstreamFault } from './fault.ts'
import { FieldParser, type FieldPolicy } from './field-parser.ts'
import { Field, type FieldBlock } from './fields.ts'
import { CR, HEX_VALUES, HT, isBlank, LF, SP, VALUE_OCTETS } from './octets.ts'

/** The last chunk, without trailer fields. */
export const LAST_CHUNK = '0\r\n\r\n'

/** The line before a chunk's data. @param size bytes, more than 0 */
export function encodeChunkHead(size: number): string {
  return `${size.toString(16)}\r\n`
}

const State = {
  SIZE: 0,
  BLANK: 1,
  EXTENSION: 2,
  SIZE_LF: 3,
  DATA: 4,
  DATA_CR: 5,
  DATA_LF: 6,
  LINE_START: 7,
  LINE: 8,
  LINE_LF: 9,
  END_LF: 10,
  DONE: 11,
} as const
type State = (typeof State)[keyof typeof State]

const SEMICOLON = 0x3b
const MAX_DIGITS = 16
/** Bytes of extensions beyond the bytes of data: a body made of extensions is an attack. */
const MAX_EXTENSION = 4096
const MAX_TRAILER = 8192

export class ChunkedDecoder {
  /** Start, end, start, end, … in the buffer just pushed; only the first {@link rangeCount} pairs count. */
  readonly ranges: number[] = []
  rangeCount = 0
  /** Bytes of the body seen so far. */
  dataBytes = 0
  /** The body is complete. */
  done = false
  /** Offset behind the last byte taken of the buffer just pushed. */
  consumed = 0
  /** Trailer fields, once {@link done}; those that must not be trailers are left out. */
  trailers: FieldBlock | null = null
  readonly #framed: boolean
  readonly #fromUpstream: boolean
  readonly #maxTrailer: number
  #state: State = State.SIZE
  #digits = 0
  /** Size of the chunk, then bytes of it still to come. */
  #size = 0
  #extension = 0
  /** The trailer section so far; collected, as it is rarely there at all. */
  #section = ''
  #fault: HttpFault | null = null

  /**
   * @param mode what the ranges are. `data`: the body's bytes. `framed`: valid chunks, with extensions cut out and
   *   everything from the last chunk on left off, to be passed on as they are
   * @param side who sends the body: decides the faults' status and words
   * @param maxTrailer bytes of the trailer section
   */
  constructor(mode: 'data' | 'framed', side: 'client' | 'upstream' = 'client', maxTrailer = MAX_TRAILER) {
    this.#framed = mode === 'framed'
    this.#fromUpstream = side === 'upstream'
    this.#maxTrailer = maxTrailer
  }

  /** Takes bytes of `buffer` from `start` up to the end of the body or of the buffer. */
  push(buffer: Buffer, start = 0): HttpFault | null {
    this.rangeCount = 0
    this.consumed = start
    if (this.#fault !== null) return this.#fault
    let at = start
    while (at < buffer.length && !this.done && this.#fault === null) {
      if (this.#state === State.DATA) at = this.#takeData(buffer, at)
      else if (this.#state < State.LINE_START) at = this.#takeFraming(buffer, at)
      else at = this.#takeTrailer(buffer, at)
    }
    this.consumed = at
    return this.#fault
  }

  #takeData(buffer: Buffer, start: number): number {
    const end = Math.min(buffer.length, start + this.#size)
    this.#emit(start, end)
    this.#size -= end - start
    this.dataBytes += end - start
    this.#extension = Math.max(0, this.#extension - (end - start))
    if (this.#size === 0) this.#state = State.DATA_CR
    return end
  }

  /** One octet of what stands around the data. */
  #takeFraming(buffer: Buffer, at: number): number {
    const octet = buffer[at]
    switch (this.#state) {
      case State.SIZE:
        this.#takeSize(octet, at)
        break
      case State.BLANK:
        if (octet === SEMICOLON) this.#state = State.EXTENSION
        else if (!isBlank(octet)) this.#refuse()
        this.#countExtension()
        break
      case State.EXTENSION:
        if (octet === CR) this.#endSize(at)
        else if (VALUE_OCTETS[octet] === 1) this.#countExtension()
        else this.#refuse()
        break
      case State.SIZE_LF:
        if (octet !== LF) this.#refuse()
        else if (this.#size === 0) this.#state = State.LINE_START
        else {
          this.#state = State.DATA
          if (this.#framed) this.#emit(at, at + 1)
        }
        break
      case State.DATA_CR:
        this.#expect(octet, CR, State.DATA_LF, at)
        break
      default:
        this.#expect(octet, LF, State.SIZE, at)
        this.#digits = 0
    }
    return at + 1
  }

  #takeSize(octet: number, at: number): void {
    const value = HEX_VALUES[octet]
    if (value < 16) {
      this.#size = this.#size * 16 + value
      if (++this.#digits > MAX_DIGITS || this.#size > Number.MAX_SAFE_INTEGER) this.#refuse()
      // Leading zeros are not passed on: until another digit comes, they may be the last chunk.
      else if (this.#framed && this.#size > 0) this.#emit(at, at + 1)
    } else if (this.#digits === 0) this.#refuse()
    else if (octet === CR) this.#endSize(at)
    else if (octet === SEMICOLON) this.#state = State.EXTENSION
    else if (octet === SP || octet === HT) this.#state = State.BLANK
    else this.#refuse()
  }

  #endSize(at: number): void {
    this.#state = State.SIZE_LF
    if (this.#framed && this.#size > 0) this.#emit(at, at + 1)
  }

  #countExtension(): void {
    if (++this.#extension > MAX_EXTENSION) this.#refuse()
  }

  #expect(octet: number, wanted: number, next: State, at: number): void {
    if (octet !== wanted) {
      this.#refuse()
      return
    }
    this.#state = next
    if (this.#framed) this.#emit(at, at + 1)
  }

  /** The trailer section in this buffer: finds its end, then reads it as a block of fields. */
  #takeTrailer(buffer: Buffer, start: number): number {
    let at = start
    while (at < buffer.length && this.#state !== State.DONE && this.#fault === null)
      this.#scanTrailer(buffer[at++])
    if (this.#fault !== null) return at
    if (this.#section.length + (at - start) > this.#maxTrailer) {
      this.#refuse()
      return at
    }
    this.#section += buffer.toString('latin1', start, at)
    if (this.#state === State.DONE) this.#finish()
    return at
  }

  #scanTrailer(octet: number): void {
    switch (this.#state) {
      case State.LINE_START:
        this.#state = octet === CR ? State.END_LF : State.LINE
        if (octet === LF) this.#refuse()
        break
      case State.LINE:
        if (octet === CR) this.#state = State.LINE_LF
        else if (octet === LF) this.#refuse()
        break
      case State.LINE_LF:
        this.#state = State.LINE_START
        if (octet !== LF) this.#refuse()
        break
      default:
        this.#state = State.DONE
        if (octet !== LF) this.#refuse()
    }
  }

  #finish(): void {
    this.done = true
    if (this.#section.length === 2) return
    const parser = new FieldParser({
      ...(this.#fromUpstream ? FROM_UPSTREAM : FROM_CLIENT),
      room: this.#maxTrailer,
    })
    const bytes = Buffer.from(this.#section, 'latin1')
    parser.begin()
    parser.read(bytes, 0, bytes.length - 1, 0)
    if (parser.fault !== null) {
      this.#fault = parser.fault
      this.done = false
    } else if (parser.count > 0) this.trailers = parser.block(this.#section)
  }

  #emit(start: number, end: number): void {
    const last = 2 * this.rangeCount - 1
    if (last > 0 && this.ranges[last] === start) {
      this.ranges[last] = end
      return
    }
    this.ranges[last + 1] = start
    this.ranges[last + 2] = end
    this.rangeCount++
  }

  #refuse(): void {
    this.#fault = this.#fromUpstream ? UpstreamFault.CHUNKED : ClientFault.CHUNKED
  }
}

/** RFC 9110 section 6.5.1: fields of framing, routing, authentication and such mean nothing, or harm, behind a body. */
const FORBIDDEN = new Uint8Array(64)
for (const id of [
  Field.HOST,
  Field.CONNECTION,
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
  Field.KEEP_ALIVE,
  Field.UPGRADE,
  Field.TE,
  Field.TRAILER,
  Field.PROXY_CONNECTION,
  Field.COOKIE,
  Field.X_FORWARDED_FOR,
  Field.RANGE,
  Field.CONTENT_TYPE,
  Field.X_REAL_IP,
  Field.PRAGMA,
  Field.LOCATION,
  Field.REFRESH,
  Field.SET_COOKIE,
  Field.CONTENT_ENCODING,
  Field.CACHE_CONTROL,
  Field.WWW_AUTHENTICATE,
  Field.VARY,
  Field.X_ACCEL_REDIRECT,
  Field.X_ACCEL_EXPIRES,
  Field.X_ACCEL_LIMIT_RATE,
  Field.X_ACCEL_BUFFERING,
  Field.X_ACCEL_CHARSET,
]) {
  FORBIDDEN[id] = 1
}

const FROM_CLIENT = trailerPolicy(ClientFault.TRAILER)
const FROM_UPSTREAM = trailerPolicy(UpstreamFault.TRAILER)

function trailerPolicy(fault: HttpFault): FieldPolicy {
  return {
    underscores: true,
    tokens: true,
    drop: true,
    refuseLookalikes: false,
    bareLf: false,
    maxFields: 1000,
    once: 0,
    forbidden: FORBIDDEN,
    room: 0,
    largeCount: 0,
    largeSize: 0,
    faults: { FIELD: fault, TOO_LONG: fault, TOO_MANY: fault, DUPLICATE: fault, DUPLICATE_HOST: fault },
  }
}
