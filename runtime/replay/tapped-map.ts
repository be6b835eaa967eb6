/**
 * A `session_map` between a script and what the script is given: passes every call on, and tells what was there when the
 * hook under way first asked for a key. What the hook makes of it follows from that.
 */
import type { MapValue, ScriptMap } from '../phases.ts'

/** Who wants to know. */
export interface MapListener {
  /**
   * A hook asks for this key.
   * @returns what is to be called with what was there, if that is found out; null: it has asked before
   */
  mapAsked(map: string, key: string): ((before: MapValue | null) => void) | null
}

/** @param listener of the hook under way */
export function tapMap(map: ScriptMap, listener: () => MapListener | null): ScriptMap {
  const { name } = map
  const ask = (key: string) => listener()?.mapAsked(name, key) ?? null
  return {
    name,
    onError: map.onError,
    peek(key) {
      const value = map.peek(key)
      if (value !== undefined) ask(key)?.(value)
      return value
    },
    get: (key) => told(ask(key), map.get(key), (value) => value),
    set(key, value, ttl) {
      ask(key)
      return map.set(key, value, ttl)
    },
    add: (key, value, ttl) => told(ask(key), map.add(key, value, ttl), (there) => there),
    compareAndSet: (key, expected, value, ttl) =>
      told(ask(key), map.compareAndSet(key, expected, value, ttl), (done) => (done ? expected : undefined)),
    replace: (key, gone, value, ttl) =>
      told(ask(key), map.replace(key, gone, value, ttl), (now) => (now === value ? gone : now)),
    incr: (key, by, ttl) =>
      told(ask(key), map.incr(key, by, ttl), (now) => (now === by ? null : String(now - by))),
    touch: (key, ttl) => told(ask(key), map.touch(key, ttl), (wasThere) => (wasThere ? undefined : null)),
    delete: (key) => told(ask(key), map.delete(key), (wasThere) => (wasThere ? undefined : null)),
    async entries(cursor, count) {
      const to = listener()
      const page = await map.entries(cursor, count)
      for (const { key, value } of page.entries) to?.mapAsked(name, key)?.(value)
      return page
    },
    owe: (key, value) => map.owe(key, value),
  }
}

/** @param before what was there, as the answer says; undefined: it does not say */
function told<T>(
  tell: ((before: MapValue | null) => void) | null,
  answer: Promise<T>,
  before: (answer: T) => MapValue | null | undefined,
): Promise<T> {
  if (tell === null) return answer
  return answer.then((value) => {
    const found = before(value)
    if (found !== undefined) tell(found)
    return value
  })
}
