/**
 * What gives an upstream group its servers while it serves: names that are looked up again, a list that is kept elsewhere.
 * The shape that all of them have.
 */
import type { ServerOptions } from './options.ts'

/** The servers of a group anew, made from those that it has (others may have changed them meanwhile); the same: no change. */
export type ServersChange = (servers: readonly ServerOptions[]) => readonly ServerOptions[]

/** Makes a change. @throws Error when no group can be made of the servers then; nothing changes */
export type ApplyServers = (change: ServersChange) => void

export interface ServerSource {
  /** Follows from now on. Resolves when it is known what the group begins with, or after a moment. */
  start(apply: ApplyServers): Promise<void>
  /** Nobody wants to know any more; leaves nothing behind. */
  stop(): void
}
