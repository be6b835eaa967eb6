/**
 * What outlives generations of the scripts of a gateway: each file's versions, the history of what served, and the
 * decision to take a version out of service. Asks for a new generation when it has taken one; makes none itself.
 */
import type { HttpModel } from './config/model.ts'
import { GenerationScripts } from './generation-scripts.ts'
import type { LogLevel } from './phases.ts'
import type { Script } from './script/engine.ts'
import { ModuleFiles, realpath } from './script/module-files.ts'
import { ScriptLink } from './script-link.ts'
import { Journals } from './script-record.ts'
import type { ShadowStatistics } from './script-shadow.ts'
import type { ScriptsSnapshot } from './script-snapshot.ts'
import { type HoldEnd, LoadedScript, ScriptFile, type ScriptRole, ScriptVersion } from './script-versions.ts'
import type { Change } from './swap.ts'

/** What a generation was made for. */
export type SwapReason =
  | 'start'
  | 'restore'
  | 'save'
  | 'push'
  | 'reload'
  | 'rollback'
  | 'eject'
  | 'canary promoted'
  | 'canary rolled back'
  | 'shadow switched off'

/** A version was taken out of service by the process itself. */
export interface Removal {
  readonly reason: 'eject' | 'canary rolled back' | 'shadow switched off'
  readonly role: ScriptRole
  readonly file: string
  /** Digests; null: nothing of it serves any more. */
  readonly from: string
  readonly to: string | null
  /** What the status shows. */
  readonly why: string
}

/** Which versions a new generation is to have. */
export interface SwapPlan {
  readonly reason: SwapReason
  /** Instead of the current ones; null: none of that file. */
  readonly versions: ReadonlyMap<ScriptFile, ScriptVersion | null>
  /** Which of the others are read again where they have changed; the rest makes do with what is in memory. */
  readonly reads: 'all' | ReadonlySet<ScriptFile>
  /** Texts of files, by their real path, instead of what is on the disk. */
  readonly texts?: ReadonlyMap<string, string>
  /** Of what is gone back from; default: until it is saved. */
  readonly hold?: { readonly end: HoldEnd; readonly reason: string }
}

/** A generation that has served, or serves. */
export interface HistoryEntry {
  readonly generation: number
  /** ms since the epoch when it went into service. */
  readonly at: number
  readonly reason: SwapReason
  readonly scripts: readonly { readonly file: string; readonly role: ScriptRole; readonly digest: string }[]
}

/** One version of a script, as things are now. */
export interface ScriptStatus {
  readonly file: string
  readonly role: ScriptRole
  /** Hash of the file and all that it imports. */
  readonly digest: string
  /** The first generation that it served in. */
  readonly generation: number
  /**
   * `left out`: hooks that overran are, and are tried again later. `quarantined`: what is on the disk is not served until it
   * changes.
   */
  readonly state: ScriptRole | 'left out' | 'quarantined'
  /** Which hooks are left out, or why the version is quarantined; else ''. */
  readonly reason: string
  /** Of all its hooks, in all generations. */
  readonly calls: number
  /** Overruns included. */
  readonly errors: number
  readonly overruns: number
  /** Bytes of its sandboxes. */
  readonly memory: number
  /** Of a candidate in the shadow: how it compares with the script, by phase. */
  readonly shadow?: ShadowStatistics
}

export interface RegistryOptions {
  readonly log: (level: LogLevel, message: string) => void
  /** A version was taken out of service: a generation without it is wanted, made of what is in memory. */
  readonly swap: (removal: Removal) => void
}

interface Kept extends HistoryEntry {
  readonly versions: ReadonlyMap<ScriptFile, ScriptVersion>
}

/** There is nothing to go back to. */
export class RollbackError extends Error {}

export class ScriptRegistry {
  readonly #options: RegistryOptions
  /** Of `script_record`, in all generations. */
  readonly journals: Journals
  readonly #files = new Map<string, ScriptFile>()
  /** Oldest first. */
  #kept: Kept[] = []
  #link: ScriptLink | null = null
  #links = 0

  constructor(options: RegistryOptions) {
    this.#options = options
    this.journals = new Journals((level, message) => options.log(level, message))
  }

