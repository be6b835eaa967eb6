/**
 * Asks name servers for addresses and services, and tells "there is none" from "nobody knows": who follows a name must
 * not take a name server that is down for a name that is gone. Keeps nothing, but for one flight for all who ask the same.
 */
import { ADDRCONFIG, getServers } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { LookupError, NameInquiry, type NameServer } from './name-inquiry.ts'
import {
  type NameMessage,
  NO_ERROR,
  NO_SUCH_NAME,
  type QuestionType,
  type ServiceRecord,
} from './name-message.ts'
import type { ResolverOptions } from './name-resolver.ts'
import { parseAddress } from './resolve.ts'

/** What a name has now; empty: it has none, or there is no such name. */
export interface NameAnswer<T> {
  readonly records: readonly T[]
  /** ms that it holds. */
  readonly valid: number
}

/** ms that an answer of the system holds, which tells no TTL. */
const UNTOLD_VALID = 30_000
/** ms that the absence of a name holds; nginx's. */
const ABSENT_VALID = 10_000
/** ms: a TTL of 0 is asked for once a second, one of years once a day. */
const LEAST_VALID = 1_000
const MOST_VALID = 86_400_000
/** Records of one answer. */
const MAX_RECORDS = 1000

/** Aliases in a row that are asked for; those within one answer count as one. */
const MAX_ALIASES = 16
/** Questions that are under way at a time, others wait: each has a socket, and clients may make names. */
const MAX_QUESTIONS = 500
const DNS_PORT = 53
const CANCELLED = 'given up'

/** What nginx calls them; by the code of an answer, and of the system. */
const FAILURES: Readonly<Record<string, string>> = {
  2: '2: Server failure',
  4: '4: Unimplemented',
  5: '5: Operation refused',
  EAI_AGAIN: '2: Server failure',
}
const ABSENT = new Set(['ENOTFOUND', 'ENODATA', 'ENONAME'])

const NOTHING: NameMessage = {
  code: NO_SUCH_NAME,
  truncated: false,
  addresses: [],
  services: [],
  alias: '',
  ttl: Infinity,
}

/** What one name has, or what it stands for; '': nothing. */
interface Hop<T> {
  readonly records: readonly T[]
  readonly alias: string
  /** Seconds. */
  readonly ttl: number
}

export class NameLookup {
  readonly #options: ResolverOptions
  readonly #servers: readonly NameServer[]
  readonly #flights = new Map<string, Promise<NameAnswer<unknown>>>()
  readonly #inquiries = new Set<NameInquiry>()
  readonly #maxQuestions: number
  /** Those who wait for their turn to ask. */
  readonly #waiting: (() => void)[] = []
  #cancelled = false
  /** The server that is asked first for the next name: they take turns, as in nginx. */
  #turn = 0

  /** @throws Error when a server is not an address */
  constructor(options: ResolverOptions, maxQuestions = MAX_QUESTIONS) {
    this.#options = options
    this.#maxQuestions = maxQuestions
    this.#servers = options.servers.map(parseServer)
  }

  /** IP addresses in an order that all processes agree on; as in nginx, one that is there twice is two. @throws LookupError */
  addresses(host: string): Promise<NameAnswer<string>> {
    return this.#once(host, () =>
      this.#servers.length === 0
        ? this.#askSystem(host)
        : this.#chase(host, (name, until) => this.#addressesOf(name, until)),
    )
  }

  /** @param name `_http._tcp.example.com` @throws LookupError */
  services(name: string): Promise<NameAnswer<ServiceRecord>> {
    return this.#once(`srv ${name}`, () => this.#chase(name, (one, until) => this.#servicesOf(one, until)))
  }

  /** Gives up what is under way, for good. */
  cancel(): void {
    this.#cancelled = true
    for (const inquiry of [...this.#inquiries]) inquiry.fail(CANCELLED)
  }

  #once<T>(key: string, ask: () => Promise<NameAnswer<T>>): Promise<NameAnswer<T>> {
    const under = this.#flights.get(key) as Promise<NameAnswer<T>> | undefined
    if (under !== undefined) return under
    const flight = ask().finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }

  /** Asks on for what a name stands for: name servers that look nothing up themselves say no more. */
  async #chase<T>(
    host: string,
    ask: (name: string, until: number) => Promise<Hop<T>>,
  ): Promise<NameAnswer<T>> {
    const until = performance.now() + this.#options.timeout
    let name = host.toLowerCase().replace(/\.$/, '')
    let ttl = Infinity
    for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
      const hop = await ask(name, until)
      ttl = Math.min(ttl, hop.ttl)
      if (hop.records.length > 0 || hop.alias === '') return this.#answer(hop.records, ttl * 1000)
      name = hop.alias
    }
    throw new LookupError(`${host} stands for a name that stands for another, and so on`)
  }

  /**
   * As nginx: a failure of one family is a failure, so that half of the addresses do not go for it; and the last one says
   * what a name without addresses stands for.
   */
  async #addressesOf(name: string, until: number): Promise<Hop<string>> {
    const { ipv4, ipv6 } = this.#options
    const first = this.#turn++
    const types: QuestionType[] = [...(ipv4 ? ['A' as const] : []), ...(ipv6 ? ['AAAA' as const] : [])]
    const messages = await Promise.all(types.map((type) => this.#ask(name, type, first, until)))
    const ttl = Math.min(...messages.map((message) => message.ttl))
    return {
      records: messages.flatMap(({ addresses }) => addresses).sort(),
      alias: messages.at(-1)!.alias,
      ttl,
    }
  }

  /** A target without a name says that there is no such service. */
  async #servicesOf(name: string, until: number): Promise<Hop<ServiceRecord>> {
    const { services, alias, ttl } = await this.#ask(name, 'SRV', this.#turn++, until)
    return { records: services.filter((service) => service.name !== ''), alias, ttl }
  }

  async #ask(name: string, type: QuestionType, first: number, until: number): Promise<NameMessage> {
    while (this.#inquiries.size >= this.#maxQuestions)
      await new Promise<void>((next) => this.#waiting.push(next))
    if (this.#cancelled) throw new LookupError(CANCELLED)
    const servers = this.#servers.length > 0 ? this.#servers : getServers().map(parseServer)
    if (servers.length === 0) throw new LookupError('there is no name server')
    const inquiry = new NameInquiry({ name, type }, { servers, first, timeout: until - performance.now() })
    this.#inquiries.add(inquiry)
    const message = await inquiry.answer.finally(() => {
      this.#inquiries.delete(inquiry)
      this.#waiting.shift()?.()
    })
    if (message === null || message.code === NO_SUCH_NAME) return NOTHING
    if (message.code !== NO_ERROR) throw new LookupError(FAILURES[message.code] ?? `${message.code}`)
    return message
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
      return this.#answer(found.map(({ address }) => address).sort(), UNTOLD_VALID)
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

/** @throws Error when it is no address */
function parseServer(text: string): NameServer {
  const server = isIP(text) === 0 ? parseAddress(text, DNS_PORT) : { host: text, port: DNS_PORT }
  if (!('host' in server) || isIP(server.host) === 0)
    throw new Error(`"${text}" is not the address of a name server`)
  return server
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : 'unknown'
}
