/**
 * Gives variables and templates their meaning: a name becomes a getter, a text with variables a function from a
 * request to a string. All look-ups by name happen here, when a configuration (or a script) is loaded.
 */
import type { HttpModel, Pattern, Template, TemplatePart } from '../config/model.ts'
import type { HookRequest, VariableAccess } from '../phases.ts'
import type { Exchange } from './exchange.ts'
import { compileGeo } from './geo.ts'
import { compileMap } from './map.ts'
import { Matcher } from './matcher.ts'
import type { Binder, Getter, VariableGetter } from './plan.ts'
import { compileSplitClients } from './split-clients.ts'
import { builtinVariable } from './variables.ts'

/** What of a configuration defines variables. */
export type VariableModel = Pick<HttpModel, 'variables' | 'maps' | 'geos' | 'splitClients'>

/** nginx evaluates no deeper; what nests deeper is a cycle of `map`s. */
const MAX_DEPTH = 100

/** A variable that the configuration defines, or that scripts and `set` may write. */
interface Defined {
  readonly get: VariableGetter
  readonly set: (x: Exchange, value: string) => void
}

export class RequestBinder implements Binder {
  readonly #slots = new Map<string, number>()
  readonly #defined = new Map<string, Defined>()
  readonly #regexes = new Map<string, RegExp>()
  /** Names of captures: without a value they are "not found", not uninitialized. */
  readonly #captured = new Set<string>()
  /** Computed variables that are not compiled yet: they may name each other in any order. */
  readonly #pending: (() => void)[] = []
  /** Evaluations that may still nest. Evaluating is synchronous: one count does for all requests. */
  #depth = MAX_DEPTH

  constructor(model: VariableModel) {
    for (const name of model.variables) this.slot(name)
    for (const map of model.maps) this.#define(map.variable, map.volatile, () => compileMap(map, this))
    for (const geo of model.geos) this.#define(geo.variable, false, () => compileGeo(geo, this))
    for (const split of model.splitClients)
      this.#define(split.variable, false, () => compileSplitClients(split, this))
    for (const compile of this.#pending.splice(0)) compile()
  }

  // ---- templates ----

  bind(template: Template): Getter {
    return this.bindParts(template.parts)
  }

  /**
   * As `bind`, with another meaning of `$1`…`$9` (the rewrite module escapes captures here and there).
   * @throws Error that names an unknown variable
   */
  bindParts(parts: readonly TemplatePart[], capture: (n: number) => VariableGetter = captureGetter): Getter {
    const texts: string[] = ['']
    const getters: VariableGetter[] = []
    for (const part of parts) {
      if (typeof part === 'string') {
        texts[texts.length - 1] += part
        continue
      }
      const n = captureNumber(part.variable)
      getters.push(n > 0 ? capture(n) : this.required(part.variable))
      texts.push('')
    }
    return concatenation(texts, getters)
  }

  constant(template: Template): string | null {
    let text = ''
    for (const part of template.parts) {
      if (typeof part !== 'string') return null
      text += part
    }
    return text
  }

  // ---- regular expressions ----

  pattern(pattern: Pattern): RegExp {
    const key = `${pattern.flags}/${pattern.source}`
    let regex = this.#regexes.get(key)
    if (regex === undefined) this.#regexes.set(key, (regex = new RegExp(pattern.source, pattern.flags)))
    return regex
  }

  /** A pattern whose captures become variables of the request. */
  matcher(pattern: Pattern): Matcher {
    for (const name of pattern.names) this.#captured.add(name)
    return new Matcher(
      this.pattern(pattern),
      pattern.names,
      pattern.names.map((name) => this.slot(name)),
    )
  }

  // ---- variables ----

  slot(name: string): number {
    const key = name.toLowerCase()
    const known = this.#slots.get(key)
    if (known !== undefined) return known
    const slot = this.#slots.size
    this.#slots.set(key, slot)
    this.#defined.set(key, this.#settable(key, slot))
    return slot
  }

  getter(name: string): VariableGetter | null {
    const key = name.toLowerCase()
    const n = captureNumber(key)
    if (n > 0) return captureGetter(n)
    return this.#defined.get(key)?.get ?? builtinVariable(key)?.get ?? null
  }

  /** @throws Error that names an unknown variable */
  required(name: string): VariableGetter {
    const getter = this.getter(name)
    if (getter === null) throw new Error(`unknown variable "$${name}"`)
    return getter
  }

  /** Writes a variable, or null if nothing may. */
  setter(name: string): ((x: Exchange, value: string) => void) | null {
    const key = name.toLowerCase()
    return builtinVariable(key)?.set ?? this.#defined.get(key)?.set ?? null
  }

  variable(name: string): VariableAccess | null {
    const get = this.getter(name)
    if (get === null) return null
    const set = this.setter(name)
    return {
      get: (request: HookRequest) => get(request as Exchange),
      set: set === null ? null : (request: HookRequest, value: string) => set(request as Exchange, value),
    }
  }

  /**
   * A variable without a definition of its own: it has the value that `set` or a capture gave it; before that, what
   * a built-in variable of its name has (`set $http_x`), else it is uninitialized.
   */
  #settable(name: string, slot: number): Defined {
    const builtin = builtinVariable(name)
    const get: VariableGetter =
      builtin === null
        ? (x) => x.values[slot] ?? this.#uninitialized(x, name, slot)
        : (x) => x.values[slot] ?? builtin.get(x)
    return {
      get: builtin === null || builtin.set === null ? get : builtin.get,
      set: (x, value) => {
        x.values[slot] = value
      },
    }
  }

