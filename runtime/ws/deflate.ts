/**
 * `permessage-deflate` (RFC 7692) on one side of a WebSocket: negotiated here in both roles, done by the `ws` library.
 * Both directions are asked to forget their window after each message where that is ours to say: thousands of idle
 * connections must not hold one each.
 */
import * as ws from 'ws'

const NAME = 'permessage-deflate'

/** The part of the `ws` library that its typings leave out. */
interface Library {
  readonly PerMessageDeflate: new (options: object) => PerMessageDeflate
  readonly extension: { parse(field: string): Record<string, Parameters[]>; format(answer: object): string }
}

type Parameters = Record<string, (string | true)[]>
type Done = (error: (Error & { code?: string }) | null, data: Buffer) => void

interface PerMessageDeflate {
  offer(): object
  accept(offers: Parameters[]): object
  compress(data: Uint8Array, fin: boolean, done: Done): void
  decompress(data: Uint8Array, fin: boolean, done: Done): void
  cleanup(): void
}

const { PerMessageDeflate, extension } = ws as unknown as Library

/** Smaller messages are sent as they are. */
const THRESHOLD = 1024

/** Two thirds of zlib's usual memory, for a fraction of a percent of size. */
const DEFLATE = { memLevel: 7, level: 4 }

/** What did not work out; `TOO_LARGE`: more came out than a message may hold. */
export type DeflateFault = 'TOO_LARGE' | 'MALFORMED'

/** The compressor and decompressor of one side. One call of each kind at a time. */
export class Deflate {
  readonly #codec: PerMessageDeflate
  #inflating = false
  #deflating = false
  #disposed = false

  constructor(codec: PerMessageDeflate) {
    this.#codec = codec
  }

  worthwhile(length: number): boolean {
    return length >= THRESHOLD
  }

  /** Calls back later, never from within. */
  inflate(data: Uint8Array, done: (fault: DeflateFault | null, data: Buffer) => void): void {
    this.#inflating = true
    this.#codec.decompress(data, true, (error, result) => {
      this.#inflating = false
      // The library's limit on work at a time counts calls that come back: it is cleaned up behind them.
      if (this.#disposed) this.#cleanUp()
      else if (error)
        done(error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'TOO_LARGE' : 'MALFORMED', EMPTY)
      else done(null, result)
    })
  }

  /** Calls back later, never from within. */
  deflate(data: Uint8Array, done: (data: Buffer) => void): void {
    this.#deflating = true
    this.#codec.compress(data, true, (error, result) => {
      this.#deflating = false
      if (this.#disposed) this.#cleanUp()
      else if (!error) done(result)
    })
  }

  dispose(): void {
    this.#disposed = true
    this.#cleanUp()
  }

  #cleanUp(): void {
    if (!this.#inflating && !this.#deflating) this.#codec.cleanup()
  }
}

const EMPTY = Buffer.alloc(0)

/** What a client's `Sec-WebSocket-Extensions` leads to: ours, its answer; null: nothing agreed. @throws SyntaxError */
export function answerOffers(
  field: string | undefined,
  maxMessage: number,
): { readonly deflate: Deflate; readonly answer: string } | null {
  if (field === undefined) return null
  const offers = extension.parse(field)[NAME]
  if (offers === undefined) return null
  const codec = new PerMessageDeflate({
    isServer: true,
    maxPayload: maxMessage,
    serverNoContextTakeover: true,
    zlibDeflateOptions: DEFLATE,
  })
  try {
    const accepted = codec.accept(offers)
    return { deflate: new Deflate(codec), answer: extension.format({ [NAME]: accepted }) }
  } catch {
    // RFC 7692 section 7.1: an offer that cannot be met is declined.
    return null
  }
}

/** Our own offer to an upstream. */
export class DeflateOffer {
  readonly #codec: PerMessageDeflate
  readonly field: string

  constructor(maxMessage: number) {
    this.#codec = new PerMessageDeflate({
      maxPayload: maxMessage,
      clientNoContextTakeover: true,
      zlibDeflateOptions: DEFLATE,
    })
    this.field = extension.format({ [NAME]: this.#codec.offer() })
  }

  /** What the upstream made of it; null: no. @throws Error when the answer is none to this offer */
  accept(field: string | undefined): Deflate | null {
    if (field === undefined) return null
    const agreed = extension.parse(field)
    const names = Object.keys(agreed)
    if (names.length !== 1 || names[0] !== NAME || agreed[NAME].length !== 1)
      throw new Error(`unasked extension "${field}"`)
    this.#codec.accept(agreed[NAME])
    return new Deflate(this.#codec)
  }
}
