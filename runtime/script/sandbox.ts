/**
 * One script alive in one instance: runs its hooks, waits for their promises, lets go of requests. Ends with its
 * instance; `engine.ts` makes the next one. An entry into the guest always goes:
 *
 *     enter -> call -> promise jobs -> bodies that are there -> conclude -> rejections -> hooks that settled meanwhile
 */
import {
  type BodyFailure,
  type HookRequest,
  Outcome,
  type Phase,
  type ScriptClock,
  type ScriptHost,
  type ScriptLimits,
} from '../phases.ts'
import { SYSTEM_CLOCK } from './clock.ts'
import { conclude } from './conclude.ts'
import { callBodyFilter } from './content.ts'
import type { DoorContext } from './door.ts'
import { Fetches } from './fetches.ts'
import { faultOf, MAX_DESCRIPTION, ranOut } from './guest-fault.ts'
import { GuestLog, harmless } from './guest-log.ts'
import { addFetch, addWebGlobals, addWebSockets, type Guest, setUpGuest } from './guest-setup.ts'
import { fromBytes, type GuestValues, OutOfMemory, Tag, toBytes } from './guest-values.ts'
import { Instance, Poisoned } from './instance.ts'
import { MapCalls } from './map-calls.ts'
import type { ModuleFiles } from './module-files.ts'
import { PeerGroups } from './peer-groups.ts'
import { Pending } from './pending.ts'
import type { Address, Compiled } from './quickjs-module.ts'
import { type RepeatStats, Repeats } from './repeats.ts'
import { type Fault, HookFailure, positionOf, readFault } from './script-error.ts'
import { type Settlement, Settlements } from './settlements.ts'
import { Decision, findSlot, isGone, linkSlot, type Slot, Slots, unlinkSlot } from './slots.ts'
import { Turns } from './turns.ts'
import { WebSockets } from './web-sockets.ts'

export interface SandboxOptions {
  readonly compiled: Compiled
  readonly modules: ModuleFiles
  readonly params: Readonly<Record<string, string>>
  readonly limits: ScriptLimits
  readonly host: ScriptHost
  /** Begins the script's log lines. */
  readonly name: string
  /** Whose `ws.state` it goes on with; default: that of its own file. */
  readonly stateFile?: string
  readonly owner: SandboxOwner
}

export interface SandboxOwner {
  /** A suspended hook ended well. @param took ms since it was suspended */
  settled(phase: Phase, took: number): void
  /** A suspended hook failed. @returns what the request's journey is told */
  failed(phase: Phase, request: HookRequest, error: unknown): Outcome
  /** Nobody caught this error: a rejected promise, a throwing timer. */
  unhandled(fault: Fault, request: HookRequest | null): void
  /** A function of `sluice.every` failed. */
  repeatFailed(fault: Fault): void
  /** What follows an await, a timer or a body has taken its time in a hook's name. */
  spent(phase: Phase, ms: number): void
  /** The instance is lost. */
  lost(sandbox: Sandbox): void
  readonly stats: { readonly repeats: RepeatStats }
}

/** ms; Node fires longer timers at once. */
const MAX_WAIT = 2 ** 31 - 1

export class Sandbox implements DoorContext {
  readonly instance: Instance
  readonly values: GuestValues
  readonly slots: Slots
  readonly groups: PeerGroups
  readonly host: ScriptHost
  readonly clock: ScriptClock
  readonly log: GuestLog
  readonly guest: Guest
  readonly options: SandboxOptions
  #current: Slot | null = null
  readonly #running: ScriptHost['running']
  /** Cells of the script's hooks. */
  readonly hooks: { [P in Phase]?: Address } = {}
  /** `init` has ended well. */
  ready = false
  /** Who waits for it to load. */
  onLost: ((error: Poisoned) => void) | null = null
  readonly #pending: Pending
  readonly fetches: Fetches
  readonly maps: MapCalls
  readonly repeats: Repeats
  readonly sockets: WebSockets
  /** The guest runs: no hook can be run now. */
  entered = false
  /** An int for the guest, rewritten for each call. */
  readonly #int: Address
  #hasWebGlobals = false
  /** Bodies whose promises are to be settled, with the failure's message. */
  #bodies: [id: number, failure: BodyFailure | null][] = []
  /** Promises that hooks, and `init`, wait for. */
  readonly settlements = new Settlements()
  #deliveryPlanned = false

