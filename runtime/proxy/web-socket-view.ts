/** What the `ws*` hooks of one WebSocket see and may do. Checks what a script gives; the relay does it. */
import { isUtf8 } from 'node:buffer'
import type {
  WebSocketEnd,
  WebSocketMessage,
  WebSocketSide,
  WebSocketState,
  WebSocketView,
} from '../phases.ts'
import { closeFault } from '../ws/close-codes.ts'

/** The relay, as far as scripts reach. */
export interface ScriptedRelay {
  readonly offer: { readonly protocol: string; readonly maxMessage: number }
  /** `ws_send_queue` */
  readonly sendQueue: number
  /** Bytes that wait for a side; -1: it has left; null: the WebSocket is closed. */
  waiting(side: WebSocketSide): number | null
  pass(to: WebSocketSide, data: Uint8Array, binary: boolean): void
  closeByScript(code: number, reason: string): void
}

export class RelayView implements WebSocketView {
  readonly states = new Map<string, WebSocketState>()
  reconnects = 0
  end: WebSocketEnd | null = null
  message: WebSocketMessage | null = null
  readonly #relay: ScriptedRelay
  /** The one that `message` shows while there is one: used again for each. */
  readonly #message = { from: 'client' as WebSocketSide, data: NOTHING as Uint8Array, binary: false }

  constructor(relay: ScriptedRelay) {
    this.#relay = relay
  }

  get protocol(): string {
    return this.#relay.offer.protocol
  }

  replace(data: Uint8Array, binary: boolean): void {
    this.#message.data = owned(data, binary)
    this.#message.binary = binary
  }

  send(to: WebSocketSide, data: Uint8Array, binary: boolean): void {
    const { sendQueue } = this.#relay
    const { maxMessage } = this.#relay.offer
    const waiting = this.#relay.waiting(to)
    if (waiting === null) throw new RangeError('the WebSocket is closed')
    // It has left, and its last messages are still being handled: no script can know.
    if (waiting < 0) return
    if (data.length > maxMessage)
      throw new RangeError(`a message has at most ${maxMessage} bytes (ws_max_message_size)`)
    if (waiting + data.length > sendQueue)
      throw new RangeError(`${waiting} bytes wait for the ${to} already (ws_send_queue)`)
    this.#relay.pass(to, owned(data, binary), binary)
  }

  close(code: number, reason: string): void {
    const fault = closeFault(code, reason)
    if (fault !== null) throw new RangeError(fault)
    this.#relay.closeByScript(code, reason)
  }

  // ---- the relay's ----

  show(from: WebSocketSide, data: Uint8Array, binary: boolean): void {
    const message = this.#message
    message.from = from
    message.data = data
    message.binary = binary
    this.message = message
  }

  /** What became of the message. */
  take(): WebSocketMessage {
    const { from, data, binary } = this.#message
    this.message = null
    this.#message.data = NOTHING
    return { from, data, binary }
  }
}

const NOTHING = new Uint8Array(0)

/** A copy that is ours; text that is not UTF-8 gets U+FFFD where it is wrong. */
function owned(data: Uint8Array, binary: boolean): Uint8Array {
  const copy = Buffer.from(data)
  return binary || isUtf8(copy) ? copy : Buffer.from(copy.toString('utf8'))
}
