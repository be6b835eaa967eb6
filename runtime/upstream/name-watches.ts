/**
 * The names that upstream groups follow: one watch for each, however many groups and generations want it, which ends with
 * the last of them. What is known of a name is known at once to a generation that comes later.
 */
import type { LogLevel } from '../phases.ts'
import { type NameAnswer, NameLookup } from './name-lookup.ts'
import type { ResolverOptions } from './name-resolver.ts'
import { NameWatch } from './name-watch.ts'
import { ServiceRecords, type ServiceTarget, serviceName } from './service-records.ts'

interface SharedLookup {
  readonly lookup: NameLookup
  /** `NameWatch`es, by name. */
  readonly watches: Map<string, unknown>
}

export class NameWatches {
  readonly #log: (level: LogLevel, message: string) => void
  /** By what the resolver is told. */
  readonly #lookups = new Map<string, SharedLookup>()

  constructor(log: (level: LogLevel, message: string) => void) {
    this.#log = log
  }

  /** IP addresses of a name. To be followed at once. */
  addresses(resolver: ResolverOptions, host: string): NameWatch<string> {
    return this.#watch(resolver, host, ({ lookup }) => {
      return () => lookup.addresses(host)
    })
  }

  /** Targets of a service of a name. To be followed at once. */
  services(resolver: ResolverOptions, host: string, service: string): NameWatch<ServiceTarget> {
    return this.#watch(resolver, `service ${service} of ${host}`, ({ lookup }) => {
      const records = new ServiceRecords(serviceName(service, host), lookup, this.#log)
      return () => records.ask()
    })
  }

  #watch<T>(
    resolver: ResolverOptions,
    name: string,
    ask: (shared: SharedLookup) => () => Promise<NameAnswer<T>>,
  ): NameWatch<T> {
    const key = JSON.stringify(resolver)
    const shared = this.#lookups.get(key) ?? { lookup: new NameLookup(resolver), watches: new Map() }
    this.#lookups.set(key, shared)
    const known = shared.watches.get(name) as NameWatch<T> | undefined
    if (known !== undefined) return known
    const watch = new NameWatch<T>({ name, ask: ask(shared), log: this.#log }, () => {
      shared.watches.delete(name)
      if (shared.watches.size > 0) return
      this.#lookups.delete(key)
      shared.lookup.cancel()
    })
    shared.watches.set(name, watch)
    return watch
  }
}
