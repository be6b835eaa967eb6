/**
 * The embedded store: maps in this process's memory, bounded in bytes over all of them (`store memory size=`) and in
 * entries each (`session_map max=`); the least recently used go first. Every call is atomic as it is synchronous.
 * Knows no wire and no other process; `worker-store.ts` lets others in.
 */
import { LRUCache } from 'lru-cache'
import { Buckets } from './buckets.ts'
import { CommonTexts } from './common-texts.ts'
import { bytesOf, checkKey, checkValue, DEFAULT_MAX, detached, sameValue } from './limits.ts'
import {
  type Invalidation,
  MISSING,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreStats,
  type StoreValue,
} from './store.ts'

/** Keeps the time of each entry beside it: an object for each would take half as much again. */
type Entries = LRUCache<string, StoreValue>

/** What an entry costs beside its key and value: the map's slot, the list's links, its size and its time. */
const OVERHEAD = 140
/** Rate buckets of one map; the least recently used is full again anyway. */
const MAX_BUCKETS = 1_000_000

export interface MemoryStoreOptions {
  /** Bytes over all maps. */
  readonly size: number
  /** ms since the epoch; for tests. */
  readonly now?: () => number
}

export class MemoryStore implements Store {
  readonly kind = 'memory'
  readonly stats: StoreStats = { calls: 0, errors: 0, timeouts: 0, breaker: 'closed', time: 0 }
  readonly #size: number
  readonly #now: () => number
  readonly #maps = new Map<string, Entries>()
  readonly #limits = new Map<string, number>()
  readonly #buckets = new Map<string, Buckets>()
  readonly #texts = new CommonTexts()
  readonly #listeners = new Set<Invalidation>()
  #closed = false

  constructor({ size, now = Date.now }: MemoryStoreOptions) {
    this.#size = size
    this.#now = now
  }

