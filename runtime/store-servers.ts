/**
 * `upstream_from_store`: the servers of a group as a list in the store has them, for all workers and machines that share
 * it. The last good list stays while the store is away, or what is there is none; until one is known the group has the
 * servers of its block. Changes are written to the store, and come back from there as those of others do.
 */
import type { ServerChange } from './control.ts'
import type { LogLevel } from './phases.ts'
import { plannedServers, ServerChangeError } from './server-changes.ts'
import { type Store, StoreError, type StoreValue } from './store/store.ts'
import { readStoredList, StoredListError, writeStoredList } from './stored-list.ts'
import { LiveGroup } from './upstream/live-group.ts'
import { firstServers, type ServerLine } from './upstream/name-source.ts'
import type { Address, GroupOptions, ServerOptions } from './upstream/options.ts'
import type { ApplyServers, ServerSource } from './upstream/server-source.ts'

/** The map of all lists; a `session_map` cannot be called so. */
export const STORED_UPSTREAMS = 'upstreams'
/** ms after which the list is looked at though nobody told of a change. */
const POLL = 5_000
/** Others who change the same list at the same time. */
const MAX_TRIES = 10

/** What is known of a list. */
export interface StoredList {
  readonly text: string
  readonly lines: readonly ServerLine[]
}

export interface StoreServersOptions {
  readonly store: Store
  /** Of the list, among all lists. */
  readonly key: string
  /** The group; its servers are of no matter. */
  readonly group: GroupOptions
  /** The servers of its block. */
  readonly lines: readonly ServerLine[]
  /** Keeps the addresses of a list's names. */
  readonly follow: (lines: readonly ServerLine[]) => ServerSource
  /** What the generation before has known. */
  readonly known: StoredList | null
  readonly log: (level: LogLevel, message: string) => void
}

