/**
 * The scripts of a generation: each file with the same parameters and limits runs in one sandbox, wherever it is
 * named. Says which hooks hold where: for each phase the innermost level that has any (as OpenResty's `*_by_lua`).
 */
import type { HttpModel, LocationModel, ScriptModel, Settings } from './config/model.ts'
import {
  DEFAULT_LIMITS,
  type Phase,
  type PhaseHandler,
  type ScriptHost,
  type ScriptLimits,
} from './phases.ts'
import type { RequestBinder } from './proxy/binder.ts'
import type { Services } from './proxy/exchange.ts'
import type { Hooks } from './proxy/plan.ts'
import { loadScript, type Script } from './script/engine.ts'
import { scriptHost } from './script-host.ts'
import type { Upstream } from './upstreams.ts'

export interface ScriptSetOptions {
  readonly binder: RequestBinder
  readonly services: Services
  readonly generation: number
  readonly probe?: ScriptProbe
}

/** Sees what scripts do, and changes nothing of it: stands between a script and what it is given. */
export interface ScriptProbe {
  host(host: ScriptHost): ScriptHost
  /** @param file the script that the hook is of */
  hook(hook: PhaseHandler, phase: Phase, file: string): PhaseHandler
}

interface Wanted {
  readonly model: ScriptModel
  readonly limits: ScriptLimits
  readonly onError: 'closed' | 'open'
}

export const NO_HOOKS: Hooks = {
  rewrite: null,
  access: null,
  content: null,
  balancer: null,
  headerFilter: null,
  bodyFilter: null,
  wsOpen: null,
  wsMessage: null,
  wsClose: null,
  log: null,
}
const PROXY_PHASES = Object.keys(NO_HOOKS) as (keyof Hooks)[]

/** The scripts of each level from the outermost in. */
export class ScriptLevels {
  readonly levels: readonly (readonly Wanted[])[]
  readonly limits: Partial<ScriptLimits>
  readonly onError: 'closed' | 'open'

  constructor(
    levels: readonly (readonly Wanted[])[],
    limits: Partial<ScriptLimits>,
    onError: 'closed' | 'open',
  ) {
    this.levels = levels
    this.limits = limits
    this.onError = onError
  }

  /** With one more level inside. */
  inner(settings: Pick<Settings, 'scripts' | 'scriptLimits' | 'scriptOnError'>): ScriptLevels {
    const limits = { ...this.limits, ...settings.scriptLimits }
    const onError = settings.scriptOnError ?? this.onError
    const wanted = (settings.scripts ?? []).map((model) => ({
      model,
      limits: { ...DEFAULT_LIMITS, ...limits },
      onError,
    }))
    return new ScriptLevels(wanted.length === 0 ? this.levels : [...this.levels, wanted], limits, onError)
  }
}

export class ScriptSet {
  readonly #host: ScriptHost
  readonly #probe: ScriptProbe | null
  readonly #scripts = new Map<string, Script>()
  #outer = new ScriptLevels([], {}, 'closed')

  constructor(options: ScriptSetOptions) {
    const host = scriptHost(options.binder, options.services, options.generation)
    this.#probe = options.probe ?? null
    this.#host = this.#probe === null ? host : this.#probe.host(host)
  }

  get all(): Script[] {
    return [...this.#scripts.values()]
  }

  /** The levels of the `http` block. */
  get outer(): ScriptLevels {
    return this.#outer
  }

  /** Loads every script that the configuration names. @throws ScriptError for the first that cannot be. */
  async load(http: HttpModel): Promise<void> {
    this.#outer = this.#outer.inner(http.settings)
    await this.#loadAll(this.#outer)
    for (const upstream of http.upstreams) await this.#loadAll(this.#ofUpstream(upstream))
    for (const server of http.servers) {
      const levels = this.#outer.inner(server.settings)
      await this.#loadAll(levels)
      for (const location of server.locations) await this.#loadLocation(location, levels)
    }
  }

  /** The hooks at a location; those of the upstream block that it passes to count as a level just outside it. */
  hooks(levels: ScriptLevels, upstream: Upstream | null): Hooks {
    const chain = [...levels.levels]
    if (upstream?.model != null) {
      const own = this.#ofUpstream(upstream.model).levels
      chain.splice(Math.max(0, chain.length - 1), 0, ...own.slice(-1))
    }
    if (chain.length === 0) return NO_HOOKS
    const hooks: { -readonly [P in keyof Hooks]: Hooks[P] } = { ...NO_HOOKS }
    for (const phase of PROXY_PHASES) hooks[phase] = this.#innermost(chain, phase)
    return hooks
  }

  #innermost(chain: readonly (readonly Wanted[])[], phase: Phase): readonly PhaseHandler[] | null {
    for (let i = chain.length - 1; i >= 0; i--) {
      const handlers = chain[i].flatMap((wanted) => this.#hook(wanted, phase) ?? [])
      if (handlers.length > 0) return handlers
    }
    return null
  }

  #hook(wanted: Wanted, phase: Phase): PhaseHandler | undefined {
    const hook = this.#scripts.get(keyOf(wanted))!.hooks[phase]
    return hook === undefined || this.#probe === null
      ? hook
      : this.#probe.hook(hook, phase, wanted.model.file)
  }

  #ofUpstream(model: NonNullable<Upstream['model']>): ScriptLevels {
    const { scripts, scriptLimits, scriptOnError } = model
    return new ScriptLevels([], this.#outer.limits, this.#outer.onError).inner({
      scripts,
      scriptLimits: scriptLimits ?? undefined,
      scriptOnError: scriptOnError ?? undefined,
    })
  }

  async #loadLocation(location: LocationModel, outer: ScriptLevels): Promise<void> {
    const levels = outer.inner(location.settings)
    await this.#loadAll(levels)
    for (const inner of location.locations) await this.#loadLocation(inner, levels)
  }

  async #loadAll(levels: ScriptLevels): Promise<void> {
    for (const wanted of levels.levels.flat()) {
      const key = keyOf(wanted)
      if (this.#scripts.has(key)) continue
      const { model, limits, onError } = wanted
      const script = await loadScript({
        file: model.file,
        params: model.params,
        limits,
        onError,
        host: this.#host,
      })
      this.#scripts.set(key, script)
    }
  }
}

function keyOf(wanted: Wanted): string {
  const { model, limits, onError } = wanted
  return JSON.stringify([model.file, Object.entries(model.params).sort(), limits, onError])
}
