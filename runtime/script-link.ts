/**
 * What the scripts of one configuration are bound to, over all generations that are made of it: its variables, and the
 * upstream groups of whichever of these generations serves now. Scripts of another configuration are loaded anew.
 */
import type { HttpModel } from './config/model.ts'
import type { FetchSurroundings } from './fetch/network-fetch.ts'
import { RequestBinder } from './proxy/binder.ts'
import type { CanaryGate } from './script-canary.ts'
import type { ScriptCounts } from './store/script-counts.ts'
import type { StoreSet } from './stores.ts'

export class ScriptLink {
  readonly id: number
  readonly model: HttpModel
  readonly binder: RequestBinder
  /** Of the canaries, by the slot of the script that each stands beside. */
  readonly gates = new Map<string, CanaryGate>()
  readonly fetch = new CurrentSurroundings()
  /** Set before a script is loaded. */
  stores: StoreSet | null = null
  /** Likewise. */
  counts: ScriptCounts | null = null

  constructor(id: number, model: HttpModel) {
    this.id = id
    this.model = model
    this.binder = new RequestBinder(model)
  }
}

/** Passes on to what was set last. */
class CurrentSurroundings implements FetchSurroundings {
  current: FetchSurroundings | null = null

  get #now(): FetchSurroundings {
    if (this.current === null) throw new Error('no surroundings were set')
    return this.current
  }

  findGroup(...args: Parameters<FetchSurroundings['findGroup']>): ReturnType<FetchSurroundings['findGroup']> {
    return this.#now.findGroup(...args)
  }

  get resolver(): FetchSurroundings['resolver'] {
    return this.#now.resolver
  }

  get agents(): FetchSurroundings['agents'] {
    return this.#now.agents
  }

  get userAgent(): string {
    return this.#now.userAgent
  }
}
