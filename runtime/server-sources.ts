/**
 * Which upstream groups have servers that change by themselves, and what changes them: names that are looked up again
 * (`resolve`), a list in the store (`upstream_from_store`). The meeting place of configuration, resolver and store.
 */
import type { ResolverModel, UpstreamModel } from './config/model.ts'
import type { LogLevel } from './phases.ts'
import type { Store } from './store/store.ts'
import { type StoredList, StoreServers } from './store-servers.ts'
import { WITHOUT_BACKUP } from './upstream/methods.ts'
import type { ResolverOptions } from './upstream/name-resolver.ts'
import { isFollowed, NameSource, type ServerLine } from './upstream/name-source.ts'
import type { NameWatches } from './upstream/name-watches.ts'
import type { GroupOptions } from './upstream/options.ts'
import type { ServerSource } from './upstream/server-source.ts'

export interface ServerSourcesOptions {
  /** Of the `http` block; absent: as the system looks names up. */
  readonly resolver?: ResolverModel
  /** ms */
  readonly resolverTimeout: number
  readonly store: Store
  readonly watches: NameWatches
  readonly log: (level: LogLevel, message: string) => void
}

/** The group may have no servers for a while. */
export function mayBeEmpty({ servers, state, fromStore }: UpstreamModel): boolean {
  return state !== null || fromStore !== null || servers.some(isFollowed)
}

export class ServerSources {
  readonly #options: ServerSourcesOptions

  constructor(options: ServerSourcesOptions) {
    this.#options = options
  }

  get watches(): NameWatches {
    return this.#options.watches
  }

  /**
   * @param lines the servers of the block, those with fixed addresses looked up
   * @param known of the list in the store, by the generation before
   * @returns null: its servers do not change by themselves
   */
  of(
    model: UpstreamModel,
    group: GroupOptions,
    lines: readonly ServerLine[],
    known: StoredList | null,
  ): ServerSource | null {
    const follow = (some: readonly ServerLine[]) => this.#follow(model, some)
    const { store, log } = this.#options
    if (model.fromStore !== null)
      return new StoreServers({ store, key: model.fromStore, group, lines, follow, known, log })
    return lines.some(isFollowed) ? follow(lines) : null
  }

  #follow(model: UpstreamModel, lines: readonly ServerLine[]): ServerSource {
    const { watches, log } = this.#options
    return new NameSource(lines, {
      upstream: model.name,
      allowsBackup: !WITHOUT_BACKUP.has(model.method),
      resolver: this.#resolverOf(model),
      watches,
      log,
    })
  }

  #resolverOf({ resolver, resolverTimeout }: UpstreamModel): ResolverOptions {
    const { servers = [], valid = null, ipv4 = true, ipv6 = true } = resolver ?? this.#options.resolver ?? {}
    return { servers, valid, ipv4, ipv6, timeout: resolverTimeout ?? this.#options.resolverTimeout }
  }
}
