/**
 * A WebSocket through a location with `ws*` hooks: the proxy speaks the protocol on both sides and hands each message
 * to the hooks on its way. Owns both sides from the 101 to the log; knows neither scripts nor handshakes.
 *
 *   waiting --101--> open --close, fault, loss--> closing --both sides done, wsClose settled--> over
 *                    |  ^
 *          upstream  v  | next peer
 *            lost   reconnecting --no peer left--> closing (1012)
 *
 * Each direction keeps its order. Hooks run one at a time per WebSocket: while one waits, messages, pings and ends of
 * both directions wait in their connections. Pings are answered here and, like pongs, not passed on. What a side is
 * closed with when the other one is lost without a close frame: the client 1011, the upstream 1001.
 */
import { Deadline } from '../lib/deadline.ts'
import { Outcome, type WebSocketSide as SideName } from '../phases.ts'
import { CloseCode } from '../ws/close-codes.ts'
import { Found } from '../ws/message-reader.ts'
import type { ClientConnection } from './client-connection.ts'
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'
import type { ClientTunnel } from './tunnel.ts'
import type { UpstreamCall } from './upstream-call.ts'
import {
  brokenBy,
  closedBy,
  type Ending,
  HOOK_FAILED,
  lostBy,
  NO_UPSTREAM,
  PROXY_LEAVES,
} from './web-socket-farewell.ts'
import { WebSocketHooks, type WebSocketTask } from './web-socket-hooks.ts'
import { moveToCurrent } from './web-socket-move.ts'
import type { WebSocketOffer } from './web-socket-offer.ts'
import { type PairEvents, WebSocketPair } from './web-socket-pair.ts'
import { Pulse } from './web-socket-pulse.ts'
import { Reconnection } from './web-socket-reconnect.ts'
import type { Side } from './web-socket-side.ts'
import { RelayView, type ScriptedRelay } from './web-socket-view.ts'

const State = { WAITING: 0, OPEN: 1, RECONNECTING: 2, CLOSING: 3, OVER: 4 } as const
type State = (typeof State)[keyof typeof State]

export class WebSocketRelay implements ClientTunnel, PairEvents, ScriptedRelay {
  readonly offer: WebSocketOffer
  readonly view = new RelayView(this)
  readonly #x: Exchange
  readonly #hooks: WebSocketHooks
  readonly #deadline = new Deadline(() => this.#onTimeout())
  readonly #pulse: Pulse
  readonly reconnection: Reconnection
  #state: State = State.WAITING
  /** There once the client has had its 101. */
  #pair!: WebSocketPair
  #readTimeout = 0
  /** How it ended; null: it has not. */
  #ending: Ending | null = null
  #closeRun = false
  #closeDone = false
  /** Another generation serves, and a hook of this one still runs. */
  #stale = false

