/** What one hook call found: the time, chance, what stood in session maps, what limits said. Bounded. */
import type { MapValue } from '../phases.ts'
import { toBytes } from '../script/guest-values.ts'
import { type Asked, type RecordedLimit, type RecordedValue, textOf } from './journal-entry.ts'
import type { ValueListener } from './tapped-request.ts'

/** Of each kind. */
const MAX_VALUES = 1000

export class RecordedValues implements ValueListener {
  readonly times: number[] = []
  readonly randoms: number[] = []
  readonly limits: RecordedLimit[] = []
  readonly #start: number
  /** null: what was there is not known. */
  readonly #maps = new Map<string, RecordedValue | null>()
  #bytesLeft: number

  /**
   * @param start when the hook began, ms since the epoch
   * @param maxBytes of all values of maps together: what is beyond them is not known
   */
  constructor(start: number, maxBytes: number) {
    this.#start = start
    this.#bytesLeft = maxBytes
  }

  time(now: number): void {
    if (this.times.length < MAX_VALUES) this.times.push(now - this.#start)
  }

  random(value: number): void {
    if (this.randoms.length < MAX_VALUES) this.randoms.push(value)
  }

  limit(question: string, answer: number): void {
    if (this.limits.length < MAX_VALUES) this.limits.push({ question: toBytes(question), answer })
  }

  mapAsked(map: string, key: string): ((before: MapValue | null) => void) | null {
    const id = JSON.stringify([map, key])
    if (this.#maps.has(id) || this.#maps.size >= MAX_VALUES) return null
    this.#maps.set(id, null)
    return (before) => {
      this.#bytesLeft -= key.length + (before?.length ?? 0)
      if (this.#bytesLeft >= 0) this.#maps.set(id, recordOf(map, key, before))
    }
  }

  get asked(): Pick<Asked, 'maps' | 'times' | 'randoms' | 'limits'> {
    const maps = [...this.#maps.values()].filter((one) => one !== null)
    return { maps, times: this.times, randoms: this.randoms, limits: this.limits }
  }
}

function recordOf(map: string, key: string, before: MapValue | null): RecordedValue {
  const common = { map, key: toBytes(key) }
  if (before === null) return { ...common, json: null, bytes: null }
  return typeof before === 'string'
    ? { ...common, json: toBytes(before), bytes: null }
    : { ...common, json: null, bytes: textOf(before) }
}
