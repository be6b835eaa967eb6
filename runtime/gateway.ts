/**
 * The life of a proxy: load a configuration, open its sockets, serve by the current generation, swap generations
 * without losing a request, drain, stop. The only owner of what outlives a generation: sockets, connections, error
 * log, statistics.
 */
import type { Socket } from 'node:net'
import { compileGeneration, type Generation } from './compile.ts'
import type { Model } from './config/model.ts'
import { ListenSockets } from './listen/listen-sockets.ts'
import { ErrorLog } from './observe/error-log.ts'
import { LogFiles } from './observe/log-files.ts'
import type { LogLevel } from './phases.ts'
import { ClientConnection, type ConnectionHome, type OpenConnection } from './proxy/client-connection.ts'
import type { Exchange, Listener, Services } from './proxy/exchange.ts'
import { run } from './proxy/journey.ts'
import { ProtocolChoice } from './proxy/protocol-choice.ts'
import type { Step } from './proxy/step.ts'
import { ConnectionStatistics } from './statistics.ts'
import { VERSION } from './version.ts'

export interface GatewayOptions {
  /** Folder that relative paths of the configuration are relative to. Default: the working directory. */
  readonly prefix?: string
  /** Where messages go instead of the model's `error_log`; for embedding and tests. */
  readonly log?: (level: LogLevel, message: string) => void
}

/** What became of a swap. */
export interface SwapResult {
  readonly generation: number
  /** ms from the request for it to the first request that may be served by it. */
  readonly took: number
}

export class Gateway {
  readonly #options: GatewayOptions
  readonly #prefix: string
  readonly #sockets: ListenSockets
  readonly #connections = new Set<OpenConnection>()
  readonly #homes = new Map<string, Home>()
  readonly #live = new Set<Generation>()
  readonly #services: Services
  #files: LogFiles
  #errorLog: ErrorLog
  #generation: Generation | null = null
  #model: Model
  #draining = false
  #swapping: Promise<unknown> = Promise.resolve()
  #nextId = 1
  #idle: (() => void) | null = null

  constructor(model: Model, options: GatewayOptions = {}) {
    this.#model = model
    this.#options = options
    this.#prefix = options.prefix ?? process.cwd()
    this.#files = this.#openFiles()
    this.#errorLog = new ErrorLog(model.main.errorLog, this.#files)
    this.#sockets = new ListenSockets((socket, key) => this.#accept(socket, key))
    this.#services = this.#makeServices()
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

  get connectionCount(): number {
    return this.#connections.size
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
    const generation = await this.#compile(this.#model)
    try {
      await this.#sockets.open(generation.addresses)
    } catch (error) {
      generation.discard()
      throw error
    }
    this.#generation = generation
    this.#live.add(generation)
  }

  /** Compiles the model, scripts and all, without serving it (`-t`). @throws as `listen`, but for the sockets. */
  async check(): Promise<void> {
    const generation = await this.#compile(this.#model)
    generation.discard()
    this.#files.close()
  }

  /** Replaces the configuration; on failure the running one stays. @throws as `listen`. */
  reload(model: Model): Promise<SwapResult> {
    return this.#serial(async () => {
      const started = performance.now()
      const generation = await this.#compile(model)
      try {
        await this.#sockets.open(generation.addresses)
      } catch (error) {
        generation.discard()
        throw error
      }
      this.#sockets.keepOnly(generation.addresses)
      this.#model = model
      const files = this.#openFiles()
      this.#errorLog = new ErrorLog(model.main.errorLog, files)
      this.#files.close()
      this.#files = files
      const result = this.#swap(generation, started)
      for (const home of this.#homes.values()) home.listening = generation.listensOn(home.key)
      return result
    })
  }