  /** A sandbox without its script, which `loadInto` adds. @throws Poisoned */
  constructor(options: SandboxOptions) {
    const { compiled, limits, modules, host, params } = options
    this.options = options
    this.host = host
    this.clock = host.clock ?? SYSTEM_CLOCK
    this.#running = host.running
    this.log = new GuestLog(toBytes(`${options.name}: `), (level, line) => host.log(level, line))
    this.instance = new Instance({
      compiled,
      memory: limits.memory,
      stack: limits.stack,
      cpu: limits.load,
      clock: this.clock,
      modules,
      onInternalError: (error) =>
        host.log('alert', harmless(toBytes(`script engine: ${(error as Error)?.stack ?? error}`))),
    })
    this.values = this.instance.values
    this.slots = new Slots(this.instance, this, () => this.#makeSlot())
    this.#pending = new Pending(
      {
        fired: (id, slot) => this.enter(slot, () => this.#fire(id)),
        bodyRead: (id, slot, failure, body) => this.#onBody(id, slot, failure, body),
      },
      this.clock,
      new Turns(limits.cpu),
    )
    this.fetches = new Fetches(this)
    this.maps = new MapCalls(this)
    this.repeats = new Repeats(this)
    this.sockets = new WebSockets(this)
    const { worker, version, generation } = host
    const watchArgs = host.argRead !== undefined
    const hostRandom = host.random !== undefined
    const setup = { params, worker, version, generation, watchArgs, hostRandom }
    this.guest = setUpGuest(this, this.instance, setup)
    this.groups = new PeerGroups(this.instance, this.guest.makePeers)
    this.#int = this.values.int(0)
  }

  get current(): Slot | null {
    return this.#current
  }

  set current(slot: Slot | null) {
    this.#current = slot
    if (this.#running !== undefined) this.#running.request = slot === null ? null : slot.request
  }

  /** The script is loaded: from here on, hooks run within their limits. */
  start(): void {
    this.instance.clock.limit = this.options.limits.cpu
    this.ready = true
  }

  // ---- hooks ----

  /** Runs one hook. @throws HookFailure, Poisoned */
  run(phase: Phase, request: HookRequest): Outcome {
    this.instance.enter()
    const slot = findSlot(request, this) ?? this.slots.open(request)
    slot.phase = phase
    slot.active = true
    slot.decision = Decision.NONE
    this.current = slot
    this.entered = true
    let outcome: Outcome = Outcome.FAILED
    try {
      outcome = this.#call(slot, this.hooks[phase]!)
      return outcome
    } finally {
      this.current = null
      this.entered = false
      if (outcome !== Outcome.SUSPENDED) this.#ended(slot)
      if (this.settlements.anyReady) this.#planDelivery()
    }
  }

  #call(slot: Slot, hook: Address): Outcome {
    const { instance } = this
    const cell = this.#callGuest(slot, hook)
    if (instance.hasJobs || this.#bodies.length > 0) this.drain()
    const outcome = this.#conclude(slot, cell, null)
    if (instance.rejections.any) this.#reportRejections()
    return outcome
  }

  #callGuest(slot: Slot, hook: Address): Address {
    const { instance } = this
    switch (slot.phase) {
      case 'balancer':
        return instance.call2(hook, slot.r, slot.upstream)
      case 'bodyFilter':
        return callBodyFilter(this, slot, hook)
      case 'wsOpen':
      case 'wsMessage':
      case 'wsClose':
        return this.sockets.call(slot, hook)
      default:
        return instance.call1(hook, slot.r)
    }
  }

  /** What the hook comes to. WebSocket states that it has touched are kept, even if it fails by a throw. */
  #conclude(slot: Slot, cell: Address, failure: HookFailure | null): Outcome {
    try {
      if (failure !== null) throw failure
      const outcome = conclude(this, slot, cell)
      if (this.sockets.anyTouched) this.sockets.save(outcome === Outcome.SUSPENDED ? null : slot)
      return outcome
    } catch (error) {
      if (this.sockets.anyTouched && error instanceof HookFailure && !error.overrun) this.sockets.rescue(slot)
      throw error
    }
  }

