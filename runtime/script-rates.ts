/** What scripts limit (`sluice:limit`): where it is counted, and until when. */
import type { LogLevel, ScriptRates } from './phases.ts'
import type { Exchange } from './proxy/exchange.ts'
import { LimitState } from './proxy/limit-state.ts'
import type { ScriptCounts } from './store/script-counts.ts'
import type { Store } from './store/store.ts'

/** Asked for at each call: a script that stays loaded goes on with what its generations have. */
export interface RateSources {
  counts(): ScriptCounts
  /** null: what all share is counted here. */
  store(): Store | null
  log(level: LogLevel, message: string): void
}

export function scriptRates(sources: RateSources): ScriptRates {
  return {
    take: (request) => sources.counts().take(request),
    takeShared: async (request) => {
      const store = sources.store()
      if (store === null) return sources.counts().take(request)
      return sources.counts().takeFrom(store, request, (level, message) => sources.log(level, message))
    },
    admit(request, name, key, max) {
      const { main } = request as Exchange
      // Nothing releases what is counted when it is over.
      if (main.completed) return true
      const zone = sources.counts().connections(name)
      if (zone.admit(key, max) !== 'admitted') return false
      main.limits ??= new LimitState()
      main.limits.hold(zone, key)
      return true
    },
  }
}
