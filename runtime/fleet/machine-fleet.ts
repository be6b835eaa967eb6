/**
 * The fleet as the process that takes signals has it: on or off as the configuration says, anew with every reload that
 * changes how. Joins what is configured, and knows what this machine serves by it before anything else runs.
 */
import { basename, extname, join } from 'node:path'
import type { Companion, CompanionChange } from '../companion.ts'
import type { HttpModel, Model, RedisModel } from '../config/model.ts'
import { encodeBytes } from '../config/problems.ts'
import type { Control, LoadConfig } from '../control.ts'
import type { LogLevel } from '../phases.ts'
import { redisSettings } from '../redis-settings.ts'
import { type Overlay, withCanaries } from './canary-overlay.ts'
import { type Adoption, type Fleet, FleetError, type FleetStatus, type Push, type Rollout } from './fleet.ts'
import { compared, machinesOf, scriptsIn, scriptsOf } from './fleet-status.ts'
import { keptCanaries, stillPossible } from './machine-canaries.ts'
import type { Member } from './member.ts'
import { readSignKey, Seal } from './seal.ts'
import { FleetState } from './state-file.ts'

export interface MachineFleetOptions {
  /** The configuration file. */
  readonly config: string
  readonly prefix: string
  /** ms between two signs of life; default: 5 s. */
  readonly beat?: number
}

const BEAT = 5000

/** What a member is made of; null: there is none. */
type Wanted = { readonly key: string; readonly make: () => Member } | null

export class MachineFleet implements Fleet, Companion {
  readonly #options: MachineFleetOptions
  /** By what the configuration says of them. */
  readonly #states = new Map<string, FleetState>()
  /** Said before there was a log. */
  #unsaid: (readonly [level: LogLevel, message: string])[] = []
  #control: Control | null = null
  #member: Member | null = null
  #key = ''
  /** That serves, with canaries or without. */
  #model: Model | null = null
  #hasNoCanaries = false
  #closing: Promise<void> | null = null

  constructor(options: MachineFleetOptions) {
    this.#options = options
  }

  // ---- with the configuration ----

  /** The configuration with the canaries that this machine has taken over. */
  overlay(model: Model): Model {
    const { http } = model
    if (!isOn(http)) return model
    const canaries = this.#canaries(model, this.#stateOf(http))
    return canaries.size === 0 ? model : withCanaries(model, canaries)
  }

  #canaries(model: Model, state: FleetState): ReadonlyMap<string, Overlay> {
    if (this.#member?.state === state) return stillPossible(model, this.#member.machine.canaries.overlays)
    return this.#hasNoCanaries ? new Map() : keptCanaries(model, state)
  }

  /** Every configuration that is read has them. */
  wrap(load: LoadConfig): LoadConfig {
    return () => {
      const loaded = load()
      return loaded.model === null ? loaded : { ...loaded, model: this.overlay(loaded.model) }
    }
  }

  /** A first generation with them did not come about. */
  leaveCanariesOut(reason: string): void {
    this.#hasNoCanaries = true
    this.#log('error', `fleet: going on without the canaries of the fleet: ${reason}`)
  }

