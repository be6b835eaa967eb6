/**
 * What this machine does for the fleet: says whether it could serve by a version, takes over what is recorded, and knows
 * where it differs from that. Everything that comes of it is an answer; it knows neither Redis nor the other machines.
 */
import type { Model } from '../config/model.ts'
import type { Control } from '../control.ts'
import type { SwapResult } from '../swap.ts'
import { canaryFile, isCanaryFile, type Overlay } from './canary-overlay.ts'
import { FleetError, type MachineState } from './fleet.ts'
import { type CanaryStanding, MachineCanaries } from './machine-canaries.ts'
import { MachineScripts, type ServedScripts } from './machine-scripts.ts'
import { type Answer, type FleetRecord, isScriptName, MAX_REASON, type Proposal } from './record.ts'
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
      const file = this.scripts.find(name)
      if (file === null) return this.#answer(name, 'unused')
      await this.#rehearse(file, proposal)
      return this.#answer(name, 'ready')
    } catch (error) {
      if (error instanceof FleetError) throw error
      return this.#answer(name, 'refused', { reason: reasonOf(error) })
    }
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

  /** Whether it was tried, and did not serve. */
  hasFailed({ name, id }: FleetRecord): boolean {
    return this.#failed.get(name)?.id === id
  }

  /** Serves by a record. @param text of the record, to be kept @throws FleetError as {@link rehearse}: to be tried again */
  async take(record: FleetRecord, text: string): Promise<Answer> {
    const { name, serial } = record
    const started = performance.now()
    try {
      const file = this.scripts.find(name)
      if (file === null) return this.#answer(name, 'unused')
      const swap = await this.#serve(file, record)
      this.#failed.delete(name)
      const canary = this.canaries.overlays.get(file)?.file ?? ''
      this.#options.state.set(name, { serial, record: text, live: record.live.digest, canary })
      const generation = swap?.generation ?? this.#options.control.generation.id
      return this.#answer(name, 'serving', { generation, took: Math.ceil(performance.now() - started) })
    } catch (error) {
      if (error instanceof FleetError) throw error
      return this.#answer(name, 'failed', { reason: this.#fail(record, error) })
    }
  }

  async #serve(file: string, record: FleetRecord): Promise<SwapResult | null> {
    const { live } = record
    const swap = (await this.#wantsText(file, record))
      ? await this.scripts.serve(file, await this.#text(live.digest))
      : null
    return (await this.#changeCanary(file, record)) ?? swap
  }

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

  #answer(name: string, state: MachineState, more: Partial<Answer> = {}): Answer {
    const serial = this.#options.state.get(name)?.serial ?? 0
    return { state, reason: '', generation: 0, took: 0, serial, ...more }
  }

  // ---- how it stands ----

  /** Digest of what serves, by name. */
  async served(): Promise<Record<string, string>> {
    const files = this.#options.control.scriptFiles.filter((file) => !isCanaryFile(file))
    const served = await this.scripts.served()
    const named = files
      .map((file) => [this.scripts.nameOf(file), file])
      .filter(([name]) => isScriptName(name))
    const rows = named.slice(0, MAX_TOLD).map(([name, file]) => [name, served.of(file)?.digest])
    return Object.fromEntries(rows.filter(([, digest]) => digest !== undefined))
  }

  /** Where it differs from what is recorded, and why. */
  async drift(records: Iterable<FleetRecord>): Promise<Record<string, string>> {
    const now = { served: await this.scripts.served(), canaries: await this.canaries.standing() }
    const rows = [...records].map((record) => [record.name, this.#differs(record, now)])
    return Object.fromEntries(rows.filter(([, reason]) => reason !== ''))
  }

  #differs(record: FleetRecord, { served, canaries }: Now): string {
    const { name, serial, live } = record
    const failed = this.#failed.get(name)
    if (failed?.id === record.id) return failed.reason
    const file = this.scripts.only(name)
    if (file === null) return ''
    if ((this.#options.state.get(name)?.serial ?? 0) < serial) return 'it is not taken over yet'
    const { digest = 'none' } = served.of(file) ?? {}
    if (digest !== live.digest) return `version ${short(digest)} serves: saved here, or gone back to`
    return canaries.get(file)?.reason ?? ''
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
