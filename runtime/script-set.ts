/**
 * The scripts of a generation: each file with the same parameters and limits runs in one sandbox, wherever it is
 * named. Says which hooks hold where: for each phase the innermost level that has any (as OpenResty's `*_by_lua`).
 */
import { DEFAULTS } from './config/defaults.ts'
import type {
  CanaryModel,
  FetchRule,
  HttpModel,
  LocationModel,
  ScriptModel,
  Settings,
} from './config/model.ts'
import { fetchWithin } from './fetch/network-fetch.ts'
import type { GenerationScripts, ScriptSlot } from './generation-scripts.ts'
import {
  DEFAULT_LIMITS,
  type Phase,
  type PhaseHandler,
  type ScriptHost,
  type ScriptLimits,
} from './phases.ts'
import type { Services } from './proxy/exchange.ts'
import type { Hooks } from './proxy/plan.ts'
import { tapHost } from './replay/tap-host.ts'
import { CanaryGate, type CanaryTrial } from './script-canary.ts'
import { type FollowedScript, followScript } from './script-follow.ts'
import { scriptHost } from './script-host.ts'
import type { ScriptLink } from './script-link.ts'
import { scriptRates } from './script-rates.ts'
import { scriptRedis } from './script-redis.ts'
import { shadowHost } from './script-shadow.ts'
import type { LoadedScript, ScriptRole } from './script-versions.ts'
import type { Upstream } from './upstreams.ts'

export interface ScriptSetOptions {
  /** What the scripts are loaded by. */
  readonly scripts: GenerationScripts
  readonly link: ScriptLink
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
  readonly allowFetch: readonly FetchRule[]
  readonly ejectAfter: number
  /** Equal for lines that mean the same. */
  readonly key: string
}

/** What runs in place of one `script` line. */
interface Running {
  readonly live: LoadedScript
  readonly canary: LoadedScript | null
  readonly gate: CanaryGate | null
  readonly trial: CanaryTrial | null
  readonly followed: FollowedScript | null
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
/** Phases in which a handler that lets everything pass makes no difference. */
const HARMLESS: ReadonlySet<Phase> = new Set([
  'rewrite',
  'access',
  'content',
  'balancer',
  'headerFilter',
  'log',
])
const PROXY_PHASES = Object.keys(NO_HOOKS) as (keyof Hooks)[]

/** What scripts of a level are held to. */
interface ScriptPolicy {
  readonly limits: Partial<ScriptLimits>
  readonly onError: 'closed' | 'open'
  readonly allowFetch: readonly FetchRule[]
  readonly ejectAfter: number
}

const DEFAULT_POLICY: ScriptPolicy = {
  limits: {},
  onError: 'closed',
  allowFetch: DEFAULTS.scriptAllowFetch,
  ejectAfter: DEFAULTS.scriptEjectAfter,
}

/** The scripts of each level from the outermost in. */
export class ScriptLevels {
  readonly levels: readonly (readonly Wanted[])[]
  readonly limits: Partial<ScriptLimits>
  readonly onError: 'closed' | 'open'
  readonly allowFetch: readonly FetchRule[]
  readonly ejectAfter: number

  constructor(levels: readonly (readonly Wanted[])[], policy: ScriptPolicy) {
    this.levels = levels
    this.limits = policy.limits
    this.onError = policy.onError
    this.allowFetch = policy.allowFetch
    this.ejectAfter = policy.ejectAfter
  }

  /** With one more level inside. */
  inner(
    settings: Pick<
      Settings,
      'scripts' | 'scriptLimits' | 'scriptOnError' | 'scriptAllowFetch' | 'scriptEjectAfter'
    >,
  ): ScriptLevels {
    const limits = { ...this.limits, ...settings.scriptLimits }
    const onError = settings.scriptOnError ?? this.onError
    const allowFetch = settings.scriptAllowFetch ?? this.allowFetch
    const ejectAfter = settings.scriptEjectAfter ?? this.ejectAfter
    const whole = { ...DEFAULT_LIMITS, ...limits }
    const wanted = (settings.scripts ?? []).map((model) =>
      keyed({ model, limits: whole, onError, allowFetch, ejectAfter }),
    )
    const levels = wanted.length === 0 ? this.levels : [...this.levels, wanted]
    return new ScriptLevels(levels, { limits, onError, allowFetch, ejectAfter })
  }
}

export class ScriptSet {
  readonly #options: ScriptSetOptions
  readonly #probe: ScriptProbe | null
  readonly #running = new Map<string, Running>()
  #outer = new ScriptLevels([], DEFAULT_POLICY)

  constructor(options: ScriptSetOptions) {
    this.#options = options
    this.#probe = options.probe ?? null
  }