  /** What looks after the scripts of this machine; comes before {@link prepare}. */
  attach(control: Control): void {
    this.#control = control
    for (const [level, message] of this.#unsaid.splice(0)) this.#log(level, message)
  }

  async prepare(model: Model): Promise<CompanionChange> {
    const wanted = await this.#wanted(model)
    return { commit: () => this.#adopt(model, wanted), discard: () => undefined }
  }

  async #wanted(model: Model): Promise<Wanted> {
    const { http } = model
    if (!isOn(http)) return null
    const settings = redisSettings(http.store, http)
    const warn = (message: string): void => this.#log('warn', message)
    const secret = readSignKey(http, warn)
    const state = this.#stateOf(http)
    // Who has no Redis does without its client: 20 MiB.
    const { Member } = await import('./member.ts')
    const make = (): Member =>
      new Member({
        control: this.#control!,
        settings,
        seal: new Seal(secret, settings.prefix),
        state,
        model: () => this.#model!,
        overlays: this.#canaries(model, state),
        beat: this.#options.beat ?? BEAT,
      })
    return { key: JSON.stringify([settings, secret?.toString('hex'), state.path, state.machine]), make }
  }

  #adopt(model: Model, wanted: Wanted): void {
    this.#model = model
    if (this.#closing !== null) return
    if ((wanted?.key ?? '') === this.#key) return
    const before = this.#member
    this.#key = wanted?.key ?? ''
    this.#member = wanted?.make() ?? null
    void before?.close()
  }

  #stateOf({ store, scriptFleet: { name, state } }: SharedHttp): FleetState {
    const { config, prefix } = this.#options
    const path = state ?? join(prefix, `${basename(config, extname(config))}.fleet.json`)
    const options = { path, name, place: placeOf(store) }
    const key = JSON.stringify(options)
    const known = this.#states.get(key)
    if (known !== undefined) return known
    const opened = FleetState.open(options, (level, message) => this.#log(level, `fleet: ${message}`))
    this.#states.set(key, opened)
    return opened
  }

  /** Leaves the fleet, for good. */
  close(): Promise<void> {
    this.#closing ??= this.#member?.close() ?? Promise.resolve()
    this.#member = null
    return this.#closing
  }

  #log(level: LogLevel, message: string): void {
    if (this.#control === null) this.#unsaid.push([level, message])
    else this.#control.log(level, encodeBytes(message))
  }

  // ---- the fleet ----

  get on(): boolean {
    return this.#member !== null
  }

  async push(push: Push, wait: 'verdict' | 'nothing'): Promise<Rollout> {
    return this.#there.rollouts.push(push, wait)
  }

  async rollback(name: string, author: string): Promise<Rollout> {
    return this.#there.rollouts.change('rollback', name, author)
  }

  async promote(name: string, author: string): Promise<Rollout> {
    return this.#there.rollouts.change('promote', name, author)
  }

  async removeCanary(name: string, author: string, reason: string): Promise<Rollout> {
    return this.#there.rollouts.change('remove', name, author, reason)
  }

  async adopt(name: string): Promise<Adoption> {
    return this.#there.adopt(name)
  }

  recordedName(name: string): string {
    return this.#there.recordedName(name)
  }

  async rollout(id: string): Promise<Rollout> {
    return this.#there.rollouts.rollout(id)
  }

  /** Where Redis is away: what this machine has seen last, and no machines. */
  async status(): Promise<FleetStatus> {
    const { name, redis, seal, records, machine } = this.#there
    const own = { machine: name, signed: seal.signs }
    const away = { ...own, connected: false, machines: [], scripts: scriptsIn(records, machine.scripts) }
    if (!redis.connected) return away
    try {
      const overview = await redis.overview()
      const scripts = scriptsOf(overview, seal, machine.scripts)
      return { ...own, connected: true, machines: compared(machinesOf(overview), scripts), scripts }
    } catch (error) {
      if (error instanceof FleetError) return away
      throw error
    }
  }

  get #there(): Member {
    if (this.#member !== null) return this.#member
    throw new FleetError(
      'unavailable',
      'there is no fleet; "store redis://…" makes one of the machines that share it',
    )
  }
}

type SharedHttp = HttpModel & { readonly store: RedisModel }

function isOn(http: HttpModel | null): http is SharedHttp {
  return http?.scriptFleet.on === true && http.store.kind === 'redis'
}

/** Where machines with this configuration meet. */
function placeOf({ mode, path, addresses, sentinel, database, prefix }: RedisModel): string {
  const servers = path ?? addresses.map(({ host, port }) => `${host}:${port}`).join(',')
  return `redis ${[mode, servers, sentinel ?? '', database, prefix].join(' ')}`
}
