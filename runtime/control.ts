/**
 * A running Sluice as those who look after it see it, be it one process or a supervisor with its workers: what it is
 * doing, and everything that it can be told to do. Command line, signals and admin API are written against this alone.
 */

import type { Companion } from './companion.ts'
import type { Problem, parseConfig } from './config/parse.ts'
import type { SourceFile } from './config/reader.ts'
import type { MetricFamily } from './observe/metrics.ts'
import type { LogLevel } from './phases.ts'
import type { HistoryEntry, ScriptStatus } from './script-registry.ts'
import type { ScriptsSnapshot } from './script-snapshot.ts'
import type { StoreStats } from './store/store.ts'
import type { Change, SwapResult } from './swap.ts'

/** Reads the configuration as it is now. */
export type LoadConfig = () => ReturnType<typeof parseConfig>

export interface Control {
  /** The one that serves, in all workers. */
  readonly generation: { readonly id: number; readonly watchScripts: boolean }
  /** Addresses that are open: as written in `listen`, with the real port where 0 was asked for. */
  readonly addresses: readonly string[]
  /** Files that a change of would change what serves, absolute. */
  readonly scriptFiles: readonly string[]
  status(): Promise<ControlStatus>
  /** The generations that can be gone back to, and the one that serves; oldest first. */
  history(): Promise<readonly HistoryEntry[]>
  /** Every script that serves, and every version that is kept from serving; counts are of all workers. */
  scripts(): Promise<readonly ScriptStatus[]>
  /** The `upstream` groups; counts are of all workers. */
  upstreams(): Promise<readonly UpstreamStatus[]>
  /** The configuration, read again. @throws what `Gateway.reload` does; the running one stays then */
  reload(): Promise<ReloadResult>
  /** Scripts that were saved. @returns null when there is nothing to load @throws as `Gateway.reloadScripts` */
  reloadScripts(): Promise<SwapResult | null>
  /** @param file absolute; none: all scripts @throws as `Gateway.rollback` */
  rollback(file?: string): Promise<SwapResult>
  /** @param file of the canary, absolute @throws as `Gateway.promoteCanary` */
  promoteCanary(file: string): Promise<SwapResult>
  /**
   * Any other change, as one act for all workers.
   * @param beforeCommit is called once the new generation is ready everywhere; what it throws keeps it from serving
   * @returns null when there was nothing to change
   */
  swap(change: Change, beforeCommit?: () => void): Promise<SwapResult | null>
  /** The scripts that serve, with their texts. */
  snapshot(): Promise<ScriptsSnapshot>
  /** What the configuration that serves was read from. */
  readonly files: readonly SourceFile[]
  /** Changes with every `reload`; null: nothing does. */
  companion: Companion | null
  /** What each process counts (`GatewayMetrics.read`). */
  metrics(): Promise<readonly (readonly MetricFamily[])[]>
  /** A server of an upstream group that comes, goes or changes, in all workers or in none. @throws ServerChangeError */
  changeServer(change: ServerChange): Promise<void>
  /** Log files are opened again under their names. */
  reopen(): Promise<void>
  /** New workers that run the program as it is on the disk now take over. @throws when there are no workers */
  restart(): Promise<void>
  /**
   * Ends all. @param graceful requests under way may end first, within `worker_shutdown_timeout`
   * @returns when everything has ended
   */
  stop(graceful: boolean): Promise<void>
  log(level: LogLevel, message: string): void
}

export interface ReloadResult {
  readonly problems: readonly Problem[]
  /** null: the configuration has errors, which are among the problems. */
  readonly swap: SwapResult | null
}

export interface ControlStatus {
  readonly version: string
  /** Of the process that takes signals. */
  readonly pid: number
  /** ms since the epoch. */
  readonly startedAt: number
  readonly generation: number
  readonly addresses: readonly string[]
  /** Workers that were replaced because they died. */
  readonly restarts: number
  readonly workers: readonly WorkerStatus[]
}

export interface WorkerStatus extends WorkerReport {
  /** `leaving`: serves what it has begun. `silent`: does not answer; the figures are the last that it has told. */
  readonly state: 'serving' | 'leaving' | 'silent'
}

/** One process that serves. */
export interface WorkerReport {
  /** From 0. */
  readonly worker: number
  readonly pid: number
  /** ms since the epoch. */
  readonly startedAt: number
  readonly generation: number
  /** Generations that still serve something, the current one included. */
  readonly liveGenerations: number
  /** Of clients, now: all, and by what they do. */
  readonly connections: number
  readonly reading: number
  readonly writing: number
  readonly waiting: number
  readonly accepted: number
  readonly requests: number
  /** Bytes that are resident. */
  readonly memory: number
  readonly store: StoreStats & { readonly kind: string }
}

/** What the admin API asks of an upstream group. `server` is the address, as `PeerStatus` has it, or as configured. */
export type ServerChange =
  | { readonly kind: 'add'; readonly group: string; readonly server: string; readonly options: ServerChoices }
  | {
      readonly kind: 'patch'
      readonly group: string
      readonly server: string
      readonly options: ServerChoices
    }
  | { readonly kind: 'remove'; readonly group: string; readonly server: string }

/** Parameters of `server`; what is absent stays as it is, or is the default of a new one. */
export interface ServerChoices {
  readonly weight?: number
  readonly down?: boolean
  readonly drain?: boolean
  readonly backup?: boolean
  readonly maxConns?: number
  readonly maxFails?: number
  /** ms */
  readonly failTimeout?: number
}

export interface UpstreamStatus {
  readonly name: string
  readonly method: string
  /** Its failures are counted over all workers (`zone`). */
  readonly shared: boolean
  readonly peers: readonly PeerStatus[]
}

export interface PeerStatus {
  /** As configured. */
  readonly name: string
  readonly address: string
  readonly weight: number
  readonly backup: boolean
  readonly down: boolean
  /** Takes only requests that are bound to it. */
  readonly draining: boolean
  /** Left out after failures: by at least one worker. */
  readonly resting: boolean
  /** The most that one worker has counted. */
  readonly fails: number
  /** Requests in flight. */
  readonly connections: number
}
