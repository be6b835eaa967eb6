/**
 * The body of an upstream's response on its way to the client: how it is delimited, when it is complete, and when the
 * upstream has to wait for the client. Part of an `UpstreamCall`, which owns the connection and judges the try.
 */
import { ChunkedDecoder } from '../http1/chunked.ts'
import { HttpFault } from '../http1/fault.ts'
import { Field } from '../http1/fields.ts'
import { type Framing, responseFraming } from '../http1/framing.ts'
import type { ResponseHead } from '../http1/response-reader.ts'
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'
import type { UpstreamCall } from './upstream-call.ts'

/** Body pieces up to this size are copied into the client's write as text; larger ones keep their buffer. */
const SMALL = 16384

export class UpstreamBody {
  readonly #call: UpstreamCall
  readonly #x: Exchange
  #framing: Framing | null = null
  #remaining = 0
  /** The client's side had room after the last write of a read. */
  #room = true
  #decoder: ChunkedDecoder | null = null
  /** Largest number of bytes held for a slow client (`proxy_buffers`). */
  readonly #bufferLimit: number

  constructor(call: UpstreamCall) {
    const { settings } = call.plan
    this.#call = call
    this.#x = call.x
    this.#bufferLimit = settings.proxyBuffering
      ? settings.proxyBuffers.count * settings.proxyBuffers.size
      : settings.proxyBufferSize
  }

  /** Fixes how the response body is delimited; a fault means that the upstream cannot be believed. */
  frame(head: ResponseHead): HttpFault | null {
    const { headers, method } = this.#x
    const framing = responseFraming(method, head)
    if (framing instanceof HttpFault) return framing
    this.#framing = framing
    if (framing.kind === 'length') {
      this.#remaining = framing.length
      headers.contentLength = this.#remaining
    } else if (framing.kind === 'none') {
      // The length of the body that is not sent: to HEAD, with 304.
      const length = head.fields.find(Field.CONTENT_LENGTH)
      if (length >= 0) headers.contentLength = Number(head.fields.value(length))
    }
    return null
  }

  /** The end of the connection is the end of the body. */
  get endsByClose(): boolean {
    return this.#framing!.kind === 'close'
  }

  /** The head does not say that there is no body, or no more of it. */
  get mayFollow(): boolean {
    const { kind } = this.#framing!
    return kind !== 'none' && (kind !== 'length' || this.#remaining > 0)
  }

  /** Sends the head and what there is of the body; LOG when that was all. */
  relay(): Step {
    const x = this.#x
    const framing = this.#framing!
    const connection = this.#call.connection!
    const rest = connection.beginBody()
    connection.resume(this.#call.readTimeout)
    if (framing.kind === 'none' || x.headOnly) return this.#relayNoBody(framing, rest)
    if (framing.kind === 'chunked') {
      x.chunkedThrough =
        x.output === x.client &&
        x.headers.contentLength < 0 &&
        x.head.version === 11 &&
        x.location.settings.chunkedTransferEncoding &&
        x.parent === null
      this.#decoder = new ChunkedDecoder(x.chunkedThrough ? 'framed' : 'data', 'upstream')
    }
    if (rest === null || rest.length === 0) {
      x.output.sendHead(x, null)
      return this.#remaining === 0 && framing.kind === 'length' ? this.#call.complete(0) : Step.SUSPENDED
    }
    return this.#relayFirst(rest)
  }

  #relayNoBody(framing: Framing, rest: Buffer | null): Step {
    const x = this.#x
    x.output.sendHead(x, null)
    const clean = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0)
    return this.#call.complete(clean ? (rest === null ? 0 : rest.length) : 1)
  }

  /** Fast path: a whole small response in one read leaves in one write. */
  #relayFirst(rest: Buffer): Step {
    const x = this.#x
    const decoder = this.#decoder
    if (decoder === null) {
      const left = this.#sendUndecoded(rest, true)
      return left < 0 ? Step.SUSPENDED : this.#call.complete(left)
    }
    const fault = decoder.push(rest)
    if (fault !== null) return this.#call.broken(fault)
    if (decoder.rangeCount === 0) x.output.sendHead(x, null)
    else this.#sendRanges(rest, true)
    return decoder.done ? this.#chunkedEnd(rest) : Step.SUSPENDED
  }

  /** Body bytes, valid only during the call. false: the upstream has to wait, `resume` follows. */
  data(chunk: Buffer): boolean {
    const call = this.#call
    const x = this.#x
    const decoder = this.#decoder
    this.#room = true
    if (decoder === null) {
      const left = this.#sendUndecoded(chunk, false)
      if (left >= 0) {
        call.resume(call.complete(left))
        return true
      }
    } else {
      const fault = decoder.push(chunk)
      if (fault !== null) {
        call.resume(call.broken(fault))
        return true
      }
      this.#sendRanges(chunk, false)
      if (decoder.done) {
        call.resume(this.#chunkedEnd(chunk))
        return true
      }
    }
    call.connection!.touch(call.readTimeout)
    // `onDrained` follows only a write that found no room.
    if (this.#room || x.output.pendingBytes <= this.#bufferLimit) return true
    x.onDrained = resumeUpstream
    return false
  }

  /** @returns how many bytes follow the body's end; -1: it has not ended */
  #sendUndecoded(chunk: Buffer, first: boolean): number {
    if (this.#framing!.kind === 'close') {
      this.#sendOwned(chunk, first, false)
      return -1
    }
    const mine = chunk.length > this.#remaining ? chunk.subarray(0, this.#remaining) : chunk
    this.#remaining -= mine.length
    const ends = this.#remaining === 0
    this.#sendOwned(mine, first, ends)
    return ends ? chunk.length - mine.length : -1
  }

  #sendRanges(chunk: Buffer, first: boolean): void {
    const { ranges, rangeCount, done } = this.#decoder!
    for (let i = 0; i < rangeCount; i++) {
      const piece = chunk.subarray(ranges[2 * i], ranges[2 * i + 1])
      this.#sendOwned(piece, first && i === 0, done && i === rangeCount - 1)
    }
  }

  /** Hands bytes of the read buffer to the client in a form that outlives this call. */
  #sendOwned(piece: Buffer, first: boolean, last: boolean): void {
    const x = this.#x
    const connection = this.#call.connection!
    this.#call.record!.responseLength += piece.length
    x.lastPiece = last
    if (piece.length <= SMALL) {
      this.#write(piece.toString('latin1'), first)
      return
    }
    if (connection.chunkOwned) {
      this.#write(piece, first)
      if (x.output.pendingBytes > 0) connection.swapBuffer()
      return
    }
    connection.ownBuffer()
    this.#write(Buffer.from(piece), first)
  }

  #write(piece: Buffer | string, first: boolean): void {
    const x = this.#x
    if (first) this.#room = x.output.sendHead(x, piece)
    else if (x.chunkedThrough) this.#room = x.output.sendFramed(x, piece)
    else this.#room = x.output.sendBody(x, piece)
  }

  #chunkedEnd(chunk: Buffer): Step {
    const decoder = this.#decoder!
    const x = this.#x
    const { trailers } = decoder
    this.#call.record!.trailers = trailers
    if (trailers !== null && x.location.settings.proxyPassTrailers) {
      const passed = (x.trailers ??= [])
      for (let i = 0; i < trailers.count; i++) passed.push([trailers.name(i), trailers.value(i)])
    }
    return this.#call.complete(chunk.length - decoder.consumed)
  }
}

function resumeUpstream(x: Exchange): void {
  const call = x.call
  if (call !== null && call.connection !== null) call.connection.resume(call.readTimeout)
}
