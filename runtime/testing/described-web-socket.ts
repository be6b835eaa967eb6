/** The WebSocket of a described request: keeps what hooks do with it, refuses what the proxy would refuse. */
import type {
  WebSocketEnd,
  WebSocketMessage,
  WebSocketSide,
  WebSocketState,
  WebSocketView,
} from '../phases.ts'
import { closeFault } from '../ws/close-codes.ts'
import type { DescribedWebSocket } from './description.ts'

export interface SentMessage {
  readonly to: WebSocketSide
  readonly data: Uint8Array
  readonly binary: boolean
}

/** Bytes of one message, and of those that wait for one side: `ws_max_message_size`, `ws_send_queue`. */
export interface SocketLimits {
  readonly message: number
  readonly queue: number
}

export class DescribedSocket implements WebSocketView {
  readonly protocol: string
  readonly reconnects: number
  readonly states: Map<string, WebSocketState>
  message: WebSocketMessage | null = null
  end: WebSocketEnd | null = null
  /** What goes on in the place of the message under way. */
  replacement: { readonly data: Uint8Array; readonly binary: boolean } | null = null
  readonly sent: SentMessage[] = []
  closed: { readonly code: number; readonly reason: string } | null = null
  readonly #limits: SocketLimits
  readonly #waiting = { client: 0, upstream: 0 }

  constructor(described: DescribedWebSocket = {}, limits: SocketLimits) {
    this.protocol = described.protocol ?? ''
    this.reconnects = described.reconnects ?? 0
    this.states = new Map(described.states)
    this.#limits = limits
  }

  /** Another hook begins: what was sent before has been taken. */
  begin(message: WebSocketMessage | null, end: WebSocketEnd | null): void {
    this.message = message
    this.end = end
    this.replacement = null
    this.#waiting.client = 0
    this.#waiting.upstream = 0
  }

  replace(data: Uint8Array, binary: boolean): void {
    this.#check(data)
    this.replacement = { data: Uint8Array.from(data), binary }
  }

  send(to: WebSocketSide, data: Uint8Array, binary: boolean): void {
    if (this.closed !== null || this.end !== null) throw new RangeError('the WebSocket is closed')
    this.#check(data)
    // Nobody takes what waits before the hook has ended.
    const waiting = (this.#waiting[to] += data.length)
    if (waiting > this.#limits.queue)
      throw new RangeError(`${waiting} bytes wait for the ${to} already (ws_send_queue)`)
    this.sent.push({ to, data: Uint8Array.from(data), binary })
  }

  close(code: number, reason: string): void {
    const fault = closeFault(code, reason)
    if (fault !== null) throw new RangeError(fault)
    this.closed ??= { code, reason }
  }

  #check(data: Uint8Array): void {
    const { message } = this.#limits
    if (data.length > message)
      throw new RangeError(`a message has at most ${message} bytes (ws_max_message_size)`)
  }
}
