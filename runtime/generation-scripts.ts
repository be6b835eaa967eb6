/**
 * The scripts of one generation: which version of each file it has, loaded or shared with the generation before, held
 * until it goes. Changes nothing of what serves before the generation goes into service.
 */
import type { FetchRule, HttpModel } from './config/model.ts'
import type { FetchSurroundings } from './fetch/network-fetch.ts'
import type { ScriptHost, ScriptLimits } from './phases.ts'
import { loadScript, readScript, type Script } from './script/engine.ts'
import { type CanaryLimits, CanaryTrial } from './script-canary.ts'
import type { ScriptLink } from './script-link.ts'
import type { Journals } from './script-record.ts'
import type { ScriptRegistry, SwapPlan } from './script-registry.ts'
import { ShadowResults } from './script-shadow.ts'
import { LoadedScript, type ScriptFile, type ScriptRole, ScriptVersion } from './script-versions.ts'

/** A script as one place of the configuration wants it. */
export interface ScriptSlot {
  readonly role: ScriptRole
  readonly file: string
  readonly params: Readonly<Record<string, string>>
  readonly limits: ScriptLimits
  readonly onError: 'closed' | 'open'
  readonly allowFetch: readonly FetchRule[]
  readonly ejectAfter: number
  /** Whose `ws.state` it goes on with. */
  readonly stateFile: string
  /** Equal for slots that one sandbox does for. */
  readonly key: string
}

const ROLLED_BACK = { end: 'save', reason: 'rolled back' } as const

/** A file in this generation. */
class Choice {
  readonly file: ScriptFile
  readonly was: ScriptVersion | null
  /** null: nothing of it. */
  readonly version: ScriptVersion | null
  /** Read for this generation. */
  readonly isNew: boolean
  readonly #plan: SwapPlan

  constructor(file: ScriptFile, version: ScriptVersion | null, isNew: boolean, plan: SwapPlan) {
    this.file = file
    this.was = file.current
    this.version = version
    this.isNew = isNew
    this.#plan = plan
  }

  /** The generation goes into service. */
  commit(keep: number): void {
    const { file, version } = this
    if (version === this.was) {
      if (file.hold?.isOver) file.hold = null
    } else if (this.isNew && version !== null) file.serve(version, keep)
    else if (this.#plan.reason !== 'canary promoted') {
      const { end, reason } = this.#plan.hold ?? ROLLED_BACK
      file.goBack(version, end, reason)
    } else if (version === null)
      file.goBack(null, 'change', 'promoted: its sources serve as the script itself')
    else file.promote(version, keep, 'a canary was promoted in its place')
  }
}

interface Pair {
  readonly live: LoadedScript
  readonly canary: LoadedScript
  readonly trial: CanaryTrial
}

export class GenerationScripts {
  readonly plan: SwapPlan
  readonly choices = new Map<ScriptFile, Choice>()
  readonly #registry: ScriptRegistry
  readonly #held = new Set<LoadedScript>()
  readonly #pairs: Pair[] = []
  #link: ScriptLink | null = null
  #fetch: FetchSurroundings | null = null

  /** Use `ScriptRegistry.plan`. */
  constructor(registry: ScriptRegistry, plan: SwapPlan) {
    this.#registry = registry
    this.plan = plan
  }

  /** To be called first: what the scripts of this configuration are bound to. */
  bind(http: HttpModel): ScriptLink {
    this.#link = this.#registry.link(http, this.plan.reads === 'all')
    return this.#link
  }

  /** Where fetches go once this generation serves. */
  setFetch(surroundings: FetchSurroundings): void {
    this.#fetch = surroundings
    this.#bound.fetch.current ??= surroundings
  }

  get #bound(): ScriptLink {
    if (this.#link === null) throw new Error('bind() comes first')
    return this.#link
  }

  get journals(): Journals {
    return this.#registry.journals
  }

