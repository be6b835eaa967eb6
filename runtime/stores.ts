/**
 * The shared state of a gateway: opens the store that a configuration names and its session maps, keeps them over
 * generations as long as the configuration asks for the same ones, and closes what no generation uses any more. Knows
 * neither scripts nor requests.
 */
import type { HttpModel, SessionMapModel } from './config/model.ts'
import type { LogLevel } from './phases.ts'
import { redisSettings } from './redis-settings.ts'
import { MemoryStore } from './store/memory-store.ts'
import type { RedisSettings } from './store/redis-connect.ts'
import { placeOf } from './store/redis-place.ts'
import type { RedisStore, RedisStoreOptions } from './store/redis-store.ts'
import { SessionMap } from './store/session-map.ts'
import type { Store } from './store/store.ts'
import { WorkerStore } from './store/worker-store.ts'

export interface StoresOptions {
  readonly log: (level: LogLevel, message: string) => void
  /** What `store memory` is; whoever gives it closes it. Default: memory of this process. */
  readonly memory?: Store
  /** Its first worker tells of an outage for the whole machine. */
  readonly worker?: number
}

/** What is needed of a configuration. */
export type StoreSettings = Pick<HttpModel, 'where' | 'store' | 'storeTimeout' | 'sessionMaps'>

/** ms */
const FIRST_ANSWER = 1000

/** The store and the maps of one configuration. Its generations hold it; it goes with the last of them. */
export class StoreSet {
  readonly store: Store
  readonly settings: StoreSettings
  readonly #maps = new Map<string, SharedMap>()
  readonly #opened: Shared<Store>
  /** Where its keys are: they stay when no more than the way there is another. */
  readonly place: string
  #holders = 0

  /** Use {@link Stores}. @param before maps of the same store that are already in use */
  constructor(opened: Shared<Store>, settings: StoreSettings, before: StoreSet | null) {
    this.store = opened.value
    this.settings = settings
    this.#opened = opened.acquire()
    this.place = opened.place
    const known = before?.store === this.store ? before.#maps : null
    for (const model of settings.sessionMaps) {
      const same = known?.get(model.name)
      const map = same !== undefined && sameMap(same.model, model) ? same : new SharedMap(this.store, model)
      map.acquire()
      this.#maps.set(model.name, map)
    }
  }

  /** A `session_map` by its name. */
  map(name: string): SessionMap | undefined {
    return this.#maps.get(name)?.value
  }

