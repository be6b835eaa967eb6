/**
 * Where shared state lives: the contract of every store (`memory`, `redis`, a worker's view of its supervisor's memory).
 * Knows no scripts, no requests, no configuration. Keys are texts of at most 1 KiB, values JSON text or bytes.
 */

/** A stored value: JSON text, or bytes. */
export type StoreValue = string | Uint8Array

export interface StoreEntry {
  readonly key: string
  readonly value: StoreValue
  /** ms since the epoch when it goes; Infinity: never. */
  readonly expires: number
}

/** What a store promises to tell of: keys of a map that may have changed, here or elsewhere. `null`: everything may have. */
export type Invalidation = (map: string, key: string | null) => void

/**
 * Named maps of keys to values. Every operation on one key is atomic over all workers and machines that share the store.
 * Rejects with StoreError, never hangs: each call has a deadline.
 */
export interface Store {
  readonly kind: 'memory' | 'redis' | 'worker'
  /** Sets a map's bounds before its first use: entries beyond `max` push out the least recently used. */
  define(map: string, max: number): void
  /**
   * What is known at once, without a wait: the entry, null where there is nothing, or undefined when the store has to
   * be asked. May be behind by the time that a change takes to travel.
   */
  peek(map: string, key: string): StoreEntry | null | undefined
  get(map: string, key: string): Promise<StoreEntry | null>
  /** @param ttl ms; Infinity: for ever */
  set(map: string, key: string, value: StoreValue, ttl: number): Promise<void>
  /** Sets where there is nothing. @returns null when set, else what was there */
  add(map: string, key: string, value: StoreValue, ttl: number): Promise<StoreEntry | null>
  /** Replaces `expected` (null: absent) by `value` (null: deletes). @returns null when done, else what is there, or MISSING when nothing is */
  compareAndSet(
    map: string,
    key: string,
    expected: StoreValue | null,
    value: StoreValue | null,
    ttl: number,
  ): Promise<StoreEntry | null | typeof MISSING>
  /** Adds to a number (0 where there is none; a new one gets the ttl). @returns the new number */
  incr(map: string, key: string, by: number, ttl: number): Promise<number>
  /** A new time to live. @returns whether it was there */
  touch(map: string, key: string, ttl: number): Promise<boolean>
  /** @returns whether it was there */
  delete(map: string, key: string): Promise<boolean>
  /** All entries in no order, in pages; keys that come or go meanwhile may be missed or seen twice. */
  entries(
    map: string,
    cursor: string | null,
    count: number,
  ): Promise<{ entries: StoreEntry[]; cursor: string | null }>
  size(map: string): Promise<number>
  /**
   * GCRA: takes `cost` of a bucket that refills at `rate` per second up to `burst`.
   * @returns above 0: refused, ms until it would be allowed; else taken, and minus the ms in which the bucket will be full again
   */
  take(map: string, key: string, rate: number, burst: number, cost: number): Promise<number>
  /** @returns a function that ends it */
  onInvalidation(listener: Invalidation): () => void
  /** What admin and metrics show. */
  readonly stats: StoreStats
  close(): Promise<void>
}

export const MISSING = 'missing'

export interface StoreStats {
  calls: number
  errors: number
  timeouts: number
  /** `closed`: calls go out; `open`: refused at once; `half-open`: one call tries. */
  breaker: 'closed' | 'open' | 'half-open'
  /** ms of the last calls: a sum, for means. */
  time: number
}

export type StoreErrorCode = 'timeout' | 'unavailable' | 'full' | 'too_large' | 'wrong_type' | 'closed'

export class StoreError extends Error {
  readonly code: StoreErrorCode

  constructor(code: StoreErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
