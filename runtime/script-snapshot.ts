/**
 * The scripts of a gateway as plain data: every version with its sources, which of them serve, what is held back, and the
 * history. What another process needs to serve the same generation and to go back to the same ones, whatever the disk
 * holds by then.
 */
import type { ModuleSnapshot } from './script/module-files.ts'
import type { HistoryEntry } from './script-registry.ts'
import type { HoldEnd, ScriptRole } from './script-versions.ts'

/** Numbers are places in `versions`. */
export interface ScriptsSnapshot {
  readonly versions: readonly VersionSnapshot[]
  readonly files: readonly FileSnapshot[]
  /** Oldest first; the last one serves. */
  readonly history: readonly (HistoryEntry & {
    readonly versions: readonly (readonly [file: number, version: number])[]
  })[]
}

export interface VersionSnapshot {
  readonly modules: ModuleSnapshot
  readonly generation: number
  readonly abandoned: boolean
}

export interface FileSnapshot {
  readonly role: ScriptRole
  readonly path: string
  /** Oldest first. */
  readonly versions: readonly number[]
  /** null: nothing of it serves. */
  readonly current: number | null
  readonly hold: HoldSnapshot | null
}

export interface HoldSnapshot {
  readonly version: number
  readonly end: HoldEnd
  readonly reason: string
  readonly stamp: string
}

/** A file as it was written, of the version that serves; null: nothing of it does. */
export function textIn(file: string, { files, versions }: ScriptsSnapshot): string | null {
  for (const { current } of files) {
    if (current === null) continue
    const { file: own, main, paths, written, sources } = versions[current].modules
    const text = (id: string): string | null => written.get(id) ?? sources.get(id) ?? null
    // A script may be named through a link.
    if (own === file) return text(main)
    for (const [id, path] of paths) if (path === file) return text(id)
  }
  return null
}