export class StoreServers implements ServerSource {
  readonly #options: StoreServersOptions
  #known: StoredList | null
  /** Of the servers that the group has now; null: it has none from here yet. */
  #names: ServerSource | null = null
  #namesKnown: Promise<void> = Promise.resolve()
  #apply: ApplyServers = () => undefined
  #looking: Promise<void> | null = null
  /** Somebody asked while a look was under way. */
  #again = false
  /** What was said last: what is wrong; '': nothing. */
  #trouble = ''
  #endNews: () => void = () => undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: StoreServersOptions) {
    this.#options = options
    this.#known = options.known
  }

  /** The last good list; null: none so far. */
  get known(): StoredList | null {
    return this.#known
  }

  async start(apply: ApplyServers): Promise<void> {
    const { store, key } = this.#options
    this.#apply = apply
    this.#endNews = store.onInvalidation((map, changed) => {
      if (changed === null || (map === STORED_UPSTREAMS && changed === key)) void this.look()
    })
    this.#timer = setInterval(() => void this.look(), POLL)
    await this.look()
    if (this.#stopped) return
    if (this.#names === null) this.#begin()
    await this.#namesKnown
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#timer)
    this.#endNews()
    this.#names?.stop()
  }

  /** Reads the list. Resolves when the group has the servers that were there when it was asked, or later ones. */
  look(): Promise<void> {
    this.#again = true
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  /**
   * Changes the list, for all who share it.
   * @param addresses of a server that is added
   * @param live the group as it is here
   * @throws ServerChangeError
   */
  async change(change: ServerChange, addresses: readonly Address[], live: LiveGroup): Promise<void> {
    const { store, key } = this.#options
    await changeStoredServers(store, key, (text) => this.#planned(text, change, addresses, live))
    await this.look()
  }

  async #look(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      await this.#read()
    }
  }

  async #read(): Promise<void> {
    const { store, key } = this.#options
    try {
      const entry = await store.get(STORED_UPSTREAMS, key)
      if (this.#stopped) return
      if (entry !== null) this.#take(textOf(entry.value))
      else if (this.#known === null) this.#say('warn', '')
      else this.#say('warn', 'there is none in the store any more; the last one stays')
    } catch (error) {
      if (!this.#stopped) this.#say('warn', `${(error as Error).message}; those that it has stay`)
    }
  }

  #take(text: string): void {
    if (this.#names === null || text !== this.#known?.text) {
      try {
        const lines = readStoredList(text)
        this.#use(lines)
        this.#known = { text, lines }
      } catch (error) {
        this.#say('error', `${(error as Error).message}; those that it has stay`)
        return
      }
    }
    this.#say('warn', '')
  }

  /** Without the store: with what the generation before has known, or with the servers of the block. */
  #begin(): void {
    const { lines } = this.#options
    try {
      this.#use(this.#known?.lines ?? lines)
    } catch {
      this.#use(lines)
    }
  }

  /** Names that stay keep their addresses until they are looked up again. */
  #use(lines: readonly ServerLine[]): void {
    const names = this.#options.follow(lines)
    this.#apply((servers) => withKnown(firstServers(lines), servers))
    const before = this.#names
    this.#names = names
    this.#namesKnown = names.start(this.#apply)
    before?.stop()
  }

  #planned(
    text: string | null,
    change: ServerChange,
    addresses: readonly Address[],
    live: LiveGroup,
  ): string {
    const lines = text === null ? (this.#known?.lines ?? this.#options.lines) : readStoredList(text)
    const service = lines.find((line) => line.service !== '')
    if (service !== undefined)
      throw new StoredListError(
        `the service of "${service.name}" cannot be in a list; write the list without it first`,
      )
    const servers = withKnown(firstServers(lines), live.servers)
    const now = new LiveGroup({ ...this.#options.group, servers, allowEmpty: true })
    const planned = plannedServers(now, change, addresses)
    const apart = planned.find((server) => server.apart !== undefined)
    if (apart !== undefined)
      throw new StoredListError(
        `servers are kept by name; change "${apart.name}", which is all its addresses`,
      )
    return writeStoredList(planned)
  }

  /** Once as long as it lasts. */
  #say(level: LogLevel, trouble: string): void {
    if (trouble === this.#trouble) return
    this.#trouble = trouble
    const { log, group, key } = this.#options
    const list = `the list "${key}" of upstream "${group.name}"`
    if (trouble === '') log('notice', `${list} can be read again`)
    else log(level, `${list} cannot be used: ${trouble}`)
  }
}

/**
 * Changes a list of servers, whoever else does so at the same time.
 * @param change gets the list as it is, null where there is none, and returns another one; may be called several times
 * @throws ServerChangeError
 */
export async function changeStoredServers(
  store: Store,
  key: string,
  change: (text: string | null) => string,
): Promise<void> {
  try {
    for (let left = MAX_TRIES; left > 0; left--) {
      const entry = await store.get(STORED_UPSTREAMS, key)
      const before = entry === null ? null : entry.value
      const after = change(before === null ? null : textOf(before))
      if ((await store.compareAndSet(STORED_UPSTREAMS, key, before, after, Infinity)) === null) return
    }
  } catch (error) {
    if (error instanceof StoredListError)
      throw new ServerChangeError('conflict', `the list "${key}" cannot be changed: ${error.message}`)
    if (error instanceof StoreError)
      throw new ServerChangeError('storage', `the list "${key}" cannot be kept: ${error.message}`)
    throw error
  }
  throw new ServerChangeError('conflict', `others change the list "${key}" all the time; try again`)
}

function textOf(value: StoreValue): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString('utf8')
}

function withKnown(servers: readonly ServerOptions[], before: readonly ServerOptions[]): ServerOptions[] {
  const known = new Map(before.map(({ name, addresses }) => [name, addresses]))
  return servers.map((server) =>
    server.addresses.length > 0 ? server : { ...server, addresses: known.get(server.name) ?? [] },
  )
}