  log(level: LogLevel, message: string): void {
    this.#options.log(level, message)
  }

  file(role: ScriptRole, path: string): ScriptFile {
    const key = `${role} ${path}`
    let file = this.#files.get(key)
    if (file === undefined) this.#files.set(key, (file = new ScriptFile(role, path)))
    return file
  }

  /** What scripts of this configuration are bound to. @param isNew its variables may have another meaning than before */
  link(model: HttpModel, isNew: boolean): ScriptLink {
    const link = this.#link
    return link !== null && link.model === model && !isNew ? link : new ScriptLink(++this.#links, model)
  }

  // ---- plans ----

  /** @param restored whether the first generation is made of what was restored @returns null when there is nothing to do */
  planOf(change: Change, restored: boolean): GenerationScripts | null {
    switch (change.kind) {
      case 'start':
        return restored ? this.planRestored() : this.planAll('start')
      case 'reload':
        return this.planAll('reload')
      case 'save':
        return this.planSaved()
      case 'rollback':
        return this.planRollback(change.file)
      case 'promote':
        return this.planPromotion(change.file)
      case 'push':
        return this.planPush(change.texts)
      case 'removal':
        return this.planRemoval(change.removal)
    }
  }

  /** What is on the disk, for a configuration that is new. */
  planAll(reason: 'start' | 'reload'): GenerationScripts {
    return new GenerationScripts(this, { reason, versions: new Map(), reads: 'all' })
  }

  /** Files whose text is another one than what serves, and is not held. @returns null when there is none */
  planSaved(): GenerationScripts | null {
    const reads = new Set([...this.#files.values()].filter((file) => file.hasChanged))
    return reads.size === 0
      ? null
      : new GenerationScripts(this, { reason: 'save', versions: new Map(), reads })
  }

  /** Files that serve with other texts than those on the disk. @throws RollbackError when nothing of one serves */
  planPush(pushed: ReadonlyMap<string, string>): GenerationScripts {
    const texts = new Map([...pushed].map(([path, text]) => [realpath(path), text]))
    const uses = (file: ScriptFile) =>
      file.current !== null && file.files.some((path) => texts.has(realpath(path)))
    const reads = new Set([...this.#files.values()].filter(uses))
    if (reads.size === 0) throw new RollbackError(`${[...pushed.keys()].join(', ')}: nothing of it serves`)
    return new GenerationScripts(this, { reason: 'push', versions: new Map(), reads, texts })
  }

  /** What was restored, as it is in memory. */
  planRestored(): GenerationScripts {
    return this.#planVersions('restore', new Map())
  }

  /** What serves, without what was taken out of service: by this process already, or by another one. */
  planRemoval({ reason, role, file: path, to, why }: Removal): GenerationScripts {
    const file = this.#files.get(`${role} ${path}`)
    const versions = new Map<ScriptFile, ScriptVersion | null>()
    if (file !== undefined && file.current !== null && file.current.digest !== to) {
      const version = to === null ? null : file.earlier.find(({ digest }) => digest === to)
      if (version === undefined) throw new RollbackError(`there is no version ${to} of ${path}`)
      versions.set(file, version)
    }
    const hold = { end: 'change', reason: why } as const
    return new GenerationScripts(this, { reason, versions, reads: new Set(), hold })
  }

  #planVersions(reason: SwapReason, versions: SwapPlan['versions']): GenerationScripts {
    return new GenerationScripts(this, { reason, versions, reads: new Set() })
  }

  /** One script as it was before its last change, or without a name all of them as the generation before had them. */
  planRollback(path?: string): GenerationScripts {
    const versions = path === undefined ? this.#before() : this.#beforeOf(path)
    return this.#planVersions('rollback', versions)
  }

  #beforeOf(path: string): Map<ScriptFile, ScriptVersion> {
    const file = this.#serving(path)
    const [version] = file.earlier
    if (version === undefined) throw new RollbackError(`there is no earlier version of ${path}`)
    return new Map([[file, version]])
  }

  #before(): Map<ScriptFile, ScriptVersion> {
    for (const { versions } of this.#kept.toReversed()) {
      const changed = [...versions].filter(
        ([file, version]) => file.current !== null && file.current !== version,
      )
      if (changed.length > 0 && changed.every(([file, version]) => file.earlier.includes(version)))
        return new Map(changed)
    }
    throw new RollbackError('there is no earlier generation of the scripts')
  }

  #serving(path: string): ScriptFile {
    const found = [...this.#files.values()].filter((file) => file.path === path && file.current !== null)
    if (found.length === 0) throw new RollbackError(`${path} is no script that serves`)
    return found.find(({ role }) => role === 'live') ?? found[0]
  }

  /** The canary's sources for the script itself. */
  planPromotion(path: string): GenerationScripts {
    const canary = this.#files.get(`canary ${path}`)
    if (canary?.current == null) throw new RollbackError(`${path} is no canary that serves`)
    const versions = new Map<ScriptFile, ScriptVersion | null>([[canary, null]])
    for (const file of canary.partners) versions.set(file, new ScriptVersion(canary.current.modules))
    return this.#planVersions('canary promoted', versions)
  }

  /** Every file that a save of would change what serves. */
  get watched(): string[] {
    return [...new Set([...this.#files.values()].flatMap(({ files }) => files))]
  }

  // ---- what serves ----

  /** A generation goes into service. */
  serve(generation: number, scripts: GenerationScripts, link: ScriptLink): void {
    const keep = link.model.scriptGenerations
    this.#link = link
    for (const choice of scripts.choices.values()) {
      const { version } = choice
      if (version !== null && version.generation === 0) version.generation = generation
      choice.commit(keep)
    }
    for (const [key, file] of this.#files) if (!scripts.choices.has(file)) this.#files.delete(key)
    const versions = new Map<ScriptFile, ScriptVersion>()
    for (const [file, { version }] of scripts.choices) if (version !== null) versions.set(file, version)
    const entry: Kept = {
      generation,
      at: Date.now(),
      reason: scripts.plan.reason,
      scripts: [...versions].map(([{ path, role }, { digest }]) => ({ file: path, role, digest })),
      versions,
    }
    const isRestored = this.#kept.at(-1)?.generation === generation
    if (!isRestored) this.#kept = [...this.#kept, entry].slice(-keep)
  }

  /** All that {@link restore} needs. */
  snapshot(): ScriptsSnapshot {
    const places = new Map<ScriptVersion, number>()
    const place = (version: ScriptVersion): number => {
      if (!places.has(version)) places.set(version, places.size)
      return places.get(version)!
    }
    const files = [...this.#files.values()]
    const history = this.#kept.map(({ versions, ...entry }) => ({
      ...entry,
      versions: [...versions]
        .filter(([file]) => files.includes(file))
        .map(([file, version]) => [files.indexOf(file), place(version)] as const),
    }))
    const snapshots = files.map((file) => file.snapshot(place))
    const versions = [...places.keys()].map(({ modules, generation, abandoned }) => {
      return { modules: modules.snapshot(), generation, abandoned }
    })
    return { versions, files: snapshots, history }
  }

  /** To be called before anything serves: the versions and the history of another process. */
  restore({ versions, files, history }: ScriptsSnapshot): void {
    const all = versions.map(({ modules, generation, abandoned }) => {
      return Object.assign(new ScriptVersion(new ModuleFiles(modules)), { generation, abandoned })
    })
    const restored = files.map((snapshot) => {
      const file = this.file(snapshot.role, snapshot.path)
      file.restore(snapshot, all)
      return file
    })
    this.#kept = history.map(({ versions, ...entry }) => ({
      ...entry,
      versions: new Map(versions.map(([file, version]) => [restored[file], all[version]])),
    }))
  }

  /** The generations that can be gone back to, and the one that serves; oldest first. */
  get history(): HistoryEntry[] {
    return this.#kept.map(({ generation, at, reason, scripts }) => ({ generation, at, reason, scripts }))
  }

  get status(): ScriptStatus[] {
    return [...this.#files.values()].flatMap((file) => {
      const rows: ScriptStatus[] = []
      if (file.current !== null) rows.push(servingStatus(file, file.current))
      if (file.hold !== null) rows.push(row(file, file.hold.version, 'quarantined', file.hold.reason))
      return rows
    })
  }

