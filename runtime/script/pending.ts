/**
 * What a script waits for outside the sandbox: timers and request bodies. Owns their quotas and ids; each belongs to a
 * request (it dies with it) or to the script itself.
 */
import type { BodyFailure, ScriptClock } from '../phases.ts'
import { GuestError } from './guest-values.ts'
import type { Slot } from './slots.ts'
import type { Turns } from './turns.ts'

const MAX_TIMERS_PER_REQUEST = 32
const MAX_PENDING = 1024
/** ms; shorter timers take this long. */
const MIN_DELAY = 10
const MAX_DELAY = 2 ** 31 - 1

export interface PendingEvents {
  /** A timer is due. */
  fired(id: number, slot: Slot | null): void
  /** A request's body has been read, or could not be. May be called while the guest runs. */
  bodyRead(id: number, slot: Slot, failure: BodyFailure | null, body: Uint8Array): void
}

interface Operation {
  readonly slot: Slot | null
  /** null: it is no timer. */
  readonly timer: unknown
}

export class Pending {
  readonly #events: PendingEvents
  readonly #clock: ScriptClock
  readonly #turns: Turns
  readonly #operations = new Map<number, Operation>()
  /** Timers of the script itself. */
  readonly #own = new Set<number>()
  #lastId = 0

  constructor(events: PendingEvents, clock: ScriptClock, turns: Turns) {
    this.#events = events
    this.#turns = turns
    this.#clock = clock
  }

  /** @throws GuestError over the quota */
  startTimer(slot: Slot | null, ms: number): number {
    const ids = this.#idsOf(slot)
    if (ids.size >= MAX_TIMERS_PER_REQUEST) {
      throw new GuestError('RangeError', `more than ${MAX_TIMERS_PER_REQUEST} timers of one request`)
    }
    const id = this.#newId(ids)
    const delay = Math.min(Math.max(ms, MIN_DELAY), MAX_DELAY)
    const timer = this.#clock.setTimeout(
      () =>
        this.#turns.run(() => {
          if (this.#done(id)) this.#events.fired(id, slot)
        }),
      Number.isNaN(delay) ? MIN_DELAY : delay,
    )
    this.#operations.set(id, { slot, timer })
    return id
  }

  /** @throws GuestError over the quota */
  readBody(slot: Slot): number {
    const id = this.#newId(this.#idsOf(slot))
    this.#operations.set(id, { slot, timer: null })
    slot.request!.readBody((error, body) => {
      // Once, and only as long as the request lives.
      if (!this.#done(id)) return
      this.#events.bodyRead(id, slot, error, body)
    })
    return id
  }

  stop(id: number): void {
    const operation = this.#operations.get(id)
    if (operation?.timer) this.#clock.clearTimeout(operation.timer)
    this.#done(id)
  }

  /** Gives up all that the request waits for. @returns the ids */
  dropAll(slot: Slot): Iterable<number> {
    const ids = slot.pending === null ? [] : [...slot.pending]
    for (const id of ids) this.stop(id)
    return ids
  }

  /** The sandbox is gone. */
  clear(): void {
    for (const { timer } of this.#operations.values()) if (timer !== null) this.#clock.clearTimeout(timer)
    this.#operations.clear()
    this.#own.clear()
  }

  #idsOf(slot: Slot | null): Set<number> {
    if (slot === null) return this.#own
    slot.pending ??= new Set()
    return slot.pending
  }

  #newId(ids: Set<number>): number {
    if (this.#operations.size >= MAX_PENDING) {
      throw new GuestError('RangeError', `a script waits for at most ${MAX_PENDING} things at the same time`)
    }
    this.#lastId = this.#lastId === 0x7fffffff ? 1 : this.#lastId + 1
    ids.add(this.#lastId)
    return this.#lastId
  }

  #done(id: number): boolean {
    const operation = this.#operations.get(id)
    if (operation === undefined) return false
    this.#operations.delete(id)
    this.#idsOf(operation.slot).delete(id)
    return true
  }
}
