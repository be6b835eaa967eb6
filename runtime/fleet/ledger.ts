/**
 * What the fleet has recorded, as this machine reads it: takes over what is new, accepts nothing older or malformed, and
 * gives back what Redis has lost. Not two at a time: the caller sees to it.
 */
import type { LogLevel } from '../phases.ts'
import { Bindings } from './bindings.ts'
import { type Adoption, FleetError } from './fleet.ts'
import type { FleetRedis } from './fleet-redis.ts'
import { type Machine, short } from './machine.ts'
import { heldText } from './machine-canaries.ts'
import { type Answer, type FleetRecord, firstLine, isScriptName } from './record.ts'
import type { Seal } from './seal.ts'
import type { FleetState } from './state-file.ts'
import { Malformed } from './strict.ts'

export interface LedgerOptions {
  readonly redis: FleetRedis
  readonly seal: Seal
  readonly state: FleetState
  readonly machine: Machine
  readonly log: (level: LogLevel, message: string) => void
}

export class Ledger {
  readonly #options: LedgerOptions
  /** What this machine accepts, by name. */
  readonly #records = new Map<string, FleetRecord>()
  /** What it does not accept, and why. */
  #faults = new Map<string, { readonly text: string; readonly reason: string }>()
  #bindings: Bindings
  /** What was answered of records that it has not taken over, by name. */
  readonly #answered = new Map<string, string>()
  #isUncheckedTold = false

  constructor(options: LedgerOptions) {
    this.#options = options
    this.#bindings = new Bindings([], options.machine.scripts)
  }

  /** Of those that it accepts. */
  get bindings(): Bindings {
    return this.#bindings
  }

  /** What this machine accepts, as it was read last. */
  get records(): readonly FleetRecord[] {
    return [...this.#records.values()]
  }

  /** Why it does not accept the others, by name. */
  get faults(): Readonly<Record<string, string>> {
    const named = [...this.#faults].filter(([name]) => isScriptName(name))
    return Object.fromEntries(named.map(([name, { reason }]) => [name, reason]))
  }

  /** Reads all of it, and takes over what this machine has not. @throws FleetError */
  async read(): Promise<void> {
    const texts = await this.#options.redis.records()
    const faults = this.#faults
    this.#faults = new Map()
    this.#records.clear()
    for (const [name, text] of texts) this.#read(name, text, faults.get(name)?.text === text)
    this.#bindings = new Bindings(this.#records.values(), this.#options.machine.scripts)
    for (const record of this.records) await this.#follow(record, texts.get(record.name)!)
    for (const name of this.#options.state.names) if (!texts.has(name)) await this.#giveBack(name, '')
  }

  #read(name: string, text: string, isTold: boolean): void {
    const record = this.#open(name, text, isTold)
    if (record === null) return
    this.#records.set(name, record)
    if (this.#isUncheckedTold || !this.#options.seal.isUnchecked(text)) return
    this.#isUncheckedTold = true
    const what = `the record of ${name} is signed, and this machine has no key`
    this.#options.log('warn', `fleet: ${what}: it would take unsigned ones, too; add script_sign_key`)
  }

  async #follow(record: FleetRecord, text: string): Promise<void> {
    const { name, serial } = record
    const { state, machine } = this.#options
    const known = state.get(name)?.serial ?? 0
    if (serial < known) return this.#giveBack(name, text)
    if (serial <= machine.takenOf(name) || machine.hasFailed(record)) return
    if (this.#bindings.superseder(record) !== '') return
    await this.#take(record, text)
  }

  /** In place of what is here. @throws FleetError where nothing is recorded @throws why it does not serve */
  async adopt(file: string): Promise<Adoption> {
    const record = this.#bindings.of(file)
    const text = record === null ? null : (await this.#options.redis.records()).get(record.name)
    if (record === null || text == null)
      throw new FleetError('unknown', `the fleet has recorded no version of ${file}`)
    return this.#options.machine.adopt(file, this.#options.seal.openRecord(text), text)
  }

  #open(name: string, text: string, isTold: boolean): FleetRecord | null {
    try {
      const record = this.#options.seal.openRecord(text)
      if (record.name === name) return record
      throw new Malformed('the record is of another script')
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      const { message: reason } = error
      this.#faults.set(name, { text, reason })
      if (!isTold)
        this.#options.log(
          'error',
          `fleet: ${JSON.stringify(name.slice(0, 100))} is not taken over: ${reason}`,
        )
      return null
    }
  }

  async #take(record: FleetRecord, text: string): Promise<void> {
    const answer = await this.#options.machine.take(record, text)
    const told = `${record.id} ${answer.state} ${answer.reason}`
    const isNews = this.#answered.get(record.name) !== told
    this.#answered.set(record.name, told)
    if (!isNews) return
    this.#logTaken(record, answer)
    await this.#options.redis.answer(record.id, this.#options.state.machine, JSON.stringify(answer))
  }

  #logTaken(record: FleetRecord, answer: Answer): void {
    const { name, kind, author, live, canary, reason } = record
    const what = `fleet: ${name}, ${kind} of version ${short((canary ?? live).digest)} by ${author}`
    const why = reason === '' ? '' : ` (${reason})`
    if (answer.state === 'serving')
      this.#options.log(
        'notice',
        `${what}${why}: generation ${answer.generation} serves after ${answer.took} ms`,
      )
    else if (answer.state === 'failed' && this.#options.machine.hasFailed(record))
      this.#options.log('error', `${what}, cannot serve here: ${firstLine(answer)}; what served before stays`)
  }

