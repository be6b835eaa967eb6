/**
 * A `session_map` as a hook of a journal found it: what stood there then, and what the hook that is tried makes of it.
 * Nothing of it outlives the call. Knows no store, and no time to live.
 */
import type { MapValue, ScriptMap } from '../phases.ts'
import { fromBytes } from '../script/guest-values.ts'
import { sameValue } from '../store/limits.ts'
import { StoreError } from '../store/store.ts'
import type { RecordedValue } from './journal-entry.ts'

/** Maps of one hook call. */
export class ReplayState {
  readonly #values = new Map<string, MapValue | null>()
  readonly #unknown: (what: string) => void
  readonly #seen: (what: string, text: string) => void

  /**
   * @param unknown hears of keys that the journal does not know
   * @param seen hears of what is read
   */
  constructor(
    recorded: readonly RecordedValue[],
    unknown: (what: string) => void,
    seen: (what: string, text: string) => void,
  ) {
    this.#unknown = unknown
    this.#seen = seen
    for (const { map, key, json, bytes } of recorded) {
      const value =
        json !== null ? fromBytes(json) : bytes === null ? null : new Uint8Array(Buffer.from(bytes, 'latin1'))
      this.#values.set(idOf(map, fromBytes(key)), value)
    }
  }

  /** undefined: nobody knows. */
  known(map: string, key: string): MapValue | null | undefined {
    const value = this.#values.get(idOf(map, key))
    if (typeof value === 'string') this.#seen(`session map ${map}`, value)
    return value
  }

  read(map: string, key: string): MapValue | null {
    const value = this.known(map, key)
    if (value === undefined)
      this.#unknown(`the session map ${map} at ${JSON.stringify(key)} was not recorded`)
    return value ?? null
  }

  write(map: string, key: string, value: MapValue | null): void {
    this.#values.set(idOf(map, key), value)
  }

  entriesOf(map: string): { key: string; value: MapValue }[] {
    return [...this.#values].flatMap(([id, value]) => {
      const [of, key] = JSON.parse(id) as [string, string]
      return of === map && value !== null ? [{ key, value }] : []
    })
  }
}

function idOf(map: string, key: string): string {
  return JSON.stringify([map, key])
}

/** @param current the maps of the hook under way */
export function replayMap(name: string, current: () => ReplayState): ScriptMap {
  const read = (key: string) => current().read(name, key)
  const write = (key: string, value: MapValue | null) => current().write(name, key, value)
  return {
    name,
    onError: 'closed',
    peek: (key) => current().known(name, key),
    get: async (key) => read(key),
    set: async (key, value) => write(key, value),
    async add(key, value) {
      const there = read(key)
      if (there === null) write(key, value)
      return there
    },
    async compareAndSet(key, expected, value) {
      const isAsExpected = sameValue(read(key), expected)
      if (isAsExpected) write(key, value)
      return isAsExpected
    },
    async replace(key, gone, value) {
      const there = read(key)
      if (there !== null && !sameValue(there, gone)) return there
      write(key, value)
      return value
    },
    async incr(key, by) {
      const there = read(key)
      const sum = (there === null ? 0 : typeof there === 'string' ? Number(there) : Number.NaN) + by
      if (!Number.isFinite(sum)) throw new StoreError('wrong_type', 'the value is no number')
      write(key, String(sum))
      return sum
    },
    touch: async (key) => read(key) !== null,
    async delete(key) {
      const there = read(key)
      write(key, null)
      return there !== null
    },
    entries: async () => ({ entries: current().entriesOf(name), cursor: null }),
    owe: () => undefined,
  }
}
