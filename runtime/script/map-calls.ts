/**
 * What a sandbox waits for from session maps: the calls under way with their ids, quotas and owners (a request or the
 * script itself), and who makes a value that is not there. Knows maps through `phases.ts`, and no store.
 *
 *   getOrSet of one key, in one sandbox at a time:
 *
 *     get --there--> all get it
 *      |
 *      +--absent--> the first makes it --> add --> all get what is there now
 *                        |
 *                        +-- its request ends --> the next one makes it
 *
 *   In balancer hooks what is there may name a lost peer: then it is as if it were absent, but that what is made takes its
 *   place (compare and set), and only if it names a peer itself.
 */
import type { MapValue, ScriptMap } from '../phases.ts'
import { checkValue } from '../store/limits.ts'
import { isOut } from '../store/session-map.ts'
import { StoreError } from '../store/store.ts'
import type { Guest } from './guest-setup.ts'
import { GuestError, type GuestValues, Tag, toBytes } from './guest-values.ts'
import type { Instance } from './instance.ts'
import { balancerOf, hashedPeer, isLost, namesPeer } from './map-peers.ts'
import { guestValue } from './map-values.ts'
import type { Address } from './quickjs-module.ts'
import { isGone, type Slot, type Slots } from './slots.ts'

const MAX_PER_REQUEST = 64
/** As many as requests in one sandbox: each may wait for the store while it is away. */
const MAX_PER_SANDBOX = 16_384
const NONE: readonly number[] = []

/** What the guest is told of a call, as `stdlib/store.js` has it. */
const Told = { VALUE: 0, MAKE: 1, FAILED: 2, THREW: 3, DROPPED: 4 } as const

/** The sandbox as calls of maps see it. */
export interface MapGuest {
  readonly instance: Instance
  readonly values: GuestValues
  readonly guest: Guest
  readonly host: { readonly map?: (name: string) => ScriptMap | undefined }
  readonly slots: Pick<Slots, 'keep'>
  /** The slot whose hook, timer or continuation runs. */
  readonly current: Slot | null
  /** Goes into the guest in a request's name, or the script's own. */
  enter(slot: Slot | null, action: () => void): void
  /** Runs what has become ready in the guest. @throws Poisoned */
  drain(): void
}

/** Makes the guest's value of an answer; null: it cannot be read. */
export type MapAnswer = (guest: Pick<MapGuest, 'instance' | 'values' | 'guest'>) => Address | null

export interface MapQuestion {
  ask(): Promise<MapAnswer>
  /** A consistent hash may answer while the store is away (`on_error=hash`). */
  readonly hashes?: boolean
}

interface Call {
  readonly id: number
  readonly slot: Slot | null
  /** null: it is no map that is asked. */
  readonly map: ScriptMap | null
  readonly key: string
  readonly flight: Flight | null
}

/** All that wait for one key of one map. */
interface Flight {
  readonly id: string
  readonly map: ScriptMap
  readonly key: string
  readonly ttl: number | undefined
  /** In the order in which they came. */
  readonly waiting: Set<Call>
  /** Who makes the value. */
  maker: Call | null
  /** The store could not be asked; what is made is owed to it. */
  isAway: boolean
  /** What is there names a lost peer. */
  lost: MapValue | null
}

export class MapCalls {
  readonly #guest: MapGuest
  readonly #maps: ScriptMap[] = []
  readonly #calls = new Map<number, Call>()
  readonly #flights = new Map<string, Flight>()
  /** Cells of the guest's `settle`: one for each module that waits. Ids of the others mean nothing to it. */
  readonly #settles: Address[] = []
  #lastId = 0

  constructor(guest: MapGuest) {
    this.#guest = guest
  }

  /** The guest's part is there. Takes the cell over. */
  ready(settle: Address): void {
    this.#settles.push(settle)
  }

  /** @returns the map's number. @throws GuestError */
  open(name: string): number {
    const known = this.#maps.findIndex((map) => map.name === name)
    if (known >= 0) return known
    const map = this.#guest.host.map?.(name)
    if (map === undefined) {
      const shown = JSON.stringify(name.slice(0, 100))
      throw new GuestError('Error', `there is no session map ${shown}; write "session_map NAME;" in http`)
    }
    return this.#maps.push(map) - 1
  }

  /** @throws GuestError */
  at(index: number): ScriptMap {
    const map = this.#maps[index]
    if (map === undefined) throw new GuestError('TypeError', 'this is no session map')
    return map
  }

  /** Asks, for the current slot or for the script itself. @returns an id. @throws GuestError over the quota */
  start(map: ScriptMap | null, key: string, question: MapQuestion): number {
    const call = this.#begin(map, key, null)
    question.ask().then(
      (answer) => this.#answer(call, answer),
      (error: unknown) => this.#fail(call, error, question.hashes === true),
    )
    return call.id
  }

