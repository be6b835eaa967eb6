/**
 * Rates by key in this process's memory (GCRA), the least recently used forgotten first: of those that are full again,
 * nothing is lost. Every call is atomic as it is synchronous.
 */
import { LRUCache } from 'lru-cache'

interface Bucket {
  /** Tokens that are spoken for, as the time when all will be back (GCRA's theoretical arrival time), ms. */
  tat: number
}

export class Buckets {
  readonly #max: number
  readonly #now: () => number
  /** Made when it is needed: for a million keys it takes 80 ms and 16 MiB, and most who could count never do. */
  #buckets: LRUCache<string, Bucket> | null = null

  /** @param now ms */
  constructor(max: number, now: () => number) {
    this.#max = max
    this.#now = now
  }

  /** As `Store.take`. */
  take(key: string, rate: number, burst: number, cost: number): number {
    const now = this.#now()
    this.#buckets ??= new LRUCache({ max: this.#max })
    const bucket = this.#buckets.get(key)
    const tat = Math.max(bucket?.tat ?? now, now) + (cost * 1000) / rate
    const wait = tat - now - (burst * 1000) / rate
    if (wait > 0) return Math.ceil(wait)
    if (bucket === undefined) this.#buckets.set(key, { tat })
    else bucket.tat = tat
    return now - tat
  }
}
