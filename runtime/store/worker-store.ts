/**
 * The memory store as workers see it: it lives in their supervisor, reached over a channel; reads are answered from a
 * near cache that the supervisor's news keep true. `serveStore` is the supervisor's end.
 */
import { type Channel, ChannelError } from '../lib/channel.ts'
import { checkKey, checkValue } from './limits.ts'
import { NearCache } from './near-cache.ts'
import {
  type Invalidation,
  type MISSING,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreErrorCode,
  type StoreStats,
  type StoreValue,
} from './store.ts'

const DEFAULT_NEAR = 100_000

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
  constructor(channel: Channel, timeout: number, near = DEFAULT_NEAR) {
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
    return this.#cached(map, key, () => this.#ask<StoreEntry | null>('get', map, key))
  }

  async set(map: string, key: string, value: StoreValue, ttl: number): Promise<void> {
    checkValue(value)
    await this.#forgetting(map, key, () => this.#ask('set', map, key, value, ttl))
  }

  async add(map: string, key: string, value: StoreValue, ttl: number): Promise<StoreEntry | null> {
    checkValue(value)
    return this.#forgetting(map, key, () => this.#ask<StoreEntry | null>('add', map, key, value, ttl))
  }

  async compareAndSet(
    map: string,
    key: string,
    expected: StoreValue | null,
    value: StoreValue | null,
    ttl: number,
  ): Promise<StoreEntry | null | typeof MISSING> {
    if (value !== null) checkValue(value)
    return this.#forgetting(map, key, () => this.#ask('compareAndSet', map, key, expected, value, ttl))
  }

  async incr(map: string, key: string, by: number, ttl: number): Promise<number> {
    return this.#forgetting(map, key, () => this.#ask<number>('incr', map, key, by, ttl))
  }

  async touch(map: string, key: string, ttl: number): Promise<boolean> {
    return this.#forgetting(map, key, () => this.#ask<boolean>('touch', map, key, ttl))
  }

  async delete(map: string, key: string): Promise<boolean> {
    return this.#forgetting(map, key, () => this.#ask<boolean>('delete', map, key))
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

  async #cached(
    map: string,
    key: string,
    call: () => Promise<StoreEntry | null>,
  ): Promise<StoreEntry | null> {
    const reading = this.#near.begin(map, key)
    let entry: StoreEntry | null | undefined
    try {
      entry = await call()
      return entry
    } finally {
      this.#near.end(reading, entry)
    }
  }

  async #forgetting<T>(map: string, key: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } finally {
      this.#near.forget(map, key)
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

const CODES: ReadonlySet<string> = new Set<StoreErrorCode>(['timeout', 'full', 'too_large', 'wrong_type'])
