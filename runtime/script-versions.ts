/**
 * The versions of one script file: the sources that were served with, what came of it, which of them serves now, and
 * which one is not to be loaded though it is on the disk. Knows no generation.
 */
import type { Script } from './script/engine.ts'
import type { ModuleFiles } from './script/module-files.ts'
import type { CanaryTrial } from './script-canary.ts'
import type { ShadowResults } from './script-shadow.ts'
import type { FileSnapshot, HoldSnapshot } from './script-snapshot.ts'

/** `canary`, `shadow`: the file stands in `script_canary`, `script_shadow`. */
export type ScriptRole = 'live' | 'canary' | 'shadow'

/** What ends a hold: other text, or any save, where somebody had decided on it. */
export type HoldEnd = 'change' | 'save'

export interface Tally {
  calls: number
  /** Overruns included. */
  errors: number
  overruns: number
}

/** A script in memory, shared by the generations that use it; goes with the last of them. */
export class LoadedScript {
  readonly script: Script
  readonly version: ScriptVersion
  /** Differs where the same sources were loaded with another configuration. */
  readonly key: string
  /** Its `init` is still waited for. */
  readonly ready: Promise<void> | null
  /** Of a canary or a shadow: the script that it stands beside; of a canary, how both do. */
  partner: LoadedScript | null = null
  trial: CanaryTrial | null = null
  /** Of a candidate in the shadow: how it compares with `partner`. */
  results: ShadowResults | null = null
  #uses = 0
  #successor: LoadedScript | null = null

  constructor(script: Script, version: ScriptVersion, key: string, ready: Promise<void> | null = null) {
    this.script = script
    this.version = version
    this.key = key
    this.ready = ready
    version.loaded.set(key, this)
  }

  acquire(): void {
    this.#uses++
  }

