/**
 * A `session_map` as its users see it: values that stay for a while, shared by all who share the store. Owns what a
 * plain store has not: one flight per key, and what happens while the store is away (`on_error`).
 */
import { Debts } from './debts.ts'
import { type Store, type StoreEntry, StoreError, type StoreValue } from './store.ts'

export interface SessionMapOptions {
  readonly name: string
  /** ms; Infinity: for ever. */
  readonly ttl: number
  /** Entries; for the memory store. */
  readonly max: number
  /**
   * While the store cannot be asked: `hash` has the caller fall back to a consistent hash of the key, `stale` gives the
   * last value that was known, `closed` fails.
   */
  readonly onError: 'hash' | 'stale' | 'closed'
}

export interface SessionMapStats {
  hits: number
  misses: number
  /** Answers given without the store while it was away. */
  fallbacks: number
  /** Fallback answers that were written down when the store came back. */
  reconciled: number
  errors: number
}

/** A store that remembers, as those do that are elsewhere. */
interface Remembering {
  last?(map: string, key: string): StoreEntry | undefined
}

/** ms between two looks whether the store is back. */
const LOOK_AGAIN = 1000

export class SessionMap {
  readonly name: string
  readonly onError: SessionMapOptions['onError']
  readonly stats: SessionMapStats = { hits: 0, misses: 0, fallbacks: 0, reconciled: 0, errors: 0 }
  readonly #store: Store & Remembering
  readonly #ttl: number
  readonly #flights = new Map<string, Promise<StoreValue>>()
  /** What was answered without the store, to be written down where nothing else was meanwhile. */
  readonly #debts = new Debts()
  #timer: NodeJS.Timeout | null = null
  #reconciling = false

  constructor(store: Store, options: SessionMapOptions) {
    this.name = options.name
    this.onError = options.onError
    this.#store = store
    this.#ttl = options.ttl
    store.define(options.name, options.max)
  }

  /** What is known without a wait; undefined: ask. */
  peek(key: string): StoreValue | null | undefined {
    const entry = this.#store.peek(this.name, key)
    if (entry) this.stats.hits++
    return entry ? entry.value : entry
  }

  /** @throws StoreError when the store is away, unless `stale` knows a value */
  async get(key: string): Promise<StoreValue | null> {
    try {
      return await this.#look(key)
    } catch (error) {
      const last = this.#lastKnown(key, error)
      if (last === undefined) throw error
      return last
    }
  }