  /** @returns an id. @throws GuestError over the quota */
  getOrSet(index: number, key: string, ttl: number | undefined): number {
    const map = this.at(index)
    const id = `${index} ${key}`
    const known = this.#flights.get(id)
    const flight: Flight = known ?? {
      id,
      map,
      key,
      ttl,
      waiting: new Set(),
      maker: null,
      isAway: false,
      lost: null,
    }
    const call = this.#begin(map, key, flight)
    flight.waiting.add(call)
    if (known === undefined) {
      this.#flights.set(id, flight)
      map.get(key).then(
        (value) => this.#found(flight, value),
        (error: unknown) => this.#without(flight, error),
      )
    }
    return call.id
  }

  #begin(map: ScriptMap | null, key: string, flight: Flight | null): Call {
    const { current: slot, slots } = this.#guest
    const own = slot === null ? null : (slot.mapCalls ??= new Set())
    if (own !== null && own.size >= MAX_PER_REQUEST) throw tooMany(MAX_PER_REQUEST, 'request')
    if (this.#calls.size >= MAX_PER_SANDBOX) throw tooMany(MAX_PER_SANDBOX, 'script')
    this.#lastId = this.#lastId === 0x7fffffff ? 1 : this.#lastId + 1
    const call: Call = { id: this.#lastId, slot, map, key, flight }
    this.#calls.set(call.id, call)
    own?.add(call.id)
    if (slot !== null) slots.keep(slot)
    return call
  }

  /** For the hook that runs. */
  isLost(value: MapValue | null): boolean {
    const view = value === null ? null : balancerOf(this.#guest.current)
    return view !== null && isLost(view.peers, value!)
  }

  // ---- who makes a value ----

  #found(flight: Flight, value: MapValue | null): void {
    const [first] = flight.waiting
    const view = value === null || first === undefined ? null : balancerOf(first.slot)
    if (value === null || (view !== null && isLost(view.peers, value))) {
      flight.lost = value
      this.#make(flight)
    } else this.#land(flight, value)
  }

  #without(flight: Flight, error: unknown): void {
    if (flight.map.onError !== 'stale' || !isOut(error)) {
      this.#crash(flight, error)
      return
    }
    flight.isAway = true
    this.#make(flight)
  }

