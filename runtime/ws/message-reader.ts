/**
 * Bytes of one side to whole messages and control frames: RFC 6455 section 5, strictly. Pulled, not pushed: the next
 * event is made when it is asked for, so that a consumer that waits bounds what is held. Does no I/O.
 *
 *   HEADER --data frame--> PAYLOAD --fragment--> HEADER          control frames may stand between fragments
 *                             \--last one--> (inflate) --> message
 */
import { isUtf8 } from 'node:buffer'
import { CloseCode, isWireCode, MAX_CONTROL } from './close-codes.ts'
import type { Deflate, DeflateFault } from './deflate.ts'
import { headerSize, LONGEST_HEADER, payloadLength } from './frame-header.ts'
import { Opcode } from './frame-writer.ts'
import { applyMask } from './mask.ts'

/** What `next` found. */
export const Found = {
  /** All bytes are used up. */
  NOTHING: 0,
  /** A message is being inflated; `wake` follows. */
  WAIT: 1,
  /** `data`, `binary` */
  MESSAGE: 2,
  /** `data` */
  PING: 3,
  PONG: 4,
  /** `closeCode`, `closeReason`; nothing follows. */
  CLOSE: 5,
  /** The peer broke the protocol: `closeCode` and `closeReason` say how; nothing follows. */
  FAULT: 6,
} as const
export type Found = (typeof Found)[keyof typeof Found]

export interface MessageReaderOptions {
  /** Frames must be masked (they come from a client), or must not be. */
  readonly masked: boolean
  /** Largest message in bytes, before and after inflation. */
  readonly maxMessage: number
  /** Agreed with this peer; null: nothing was. */
  readonly deflate: Deflate | null
  /** After `Found.WAIT`: there may be more now. */
  readonly wake: () => void
}

const EMPTY = Buffer.alloc(0)
/** A message that comes in pieces gets this much room at first: a header that promises much costs little. */
const FIRST_ROOM = 16384

export class MessageReader {
  data: Buffer = EMPTY
  binary = false
  closeCode = 0
  /** A byte string. */
  closeReason = ''
  readonly #options: MessageReaderOptions

  /** What is being read, and how far. */
  #chunk: Buffer = EMPTY
  #at = 0
  #over = false
  #inflating = false
  #inflated = false

  // the frame
  #inPayload = false
  readonly #header = Buffer.allocUnsafe(LONGEST_HEADER)
  #headerLength = 0
  #opcode = 0
  #final = false
  #length = 0
  /** Bytes of its payload that have been read. */
  #done = 0
  #key = 0
  #control: Buffer | null = null

  // the message, over its fragments; 0: none has begun
  #messageOpcode = 0
  #compressed = false
  #message: Buffer = EMPTY
  #messageLength = 0

  constructor(options: MessageReaderOptions) {
    this.#options = options
  }

  /** Bytes that have not been looked at. */
  get pending(): number {
    return this.#chunk.length - this.#at
  }

