/**
 * The WebSockets of one sandbox: calls the `ws*` hooks with the guest's `ws` and `msg`, and carries `ws.state` between
 * the guest, where it is an object like any other, and the WebSocket, where it is kept as JSON over sandboxes and
 * generations.
 *
 *     kept --a hook meets a WebSocket without a live state: parse, migrate--> live
 *     kept <--a hook that touched it has ended: stringify-------------------- live
 */
import type {
  HookRequest,
  ScriptHost,
  WebSocketEnd,
  WebSocketMessage,
  WebSocketState,
  WebSocketView,
} from '../phases.ts'
import { fromBytes, GuestError, type GuestValues, Tag } from './guest-values.ts'
import type { Instance } from './instance.ts'
import type { ModuleFiles } from './module-files.ts'
import type { GuestSockets } from './prelude-ws.ts'
import type { Address } from './quickjs-module.ts'
import { type Fault, HookFailure } from './script-error.ts'
import { type Slot, SlotSocket, type Slots } from './slots.ts'

/** Bytes of `ws.state` as JSON. */
const MAX_STATE = 64 * 1024

/** Cells of what the prelude makes for WebSockets. */
export type SocketCells = Readonly<Record<keyof GuestSockets, Address>>

/** The sandbox as its WebSockets see it. */
export interface SocketGuest {
  readonly instance: Instance
  readonly values: GuestValues
  readonly slots: Slots
  readonly host: ScriptHost
  readonly options: {
    readonly modules: ModuleFiles
    readonly params: Readonly<Record<string, string>>
    readonly stateFile?: string
    readonly owner: { unhandled(fault: Fault, request: HookRequest | null): void }
  }
  /** The failure that a guest error, whose cell is freed, stands for. */
  failureOf(error: Address): HookFailure
}

/** As it is given to the WebSocket to keep. */
class KeptState implements WebSocketState {
  readonly json: string
  readonly version: string
  /** The script that has kept it goes on with it. */
  live = true

  constructor(json: string, version: string) {
    this.json = json
    this.version = version
  }
}

export class WebSockets {
  /** Cell of the script's `migrate`; 0: it has none. */
  migrate: Address = 0
  readonly #guest: SocketGuest
  /** Slots whose state a hook or timer has had in its hands since it was last kept. */
  readonly #touched = new Set<Slot>()
  /** Name of the state in `WebSocketView.states`, and what those of this script with other parameters begin with. */
  readonly #file: string
  readonly #key: string
  #cells: SocketCells | null = null
  #version: string | null = null

  constructor(guest: SocketGuest) {
    const { modules, params, stateFile } = guest.options
    this.#guest = guest
    this.#file = stateFile ?? modules.absolute(modules.main)
    const pairs = Object.entries(params).sort()
    this.#key = pairs.length === 0 ? this.#file : `${this.#file} ${JSON.stringify(pairs)}`
  }

  /** The guest's part is there. */
  ready(cells: SocketCells): void {
    this.#cells = cells
  }

  // ---- hooks ----

  /** Calls a `ws*` hook. The result is the caller's to free. @throws HookFailure, Poisoned */
  call(slot: Slot, hook: Address): Address {
    const { instance } = this.#guest
    const view = slot.request!.webSocket
    if (view === null) throw new GuestError('Error', `${slot.phase} was called without a WebSocket`)
    const socket = slot.socket ?? this.#makeSocket(slot)
    if (view.states.size > 0) this.#meet(slot, socket, view)
    if (slot.phase === 'wsMessage')
      return instance.call3(hook, slot.r, socket.message || this.#makeMessage(slot, socket), socket.ws)
    if (slot.phase === 'wsOpen') return instance.call2(hook, slot.r, socket.ws)
    const end = this.#endCell(view.end!)
    const result = instance.call3(hook, slot.r, end, socket.ws)
    instance.free(end)
    return result
  }

  #makeSocket(slot: Slot): SlotSocket {
    const { instance, values, slots } = this.#guest
    const ws = this.#checked(instance.call(this.#cells!.makeSocket))
    const socket = new SlotSocket(ws, values.low(ws))
    slot.socket = socket
    slots.adopt(slot, socket.wsAddress)
    return socket
  }

