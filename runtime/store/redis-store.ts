/**
 * The store in Redis (6 and later, Valkey alike): one server, Sentinel, or Cluster. Every call has a deadline and goes
 * through a circuit breaker, so that nobody ever hangs on Redis; reads are answered from a near cache that the server
 * keeps true: by client tracking where it can, else by messages of those who write. What this process writes itself stays
 * known to it. A tracking server leaves us out of the news of our own plain commands, not of our scripts (NOLOOP), so
 * plain commands write where they suffice.
 *
 *   key of an entry    PREFIX m: MAP {} KEY      the empty tag keeps a client's braces from choosing the cluster's slot
 *   key of a bucket    PREFIX l: MAP {} KEY
 */
import { Cluster, Command, type Redis } from 'ioredis'
import type { RedisCommand, RedisReply } from '../phases.ts'
import { checkKey, checkValue } from './limits.ts'
import { NEAR_DEFAULTS, NearCache, type NearCacheOptions } from './near-cache.ts'
import { RedisCalls, type RedisCallsOptions } from './redis-calls.ts'
import { ConnectionFaults, connectRedis, describeRedis } from './redis-connect.ts'
import { RedisNews } from './redis-news.ts'
import { sendRaw } from './redis-raw.ts'
import { escapeGlob, Scan } from './redis-scan.ts'
import { SCRIPTS } from './redis-scripts.ts'
import { encode, entryOf, millis } from './redis-values.ts'
import {
  type Invalidation,
  MISSING,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreStats,
  type StoreValue,
} from './store.ts'

export interface RedisStoreOptions extends RedisCallsOptions {
  /** What is remembered in this process. */
  readonly near?: NearCacheOptions
}

/** Reads after a script of ours has written. */
const MAX_REFILLS = 3

type ScriptName = keyof typeof SCRIPTS

export class RedisStore implements Store {
  readonly kind = 'redis'
  readonly stats: StoreStats
  readonly #options: RedisStoreOptions
  readonly #redis: Redis | Cluster
  readonly #near: NearCache
  readonly #calls: RedisCalls
  readonly #news: RedisNews
  readonly #faults: ConnectionFaults
  readonly #listeners = new Set<Invalidation>()

