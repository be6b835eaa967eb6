/**
 * What a worker remembers of a store that is elsewhere, so that most reads wait for nothing. Entries go when somebody
 * else changes them, when their own time is over, and the least recently used first. When the news of changes may have
 * been missed all of them are doubtful: no answer any more, but the last word there is while the store is away.
 */
import { LRUCache } from 'lru-cache'
import type { StoreEntry } from './store.ts'

interface Known {
  readonly entry: StoreEntry
  readonly epoch: number
}

/** A read under way: what it brings is worth nothing if the key changed meanwhile. */
export interface Reading {
  readonly id: string
  readonly epoch: number
  changed: boolean
}

export class NearCache {
  readonly #known: LRUCache<string, Known>
  readonly #readings = new Map<string, Set<Reading>>()
  readonly #now: () => number
  #epoch = 0

  /** @param max entries */
  constructor(max: number, now: () => number = Date.now) {
    this.#known = new LRUCache({ max })
    this.#now = now
  }

  get size(): number {
    return this.#known.size
  }

  get(map: string, key: string): StoreEntry | undefined {
    const known = this.#known.get(idOf(map, key))
    if (known === undefined || known.epoch !== this.#epoch || known.entry.expires <= this.#now())
      return undefined
    return known.entry
  }

  /** The last that was known, doubtful or not. */
  last(map: string, key: string): StoreEntry | undefined {
    const known = this.#known.get(idOf(map, key))
    return known === undefined || known.entry.expires <= this.#now() ? undefined : known.entry
  }

  /** A read or a write begins. */
  begin(map: string, key: string): Reading {
    const reading = { id: idOf(map, key), epoch: this.#epoch, changed: false }
    const same = this.#readings.get(reading.id)
    if (same === undefined) this.#readings.set(reading.id, new Set([reading]))
    else same.add(reading)
    return reading
  }

  /** It has ended. @param entry what is there now; null: nothing; undefined: it failed, nobody knows */
  end(reading: Reading, entry: StoreEntry | null | undefined): void {
    const same = this.#readings.get(reading.id)!
    same.delete(reading)
    if (same.size === 0) this.#readings.delete(reading.id)
    if (entry === undefined) return
    if (entry === null || reading.changed || reading.epoch !== this.#epoch) this.#known.delete(reading.id)
    else this.#known.set(reading.id, { entry, epoch: reading.epoch })
  }

  /** Somebody else has changed it. */
  forget(map: string, key: string): void {
    const id = idOf(map, key)
    this.#known.delete(id)
    for (const reading of this.#readings.get(id) ?? []) reading.changed = true
  }

  /** News may have been missed. */
  doubt(): void {
    this.#epoch++
  }
}

function idOf(map: string, key: string): string {
  return `${map}\0${key}`
}
