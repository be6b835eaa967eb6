// HTTP servers on one port of several loopback addresses, as the addresses of one name are: each answers with its own.

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { freePort } from './ports.ts'

const TRIES = 20

export class ServerFarm {
  readonly port: number
  readonly #servers: readonly Server[]

  private constructor(port: number, servers: readonly Server[]) {
    this.port = port
    this.#servers = servers
  }

  /** @param answer default: the address that was asked */
  static async start(addresses: readonly string[], answer?: string): Promise<ServerFarm> {
    for (let left = TRIES; ; left--) {
      const port = await freePort()
      const servers = addresses.map((address) =>
        createServer({ keepAliveTimeout: 0 }, (_, response) => response.end(answer ?? address)),
      )
      const farm = new ServerFarm(port, servers)
      try {
        await Promise.all(servers.map((server, i) => listen(server, port, addresses[i]!)))
        return farm
      } catch (error) {
        await farm.close()
        if (left === 0) throw error
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map(async (server) => {
        if (!server.listening) return
        server.close()
        server.closeAllConnections()
        await once(server, 'close')
      }),
    )
  }
}

async function listen(server: Server, port: number, host: string): Promise<void> {
  server.listen({ port, host, exclusive: true })
  await once(server, 'listening')
}
