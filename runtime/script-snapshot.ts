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
