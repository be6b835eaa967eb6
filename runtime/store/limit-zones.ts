/**
 * What one configuration limits: its zones by name, and the counts of its scripts. A zone whose kind, key and size have not changed is the one of the
 * configuration before, with all that it has counted.
 */
import type { LimitZoneModel } from '../config/model.ts'
import { ConnectionZone } from './connection-zone.ts'
import type { MachineLimits } from './machine-limits.ts'
import { RateZone } from './rate-zone.ts'
import { ScriptCounts } from './script-counts.ts'

type Entry =
  | { readonly kind: 'req'; readonly key: string; readonly zone: RateZone; readonly model: LimitZoneModel }
  | {
      readonly kind: 'conn'
      readonly key: string
      readonly zone: ConnectionZone
      readonly model: LimitZoneModel
    }

export class LimitZones {
  /** Of the scripts. */
  readonly scripts: ScriptCounts
  readonly #entries = new Map<string, Entry>()

  /** Where all workers count together; null: this process is the only one. */
  readonly machine: MachineLimits | null

  constructor(
    models: readonly LimitZoneModel[],
    previous: LimitZones | null,
    machine: MachineLimits | null = null,
  ) {
    this.machine = machine
    this.scripts = previous?.scripts ?? new ScriptCounts()
    for (const model of models) this.#entries.set(model.name, makeEntry(model, previous))
  }

  /** @throws Error when there is none: the configuration was checked before */
  rate(name: string): { readonly zone: RateZone; readonly model: LimitZoneModel } {
    const entry = this.#entries.get(name)
    if (entry?.kind !== 'req') throw new Error(`there is no limit_req_zone "${name}"`)
    return entry
  }

  /** @throws Error when there is none: the configuration was checked before */
  connections(name: string): { readonly zone: ConnectionZone; readonly model: LimitZoneModel } {
    const entry = this.#entries.get(name)
    if (entry?.kind !== 'conn') throw new Error(`there is no limit_conn_zone "${name}"`)
    return entry
  }

  /** The zone of the configuration before that this one goes on with. */
  known({ name, kind, key, size }: LimitZoneModel): RateZone | ConnectionZone | null {
    const entry = this.#entries.get(name)
    return entry?.kind === kind && entry.key === key.text && entry.zone.size === size ? entry.zone : null
  }
}

function makeEntry(model: LimitZoneModel, previous: LimitZones | null): Entry {
  const { kind } = model
  const key = model.key.text
  const known = previous?.known(model)
  return kind === 'req'
    ? { kind, key, model, zone: known instanceof RateZone ? known : new RateZone(model) }
    : { kind, key, model, zone: known instanceof ConnectionZone ? known : new ConnectionZone(model) }
}