  /** Redis has lost what this machine has taken over, or somebody has put an older record there. */
  async #giveBack(name: string, before: string): Promise<void> {
    const applied = this.#options.state.get(name)!
    let record: FleetRecord
    try {
      record = this.#options.seal.openRecord(applied.record)
    } catch {
      // It was signed with another key: those who have that one may do it.
      return
    }
    const texts = await this.#textsOf(record)
    const isBack = await this.#options.redis.restore(
      { id: record.id, name, before, record: applied.record },
      texts,
    )
    const there = before === '' ? 'no record' : 'an older record'
    if (isBack)
      this.#options.log(
        'warn',
        `fleet: Redis had ${there} of ${name}; that with serial number ${record.serial} is back`,
      )
  }

  /** Those that this machine still has. */
  async #textsOf({ name, live, canary }: FleetRecord): Promise<Map<string, string>> {
    const texts = new Map<string, string>()
    const file = this.#options.machine.scripts.only(name)
    if (file === null) return texts
    const served = (await this.#options.machine.scripts.served()).of(file)
    if (served?.digest === live.digest) texts.set(live.digest, served.text)
    const overlay = this.#options.machine.canaries.overlays.get(file)
    const text = canary === null || overlay === undefined ? null : heldText(overlay.file, canary.digest)
    if (text !== null) texts.set(canary!.digest, text)
    return texts
  }

  /**
   * Those that serve no longer though they should begin anew.
   * @returns scripts whose canary was stopped on this machine, and why
   */
  async lookAfterCanaries(): Promise<ReadonlyMap<string, string>> {
    const { machine, state } = this.#options
    const stopped = new Map<string, string>()
    const all = await machine.canaries.standing()
    for (const record of this.#records.values()) {
      const file = record.canary === null ? null : machine.scripts.only(record.name)
      const isTaken = state.get(record.name)?.serial === record.serial
      if (file === null || !isTaken || this.#bindings.superseder(record) !== '') continue
      const standing = all.get(file)
      if (standing === undefined || standing.state === 'absent') await machine.restartCanary(record)
      else if (standing.state === 'stopped') stopped.set(record.name, standing.reason)
    }
    return stopped
  }
}
