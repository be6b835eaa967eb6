/** A `session_map` that may be looked at and is not changed: a change says what it would have come to. */
import type { ScriptMap } from '../phases.ts'

export function readOnlyMap(map: ScriptMap): ScriptMap {
  return {
    name: map.name,
    onError: map.onError,
    peek: (key) => map.peek(key),
    get: (key) => map.get(key),
    set: () => Promise.resolve(),
    add: (key) => map.get(key),
    compareAndSet: async (key, expected) => isSame(await map.get(key), expected),
    replace: async (key, gone, value) => {
      const found = await map.get(key)
      return found === null || isSame(found, gone) ? value : found
    },
    incr: async (key, by) => Number((await map.get(key)) ?? 0) + by,
    touch: async (key) => (await map.get(key)) !== null,
    delete: async (key) => (await map.get(key)) !== null,
    entries: (cursor, count) => map.entries(cursor, count),
    owe: () => undefined,
  }
}

function isSame(a: string | Uint8Array | null, b: string | Uint8Array | null): boolean {
  if (a === null || b === null || typeof a === 'string' || typeof b === 'string') return a === b
  return Buffer.from(a).equals(b)
}
