/**
 * `resolver`: looks names up at the given name servers, and keeps the answers for their TTL (or `valid=`). Used where
 * a request makes the name; those of the configuration are looked up by the system when it is loaded, or followed
 * (`name-watch.ts`).
 */
import { Resolver } from 'node:dns'
import { isIP } from 'node:net'
import type { Address } from './options.ts'
import { parseAddress, resolveServer } from './resolve.ts'

export interface ResolverOptions {
  /** `ip` or `ip:port`, brackets around IPv6; empty: the system's own way of looking names up. */
  readonly servers: readonly string[]
  /** ms that answers are kept; null: their TTL. */
  readonly valid: number | null
  readonly ipv4: boolean
  readonly ipv6: boolean
  /** ms that a lookup may take in all. */
  readonly timeout: number
}

/** Names kept at a time; clients must not be able to fill memory with them. */
const MAX_NAMES = 1000
/** ms that a failure, and an answer of the system (which tells no TTL), are kept. */
const FAILURE_VALID = 5_000
const SYSTEM_VALID = 30_000
/** Answers with a TTL of 0 serve at least those who waited for them. */
const LEAST_VALID = 1_000
/** Tries within the timeout. */
const TRIES = 3

interface Answer {
  /** Empty: the name could not be resolved. */
  readonly addresses: readonly Address[]
  readonly until: number
}

export class NameResolver {
  readonly #options: ResolverOptions
  readonly #resolver: Resolver | null
  readonly #answers = new Map<string, Answer>()
  readonly #waiting = new Map<string, ((addresses: readonly Address[]) => void)[]>()

  /** @throws Error when a server is not an address */
  constructor(options: ResolverOptions) {
    this.#options = options
    if (options.servers.length === 0) {
      this.#resolver = null
      return
    }
    this.#resolver = new Resolver({ timeout: Math.max(1, Math.ceil(options.timeout / TRIES)), tries: TRIES })
    this.#resolver.setServers(options.servers)
  }

  /** What is known of `host[:port]`; null: nothing, ask `lookUp`. */
  cached(target: string): readonly Address[] | null {
    const answer = this.#answers.get(target)
    return answer !== undefined && answer.until > Date.now() ? answer.addresses : null
  }

  /** One lookup for all who ask for a name at the same time. An empty list: it could not be resolved. */
  lookUp(target: string, defaultPort: number, done: (addresses: readonly Address[]) => void): void {
    const waiting = this.#waiting.get(target)
    if (waiting !== undefined) {
      waiting.push(done)
      return
    }
    this.#waiting.set(target, [done])
    this.#ask(target, defaultPort).then(
      (answer) => this.#settle(target, answer),
      () => this.#settle(target, { addresses: [], until: Date.now() + FAILURE_VALID }),
    )
  }

  #settle(target: string, answer: Answer): void {
    if (this.#answers.size >= MAX_NAMES) this.#answers.delete(this.#answers.keys().next().value!)
    this.#answers.set(target, answer)
    const waiting = this.#waiting.get(target) ?? []
    this.#waiting.delete(target)
    for (const done of waiting) done(answer.addresses)
  }

  async #ask(target: string, defaultPort: number): Promise<Answer> {
    const parsed = parseAddress(target, defaultPort)
    if (this.#resolver === null || 'path' in parsed || isIP(parsed.host) !== 0) {
      return {
        addresses: await resolveServer(target, defaultPort),
        until: Date.now() + (this.#options.valid ?? SYSTEM_VALID),
      }
    }
    const { host, port } = parsed
    const { ipv4, ipv6, valid } = this.#options
    const [four, six] = await Promise.all([
      ipv4 ? this.#query(host, 'resolve4') : [],
      ipv6 ? this.#query(host, 'resolve6') : [],
    ])
    const records = [...four, ...six]
    const ttl = Math.max(LEAST_VALID, Math.min(...records.map((record) => record.ttl * 1000)))
    const addresses = records.map(({ address }) => ({
      text: address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
      host: address,
      port,
    }))
    return {
      addresses,
      until: Date.now() + Math.max(LEAST_VALID, valid ?? (records.length === 0 ? FAILURE_VALID : ttl)),
    }
  }

  /** A name without addresses of one family is no error. */
  #query(host: string, family: 'resolve4' | 'resolve6'): Promise<{ address: string; ttl: number }[]> {
    return new Promise((resolve) => {
      this.#resolver![family](host, { ttl: true }, (error, records) => resolve(error === null ? records : []))
    })
  }
}
