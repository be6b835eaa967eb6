/**
 * Swaps as data: what is asked of a gateway, and what it has made ready. In two phases, so that several processes can
 * change as one: each prepares, and only when all have, all commit.
 */
import type { Model } from './config/model.ts'
import type { Removal } from './script-registry.ts'

/** What another generation is wanted for. */
export type Change =
  /** The first one: of what is on the disk, or of the scripts that `Gateway.restore` was given. */
  | { readonly kind: 'start' }
  | { readonly kind: 'reload'; readonly model: Model }
  /** Script files may have been saved. */
  | { readonly kind: 'save' }
  /** @param file absolute; none: all scripts */
  | { readonly kind: 'rollback'; readonly file?: string }
  | { readonly kind: 'promote'; readonly file: string }
  /** Other texts for files that serve (absolute), before they are written to the disk. */
  | { readonly kind: 'push'; readonly texts: ReadonlyMap<string, string> }
  /** A script was taken out of service, by this process or another one. */
  | { readonly kind: 'removal'; readonly removal: Removal }

/** What became of a swap. */
export interface SwapResult {
  readonly generation: number
  /** ms from the request for it to the first request that may be served by it. */
  readonly took: number
}

/** A generation that could serve: one of the two functions ends it. */
export interface PreparedSwap {
  readonly generation: number
  /** Of its scripts: equal in processes that have loaded the same. */
  readonly digests: Readonly<Record<string, string | null>>
  /** It serves from now on. */
  commit(): SwapResult
  /** It never will; nothing of it is left behind. */
  discard(): void
}

/** The same, which can be ended once. @param end is called when it is committed or discarded */
export function endingWith(prepared: PreparedSwap, end: () => void): PreparedSwap {
  let isOver = false
  const ending =
    <T>(work: () => T) =>
    (): T => {
      if (isOver) throw new Error(`the swap to generation ${prepared.generation} is over`)
      isOver = true
      try {
        return work()
      } finally {
        end()
      }
    }
  return { ...prepared, commit: ending(prepared.commit), discard: ending(prepared.discard) }
}
