/**
 * The part of the prelude that knows how `r`, peers and their like look in a log line, and that tells the host which
 * arguments a script reads when it wants to know. GUEST code: see `prelude.ts`.
 */
import type { Door } from './prelude.ts'
import type { Known } from './prelude-inspect.ts'

export interface GuestViews {
  /** Objects with this prototype are shown under this name, as what host getters say of them; '': its own property. */
  shownAs(prototype: object, name: string, getters: Record<string, string>): void
  /** `r.args` as the script gets them. */
  argsOf(r: object, args: object): object
}

export function viewsPrelude(door: Door, on: Door, known: Known, watchArgs: boolean): GuestViews {
  const { apply } = Reflect
  const { freeze, keys } = Object
  const { stringify } = JSON
  const { get: getWeak, set: setWeak } = WeakMap.prototype
  const plainArgs = new WeakMap<object, object>()
  const { proxy } = known

  known.proxy = (value) => {
    const view = apply(getWeak, plainArgs, [value]) as object | undefined
    return view === undefined ? proxy(value) : { name: '[Object: null prototype]', view }
  }

  return {
    shownAs(prototype, name, getters) {
      const names = keys(getters)
      const view = (of: object): object => {
        const shown: Record<string, unknown> = {}
        for (let i = 0; i < names.length; i++) {
          const getter = getters[names[i]]
          shown[names[i]] = getter === '' ? (of as typeof shown)[names[i]] : apply(door[getter], of, [])
        }
        return shown
      }
      known.types[known.types.length] = { prototype, name, view }
    },
    argsOf(r, args) {
      freeze(args)
      if (!watchArgs) return args
      const shown = new Proxy(args as Record<string, unknown>, {
        get(target, name) {
          const value = typeof name === 'string' ? target[name] : undefined
          if (typeof name !== 'string') return value
          on.argRead(r, name, typeof value === 'object' ? stringify(value) : value)
          return value
        },
      })
      apply(setWeak, plainArgs, [shown, args])
      return shown
    },
  }
}
