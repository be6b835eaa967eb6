/**
 * One compiled configuration with everything that it owns: routes, sandboxes, log files. Swapped as one pointer;
 * requests pin it, and it is disposed of when it has been replaced and its last request has ended.
 */
import type { Socket } from 'node:net'
import type { GenerationScripts } from './generation-scripts.ts'
import type { ListenAddress } from './listen/listen-sockets.ts'
import type { LogFiles } from './observe/log-files.ts'
import type { RequestBinder } from './proxy/binder.ts'
import { plainAddress } from './proxy/client-connection.ts'
import type { Exchange, GenerationPin, Listener, Services } from './proxy/exchange.ts'
import { releaseRequest, type Script } from './script/engine.ts'
import type { LimitZones } from './store/limit-zones.ts'
import type { StoreSet } from './stores.ts'
import type { Upstreams } from './upstreams.ts'

export interface GenerationParts {
  readonly id: number
  /** ms since the epoch when it began to be made: files saved later may not be in it. */
  readonly madeAt: number
  readonly services: Services
  readonly addresses: readonly ListenAddress[]
  readonly listeners: ReadonlyMap<string, Listener>
  readonly scripts: GenerationScripts
  readonly watchScripts: boolean
  readonly logFiles: LogFiles
  readonly upstreams: Upstreams
  readonly stores: StoreSet
  readonly limitZones: LimitZones
  readonly binder: RequestBinder
  readonly onRetired: (generation: Generation) => void
}

export class Generation implements GenerationPin {
  readonly id: number
  readonly madeAt: number
  readonly services: Services
  /** What to bind. */
  readonly addresses: readonly ListenAddress[]
  readonly scripts: readonly Script[]
  readonly watchScripts: boolean
  readonly upstreams: Upstreams
  /** What its scripts share with others. */
  readonly stores: StoreSet
  /** What `limit_req` and `limit_conn` count by; the next generation goes on with it. */
  readonly limitZones: LimitZones
  /** Its variables, by name. */
  readonly binder: RequestBinder
  readonly #held: GenerationScripts
  readonly #listeners: ReadonlyMap<string, Listener>
  readonly #logFiles: LogFiles
  readonly #onRetired: (generation: Generation) => void
  #pins = 0
  #state: 'serving' | 'retired' | 'disposed' = 'serving'

  constructor(parts: GenerationParts) {
    this.id = parts.id
    this.madeAt = parts.madeAt
    this.services = parts.services
    this.addresses = parts.addresses
    this.scripts = parts.scripts.all
    this.#held = parts.scripts
    this.watchScripts = parts.watchScripts
    this.upstreams = parts.upstreams
    this.stores = parts.stores
    parts.stores.acquire()
    this.limitZones = parts.limitZones
    this.binder = parts.binder
    this.#listeners = parts.listeners
    this.#logFiles = parts.logFiles
    this.#onRetired = parts.onRetired
  }

  /** Of the scripts: equal in processes that have loaded the same. */
  get digests(): Record<string, string | null> {
    return this.#held.digests
  }

  /** Every file that the scripts were read from. */
  get scriptFiles(): string[] {
    return [...new Set(this.scripts.flatMap((script) => script.files))]
  }

  /** Requests in flight. */
  get pins(): number {
    return this.#pins
  }

  listensOn(key: string): boolean {
    return this.#listeners.has(key)
  }

  /** The servers behind a bound address; a wildcard's connections may belong to a more specific `listen`. */
  listener(key: string, socket: Pick<Socket, 'localAddress'>): Listener {
    const listener = this.#listeners.get(key)
    if (listener === undefined) return [...this.#listeners.values()][0]
    if (listener.specific === null) return listener
    return listener.specific.get(plainAddress(socket.localAddress)) ?? listener
  }

  acquire(): void {
    this.#pins++
  }

  release(): void {
    if (--this.#pins === 0 && this.#state === 'retired') this.#dispose()
  }

  /** It is asked what it would do, and never serves. */
  rehearse(): void {
    this.#held.rehearse()
  }

  /** New requests are served by it from now on. */
  serve(): void {
    this.#held.serve(this.id)
    for (const script of this.scripts) script.start()
  }

  /** Replaced by another one: goes when its last request has ended. */
  retire(): void {
    if (this.#state !== 'serving') return
    this.#state = 'retired'
    for (const script of this.scripts) script.stop()
    if (this.#pins === 0) this.#dispose()
  }

  /** Gives up what was made, whoever still uses it: a generation that never served, or the end of the process. */
  discard(): void {
    if (this.#state !== 'disposed') this.#dispose()
  }

  abandonHook(x: Exchange): void {
    for (const script of this.scripts) script.abandon(x)
  }

  releaseScripts(x: Exchange): void {
    releaseRequest(x)
  }

  reopenLogs(): void {
    this.#logFiles.reopenAll()
  }

  #dispose(): void {
    const served = this.#state === 'retired'
    this.#state = 'disposed'
    this.#held.release()
    this.upstreams.dispose()
    this.stores.release()
    this.#logFiles.close()
    if (served) this.#onRetired(this)
  }
}