  /** In the store; where that has nothing, what was answered without it. @throws StoreError */
  async #look(key: string): Promise<StoreValue | null> {
    const entry = await this.#store.get(this.name, key)
    if (entry !== null) {
      this.stats.hits++
      return entry.value
    }
    const owed = this.#debts.get(key)
    if (owed !== undefined) return this.#pay(key, owed)
    this.stats.misses++
    return null
  }

  /**
   * The value of the key; where there is none, the one that `make` gives is stored, unless another was quicker: its
   * value is the answer then. At most one call of `make` per key at a time.
   * @throws StoreError when the store is away (with `stale`: only if it fails before anything is known and `make` fails)
   */
  getOrSet(key: string, make: () => StoreValue | Promise<StoreValue>, ttl = this.#ttl): Promise<StoreValue> {
    const flight = this.#flights.get(key)
    if (flight !== undefined) return flight
    const started = this.#getOrSet(key, make, ttl).finally(() => this.#flights.delete(key))
    this.#flights.set(key, started)
    return started
  }

  async #getOrSet(
    key: string,
    make: () => StoreValue | Promise<StoreValue>,
    ttl: number,
  ): Promise<StoreValue> {
    let there: StoreValue | null
    try {
      there = await this.#look(key)
    } catch (error) {
      return this.#without(key, error, make)
    }
    if (there !== null) return there
    const value = await make()
    try {
      return (await this.#store.add(this.name, key, value, ttl))?.value ?? value
    } catch (error) {
      if (this.onError !== 'stale' || !isAway(error)) throw this.#count(error)
      this.owe(key, value)
      return value
    }
  }

  /** The store cannot be asked. */
  async #without(
    key: string,
    error: unknown,
    make: () => StoreValue | Promise<StoreValue>,
  ): Promise<StoreValue> {
    const last = this.#lastKnown(key, error)
    if (last !== undefined) return last
    if (this.onError !== 'stale' || !isAway(error)) throw error
    const value = await make()
    this.owe(key, value)
    return value
  }

  async set(key: string, value: StoreValue, ttl = this.#ttl): Promise<void> {
    await this.#counted(this.#store.set(this.name, key, value, ttl))
    this.#debts.delete(key)
  }

  /** @returns what was there, or null: it was set */
  async add(key: string, value: StoreValue, ttl = this.#ttl): Promise<StoreValue | null> {
    const owed = this.#debts.get(key)
    if (owed !== undefined) return this.#pay(key, owed)
    const there = await this.#counted(this.#store.add(this.name, key, value, ttl))
    return there === null ? null : there.value
  }

  /**
   * Replaces `expected` (null: nothing) by `value` (null: deletes it).
   * @returns whether it was done
   */
  async compareAndSet(
    key: string,
    expected: StoreValue | null,
    value: StoreValue | null,
    ttl = this.#ttl,
  ): Promise<boolean> {
    return (await this.#counted(this.#store.compareAndSet(this.name, key, expected, value, ttl))) === null
  }

  /**
   * Replaces a value that is of no use any more. Of many who do so at the same time one wins.
   * @returns what is there now
   */
  async replace(key: string, gone: StoreValue, value: StoreValue, ttl = this.#ttl): Promise<StoreValue> {
    const lost = await this.#counted(this.#store.compareAndSet(this.name, key, gone, value, ttl))
    if (lost === null) return value
    if (typeof lost !== 'string') return lost.value
    // It went away by itself meanwhile.
    return (await this.#counted(this.#store.add(this.name, key, value, ttl)))?.value ?? value
  }

  incr(key: string, by: number, ttl = this.#ttl): Promise<number> {
    return this.#counted(this.#store.incr(this.name, key, by, ttl))
  }

  touch(key: string, ttl = this.#ttl): Promise<boolean> {
    return this.#counted(this.#store.touch(this.name, key, ttl))
  }

  delete(key: string): Promise<boolean> {
    this.#debts.delete(key)
    return this.#counted(this.#store.delete(this.name, key))
  }

  entries(cursor: string | null, count: number): Promise<{ entries: StoreEntry[]; cursor: string | null }> {
    return this.#counted(this.#store.entries(this.name, cursor, count))
  }

  /** Remembers an answer that was given without the store: it is written down when the store is back. */
  owe(key: string, value: StoreValue): void {
    this.stats.fallbacks++
    this.stats.errors += this.#debts.add(key, value)
    this.#timer ??= setInterval(() => void this.#reconcile(), LOOK_AGAIN).unref()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** What somebody else has written meanwhile stands. */
  async #reconcile(): Promise<void> {
    if (this.#reconciling) return
    this.#reconciling = true
    await this.#payOff()
    this.#reconciling = false
  }

  async #payOff(): Promise<void> {
    for (const [key, value] of this.#debts) {
      await this.#pay(key, value)
      // Not now: the store is away, or has no room.
      if (this.#debts.get(key) === value) return
    }
    if (this.#debts.size === 0) this.close()
  }

  /** Writes an answer down. @returns what is there now, or that answer if it cannot be written */
  async #pay(key: string, value: StoreValue): Promise<StoreValue> {
    try {
      const there = await this.#store.add(this.name, key, value, this.#ttl)
      if (this.#debts.settle(key, value)) this.stats.reconciled++
      return there === null ? value : there.value
    } catch (error) {
      this.#count(error)
      if (!isOut(error)) this.#debts.settle(key, value)
      return value
    }
  }

  #lastKnown(key: string, error: unknown): StoreValue | undefined {
    this.#count(error)
    if (this.onError !== 'stale' || !isAway(error)) return undefined
    const last = this.#debts.get(key) ?? this.#store.last?.(this.name, key)?.value
    if (last !== undefined) this.stats.fallbacks++
    return last
  }

  #count(error: unknown): unknown {
    this.stats.errors++
    return error
  }

  async #counted<T>(call: Promise<T>): Promise<T> {
    try {
      return await call
    } catch (error) {
      throw this.#count(error)
    }
  }
}

/** The store did not answer, as opposed to: it said no. */
export function isAway(error: unknown): boolean {
  return error instanceof StoreError && (error.code === 'timeout' || error.code === 'unavailable')
}

/** It did not answer, or has no room: another time it may do what it was asked for. */
export function isOut(error: unknown): boolean {
  return isAway(error) || (error instanceof StoreError && error.code === 'full')
}