  constructor(x: Exchange, offer: WebSocketOffer) {
    this.offer = offer
    this.#x = x
    this.#hooks = new WebSocketHooks(x, (task, outcome, later) => this.#hookDone(task, outcome, later))
    this.#pulse = new Pulse(x, (side) => this.#died(side))
    this.reconnection = new Reconnection(x, () => this.#close(NO_UPSTREAM))
  }

  /** Both handshakes are good: sends the client its 101 and takes both connections over. */
  open(call: UpstreamCall): Step {
    const x = this.#x
    const client = x.client as ClientConnection
    x.keepAlive = false
    this.#state = State.OPEN
    client.sendHead(x, null)
    this.#pair = new WebSocketPair(x, this.offer, call, this)
    this.#readTimeout = call.readTimeout
    this.#touch()
    const early = client.becomeTunnel(this)
    if (early !== null) this.#pair.client.push(early)
    this.#pulse.start(this.#pair)
    this.#hooks.run('open', x.location.hooks.wsOpen)
    return Step.SUSPENDED
  }

  // ---- for the view ----

  get sendQueue(): number {
    return this.#x.location.settings.wsSendQueue
  }

  waiting(name: SideName): number | null {
    if (name === 'upstream' && this.reconnecting) return this.reconnection.bytes
    if (this.#state !== State.OPEN && !this.reconnecting) return null
    const side = this.#pair.named(name)
    return side.gone ? -1 : side.buffered
  }

  pass(to: SideName, data: Uint8Array, binary: boolean): void {
    if (to === 'client') this.#pair.client.writer.message(data, binary)
    else if (this.reconnecting) this.reconnection.keep(data, binary)
    else this.#pair.upstream.writer.message(data, binary)
  }

  closeByScript(code: number, reason: string): void {
    this.#close(closedBy('script', { code, reason }))
  }

  // ---- events of the connections ----

  fromClient(chunk: Buffer): void {
    this.#pair.fromClient(chunk)
  }

  clientEnded(): void {
    this.#pair.ended(this.#pair.client, false)
  }

  clientGone(): void {
    this.#pair.ended(this.#pair.client, true)
  }

  clientDrained(): void {
    this.#pair.drainedSide(this.#pair.client)
  }

  arrived(side: Side): void {
    this.#touch()
    this.#pump(side)
  }

  moved(side: Side): void {
    this.#pump(this.#pair.other(side))
    this.#pump(side)
  }

  /** What came before the end is read first. */
  ended(side: Side): void {
    if (this.reconnecting && side.name === 'client') this.#lost(side)
    else this.#pump(side)
  }

  // ---- messages ----

  /** Takes messages of one side until there are none, a hook waits, or the other side is full. */
  #pump(side: Side): void {
    const other = this.#pair.other(side)
    let corked = false
    while (this.#state === State.OPEN && !this.#hooks.busy && !this.#mustWait(side, other)) {
      const found = side.reader.next()
      if (found === Found.MESSAGE) {
        if (!corked && side.reader.pending > 0) {
          other.cork()
          corked = true
        }
        this.#onMessage(side)
      } else if (found === Found.NOTHING || found === Found.WAIT) {
        if (found === Found.NOTHING) this.#onNothing(side)
        else side.pause()
        break
      } else this.#onControl(side, found)
    }
    if (corked) other.uncork()
    if (this.#state === State.CLOSING) this.#drain(side)
    else if (this.#state !== State.RECONNECTING || side.reader.pending > MAX_HELD) side.hold()
  }

  /** The other side takes no more, or hooks have written much to this one that it does not read. */
  #mustWait(side: Side, other: Side): boolean {
    return other.full || (side.full && 2 * side.buffered > this.sendQueue)
  }

  #onNothing(side: Side): void {
    if (side.ended) this.#lost(side)
    else side.resume()
  }

  #onMessage(side: Side): void {
    const { reader } = side
    const { traffic } = this.#x.generation.services
    if (traffic) traffic.countMessage(side.name)
    const chain = this.#x.location.hooks.wsMessage
    if (chain === null) this.pass(this.#pair.other(side).name, reader.data, reader.binary)
    else {
      this.view.show(side.name, reader.data, reader.binary)
      this.#hooks.run('message', chain)
    }
  }

  #onControl(side: Side, found: Found): void {
    const { reader, name } = side
    if (found === Found.PING) side.answerPing(reader.data)
    if (found === Found.PING || found === Found.PONG) return
    const farewell = { code: reader.closeCode, reason: reader.closeReason }
    if (found === Found.CLOSE) {
      side.closeReceived = true
      if (name === 'upstream' && farewell.code === CloseCode.SERVICE_RESTART && this.#mayReconnect()) {
        side.writer.close(farewell.code, '')
        this.#reconnect()
      } else this.#close(closedBy(name, farewell))
      return
    }
    const level = name === 'client' ? 'info' : 'error'
    this.#x.log(level, `${name} broke the WebSocket protocol: ${farewell.reason}`)
    side.broken = true
    this.#close(brokenBy(name, farewell))
  }

  // ---- hooks ----