  get all(): Script[] {
    return [...this.#held].map(({ script }) => script)
  }

  /** Digest of each file, once all are loaded: equal in processes that have loaded the same. null: nothing of it. */
  get digests(): Record<string, string | null> {
    const digests: Record<string, string | null> = {}
    for (const [{ role, path }, { version }] of this.choices)
      digests[`${role} ${path}`] = version === null ? null : version.digest
    return digests
  }

  /** What was read for it is still on the disk. */
  get isCurrent(): boolean {
    return [...this.choices.values()].every(({ isNew, version }) => !isNew || version!.modules.isOnDisk)
  }

  /**
   * The script of a slot.
   * @returns null for a canary that is not to be served
   * @throws ScriptError
   */
  async load(slot: ScriptSlot, makeHost: () => ScriptHost): Promise<LoadedScript | null> {
    const file = this.#registry.file(slot.role, slot.file)
    const choice = this.choices.get(file) ?? (await this.#choose(file))
    if (choice.version === null) return null
    const key = `${this.#bound.id} ${slot.key}`
    const loaded = choice.version.loaded.get(key) ?? (await this.#load(slot, key, choice, makeHost()))
    await loaded.ready
    if (!this.#held.has(loaded)) {
      loaded.acquire()
      this.#held.add(loaded)
    }
    return loaded
  }

  async #load(slot: ScriptSlot, key: string, choice: Choice, host: ScriptHost): Promise<LoadedScript> {
    const { file, version, isNew } = choice
    const { modules } = version!
    if (isNew) modules.unseal()
    const { params, limits, onError, ejectAfter, stateFile } = slot
    const eject = (script: Script, reason: string): boolean => this.#registry.eject(file, script, reason)
    const script = await loadScript({
      file: file.path,
      params,
      limits,
      onError,
      host,
      modules,
      stateFile,
      ejectAfter,
      eject,
    })
    return new LoadedScript(script, version!, key)
  }

  async #choose(file: ScriptFile): Promise<Choice> {
    const choice = await this.#makeChoice(file)
    this.choices.set(file, choice)
    return choice
  }

  async #makeChoice(file: ScriptFile): Promise<Choice> {
    const { plan } = this
    const { current, hold } = file
    const planned = plan.versions.get(file)
    if (planned !== undefined) return new Choice(file, planned, false, plan)
    const looks = plan.reads === 'all' || plan.reads.has(file)
    if (plan.texts !== undefined && looks) {
      const modules = await readScript({ file: file.path, texts: plan.texts })
      return new Choice(file, new ScriptVersion(modules), true, plan)
    }
    if (hold !== null && !(looks && hold.isOver)) {
      if (plan.reason === 'reload')
        this.#registry.log(
          'notice',
          `${file.path}: version ${hold.version.digest} stays out (${hold.reason})`,
        )
      return new Choice(file, current, false, plan)
    }
    if (current !== null && (!looks || current.modules.isOnDisk))
      return new Choice(file, current, false, plan)
    return new Choice(file, new ScriptVersion(await readScript({ file: file.path })), true, plan)
  }

  /** The canary stands beside the script from when this generation serves. */
  pair(live: LoadedScript, canary: LoadedScript, limits: CanaryLimits): CanaryTrial {
    const { partner, version } = canary
    const file = this.#fileOf(canary)
    const known = partner === live ? canary.trial : null
    const isCurrent = (): boolean => file.current === version
    const stop = (reason: string): void => this.#registry.stopCanary(file, reason)
    const trial = known ?? new CanaryTrial(limits, isCurrent, stop)
    this.#pairs.push({ live, canary, trial })
    return trial
  }

  /** The candidate stands in the shadow of the script. */
  shadow(live: LoadedScript, candidate: LoadedScript): { results: ShadowResults; isCurrent: () => boolean } {
    const file = this.#fileOf(candidate)
    const { version } = candidate
    const known = candidate.partner === live ? candidate.results : null
    const results = known ?? new ShadowResults()
    candidate.partner = live
    candidate.results = results
    return { results, isCurrent: () => file.current === version }
  }

  #fileOf(loaded: LoadedScript): ScriptFile {
    for (const { file, version } of this.choices.values()) if (version === loaded.version) return file
    throw new Error('a script of another generation')
  }

  /** The generation goes into service. */
  serve(generation: number): void {
    const link = this.#bound
    if (this.#fetch !== null) link.fetch.current = this.#fetch
    this.#registry.serve(generation, this, link)
    for (const { script } of this.#held) script.observe(null)
    const partners = new Map<ScriptFile, Set<ScriptFile>>()
    for (const { live, canary, trial } of this.#pairs) {
      canary.partner = live
      canary.trial = trial
      live.script.observe(trial.live)
      canary.script.observe(trial.canary)
      const file = this.#fileOf(canary)
      partners.set(file, (partners.get(file) ?? new Set()).add(this.#fileOf(live)))
    }
    for (const [file, set] of partners) file.partners = set
  }

  /** The generation is asked, but never goes into service: its canaries take their share, and are not judged. */
  rehearse(): void {
    for (const choice of this.choices.values()) choice.commit(1)
  }

  /** The generation goes, or never came. */
  release(): void {
    for (const loaded of this.#held) loaded.release()
    this.#held.clear()
  }
}
