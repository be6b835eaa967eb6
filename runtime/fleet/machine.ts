/**
 * What this machine does for the fleet: says whether it could serve by a version, takes over what is recorded, and knows
 * where it differs from that. Everything that comes of it is an answer; it knows neither Redis nor the other machines.
 */
import { existsSync } from 'node:fs'
import type { Model } from '../config/model.ts'
import type { Control } from '../control.ts'
import type { LogLevel } from '../phases.ts'
import type { SwapResult } from '../swap.ts'
import type { Bindings } from './bindings.ts'
import { canaryFile, isCanaryFile, type Overlay } from './canary-overlay.ts'
import { type Adoption, FleetError, type MachineState } from './fleet.ts'
import { type CanaryStanding, MachineCanaries } from './machine-canaries.ts'
import { MachineScripts, type ServedScripts } from './machine-scripts.ts'
import { keepBeside, type OwnText, ownTexts } from './own-texts.ts'
import {
  type Answer,
  digestsOf,
  type FleetRecord,
  isScriptName,
  MAX_REASON,
  type Proposal,
} from './record.ts'
import type { FleetState } from './state-file.ts'
import { cleaned } from './strict.ts'

export interface MachineOptions {
  readonly control: Control
  readonly state: FleetState
  /** The configuration that serves. */
  readonly model: () => Model
  /** Canaries that serve already, by script file. */
  readonly overlays: ReadonlyMap<string, Overlay>
  /** A text by its hash; null: it is not there. */
  readonly fetch: (digest: string) => Promise<string | null>
  /** What is recorded, as it was read last. */
  readonly bindings: () => Bindings
  readonly log: (level: LogLevel, message: string) => void
}

/** Scripts that a machine tells of. */
const MAX_TOLD = 200
/** Characters of a digest that people read. */
const SHORT = 12

export class Machine {
  readonly scripts: MachineScripts
  readonly canaries: MachineCanaries
  readonly #options: MachineOptions
  /** Records that were tried and did not serve, by name. */
  readonly #failed = new Map<string, { readonly id: string; readonly reason: string }>()
  /** Roll-outs that it could serve by, the last one by name: whoever asked means this machine, too. */
  readonly #agreed = new Map<string, string>()
  /** Records that are not taken over, since what is here is in no record; by name. */
  readonly #held = new Map<string, { readonly id: string; readonly reason: string }>()

  constructor(options: MachineOptions) {
    this.#options = options
    this.scripts = new MachineScripts(options.control)
    this.canaries = new MachineCanaries(options.control, options.model, options.overlays)
  }

  // ---- a proposal ----

  /** Whether it could serve by what is proposed. Changes nothing. @throws FleetError when the text cannot be fetched */
  async rehearse(proposal: Proposal): Promise<Answer> {
    const { name } = proposal
    try {
      const file = this.scripts.only(name)
      if (file === null) return this.#unused(name)
      await this.#rehearse(file, proposal)
      this.#agreed.set(name, proposal.id)
      return this.#answer('ready')
    } catch (error) {
      if (error instanceof FleetError) throw error
      return this.#answer('refused', { reason: reasonOf(error) })
    }
  }