  /** Has the first of those who wait make the value. Outside the guest only. */
  #make(flight: Flight): void {
    flight.maker = null
    for (const call of flight.waiting) {
      flight.maker = call
      this.#tell(call, Told.MAKE, ({ values }) => values.null())
      if (flight.waiting.has(call) && !isOver(call)) return
    }
    // Those that are left wait for nothing but to be dropped.
    flight.maker = null
    this.#flights.delete(flight.id)
  }

  /** The guest has made a value. */
  made(id: number, value: MapValue): void {
    const flight = this.#flightOf(id)
    if (flight === null) return
    const { map, lost, maker } = flight
    flight.maker = null
    const view = balancerOf(maker?.slot ?? null)
    const replaces = lost !== null && view !== null && namesPeer(view.peers, value)
    // The guest runs: it is told when it has been left.
    const stored = lost === null ? add(flight, value) : replaces ? replace(flight, lost, value) : kept(lost)
    stored.then(
      (there) => this.#land(flight, there),
      (error: unknown) => {
        if (map.onError !== 'stale' || !isOut(error)) return this.#crash(flight, error)
        if (lost === null) map.owe(flight.key, value)
        this.#land(flight, value)
      },
    )
  }

  /** The guest has nothing to store. A peer that rests is better than none then. */
  madeNothing(id: number): void {
    const flight = this.#flightOf(id)
    if (flight === null) return
    const { lost } = flight
    flight.maker = null
    this.#flights.delete(flight.id)
    queueMicrotask(() => {
      if (lost !== null) return this.#land(flight, lost)
      for (const call of flight.waiting) this.#answer(call, ({ values }) => values.undefined())
    })
  }

  /** The guest could not make one: all who wait get its error, whose cell stays the caller's. */
  notMade(id: number, error: Address): void {
    const flight = this.#flightOf(id)
    if (flight === null) return
    const { instance } = this.#guest
    if (flight.lost !== null) {
      this.madeNothing(id)
      return
    }
    const kept = instance.duplicate(error)
    this.#flights.delete(flight.id)
    queueMicrotask(() => {
      for (const call of flight.waiting) this.#settleBy(call, Told.THREW, () => instance.duplicate(kept))
      if (instance.poison === null) instance.free(kept)
    })
  }

  /** The flight that the call of this id is to make the value of. */
  #flightOf(id: number): Flight | null {
    const call = this.#calls.get(id)
    const flight = call?.flight
    return flight == null || flight.maker !== call ? null : flight
  }

  #land(flight: Flight, value: MapValue): void {
    this.#flights.delete(flight.id)
    for (const call of flight.waiting) this.#answer(call, (guest) => guestValue(guest, value))
  }

  #crash(flight: Flight, error: unknown): void {
    this.#flights.delete(flight.id)
    for (const call of flight.waiting) this.#fail(call, error, true)
  }

  // ---- what the guest is told ----

  #answer(call: Call, answer: MapAnswer): void {
    this.#settleBy(call, Told.VALUE, answer)
  }

  #fail(call: Call, error: unknown, hashes: boolean): void {
    const value = hashes && isOut(error) ? hashedPeer(call) : undefined
    if (value !== undefined) {
      this.#answer(call, (guest) => (value === null ? guest.values.null() : guestValue(guest, value)))
      return
    }
    const code = error instanceof StoreError ? error.code : 'unavailable'
    this.#settleBy(call, Told.FAILED, ({ values }) => values.string(failureText(code, messageOf(error))))
  }

  /** The call is over with it, unless nobody waits for its request any more: then it stays until that is released. */
  #settleBy(call: Call, told: number, answer: MapAnswer): void {
    this.#tell(call, told, (guest) => {
      this.#over(call)
      return answer(guest)
    })
  }

  #tell(call: Call, told: number, answer: MapAnswer): void {
    const guest = this.#guest
    guest.enter(call.slot, () => {
      if (!this.#calls.has(call.id)) return
      const cell = answer(guest)
      if (cell === null) this.#send(call.id, Told.FAILED, guest.values.string(UNREADABLE))
      else this.#send(call.id, told, cell)
      guest.drain()
    })
  }

  /** Takes the cell over. @throws Poisoned */
  #send(id: number, told: number, cell: Address): void {
    const { instance, values } = this.#guest
    const [idCell, toldCell] = [values.int(id), values.int(told)]
    for (const settle of this.#settles) {
      const result = instance.call3(settle, idCell, toldCell, cell)
      instance.free(values.tag(result) === Tag.EXCEPTION ? instance.takeException(result) : result)
    }
    for (const each of [idCell, toldCell, cell]) instance.free(each)
  }

  // ---- the end of requests ----

  /** Gives up those of a request. @returns their ids, which the guest is to forget by {@link drop} */
  dropAll(slot: Slot): readonly number[] {
    if (slot.mapCalls === null || slot.mapCalls.size === 0) return NONE
    const ids = [...slot.mapCalls]
    for (const id of ids) {
      const call = this.#calls.get(id)!
      const { flight } = call
      this.#over(call)
      // Another one makes the value; the guest may be running now.
      if (flight !== null && flight.maker === call) queueMicrotask(() => this.#passOn(flight, call))
    }
    return ids
  }

  #passOn(flight: Flight, from: Call): void {
    if (flight.maker === from && this.#guest.instance.poison === null) this.#make(flight)
  }

  /** @throws Poisoned */
  drop(id: number): void {
    this.#send(id, Told.DROPPED, this.#guest.values.null())
  }

  /** The sandbox is gone. */
  clear(): void {
    for (const call of [...this.#calls.values()]) this.#over(call)
    this.#flights.clear()
  }

  #over(call: Call): void {
    this.#calls.delete(call.id)
    call.slot?.mapCalls?.delete(call.id)
    call.flight?.waiting.delete(call)
  }
}

/** Nobody waits for the call's request any more. */
function isOver({ slot }: Call): boolean {
  return slot !== null && (slot.request === null || isGone(slot))
}

/** @returns what is there now */
async function add({ map, key, ttl, isAway }: Flight, value: MapValue): Promise<MapValue> {
  if (!isAway) return (await map.add(key, value, ttl)) ?? value
  // The store is not even asked, but for what it would refuse.
  checkValue(value)
  map.owe(key, value)
  return value
}

/** Of many who find the same peer lost one wins. @returns what is there now */
function replace({ map, key, ttl }: Flight, lost: MapValue, value: MapValue): Promise<MapValue> {
  return map.replace(key, lost, value, ttl)
}

/** What was made is no peer: the map does not say where requests go. */
async function kept(value: MapValue): Promise<MapValue> {
  return value
}

function failureText(code: string, message: string): string {
  return toBytes(JSON.stringify([code, message]))
}

const UNREADABLE = failureText('wrong_type', 'what the store holds there is no JSON')

function messageOf(error: unknown): string {
  return error instanceof StoreError ? error.message : 'the store failed'
}

function tooMany(limit: number, of: string): GuestError {
  return new GuestError(
    'RangeError',
    `more than ${limit} calls of session maps of one ${of} at the same time`,
  )
}