  #hookDone(task: WebSocketTask, outcome: Outcome, later: boolean): void {
    const message = task === 'message' ? this.view.take() : null
    if (task === 'close') {
      this.#closeDone = true
      this.view.end = null
      this.#finish()
    } else if (this.#state === State.CLOSING) this.#runClose()
    else if (outcome !== Outcome.PASS && outcome !== Outcome.DROPPED) this.#close(HOOK_FAILED)
    else {
      if (message !== null && outcome === Outcome.PASS)
        this.pass(message.from === 'client' ? 'upstream' : 'client', message.data, message.binary)
      if (this.#stale) this.#move()
      if (this.reconnecting) this.reconnection.start()
      else if (message === null) this.#opened()
      else if (later) this.moved(this.#pair.named(message.from))
    }
  }

  /** `wsOpen` is through: what waited goes on. */
  #opened(): void {
    const { upstream } = this.#pair
    for (const { payload, binary } of this.reconnection.takeKept()) upstream.writer.message(payload, binary)
    this.moved(upstream)
  }

  /** Another generation serves now. */
  swapped(): void {
    if (this.#state === State.OPEN && !this.#hooks.busy) this.#move()
    else this.#stale = true
  }

  #move(): void {
    this.#stale = false
    moveToCurrent(this.#x, this.#x.client as ClientConnection)
    this.#pulse.start(this.#pair)
  }

  // ---- another upstream ----

  /** The upstream is gone and a new one is being looked for. */
  get reconnecting(): boolean {
    return this.#state === State.RECONNECTING
  }

  #mayReconnect(): boolean {
    return this.reconnection.allowed > 0 && this.#state === State.OPEN
  }

  #reconnect(): void {
    const pair = this.#pair
    this.#state = State.RECONNECTING
    this.#x.log('info', 'upstream lost under an open WebSocket, connecting to another one')
    for (const { payload, binary } of pair.upstream.writer.unsent()) this.reconnection.keep(payload, binary)
    pair.destroy(pair.upstream)
    pair.upstream.dispose()
    this.#deadline.disarm()
    this.#x.call!.tunnelLost(pair.received)
    pair.received = 0
    if (!this.#hooks.busy) this.reconnection.start()
  }

  /** The head of the next upstream's answer. */
  answered(call: UpstreamCall): Step {
    const x = this.#x
    const head = call.head!
    const fault = head.status === 101 ? this.offer.take(head, true) : `answered with ${head.status}`
    if (fault !== null) {
      x.log('error', `upstream ${fault} while reconnecting a WebSocket`)
      return call.fail('invalid_header')
    }
    this.#state = State.OPEN
    this.view.reconnects++
    this.reconnection.succeeded()
    this.#pair.replaceUpstream(call)
    this.#readTimeout = call.readTimeout
    this.#touch()
    this.#hooks.run('open', x.location.hooks.wsOpen)
    return Step.SUSPENDED
  }

  // ---- its end ----

  /** A side has ended without a close frame. */
  #lost(side: Side): void {
    const { name } = side
    if (name === 'upstream' && this.#mayReconnect()) {
      this.#reconnect()
      return
    }
    this.#x.log('info', `${name} closed the connection of a WebSocket without a close frame`)
    this.#close(lostBy(name))
  }

  /** It does not answer pings. */
  #died(side: Side): void {
    if (this.#state >= State.CLOSING) return
    this.#pair.destroy(side)
    this.#lost(side)
  }

  /** Graceful stop: the time for it is over. */
  leave(): void {
    this.#close(PROXY_LEAVES)
  }

  /** Begins the end: close frames to both, behind what is on its way to them. */
  #close(ending: Ending): void {
    if (this.#state >= State.CLOSING) return
    if (this.reconnecting) this.reconnection.stop(this.#hooks.busy)
    this.#state = State.CLOSING
    this.#ending = ending
    const pair = this.#pair
    pair.client.writer.close(ending.client.code, ending.client.reason)
    pair.upstream.writer.close(ending.upstream.code, ending.upstream.reason)
    this.#pulse.stop()
    this.#deadline.arm(this.#x.location.settings.wsCloseTimeout)
    if (!this.#hooks.busy) this.#runClose()
    this.#drain(pair.client)
    this.#drain(pair.upstream)
  }

  #runClose(): void {
    if (this.#closeRun) return
    this.#closeRun = true
    this.view.end = this.#ending!.end
    this.#hooks.run('close', this.#x.location.hooks.wsClose)
  }

  /** Nothing but the close frame of a side is of interest any more. */
  #drain(side: Side): void {
    side.readClose()
    side.resume()
    if (side.writer.closed && (side.done || side.broken)) side.leave()
    this.#finish()
  }

  #onTimeout(): void {
    if (this.#state === State.OPEN) {
      this.#x.log('info', 'upstream timed out (110: Connection timed out) while proxying upgraded connection')
      this.leave()
    } else this.#finishNow()
  }

  /** Ends both sides at once. */
  abort(): void {
    if (this.#state === State.OVER) return
    this.leave()
    this.#hooks.abandon()
    this.#runClose()
    this.#hooks.abandon()
    this.#closeDone = true
    this.#finishNow()
  }

  #finishNow(): void {
    const pair = this.#pair
    pair.destroy(pair.upstream)
    pair.destroy(pair.client)
    this.#finish()
  }

  /** The log, once both sides have said goodbye and `wsClose` is through. */
  #finish(): void {
    const pair = this.#pair
    if (this.#state !== State.CLOSING || !this.#closeDone || !pair.client.done || !pair.upstream.gone) return
    this.#state = State.OVER
    this.#deadline.dispose()
    pair.dispose()
    this.#x.call?.tunnelClosed(pair.received)
    this.#x.generation.services.resume(this.#x, Step.LOG)
  }

  #touch(): void {
    if (this.#state === State.OPEN) this.#deadline.arm(this.#readTimeout)
  }
}

/** Bytes of the client that are read while there is no upstream. */
const MAX_HELD = 65536
