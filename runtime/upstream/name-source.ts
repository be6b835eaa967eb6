/**
 * nginx's `server NAME resolve` and `service=`: keeps the servers of a group as the name servers have them. What else is
 * changed of a server while it serves stays as it is, and one that is taken out stays out.
 */
import { isIP } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { LogLevel } from '../phases.ts'
import type { ResolverOptions } from './name-resolver.ts'
import type { NameWatch } from './name-watch.ts'
import type { NameWatches } from './name-watches.ts'
import type { Address, ServerOptions } from './options.ts'
import { ipAddress, parseAddress } from './resolve.ts'
import type { ApplyServers, ServerSource, ServersChange } from './server-source.ts'
import type { ServiceTarget } from './service-records.ts'

/** A `server` line. */
export interface ServerLine extends ServerOptions {
  readonly resolve: boolean
  /** `http`, `_http._tcp`; '': none. */
  readonly service: string
}

export interface NameSourceOptions {
  /** Name of the group. */
  readonly upstream: string
  /** The balancing method knows backup servers. */
  readonly allowsBackup: boolean
  readonly resolver: ResolverOptions
  readonly watches: NameWatches
  readonly log: (level: LogLevel, message: string) => void
}

type News = readonly [line: number, change: ServersChange]

type Watched = Pick<NameWatch<unknown>, 'name' | 'ready'>

/** ms that a generation waits for names that are not known yet. */
const FIRST_WAIT = 3_000
/** ms in which what comes is applied at once. */
const GATHER = 10

/** What stands there is a name, and to be looked up while it serves. */
export function isFollowed(line: Pick<ServerLine, 'name' | 'resolve'>): boolean {
  if (!line.resolve) return false
  const address = parseAddress(line.name, 80)
  return 'host' in address && isIP(address.host) === 0
}

/** What a group has before anything is known: names that are followed have no address yet. */
export function firstServers(lines: readonly ServerLine[]): ServerOptions[] {
  return lines.map((line, index) => (isFollowed(line) ? emptyServer(line, index) : serverOnly(line)))
}

export class NameSource implements ServerSource {
  readonly #lines: readonly ServerLine[]
  readonly #options: NameSourceOptions
  readonly #ends: (() => void)[] = []
  /** What has come and is not applied yet, by line. */
  readonly #news = new Map<number, ServersChange>()
  #apply: ApplyServers = () => undefined
  #timer: NodeJS.Timeout | undefined
  /** What was said of a line's servers that no group can be made of: not again as long as it lasts. */
  readonly #troubles = new Map<number, string>()
  #stopped = false

  /** @param lines whose group begins with their `firstServers` */
  constructor(lines: readonly ServerLine[], options: NameSourceOptions) {
    this.#lines = lines
    this.#options = options
  }

  async start(apply: ApplyServers): Promise<void> {
    this.#apply = apply
    const watches = this.#lines.flatMap((line, index) =>
      isFollowed(line) ? [this.#follow(line, index)] : [],
    )
    const unknown = await notReady(watches)
    if (this.#stopped) return
    const { log, upstream } = this.#options
    for (const { name } of unknown)
      log('warn', `upstream "${upstream}" begins without ${name}: no answer yet`)
    this.#flush()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    for (const end of this.#ends.splice(0)) end()
  }

  #follow(line: ServerLine, index: number): Watched {
    const { resolver, watches, allowsBackup } = this.#options
    const { host, port } = parseAddress(line.name, 80) as { host: string; port: number }
    if (line.service === '')
      return this.#hear(watches.addresses(resolver, host), index, (found) => {
        const addresses = found.map((address) => ipAddress(address, port))
        return (servers) => withAddresses(servers, index, addresses)
      })
    return this.#hear(watches.services(resolver, host, line.service), index, (targets) => {
      const usable = targets.filter(({ backup }) => !backup || (allowsBackup && !line.backup))
      const made = usable.map((target) => serverOf(target, line, index))
      return (servers) => withServers(servers, index, made.length > 0 ? made : [emptyServer(line, index)])
    })
  }

  #hear<T>(
    watch: NameWatch<T>,
    index: number,
    changeBy: (records: readonly T[]) => ServersChange,
  ): NameWatch<T> {
    const listener = (records: readonly T[]) => {
      this.#news.set(index, changeBy(records))
      this.#timer ??= setTimeout(() => this.#flush(), GATHER)
    }
    this.#ends.push(watch.follow(listener))
    if (watch.known !== null) listener(watch.known)
    return watch
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const news = [...this.#news]
    this.#news.clear()
    if (news.length > 0) this.#applyAll(news)
  }

  /** What one name has that no group can be made of does not keep the others back. */
  #applyAll(news: readonly News[]): void {
    try {
      this.#apply((servers) => news.reduce((changed, [, change]) => change(changed), servers))
      for (const [line] of news) this.#troubles.delete(line)
    } catch (error) {
      if (news.length > 1) for (const one of news) this.#applyAll([one])
      else this.#say(news[0]![0], (error as Error).message)
    }
  }

  #say(line: number, trouble: string): void {
    if (this.#troubles.get(line) === trouble) return
    this.#troubles.set(line, trouble)
    const { log, upstream } = this.#options
    log('error', `the servers of upstream "${upstream}" stay as they are: ${trouble}`)
  }
}

