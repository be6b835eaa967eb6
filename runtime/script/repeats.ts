/**
 * `sluice.every`: functions that a script has called again and again while it is in service. Owns their times, and that
 * the runs of one never overlap. Knows the guest through the sandbox.
 */
import type { ScriptClock } from '../phases.ts'
import { GuestError, Tag } from './guest-values.ts'
import { Poisoned } from './instance.ts'
import type { Address } from './quickjs-module.ts'
import type { Sandbox } from './sandbox.ts'
import { HookFailure, positionOf } from './script-error.ts'

const MAX_REPEATS = 32
/** ms */
const MIN_INTERVAL = 100
/** ms; Node fires longer timers at once. */
const MAX_INTERVAL = 2 ** 31 - 1
const PENDING = 0
const REJECTED = 2

/** Over all of a script's repeated functions. */
export interface RepeatStats {
  runs: number
  /** Overruns included. */
  errors: number
  overruns: number
  /** The run before still waited for something. */
  skipped: number
}

/** One call of `sluice.every`. */
interface Repeat {
  readonly id: number
  readonly interval: number
  timer: unknown
  /** Of the run that waits; 0: none does. */
  ticket: number
  wallTimer: unknown
}

export class Repeats {
  readonly #sandbox: Sandbox
  readonly #clock: ScriptClock
  readonly #repeats = new Map<number, Repeat>()
  #isInService = false
  #lastId = 0

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox
    this.#clock = sandbox.clock
  }

  get any(): boolean {
    return this.#repeats.size > 0
  }

  /** @param interval ms. @throws GuestError */
  add(interval: number): number {
    if (this.#sandbox.ready) {
      throw new GuestError('TypeError', 'sluice.every is possible only while the script loads')
    }
    if (!(interval >= MIN_INTERVAL && interval <= MAX_INTERVAL)) {
      throw new GuestError(
        'RangeError',
        `sluice.every takes a time from ${MIN_INTERVAL}ms to ${MAX_INTERVAL}ms`,
      )
    }
    if (this.#repeats.size >= MAX_REPEATS) {
      throw new GuestError('RangeError', `sluice.every: more than ${MAX_REPEATS} of one script`)
    }
    const id = ++this.#lastId
    this.#repeats.set(id, { id, interval, timer: null, ticket: 0, wallTimer: null })
    return id
  }

  /** A run under way goes on. */
  remove(id: number): void {
    const repeat = this.#repeats.get(id)
    if (repeat === undefined) return
    this.#repeats.delete(id)
    this.#clock.clearTimeout(repeat.timer)
  }

  /** The script's generation serves. */
  start(): void {
    if (this.#isInService) return
    this.#isInService = true
    for (const repeat of this.#repeats.values()) this.#arm(repeat)
  }

  /** It serves no more. Runs under way go on. */
  stop(): void {
    this.#isInService = false
    for (const repeat of this.#repeats.values()) this.#clock.clearTimeout(repeat.timer)
  }

  /** The sandbox is gone. */
  clear(): void {
    this.stop()
    for (const repeat of this.#repeats.values()) this.#stopWaiting(repeat)
    this.#repeats.clear()
  }

  #arm(repeat: Repeat): void {
    repeat.timer = this.#clock.setTimeout(() => this.#due(repeat), repeat.interval)
  }

  #due(repeat: Repeat): void {
    this.#arm(repeat)
    const { stats } = this.#sandbox.options.owner
    if (repeat.ticket !== 0) {
      stats.repeats.skipped++
      return
    }
    stats.repeats.runs++
    this.#sandbox.enter(null, () => {
      try {
        this.#run(repeat)
      } catch (error) {
        this.#failed(error)
        if (error instanceof Poisoned) throw error
      }
    })
  }

  /** @throws HookFailure, Poisoned */
  #run(repeat: Repeat): void {
    const sandbox = this.#sandbox
    const { instance, values, guest } = sandbox
    const id = values.int(repeat.id)
    const cell = instance.call1(guest.repeat, id)
    instance.free(id)
    if (values.tag(cell) === Tag.EXCEPTION) throw sandbox.failureOf(instance.takeException(cell))
    sandbox.drain()
    const state = instance.promiseState(cell)
    const reason = state === REJECTED ? instance.promiseResult(cell) : 0
    if (state === PENDING && !instance.killed) this.#wait(repeat, cell)
    instance.free(cell)
    if (reason !== 0) throw sandbox.failureOf(reason)
    if (instance.killed) throw overrun(instance.cpuMessage)
  }

  #wait(repeat: Repeat, promise: Address): void {
    const { wall } = this.#sandbox.options.limits
    repeat.ticket = this.#sandbox.watch(promise, ({ failure, cell }) => {
      this.#stopWaiting(repeat)
      if (failure !== null) this.#failed(failure)
      else this.#sandbox.instance.free(cell)
    })
    repeat.wallTimer = this.#clock.setTimeout(
      () => {
        this.#stopWaiting(repeat)
        this.#failed(overrun(`the function has waited for more than ${wall} ms`))
      },
      Math.min(wall, MAX_INTERVAL),
    )
  }

  #stopWaiting(repeat: Repeat): void {
    this.#sandbox.settlements.drop(repeat.ticket)
    repeat.ticket = 0
    this.#clock.clearTimeout(repeat.wallTimer)
    repeat.wallTimer = null
  }

  #failed(error: unknown): void {
    const { owner } = this.#sandbox.options
    const failure = error instanceof HookFailure ? error : lost(error as Error)
    owner.stats.repeats.errors++
    if (failure.overrun) owner.stats.repeats.overruns++
    owner.repeatFailed(failure.fault)
  }
}

function lost(error: Error): HookFailure {
  const frames = error instanceof Poisoned ? positionOf(error) : []
  return new HookFailure({ message: error.message, frames }, true)
}

function overrun(message: string): HookFailure {
  return new HookFailure({ message, frames: [] }, true)
}
