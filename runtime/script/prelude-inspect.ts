/**
 * The part of the prelude that shows values as Node's `util.inspect` does, in small. It looks at what a value is and not
 * at what it says of itself: no getter, no trap of a proxy, no `toString` or `toJSON` of a script's is run by it.
 * Compiled when a script first logs more than plain texts: a script that has replaced builtins until then sees its own
 * lines changed, and nobody else's. GUEST code: see `prelude.ts`.
 */
import type { Door } from './prelude.ts'

export interface GuestInspector {
  /** In one line. Objects within objects to this depth. */
  inspect(value: unknown, depth: number): string
}

/** How the host's own objects look. */
export interface Known {
  /** Those whose prototype this is. `view` may throw. */
  readonly types: { readonly prototype: object; readonly name: string; view(value: object): object }[]
  /** Those that are proxies: an object to show instead, or undefined for a stranger. */
  proxy: (value: object) => { readonly name: string; readonly view: object } | undefined
}

export function inspectPrelude(door: Door, known: Known): GuestInspector {
  const MAX_TEXT = 4096
  const MAX_STRING = 1000
  const MAX_ITEMS = 100
  const MAX_KEYS = 1000
  /** Objects that are looked at in one call. */
  const MAX_OBJECTS = 1000
  const MAX_PROTOTYPES = 16

  const { apply, ownKeys, getOwnPropertyDescriptor: describe, getPrototypeOf } = Reflect
  const { is } = Object
  const { stringify } = JSON
  const kindOf = door.classOf as (value: unknown) => number
  const stateOf = door.promiseState as (value: unknown) => number
  const getterOf = (of: object, name: PropertyKey) => describe(of, name)!.get!
  const slice = String.prototype.slice
  const exec = RegExp.prototype.exec
  const split = String.prototype.split
  const sourceOf = Function.prototype.toString
  const descriptionOf = getterOf(Symbol.prototype, 'description')
  const isoOf = Date.prototype.toISOString
  const timeOf = Date.prototype.getTime
  const patternOf = getterOf(RegExp.prototype, 'source')
  const FLAGS: [string, () => unknown][] = [
    ['d', getterOf(RegExp.prototype, 'hasIndices')],
    ['g', getterOf(RegExp.prototype, 'global')],
    ['i', getterOf(RegExp.prototype, 'ignoreCase')],
    ['m', getterOf(RegExp.prototype, 'multiline')],
    ['s', getterOf(RegExp.prototype, 'dotAll')],
    ['u', getterOf(RegExp.prototype, 'unicode')],
    ['v', getterOf(RegExp.prototype, 'unicodeSets')],
    ['y', getterOf(RegExp.prototype, 'sticky')],
  ]
  const mapEntries = Map.prototype.entries
  const setValues = Set.prototype.values
  const nextEntry = (new Map().entries() as { next: () => unknown }).next
  const nextValue = (new Set().values() as { next: () => unknown }).next
  const mapSize = getterOf(Map.prototype, 'size')
  const setSize = getterOf(Set.prototype, 'size')
  const typedArray = getPrototypeOf(Uint8Array.prototype)!
  const lengthOf = getterOf(typedArray, 'length')
  const typeOf = getterOf(typedArray, Symbol.toStringTag)
  const bufferLength = getterOf(ArrayBuffer.prototype, 'byteLength')
  const isView = ArrayBuffer.isView
  const identifier = /^[A-Za-z_$][\w$]*$/
  const control = /[\\'\x00-\x1f\x7f-\x9f]/

  const PROXY = kindOf(new Proxy({}, {}))
  const ARRAY = kindOf([])
  const ERROR = kindOf(new Error())
  const MAP = kindOf(new Map())
  const SET = kindOf(new Set())
  const DATE = kindOf(new Date())
  const REGEXP = kindOf(/x/)
  const PROMISE = kindOf(Promise.resolve())
  const BUFFER = kindOf(new ArrayBuffer(0))
  const VIEW = kindOf(new DataView(new ArrayBuffer(0)))
  const HIDDEN = [kindOf(new WeakMap()), kindOf(new WeakSet()), kindOf(new WeakRef({}))]
  const FUNCTIONS: [kind: number, name: string][] = [
    [kindOf(async () => {}), 'AsyncFunction'],
    [kindOf(function* () {}), 'GeneratorFunction'],
    [kindOf(async function* () {}), 'AsyncGeneratorFunction'],
  ]

  const { types } = known
  /** What is left of one call. */
  let objects = 0
  let text = 0

  // ---- reading without running anything ----

  /** An own property that is a value, else undefined. */
  function own(value: object, key: PropertyKey): unknown {
    const property = describe(value, key)
    return property !== undefined && 'value' in property ? property.value : undefined
  }

  /** The same, its prototypes' included. */
  function found(value: object, key: PropertyKey): unknown {
    let at: object | null = value
    for (let i = 0; at !== null && i < MAX_PROTOTYPES && kindOf(at) !== PROXY; i++) {
      const property = describe(at, key)
      if (property !== undefined) return 'value' in property ? property.value : undefined
      at = getPrototypeOf(at)
    }
    return undefined
  }

  function classNameOf(value: object): string {
    let at = getPrototypeOf(value)
    if (at === null) return '[Object: null prototype]'
    for (let i = 0; at !== null && i < MAX_PROTOTYPES && kindOf(at) !== PROXY; i++) {
      const type = own(at, 'constructor')
      const name = typeof type === 'function' && kindOf(type) !== PROXY ? own(type, 'name') : undefined
      if (typeof name === 'string' && name !== '') return name
      at = getPrototypeOf(at)
    }
    return 'Object'
  }

  const matches = (pattern: RegExp, value: string): boolean => apply(exec, pattern, [value]) !== null
  const cut = (value: string, length: number): string => apply(slice, value, [0, length]) as string

  // ---- simple values ----

  function quote(value: string): string {
    const rest = value.length - MAX_STRING
    const shown = rest > 0 ? cut(value, MAX_STRING) : value
    const quoted = matches(control, shown) ? stringify(shown) : `'${shown}'`
    return rest > 0 ? `${quoted}... ${rest} more characters` : quoted
  }

  function symbolText(value: symbol): string {
    const description = apply(descriptionOf, value, [])
    return `Symbol(${description === undefined ? '' : description})`
  }

  function functionText(value: object): string {
    const name = own(value, 'name')
    const named = typeof name === 'string' && name !== '' ? name : ''
    const kind = kindOf(value)
    if (cut(apply(sourceOf, value, []), 6) === 'class ') return `[class ${named || '(anonymous)'}]`
    let type = 'Function'
    for (let i = 0; i < FUNCTIONS.length; i++) if (kind === FUNCTIONS[i][0]) type = FUNCTIONS[i][1]
    return named === '' ? `[${type} (anonymous)]` : `[${type}: ${cut(named, MAX_STRING)}]`
  }

  function simple(value: unknown): string {
    switch (typeof value) {
      case 'string':
        return quote(value)
      case 'number':
        return is(value, -0) ? '-0' : `${value}`
      case 'bigint':
        return `${value}n`
      case 'symbol':
        return symbolText(value)
      case 'function':
        return kindOf(value) === PROXY ? '[Proxy]' : functionText(value)
      default:
        return `${value}`
    }
  }

  // ---- objects ----

  type Above = { value: object; above: Above } | null

  function show(value: unknown, depth: number, above: Above): string {
    if (typeof value !== 'object' || value === null) return spend(simple(value))
    for (let at = above; at !== null; at = at.above) if (at.value === value) return '[Circular]'
    if (objects-- <= 0 || text <= 0) return '...'
    const kind = kindOf(value)
    if (kind === PROXY) {
      const ours = known.proxy(value)
      return ours === undefined ? '[Proxy]' : named(ours.name, ours.view, depth, { value, above })
    }
    return objectText(value, kind, depth, { value, above })
  }

  function spend(part: string): string {
    text -= part.length
    return part
  }

  function objectText(value: object, kind: number, depth: number, above: Above): string {
    if (kind === DATE)
      return is(apply(timeOf, value, []), Number.NaN) ? 'Invalid Date' : (apply(isoOf, value, []) as string)
    if (kind === REGEXP) return regExpText(value)
    if (kind === PROMISE) return `Promise { <${['pending', 'fulfilled', 'rejected'][stateOf(value)]}> }`
    for (let i = 0; i < types.length; i++) {
      if (types[i].prototype === getPrototypeOf(value)) return knownText(types[i], value, depth, above)
    }
    if (kind === ERROR) return errorText(value, depth, above)
    const name = classNameOf(value)
    if (depth < 0) return kind === ARRAY ? '[Array]' : `[${name}]`
    if (kind === ARRAY) return arrayText(value as unknown[], name, depth, above)
    if (kind === MAP) return `${name}(${apply(mapSize, value, [])}) ${mapText(value, depth, above)}`
    if (kind === SET) return `${name}(${apply(setSize, value, [])}) ${setText(value, depth, above)}`
    if (kind === BUFFER) return `${name} { byteLength: ${apply(bufferLength, value, [])} }`
    if (kind !== VIEW && isView(value)) return bytesText(value, name)
    for (let i = 0; i < HIDDEN.length; i++) if (kind === HIDDEN[i]) return `${name} { <unknown> }`
    return named(name === 'Object' ? '' : name, value, depth, above)
  }

  function knownText(of: Known['types'][number], value: object, depth: number, above: Above): string {
    try {
      return depth < 0 ? `[${of.name}]` : named(of.name, of.view(value), depth, above)
    } catch {
      return `${of.name} { <over> }`
    }
  }

  const between = (name: string, open: string, inner: string, close: string): string =>
    `${name === '' ? '' : `${name} `}${inner === '' ? `${open}${close}` : `${open} ${inner} ${close}`}`

  function named(name: string, value: object, depth: number, above: Above): string {
    if (depth < 0) return `[${name || 'Object'}]`
    return between(name, '{', propertiesText(value, depth, above, ''), '}')
  }

  function propertiesText(value: object, depth: number, above: Above, line: string): string {
    const names = ownKeys(value)
    let shown = 0
    for (let i = 0; i < names.length; i++) {
      const property = propertyOf(value, names[i])
      if (property === undefined || property.enumerable === false) continue
      if (shown++ === MAX_ITEMS || i === MAX_KEYS || text <= 0) return `${line}, ... ${names.length - i} more`
      line += `${line === '' ? '' : ', '}${keyText(names[i])}: ${propertyText(property, depth, above)}`
    }
    return line
  }

  /** A name of a module that has no value yet throws. */
  function propertyOf(value: object, key: PropertyKey): PropertyDescriptor | undefined {
    try {
      return describe(value, key)
    } catch {
      return undefined
    }
  }

  function propertyText(property: PropertyDescriptor, depth: number, above: Above): string {
    if ('value' in property) return show(property.value, depth - 1, above)
    if (property.get === undefined) return '[Setter]'
    return property.set === undefined ? '[Getter]' : '[Getter/Setter]'
  }

  function keyText(key: string | symbol): string {
    if (typeof key === 'symbol') return spend(`[${symbolText(key)}]`)
    return spend(matches(identifier, key) ? key : quote(key))
  }

  function arrayText(value: unknown[], name: string, depth: number, above: Above): string {
    const length = own(value, 'length') as number
    let line = ''
    let empty = 0
    let i = 0
    for (; i < length && i < MAX_ITEMS && text > 0; i++) {
      const property = describe(value, i)
      if (property === undefined) {
        empty++
        continue
      }
      line = add(line, holes(empty))
      line = add(line, propertyText(property, depth, above))
      empty = 0
    }
    line = add(line, holes(empty))
    if (i < length) line = add(line, `... ${length - i} more`)
    return between(name === 'Array' ? '' : `${name}(${length})`, '[', line, ']')
  }

  const holes = (count: number): string => (count === 0 ? '' : `<${count} empty>`)
  const add = (line: string, part: string): string =>
    line === '' || part === '' ? line + part : `${line}, ${part}`

  function bytesText(value: object, name: string): string {
    const length = apply(lengthOf, value, []) as number
    let line = ''
    let i = 0
    for (; i < length && i < MAX_ITEMS && text > 0; i++) {
      line = add(line, spend(simple((value as unknown as ArrayLike<unknown>)[i])))
    }
    if (i < length) line = add(line, `... ${length - i} more`)
    return between(`${name === 'Object' ? apply(typeOf, value, []) : name}(${length})`, '[', line, ']')
  }

  type Step = { done: boolean; value: unknown }

  function mapText(value: object, depth: number, above: Above): string {
    const entries = apply(mapEntries, value, [])
    let line = ''
    for (let i = 0; ; i++) {
      const { done, value: entry } = apply(nextEntry, entries, []) as Step
      if (done) return between('', '{', line, '}')
      if (i === MAX_ITEMS || text <= 0) return between('', '{', add(line, '...'), '}')
      const pair = entry as [unknown, unknown]
      line = add(line, `${show(pair[0], depth - 1, above)} => ${show(pair[1], depth - 1, above)}`)
    }
  }

  function setText(value: object, depth: number, above: Above): string {
    const values = apply(setValues, value, [])
    let line = ''
    for (let i = 0; ; i++) {
      const { done, value: item } = apply(nextValue, values, []) as Step
      if (done) return between('', '{', line, '}')
      if (i === MAX_ITEMS || text <= 0) return between('', '{', add(line, '...'), '}')
      line = add(line, show(item, depth - 1, above))
    }
  }

  function regExpText(value: object): string {
    let flags = ''
    for (let i = 0; i < FLAGS.length; i++) if (apply(FLAGS[i][1], value, [])) flags += FLAGS[i][0]
    return `/${apply(patternOf, value, [])}/${flags}`
  }

  // ---- errors ----

  function titleOf(error: object): string {
    const name = found(error, 'name')
    const message = found(error, 'message')
    const title = typeof name === 'string' ? name : 'Error'
    return typeof message === 'string' && message !== '' ? `${title}: ${message}` : title
  }

  /** `TypeError: no, at pick (ring.js:3:12), at access (main.js:7:3) { code: 5, cause: … }` */
  function errorText(error: object, depth: number, above: Above): string {
    let line = titleOf(error)
    const told = own(error, 'stack')
    const stack = apply(split, typeof told === 'string' ? told : '', ['\n', 9]) as string[]
    for (let i = 0; i < stack.length; i++) {
      const frame = apply(exec, /^ *(at (?!.*sluice:prelude).*)/, [stack[i]]) as string[] | null
      if (frame !== null) line += `, ${frame[1]}`
    }
    spend(line)
    if (depth < 0) return `[${line}]`
    let more = propertiesText(error, depth, above, '')
    const hidden = ['cause', 'errors']
    for (let i = 0; i < hidden.length; i++) {
      const property = describe(error, hidden[i])
      if (property === undefined || property.enumerable) continue
      more = add(more, `[${hidden[i]}]: ${propertyText(property, depth, above)}`)
    }
    return more === '' ? line : `${line} { ${more} }`
  }

  return {
    inspect(value, depth) {
      objects = MAX_OBJECTS
      text = MAX_TEXT
      return show(value, depth, null)
    },
  }
}