  /** What a script is given, within its `script_allow_fetch`. */
  #hostFor(allowFetch: readonly FetchRule[]): ScriptHost {
    const { link, services, generation } = this.#options
    const map = (name: string) => link.stores?.map(name)
    const fetch = fetchWithin(allowFetch, link.fetch)
    const limits = scriptRates({
      counts: () => link.counts!,
      store: () => link.stores!.store,
      log: (level, message) => services.log(level, message, null),
    })
    const redis = link.stores === null ? undefined : scriptRedis(link.stores)
    const host = { ...scriptHost(link.binder, services, generation, fetch, map), limits, redis }
    return this.#probe === null ? host : this.#probe.host(host)
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
    const alone: PhaseHandler[] = []
    for (let i = chain.length - 1; i >= 0; i--) {
      alone.unshift(...chain[i].flatMap((wanted) => this.#candidateAlone(wanted, phase) ?? []))
      const handlers = chain[i].flatMap((wanted) => this.#hook(wanted, phase) ?? [])
      if (handlers.length > 0) return [...alone, ...handlers]
    }
    return alone.length > 0 && HARMLESS.has(phase) ? alone : null
  }

  /** A hook of a candidate in the shadow that the script itself does not have. It hides no hook of an outer level. */
  #candidateAlone(wanted: Wanted, phase: Phase): PhaseHandler | undefined {
    const { live, followed } = this.#running.get(wanted.key)!
    return live.script.hooks[phase] === undefined ? followed?.candidateAlone(phase) : undefined
  }

  /** What runs in one phase for one `script` line. */
  #hook(wanted: Wanted, phase: Phase): PhaseHandler | undefined {
    const { live, canary, gate, trial, followed } = this.#running.get(wanted.key)!
    const follow = (hook?: PhaseHandler) =>
      hook === undefined || followed === null ? hook : followed.tap.handler(phase, hook)
    const own = this.#watched(follow(live.script.hooks[phase]), phase, wanted.model.file)
    const other = this.#watched(follow(canary?.script.hooks[phase]), phase, wanted.model.canary?.file)
    const isShared = gate !== null && trial !== null && (own !== undefined || other !== undefined)
    return isShared ? gate.handler(trial, own, other) : own
  }

  #watched(hook: PhaseHandler | undefined, phase: Phase, file?: string): PhaseHandler | undefined {
    return hook === undefined || this.#probe === null ? hook : this.#probe.hook(hook, phase, file!)
  }

  #ofUpstream(model: NonNullable<Upstream['model']>): ScriptLevels {
    const { scripts, scriptLimits, scriptOnError, scriptAllowFetch, scriptEjectAfter } = model
    return new ScriptLevels([], this.#outer).inner({
      scripts,
      scriptLimits: scriptLimits ?? undefined,
      scriptOnError: scriptOnError ?? undefined,
      scriptAllowFetch: scriptAllowFetch ?? undefined,
      scriptEjectAfter: scriptEjectAfter ?? undefined,
    })
  }

  async #loadLocation(location: LocationModel, outer: ScriptLevels): Promise<void> {
    const levels = outer.inner(location.settings)
    await this.#loadAll(levels)
    for (const inner of location.locations) await this.#loadLocation(inner, levels)
  }

  async #loadAll(levels: ScriptLevels): Promise<void> {
    for (const wanted of levels.levels.flat()) {
      const { key } = wanted
      if (!this.#running.has(key)) this.#running.set(key, await this.#load(wanted, key))
    }
  }

  async #load(wanted: Wanted, key: string): Promise<Running> {
    const { scripts } = this.#options
    const { model, allowFetch } = wanted
    const isFollowed = this.#probe === null && (model.shadow !== undefined || model.record !== undefined)
    const makeHost = () => (isFollowed ? tapHost(this.#hostFor(allowFetch)) : this.#hostFor(allowFetch))
    const live = (await scripts.load(slotOf(wanted, 'live', model.file, key), makeHost))!
    const followed = isFollowed ? await this.#follow(wanted, key, live) : null
    if (model.canary === undefined) return { live, canary: null, gate: null, trial: null, followed }
    const canary = await scripts.load(slotOf(wanted, 'canary', model.canary.file, key), makeHost)
    if (canary === null) return { live, canary: null, gate: null, trial: null, followed }
    const gate = this.#gate(model.canary, key)
    return { live, canary, gate, trial: scripts.pair(live, canary, model.canary), followed }
  }

  async #follow(wanted: Wanted, key: string, live: LoadedScript): Promise<FollowedScript | null> {
    const { scripts, link, services } = this.#options
    const { model, allowFetch } = wanted
    const { shadow } = model
    const makeHost = () => shadowHost(this.#hostFor(allowFetch))
    const candidate =
      shadow === undefined ? null : await scripts.load(slotOf(wanted, 'shadow', shadow.file, key), makeHost)
    const pair = candidate === null ? null : { candidate, ...scripts.shadow(live, candidate) }
    return followScript({ model, pair, binder: link.binder, services, journals: scripts.journals })
  }

  #gate(canary: CanaryModel, key: string): CanaryGate {
    const { gates, binder } = this.#options.link
    const known = gates.get(key)
    if (known !== undefined) return known
    const gate = new CanaryGate(canary.percent, canary.key === null ? null : binder.bind(canary.key))
    gates.set(key, gate)
    return gate
  }
}

function slotOf(wanted: Wanted, role: ScriptRole, file: string, key: string): ScriptSlot {
  const { model, limits, onError, allowFetch, ejectAfter } = wanted
  // A canary goes on where the script left off, and the other way round.
  const stateFile = role === 'canary' ? model.file : file
  return { role, file, stateFile, params: model.params, limits, onError, allowFetch, ejectAfter, key }
}

function keyed(wanted: Omit<Wanted, 'key'>): Wanted {
  return { ...wanted, key: keyOf(wanted) }
}

function keyOf(wanted: Omit<Wanted, 'key'>): string {
  const { model, limits, onError, allowFetch, ejectAfter } = wanted
  const { file, params, canary, shadow, record } = model
  const beside = canary === undefined ? null : { ...canary, where: null, key: canary.key?.text }
  return JSON.stringify([
    file,
    Object.entries(params).sort(),
    limits,
    onError,
    allowFetch,
    ejectAfter,
    beside,
    placeless(shadow),
    placeless(record),
  ])
}

/** The same wherever it stands. */
function placeless<T extends object>(model: T | undefined): object | null {
  return model === undefined ? null : { ...model, where: null }
}
