/** What the connections of one listening address know of the gateway: always the current generation. */
import type { Socket } from 'node:net'
import type { Generation } from './generation.ts'
import type { ConnectionHome, OpenConnection } from './proxy/client-connection.ts'
import type { Listener } from './proxy/exchange.ts'

/** What a home needs of the gateway. */
export interface HomeOwner {
  readonly generation: Generation
  readonly draining: boolean
}

export class Home implements ConnectionHome {
  readonly key: string
  readonly #gateway: HomeOwner
  readonly #onClosed: () => void
  readonly #connections: Set<OpenConnection>
  readonly #own = new Set<OpenConnection>()
  #listening = true

  /** @param connections those of all addresses */
  constructor(gateway: HomeOwner, key: string, connections: Set<OpenConnection>, onClosed: () => void) {
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
