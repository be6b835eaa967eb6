/**
 * The store in Redis (6 and later, Valkey alike): one server, Sentinel, or Cluster. Every call has a deadline and goes
 * through a circuit breaker, so that nobody ever hangs on Redis; reads are answered from a near cache that the server
 * keeps true: by client tracking where it can, else by messages of those who write.
 *
 *   key of an entry    PREFIX m: MAP {} KEY      the empty tag keeps a client's braces from choosing the cluster's slot
 *   key of a bucket    PREFIX l: MAP {} KEY
 */
import { Cluster, type Redis } from 'ioredis'
import { Breaker } from './breaker.ts'
import { checkKey, checkValue } from './limits.ts'
import { NearCache } from './near-cache.ts'
import { connectRedis, describeRedis, type RedisSettings } from './redis-connect.ts'
import { RedisNews } from './redis-news.ts'
import { SCRIPTS } from './redis-scripts.ts'
import {
  type Invalidation,
  MISSING,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreStats,
  type StoreValue,
} from './store.ts'

export interface RedisStoreOptions extends RedisSettings {
  /** Entries remembered in this process. */
  readonly near?: number
  readonly log: (level: 'notice' | 'warn' | 'error', message: string) => void
}

const DEFAULT_NEAR = 100_000
const FAILURES = 5
const REST = 500
const LONGEST_REST = 5000

type ScriptName = keyof typeof SCRIPTS

export class RedisStore implements Store {
  readonly kind = 'redis'
  readonly stats: StoreStats = { calls: 0, errors: 0, timeouts: 0, breaker: 'closed', time: 0 }
  readonly #options: RedisStoreOptions
  readonly #redis: Redis | Cluster
  readonly #near: NearCache
  readonly #breaker: Breaker
  readonly #news: RedisNews
  readonly #listeners = new Set<Invalidation>()
  #closed = false

