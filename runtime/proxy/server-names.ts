/**
 * Finds the server that a request's host names (`server_name`): exact name, longest leading wildcard, longest
 * trailing wildcard, regular expressions in order, the default. One per listening address.
 */
import type { ServerNameModel } from '../config/model.ts'
import type { RequestBinder } from './binder.ts'
import type { Exchange } from './exchange.ts'
import type { Matcher } from './matcher.ts'
import { NameTable } from './name-table.ts'
import type { ServerPlan } from './plan.ts'

/** A server and the names it goes by, in the order of the configuration. */
export interface NamedServer {
  readonly names: readonly ServerNameModel[]
  readonly server: ServerPlan
}

export class ServerNames {
  readonly #names = new NameTable<ServerPlan>()
  readonly #patterns: { readonly matcher: Matcher; readonly server: ServerPlan }[] = []
  readonly #default: ServerPlan

  constructor(servers: readonly NamedServer[], defaultServer: ServerPlan, binder: RequestBinder) {
    this.#default = defaultServer
    for (const { names, server } of servers) for (const name of names) this.#add(name, server, binder)
  }

  #add(name: ServerNameModel, server: ServerPlan, binder: RequestBinder): void {
    switch (name.kind) {
      case 'exact':
        this.#names.addExact(name.name, server)
        break
      case 'leading':
        this.#names.addLeading(name.name, server)
        break
      case 'trailing':
        this.#names.addTrailing(name.name, server)
        break
      case 'pattern':
        this.#patterns.push({ matcher: binder.matcher(name.pattern!), server })
    }
  }

  /**
   * @param host lower case, no port, no trailing dot; '' when the request names none
   * @param x gets the captures of the regular expression that matched
   */
  find(host: string, x: Exchange): ServerPlan {
    const named = this.#names.find(host)
    if (named !== undefined) return named
    if (host !== '') {
      for (const { matcher, server } of this.#patterns) if (matcher.exec(x, host)) return server
    }
    return this.#default
  }
}
