/**
 * The guest objects that stand for a request (`r`, its variables, header fields and upstream group), made once and
 * used for one request after the other. The host knows them by their addresses.
 *
 *     free --open--> in use --release--> free        nobody in the guest holds any of the objects
 *                               |
 *                               +------> dropped     the script kept one: it answers "this request is over" for ever
 *
 * Whether the guest still holds an object is read from its reference counts.
 */
import type { HookRequest, Phase, WebSocketState } from '../phases.ts'
import { FieldQuota } from './field-quota.ts'
import { GuestError } from './guest-values.ts'
import type { Instance } from './instance.ts'
import type { Address } from './quickjs-module.ts'

export const Decision = { NONE: 0, ANSWER: 1, REDIRECT: 2, DECLINE: 3, REPLACED: 4 } as const
export type Decision = (typeof Decision)[keyof typeof Decision]

/** The guest objects of a slot whose requests become WebSockets: `ws`, and `msg` while it is needed. */
export class SlotSocket {
  /** Cells; 0: there is no `msg`. */
  readonly ws: Address
  message: Address = 0
  /** Of the objects in these cells. */
  readonly wsAddress: number
  messageAddress = 0
  /** Cell of what `msg.data` was read as; 0: it was not read. */
  data: Address = 0
  /** The guest has a `ws.state`. */
  hasState = false
  /** The `ws.state` of the guest as it was last taken from the WebSocket, or given to it. */
  saved: WebSocketState | undefined = undefined

  constructor(ws: Address, wsAddress: number) {
    this.ws = ws
    this.wsAddress = wsAddress
  }
}

/** What one sandbox knows of one request. */
export class Slot {
  /** null: not in use. */
  request: HookRequest | null = null
  phase: Phase = 'access'
  /** Cells of the guest's `r` and `upstream`. */
  readonly r: Address
  readonly upstream: Address
  /** Of every guest object that stands for the request. */
  readonly addresses: readonly number[]
  /** The script has put something aside for later phases: the slot stays until the request is over. */
  kept = false
  /** A hook runs or is suspended. */
  active = false
  /** The request is over; only its log hook is still waited for. */
  over = false

  // what the running hook decided
  decision: Decision = Decision.NONE
  status = 0
  fields: [name: string, value: string][] | null = null
  body: string | Uint8Array | null = null
  /** Of the header fields that it sets. */
  readonly quota = new FieldQuota()

  /** Of the suspended hook; 0: none is. */
  ticket = 0
  /** ms of the process's own clock. */
  suspendedAt = 0
  /** Of the clock that the sandbox goes by; null: none runs. */
  wallTimer: unknown = null
  /** Ids of timers and body reads that the script waits for. */
  pending: Set<number> | null = null
  /** Ids of fetches. */
  fetches: Set<number> | null = null
  /** Ids of calls of session maps. */
  mapCalls: Set<number> | null = null
  requestBody: Uint8Array | null = null
  /** null: no `ws*` hook has run in this slot. */
  socket: SlotSocket | null = null
  /** Slot of the same request in another sandbox. */
  next: Slot | null = null
  readonly owner: unknown

  constructor(owner: unknown, r: Address, upstream: Address, addresses: readonly number[]) {
    this.owner = owner
    this.r = r
    this.upstream = upstream
    this.addresses = addresses
  }

  /** Whether this is one of the objects that stand for the request. */
  has(address: number): boolean {
    const { addresses } = this
    for (let i = 0; i < addresses.length; i++) if (addresses[i] === address) return true
    return false
  }

  resetDecision(): void {
    this.quota.reset()
    this.decision = Decision.NONE
    this.fields = null
    this.body = null
  }
}

/** Requests that may be in one sandbox's hands at the same time. */
const MAX_SLOTS = 16_384
/** Free slots that are worth keeping. */
const MAX_FREE = 256

export class Slots {
  readonly #instance: Instance
  readonly #owner: unknown
  readonly #make: () => { r: Address; upstream: Address }
  readonly #free: Slot[] = []
  readonly #inUse = new Set<Slot>()
  readonly #byAddress = new Map<number, Slot>()
  /** The slot of the hook that ran last. */
  #last: Slot | null = null
  #making: readonly number[] = []
  #count = 0

  /** @param make has the guest make the objects of one slot; it calls `made` with their addresses meanwhile */
  constructor(instance: Instance, owner: unknown, make: () => { r: Address; upstream: Address }) {
    this.#instance = instance
    this.#owner = owner
    this.#make = make
  }