  /** A hook is over. What the script put aside, or still holds of the request, makes the slot stay until its end. */
  #ended(slot: Slot): void {
    slot.active = false
    if (this.instance.poison !== null) return
    slot.resetDecision()
    this.sockets.ended(slot)
    if (slot.over) this.#release(slot)
    else if (slot.kept || !this.slots.isUnshared(slot)) this.#link(slot)
    else this.slots.reuse(slot)
  }

  #link(slot: Slot): void {
    this.slots.keep(slot)
    linkSlot(slot)
  }

  /** Nobody waits for the request any more: the hook that is suspended, its timers and reads are dropped. */
  abandon(request: HookRequest): void {
    const slot = findSlot(request, this)
    if (slot === null || slot.phase === 'log') return
    slot.active = false
    this.#stopWaiting(slot)
    this.#forget(slot, false)
  }

  /** The request is over. A log hook that still waits for something may end first. */
  release(request: HookRequest): void {
    const slot = unlinkSlot(request, this)
    if (slot === null) return
    if (slot.phase === 'log' && slot.ticket !== 0) slot.over = true
    else this.#release(slot)
  }

  #release(slot: Slot): void {
    slot.active = false
    this.#stopWaiting(slot)
    slot.requestBody = null
    slot.resetDecision()
    this.#forget(slot, true)
    try {
      if (this.instance.poison === null) this.slots.release(slot)
    } catch (error) {
      // What the slot held took too long to free: the next hook finds the instance poisoned.
      if (!(error instanceof Poisoned)) throw error
    }
    if (this.instance.poison !== null) slot.request = null
  }

  /** Drops what the guest still waits for in the request's name and, if it is over, what it has put aside for it. */
  #forget(slot: Slot, isOver: boolean): void {
    const { instance, guest } = this
    const dropped = this.#pending.dropAll(slot)
    const fetches = this.fetches.abortAll(slot)
    const mapCalls = this.maps.dropAll(slot)
    if (instance.poison !== null) return
    const { entered } = this
    this.entered = true
    try {
      instance.enter()
      this.sockets.ended(slot)
      for (const id of dropped) this.#freeResult(instance.call1(guest.drop, this.#intOf(id)))
      for (const id of fetches) this.fetches.drop(id)
      for (const id of mapCalls) this.maps.drop(id)
      if (!isOver) return
      // First what may run code of the script's.
      this.sockets.forget(slot)
      this.#freeResult(instance.call1(guest.forget, slot.r))
    } catch (error) {
      // Out of memory even for this: the next hook finds the instance poisoned.
      if (error instanceof OutOfMemory) instance.doom(error.message)
      else if (!(error instanceof Poisoned)) throw error
    } finally {
      this.entered = entered
    }
  }

  #freeResult(cell: Address): void {
    this.instance.free(this.values.tag(cell) === Tag.EXCEPTION ? this.instance.takeException(cell) : cell)
  }

  // ---- waiting ----

  /** The hook waits for this promise, whose cell stays the caller's. @throws Poisoned */
  suspend(slot: Slot, promise: Address): Outcome {
    slot.ticket = this.watch(promise, (settlement) => this.#resume(slot, settlement))
    slot.suspendedAt = performance.now()
    slot.wallTimer = this.clock.setTimeout(
      () => this.#onWall(slot),
      Math.min(this.options.limits.wall, MAX_WAIT),
    )
    this.#link(slot)
    return Outcome.SUSPENDED
  }

  /** @returns a ticket, by which the watch can be given up. @throws Poisoned */
  watch(promise: Address, done: (settlement: Settlement) => void): number {
    const ticket = this.settlements.add(done)
    this.#freeResult(this.instance.call2(this.guest.watch, promise, this.#intOf(ticket)))
    return ticket
  }

  settled(ticket: number, failed: boolean, value: Address): void {
    if (!this.settlements.isAwaited(ticket)) return
    const { killed, cpuMessage } = this.instance
    if (!failed && !killed) {
      this.settlements.settle(ticket, { failure: null, cell: this.instance.duplicate(value) })
      return
    }
    // An async function can catch the interruption; its time is up all the same.
    const fault = failed
      ? ranOut(this.instance, readFault(fromBytes(this.values.text(value, 'an error', MAX_DESCRIPTION))))
      : { message: '', frames: [] }
    const failure = killed ? stopped(cpuMessage, this.instance, fault.frames) : new HookFailure(fault, false)
    this.settlements.settle(ticket, { failure, cell: 0 })
  }

  #resume(slot: Slot, settlement: Settlement): void {
    const { request, phase } = slot
    this.#stopWaiting(slot)
    if (request === null || isGone(slot)) {
      if (settlement.cell !== 0) this.instance.free(settlement.cell)
      return
    }
    this.current = slot
    this.entered = true
    this.instance.enter()
    let outcome: Outcome
    try {
      outcome = this.#conclude(slot, settlement.cell, settlement.failure)
      this.options.owner.settled(phase, performance.now() - slot.suspendedAt)
    } catch (error) {
      outcome = this.options.owner.failed(phase, request, error)
    }
    this.current = null
    this.entered = false
    if (outcome === Outcome.SUSPENDED) return
    this.#ended(slot)
    request.hookSettled(outcome)
  }

  #stopWaiting(slot: Slot): void {
    this.settlements.drop(slot.ticket)
    slot.ticket = 0
    if (slot.wallTimer !== null) this.clock.clearTimeout(slot.wallTimer)
    slot.wallTimer = null
  }

  #onWall(slot: Slot): void {
    const message = `the hook has waited for more than ${this.options.limits.wall} ms`
    this.#giveUp(slot, new HookFailure({ message, frames: [] }, true))
  }

  /** Ends a suspended hook from outside. */
  #giveUp(slot: Slot, error: Error): void {
    const { request, phase } = slot
    this.#stopWaiting(slot)
    if (request === null || isGone(slot)) return
    const outcome = this.options.owner.failed(phase, request, error)
    this.#ended(slot)
    request.hookSettled(outcome)
  }

  startTimer(ms: number): number {
    if (this.current !== null) this.slots.keep(this.current)
    return this.#pending.startTimer(this.current, ms)
  }

  stopTimer(id: number): void {
    this.#pending.stop(id)
  }

  readBody(slot: Slot): number {
    this.slots.keep(slot)
    return this.#pending.readBody(slot)
  }

  #fire(id: number): void {
    const cell = this.instance.call1(this.guest.fire, this.#intOf(id))
    if (this.values.tag(cell) === Tag.EXCEPTION) this.reportUnhandled(this.instance.takeException(cell))
    else this.instance.free(cell)
    this.drain()
  }

  #onBody(id: number, slot: Slot, failure: BodyFailure | null, body: Uint8Array): void {
    slot.requestBody = body
    this.#bodies.push([id, failure])
    // While the guest runs, its own entry settles them.
    if (!this.entered) this.enter(slot, () => this.drain())
  }

  /** Goes into the guest for something that is no hook call: a timer, a body. */
  enter(slot: Slot | null, action: () => void): void {
    if (this.instance.poison !== null) return
    if (slot !== null && (slot.request === null || isGone(slot))) return
    this.current = slot
    this.entered = true
    this.instance.enter()
    try {
      action()
      if (this.sockets.anyTouched) this.sockets.save(null)
      if (this.instance.rejections.any) this.#reportRejections()
    } catch (error) {
      // Nobody can be told of it here but by losing the sandbox.
      this.instance.doom(error instanceof Error ? error.message : String(error))
    } finally {
      this.current = null
      this.entered = false
    }
    if (slot !== null) this.#account(slot.phase)
    if (this.instance.poison !== null) this.options.owner.lost(this)
    else this.deliver()
  }

  /** What took long in a hook's name. */
  #account(phase: Phase): void {
    const { spent } = this.instance.clock
    if (spent > 0) this.options.owner.spent(phase, spent)
  }

  /** Runs promise jobs, and settles bodies that are there, until nothing is left to do at once. @throws Poisoned */
  drain(): void {
    const { instance } = this
    instance.drain((error) => this.reportUnhandled(error))
    while (this.#bodies.length > 0) {
      const bodies = this.#bodies
      this.#bodies = []
      for (const [id, failure] of bodies) this.#settleBody(id, failure)
      instance.drain((error) => this.reportUnhandled(error))
    }
  }

  #settleBody(id: number, failure: BodyFailure | null): void {
    const { instance, values } = this
    const { settleBody } = this.guest
    if (failure === null) {
      this.#freeResult(instance.call2(settleBody, this.#intOf(id), instance.undefinedCell))
      return
    }
    const message = values.string(failure.message)
    const status = values.int(failure.status ?? 0)
    this.#freeResult(instance.call3(settleBody, this.#intOf(id), message, status))
    instance.free(message)
    instance.free(status)
  }

  /** Tells the requests whose hooks have settled. Outside the guest only. */
  deliver(): void {
    this.#deliveryPlanned = false
    this.settlements.deliver(this.options.limits.cpu)
    if (this.instance.poison !== null) this.options.owner.lost(this)
    else if (this.settlements.anyReady) this.#planDelivery()
  }

  /** A hook has settled others: their journeys go on when this one's has come to rest. */
  #planDelivery(): void {
    if (this.#deliveryPlanned) return
    this.#deliveryPlanned = true
    setImmediate(() => this.deliver())
  }

  // ---- errors ----

  /** The failure that a guest error, whose cell is freed, stands for. @throws Poisoned */
  failureOf(error: Address): HookFailure {
    const { killed, cpuMessage } = this.instance
    const fault = faultOf(this.instance, this.guest, error)
    return killed ? stopped(cpuMessage, this.instance, fault.frames) : new HookFailure(fault, false)
  }

  /** Frees the cell. */
  reportUnhandled(error: Address): void {
    this.options.owner.unhandled(faultOf(this.instance, this.guest, error), this.current?.request ?? null)
  }

  #reportRejections(): void {
    for (const reason of this.instance.rejections.take()) this.reportUnhandled(reason)
  }

  // ---- the rest of the door ----

  loadWebGlobals(): void {
    if (this.#hasWebGlobals) return
    this.#hasWebGlobals = true
    addWebGlobals(this.instance, this.guest)
  }

  loadFetch(): void {
    if (!this.fetches.isReady) this.fetches.ready(addFetch(this.instance, this.guest))
  }

  loadWebSockets(): void {
    this.sockets.ready(addWebSockets(this.instance, this.guest))
  }

  #makeSlot(): { r: Address; upstream: Address } {
    const { instance } = this
    const made = instance.call(this.guest.makeSlot)
    if (this.values.tag(made) === Tag.EXCEPTION) {
      throw instance.doom(faultOf(instance, this.guest, instance.takeException(made)).message)
    }
    const slot = { r: instance.property(made, 'r'), upstream: instance.property(made, 'upstream') }
    instance.free(made)
    return slot
  }

  #intOf(value: number): Address {
    this.values.words[this.#int >>> 2] = value
    return this.#int
  }

  /** Lets go of everything: timers stop, hooks that wait end with this error (null: without a word). */
  end(error: Error | null): void {
    this.instance.doom('the sandbox has ended')
    this.#pending.clear()
    this.fetches.clear()
    this.maps.clear()
    this.repeats.clear()
    this.onLost?.(new Poisoned(this.instance.poison!))
    this.settlements.clear()
    for (const slot of [...this.slots.inUse]) {
      const waits = slot.ticket !== 0
      if (error !== null && waits) this.#giveUp(slot, error)
      else this.#stopWaiting(slot)
    }
  }
}

/** The guest's time was up. @param frames of the error that it got for that */
function stopped(message: string, instance: Instance, frames: Fault['frames']): HookFailure {
  const asked = positionOf(instance)
  return new HookFailure({ message, frames: asked.length > 0 ? asked : frames }, true)
}