  // ---- taking out of service ----

  /**
   * A script has overrun its limits too often: an earlier version takes its place at once, or a canary is stopped.
   * @returns false: there is none, or it does not serve any more
   */
  eject(file: ScriptFile, script: Script, reason: string): boolean {
    const loaded = file.find(script)
    if (loaded === null || loaded.version !== file.current) return false
    if (file.role === 'canary') {
      for (const one of loaded.version.loaded.values()) if (one.partner !== null) one.succeedBy(one.partner)
      this.stopCanary(file, reason)
      return true
    }
    if (file.role === 'shadow') {
      this.#stopShadow(file, reason)
      return true
    }
    const { version } = loaded
    for (const earlier of file.earlierGood) {
      if (!this.#replace(version, earlier)) continue
      const why = `ejected: ${reason}`
      file.goBack(earlier, 'change', why)
      this.log(
        'alert',
        `${file.path}: ${reason}: version ${version.digest} is ejected, version ${earlier.digest} serves instead; what is on the disk is not loaded again until it changes`,
      )
      this.#removed('eject', file, version, earlier, why)
      return true
    }
    return false
  }

  #replace(version: ScriptVersion, earlier: ScriptVersion): boolean {
    for (const loaded of [...version.loaded.values()]) {
      try {
        this.#succeed(loaded, earlier.loaded.get(loaded.key) ?? twin(loaded, earlier))
      } catch (error) {
        this.log('alert', `${(error as Error).message}; this earlier version cannot be gone back to`)
        return false
      }
    }
    return true
  }

