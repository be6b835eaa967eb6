/**
 * The opening handshakes of a WebSocket that the proxy itself speaks: what the client asks for, what the upstream is
 * asked for in its place, and whether each answer fits its question. The two sides agree on `permessage-deflate` each
 * on its own; key and subprotocols pass through. RFC 6455 section 4.
 */
import type { ResponseHead } from '../http1/response-reader.ts'
import { answerOffers, type Deflate, DeflateOffer } from '../ws/deflate.ts'
import { acceptOf, isKey, newKey, offeredProtocols } from '../ws/handshake.ts'
import type { Exchange } from './exchange.ts'
import type { Hooks } from './plan.ts'

/** Fields of a client's handshake that the proxy writes itself. */
export const OWN_FIELDS: ReadonlySet<string> = new Set([
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
])

/** A script wants to see WebSocket messages here, or at least their beginning and end. */
export function hasWebSocketHooks({ wsOpen, wsMessage, wsClose }: Hooks): boolean {
  return wsOpen !== null || wsMessage !== null || wsClose !== null
}

export class WebSocketOffer {
  /** Agreed with the client and with the upstream; null: messages are not compressed there. */
  readonly clientDeflate: Deflate | null
  upstreamDeflate: Deflate | null = null
  /** Agreed by both; '' for none. */
  protocol = ''
  readonly #clientAnswer: string | null
  readonly #protocols: ReadonlySet<string>
  readonly #maxMessage: number
  readonly #compress: boolean
  #key: string
  #deflate: DeflateOffer | null = null

  constructor(x: Exchange, key: string, protocols: ReadonlySet<string>) {
    const { wsMaxMessageSize, wsPermessageDeflate } = x.location.settings
    this.#key = key
    this.#protocols = protocols
    this.#maxMessage = wsMaxMessageSize
    this.#compress = wsPermessageDeflate
    const field = x.requestHeaders.get('sec-websocket-extensions')
    const agreed = wsPermessageDeflate ? answerOffers(field, wsMaxMessageSize) : null
    this.clientDeflate = agreed === null ? null : agreed.deflate
    this.#clientAnswer = agreed === null ? null : agreed.answer
  }

  get maxMessage(): number {
    return this.#maxMessage
  }

  /** The next upstream is no business of the client's any more: it gets a key of ours. */
  renew(): void {
    this.#key = newKey()
    this.upstreamDeflate = null
  }

  /** Lines of the request to the upstream. */
  requestFields(): string {
    this.#deflate = this.#compress ? new DeflateOffer(this.#maxMessage) : null
    const extensions = this.#deflate === null ? '' : `Sec-WebSocket-Extensions: ${this.#deflate.field}\r\n`
    return `Sec-WebSocket-Key: ${this.#key}\r\nSec-WebSocket-Version: 13\r\n${extensions}`
  }

  /**
   * Takes the upstream's 101.
   * @param again the client has agreed to a subprotocol before: only that one will do
   * @returns what is wrong with it, or null
   */
  take({ fields }: ResponseHead, again: boolean): string | null {
    if (fields.joined('upgrade')?.toLowerCase() !== 'websocket')
      return 'switched to another protocol than asked'
    if (fields.joined('sec-websocket-accept') !== acceptOf(this.#key))
      return 'sent a wrong "Sec-WebSocket-Accept"'
    const protocol = fields.joined('sec-websocket-protocol') ?? ''
    if (again ? protocol !== this.protocol : protocol !== '' && !this.#protocols.has(protocol))
      return 'chose a subprotocol that was not offered'
    const extensions = fields.joined('sec-websocket-extensions')
    try {
      if (this.#deflate !== null) this.upstreamDeflate = this.#deflate.accept(extensions)
      else if (extensions !== undefined) return 'sent an extension that was not offered'
    } catch {
      return 'sent an extension that was not offered, or with wrong parameters'
    }
    this.protocol = protocol
    return null
  }

  /** The client hears of its own extensions, not of the upstream's. */
  answerClient({ headers }: Exchange): void {
    headers.remove('sec-websocket-extensions')
    if (this.#clientAnswer !== null) headers.add('Sec-WebSocket-Extensions', this.#clientAnswer)
  }
}

/** What a client asks for with its handshake; a status to refuse it with; or null: it asks for no WebSocket. */
export function readOffer(x: Exchange): WebSocketOffer | 400 | 426 | null {
  if (!x.wantsWebSocket) return null
  const { requestHeaders } = x
  if (requestHeaders.get('sec-websocket-version')?.trim() !== '13') return 426
  const key = requestHeaders.get('sec-websocket-key') ?? ''
  const protocols = offeredProtocols(requestHeaders.get('sec-websocket-protocol'))
  if (!isKey(key) || protocols === null) return 400
  try {
    return new WebSocketOffer(x, key, protocols)
  } catch {
    // Malformed Sec-WebSocket-Extensions: RFC 6455 section 9.1.
    return 400
  }
}