/** Waits a moment. @returns those that have not answered */
async function notReady(watches: readonly Watched[]): Promise<Watched[]> {
  const waiting = new Set(watches)
  const patience = new AbortController()
  const all = Promise.all(watches.map((watch) => watch.ready.then(() => waiting.delete(watch))))
  await Promise.race([all, pause(FIRST_WAIT, undefined, { signal: patience.signal }).catch(() => undefined)])
  patience.abort()
  return [...waiting]
}

/** @returns the same servers where nothing differs */
function withAddresses(servers: readonly ServerOptions[], line: number, addresses: readonly Address[]) {
  const isOld = (server: ServerOptions) => server.line === line && !isEqual(server.addresses, addresses)
  if (!servers.some(isOld)) return servers
  return servers.map((server) => (isOld(server) ? { ...server, addresses } : server))
}

/**
 * The place of a line keeps its order; a line that has none was taken out of the group.
 * @returns the same servers where nothing differs
 */
function withServers(servers: readonly ServerOptions[], line: number, made: readonly ServerOptions[]) {
  const at = servers.findIndex((server) => server.line === line)
  if (at === -1) return servers
  const before = servers.filter((server) => server.line === line)
  const kept = withChanges(made, before)
  if (isEqual(before, kept)) return servers
  const others = servers.filter((server) => server.line !== line)
  return [...others.slice(0, at), ...kept, ...others.slice(at)]
}

/** Each goes on with what was changed of one that was there before; two that are the same, with one each. */
function withChanges(made: readonly ServerOptions[], before: readonly ServerOptions[]): ServerOptions[] {
  const left = [...before]
  return made.map((server) => {
    const index = left.findIndex((one) => isSame(one, server))
    return index === -1 ? server : { ...server, ...changesOf(left.splice(index, 1)[0]!) }
  })
}

function isEqual(a: readonly object[], b: readonly object[]): boolean {
  return a.length === b.length && JSON.stringify(a) === JSON.stringify(b)
}

/**
 * The servers that another process has made, with the addresses that names have here if any are known.
 * @param own servers of the same group
 */
export function withOwnAddresses(
  servers: readonly ServerOptions[],
  own: readonly ServerOptions[],
): ServerOptions[] {
  return servers.map((server) => {
    if (server.line === undefined) return server
    const same = own.find((one) => one.line === server.line && isSame(one, server))
    return same === undefined || same.addresses.length === 0
      ? server
      : { ...server, addresses: same.addresses }
  })
}

/** The same name or target, and port where both have one. */
function isSame(a: ServerOptions, b: ServerOptions): boolean {
  const [port, other] = [a.addresses[0]?.port, b.addresses[0]?.port]
  return a.name === b.name && (port === undefined || other === undefined || port === other)
}

/** What may have been changed of a target while it served. */
function changesOf(server: ServerOptions): Partial<ServerOptions> {
  const { down, drain, apart } = server
  return { down, drain, ...(apart === undefined ? {} : { apart }) }
}

/** nginx places it on the ring by the name of the target; a weight of the line goes before that of the record. */
function serverOf(target: ServiceTarget, line: ServerLine, index: number): ServerOptions {
  const { name, addresses } = target
  const weight = line.weight === 1 ? target.weight : line.weight
  const backup = line.backup || target.backup
  return { ...serverOnly(line), name, addresses, weight, backup, line: index }
}

function emptyServer(line: ServerLine, index: number): ServerOptions {
  return { ...serverOnly(line), addresses: [], line: index }
}

function serverOnly({ service: _service, ...server }: ServerLine): ServerOptions {
  return server
}