  get maps(): SessionMap[] {
    return [...this.#maps.values()].map(({ value }) => value)
  }

  /** Waits a moment for a store that is elsewhere: the first requests should find it. */
  async ready(log: StoresOptions['log']): Promise<void> {
    if (this.store.kind !== 'redis') return
    try {
      await (this.store as RedisStore).ready(FIRST_ANSWER)
    } catch (error) {
      log('warn', `store: ${(error as Error).message}; going on without it`)
    }
  }

  /** Of the store that is open already. */
  opened(key: string): Shared<Store> | null {
    return this.#opened.key === key ? this.#opened : null
  }

  acquire(): void {
    this.#holders++
  }

  release(): void {
    if (--this.#holders > 0) return
    for (const map of this.#maps.values()) map.release()
    this.#opened.release()
  }

  /** Bounds of the maps are the store's to know; one that never served may have changed them. */
  define(): void {
    for (const { name, max } of this.settings.sessionMaps) this.store.define(name, max)
  }
}

/** Something that is closed when its last user lets go of it. */
class Shared<T> {
  readonly key: string
  /** What it holds is the same for all that have this. */
  readonly place: string
  readonly value: T
  readonly #close: () => void
  #users = 0

  constructor(key: string, value: T, close: () => void, place = key) {
    this.key = key
    this.place = place
    this.value = value
    this.#close = close
  }

  acquire(): this {
    this.#users++
    return this
  }

  release(): void {
    if (--this.#users === 0) this.#close()
  }
}

class SharedMap extends Shared<SessionMap> {
  readonly model: SessionMapModel

  constructor(store: Store, model: SessionMapModel) {
    const map = new SessionMap(store, model)
    super(model.name, map, () => map.close())
    this.model = model
  }
}

export class Stores {
  readonly #options: StoresOptions
  #current: StoreSet | null = null

  constructor(options: StoresOptions) {
    this.#options = options
  }

  /** The set that serves. */
  get current(): StoreSet {
    if (this.#current === null) throw new Error('no configuration serves yet')
    return this.#current
  }

  get store(): Store {
    return this.current.store
  }

  /** A `session_map` of the configuration that serves. */
  map(name: string): SessionMap | undefined {
    return this.current.map(name)
  }

  /**
   * The set of a configuration: the one that serves, if nothing differs. To be released by whoever asks.
   * @throws ConfigError when a file that the store needs cannot be read
   */
  async prepare(http: StoreSettings): Promise<StoreSet> {
    const current = this.#current
    const set = current !== null && sameSettings(current.settings, http) ? current : await this.#make(http)
    set.acquire()
    return set
  }

  async #make(http: StoreSettings): Promise<StoreSet> {
    const redis = http.store.kind === 'redis' ? redisSettings(http.store, http) : null
    const key = JSON.stringify(redis ?? [http.store, this.#options.memory !== undefined])
    const opened = this.#current?.opened(key) ?? (await this.#open(key, http, redis))
    return new StoreSet(opened, http, this.#current)
  }

  async #open(key: string, http: StoreSettings, redis: RedisSettings | null): Promise<Shared<Store>> {
    const { log, memory, worker = 0 } = this.#options
    if (redis === null && memory !== undefined) return new Shared(key, memory, () => undefined)
    const size = http.store.kind === 'memory' ? http.store.size : 0
    const store =
      redis === null ? new MemoryStore({ size }) : await openRedis({ ...redis, log, discreet: worker !== 0 })
    const place = redis === null ? key : placeOf(redis)
    return new Shared<Store>(key, store, () => void store.close(), place)
  }

  /** The set goes into service. */
  commit(set: StoreSet): void {
    const before = this.#current
    if (set.store instanceof WorkerStore) set.store.timeout = set.settings.storeTimeout
    if (before === set) return
    set.acquire()
    this.#current = set
    if (before === null) return
    if (before.place !== set.place)
      this.#options.log('warn', 'the store is another one: what the one before holds is not known to it')
    before.release()
  }

  /** The set does not go into service. */
  discard(set: StoreSet): void {
    if (set !== this.#current && set.store === this.#current?.store) this.#current.define()
  }

  close(): void {
    this.#current?.release()
    this.#current = null
  }
}

/** Who has no Redis does without its client: 20 MiB. */
async function openRedis(options: RedisStoreOptions): Promise<Store> {
  const { RedisStore } = await import('./store/redis-store.ts')
  return new RedisStore(options)
}

/** Memory of its own, for a generation that none shares anything with. */
export function aloneStores(http: StoreSettings): StoreSet {
  const store = new MemoryStore({ size: 64 * 1024 * 1024 })
  return new StoreSet(new Shared<Store>('', store, () => void store.close()), http, null)
}

function sameSettings(a: StoreSettings, b: StoreSettings): boolean {
  const text = ({ store, storeTimeout, sessionMaps }: StoreSettings) =>
    JSON.stringify([
      { ...store, where: null },
      storeTimeout,
      sessionMaps.map((map) => ({ ...map, where: null })),
    ])
  // A password or a certificate may be another one under the same name.
  const readsFiles = b.store.kind === 'redis' && (b.store.passwordFile ?? b.store.tlsCa) !== null
  return !readsFiles && text(a) === text(b)
}

function sameMap(a: SessionMapModel, b: SessionMapModel): boolean {
  return a.ttl === b.ttl && a.max === b.max && a.onError === b.onError
}
