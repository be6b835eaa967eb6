/**
 * The part of the prelude that lays out the values of a log line as `util.format` of Node does. Compiled when a script
 * first logs more than plain texts. GUEST code: see `prelude.ts`.
 */
import type { GuestInspector } from './prelude-inspect.ts'
import type { GuestJson } from './prelude-json.ts'

export interface GuestFormatter {
  format(values: unknown[]): string
  inspect(value: unknown): string
}

export function formatPrelude({ inspect }: GuestInspector, json: GuestJson): GuestFormatter {
  const MAX_TEXT = 4096
  /** Objects within objects that a log line shows. */
  const DEPTH = 4

  const { apply } = Reflect
  const toNumber = Number
  const toFloat = Number.parseFloat
  const { trunc } = Math
  const slice = String.prototype.slice
  const indexOf = String.prototype.indexOf
  const part = (line: string, from: number, to: number): string => apply(slice, line, [from, to]) as string

  function format(values: unknown[]): string {
    const first = values[0]
    let line = ''
    let next = 0
    if (typeof first === 'string' && values.length > 1) {
      line = filled(first, values)
      next = used
    }
    for (; next < values.length && line.length < MAX_TEXT; next++) {
      const value = values[next]
      line += (next > 0 ? ' ' : '') + (typeof value === 'string' ? value : inspect(value, DEPTH))
    }
    return line
  }

  /** Values that the last template took, itself included. */
  let used = 0

  function filled(template: string, values: unknown[]): string {
    let line = ''
    let from = 0
    used = 1
    for (;;) {
      const at = apply(indexOf, template, ['%', from]) as number
      if (at < 0 || line.length > MAX_TEXT) return line + part(template, from, template.length)
      const directive = part(template, at + 1, at + 2)
      const shown =
        directive === '%' ? '%' : used < values.length ? filling(directive, values[used]) : undefined
      line += part(template, from, at)
      from = at + 2
      if (shown === undefined) line += `%${directive}`
      else line += shown
      if (shown !== undefined && directive !== '%') used++
    }
  }

  /** undefined: that is no directive. */
  function filling(directive: string, value: unknown): string | undefined {
    switch (directive) {
      case 's':
        return typeof value === 'string' ? value : inspect(value, 0)
      case 'd':
        return numberText(value, toNumber)
      case 'i':
        return numberText(value, (text) => trunc(toFloat(text)))
      case 'f':
        return numberText(value, toFloat)
      case 'j':
        return json(value)
      case 'o':
      case 'O':
        return inspect(value, DEPTH)
      case 'c':
        return ''
      default:
        return undefined
    }
  }

  /** Objects would have to be asked for their number. */
  function numberText(value: unknown, read: (text: string) => number): string {
    if (typeof value === 'bigint') return `${value}n`
    if (typeof value === 'object' || typeof value === 'function' || typeof value === 'symbol') return 'NaN'
    return inspect(read(value as string), 0)
  }

  return { format, inspect: (value) => inspect(value, 0) }
}
