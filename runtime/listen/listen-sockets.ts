/**
 * The listening sockets of the process. They outlive generations: a reload opens what is new, closes what is gone,
 * and leaves the rest as it is, so that no connection is refused.
 */
import cluster from 'node:cluster'
import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'

export interface ListenAddress {
  /** As in `listen`, and the key of the socket: `127.0.0.1:8080`, `*:80`, `unix:/run/s.sock`. */
  readonly text: string
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly backlog: number
  readonly ipv6only: boolean
}

/** Opening an address failed. */
export class ListenError extends Error {
  readonly address: ListenAddress
  readonly code: string

  constructor(address: ListenAddress, cause: NodeJS.ErrnoException) {
    super(
      `bind() to ${address.text.replace(/^\*/, '0.0.0.0')} failed (${cause.code ?? ''}: ${cause.message})`,
    )
    this.address = address
    this.code = cause.code ?? ''
  }
}

export class ListenSockets {
  readonly #servers = new Map<string, Server>()
  readonly #accept: (socket: Socket, key: string) => void
  readonly #clearPath: (path: string) => Promise<void>

  /**
   * `accept` gets each connection with the key of the address it came in on. @param clearPath removes the file of a unix
   * socket that nobody listens behind any more
   */
  constructor(accept: (socket: Socket, key: string) => void, clearPath = clearStalePath) {
    this.#accept = accept
    this.#clearPath = clearPath
  }

  get keys(): string[] {
    return [...this.#servers.keys()]
  }

  has(key: string): boolean {
    return this.#servers.has(key)
  }

  /** The port that the system chose where 0 was asked for. */
  port(key: string): number | null {
    const address = this.#servers.get(key)?.address()
    return address !== null && typeof address === 'object' ? address.port : null
  }

  /** Opens every address that is not open yet. @throws ListenError, and then none of the new ones stays open. */
  async open(addresses: readonly ListenAddress[]): Promise<void> {
    const opened: string[] = []
    try {
      for (const address of addresses) {
        if (this.#servers.has(address.text)) continue
        this.#servers.set(address.text, await this.#listen(address))
        opened.push(address.text)
      }
    } catch (error) {
      for (const key of opened) this.#close(key)
      throw error
    }
  }

  /** Closes every address that is not among these; connections on it live on. */
  keepOnly(addresses: readonly ListenAddress[]): void {
    const wanted = new Set(addresses.map((address) => address.text))
    for (const key of this.keys) if (!wanted.has(key)) this.#close(key)
  }

  closeAll(): void {
    for (const key of this.keys) this.#close(key)
  }

  #close(key: string): void {
    this.#servers.get(key)?.close()
    this.#servers.delete(key)
  }

  async #listen(address: ListenAddress): Promise<Server> {
    try {
      return await this.#tryListen(address)
    } catch (error) {
      if (!(error instanceof ListenError) || error.code !== 'EADDRINUSE' || address.path === undefined)
        throw error
      await this.#clearPath(address.path)
      return this.#tryListen(address)
    }
  }

  #tryListen(address: ListenAddress): Promise<Server> {
    return new Promise((resolve, reject) => {
      const server = createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: 65536 }, (socket) =>
        this.#accept(socket, address.text),
      )
      server.once('error', (error) => reject(new ListenError(address, error)))
      const { backlog } = address
      // Node listens on any free port when the key `port` is there without a value.
      const where =
        address.path === undefined
          ? { host: address.host, port: address.port, ipv6Only: address.ipv6only }
          : { path: address.path, writableAll: true, readableAll: true }
      server.listen({ ...where, backlog }, () => {
        // A worker is handed the socket of its supervisor, which knows nothing of its mode.
        if (cluster.isWorker && address.path !== undefined) chmodSync(address.path, 0o666)
        resolve(server)
      })
    })
  }
}

/** Left over from a process that died: nobody listens behind it. */
export async function clearStalePath(path: string): Promise<void> {
  if (!(await answers(path))) rmSync(path, { force: true })
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
