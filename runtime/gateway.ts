/**
 * The life of a proxy: load a configuration, open its sockets, serve by the current generation, swap generations
 * without losing a request, drain, stop. The only owner of what outlives a generation: sockets, connections, error
 * log, statistics.
 */
import { compileGeneration, type Generation, NO_HTTP } from './compile.ts'
import type { Model } from './config/model.ts'
import { FetchAgents } from './fetch/agents.ts'
import { GatewayConnections } from './gateway-connections.ts'
import type { GenerationScripts } from './generation-scripts.ts'
import { type HookTotal, HookTotals } from './hook-totals.ts'
import { ListenSockets } from './listen/listen-sockets.ts'
import { ErrorLog } from './observe/error-log.ts'
import { LogFiles } from './observe/log-files.ts'
import { TimeHistogram } from './observe/metrics-histogram.ts'
import { Traffic } from './observe/metrics-traffic.ts'
import type { LogLevel } from './phases.ts'
import type { Exchange, Services } from './proxy/exchange.ts'
import { run } from './proxy/journey.ts'
import type { Step } from './proxy/step.ts'
import { type HistoryEntry, type Removal, ScriptRegistry, type ScriptStatus } from './script-registry.ts'
import type { ScriptsSnapshot } from './script-snapshot.ts'
import { ConnectionStatistics } from './statistics.ts'
import type { MachineLimits } from './store/machine-limits.ts'
import type { Store } from './store/store.ts'
import { type StoreSet, Stores } from './stores.ts'
import { type Change, endingWith, type PreparedSwap, type SwapResult } from './swap.ts'
import type { PeerCounts } from './upstream/peer-counts.ts'
import type { PeerListener } from './upstream/peer-news.ts'
import type { ChangedServers } from './upstreams.ts'
import { VERSION } from './version.ts'

export interface GatewayOptions {
  /** Folder that relative paths of the configuration are relative to. Default: the working directory. */
  readonly prefix?: string
  /** Where messages go instead of the model's `error_log`; for embedding and tests. */
  readonly log?: (level: LogLevel, message: string) => void
  /** What `store memory` is, if not memory of this process; whoever gives it closes it. */
  readonly store?: Store
  /** Where all processes that serve the same count for `limit_req` and `limit_conn`; default: this is the only one. */
  readonly limits?: MachineLimits
  /** Number of this process among those that serve the same; default: 0. */
  readonly worker?: number
  /** Hears of failures of peers in groups with a `zone`. */
  readonly onPeer?: PeerListener
  /** Counts their requests, over all processes that serve the same. */
  readonly peerCounts?: PeerCounts
  /** Upstream groups whose servers were changed since they were configured, for the first generation. */
  readonly changedServers?: ChangedServers
  /** Removes the file of a unix socket that nobody listens behind any more; default: the gateway does. */
  readonly clearPath?: (path: string) => Promise<void>
  /** Is told that a script was taken out of service, and sees to a generation without it; default: the gateway does. */
  readonly onRemoval?: (removal: Removal) => void
}

/** A generation that waits for its word, and what changes with it. */
interface Ready {
  readonly generation: Generation
  readonly model: Model
  readonly stores: StoreSet
  /** null: the log files stay. */
  readonly files: LogFiles | null
  readonly errorLog: ErrorLog
  readonly started: number
}

/** Times that scripts are read which change meanwhile. */
const MAX_READS = 5