  /** Loads the scripts of the current configuration anew; on failure the running ones stay. @throws ScriptError. */
  reloadScripts(): Promise<SwapResult> {
    return this.#serial(async () => {
      const started = performance.now()
      return this.#swap(await this.#compile(this.#model), started)
    })
  }

  /** USR1: log files are opened again under their names. */
  reopenLogs(): void {
    this.#files.reopenAll()
    for (const generation of this.#live) generation.reopenLogs()
  }

  /** Stops accepting, lets requests in flight end, and closes what is left after `worker_shutdown_timeout`. */
  async drain(): Promise<void> {
    const timeout = this.#model.main.workerShutdownTimeout
    this.#draining = true
    this.#sockets.closeAll()
    for (const connection of this.#connections) connection.drain()
    if (this.#connections.size > 0) {
      const timer = timeout > 0 ? setTimeout(() => this.#destroyConnections(), timeout) : null
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
      if (timer !== null) clearTimeout(timer)
    }
    this.#shut()
  }

  /** Stops at once. */
  async close(): Promise<void> {
    this.#draining = true
    await this.#swapping.catch(() => undefined)
    this.#sockets.closeAll()
    this.#destroyConnections()
    await new Promise((resolve) => setImmediate(resolve))
    this.#shut()
  }

  log(level: LogLevel, message: string): void {
    this.#services.log(level, message, null)
  }

  // ---- generations ----

  async #compile(model: Model): Promise<Generation> {
    return compileGeneration(model, {
      id: this.#nextId++,
      prefix: this.#prefix,
      services: this.#services,
      previous: this.#generation,
      onRetired: (generation) => this.#onRetired(generation),
    })
  }

  /** One pointer changes; requests in flight keep the generation that they began with. */
  #swap(generation: Generation, started: number): SwapResult {
    const previous = this.#generation
    generation.upstreams.adopt()
    this.#generation = generation
    this.#live.add(generation)
    previous?.retire()
    for (const connection of this.#connections) if (this.#draining) connection.drain()
    return { generation: generation.id, took: performance.now() - started }
  }

  #onRetired(generation: Generation): void {
    this.#live.delete(generation)
    this.log('notice', `generation ${generation.id} has served its last request and exited with code 0`)
  }

  /** Swaps happen one after the other. */
  #serial<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#swapping.then(work, work)
    this.#swapping = next.catch(() => undefined)
    return next
  }

  // ---- connections ----

  #accept(socket: Socket, key: string): void {
    const generation = this.#generation
    const cap = this.#model.main.workerConnections
    if (generation === null || this.#draining || this.#connections.size >= cap) {
      if (generation !== null && !this.#draining)
        this.log('alert', `${cap} worker_connections are not enough`)
      socket.destroy()
      return
    }
    if (!generation.listensOn(key)) {
      // Opened a moment before the generation that it belongs to serves.
      if (this.#sockets.has(key)) setImmediate(() => this.#accept(socket, key))
      else socket.destroy()
      return
    }
    this.#services.stats.accepted++
    this.#services.stats.handled++
    const home = this.#home(key)
    const { http2, defaultServer } = home.listenerOf(socket)
    if (http2 || defaultServer.settings.http2) new ProtocolChoice(socket, home)
    else new ClientConnection(socket, home)
  }

  #home(key: string): Home {
    let home = this.#homes.get(key)
    if (home === undefined) {
      home = new Home(this, key, this.#connections, () => {
        if (this.#connections.size === 0) this.#idle?.()
      })
      this.#homes.set(key, home)
    }
    return home
  }

  get draining(): boolean {
    return this.#draining
  }

  #destroyConnections(): void {
    for (const connection of this.#connections) connection.destroy()
  }

  #shut(): void {
    const generation = this.#generation
    this.#generation = null
    generation?.retire()
    for (const live of this.#live) live.discard()
    this.#live.clear()
    this.#files.close()
  }

  #openFiles(): LogFiles {
    return new LogFiles({ prefix: this.#prefix, report: (level, message) => this.log(level, message) })
  }

  #makeServices(): Services {
    return {
      version: VERSION,
      prefix: this.#prefix,
      stats: new ConnectionStatistics(this.#connections),
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

/** What the connections of one listening address know of the gateway: always the current generation. */
class Home implements ConnectionHome {
  readonly key: string
  readonly #gateway: Gateway
  readonly #onClosed: () => void
  readonly #connections: Set<OpenConnection>
  readonly #own = new Set<OpenConnection>()
  #listening = true

  constructor(gateway: Gateway, key: string, connections: Set<OpenConnection>, onClosed: () => void) {
    this.#gateway = gateway
    this.key = key
    this.#connections = connections
    this.#onClosed = onClosed
  }

  get generation(): Generation {
    return this.#gateway.generation
  }

  get draining(): boolean {
    return !this.#listening || this.#gateway.draining
  }

  /** Whether the current generation has this address; without it, only what is being answered is finished. */
  set listening(value: boolean) {
    this.#listening = value
    if (value) return
    for (const connection of this.#own) {
      if (connection.phase === 'reading') connection.destroy()
      else connection.drain()
    }
  }

  listenerOf(socket: Socket): Listener {
    return this.#gateway.generation.listener(this.key, socket)
  }

  opened(connection: OpenConnection): void {
    this.#connections.add(connection)
    this.#own.add(connection)
  }

  closed(connection: OpenConnection): void {
    this.#connections.delete(connection)
    this.#own.delete(connection)
    this.#onClosed()
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
