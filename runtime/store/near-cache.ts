/**
 * What a worker remembers of a store that is elsewhere, so that most reads wait for nothing. Entries go when somebody
 * else changes them, when their own time is over, and the least recently used first: beyond so many, or so many bytes.
 * When the news of changes may have been missed all of them are doubtful: no answer any more, but the last word there is
 * while the store is away.
 */
import { LRUCache } from 'lru-cache'
import { CommonTexts } from './common-texts.ts'
import { bytesOf } from './limits.ts'
import type { StoreEntry } from './store.ts'

interface Known {
  readonly entry: StoreEntry
  /** DOUBTFUL, or when it was learnt. */
  epoch: number
}

/** A call under way: what it brings is worth nothing if others have changed the key meanwhile. */
export interface Reading {
  readonly id: string
  readonly epoch: number
  /** It changes something that nobody will tell of. */
  readonly silent: boolean
  /** How often the key has changed. */
  changes: number
}

export interface NearCacheOptions {
  /** Entries. */
  readonly max: number
  /** Of all entries, as counted. */
  readonly bytes: number
  /** ms since the epoch; for tests. */
  readonly now?: () => number
}

export const NEAR_DEFAULTS: NearCacheOptions = { max: 100_000, bytes: 32 * 1024 * 1024 }

/** What an entry takes beside its texts: two objects, the map's slot, the list's links. */
const OVERHEAD = 200
const DOUBTFUL = -1

export class NearCache {
  readonly #known: LRUCache<string, Known>
  readonly #readings = new Map<string, Set<Reading>>()
  readonly #texts = new CommonTexts()
  readonly #now: () => number
  #epoch = 0

  constructor({ max, bytes, now = Date.now }: NearCacheOptions) {
    this.#known = new LRUCache({
      max,
      maxSize: bytes,
      sizeCalculation: ({ entry }, id) => OVERHEAD + 2 * bytesOf(id) + bytesOf(entry.value),
    })
    this.#now = now
  }

  get size(): number {
    return this.#known.size
  }

  /** As counted. */
  get bytes(): number {
    return this.#known.calculatedSize
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

  /** A call begins. @param silent it writes, and there will be no news of it */
  begin(map: string, key: string, silent = false): Reading {
    const reading = { id: idOf(map, key), epoch: this.#epoch, silent, changes: 0 }
    const same = this.#readings.get(reading.id)
    if (same === undefined) this.#readings.set(reading.id, new Set([reading]))
    else same.add(reading)
    return reading
  }

  /**
   * It has ended.
   * @param entry what is there now; null: nothing; undefined: nobody knows, or it failed
   * @param own how many of the changes that were heard of are its own
   */
  end(reading: Reading, entry: StoreEntry | null | undefined, own = 0): void {
    const { id, silent } = reading
    const same = this.#readings.get(id)!
    same.delete(reading)
    if (same.size === 0) this.#readings.delete(id)
    // What others under way see may be from before this one or from after it.
    if (silent) {
      reading.changes += same.size
      for (const other of same) other.changes++
    }
    if (entry === undefined) {
      if (silent) this.#distrust(id)
    } else if (entry === null || reading.changes !== own) this.#known.delete(id)
    else this.#learn(id, entry, reading.epoch)
  }

  #learn(id: string, { value, expires }: StoreEntry, epoch: number): void {
    const own = typeof value === 'string' ? this.#texts.one(value) : value
    this.#known.set(id, { entry: { key: keyOf(id), value: own, expires }, epoch })
  }

  /** Somebody else has changed it. */
  forget(map: string, key: string): void {
    const id = idOf(map, key)
    this.#known.delete(id)
    for (const reading of this.#readings.get(id) ?? []) reading.changes++
  }

  /** News may have been missed. */
  doubt(): void {
    this.#epoch++
  }

  /** A write that failed may be done all the same, later. */
  #distrust(id: string): void {
    const known = this.#known.get(id)
    if (known !== undefined) known.epoch = DOUBTFUL
  }
}

/** A part of the id, which is kept anyway: the text that was given may be a part of a whole request. */
function keyOf(id: string): string {
  return id.slice(id.indexOf('\0') + 1)
}

function idOf(map: string, key: string): string {
  return `${map}\0${key}`
}
