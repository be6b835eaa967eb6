/**
 * What the hooks of a gateway's scripts have done in all, by file and hook: sums that only grow, though scripts come and
 * go with the generations. To be told of a script before it is forgotten.
 */
import type { Script } from './script/engine.ts'

/** A script, as far as it is counted. */
type Counted = Pick<Script, 'file' | 'stats'>

export interface HookTotal {
  calls: number
  errors: number
  overruns: number
  cpuMicros: number
}

/** Files whose sums are kept; beyond them the one that has not served for longest is forgotten. */
const MAX_FILES = 1000

const NOTHING: Readonly<HookTotal> = { calls: 0, errors: 0, overruns: 0, cpuMicros: 0 }

export class HookTotals {
  /** By file, then by hook; the file that was told of last comes last. */
  readonly byFile = new Map<string, Map<string, HookTotal>>()
  readonly #seen = new WeakMap<Counted, Map<string, HookTotal>>()

  /** Adds what has been done since the last time. A script may be told of again and again. */
  update(scripts: Iterable<Counted>): void {
    for (const script of scripts) this.#add(script)
  }

  #add(script: Counted): void {
    const seen = entry(this.#seen, script, () => new Map<string, HookTotal>())
    const totals = this.#of(script.file)
    for (const [hook, { calls, errors, overruns, cpuMicros }] of Object.entries(script.stats.hooks)) {
      const before = seen.get(hook) ?? NOTHING
      const total = entry(totals, hook, () => ({ ...NOTHING }))
      total.calls += calls - before.calls
      total.errors += errors - before.errors
      total.overruns += overruns - before.overruns
      total.cpuMicros += cpuMicros - before.cpuMicros
      seen.set(hook, { calls, errors, overruns, cpuMicros })
    }
  }

  #of(file: string): Map<string, HookTotal> {
    const totals = this.byFile.get(file) ?? new Map<string, HookTotal>()
    this.byFile.delete(file)
    this.byFile.set(file, totals)
    if (this.byFile.size > MAX_FILES) this.byFile.delete(this.byFile.keys().next().value!)
    return totals
  }
}

function entry<K, V>(
  map: { get(key: K): V | undefined; set(key: K, value: V): unknown },
  key: K,
  make: () => V,
): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}