  constructor(options: RedisStoreOptions) {
    this.#options = options
    this.#near = new NearCache(options.near ?? DEFAULT_NEAR)
    this.#redis = connectRedis(options, SCRIPTS)
    // Failures are reported by the calls that meet them.
    this.#redis.on('error', () => undefined)
    this.#breaker = new Breaker({
      failures: FAILURES,
      rest: REST,
      longestRest: LONGEST_REST,
      onChange: (state, reason) => this.#onBreaker(state, reason),
    })
    this.#news = new RedisNews(this.#redis, options, {
      changed: (map, key) => this.#forget(map, key),
      missed: () => this.#doubt(),
    })
  }

  /** Resolves when the server can be talked to and changes are heard of. @throws StoreError after the deadline */
  async ready(ms: number): Promise<void> {
    await within(this.#news.ready(), ms, `no answer from ${describeRedis(this.#options)}`)
  }

  define(): void {
    // How much a Redis holds, and what goes first, is for its own configuration to say.
  }

  /** Entries that are known without asking. */
  get known(): number {
    return this.#near.size
  }

  peek(map: string, key: string): StoreEntry | undefined {
    // A server that does not answer may not tell of changes either.
    return this.#news.listening && this.#breaker.state === 'closed' ? this.#near.get(map, key) : undefined
  }

  /** The last entry that was known, for when the store cannot be asked. */
  last(map: string, key: string): StoreEntry | undefined {
    return this.#near.last(map, key)
  }

  async get(map: string, key: string): Promise<StoreEntry | null> {
    return this.#cached(map, key, async () => entryOf(key, await this.#run('storeGet', map, key, [])))
  }

  async set(map: string, key: string, value: StoreValue, ttl: number): Promise<void> {
    checkValue(value)
    await this.#cached(map, key, async () => {
      await this.#run('storeSet', map, key, [...this.#told(map, key), encode(value), millis(ttl)])
      return { key, value, expires: Date.now() + ttl }
    })
  }

  async add(map: string, key: string, value: StoreValue, ttl: number): Promise<StoreEntry | null> {
    checkValue(value)
    let there: StoreEntry | null = null
    await this.#cached(map, key, async () => {
      const reply = await this.#run('storeAdd', map, key, [
        ...this.#told(map, key),
        encode(value),
        millis(ttl),
      ])
      there = entryOf(key, reply)
      return there ?? { key, value, expires: Date.now() + ttl }
    })
    return there
  }

  async compareAndSet(
    map: string,
    key: string,
    expected: StoreValue | null,
    value: StoreValue | null,
    ttl: number,
  ): Promise<StoreEntry | null | typeof MISSING> {
    if (value !== null) checkValue(value)
    let lost: StoreEntry | null | typeof MISSING = null
    await this.#cached(map, key, async () => {
      const given = [
        expected === null ? '' : encode(expected),
        value === null ? '' : encode(value),
        millis(ttl),
      ]
      const reply = await this.#run('storeCompareAndSet', map, key, [...this.#told(map, key), ...given])
      if (reply === 1) return value === null ? null : { key, value, expires: Date.now() + ttl }
      lost = reply === 0 ? MISSING : entryOf(key, reply)
      return lost === MISSING ? null : lost
    })
    return lost
  }

  async incr(map: string, key: string, by: number, ttl: number): Promise<number> {
    const given = [...this.#told(map, key), String(by), millis(ttl)]
    const reply = await this.#cachedAs(map, key, () => this.#run('storeIncr', map, key, given))
    return Number((reply as Buffer).toString())
  }

  async touch(map: string, key: string, ttl: number): Promise<boolean> {
    const given = [...this.#told(map, key), millis(ttl)]
    return (await this.#cachedAs(map, key, () => this.#run('storeTouch', map, key, given))) === 1
  }

  async delete(map: string, key: string): Promise<boolean> {
    let there = false
    await this.#cached(map, key, async () => {
      there = (await this.#run('storeDelete', map, key, this.#told(map, key))) === 1
      return null
    })
    return there
  }

  async entries(
    map: string,
    cursor: string | null,
    count: number,
  ): Promise<{ entries: StoreEntry[]; cursor: string | null }> {
    const scan = new Scan(this.#nodes(), cursor)
    const start = this.#entryKey(map, '')
    const keys: string[] = []
    while (keys.length < count && !scan.done) {
      const page = await this.#call(() => scan.next(`${escapeGlob(start)}*`, count))
      for (const key of page) keys.push(key.toString('utf8').slice(start.length))
    }
    const found = await Promise.all(
      keys.map(async (key) => entryOf(key, await this.#run('storeGet', map, key, []))),
    )
    return { entries: found.filter((entry) => entry !== null), cursor: scan.cursor }
  }

  async size(map: string): Promise<number> {
    const scan = new Scan(this.#nodes(), null)
    let size = 0
    const pattern = `${escapeGlob(this.#entryKey(map, ''))}*`
    while (!scan.done) size += (await this.#call(() => scan.next(pattern, 1000))).length
    return size
  }

  async take(map: string, key: string, rate: number, burst: number, cost: number): Promise<number> {
    checkKey(key)
    const numbers = [String(rate), String(burst), String(cost)]
    const reply = await this.#script('storeTake', `${this.#options.prefix}l:${map}{}${key}`, numbers)
    return Number((reply as Buffer).toString())
  }

  onInvalidation(listener: Invalidation): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#news.close()
    this.#redis.disconnect()
  }

  // ---- the near cache ----

  /** Runs a call that says what is there afterwards, and remembers it. */
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

  /** Runs a call after which nothing is known of the entry. */
  async #cachedAs(map: string, key: string, call: () => Promise<unknown>): Promise<unknown> {
    const reading = this.#near.begin(map, key)
    try {
      return await call()
    } finally {
      this.#near.end(reading, null)
    }
  }

  #forget(map: string, key: string): void {
    this.#near.forget(map, key)
    for (const listener of this.#listeners) listener(map, key)
  }

  #doubt(): void {
    this.#near.doubt()
    for (const listener of this.#listeners) listener('', null)
  }

  /** What the scripts publish, and where; nothing where the server itself tells of changes. */
  #told(map: string, key: string): string[] {
    return this.#news.tracked ? ['', ''] : [this.#news.channel, `${map}\0${key}`]
  }

  // ---- calls ----

  #entryKey(map: string, key: string): string {
    return `${this.#options.prefix}m:${map}{}${key}`
  }

  async #run(name: ScriptName, map: string, key: string, args: (string | Buffer)[]): Promise<unknown> {
    checkKey(key)
    return this.#script(name, this.#entryKey(map, key), args)
  }

  #script(name: ScriptName, key: string, args: (string | Buffer)[]): Promise<unknown> {
    return this.#call(() => (this.#redis as unknown as ScriptRunner)[`${name}Buffer`](key, ...args))
  }

  async #call<T>(send: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new StoreError('closed', 'the store is closed')
    if (!this.#breaker.allows())
      throw new StoreError('unavailable', `${describeRedis(this.#options)} does not answer`)
    const started = performance.now()
    this.stats.calls++
    try {
      const result = await send()
      this.#breaker.succeeded()
      return result
    } catch (error) {
      throw this.#failure(error)
    } finally {
      this.stats.time += performance.now() - started
    }
  }

  /** An answer that says no comes from a server that is well. */
  #failure(error: unknown): StoreError {
    const message = error instanceof Error ? error.message : String(error)
    this.stats.errors++
    if (this.#closed) return new StoreError('closed', 'the store is closed')
    if (/^WRONGTYPE/.test(message)) {
      this.#breaker.succeeded()
      return new StoreError('wrong_type', 'the value is no number: incr adds to numbers only')
    }
    if (/^OOM/.test(message)) {
      this.#breaker.succeeded()
      return new StoreError('full', `${describeRedis(this.#options)} is full: ${message}`)
    }
    const late = /timed out/i.test(message)
    if (late) this.stats.timeouts++
    this.#breaker.failed(message)
    return late
      ? new StoreError(
          'timeout',
          `${describeRedis(this.#options)} took longer than ${this.#options.timeout} ms`,
        )
      : new StoreError('unavailable', `${describeRedis(this.#options)}: ${message}`)
  }

  #onBreaker(state: Breaker['state'], reason: string): void {
    const before = this.stats.breaker
    this.stats.breaker = state
    const name = describeRedis(this.#options)
    if (state === 'open' && before === 'closed')
      this.#options.log('error', `store: ${name} is given a rest after ${FAILURES} failures (${reason})`)
    else if (state === 'closed') this.#options.log('notice', `store: ${name} answers again`)
  }

  #nodes(): Redis[] {
    return this.#redis instanceof Cluster ? this.#redis.nodes('master') : [this.#redis]
  }
}

