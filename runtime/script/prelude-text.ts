/**
 * The part of the prelude that turns values and errors into text.
 * GUEST code: see `prelude.ts`.
 */

export interface GuestText {
  describe(error: unknown): string
  format(values: unknown[]): string
  inspect(value: unknown): string
  makeError(kind: string, message: string): Error
}

export function textPrelude(): GuestText {
  const { apply } = Reflect
  const { keys } = Object
  const { isArray } = Array
  const { isView } = ArrayBuffer
  const Failure = Error
  const Mistake = TypeError
  const Range = RangeError
  const slice = String.prototype.slice
  /** Stack, U+0001, message: what `readFault` of the host reads. */
  function describe(error: unknown): string {
    try {
      if (!(error instanceof Failure)) return `\u0001thrown: ${short(inspect(error, 0, []))}`
      const { stack } = error
      return `${typeof stack === 'string' ? short(stack) : ''}\u0001${short(titleOf(error))}`
    } catch {
      return '\u0001an error that cannot be described'
    }
  }

  function titleOf({ name, message }: Error): string {
    return message === '' ? text(name) : `${text(name)}: ${text(message)}`
  }

  const short = (line: string): string =>
    line.length > MAX_TEXT ? (apply(slice, line, [0, MAX_TEXT]) as string) : line
  const text = (value: unknown): string => (typeof value === 'string' ? value : inspect(value, 0, []))

  function makeError(kind: string, message: string): Error {
    if (kind === 'TypeError') return new Mistake(message)
    return kind === 'RangeError' ? new Range(message) : new Failure(message)
  }

  const MAX_TEXT = 4096
  const MAX_ITEMS = 100

  function format(values: unknown[]): string {
    let line = ''
    for (let i = 0; i < values.length && line.length < MAX_TEXT; i++) {
      const value = values[i]
      line += (i > 0 ? ' ' : '') + (typeof value === 'string' ? value : inspect(value, 2, []))
    }
    return short(line)
  }

  function inspect(value: unknown, depth: number, above: unknown[]): string {
    if (typeof value === 'string') return quote(value)
    if (typeof value === 'bigint') return `${value}n`
    if (typeof value === 'symbol') return 'a symbol'
    if (typeof value === 'function') return `[function ${typeof value.name === 'string' ? value.name : ''}]`
    if (typeof value !== 'object' || value === null) return `${value}`
    for (let i = 0; i < above.length; i++) if (above[i] === value) return '[circular]'
    if (value instanceof Failure) return `${titleOf(value)}\n${value.stack}`
    if (depth < 0) return isArray(value) ? '[...]' : '{...}'
    return inspectObject(value, depth, [value, above])
  }

  function inspectObject(value: object, depth: number, chainAbove: [unknown, unknown[]]): string {
    const above: unknown[] = []
    for (let i = 0; i < chainAbove[1].length; i++) above[i] = chainAbove[1][i]
    above[above.length] = chainAbove[0]
    const show = (item: unknown): string => inspect(item, depth - 1, above)
    if (value instanceof Date || value instanceof RegExp) return `${value}`
    if (value instanceof Map)
      return `Map(${value.size}) ${list(entriesOf(value), ([k, v]) => `${show(k)} => ${show(v)}`)}`
    if (value instanceof Set) return `Set(${value.size}) ${list(entriesOf(value), ([k]) => show(k))}`
    if (value instanceof Promise) return 'Promise {}'
    if (isArray(value)) return `[${items(value.length, (i) => show(value[i]))}]`
    if (isView(value) && 'length' in value) {
      const bytes = value as unknown as number[]
      return `[${items(bytes.length, (i) => `${bytes[i]}`)}]`
    }
    const names = keys(value)
    if (names.length === 0) return '{}'
    return `{ ${items(names.length, (i) => `${plain(names[i])}: ${show((value as Record<string, unknown>)[names[i]])}`)} }`
  }

  function entriesOf(collection: Map<unknown, unknown> | Set<unknown>): [unknown, unknown][] {
    const all: [unknown, unknown][] = []
    for (const [key, value] of collection.entries()) all[all.length] = [key, value]
    return all
  }

  const list = (all: [unknown, unknown][], show: (entry: [unknown, unknown]) => string): string =>
    `{ ${items(all.length, (i) => show(all[i]))} }`

  function items(count: number, show: (index: number) => string): string {
    let line = ''
    for (let i = 0; i < count; i++) {
      if (i === MAX_ITEMS || line.length > MAX_TEXT) return `${line}, and ${count - i} more`
      line += (i > 0 ? ', ' : '') + show(i)
    }
    return line
  }

  const { stringify } = JSON
  const quote = (value: string): string => stringify(value)
  const identifier = /^[A-Za-z_$][\w$]*$/
  const test = RegExp.prototype.test
  const plain = (name: string): string => (apply(test, identifier, [name]) ? name : quote(name))

  return { describe, format, inspect: (value) => inspect(value, 0, []), makeError }
}