  /** Takes bytes over: they may be changed, and `data` may lie in them. */
  push(chunk: Buffer): void {
    if (this.#over) return
    this.#chunk =
      this.#at === this.#chunk.length ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk])
    this.#at = 0
  }

  next(): Found {
    if (this.#over) return Found.NOTHING
    if (this.#inflating) return Found.WAIT
    if (this.#inflated) {
      this.#inflated = false
      return this.closeCode !== 0 ? this.#end(Found.FAULT) : this.#deliver()
    }
    for (;;) {
      if (!this.#inPayload) {
        const found = this.#readHeader()
        if (found !== Found.MESSAGE) return found
      }
      const found = this.#opcode < Opcode.CLOSE ? this.#readData() : this.#readControl()
      if (found !== null) return found
    }
  }

  /** Lets go of what it holds; a message on its way is lost. */
  dispose(): void {
    this.#over = true
    this.#chunk = this.#message = this.data = EMPTY
    this.#at = 0
  }

  // ---- headers ----

  /** MESSAGE: a header has been read. */
  #readHeader(): Found {
    if (this.#headerLength === 0) {
      const size = headerSize(this.#chunk, this.#at, this.pending)
      if (size > 0) {
        const at = this.#at
        this.#at += size
        return this.#parseHeader(this.#chunk, at)
      }
    }
    while (this.#at < this.#chunk.length) {
      this.#header[this.#headerLength++] = this.#chunk[this.#at++]
      if (headerSize(this.#header, 0, this.#headerLength) === this.#headerLength) {
        this.#headerLength = 0
        return this.#parseHeader(this.#header, 0)
      }
    }
    // What is wrong shows in the first two bytes: the others need not come.
    const problem = this.#headerLength < 2 ? null : this.#headerProblem(this.#header[0], this.#header[1])
    return problem === null ? Found.NOTHING : this.#fault(CloseCode.PROTOCOL_ERROR, problem)
  }

  #parseHeader(bytes: Buffer, at: number): Found {
    const first = bytes[at]
    const second = bytes[at + 1]
    const opcode = first & 0x0f
    const final = first >= 0x80
    const problem = this.#headerProblem(first, second)
    if (problem !== null) return this.#fault(CloseCode.PROTOCOL_ERROR, problem)
    const length = payloadLength(bytes, at)
    if (opcode < Opcode.CLOSE) {
      if (opcode !== Opcode.CONTINUATION) {
        this.#messageOpcode = opcode
        this.#compressed = (first & 0x40) !== 0
      }
      if (this.#messageLength + length > this.#options.maxMessage)
        return this.#fault(CloseCode.TOO_LARGE, 'message too large')
    }
    if (second >= 0x80) this.#key = bytes.readInt32LE(at + headerSize(bytes, at, LONGEST_HEADER) - 4)
    this.#opcode = opcode
    this.#final = final
    this.#length = length
    this.#done = 0
    this.#inPayload = true
    return Found.MESSAGE
  }

  #headerProblem(first: number, second: number): string | null {
    const opcode = first & 0x0f
    if ((first & 0x30) !== 0) return 'reserved bits are set'
    if ((first & 0x40) !== 0 && (this.#options.deflate === null || (opcode !== 1 && opcode !== 2)))
      return 'reserved bit 1 is set'
    if (second >= 0x80 !== this.#options.masked)
      return this.#options.masked ? 'the frame is not masked' : 'the frame is masked'
    if (opcode >= Opcode.CLOSE) {
      if (opcode > Opcode.PONG) return 'reserved opcode'
      if (first < 0x80) return 'fragmented control frame'
      return (second & 0x7f) > MAX_CONTROL ? 'control frame too long' : null
    }
    if (opcode > Opcode.BINARY) return 'reserved opcode'
    if ((opcode === Opcode.CONTINUATION) !== (this.#messageOpcode !== 0))
      return opcode === 0 ? 'nothing to continue' : 'the last message has not ended'
    return null
  }

  // ---- payloads ----

  /** null: the frame is done, and was not the last one of its message. */
  #readData(): Found | null {
    const chunk = this.#chunk
    const from = this.#at
    const wanted = this.#length - this.#done
    const to = Math.min(chunk.length, from + wanted)
    this.#at = to
    if (this.#options.masked && to > from) applyMask(chunk, from, to, this.#key, this.#done)
    if (to - from === this.#length && this.#final && this.#messageLength === 0) {
      // Fast path: the whole message in one piece.
      this.#inPayload = false
      return this.#complete(chunk.subarray(from, to))
    }
    this.#append(chunk, from, to)
    this.#done += to - from
    if (this.#done < this.#length) return Found.NOTHING
    this.#inPayload = false
    if (!this.#final) return null
    return this.#complete(this.#message.subarray(0, this.#messageLength))
  }

  #append(chunk: Buffer, from: number, to: number): void {
    const length = this.#messageLength + to - from
    if (length > this.#message.length) {
      const room = Math.max(length, Math.min(2 * this.#message.length, this.#options.maxMessage), FIRST_ROOM)
      const larger = Buffer.allocUnsafe(room)
      larger.set(this.#message.subarray(0, this.#messageLength))
      this.#message = larger
    }
    this.#message.set(chunk.subarray(from, to), this.#messageLength)
    this.#messageLength = length
  }

  #complete(data: Buffer): Found {
    this.binary = this.#messageOpcode === Opcode.BINARY
    this.data = data
    this.#messageOpcode = 0
    this.#message = EMPTY
    this.#messageLength = 0
    if (!this.#compressed) return this.#deliver()
    this.#inflating = true
    this.#options.deflate!.inflate(data, (fault, inflated) => this.#onInflated(fault, inflated))
    return Found.WAIT
  }

  #onInflated(fault: DeflateFault | null, data: Buffer): void {
    this.#inflating = false
    if (this.#over) return
    this.#inflated = true
    this.data = data
    if (fault === 'TOO_LARGE') this.#name(CloseCode.TOO_LARGE, 'message too large')
    else if (fault !== null) this.#name(CloseCode.NOT_UTF8, 'compressed data cannot be read')
    this.#options.wake()
  }

  #deliver(): Found {
    if (!this.binary && !isUtf8(this.data)) return this.#fault(CloseCode.NOT_UTF8, 'text is not UTF-8')
    return Found.MESSAGE
  }

  #readControl(): Found {
    const left = this.#length - this.#done
    const to = Math.min(this.#chunk.length, this.#at + left)
    const piece = this.#chunk.subarray(this.#at, to)
    this.#at = to
    let payload = piece
    if (piece.length < this.#length) {
      this.#control ??= Buffer.allocUnsafe(MAX_CONTROL)
      this.#control.set(piece, this.#done)
      this.#done += piece.length
      if (this.#done < this.#length) return Found.NOTHING
      payload = this.#control.subarray(0, this.#length)
      this.#control = null
    }
    this.#inPayload = false
    if (this.#options.masked) applyMask(payload, 0, payload.length, this.#key)
    if (this.#opcode === Opcode.CLOSE) return this.#readClose(payload)
    this.data = payload
    return this.#opcode === Opcode.PING ? Found.PING : Found.PONG
  }

  #readClose(payload: Buffer): Found {
    if (payload.length === 0) this.#name(CloseCode.NONE, '')
    else if (payload.length === 1 || !isWireCode(payload.readUInt16BE(0)))
      return this.#fault(CloseCode.PROTOCOL_ERROR, 'bad close code')
    else if (!isUtf8(payload.subarray(2))) return this.#fault(CloseCode.NOT_UTF8, 'close reason is not UTF-8')
    else this.#name(payload.readUInt16BE(0), payload.toString('latin1', 2))
    return this.#end(Found.CLOSE)
  }

  // ---- ends ----

  #fault(code: number, reason: string): Found {
    this.#name(code, reason)
    return this.#end(Found.FAULT)
  }

  #name(code: number, reason: string): void {
    this.closeCode = code
    this.closeReason = reason
  }

  #end(found: Found): Found {
    this.dispose()
    return found
  }
}