  constructor(options: RedisStoreOptions) {
    this.#options = options
    this.#near = new NearCache(options.near ?? NEAR_DEFAULTS)
    this.#redis = connectRedis(options, SCRIPTS)
    // Failures are reported by the calls that meet them.
    this.#faults = new ConnectionFaults().watch(this.#redis)
    this.#calls = new RedisCalls(options, this.#faults)
    this.stats = this.#calls.stats
    this.#news = new RedisNews(this.#redis, options, {
      changed: (map, key) => this.#forget(map, key),
      missed: () => this.#doubt(),
    })
  }

  /** Resolves when the server can be talked to and changes are heard of. @throws StoreError after the deadline */
  async ready(ms: number): Promise<void> {
    await within(this.#news.ready(), ms, () => {
      const name = describeRedis(this.#options)
      return this.#faults.last === '' ? `no answer from ${name}` : `${name}: ${this.#faults.last}`
    })
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
    return this.#news.listening && this.#calls.areWell ? this.#near.get(map, key) : undefined
  }

  /** The last entry that was known, for when the store cannot be asked. */
  last(map: string, key: string): StoreEntry | undefined {
    return this.#near.last(map, key)
  }

  async get(map: string, key: string): Promise<StoreEntry | null> {
    return this.#reading(map, key, async () => entryOf(key, await this.#run('storeGet', map, key, [])))
  }

  async set(map: string, key: string, value: StoreValue, ttl: number): Promise<void> {
    checkValue(value)
    await this.#writing(map, key, async () => {
      if (this.#news.tracked) await this.#plain('SET', map, key, [encode(value), ...lifetime(ttl)])
      else await this.#run('storeSet', map, key, [...this.#news.told(map, key), encode(value), millis(ttl)])
      return made(key, value, ttl)
    })
    this.#calls.wrote()
  }

  async add(map: string, key: string, value: StoreValue, ttl: number): Promise<StoreEntry | null> {
    checkValue(value)
    let there: StoreEntry | null = null
    await this.#writing(map, key, async () => {
      there = await this.#add(map, key, value, ttl)
      return there ?? made(key, value, ttl)
    })
    if (there === null) this.#calls.wrote()
    return there
  }

  async #add(map: string, key: string, value: StoreValue, ttl: number): Promise<StoreEntry | null> {
    // Redis before 7 does not say in one command what is there instead.
    if (this.#news.tracked) {
      const done = await this.#plain('SET', map, key, [encode(value), ...lifetime(ttl), 'NX'])
      if (done !== null) return null
    }
    const given = [...this.#news.told(map, key), encode(value), millis(ttl)]
    return entryOf(key, await this.#run('storeAdd', map, key, given))
  }

  async compareAndSet(
    map: string,
    key: string,
    expected: StoreValue | null,
    value: StoreValue | null,
    ttl: number,
  ): Promise<StoreEntry | null | typeof MISSING> {
    if (value !== null) checkValue(value)
    if (expected === null && value !== null) return this.add(map, key, value, ttl)
    let lost: StoreEntry | null | typeof MISSING = null
    await this.#writing(map, key, async () => {
      const given = [
        expected === null ? '' : encode(expected),
        value === null ? '' : encode(value),
        millis(ttl),
      ]
      const reply = await this.#run('storeCompareAndSet', map, key, [...this.#news.told(map, key), ...given])
      if (reply === 1) return value === null ? null : made(key, value, ttl)
      lost = reply === 0 ? MISSING : entryOf(key, reply)
      return lost === MISSING ? null : lost
    })
    if (lost === null && value !== null && this.#news.tracked) void this.#refill(map, key)
    return lost
  }

  /** Counters change with each call: there is nothing to remember. */
  async incr(map: string, key: string, by: number, ttl: number): Promise<number> {
    const given = [...this.#news.told(map, key), String(by), millis(ttl)]
    let number = 0
    await this.#writing(map, key, async () => {
      number = Number(String(await this.#run('storeIncr', map, key, given)))
      return null
    })
    this.#calls.wrote()
    return number
  }

  async touch(map: string, key: string, ttl: number): Promise<boolean> {
    const known = this.#near.get(map, key)
    let there = false
    await this.#writing(map, key, async () => {
      there = (await this.#touch(map, key, ttl)) === 1
      if (!there) return null
      return known === undefined ? undefined : made(key, known.value, ttl)
    })
    return there
  }

  #touch(map: string, key: string, ttl: number): Promise<unknown> {
    // PERSIST does not say whether the key was there.
    if (this.#news.tracked && ttl !== Infinity) return this.#plain('PEXPIRE', map, key, [millis(ttl)])
    return this.#run('storeTouch', map, key, [...this.#news.told(map, key), millis(ttl)])
  }

  async delete(map: string, key: string): Promise<boolean> {
    let there = false
    await this.#writing(map, key, async () => {
      const done = this.#news.tracked
        ? this.#plain('DEL', map, key, [])
        : this.#run('storeDelete', map, key, this.#news.told(map, key))
      there = (await done) === 1
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
      const page = await this.#calls.run(() => scan.next(`${escapeGlob(start)}*`, count))
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
    while (!scan.done) size += (await this.#calls.run(() => scan.next(pattern, 1000))).length
    return size
  }

  async take(map: string, key: string, rate: number, burst: number, cost: number): Promise<number> {
    checkKey(key)
    const numbers = [String(rate), String(burst), String(cost)]
    const reply = await this.#script('storeTake', `${this.#options.prefix}l:${map}{}${key}`, numbers)
    const wait = Number((reply as Buffer).toString())
    // Whoever is refused writes nothing.
    if (wait <= 0) this.#calls.wrote()
    return wait
  }

  /** Commands of others than this store, in one go; they have been checked. `atomic`: nothing comes between them. */
  async raw(commands: readonly RedisCommand[], atomic: boolean): Promise<RedisReply[]> {
    if (commands.length === 0) return []
    return this.#calls.run(() => sendRaw(this.#redis, commands, atomic))
  }

  onInvalidation(listener: Invalidation): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#calls.close()
    this.#news.close()
    this.#redis.disconnect()
  }

  // ---- the near cache ----

  /** Runs a call that says what is there, and remembers it. */
  async #reading<T extends StoreEntry | null | undefined>(
    map: string,
    key: string,
    call: () => Promise<T>,
    silent = false,
  ): Promise<T> {
    const reading = this.#near.begin(map, key, silent)
    let entry: T | undefined
    try {
      entry = await call()
      return entry
    } finally {
      this.#near.end(reading, entry)
    }
  }

  /** The same of one that changes it; undefined: it is there, and nobody knows what it is. */
  async #writing(
    map: string,
    key: string,
    call: () => Promise<StoreEntry | null | undefined>,
  ): Promise<void> {
    await this.#reading(map, key, call, true)
    this.#tell(map, key)
  }

  /** Our script has written, and the server is telling us as well: what is there is read when it has. */
  async #refill(map: string, key: string): Promise<void> {
    try {
      for (let i = 0; i < MAX_REFILLS && this.#near.get(map, key) === undefined; i++) await this.get(map, key)
    } catch {
      // Whoever wants it asks again.
    }
  }

  #forget(map: string, key: string): void {
    this.#near.forget(map, key)
    this.#tell(map, key)
  }

  #tell(map: string, key: string | null): void {
    for (const listener of this.#listeners) listener(map, key)
  }

  #doubt(): void {
    this.#near.doubt()
    this.#tell('', null)
  }

  // ---- calls ----

  #entryKey(map: string, key: string): string {
    return `${this.#options.prefix}m:${map}{}${key}`
  }

  async #run(name: ScriptName, map: string, key: string, args: (string | Buffer)[]): Promise<unknown> {
    checkKey(key)
    return this.#script(name, this.#entryKey(map, key), args)
  }

  /** One of Redis's own commands, on an entry. */
  async #plain(name: string, map: string, key: string, args: (string | Buffer)[]): Promise<unknown> {
    checkKey(key)
    const command = [this.#entryKey(map, key), ...args]
    return this.#calls.run(
      () => this.#redis.sendCommand(new Command(name, command, { replyEncoding: null })) as Promise<unknown>,
    )
  }

  #script(name: ScriptName, key: string, args: (string | Buffer)[]): Promise<unknown> {
    return this.#calls.run(() => (this.#redis as unknown as ScriptRunner)[`${name}Buffer`](key, ...args))
  }

  #nodes(): Redis[] {
    return this.#redis instanceof Cluster ? this.#redis.nodes('master') : [this.#redis]
  }
}

type ScriptRunner = Record<
  `${ScriptName}Buffer`,
  (key: string, ...args: (string | Buffer)[]) => Promise<unknown>
>

function made(key: string, value: StoreValue, ttl: number): StoreEntry {
  return { key, value, expires: Date.now() + ttl }
}

/** Of SET. */
function lifetime(ttl: number): string[] {
  return ttl === Infinity ? [] : ['PX', millis(ttl)]
}

async function within<T>(promise: Promise<T>, ms: number, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new StoreError('timeout', message())), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