export class Gateway {
  readonly #options: GatewayOptions
  readonly #prefix: string
  readonly #sockets: ListenSockets
  readonly #connections = this.#makeConnections()
  readonly #live = new Set<Generation>()
  readonly #services: Services & { traffic: Traffic | null }
  readonly #fetchAgents = new FetchAgents()
  readonly #scripts = new ScriptRegistry({
    log: (level, message) => this.log(level, message),
    swap: (removal) => this.#onRemoval(removal),
  })
  /** What scripts share with others: the store and the maps of the configuration that serves. */
  readonly stores: Stores
  readonly version = VERSION
  /** Generations that were asked for, and how long those that serve took. */
  readonly swaps = { done: 0, refused: 0, time: new TimeHistogram() }
  readonly #hookTotals = new HookTotals()
  #files: LogFiles
  #errorLog: ErrorLog
  #generation: Generation | null = null
  #model: Model
  #draining = false
  #swapping: Promise<unknown> = Promise.resolve()
  #nextId = 1
  #restored = false
  #prepared: PreparedSwap | null = null

  constructor(model: Model, options: GatewayOptions = {}) {
    this.#model = model
    this.#options = options
    this.#prefix = options.prefix ?? process.cwd()
    this.#files = this.#openFiles()
    this.#errorLog = new ErrorLog(model.main.errorLog, this.#files)
    this.#sockets = new ListenSockets(
      (socket, key) => this.#connections.accept(socket, key),
      options.clearPath,
    )
    this.#services = this.#makeServices()
    const { store: memory, worker } = options
    this.stores = new Stores({ log: (level, message) => this.log(level, message), memory, worker })
  }

  get services(): Services {
    return this.#services
  }

  /** The generation that new requests are served by. */
  get generation(): Generation {
    if (this.#generation === null) throw new Error('the gateway does not listen yet; await listen() first')
    return this.#generation
  }

  /** Generations that still serve something, the current one included. */
  get liveGenerations(): number {
    return this.#live.size
  }

  /** What the hooks of each script file have done in all generations, by file and hook. */
  get hookTotals(): [file: string, hooks: ReadonlyMap<string, HookTotal>][] {
    for (const { scripts } of this.#live) this.#hookTotals.update(scripts)
    return [...this.#hookTotals.byFile]
  }

  get connectionCount(): number {
    return this.#connections.all.size
  }

  /** It was told to end. */
  get draining(): boolean {
    return this.#draining
  }

  /** Addresses that are open: as written in `listen`, with the real port where 0 was asked for. */
  get addresses(): string[] {
    return this.#sockets.keys.map((key) => key.replace(/:0$/, `:${this.#sockets.port(key)}`))
  }

  /** The real port of a `listen` address. */
  port(listen: string): number | null {
    return this.#sockets.port(listen)
  }

  /**
   * Loads the model and opens its sockets.
   * @throws ConfigError, ScriptError or ListenError; nothing stays open then.
   */
  async listen(): Promise<void> {
    await this.#swapBy({ kind: 'start' })
  }

  /** Compiles the model, scripts and all, without serving it (`-t`). @throws as `listen`, but for the sockets. */
  async check(): Promise<void> {
    const stores = await this.stores.prepare(this.#model.http ?? NO_HTTP)
    await stores.ready((level, message) => this.log(level, message))
    try {
      const generation = await this.#compile(
        this.#model,
        this.#scripts.planAll('start'),
        stores,
        this.#nextId,
      )
      generation.discard()
    } finally {
      stores.release()
      this.#files.close()
    }
  }

  /** Before {@link listen}: the first generation is made of these scripts, whatever is on the disk. */
  restore(scripts: ScriptsSnapshot): void {
    this.#scripts.restore(scripts)
    this.#restored = true
  }

  /** The scripts that serve and those that can be gone back to, for {@link restore} in another process. */
  snapshot(): ScriptsSnapshot {
    return this.#scripts.snapshot()
  }

  /**
   * Makes a generation ready, and keeps every other swap waiting until it is committed or discarded.
   * @param id of the generation, above those of all before; default: the next number
   * @returns null when nothing has changed (`save`)
   * @throws ConfigError, ScriptError, ListenError, RollbackError; nothing changes
   */
  prepare(change: Change, id?: number): Promise<PreparedSwap | null> {
    return new Promise((done, failed) => {
      void this.#serial(async () => {
        try {
          const prepared = await this.#prepare(change, id)
          if (prepared === null) return done(null)
          await new Promise<void>((end) => {
            this.#prepared = endingWith(prepared, end)
            done(this.#prepared)
          })
          this.#prepared = null
        } catch (error) {
          failed(error)
        }
      })
    })
  }

  /** Replaces the configuration; on failure the running one stays. @throws as `listen`. */
  reload(model: Model): Promise<SwapResult> {
    return this.#swapBy({ kind: 'reload', model })
  }

  /**
   * Loads those scripts of the current configuration whose files have changed; on failure the running ones stay. What was
   * gone back from, ejected or rolled back is not loaded until its file changes.
   * @returns null when there is nothing to load
   * @throws ScriptError
   */
  reloadScripts(): Promise<SwapResult | null> {
    return this.#serial(async () => (await this.#prepare({ kind: 'save' }))?.commit() ?? null)
  }

  /**
   * Goes back to the version of a script that served before its last change; without a name, to what all scripts were
   * in the generation before. Loads from memory; the files are not looked at again until they are saved.
   * @param file absolute
   * @throws RollbackError when there is no earlier version; ScriptError, and nothing changes
   */
  rollback(file?: string): Promise<SwapResult> {
    return this.#swapBy({ kind: 'rollback', file })
  }

  /**
   * The sources of a canary serve all requests as the script that it stands beside, until that one's file is saved.
   * @param file of the canary, absolute
   * @throws RollbackError when no canary of that file serves; ScriptError, and nothing changes
   */
  promoteCanary(file: string): Promise<SwapResult> {
    return this.#swapBy({ kind: 'promote', file })
  }

  /** The generations that can be gone back to (`script_generations`), and the one that serves; oldest first. */
  get history(): HistoryEntry[] {
    return this.#scripts.history
  }

  /** Every script that serves, and every version that is kept from serving. */
  get scripts(): ScriptStatus[] {
    return this.#scripts.status
  }

  /** Files that a change of would change what serves, absolute. */
  get scriptFiles(): string[] {
    return this.#scripts.watched
  }

  /** USR1: log files are opened again under their names. */
  reopenLogs(): void {
    this.#files.reopenAll()
    this.#scripts.journals.reopenAll()
    for (const generation of this.#live) generation.reopenLogs()
  }

  /** Stops accepting, lets requests in flight end, and closes what is left after `worker_shutdown_timeout`. */
  async drain(): Promise<void> {
    const timeout = this.#model.main.workerShutdownTimeout
    this.#draining = true
    this.#sockets.closeAll()
    await this.#connections.drain(timeout)
    this.#shut()
    await this.#scripts.journals.close()
  }

  /** Stops at once. */
  async close(): Promise<void> {
    this.#draining = true
    this.#prepared?.discard()
    await this.#swapping.catch(() => undefined)
    this.#sockets.closeAll()
    this.#connections.destroy()
    await new Promise((resolve) => setImmediate(resolve))
    this.#shut()
    await this.#scripts.journals.close()
  }

  log(level: LogLevel, message: string): void {
    this.#services.log(level, message, null)
  }

  // ---- generations ----

  /** A generation that nobody has asked for: a script was taken out of service. */
  #onRemoval(removal: Removal): void {
    if (this.#options.onRemoval !== undefined) this.#options.onRemoval(removal)
    else if (this.#generation !== null)
      this.#swapBy({ kind: 'removal', removal }).catch((error) =>
        this.log('alert', `no generation without the script can be made: ${(error as Error).message}`),
      )
  }

  #swapBy(change: Exclude<Change, { kind: 'save' }>): Promise<SwapResult> {
    return this.#serial(async () => (await this.#prepare(change))!.commit())
  }

  /** Only a `save` may find nothing to do. */
  async #prepare(change: Change, id = this.#nextId): Promise<PreparedSwap | null> {
    const started = performance.now()
    const model = change.kind === 'reload' ? change.model : this.#model
    const isNew = change.kind === 'start' || change.kind === 'reload'
    const stores = isNew ? await this.stores.prepare(model.http ?? NO_HTTP) : this.stores.current
    if (!isNew) stores.acquire()
    else await stores.ready((level, message) => this.log(level, message))
    let generation: Generation | null = null
    let files: LogFiles | null = null
    try {
      generation = await this.#load(change, model, stores, id)
      if (generation === null) return null
      files = change.kind === 'reload' ? this.#openFiles() : null
      const errorLog = files === null ? this.#errorLog : new ErrorLog(model.main.errorLog, files)
      await this.#sockets.open(generation.addresses)
      if (this.#draining) {
        this.#sockets.closeAll()
        throw new Error('it is shutting down')
      }
      return this.#makeReady({ generation, model, stores, files, errorLog, started })
    } catch (error) {
      files?.close()
      generation?.discard()
      this.stores.discard(stores)
      this.swaps.refused++
      throw error
    } finally {
      // The generation has it, or nobody wants it.
      stores.release()
    }
  }

  async #load(change: Change, model: Model, stores: StoreSet, id: number): Promise<Generation | null> {
    for (let left = MAX_READS; ; left--) {
      const scripts = this.#scripts.planOf(change, this.#restored)
      if (scripts === null) return null
      const generation = await this.#compile(model, scripts, stores, id)
      if (change.kind !== 'save' || scripts.isCurrent || left === 0) return generation
      // A file was written to while it was read.
      generation.discard()
    }
  }

  #makeReady(ready: Ready): PreparedSwap {
    const { generation } = ready
    return {
      generation: generation.id,
      digests: generation.digests,
      commit: () => this.#commit(ready),
      discard: () => this.#discard(ready),
    }
  }

  #commit({ generation, model, stores, files, errorLog, started }: Ready): SwapResult {
    this.#sockets.keepOnly(generation.addresses)
    this.#nextId = generation.id + 1
    this.#model = model
    this.stores.commit(stores)
    this.#countTraffic()
    if (files !== null) {
      this.#errorLog = errorLog
      this.#files.close()
      this.#files = files
    }
    const result = this.#swap(generation, started)
    this.#connections.swapped(generation)
    this.swaps.done++
    this.swaps.time.observe(Math.round(result.took))
    return result
  }

  /** Nobody but the admin API reads what is counted. */
  #countTraffic(): void {
    const isRead = this.#model.http?.admin != null
    this.#services.traffic = isRead ? (this.#services.traffic ?? new Traffic()) : null
  }

  #discard({ generation, stores, files }: Ready): void {
    files?.close()
    this.stores.discard(stores)
    generation.discard()
    this.#sockets.keepOnly(this.#generation?.addresses ?? [])
    this.#connections.admitEarly()
  }

  async #compile(
    model: Model,
    scripts: GenerationScripts,
    stores: StoreSet,
    id: number,
  ): Promise<Generation> {
    return compileGeneration(model, {
      id,
      prefix: this.#prefix,
      services: this.#services,
      previous: this.#generation,
      scripts,
      stores,
      fetchAgents: this.#fetchAgents,
      onPeer: this.#options.onPeer,
      peerCounts: this.#options.peerCounts,
      changedServers: this.#generation === null ? this.#options.changedServers : undefined,
      limits: this.#options.limits,
      onRetired: (generation) => this.#onRetired(generation),
    })
  }

  /** One pointer changes; requests in flight keep the generation that they began with. */
  #swap(generation: Generation, started: number): SwapResult {
    const previous = this.#generation
    generation.upstreams.adopt()
    this.#generation = generation
    this.#live.add(generation)
    generation.serve()
    previous?.retire()
    return { generation: generation.id, took: performance.now() - started }
  }

  #onRetired(generation: Generation): void {
    this.#live.delete(generation)
    this.#hookTotals.update(generation.scripts)
    this.log('notice', `generation ${generation.id} has served its last request and exited with code 0`)
  }

  /** Swaps happen one after the other. */
  #serial<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#swapping.then(work, work)
    this.#swapping = next.catch(() => undefined)
    return next
  }

  #shut(): void {
    const generation = this.#generation
    this.#generation = null
    generation?.retire()
    for (const live of this.#live) live.discard()
    this.#live.clear()
    this.stores.close()
    this.#fetchAgents.close()
    this.#files.close()
  }

  #openFiles(): LogFiles {
    return new LogFiles({ prefix: this.#prefix, report: (level, message) => this.log(level, message) })
  }

  #makeConnections(): GatewayConnections {
    const gateway = this
    return new GatewayConnections({
      get generation() {
        return gateway.generation
      },
      get draining() {
        return gateway.draining
      },
      get cap() {
        return gateway.#model.main.workerConnections
      },
      listensOn: (key) => this.#generation?.listensOn(key) ?? false,
      isOpen: (key) => this.#sockets.has(key),
      accepted: () => {
        this.#services.stats.accepted++
        this.#services.stats.handled++
      },
      refused: () =>
        this.log('alert', `${this.#model.main.workerConnections} worker_connections are not enough`),
    })
  }

  #makeServices(): Services & { traffic: Traffic | null } {
    return {
      traffic: null,
      version: VERSION,
      worker: this.#options.worker ?? 0,
      prefix: this.#prefix,
      stats: new ConnectionStatistics(this.#connections.all),
      log: (level: LogLevel, message: string, x: Exchange | null) => this.#log(level, message, x),
      abandonHook: (x: Exchange) => x.generation.abandonHook(x),
      resume: (x: Exchange, step: Step) => run(x, step),
    }
  }

  #log(level: LogLevel, message: string, x: Exchange | null): void {
    if (this.#options.log !== undefined) this.#options.log(level, message)
    else if (x === null) this.#errorLog.log(level, message)
    else (x.location.errorLog ?? this.#errorLog).logFor(x, level, message, x.call?.url ?? null)
  }
}

/**
 * Makes a gateway from a model, as `sluice -c FILE` does from text.
 *
 * ```ts
 * const gateway = createGateway(model)
 * await gateway.listen()
 * ```
 */
export function createGateway(model: Model, options: GatewayOptions = {}): Gateway {
  return new Gateway(model, options)
}
