/**
 * One compiled configuration with everything that it owns: routes, sandboxes, log files. Swapped as one pointer;
 * requests pin it, and it is disposed of when it has been replaced and its last request has ended.
 */
import type { Socket } from 'node:net'
import type { ListenAddress } from './listen/listen-sockets.ts'
import type { LogFiles } from './observe/log-files.ts'
import { plainAddress } from './proxy/client-connection.ts'
import type { Exchange, GenerationPin, Listener, Services } from './proxy/exchange.ts'
import { releaseRequest, type Script } from './script/engine.ts'
import type { Upstreams } from './upstreams.ts'

export interface GenerationParts {
  readonly id: number
  /** ms since the epoch when it began to be made: files saved later may not be in it. */
  readonly madeAt: number
  readonly services: Services
  readonly addresses: readonly ListenAddress[]
  readonly listeners: ReadonlyMap<string, Listener>
  readonly scripts: readonly Script[]
  readonly watchScripts: boolean
  readonly logFiles: LogFiles
  readonly upstreams: Upstreams
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
    this.scripts = parts.scripts
    this.watchScripts = parts.watchScripts
    this.upstreams = parts.upstreams
    this.#listeners = parts.listeners
    this.#logFiles = parts.logFiles
    this.#onRetired = parts.onRetired
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

  /** Replaced by another one: goes when its last request has ended. */
  retire(): void {
    if (this.#state !== 'serving') return
    this.#state = 'retired'
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
    for (const script of this.scripts) script.dispose()
    this.upstreams.dispose()
    this.#logFiles.close()
    if (served) this.#onRetired(this)
  }
}