  /** A name that is ambiguous here alone keeps nobody else from changing. */
  #unused(name: string): Answer {
    const reason = this.#ambiguity(name)
    if (reason !== '') this.#options.log('warn', `fleet: ${reason}`)
    return this.#answer('unused', { reason })
  }

  /** @returns '' where the name means one file or none */
  #ambiguity(name: string): string {
    const files = this.scripts.called(name)
    if (files.length < 2) return ''
    const names = files.map((file) => this.scripts.nameOf(file)).join(', ')
    const reason = `${JSON.stringify(name)} may be any of ${names} here, and changes none of them; push by one of those names`
    return reason.slice(0, MAX_REASON)
  }

  async #rehearse(file: string, { name, kind, digest, beside, canary }: Proposal): Promise<void> {
    if (kind === 'remove') return
    const fault = canary === null ? null : this.canaries.fault(file, canary)
    if (fault !== null) throw new Error(fault)
    const served = beside === '' ? beside : (await this.scripts.served()).of(file)?.digest
    if (served !== beside) {
      throw new Error(
        `${file}: version ${short(served ?? 'none')} serves here, not ${short(beside)}, which the canary is to stand beside; push ${name} without a canary first`,
      )
    }
    await this.scripts.rehearse(file, await this.#text(digest))
  }

  // ---- a record ----

  /** Serial number of the last record that was taken over for what this name means, by whatever name; 0: none. */
  takenOf(name: string): number {
    const { state } = this.#options
    const file = this.scripts.only(name)
    const names = state.names.filter(
      (one) => one === name || (file !== null && this.scripts.only(one) === file),
    )
    return Math.max(0, ...names.map((one) => state.get(one)!.serial))
  }

  /** Whether it was tried, and did not serve. */
  hasFailed({ name, id }: FleetRecord): boolean {
    return this.#failed.get(name)?.id === id
  }

  /**
   * Serves by a record, unless the text that is here is in no record, and nobody has asked this machine.
   * @param text of the record, to be kept
   * @throws FleetError as {@link rehearse}: to be tried again
   */
  async take(record: FleetRecord, text: string): Promise<Answer> {
    const { name } = record
    const started = performance.now()
    try {
      const file = this.scripts.only(name)
      if (file === null) return this.#answer('unused', { reason: this.#ambiguity(name) })
      const wantsText = await this.#wantsText(file, record)
      const own = wantsText && this.#agreed.get(name) !== record.id ? await this.#ownTexts(file) : []
      if (own.length > 0) return this.#hold(file, own[0], record)
      const swap = wantsText ? await this.#serveLive(file, record) : null
      const { generation } = (await this.#taken(file, record, text)) ?? swap ?? this.#now
      return this.#answer('serving', { generation, took: Math.ceil(performance.now() - started) })
    } catch (error) {
      if (error instanceof FleetError) throw error
      return this.#answer('failed', { reason: this.#fail(record, error) })
    }
  }

  /** Serves by a record whatever is here. @param text of the record @throws why it does not serve */
  async adopt(file: string, record: FleetRecord, text: string): Promise<Adoption> {
    const started = performance.now()
    const kept: string[] = []
    const swap = await this.#serveLive(file, record, kept)
    const { generation } = (await this.#taken(file, record, text)) ?? swap
    return { file, generation, took: performance.now() - started, kept }
  }

  get #now(): { readonly generation: number } {
    return { generation: this.#options.control.generation.id }
  }

  async #serveLive(file: string, { live }: FleetRecord, kept: string[] = []): Promise<SwapResult> {
    const served = (await this.scripts.served()).of(file)?.text ?? null
    return this.scripts.serve(file, await this.#text(live.digest), () => {
      for (const own of ownTexts(file, served, this.#known(file))) {
        const beside = keepBeside(file, own)
        kept.push(beside)
        this.#options.log(
          'warn',
          `fleet: ${file}: version ${short(own.digest)}, which the fleet does not know, is replaced by version ${short(live.digest)}; it is kept in ${beside}`,
        )
      }
    })
  }

  /** The canary that belongs to it, and that it is taken over. */
  async #taken(file: string, record: FleetRecord, text: string): Promise<SwapResult | null> {
    const { name, serial, live } = record
    const swap = await this.#changeCanary(file, record)
    this.#failed.delete(name)
    this.#held.delete(name)
    const canary = this.canaries.overlays.get(file)?.file ?? ''
    this.#options.state.set(name, { serial, record: text, live: live.digest, canary })
    return swap
  }

  // ---- what the fleet does not know ----

  async #ownTexts(file: string): Promise<OwnText[]> {
    return ownTexts(file, (await this.scripts.served()).of(file)?.text ?? null, this.#known(file))
  }

  /** Digests of what is recorded of a file, and of what this machine has taken over for it. */
  #known(file: string): ReadonlySet<string> {
    const { bindings, state } = this.#options
    const recorded = bindings()
      .all(file)
      .flatMap((record) => [...digestsOf(record)])
    const taken = state.names.filter((name) => this.scripts.only(name) === file)
    return new Set([...recorded, ...taken.map((name) => state.get(name)!.live)])
  }

  #hold(file: string, { digest }: OwnText, record: FleetRecord): Answer {
    const { name, id, live } = record
    const reason = `version ${short(digest)} is kept: the fleet does not know it`
    const before = this.#held.get(name)
    this.#held.set(name, { id, reason })
    if (before?.id !== id || before.reason !== reason) {
      const by = live.author === '' ? '' : ` by ${live.author}`
      const there = `version ${short(live.digest)} of ${name} since ${new Date(live.at).toISOString()}${by}`
      this.#options.log(
        'warn',
        `fleet: ${file} is not replaced: the fleet does not know its text (version ${short(digest)}), and has ${there}. To give this machine's to all: sluice scripts push ${file}; to take the fleet's: sluice scripts adopt ${name}; to keep them apart: another prefix= of "store", or "script_fleet off"`,
      )
    }
    return this.#answer('failed', { reason })
  }

  // ---- canaries ----

  /** What was saved here since the last record is not replaced for a canary's sake. */
  async #wantsText(file: string, { name, kind, live }: FleetRecord): Promise<boolean> {
    if (kind !== 'canary' && kind !== 'remove') return true
    const before = this.#options.state.get(name)?.live ?? (await this.scripts.served()).of(file)?.digest
    return before !== live.digest
  }

  async #changeCanary(file: string, { id, canary }: FleetRecord): Promise<SwapResult | null> {
    const current = this.canaries.overlays.get(file)
    if (canary === null) return current === undefined ? null : this.canaries.end(file)
    if (current?.file === canaryFile(file, id)) return null
    const { digest, percent, key } = canary
    return this.canaries.start(file, await this.#text(digest), { id, share: { percent, key } })
  }

  /** A canary that this machine has lost, by its file or by the configuration, serves again. */
  async restartCanary(record: FleetRecord): Promise<void> {
    const { name, id, canary } = record
    const file = this.scripts.find(name)
    if (file === null || canary === null || this.hasFailed(record)) return
    const { digest, percent, key } = canary
    try {
      await this.canaries.start(file, await this.#text(digest), { id, share: { percent, key } })
    } catch (error) {
      if (error instanceof FleetError) throw error
      this.#fail(record, error)
    }
  }

  #fail({ name, id }: FleetRecord, error: unknown): string {
    const reason = reasonOf(error)
    this.#failed.set(name, { id, reason })
    return reason
  }

  async #text(digest: string): Promise<string> {
    const text = await this.#options.fetch(digest)
    if (text !== null) return text
    throw new Error(`the text of version ${short(digest)} is not in Redis (any more)`)
  }

  #answer(state: MachineState, more: Partial<Answer> = {}): Answer {
    const { serial } = this.#options.state
    return { state, reason: '', generation: 0, took: 0, serial, ...more }
  }

  // ---- how it stands ----

  /** Digest of what serves, by the name that it is recorded by, or that it has here. */
  async served(): Promise<Record<string, string>> {
    const files = this.#options.control.scriptFiles.filter((file) => !isCanaryFile(file))
    const served = await this.scripts.served()
    const named = files.map((file) => [this.nameOf(file), file]).filter(([name]) => isScriptName(name))
    const rows = named.slice(0, MAX_TOLD).map(([name, file]) => [name, served.of(file)?.digest])
    return Object.fromEntries(rows.filter(([, digest]) => digest !== undefined))
  }

  /** As all machines know it, where it is recorded. */
  nameOf(file: string): string {
    return this.#options.bindings().nameOf(file) ?? this.scripts.nameOf(file)
  }

  /** Where it differs from what is recorded, and why. */
  async drift(records: readonly FleetRecord[]): Promise<Record<string, string>> {
    const now = { served: await this.scripts.served(), canaries: await this.canaries.standing() }
    const bindings = this.#options.bindings()
    const newest = records.filter((record) => bindings.superseder(record) === '')
    const rows = newest.map((record) => [record.name, this.#differs(record, now)])
    return Object.fromEntries(rows.filter(([, reason]) => reason !== ''))
  }

  #differs(record: FleetRecord, { served, canaries }: Now): string {
    const { name, serial, live } = record
    const failed = this.#failed.get(name)
    if (failed?.id === record.id) return failed.reason
    const file = this.scripts.only(name)
    if (file === null) return this.#differsByName(name)
    const held = this.#held.get(name)
    if (held?.id === record.id) return held.reason
    if ((this.#options.state.get(name)?.serial ?? 0) < serial) return 'it is not taken over yet'
    const { digest = 'none' } = served.of(file) ?? {}
    if (digest !== live.digest) return `version ${short(digest)} serves: saved here, or gone back to`
    if (!existsSync(file)) return 'its file is gone; a push writes it anew'
    return canaries.get(file)?.reason ?? ''
  }

  /** Where one of those that are meant has a record by its longer name, that is the one to serve. */
  #differsByName(name: string): string {
    const bindings = this.#options.bindings()
    const isTold = this.scripts.called(name).some((file) => bindings.of(file) !== null)
    return isTold ? '' : this.#ambiguity(name)
  }
}

/** How scripts and canaries stand at one moment. */
interface Now {
  readonly served: ServedScripts
  readonly canaries: ReadonlyMap<string, CanaryStanding>
}

/** As people read it. */
export function short(digest: string): string {
  return digest.slice(0, SHORT)
}

/** The message, with its place; below it the line that is meant, where that is known. */
function reasonOf(error: unknown): string {
  const { message, excerpt = '' } = error as { message?: unknown; excerpt?: unknown }
  const text = excerpt === '' ? String(message ?? error) : `${message}\n${excerpt}`
  return cleaned(text).slice(0, MAX_REASON)
}
