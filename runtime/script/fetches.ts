/**
 * The fetches of a sandbox that are under way: their ids, quotas and owners, a request or the script itself. Carries what
 * the host tells of them into the guest. Knows no network.
 */
import { StringDecoder } from 'node:string_decoder'
import type { FetchCall, FetchEvents, FetchRequest, ScriptHost, ScriptLimits } from '../phases.ts'
import { GuestError, type GuestValues, Tag, toBytes } from './guest-values.ts'
import type { Instance } from './instance.ts'
import { ReadAs, Told } from './prelude-fetch.ts'
import type { Address } from './quickjs-module.ts'
import type { Slot, Slots } from './slots.ts'

const MAX_PER_REQUEST = 64
const MAX_PER_SANDBOX = 256
/** Bytes of the bodies of all requests under way, which are copies of the guest's. */
const MAX_BODIES = 32 * 1024 * 1024
const NONE: readonly number[] = []

/** The sandbox as fetches see it. */
export interface FetchGuest {
  readonly instance: Instance
  readonly values: GuestValues
  readonly host: ScriptHost
  readonly slots: Pick<Slots, 'keep'>
  readonly options: { readonly limits: ScriptLimits }
  /** The slot whose hook, timer or continuation runs. */
  readonly current: Slot | null
  /** Goes into the guest in a request's name, or the script's own. */
  enter(slot: Slot | null, action: () => void): void
  /** Runs what has become ready in the guest. @throws Poisoned */
  drain(): void
}

export class Fetches {
  readonly #guest: FetchGuest
  readonly #calls = new Map<number, Fetch>()
  /** Cell of the guest's `settle`; 0 until the script uses fetch. */
  #settle: Address = 0
  #lastId = 0
  #bodies = 0

  constructor(guest: FetchGuest) {
    this.#guest = guest
  }

  /** The guest's part is there. */
  ready(settle: Address): void {
    this.#settle = settle
  }

  get isReady(): boolean {
    return this.#settle !== 0
  }

  /** Something may still come. */
  get any(): boolean {
    return this.#calls.size > 0
  }

