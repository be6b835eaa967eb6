/**
 * Reads response heads from the bytes of one upstream connection. An upstream may end lines with a lone LF and speak
 * HTTP/1.0; an answer without a status line (HTTP/0.9) is refused. Does no I/O and decides nothing about bodies.
 */
import { type HttpFault, UpstreamFault } from './fault.ts'
import { FieldParser, type FieldPolicy } from './field-parser.ts'
import type { FieldBlock } from './fields.ts'
import { HeadBuffer } from './head-buffer.ts'
import { CR, LF, SP, VALUE_OCTETS } from './octets.ts'

/** A status line and its fields. */
export class ResponseHead {
  /** Minor versions above 1 are taken as 11. */
  readonly version: 10 | 11
  readonly status: number
  /** The reason phrase as sent, '' if there is none. */
  readonly reason: string
  readonly fields: FieldBlock

  constructor(version: 10 | 11, status: number, reason: string, fields: FieldBlock) {
    this.version = version
    this.status = status
    this.reason = reason
    this.fields = fields
  }
}

const MAX_FIELDS = 1000
const EARLY_HINTS = 103
const PREFIX = 'HTTP/1.'

const WANTS_LINE = 0
const WANTS_FIELDS = 1

export class ResponseReader {
  readonly #buffer = new HeadBuffer()
  readonly #parser: FieldParser
  #state = WANTS_LINE
  #fault: HttpFault | null = null
  #version: 10 | 11 = 11
  #status = 0
  // Of the reason phrase; offsets from the beginning of the head.
  #reasonStart = 0
  #reasonEnd = 0

  /** @param maxHead `proxy_buffer_size`: bytes that one head may have */
  constructor(maxHead: number) {
    this.#parser = new FieldParser({ ...POLICY, room: maxHead })
  }

  /**
   * Adds bytes from the connection. The chunk may be reused once {@link next} has returned null or
   * {@link takeRest} was called; what `takeRest` gives is a view of it.
   */
  push(chunk: Buffer): void {
    this.#buffer.push(chunk)
  }

  /** Copies what came behind the head just returned: the caller may reuse its chunk. */
  keepRest(): void {
    this.#buffer.settle()
  }

  /** Removes and returns the bytes behind the head just returned; null if there are none. */
  takeRest(): Buffer | null {
    return this.#buffer.takeRest()
  }

  /** Drops everything: the connection serves another request. */
  reset(): void {
    this.#buffer.clear()
    this.#state = WANTS_LINE
    this.#fault = null
  }

  /** The next head, 1xx like any other; null: more bytes are needed. After a fault the same fault follows. */
  next(): ResponseHead | HttpFault | null {
    if (this.#fault !== null) return this.#fault
    const buffer = this.#buffer
    const parser = this.#parser
    if (this.#state === WANTS_LINE) {
      if (!this.#beginsWell()) return this.#refuse(UpstreamFault.STATUS_LINE)
      parser.begin()
      if (buffer.start > buffer.lastLf) return this.#wait()
      const fault = this.#readLine()
      if (fault !== null) return this.#refuse(fault)
      this.#state = WANTS_FIELDS
    }
    buffer.position = parser.read(buffer.bytes, buffer.position, buffer.lastLf, buffer.start)
    if (parser.fault !== null) return this.#refuse(parser.fault)
    if (!parser.done) return this.#wait()
    const text = buffer.bytes.toString('latin1', buffer.start, buffer.position)
    buffer.start = buffer.position
    this.#state = WANTS_LINE
    const reason = text.slice(this.#reasonStart, this.#reasonEnd)
    return new ResponseHead(this.#version, this.#status, reason, parser.block(text))
  }

  /** False if what has arrived cannot become a status line. */
  #beginsWell(): boolean {
    const { bytes, start, end } = this.#buffer
    for (let i = 0; i < PREFIX.length && start + i < end; i++) {
      if (bytes[start + i] !== PREFIX.charCodeAt(i)) return false
    }
    return true
  }

  /** `HTTP/1.1 200 OK`; a missing phrase, with or without its space, is fine. The line's LF has arrived. */
  #readLine(): HttpFault | null {
    const { bytes, start } = this.#buffer
    const minor = digit(bytes[start + 7])
    const status = 100 * digit(bytes[start + 9]) + 10 * digit(bytes[start + 10]) + digit(bytes[start + 11])
    if (!(minor >= 0 && bytes[start + 8] === SP && status >= 100)) return UpstreamFault.STATUS_LINE
    let at = start + 12
    if (bytes[at] === SP) at++
    else if (bytes[at] !== CR && bytes[at] !== LF) return UpstreamFault.STATUS_LINE
    this.#reasonStart = at - start
    while (VALUE_OCTETS[bytes[at]] === 1) at++
    this.#reasonEnd = at - start
    if (bytes[at] === CR) at++
    if (bytes[at] !== LF) return UpstreamFault.STATUS_LINE
    this.#buffer.position = at + 1
    if (!this.#parser.takeRoom(at + 1 - start)) return UpstreamFault.TOO_BIG
    this.#version = minor === 0 ? 10 : 11
    this.#status = status
    return this.#version === 10 && status === EARLY_HINTS ? UpstreamFault.EARLY_HINTS_10 : null
  }

  #wait(): HttpFault | null {
    const buffer = this.#buffer
    const unfinished = buffer.end - buffer.position
    if (unfinished > 0 && !this.#parser.hasRoom(unfinished)) return this.#refuse(UpstreamFault.TOO_BIG)
    buffer.settle()
    return null
  }

  #refuse(fault: HttpFault): HttpFault {
    this.#fault = fault
    return fault
  }
}

const POLICY: FieldPolicy = {
  underscores: true,
  tokens: true,
  drop: true,
  refuseLookalikes: false,
  bareLf: true,
  maxFields: MAX_FIELDS,
  once: 0,
  forbidden: null,
  room: 0,
  largeCount: 0,
  largeSize: 0,
  faults: {
    FIELD: UpstreamFault.FIELD,
    TOO_LONG: UpstreamFault.TOO_BIG,
    TOO_MANY: UpstreamFault.TOO_MANY_FIELDS,
    DUPLICATE: UpstreamFault.DUPLICATE,
    DUPLICATE_HOST: UpstreamFault.DUPLICATE,
  },
}

/** NaN for anything but a digit: it makes every comparison with it false. */
function digit(octet: number): number {
  return octet >= 0x30 && octet <= 0x39 ? octet - 0x30 : Number.NaN
}