type ScriptRunner = Record<
  `${ScriptName}Buffer`,
  (key: string, ...args: (string | Buffer)[]) => Promise<unknown>
>

/** SCAN over all masters; its cursor is `NODE:CURSOR`. */
class Scan {
  readonly #nodes: readonly Redis[]
  #node: number
  #at: string
  done = false

  constructor(nodes: readonly Redis[], cursor: string | null) {
    this.#nodes = nodes
    const [, node, at] = /^(\d{1,4}):(\d{1,20})$/.exec(cursor ?? '0:0') ?? ['', '0', '0']
    this.#node = Number(node)
    this.#at = at
    this.done = this.#node >= nodes.length
  }

  get cursor(): string | null {
    return this.done ? null : `${this.#node}:${this.#at}`
  }

  async next(pattern: string, count: number): Promise<Buffer[]> {
    const node = this.#nodes[this.#node]
    const [at, keys] = await node.scanBuffer(this.#at, 'MATCH', pattern, 'COUNT', count)
    this.#at = at.toString()
    if (this.#at === '0') this.done = ++this.#node >= this.#nodes.length
    return keys
  }
}

function encode(value: StoreValue): string | Buffer {
  return typeof value === 'string' ? `j${value}` : Buffer.concat([BYTES, value])
}

const BYTES = Buffer.from('b')

/** `{ value, pttl }` of a script. */
function entryOf(key: string, reply: unknown): StoreEntry | null {
  if (!Array.isArray(reply)) return null
  const [stored, ttl] = reply as [Buffer, number]
  const value = stored[0] === BYTES[0] ? new Uint8Array(stored.subarray(1)) : stored.toString('utf8', 1)
  return { key, value, expires: ttl < 0 ? Infinity : Date.now() + ttl }
}

function millis(ttl: number): string {
  return ttl === Infinity ? '0' : String(Math.max(1, Math.ceil(ttl)))
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^]/g, '\\$&')
}

async function within<T>(promise: Promise<T>, ms: number, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new StoreError('timeout', message)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
