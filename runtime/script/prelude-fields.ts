/**
 * The part of the prelude that makes `r.headersIn` and `r.headersOut`.
 * GUEST code: see `prelude.ts`.
 */
import type { Door } from './prelude.ts'
import type { Known } from './prelude-inspect.ts'

export interface GuestFields {
  /** The fields as scripts see them, and the object by which the host knows them in a trap. */
  makeFields(): { fields: object; target: object }
  /** How the fields look in a log line; undefined for an object that is none of ours. */
  fieldsView(fields: object): ReturnType<Known['proxy']>
}

export function fieldsPrelude(door: Door, on: Door): GuestFields {
  const { ownKeys } = Reflect
  const { create, defineProperty, freeze, keys, setPrototypeOf } = Object
  const { parse } = JSON
  const iterator: typeof Symbol.iterator = Symbol.iterator
  const fieldMethods = create(null) as Record<PropertyKey, unknown>
  fieldMethods.get = door.fieldGet
  fieldMethods.getAll = function getAll(this: unknown, name: unknown) {
    return parse(on.fieldGetAll(this, name) as string)
  }
  fieldMethods.has = door.fieldHas
  fieldMethods.set = door.fieldSet
  fieldMethods.append = door.fieldAppend
  fieldMethods.delete = door.fieldDelete
  const pairsOf = (fields: unknown): [string, string][] => parse(on.fieldEntries(fields) as string)
  fieldMethods.entries = function* entries(this: unknown) {
    const pairs = pairsOf(this)
    for (let i = 0; i < pairs.length; i++) yield pairs[i]
  }
  fieldMethods.keys = function* keys(this: unknown) {
    const pairs = pairsOf(this)
    for (let i = 0; i < pairs.length; i++) yield pairs[i][0]
  }
  fieldMethods.values = function* values(this: unknown) {
    const pairs = pairsOf(this)
    for (let i = 0; i < pairs.length; i++) yield pairs[i][1]
  }
  fieldMethods.forEach = function forEach(this: unknown, visit: (value: string, name: string) => void) {
    const pairs = pairsOf(this)
    for (let i = 0; i < pairs.length; i++) visit(pairs[i][1], pairs[i][0])
  }
  fieldMethods[iterator] = fieldMethods.entries
  for (const name of ownKeys(fieldMethods)) {
    freeze(fieldMethods[name])
    defineProperty(fieldMethods, name, { enumerable: false })
  }

  /**
   * Indexing by name, at the end of the prototype chain, so that a method is found without a trap:
   *
   *     fields (a proxy for delete, in, keys) -> target -> the methods -> this
   */
  const indexed = new Proxy(
    create(null),
    freeze({
      __proto__: null,
      get: (_target: object, name: PropertyKey, self: unknown) =>
        typeof name === 'string' ? on.fieldGet(self, name) : undefined,
      set(_target: object, name: PropertyKey, value: unknown, self: unknown) {
        if (typeof name !== 'string') return false
        if (value === undefined || value === null) on.fieldDelete(self, name)
        else on.fieldSet(self, name, value)
        return true
      },
    }) as ProxyHandler<object>,
  )
  setPrototypeOf(fieldMethods, indexed)
  freeze(fieldMethods)

  /** The target stands for the fields towards the host, as the proxy itself does. */
  const fieldTraps = freeze({
    __proto__: null,
    has: (target: object, name: PropertyKey) =>
      typeof name === 'string' && (on.fieldHas(target, name) as boolean),
    deleteProperty(target: object, name: PropertyKey) {
      if (typeof name === 'string') on.fieldDelete(target, name)
      return true
    },
    ownKeys(target: object) {
      const seen = create(null) as Record<string, true>
      const pairs = pairsOf(target)
      for (let i = 0; i < pairs.length; i++) seen[pairs[i][0]] = true
      return keys(seen)
    },
    getOwnPropertyDescriptor(target: object, name: PropertyKey) {
      const value = typeof name === 'string' ? on.fieldGet(target, name) : undefined
      if (value === undefined) return undefined
      return { value, writable: true, enumerable: true, configurable: true }
    },
    defineProperty: () => false,
    preventExtensions: () => false,
    setPrototypeOf: () => false,
  }) as ProxyHandler<object>

  function makeFields(): { fields: object; target: object } {
    const target = create(fieldMethods as object)
    return { fields: new Proxy(target, fieldTraps), target }
  }

  function fieldsView(fields: object): ReturnType<Known['proxy']> {
    const view = create(null) as Record<string, unknown>
    try {
      const pairs = pairsOf(fields)
      for (let i = 0; i < pairs.length; i++) {
        const known = view[pairs[i][0]]
        view[pairs[i][0]] = known === undefined ? pairs[i][1] : `${known}, ${pairs[i][1]}`
      }
      return { name: 'Headers', view }
    } catch {
      return undefined
    }
  }

  return { makeFields, fieldsView }
}
