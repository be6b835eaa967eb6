/**
 * What scripts limit (`sluice:limit`): rates by name and key, in the store or here, and how many of a key are under way.
 * Kept over generations, so that a swap forgives nobody. Knows neither scripts nor requests.
 */
import type { LogLevel, RateRequest } from '../phases.ts'
import { Buckets } from './buckets.ts'
import { ConnectionZone } from './connection-zone.ts'
import type { Store } from './store.ts'

const MAX_BUCKETS = 1_000_000
/** Bytes of one limit's counts. */
const ZONE_SIZE = 10 * 1024 * 1024
/** Limits of connections by name; scripts make them when they load. */
const MAX_ZONES = 1000

export class ScriptCounts {
  readonly #buckets: Buckets
  readonly #zones = new Map<string, ConnectionZone>()
  #alone = false
  #missed = 0

  constructor(now: () => number = Date.now) {
    this.#buckets = new Buckets(MAX_BUCKETS, now)
  }

  /** As `Store.take`. */
  take({ name, key, rate, burst, cost }: RateRequest): number {
    return this.#buckets.take(`${name}\0${key}`, rate, burst, cost)
  }

  /** In the store; here where it does not answer, so that nobody is refused for that. */
  async takeFrom(
    store: Store,
    asked: RateRequest,
    log: (level: LogLevel, message: string) => void,
  ): Promise<number> {
    const { name, key, rate, burst, cost } = asked
    let wait: number
    try {
      wait = await store.take(`limit ${name}`, key, rate, burst, cost)
    } catch (error) {
      this.#missed++
      if (!this.#alone)
        log('warn', `limits of scripts count in this process alone: ${(error as Error).message}`)
      this.#alone = true
      return this.take(asked)
    }
    if (this.#alone) log('warn', `limits of scripts count in the store again, after ${this.#missed} calls`)
    this.#alone = false
    this.#missed = 0
    return wait
  }

  /** @throws RangeError when there are too many */
  connections(name: string): ConnectionZone {
    let zone = this.#zones.get(name)
    if (zone === undefined) {
      if (this.#zones.size >= MAX_ZONES)
        throw new RangeError(`there are more than ${MAX_ZONES} limits of connections`)
      zone = new ConnectionZone({ name, size: ZONE_SIZE })
      this.#zones.set(name, zone)
    }
    return zone
  }
}
