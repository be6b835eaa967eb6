/** Counters over the client connections of the process; what they do now is counted when somebody asks. */
import type { ConnectionPhase, OpenConnection } from './proxy/client-connection.ts'
import type { Statistics } from './proxy/exchange.ts'

export class ConnectionStatistics implements Statistics {
  accepted = 0
  handled = 0
  requests = 0
  readonly #connections: ReadonlySet<OpenConnection>

  constructor(connections: ReadonlySet<OpenConnection>) {
    this.#connections = connections
  }

  get active(): number {
    return this.#connections.size
  }

  get reading(): number {
    return this.#count('reading')
  }

  get writing(): number {
    return this.#count('writing')
  }

  get waiting(): number {
    return this.#count('waiting')
  }

  #count(phase: ConnectionPhase): number {
    let count = 0
    for (const connection of this.#connections) if (connection.phase === phase) count++
    return count
  }
}