  /** Begins one for the current slot, or for the script itself. @returns its id. @throws GuestError over the quota */
  start(request: Omit<FetchRequest, 'request'>): number {
    const { current: slot, slots, host, options } = this.#guest
    const own = slot === null ? null : (slot.fetches ??= new Set())
    if (own !== null && own.size >= MAX_PER_REQUEST) throw tooMany(MAX_PER_REQUEST, 'request')
    if (this.#calls.size >= MAX_PER_SANDBOX) throw tooMany(MAX_PER_SANDBOX, 'script')
    const bodySize = request.body === null || request.body === 'stream' ? 0 : request.body.length
    if (this.#bodies + bodySize > MAX_BODIES) {
      throw new GuestError(
        'RangeError',
        `the bodies of a script's fetches take more than ${MAX_BODIES} bytes`,
      )
    }
    this.#lastId = this.#lastId === 0x7fffffff ? 1 : this.#lastId + 1
    const id = this.#lastId
    const fetch = new Fetch(this, id, slot, bodySize)
    this.#bodies += bodySize
    this.#calls.set(id, fetch)
    own?.add(id)
    if (slot !== null) slots.keep(slot)
    const timeout = Math.min(request.timeout, options.limits.wall)
    fetch.call = host.fetch({ ...request, timeout, request: slot === null ? null : slot.request }, fetch)
    return id
  }

  /** Those that are over are ignored by the following. */
  read(id: number, as: number): void {
    const fetch = this.#calls.get(id)
    if (fetch === undefined) return
    fetch.readAs = as
    fetch.call?.read(as !== ReadAs.PIECE)
  }

  write(id: number, chunk: Uint8Array): boolean {
    return this.#calls.get(id)?.call?.write(chunk) ?? true
  }

  finish(id: number): void {
    this.#calls.get(id)?.call?.finish()
  }

  abort(id: number): void {
    const fetch = this.#calls.get(id)
    if (fetch === undefined) return
    this.#over(fetch)
    fetch.call?.abort()
  }

  /** Gives up those of a request. @returns their ids, which the guest is to forget by {@link drop} */
  abortAll(slot: Slot): readonly number[] {
    if (slot.fetches === null || slot.fetches.size === 0) return NONE
    const ids = [...slot.fetches]
    for (const id of ids) this.abort(id)
    return ids
  }

  /** @throws Poisoned */
  drop(id: number): void {
    this.#call(id, Told.DROPPED, this.#guest.instance.undefinedCell)
  }

  /** The sandbox is gone. */
  clear(): void {
    for (const id of [...this.#calls.keys()]) this.abort(id)
  }

  #over(fetch: Fetch): void {
    if (!this.#calls.delete(fetch.id)) return
    this.#bodies -= fetch.bodySize
    fetch.slot?.fetches?.delete(fetch.id)
  }

  /**
   * Tells the guest, unless nobody waits for the request any more: then the fetch stays until that is released.
   * @param value made inside the guest's entry
   * @param isLast the fetch is over with it
   */
  tell(fetch: Fetch, told: number, value: (values: GuestValues) => Address, isLast: boolean): void {
    const guest = this.#guest
    guest.enter(fetch.slot, () => {
      if (isLast) this.#over(fetch)
      const cell = value(guest.values)
      this.#call(fetch.id, told, cell)
      guest.instance.free(cell)
      guest.drain()
    })
  }

  #call(id: number, told: number, value: Address): void {
    const { instance, values } = this.#guest
    const idCell = values.int(id)
    const toldCell = values.int(told)
    const result = instance.call(this.#settle, idCell, toldCell, value)
    for (const cell of [idCell, toldCell]) instance.free(cell)
    instance.free(values.tag(result) === Tag.EXCEPTION ? instance.takeException(result) : result)
  }
}

/** One of them. */
class Fetch implements FetchEvents {
  readonly id: number
  readonly slot: Slot | null
  readonly bodySize: number
  /** Set as soon as it has begun. */
  call: FetchCall | null = null
  readAs: number = ReadAs.PIECE
  readonly #fetches: Fetches
  /** Characters go on over the bounds of chunks. */
  #decoder: StringDecoder | null = null

  constructor(fetches: Fetches, id: number, slot: Slot | null, bodySize: number) {
    this.#fetches = fetches
    this.id = id
    this.slot = slot
    this.bodySize = bodySize
  }

  response(head: Parameters<FetchEvents['response']>[0]): void {
    this.#fetches.tell(this, Told.RESPONSE, (values) => values.string(JSON.stringify(head)), head.empty)
  }

  data(chunk: Uint8Array, last: boolean): void {
    const value = (values: GuestValues): Address =>
      this.readAs === ReadAs.TEXT ? values.string(this.#decoded(chunk, last)) : values.arrayBuffer(chunk)
    this.#fetches.tell(this, last ? Told.LAST : Told.MORE, value, last)
  }

  #decoded(chunk: Uint8Array, last: boolean): string {
    this.#decoder ??= new StringDecoder('utf8')
    const text = this.#decoder.write(chunk as Buffer)
    return toBytes(last ? text + this.#decoder.end() : text)
  }

  drained(): void {
    this.#fetches.tell(this, Told.DRAINED, (values) => values.int(0), false)
  }

  failed({ kind, message }: Parameters<FetchEvents['failed']>[0]): void {
    const said = JSON.stringify([kind, `fetch: ${message}`])
    this.#fetches.tell(this, Told.FAILED, (values) => values.string(said), true)
  }
}

function tooMany(limit: number, of: string): GuestError {
  return new GuestError(
    'RangeError',
    `more than ${limit} fetches of one ${of} at the same time; read or cancel their bodies`,
  )
}
