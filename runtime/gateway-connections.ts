/**
 * The client connections of a gateway: accepts them for the current generation, keeps those that come a moment too early,
 * tells them of swaps, and sees them off. Knows nothing of how generations are made.
 */
import type { Socket } from 'node:net'
import { Home, type HomeOwner } from './gateway-home.ts'
import type { Generation } from './generation.ts'
import { ClientConnection, type OpenConnection } from './proxy/client-connection.ts'
import { ProtocolChoice } from './proxy/protocol-choice.ts'

/** What connections need of their gateway. */
export interface ConnectionsOwner extends HomeOwner {
  /** Of `worker_connections`. */
  readonly cap: number
  /** A generation serves, and has this address. */
  listensOn(key: string): boolean
  /** The address is open, for this generation or one that is being prepared. */
  isOpen(key: string): boolean
  /** A connection was taken. */
  accepted(): void
  /** There are too many. */
  refused(): void
}

export class GatewayConnections {
  /** All that are open. */
  readonly all = new Set<OpenConnection>()
  readonly #owner: ConnectionsOwner
  readonly #homes = new Map<string, Home>()
  /** Accepted on addresses of a generation that is being prepared. */
  readonly #early = new Map<Socket, string>()
  #onIdle: (() => void) | null = null

  constructor(owner: ConnectionsOwner) {
    this.#owner = owner
  }

  /** @param key of the address that it came in on */
  accept(socket: Socket, key: string): void {
    const owner = this.#owner
    if (owner.draining || this.all.size >= owner.cap) {
      if (!owner.draining) owner.refused()
      socket.destroy()
      return
    }
    if (!owner.listensOn(key)) {
      this.#keepEarly(socket, key)
      return
    }
    owner.accepted()
    const home = this.#home(key)
    const { http2, defaultServer } = home.listenerOf(socket)
    if (http2 || defaultServer.settings.http2) new ProtocolChoice(socket, home)
    else new ClientConnection(socket, home)
  }

  /** Opened a moment before the generation that it belongs to serves: waits for it. */
  #keepEarly(socket: Socket, key: string): void {
    if (!this.#owner.isOpen(key) || this.#early.size >= this.#owner.cap) socket.destroy()
    else {
      this.#early.set(socket, key)
      socket.once('error', onEarlyError)
    }
  }

  /** The generation that they wait for serves, or never will. */
  admitEarly(): void {
    const early = [...this.#early]
    this.#early.clear()
    for (const [socket, key] of early) {
      socket.off('error', onEarlyError)
      this.accept(socket, key)
    }
  }

  #home(key: string): Home {
    let home = this.#homes.get(key)
    if (home === undefined) {
      home = new Home(this.#owner, key, this.all, () => {
        if (this.all.size === 0) this.#onIdle?.()
      })
      this.#homes.set(key, home)
    }
    return home
  }

  /** Another generation serves: what is open and idle moves at once, so that it keeps no old one alive. */
  swapped(generation: Generation): void {
    for (const home of this.#homes.values()) home.listening = generation.listensOn(home.key)
    for (const connection of this.all) {
      if (this.#owner.draining) connection.drain()
      connection.swapped?.()
    }
    this.admitEarly()
  }

  /** What is under way may end first. @param timeout ms; 0: however long it takes @returns when all have gone */
  async drain(timeout: number): Promise<void> {
    for (const connection of this.all) connection.drain()
    if (this.all.size === 0) return
    const timer = timeout > 0 ? setTimeout(() => this.#dismiss(), timeout) : null
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
    if (timer !== null) clearTimeout(timer)
  }

  /** The time to leave of one's own accord is over. */
  #dismiss(): void {
    for (const connection of this.all) {
      if (connection.leave === undefined) connection.destroy()
      else connection.leave()
    }
  }

  destroy(): void {
    for (const connection of this.all) connection.destroy()
    for (const socket of this.#early.keys()) socket.destroy()
    this.#early.clear()
  }
}

/** The connection was lost before anybody had it. */
function onEarlyError(this: Socket): void {
  this.destroy()
}