  #succeed(loaded: LoadedScript, successor: LoadedScript): void {
    successor.acquire()
    if (successor.ready === null) {
      loaded.succeedBy(successor)
      successor.release()
      return
    }
    successor.ready
      .then(
        () => loaded.succeedBy(successor),
        (error: Error) => this.log('alert', error.message),
      )
      .finally(() => successor.release())
  }

  /** The canary serves no new request. */
  stopCanary(file: ScriptFile, reason: string): void {
    const version = file.current
    if (version === null) return
    const why = `rolled back: ${reason}`
    file.goBack(null, 'change', why)
    this.log(
      'alert',
      `the canary ${file.path}, version ${version.digest}, is rolled back: ${reason}; it is not tried again until it changes`,
    )
    this.#removed('canary rolled back', file, version, null, why)
  }

  /** A candidate is not run any more. */
  #stopShadow(file: ScriptFile, reason: string): void {
    const version = file.current
    if (version === null) return
    const why = `switched off: ${reason}`
    file.goBack(null, 'change', why)
    this.log(
      'alert',
      `the shadow ${file.path}, version ${version.digest}, is switched off: ${reason}; it is not tried again until it changes`,
    )
    this.#removed('shadow switched off', file, version, null, why)
  }

  #removed(
    reason: Removal['reason'],
    { role, path }: ScriptFile,
    from: ScriptVersion,
    to: ScriptVersion | null,
    why: string,
  ): void {
    this.#options.swap({
      reason,
      role,
      file: path,
      from: from.digest,
      to: to === null ? null : to.digest,
      why,
    })
  }
}

function twin(loaded: LoadedScript, version: ScriptVersion): LoadedScript {
  const { script, ready } = loaded.script.twin(version.modules)
  return new LoadedScript(script, version, loaded.key, ready)
}

function servingStatus(file: ScriptFile, version: ScriptVersion): ScriptStatus {
  const leftOut = new Set([...version.loaded.values()].flatMap(({ script }) => script.leftOut))
  if (leftOut.size === 0) return row(file, version, file.role, '')
  return row(file, version, 'left out', `${[...leftOut].join(', ')} overran too often`)
}

function row(
  { path, role }: ScriptFile,
  version: ScriptVersion,
  state: ScriptStatus['state'],
  reason: string,
): ScriptStatus {
  const { digest, generation, tally } = version
  const scripts = [...version.loaded.values()]
  const memory = scripts.reduce((sum, { script }) => sum + script.memoryUsed, 0)
  const results = role === 'shadow' ? scripts.find((one) => one.results !== null)?.results : undefined
  const shadow = results == null ? {} : { shadow: results.statistics }
  return { file: path, role, digest, generation, state, reason, ...tally, memory, ...shadow }
}
