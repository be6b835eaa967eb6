/**
 * The admin API of a running proxy (`admin`): opened and closed as the configuration says, at the start and at every
 * reload. Knows the proxy as its `Control`.
 */
import type { Companion, CompanionChange } from '../companion.ts'
import { ConfigError } from '../config/config-error.ts'
import type { AdminModel, Model } from '../config/model.ts'
import type { Control } from '../control.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { Guard } from './guard.ts'
import { Routes } from './routes.ts'
import { AdminServer } from './server.ts'
import { readToken } from './token.ts'
import type { TryPlace } from './try-api.ts'

interface Open {
  readonly server: AdminServer
  readonly address: string
}

export class Admin implements Companion {
  readonly #control: Control
  readonly #routes: Routes
  #open: Open | null = null

  /** @param fleet that shares its scripts with this machine; null: none */
  constructor(control: Control, place: TryPlace, fleet: Fleet | null = null) {
    this.#control = control
    this.#routes = new Routes(control, place, fleet)
  }

  /** Listens where this configuration says, once it is committed nowhere else. @throws ConfigError */
  async prepare(model: Model): Promise<CompanionChange> {
    const wanted = model.http?.admin ?? null
    const before = this.#open
    if (wanted === null) return this.#change(null)
    const guard = new Guard(wanted.hosts, readToken(wanted))
    const address = JSON.stringify(wanted.address)
    if (before?.address !== address)
      return this.#change({ server: await this.#listen(wanted, guard), address })
    return { commit: () => void (before.server.guard = guard), discard: () => undefined }
  }

  #change(next: Open | null): CompanionChange {
    return {
      commit: () => {
        const before = this.#open
        this.#open = next
        before?.server.close()
      },
      discard: () => next?.server.destroy(),
    }
  }

  async #listen({ where, address }: AdminModel, guard: Guard): Promise<AdminServer> {
    const server = new AdminServer({
      guard,
      answer: (request) => this.#routes.answer(request),
      log: (level, message) => this.#control.log(level, message),
    })
    try {
      await server.listen(address)
      return server
    } catch (error) {
      server.destroy()
      throw new ConfigError(where, `"admin" cannot listen: ${(error as Error).message}`)
    }
  }

  close(): void {
    this.#open?.server.destroy()
    this.#open = null
  }
}
