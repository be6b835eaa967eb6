/**
 * A service by its DNS records (RFC 2782) as a row of servers: the targets of `_http._tcp.NAME` with their addresses. What
 * a target had last stays while nobody knows its addresses. Knows neither groups nor when to ask again.
 */
import type { LogLevel } from '../phases.ts'
import { LookupError } from './name-inquiry.ts'
import type { NameAnswer, NameLookup } from './name-lookup.ts'
import type { ServiceRecord } from './name-message.ts'
import type { Address } from './options.ts'
import { ipAddress, parseAddress } from './resolve.ts'

/** One record whose name has addresses. */
export interface ServiceTarget {
  readonly name: string
  readonly addresses: readonly Address[]
  /** 0 of a record is 1 here. */
  readonly weight: number
  /** Others have a lower priority number, which goes first. */
  readonly backup: boolean
}

/** `http` stands for `_http._tcp`; a word that holds a dot is taken as it is. */
export function serviceName(service: string, host: string): string {
  return service.includes('.') ? `${service}.${host}` : `_${service}._tcp.${host}`
}

type Found = NameAnswer<string> | LookupError

/** Addresses in all. */
const MAX_ADDRESSES = 1000
/** ms after which a target is asked for again that nobody knew. */
const RETRY = 5_000

export class ServiceRecords {
  readonly #name: string
  readonly #lookup: NameLookup
  readonly #log: (level: LogLevel, message: string) => void
  /** Addresses of each target, as they were known last. */
  #known = new Map<string, readonly string[]>()
  /** What is wrong with targets: not said again as long as it lasts. */
  #troubles = new Set<string>()

  /** @param name as of `serviceName` */
  constructor(name: string, lookup: NameLookup, log: (level: LogLevel, message: string) => void) {
    this.#name = name
    this.#lookup = lookup
    this.#log = log
  }

  /** In an order that all processes agree on. @throws LookupError */
  async ask(): Promise<NameAnswer<ServiceTarget>> {
    const answer = await this.#lookup.services(this.#name)
    const records = inOrder(answer.records.filter(isUsable))
    const found = await this.#askAll(new Set(records.map(({ name }) => name)))
    this.#report(answer.records, found)
    const there = records.filter(({ name }) => this.#known.get(name)!.length > 0)
    if (there.length === 0) failWhereNobodyKnows(found)
    const first = Math.min(...there.map(({ priority }) => priority))
    const targets = there.map((record) => this.#target(record, first))
    const count = targets.reduce((sum, { addresses }) => sum + addresses.length, 0)
    if (count > MAX_ADDRESSES)
      throw new LookupError(`${count} addresses are more than the ${MAX_ADDRESSES} that are taken`)
    return { records: targets, valid: Math.min(answer.valid, ...[...found.values()].map(validOf)) }
  }

  async #askAll(names: ReadonlySet<string>): Promise<Map<string, Found>> {
    const found = new Map<string, Found>()
    const known = new Map<string, readonly string[]>()
    const ask = async (name: string) => {
      const answer = await this.#lookup.addresses(name).catch((error: LookupError) => error)
      found.set(name, answer)
      known.set(name, answer instanceof LookupError ? (this.#known.get(name) ?? []) : answer.records)
    }
    await Promise.all([...names].map(ask))
    this.#known = known
    return found
  }

  #report(records: readonly ServiceRecord[], found: ReadonlyMap<string, Found>): void {
    const troubles = new Set<string>()
    for (const record of records)
      if (!isUsable(record)) troubles.add(`"${record.name}" and port ${record.port} are no server`)
    for (const [name, answer] of found) {
      if (answer instanceof LookupError) troubles.add(`${name} could not be resolved (${answer.message})`)
      else if (answer.records.length === 0) troubles.add(`${name} could not be resolved (3: Host not found)`)
    }
    for (const trouble of troubles)
      if (!this.#troubles.has(trouble)) this.#log('error', `${trouble} while resolving service ${this.#name}`)
    this.#troubles = troubles
  }

  #target({ name, port, priority, weight }: ServiceRecord, first: number): ServiceTarget {
    const addresses = this.#known.get(name)!.map((address) => ipAddress(address, port))
    return { name, addresses, weight: Math.max(1, weight), backup: priority > first }
  }
}

/** By priority, then by name, port and weight. As in nginx, one that is there twice is two targets. */
function inOrder(records: readonly ServiceRecord[]): ServiceRecord[] {
  return records.toSorted(
    (a, b) => a.priority - b.priority || compare(a.name, b.name) || a.port - b.port || a.weight - b.weight,
  )
}

function isUsable({ name, port }: ServiceRecord): boolean {
  try {
    parseAddress(`${name}:${port}`, port)
    return true
  } catch {
    return false
  }
}

/** @throws LookupError when it is not known that there are none */
function failWhereNobodyKnows(found: ReadonlyMap<string, Found>): void {
  for (const answer of found.values()) if (answer instanceof LookupError) throw answer
}

/** ms; what failed is asked again soon. */
function validOf(found: Found): number {
  return found instanceof LookupError ? RETRY : found.valid
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
