/**
 * The memory store as workers see it: it lives in their supervisor, reached over a channel; reads are answered from a
 * near cache that the supervisor's news keep true. `serveStore` is the supervisor's end.
 *
 * The channel keeps the order of what happens there: news of a worker's own change comes before the answer to it, news of
 * a later change by another worker after that.
 */
import { type Channel, ChannelError } from '../lib/channel.ts'
import { checkKey, checkValue } from './limits.ts'
import { NEAR_DEFAULTS, NearCache, type NearCacheOptions } from './near-cache.ts'
import {
  type Invalidation,
  MISSING,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreErrorCode,
  type StoreStats,
  type StoreValue,
} from './store.ts'

/** What workers may ask for, and nothing else. */
const CALLS = [
  'get',
  'set',
  'add',
  'compareAndSet',
  'incr',
  'touch',
  'delete',
  'entries',
  'size',
  'take',
] as const
type Call = (typeof CALLS)[number]

/**
 * Answers a worker's calls from the store.
 * @returns a function that ends it
 */
export function serveStore(channel: Channel, store: Store): () => void {
  for (const call of CALLS)
    channel.answer(`store ${call}`, (...args: never[]) =>
      (store[call] as (...args: never[]) => unknown)(...args),
    )
  channel.answer('store define', (map: string, max: number) => store.define(map, max))
  return store.onInvalidation((map, key) => channel.tell('store changed', map, key))
}

export class WorkerStore implements Store {
  readonly kind = 'worker'
  readonly stats: StoreStats = { calls: 0, errors: 0, timeouts: 0, breaker: 'closed', time: 0 }
  /** ms for one call. */
  timeout: number
  readonly #channel: Channel
  readonly #near: NearCache
  readonly #listeners = new Set<Invalidation>()
  #closed = false

  /** @param timeout ms for one call */
  constructor(channel: Channel, timeout: number, near: NearCacheOptions = NEAR_DEFAULTS) {
    this.#channel = channel
    this.timeout = timeout
    this.#near = new NearCache(near)
    channel.answer('store changed', (map: string, key: string | null) => this.#onChanged(map, key))
  }

  define(map: string, max: number): void {
    this.#channel.tell('store define', map, max)
  }

  /** Entries that are known without asking. */
  get known(): number {
    return this.#near.size
  }

  peek(map: string, key: string): StoreEntry | undefined {
    return this.#near.get(map, key)
  }

  last(map: string, key: string): StoreEntry | undefined {
    return this.#near.last(map, key)
  }

  async get(map: string, key: string): Promise<StoreEntry | null> {
    return this.#call(map, key, async (found) => {
      const entry = await this.#ask<StoreEntry | null>('get', map, key)
      found(entry, 0)
      return entry
    })
  }

  async set(map: string, key: string, value: StoreValue, ttl: number): Promise<void> {
    checkValue(value)
    await this.#call(map, key, async (found) => {
      await this.#ask('set', map, key, value, ttl)
      found(entryOf(key, value, ttl), 1)
    })
  }

  async add(map: string, key: string, value: StoreValue, ttl: number): Promise<StoreEntry | null> {
    checkValue(value)
    return this.#call(map, key, async (found) => {
      const there = await this.#ask<StoreEntry | null>('add', map, key, value, ttl)
      if (there === null) found(entryOf(key, value, ttl), 1)
      else found(there, 0)
      return there
    })
  }

  async compareAndSet(
    map: string,
    key: string,
    expected: StoreValue | null,
    value: StoreValue | null,
    ttl: number,
  ): Promise<StoreEntry | null | typeof MISSING> {
    if (value !== null) checkValue(value)
    return this.#call(map, key, async (found) => {
      const lost = await this.#ask<Lost>('compareAndSet', map, key, expected, value, ttl)
      if (lost === null) found(value === null ? null : entryOf(key, value, ttl), 1)
      else found(lost === MISSING ? null : lost, 0)
      return lost
    })
  }

  /** Nobody says how long the number lives: it is not remembered. */
  async incr(map: string, key: string, by: number, ttl: number): Promise<number> {
    return this.#ask('incr', map, key, by, ttl)
  }

  async touch(map: string, key: string, ttl: number): Promise<boolean> {
    const known = this.#near.get(map, key)
    return this.#call(map, key, async (found) => {
      const there = await this.#ask<boolean>('touch', map, key, ttl)
      if (there && known !== undefined) found(entryOf(key, known.value, ttl), 1)
      return there
    })
  }

  async delete(map: string, key: string): Promise<boolean> {
    return this.#ask('delete', map, key)
  }

  async entries(
    map: string,
    cursor: string | null,
    count: number,
  ): Promise<{ entries: StoreEntry[]; cursor: string | null }> {
    return this.#ask('entries', map, cursor, count)
  }

  async size(map: string): Promise<number> {
    return this.#ask('size', map)
  }

  async take(map: string, key: string, rate: number, burst: number, cost: number): Promise<number> {
    return this.#ask('take', map, key, rate, burst, cost)
  }

  onInvalidation(listener: Invalidation): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#listeners.clear()
  }

  /**
   * Runs a call that may find out what is there.
   * @param call tells it, with how many of the changes are its own
   */
  async #call<T>(
    map: string,
    key: string,
    call: (found: (entry: StoreEntry | null, own: number) => void) => Promise<T>,
  ): Promise<T> {
    const reading = this.#near.begin(map, key)
    let entry: StoreEntry | null | undefined
    let own = 0
    try {
      return await call((found, changes) => {
        entry = found
        own = changes
      })
    } finally {
      this.#near.end(reading, entry, own)
    }
  }

  #onChanged(map: string, key: string | null): void {
    if (key === null) this.#near.doubt()
    else this.#near.forget(map, key)
    for (const listener of this.#listeners) listener(map, key)
  }

  async #ask<T>(call: Call, map: string, ...args: readonly unknown[]): Promise<T> {
    if (this.#closed) throw new StoreError('closed', 'the store is closed')
    if (typeof args[0] === 'string') checkKey(args[0])
    const started = performance.now()
    this.stats.calls++
    try {
      return await this.#channel.ask<T>(`store ${call}`, this.timeout, map, ...args)
    } catch (error) {
      this.stats.errors++
      throw this.#failure(error)
    } finally {
      this.stats.time += performance.now() - started
    }
  }

  #failure(error: unknown): unknown {
    if (!(error instanceof ChannelError)) return error
    if (error.code === 'timeout') this.stats.timeouts++
    const code = CODES.has(error.code) ? (error.code as StoreErrorCode) : 'unavailable'
    return new StoreError(code, error.message)
  }
}

type Lost = StoreEntry | null | typeof MISSING

function entryOf(key: string, value: StoreValue, ttl: number): StoreEntry {
  return { key, value, expires: Date.now() + ttl }
}

const CODES: ReadonlySet<string> = new Set<StoreErrorCode>(['timeout', 'full', 'too_large', 'wrong_type'])
