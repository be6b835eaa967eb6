/**
 * What a supervisor and its workers say to each other. The two may be of different versions of the program after a
 * rolling restart: whatever changes here changes the number.
 *
 *   supervisor asks     load, prepare, commit, discard, standing, report, scripts, history, upstreams, plan servers,
 *                       set servers, change stored, look at stored
 *   supervisor tells    drain, stop, reopen, peer, counts
 *   worker asks         store …, clear path
 *   worker tells        hello, alive, removal, peer, counts
 */
import type { Model } from '../config/model.ts'
import type { ScriptsSnapshot } from '../script-snapshot.ts'
import type { ServerOptions } from '../upstream/options.ts'
import type { PeerNews } from '../upstream/peer-news.ts'

/** Of this page and of the model. */
export const PROTOCOL = 2

/** ms between two signs of life of a worker. */
export const HEARTBEAT = 1000

/** A worker is ready to be told what to serve. */
export interface Hello {
  readonly protocol: number
  readonly version: string
}

/** What a worker serves first. */
export interface Load {
  readonly model: Model
  readonly prefix: string
  readonly worker: number
  readonly generation: number
  /** null: what is on the disk. */
  readonly scripts: ScriptsSnapshot | null
  /** What is known of peers that failed. */
  readonly peers: readonly PeerNews[]
  /** Upstream groups that were changed since they were configured, with the servers that they have now. */
  readonly servers: readonly (readonly [group: string, servers: readonly ServerOptions[]])[]
}

export type Digests = Readonly<Record<string, string | null>>

/** How a preparation ended; `same`: there is nothing to swap. */
export type Prepared =
  | { readonly kind: 'ready'; readonly digests: Digests }
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** An error, for another process to tell. */
export interface Refusal {
  readonly name: string
  readonly message: string
  /** The script's line with a caret, or ''. */
  readonly excerpt: string
}

/** How things stand after a swap, equal in all workers. */
export interface Standing {
  readonly watchScripts: boolean
  readonly scriptFiles: readonly string[]
  readonly addresses: readonly string[]
  readonly scripts: ScriptsSnapshot
}

/** A generation that a worker could not make. */
export class SwapRefused extends Error {
  readonly excerpt: string

  constructor({ name, message, excerpt }: Refusal) {
    super(message)
    this.name = name
    this.excerpt = excerpt
  }
}

export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), excerpt: '' }
  const { excerpt = '' } = error as { excerpt?: unknown }
  const { name } = error.constructor
  return { name, message: error.message, excerpt: String(excerpt) }
}