  made(addresses: readonly number[]): void {
    this.#making = addresses
  }

  get inUse(): Iterable<Slot> {
    return this.#inUse
  }

  open(request: HookRequest): Slot {
    const slot = this.#free.pop() ?? this.#new()
    slot.request = request
    if (this.#last !== slot) this.#last = slot
    return slot
  }

  #new(): Slot {
    if (this.#count >= MAX_SLOTS) throw new GuestError('Error', `more than ${MAX_SLOTS} requests at once`)
    const { r, upstream } = this.#make()
    const slot = new Slot(this.#owner, r, upstream, this.#making)
    this.#count++
    for (const address of slot.addresses) this.#byAddress.set(address, slot)
    return slot
  }

  /** The script keeps something for the rest of this request. */
  keep(slot: Slot): void {
    if (slot.kept) return
    slot.kept = true
    this.#inUse.add(slot)
  }

  /** One more guest object stands for this slot's requests, until it is {@link disown}ed. */
  adopt(slot: Slot, address: number): void {
    this.#byAddress.set(address, slot)
  }

  /** The guest has kept this object: it is stale from now on. */
  disown(address: number): void {
    this.#byAddress.delete(address)
  }

  /** The slot of a guest object, in use or not. */
  find(address: number): Slot | undefined {
    return this.#byAddress.get(address)
  }

  /** The slot of a guest object, for the request it stands for now. @throws GuestError when that is over */
  of(address: number): Slot {
    const last = this.#last
    // Fast path: an object of the request whose hook runs.
    if (last !== null && last.request !== null && last.has(address)) return last
    const slot = this.#byAddress.get(address)
    if (slot === undefined || slot.request === null) throw STALE
    return slot
  }

  /** True if the guest holds none of the slot's objects but through our own handles. */
  isUnshared(slot: Slot): boolean {
    const { values } = this.#instance
    for (const address of slot.addresses) if (!values.isUnshared(address)) return false
    return slot.socket === null || values.isUnshared(slot.socket.wsAddress)
  }

  /** The request is over for this sandbox. The guest must have forgotten what it kept. */
  release(slot: Slot): void {
    slot.request = null
    if (slot.kept) {
      slot.kept = false
      slot.over = false
      slot.next = null
      this.#inUse.delete(slot)
    }
    if (this.isUnshared(slot)) this.reuse(slot)
    else this.#drop(slot)
  }

  /** As {@link release}, for a slot that is not kept and not shared. */
  reuse(slot: Slot): void {
    slot.request = null
    if (this.#free.length < MAX_FREE) this.#free.push(slot)
    else this.#drop(slot)
  }

  #drop(slot: Slot): void {
    if (this.#last === slot) this.#last = null
    for (const address of slot.addresses) this.#byAddress.delete(address)
    this.#instance.free(slot.r)
    this.#instance.free(slot.upstream)
    this.#count--
    const { socket } = slot
    if (socket === null) return
    this.#byAddress.delete(socket.wsAddress)
    this.#byAddress.delete(socket.messageAddress)
    this.#instance.free(socket.ws)
    if (socket.message !== 0) this.#instance.free(socket.message)
  }
}

/** Nobody waits for what a hook decides; log hooks run for requests that are over. */
export function isGone(slot: Slot): boolean {
  return slot.request!.closed && slot.phase !== 'log'
}

// ---- the slots of one request, a list from `HookRequest.scriptState` on ----

/** The slot that this sandbox has for the request. */
export function findSlot(request: HookRequest, owner: unknown): Slot | null {
  for (let slot = request.scriptState as Slot | null; slot !== null; slot = slot.next) {
    if (slot.owner === owner) return slot
  }
  return null
}

/** Has the request know its slot, from one hook to the next. */
export function linkSlot(slot: Slot): void {
  const request = slot.request!
  if (findSlot(request, slot.owner) !== null) return
  slot.next = request.scriptState as Slot | null
  request.scriptState = slot
}

/** Takes this sandbox's slot from the request. */
export function unlinkSlot(request: HookRequest, owner: unknown): Slot | null {
  let before: Slot | null = null
  for (let slot = request.scriptState as Slot | null; slot !== null; slot = slot.next) {
    if (slot.owner === owner) {
      if (before === null) request.scriptState = slot.next
      else before.next = slot.next
      slot.next = null
      return slot
    }
    before = slot
  }
  return null
}

const STALE = new GuestError(
  'Error',
  'this request is over: r and what belongs to it cannot be used any more',
)