  release(): void {
    if (--this.#uses > 0) return
    this.version.unloaded(this)
    this.script.dispose()
    this.#successor?.release()
  }

  /** Another one runs the hooks from now on, and is kept as long as this one. */
  succeedBy(successor: LoadedScript): void {
    if (this.#uses === 0 || this.#successor !== null) return
    successor.acquire()
    this.#successor = successor
    this.script.succeedBy(successor.script)
  }
}

export class ScriptVersion {
  readonly modules: ModuleFiles
  /** The first generation that served with it; 0: none yet. */
  generation = 0
  /** It was gone back from: never gone back to. */
  abandoned = false
  /** By `LoadedScript.key`. */
  readonly loaded = new Map<string, LoadedScript>()
  readonly #past: Tally = { calls: 0, errors: 0, overruns: 0 }
  #digest: string | null = null

  constructor(modules: ModuleFiles) {
    this.modules = modules
  }

  /** Hash of its sources; of use once it has been loaded. */
  get digest(): string {
    this.#digest ??= this.modules.digest
    return this.#digest
  }

  /** All calls of its hooks so far. */
  get tally(): Tally {
    const tally = { ...this.#past }
    for (const { script } of this.loaded.values()) addStats(tally, script)
    return tally
  }

  /** A request was served by it without an error. */
  get wentWell(): boolean {
    const { calls, errors } = this.tally
    return calls > errors
  }

  unloaded(loaded: LoadedScript): void {
    if (this.loaded.get(loaded.key) === loaded) this.loaded.delete(loaded.key)
    addStats(this.#past, loaded.script)
  }
}

function addStats(tally: Tally, { stats }: Script): void {
  for (const { calls, errors, overruns } of Object.values(stats.hooks)) {
    tally.calls += calls
    tally.errors += errors
    tally.overruns += overruns
  }
}

/** A version that is on the disk and is not to be served, until the file changes. */
export class Hold {
  readonly version: ScriptVersion
  /** What happened. */
  readonly reason: string
  readonly #end: HoldEnd
  readonly #stamp: string

  constructor(version: ScriptVersion, end: HoldEnd, reason: string, stamp = version.modules.stamp) {
    this.version = version
    this.reason = reason
    this.#end = end
    this.#stamp = stamp
  }

  snapshot(place: (version: ScriptVersion) => number): HoldSnapshot {
    return { version: place(this.version), end: this.#end, reason: this.reason, stamp: this.#stamp }
  }

  /** The file has changed. */
  get isOver(): boolean {
    const { modules } = this.version
    return !modules.isOnDisk || (this.#end === 'save' && modules.stamp !== this.#stamp)
  }
}

export class ScriptFile {
  readonly role: ScriptRole
  /** Absolute. */
  readonly path: string
  /** null: nothing of it serves. */
  current: ScriptVersion | null = null
  hold: Hold | null = null
  /** Of a canary: the files that it stands beside. */
  partners: ReadonlySet<ScriptFile> = new Set()
  /** Oldest first. */
  #versions: ScriptVersion[] = []

  constructor(role: ScriptRole, path: string) {
    this.role = role
    this.path = path
  }

  /** @param place gives each version its place in the snapshot */
  snapshot(place: (version: ScriptVersion) => number): FileSnapshot {
    const { role, path, current, hold } = this
    return {
      role,
      path,
      versions: this.#versions.map(place),
      current: current === null ? null : place(current),
      hold: hold === null ? null : hold.snapshot(place),
    }
  }

  /** Before anything serves: as it was in the process that the snapshot is of. */
  restore({ versions, current, hold }: FileSnapshot, all: readonly ScriptVersion[]): void {
    this.#versions = versions.map((place) => all[place])
    this.current = current === null ? null : all[current]
    this.hold = hold === null ? null : new Hold(all[hold.version], hold.end, hold.reason, hold.stamp)
  }

  /** A new version goes into service. @param keep versions that are kept, this one included */
  serve(version: ScriptVersion, keep: number): void {
    this.current = version
    this.hold = null
    this.#versions = [...this.#versions.filter(({ abandoned }) => !abandoned), version].slice(-keep)
  }

  /** Goes back: what is on the disk, later than that version, is held. @param version null: nothing serves */
  goBack(version: ScriptVersion | null, end: HoldEnd, reason: string): void {
    const from = this.current
    const at = version === null ? -1 : this.#versions.indexOf(version)
    for (const later of this.#versions.slice(at + 1)) later.abandoned = true
    if (from !== null) this.#holdBack(from, end, reason)
    this.current = version
  }

  /** Goes on with sources from elsewhere; what is on the disk is held. */
  promote(version: ScriptVersion, keep: number, reason: string): void {
    const from = this.current
    this.serve(version, keep)
    if (from !== null) this.#holdBack(from, 'save', reason)
  }

  /** The version that is on the disk is not always the one that served last: it may be held already. */
  #holdBack(from: ScriptVersion, end: HoldEnd, reason: string): void {
    const onDisk = this.hold === null || this.hold.isOver ? from : this.hold.version
    this.hold = new Hold(onDisk, end, reason)
  }

  /** Versions to go back to, the latest first. */
  get earlier(): ScriptVersion[] {
    const at = this.current === null ? this.#versions.length : this.#versions.indexOf(this.current)
    return this.#versions
      .slice(0, Math.max(0, at))
      .reverse()
      .filter((version) => !version.abandoned)
  }

  /** The same, those that have served well before those that nobody has asked yet. */
  get earlierGood(): ScriptVersion[] {
    const { earlier } = this
    const good = earlier.filter((version) => version.wentWell)
    return [...good, ...earlier.filter((version) => !version.wentWell && version.tally.errors === 0)]
  }

  find(script: Script): LoadedScript | null {
    for (const { loaded } of this.#versions) {
      for (const one of loaded.values()) if (one.script === script) return one
    }
    return null
  }

  /** What is on the disk is neither what serves nor what is held. */
  get hasChanged(): boolean {
    if (this.hold !== null) return this.hold.isOver
    return this.current !== null && !this.current.modules.isOnDisk
  }

  /** Every file that a save of would change it. */
  get files(): string[] {
    const files = [
      this.path,
      ...(this.current?.modules.files ?? []),
      ...(this.hold?.version.modules.files ?? []),
    ]
    return [...new Set(files)]
  }
}