  /** Bytes in use, as counted. */
  get bytes(): number {
    let total = 0
    for (const map of this.#maps.values()) total += map.calculatedSize
    return total
  }

  define(map: string, max: number): void {
    this.#limits.set(map, max)
    const entries = this.#maps.get(map)
    if (entries !== undefined) this.#trim(map, entries)
  }

  peek(map: string, key: string): StoreEntry | null {
    return this.#find(map, key)
  }

  async get(map: string, key: string): Promise<StoreEntry | null> {
    this.#begin(key)
    return this.#find(map, key)
  }

  async set(map: string, key: string, value: StoreValue, ttl: number): Promise<void> {
    this.#begin(key)
    this.#put(map, key, value, ttl)
  }

  async add(map: string, key: string, value: StoreValue, ttl: number): Promise<StoreEntry | null> {
    this.#begin(key)
    const there = this.#find(map, key)
    if (there === null) this.#put(map, key, value, ttl)
    return there
  }

  async compareAndSet(
    map: string,
    key: string,
    expected: StoreValue | null,
    value: StoreValue | null,
    ttl: number,
  ): Promise<StoreEntry | null | typeof MISSING> {
    this.#begin(key)
    const there = this.#find(map, key)
    if (!sameValue(there === null ? null : there.value, expected)) return there ?? MISSING
    if (value === null) this.#remove(map, key)
    else this.#put(map, key, value, ttl)
    return null
  }

  async incr(map: string, key: string, by: number, ttl: number): Promise<number> {
    this.#begin(key)
    const there = this.#find(map, key)
    const before = there === null ? 0 : Number(there.value)
    if (there !== null && (typeof there.value !== 'string' || !Number.isFinite(before)))
      throw new StoreError('wrong_type', `the value of "${key}" is no number: incr adds to numbers only`)
    const after = before + by
    const left = there === null ? ttl : there.expires - this.#now()
    this.#put(map, key, String(after), left)
    return after
  }

  async touch(map: string, key: string, ttl: number): Promise<boolean> {
    this.#begin(key)
    const there = this.#find(map, key)
    if (there === null) return false
    this.#put(map, key, there.value, ttl)
    return true
  }

  async delete(map: string, key: string): Promise<boolean> {
    this.#begin(key)
    const there = this.#find(map, key) !== null
    if (there) this.#remove(map, key)
    return there
  }

  async entries(
    map: string,
    cursor: string | null,
    count: number,
  ): Promise<{ entries: StoreEntry[]; cursor: string | null }> {
    this.#begin('')
    const page: StoreEntry[] = []
    const start = cursor === null ? 0 : Number(cursor)
    let at = 0
    const entries = this.#maps.get(map)
    // From the least recently used on: what is used meanwhile moves to the end and may be seen again, but not missed.
    for (const key of entries?.rkeys() ?? []) {
      if (at++ < start) continue
      const value = entries!.peek(key)
      if (value === undefined) continue
      if (page.length === count) return { entries: page, cursor: String(at - 1) }
      page.push({ key, value, expires: this.#expiry(entries!, key) })
    }
    return { entries: page, cursor: null }
  }

  async size(map: string): Promise<number> {
    return this.#maps.get(map)?.size ?? 0
  }

  async take(map: string, key: string, rate: number, burst: number, cost: number): Promise<number> {
    this.#begin(key)
    let buckets = this.#buckets.get(map)
    if (buckets === undefined) this.#buckets.set(map, (buckets = new Buckets(MAX_BUCKETS, this.#now)))
    return buckets.take(key, rate, burst, cost)
  }

  onInvalidation(listener: Invalidation): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#maps.clear()
    this.#buckets.clear()
    this.#listeners.clear()
  }

  #begin(key: string): void {
    this.stats.calls++
    if (this.#closed) throw new StoreError('closed', 'the store is closed')
    checkKey(key)
  }

  #find(map: string, key: string): StoreEntry | null {
    const entries = this.#maps.get(map)
    const value = entries?.get(key)
    return value === undefined ? null : { key, value, expires: this.#expiry(entries!, key) }
  }

  #expiry(entries: Entries, key: string): number {
    return this.#now() + entries.getRemainingTTL(key)
  }

  #put(map: string, key: string, value: StoreValue, ttl: number): void {
    checkValue(value)
    let entries = this.#maps.get(map)
    if (entries === undefined) this.#maps.set(map, (entries = this.#newMap()))
    const own = entries.has(key) ? key : detached(key)
    const held = typeof value === 'string' ? this.#texts.one(value) : value
    entries.set(own, held, { ttl: ttl === Infinity ? 0 : Math.ceil(ttl) })
    this.#trim(map, entries)
    this.#tell(map, key)
  }

  #newMap(): Entries {
    return new LRUCache({
      maxSize: this.#size,
      sizeCalculation: (value, key) => bytesOf(value) + bytesOf(key) + OVERHEAD,
      // Of what is set without one; times are kept at all because of it.
      ttl: 1,
      // Looks at the clock each time, instead of setting a timer.
      ttlResolution: 0,
      // A start at 0 would be none.
      perf: { now: () => this.#now() + 1 },
    })
  }

  #remove(map: string, key: string): void {
    this.#maps.get(map)?.delete(key)
    this.#tell(map, key)
  }

  /** The map's own bound, then the bound of all: the largest map gives way. */
  #trim(map: string, entries: Entries): void {
    const max = this.#limits.get(map) ?? DEFAULT_MAX
    while (entries.size > max) entries.pop()
    if (this.#maps.size === 1) return
    for (let over = this.bytes - this.#size; over > 0; over = this.bytes - this.#size) {
      let largest = entries
      for (const other of this.#maps.values())
        if (other.calculatedSize > largest.calculatedSize) largest = other
      largest.pop()
    }
  }

  #tell(map: string, key: string): void {
    for (const listener of this.#listeners) listener(map, key)
  }
}
