/**
 * Asks name servers for addresses and services, and tells "there is none" from "nobody knows": who follows a name must
 * not take a name server that is down for a name that is gone. Keeps nothing, but for one flight for all who ask the same.
 */
import { ADDRCONFIG, Resolver } from 'node:dns'
import { lookup } from 'node:dns/promises'
import type { ResolverOptions } from './name-resolver.ts'

/** What a name has now; empty: it has none, or there is no such name. */
export interface NameAnswer<T> {
  readonly records: readonly T[]
  /** ms that it holds. */
  readonly valid: number
}

/** RFC 2782 */
export interface ServiceRecord {
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

/** Nobody knows; the message is nginx's, `2: Server failure`. */
export class LookupError extends Error {}

/** ms that an answer without a TTL holds: those of the system, and of services (`node:dns` does not tell theirs). */
export const UNTOLD_VALID = 30_000
/** ms that the absence of a name holds; nginx's. */
const ABSENT_VALID = 10_000
/** ms: a TTL of 0 is asked for once a second, one of years once a day. */
const LEAST_VALID = 1_000
const MOST_VALID = 86_400_000
/** Records of one answer. */
const MAX_RECORDS = 1000

/** Tries of c-ares, each with twice the time of the one before: seven times that of the first in all. */
const TRIES = 3
const FIRST_TRY = 1 / 7

/** What nginx calls them. */
const FAILURES: Readonly<Record<string, string>> = {
  EFORMERR: '1: Format error',
  ESERVFAIL: '2: Server failure',
  ENOTIMP: '4: Unimplemented',
  EREFUSED: '5: Operation refused',
  ETIMEOUT: '110: Operation timed out',
  ECONNREFUSED: '111: Connection refused',
}
const ABSENT = new Set(['ENOTFOUND', 'ENODATA', 'ENONAME'])

type Family = 'resolve4' | 'resolve6'

export class NameLookup {
  readonly #options: ResolverOptions
  readonly #resolver: Resolver
  readonly #flights = new Map<string, Promise<NameAnswer<unknown>>>()

  /** @throws Error when a server is not an address */
  constructor(options: ResolverOptions) {
    const { servers, timeout } = options
    this.#options = options
    const first = Math.ceil((timeout * FIRST_TRY) / Math.max(1, servers.length))
    this.#resolver = new Resolver({ timeout: Math.max(1, first), tries: TRIES })
    if (servers.length > 0) this.#resolver.setServers(servers)
  }

  /** IP addresses in an order that all processes agree on. @throws LookupError */
  addresses(host: string): Promise<NameAnswer<string>> {
    const { servers } = this.#options
    return this.#once(host, () => (servers.length === 0 ? this.#askSystem(host) : this.#askServers(host)))
  }

  /** @param name `_http._tcp.example.com` @throws LookupError */
  services(name: string): Promise<NameAnswer<ServiceRecord>> {
    return this.#once(`srv ${name}`, async () => {
      const records = await new Promise<ServiceRecord[]>((done, failed) => {
        this.#resolver.resolveSrv(name, (error, found) => settle(error, found, done, failed))
      })
      // A target without a name says that there is no such service.
      const there = records.filter((record) => record.name !== '' && record.name !== '.')
      return this.#answer(there, UNTOLD_VALID)
    })
  }

  /** Gives up what is under way. */
  cancel(): void {
    this.#resolver.cancel()
  }

  #once<T>(key: string, ask: () => Promise<NameAnswer<T>>): Promise<NameAnswer<T>> {
    const under = this.#flights.get(key) as Promise<NameAnswer<T>> | undefined
    if (under !== undefined) return under
    const flight = ask().finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }

  /** As nginx: a failure of one family is a failure, so that half of the addresses do not go for it. */
  async #askServers(host: string): Promise<NameAnswer<string>> {
    const { ipv4, ipv6 } = this.#options
    const [four, six] = await Promise.all([
      ipv4 ? this.#query(host, 'resolve4') : [],
      ipv6 ? this.#query(host, 'resolve6') : [],
    ])
    const records = [...four, ...six]
    const ttl = Math.min(...records.map((record) => record.ttl)) * 1000
    return this.#answer(sorted(records.map(({ address }) => address)), ttl)
  }

  #query(host: string, family: Family): Promise<{ address: string; ttl: number }[]> {
    return new Promise((done, failed) => {
      this.#resolver[family](host, { ttl: true }, (error, found) => settle(error, found, done, failed))
    })
  }

  /** As the system looks names up, `/etc/hosts` included. */
  async #askSystem(host: string): Promise<NameAnswer<string>> {
    const { ipv4, ipv6 } = this.#options
    const family = ipv4 && ipv6 ? 0 : ipv4 ? 4 : 6
    const options = { all: true, verbatim: true, family } as const
    try {
      // Families that this machine has no address of are of no use; one with nothing but loopback has none at all.
      const hints = ADDRCONFIG
      const found = await lookup(host, { ...options, hints }).catch(() => lookup(host, options))
      return this.#answer(sorted(found.map(({ address }) => address)), UNTOLD_VALID)
    } catch (error) {
      const code = codeOf(error)
      if (ABSENT.has(code)) return this.#answer([], ABSENT_VALID)
      throw new LookupError(FAILURES[code] ?? code)
    }
  }

  #answer<T>(records: readonly T[], ttl: number): NameAnswer<T> {
    if (records.length > MAX_RECORDS)
      throw new LookupError(`${records.length} records are more than the ${MAX_RECORDS} that are taken`)
    const valid = this.#options.valid ?? (records.length === 0 ? ABSENT_VALID : ttl)
    return { records, valid: Math.min(MOST_VALID, Math.max(LEAST_VALID, valid)) }
  }
}

function settle<T>(
  error: NodeJS.ErrnoException | null,
  found: T[],
  done: (found: T[]) => void,
  failed: (error: Error) => void,
): void {
  const code = error === null ? '' : codeOf(error)
  if (error === null) done(found)
  else if (ABSENT.has(code)) done([])
  else failed(new LookupError(FAILURES[code] ?? code))
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : 'unknown'
}

function sorted(addresses: readonly string[]): string[] {
  return [...new Set(addresses)].sort()
}