  #makeMessage(slot: Slot, socket: SlotSocket): Address {
    const { instance, values, slots } = this.#guest
    socket.message = this.#checked(instance.call(this.#cells!.makeMessage))
    socket.messageAddress = values.low(socket.message)
    slots.adopt(slot, socket.messageAddress)
    return socket.message
  }

  #endCell(end: WebSocketEnd): Address {
    const { instance, values } = this.#guest
    const cells = [values.string(end.by), values.int(end.code), values.string(end.reason)]
    const made = this.#checked(instance.call(this.#cells!.makeEnd, ...cells))
    for (const cell of cells) instance.free(cell)
    return made
  }

  /** Of a function of ours, which fails for want of memory or time alone. @throws HookFailure */
  #checked(cell: Address): Address {
    const { instance, values } = this.#guest
    if (values.tag(cell) !== Tag.EXCEPTION) return cell
    throw this.#guest.failureOf(instance.takeException(cell))
  }

  /** Cell of `msg.data`: copied into the guest when it is first asked for, and only then. */
  dataOf(slot: Slot, message: WebSocketMessage): Address {
    const { instance } = this.#guest
    const socket = slot.socket!
    if (socket.data === 0) {
      const cell = message.binary ? this.#bytes(message.data) : this.#text(message.data)
      if (this.#guest.values.tag(cell) === Tag.EXCEPTION) return cell
      socket.data = cell
    }
    return instance.duplicate(socket.data)
  }

  #text(data: Uint8Array): Address {
    return this.#guest.values.string(
      Buffer.from(data.buffer, data.byteOffset, data.length).toString('latin1'),
    )
  }

  #bytes(data: Uint8Array): Address {
    const { instance, values } = this.#guest
    const buffer = values.arrayBuffer(data)
    const bytes = instance.call1(this.#cells!.toBytes, buffer)
    instance.free(buffer)
    return bytes
  }

  /** A hook of this slot is over: its message is. One that the script has kept is stale for ever. */
  ended(slot: Slot): void {
    const { instance, values, slots } = this.#guest
    const socket = slot.socket
    if (socket === null) return
    if (socket.data !== 0) instance.free(socket.data)
    socket.data = 0
    if (socket.message === 0 || values.isUnshared(socket.messageAddress)) return
    slots.disown(socket.messageAddress)
    instance.free(socket.message)
    socket.message = socket.messageAddress = 0
  }

  // ---- ws.state ----

  /** A script has had the state in its hands: it is kept when its hook has ended, or soon after. */
  touch(slot: Slot): void {
    this.#touched.add(slot)
    slot.socket!.hasState = true
    this.#guest.slots.keep(slot)
  }

  get anyTouched(): boolean {
    return this.#touched.size > 0
  }

  /**
   * Takes the state over that was last kept by another sandbox, or by this one and has been changed since.
   * @throws HookFailure when the script's `migrate` fails, Poisoned
   */
  #meet(slot: Slot, socket: SlotSocket, view: WebSocketView): void {
    const key = view.states.has(this.#key) || socket.hasState ? this.#key : this.#otherKey(view)
    const saved = view.states.get(key)
    if (saved === undefined || saved === socket.saved) return
    const { instance, values, slots } = this.#guest
    const migrates = saved.version !== this.#ownVersion && this.migrate !== 0
    const json = values.string(saved.json)
    const migrate = migrates ? this.migrate : instance.undefinedCell
    const done = instance.call3(this.#cells!.restore, socket.ws, json, migrate)
    instance.free(json)
    instance.free(this.#checked(done))
    slots.keep(slot)
    socket.hasState = true
    socket.saved = saved
    if (!migrates && key === this.#key) return
    if (key !== this.#key) view.states.delete(key)
    this.touch(slot)
  }

  /** Which sources the script is made of. */
  get #ownVersion(): string {
    this.#version ??= this.#guest.options.modules.digest
    return this.#version
  }

  /** What the same script has kept with other parameters, before the configuration was changed. */
  #otherKey(view: WebSocketView): string {
    for (const [key, state] of view.states) {
      const isLive = state instanceof KeptState && state.live
      if (!isLive && (key === this.#file || key.startsWith(`${this.#file} `))) return key
    }
    return this.#key
  }

  /**
   * Keeps the states that were touched, but for those of other hooks that wait: they are kept when these have ended.
   * @param own whose hook has just ended; null: none has
   * @throws HookFailure when that one's state cannot be kept, Poisoned
   */
  save(own: Slot | null): void {
    // What `toJSON` of the script touches meanwhile comes next time.
    for (const slot of [...this.#touched]) {
      if (slot !== own && slot.active) continue
      this.#touched.delete(slot)
      try {
        this.#saveOne(slot)
      } catch (error) {
        if (slot === own || !(error instanceof HookFailure)) throw error
        this.#guest.options.owner.unhandled(error.fault, slot.request)
      }
    }
  }

  /** Keeps a state as it is, as far as that is possible: its hook has failed. @throws Poisoned */
  rescue(slot: Slot): void {
    if (!this.#touched.delete(slot)) return
    try {
      this.#saveOne(slot)
    } catch (error) {
      if (!(error instanceof HookFailure)) throw error
    }
  }

  #saveOne(slot: Slot): void {
    const { instance, values } = this.#guest
    const view = slot.request?.webSocket ?? null
    const socket = slot.socket!
    if (view === null) return
    const cell = instance.call1(this.#cells!.save, socket.ws)
    if (values.tag(cell) === Tag.EXCEPTION) {
      const { fault, overrun } = this.#guest.failureOf(instance.takeException(cell))
      throw unkept(slot, fault.message, overrun, fault.frames)
    }
    try {
      const json = values.text(cell, 'its JSON', MAX_STATE)
      socket.saved = new KeptState(json, this.#ownVersion)
      view.states.set(this.#key, socket.saved)
    } catch (error) {
      throw error instanceof GuestError ? unkept(slot, fromBytes(error.message)) : error
    } finally {
      instance.free(cell)
    }
  }

  /** The request is over for this sandbox, or goes on in another one. @throws Poisoned */
  forget(slot: Slot): void {
    const { instance } = this.#guest
    const socket = slot.socket
    if (socket === null || !socket.hasState) return
    this.rescue(slot)
    this.#touched.delete(slot)
    if (socket.saved instanceof KeptState) socket.saved.live = false
    socket.hasState = false
    socket.saved = undefined
    instance.free(instance.call1(this.#cells!.forget, socket.ws))
  }
}

function unkept(slot: Slot, why: string, overrun = false, frames: Fault['frames'] = []): HookFailure {
  return new HookFailure({ message: `ws.state cannot be kept after ${slot.phase}: ${why}`, frames }, overrun)
}
