/**
 * How many of each key are under way: the counts of one `limit_conn_zone`, bounded in bytes. Knows no requests; every
 * call is atomic as it is synchronous.
 */
import { slabRoom, slabSize, type ZoneOptions } from './rate-zone.ts'

/** What nginx's count takes beside its key, bytes. */
const OVERHEAD = 36

export type Admission = 'admitted' | 'limited' | 'no room'

export class ConnectionZone {
  readonly name: string
  readonly size: number
  readonly #counts = new Map<string, number>()
  #left: number

  constructor({ name, size }: ZoneOptions) {
    this.name = name
    this.size = size
    this.#left = slabRoom(size)
  }

  /** Keys that something is under way of. */
  get keys(): number {
    return this.#counts.size
  }

  count(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  /** One more, unless there are `max`. Each that is admitted is to be released. */
  admit(key: string, max: number): Admission {
    const count = this.#counts.get(key)
    if (count === undefined) {
      const size = slabSize(OVERHEAD + key.length)
      if (size > this.#left) return 'no room'
      this.#left -= size
    } else if (count >= max) return 'limited'
    this.#counts.set(key, (count ?? 0) + 1)
    return 'admitted'
  }

  release(key: string): void {
    const count = this.#counts.get(key)
    if (count === undefined) throw new Error(`zone "${this.name}" has admitted nothing of this key`)
    if (count > 1) {
      this.#counts.set(key, count - 1)
      return
    }
    this.#counts.delete(key)
    this.#left += slabSize(OVERHEAD + key.length)
  }
}
