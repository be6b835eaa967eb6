/**
 * What the hooks of a gateway's scripts have done in all, by file and hook: sums that only grow, though scripts come and
 * go with the generations. To be told of a script before it is forgotten.
 */
import type { Script } from './script/engine.ts'

export interface HookTotal {
  calls: number
  errors: number
  overruns: number
  cpuMicros: number
}

const NOTHING: Readonly<HookTotal> = { calls: 0, errors: 0, overruns: 0, cpuMicros: 0 }

export class HookTotals {
  /** By file, then by hook. */
  readonly byFile = new Map<string, Map<string, HookTotal>>()
  readonly #seen = new WeakMap<Script, Map<string, HookTotal>>()

  /** Adds what has been done since the last time. A script may be told of again and again. */
  update(scripts: Iterable<Script>): void {
    for (const script of scripts) this.#add(script)
  }

  #add(script: Script): void {
    const seen = entry(this.#seen, script, () => new Map<string, HookTotal>())
    const totals = entry(this.byFile, script.file, () => new Map<string, HookTotal>())
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
