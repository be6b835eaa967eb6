/**
 * `resolver`: looks names up at the given name servers, and keeps the answers for their TTL (or `valid=`). Used where
 * a request makes the name; those of the configuration are looked up by the system when it is loaded, or followed
 * (`name-watch.ts`).
 */
import { isIP } from 'node:net'
import { LookupError } from './name-inquiry.ts'
import { NameLookup } from './name-lookup.ts'
import type { Address } from './options.ts'
import { ipAddress, parseAddress, resolveServer } from './resolve.ts'

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
/** ms that an answer of the system (which tells no TTL), its failure, and the absence of a name are kept. */
const SYSTEM_VALID = 30_000
const FAILURE_VALID = 5_000

interface Answer {
  /** Empty: the name could not be resolved. */
  readonly addresses: readonly Address[]
  readonly until: number
}

export class NameResolver {
  readonly #options: ResolverOptions
  readonly #lookup: NameLookup
  /** By `keyOf` the target, as all below. */
  readonly #answers = new Map<string, Answer>()
  readonly #waiting = new Map<string, ((addresses: readonly Address[]) => void)[]>()

  /** @throws Error when a server is not an address */
  constructor(options: ResolverOptions) {
    this.#options = options
    this.#lookup = new NameLookup(options)
  }

  /** What is known of `host[:port]`; null: nothing, ask `lookUp`. */
  cached(target: string): readonly Address[] | null {
    const answer = this.#answers.get(keyOf(target))
    return answer !== undefined && answer.until > Date.now() ? answer.addresses : null
  }

  /** One lookup for all who ask for a name at the same time. An empty list: it could not be resolved. */
  lookUp(target: string, defaultPort: number, done: (addresses: readonly Address[]) => void): void {
    const name = keyOf(target)
    const waiting = this.#waiting.get(name)
    if (waiting !== undefined) {
      waiting.push(done)
      return
    }
    this.#waiting.set(name, [done])
    this.#ask(target, defaultPort).then(
      (answer) => this.#settle(name, answer),
      (error) => this.#fail(name, error instanceof LookupError),
    )
  }

  /** That nobody knows is for those who waited alone: the next one asks the next server. */
  #fail(name: string, isUnknown: boolean): void {
    this.#settle(name, { addresses: [], until: Date.now() + FAILURE_VALID })
    if (isUnknown) this.#answers.delete(name)
  }

  #settle(name: string, answer: Answer): void {
    if (this.#answers.size >= MAX_NAMES) this.#answers.delete(this.#answers.keys().next().value!)
    this.#answers.set(name, answer)
    const waiting = this.#waiting.get(name) ?? []
    this.#waiting.delete(name)
    for (const done of waiting) done(answer.addresses)
  }

  async #ask(target: string, defaultPort: number): Promise<Answer> {
    const parsed = parseAddress(target, defaultPort)
    const { servers, valid } = this.#options
    if (servers.length === 0 || 'path' in parsed || isIP(parsed.host) !== 0) {
      const addresses = await resolveServer(target, defaultPort)
      return { addresses, until: Date.now() + (valid ?? SYSTEM_VALID) }
    }
    const { host, port } = parsed
    const { records, valid: holds } = await this.#lookup.addresses(host)
    const kept = records.length > 0 ? holds : Math.min(holds, FAILURE_VALID)
    return { addresses: records.map((address) => ipAddress(address, port)), until: Date.now() + kept }
  }
}

/** Names are the same in any case; paths of sockets are not. */
function keyOf(target: string): string {
  return target.includes('/') ? target : target.toLowerCase()
}