  #uninitialized(x: Exchange, name: string, slot: number): string | undefined {
    if (this.#captured.has(name)) return undefined
    x.values[slot] = ''
    if (x.location.settings.uninitializedVariableWarn) {
      x.log('warn', `using uninitialized "${name}" variable`)
    }
    return ''
  }

  /** A computed variable: evaluated at most once for a request unless volatile; a value set by hand stays. */
  #define(name: string, volatile: boolean, compile: () => VariableGetter): void {
    const slot = this.slot(name)
    let evaluate: VariableGetter = () => undefined
    const get: VariableGetter = (x) => {
      const known = x.values[slot]
      if (known !== undefined) return known
      const value = this.#evaluate(x, name, evaluate)
      if (!volatile && value !== undefined) x.values[slot] = value
      return value
    }
    this.#defined.set(name.toLowerCase(), { get, set: this.#settable(name, slot).set })
    this.#pending.push(() => {
      evaluate = compile()
    })
  }

  #evaluate(x: Exchange, name: string, evaluate: VariableGetter): string | undefined {
    if (this.#depth === 0) {
      x.log('error', `cycle while evaluating variable "${name}"`)
      return undefined
    }
    this.#depth--
    try {
      return evaluate(x)
    } finally {
      this.#depth++
    }
  }
}

/** 1-9 for the names of captures, else 0. */
function captureNumber(name: string): number {
  if (name.length !== 1) return 0
  const n = name.charCodeAt(0) - 0x30
  return n >= 1 && n <= 9 ? n : 0
}

function captureGetter(n: number): VariableGetter {
  return (x) => (x.captures === null ? undefined : x.captures[n])
}

/** `texts[0] getters[0] texts[1] …`, unrolled for the short ones that configurations are full of. */
function concatenation(texts: readonly string[], getters: readonly VariableGetter[]): Getter {
  const [first, second = '', third = '', fourth = ''] = texts
  const [a, b, c] = getters
  switch (getters.length) {
    case 0:
      return () => first
    case 1:
      if (first === '' && second === '') return (x) => a(x) ?? ''
      return (x) => first + (a(x) ?? '') + second
    case 2:
      return (x) => first + (a(x) ?? '') + second + (b(x) ?? '') + third
    case 3:
      return (x) => first + (a(x) ?? '') + second + (b(x) ?? '') + third + (c(x) ?? '') + fourth
    default:
      return (x) => {
        let text = first
        for (let i = 0; i < getters.length; i++) text += (getters[i](x) ?? '') + texts[i + 1]
        return text
      }
  }
}
