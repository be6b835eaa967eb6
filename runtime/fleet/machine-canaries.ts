/**
 * Canaries of the fleet on this machine: their files beside the scripts, the configuration that serves with them, and
 * whether the guard has stopped one. Knows neither Redis nor how a canary was asked for.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Model } from '../config/model.ts'
import type { Control } from '../control.ts'
import type { SwapResult } from '../swap.ts'
import { canaryFault, canaryFile, type Overlay, scriptFilesOf, withCanaries } from './canary-overlay.ts'
import type { CanaryShare } from './fleet.ts'
import { digestOf, type FleetRecord } from './record.ts'
import { Seal } from './seal.ts'
import type { FleetState } from './state-file.ts'

/** A canary as a record has it. */
export interface WantedCanary {
  /** Of the roll-out. */
  readonly id: string
  readonly share: CanaryShare
}

/** `stopped`: by the guard, or for overruns; `out`: for another reason; `absent`: the configuration does not have it. */
export interface CanaryStanding {
  readonly state: 'serving' | 'stopped' | 'out' | 'absent'
  readonly reason: string
}

/** What the status of a script that was stopped begins with. */
const STOPPED = /^rolled back: /

export class MachineCanaries {
  readonly #control: Control
  readonly #model: () => Model
  /** By script file. */
  readonly #overlays: Map<string, Overlay>

  /** @param model of the configuration that serves @param overlays that serve already */
  constructor(control: Control, model: () => Model, overlays: ReadonlyMap<string, Overlay>) {
    this.#control = control
    this.#model = model
    this.#overlays = new Map(overlays)
  }

  get overlays(): ReadonlyMap<string, Overlay> {
    return this.#overlays
  }

  /** @returns why the script can have none; null: it can */
  fault(script: string, share: CanaryShare): string | null {
    return canaryFault(this.#model(), script, share)
  }

  /** @throws why it does not serve; nothing has changed then */
  async start(script: string, text: string, { id, share }: WantedCanary): Promise<SwapResult> {
    const fault = this.fault(script, share)
    if (fault !== null) throw new Error(fault)
    const file = canaryFile(script, id)
    writeFileSync(file, text)
    try {
      return await this.#change(script, { file, share })
    } catch (error) {
      rmSync(file, { force: true })
      throw error
    }
  }

  async end(script: string): Promise<SwapResult> {
    return this.#change(script, null)
  }

  /** The configuration with another canary of one script; the file of the one before goes. */
  async #change(script: string, overlay: Overlay | null): Promise<SwapResult> {
    const before = this.#overlays.get(script)
    const next = new Map(this.#overlays)
    if (overlay === null) next.delete(script)
    else next.set(script, overlay)
    const model = withCanaries(this.#model(), next)
    const result = await this.#control.swap({ kind: 'reload', model }, () => {
      if (overlay === null) this.#overlays.delete(script)
      else this.#overlays.set(script, overlay)
    })
    if (before !== undefined && before.file !== overlay?.file) rmSync(before.file, { force: true })
    return result!
  }

  /** Of each script that is to have one. */
  async standing(): Promise<ReadonlyMap<string, CanaryStanding>> {
    if (this.#overlays.size === 0) return new Map()
    const rows = await this.#control.scripts()
    const standing = ([script, { file }]: [string, Overlay]): [string, CanaryStanding] => {
      const row = rows.find((one) => one.file === file)
      if (row === undefined) return [script, { state: 'absent', reason: 'its canary does not serve here' }]
      if (row.state !== 'quarantined') return [script, { state: 'serving', reason: '' }]
      const state = STOPPED.test(row.reason) ? 'stopped' : 'out'
      return [script, { state, reason: row.reason.replace(STOPPED, '') }]
    }
    return new Map([...this.#overlays].map(standing))
  }
}

/** The text of a file, if it is that one. */
export function heldText(file: string, digest: string): string | null {
  try {
    const text = readFileSync(file, 'utf8')
    return digestOf(text) === digest ? text : null
  } catch {
    return null
  }
}

/** Canaries that this machine has taken over, and can still serve with this configuration; by script file. */
export function keptCanaries(model: Model, state: FleetState): ReadonlyMap<string, Overlay> {
  const kept = new Map<string, Overlay>()
  for (const name of state.names) {
    const { record: text, canary: file } = state.get(name)!
    const record = file === '' ? null : recordOf(text)
    if (record === null || record.canary === null || heldText(file, record.canary.digest) === null) continue
    const { percent, key } = record.canary
    for (const script of scriptFilesOf(model))
      if (canaryFile(script, record.id) === file) kept.set(script, { file, share: { percent, key } })
  }
  return stillPossible(model, kept)
}

/** Those that another configuration has room for. */
export function stillPossible(
  model: Model,
  overlays: ReadonlyMap<string, Overlay>,
): ReadonlyMap<string, Overlay> {
  return new Map([...overlays].filter(([script, { share }]) => canaryFault(model, script, share) === null))
}

/** What this machine has kept itself needs no signature. */
function recordOf(text: string): FleetRecord | null {
  try {
    return new Seal(null, '').openRecord(text)
  } catch {
    return null
  }
}
