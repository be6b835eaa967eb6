/**
 * The part of the prelude that writes the JSON of `%j`: of what can be read without running anything of the script's,
 * in bounds. GUEST code: see `prelude.ts`.
 */
import type { Door } from './prelude.ts'

/** JSON, cut where it is too long; `undefined` where there is none of a value. */
export type GuestJson = (value: unknown) => string

export function jsonPrelude(door: Door): GuestJson {
  const MAX_TEXT = 4096
  const MAX_OBJECTS = 1000
  const { apply, ownKeys, getOwnPropertyDescriptor: describe } = Reflect
  const { is } = Object
  const { stringify } = JSON
  const isoOf = Date.prototype.toISOString
  const timeOf = Date.prototype.getTime
  const kindOf = door.classOf as (value: unknown) => number
  const PROXY = kindOf(new Proxy({}, {}))
  const ARRAY = kindOf([])
  const DATE = kindOf(new Date())
  /** What is left of one call. */
  let objects = 0
  let text = 0

  type Above = { value: object; above: Above } | null

  function spend(part: string): string {
    text -= part.length
    return part
  }

  function write(value: unknown, above: Above): string | undefined {
    if (typeof value === 'bigint') return spend(`${value}`)
    if (typeof value === 'symbol' || typeof value === 'function' || value === undefined) return undefined
    if (typeof value !== 'object' || value === null) return spend(stringify(value))
    for (let at = above; at !== null; at = at.above) if (at.value === value) return '"[Circular]"'
    const kind = kindOf(value)
    if (objects-- <= 0 || text <= 0 || kind === PROXY) return '"..."'
    if (kind === DATE) return timeText(value)
    return kind === ARRAY ? arrayText(value, { value, above }) : objectText(value, { value, above })
  }

  const timeText = (date: object): string =>
    is(apply(timeOf, date, []), Number.NaN) ? 'null' : `"${apply(isoOf, date, [])}"`

  function arrayText(value: object, above: Above): string {
    const length = describe(value, 'length')!.value as number
    let line = ''
    for (let i = 0; i < length && text > 0; i++) {
      const item = describe(value, i)
      const shown = item !== undefined && 'value' in item ? write(item.value, above) : undefined
      line = `${line}${i > 0 ? ',' : ''}${shown ?? spend('null')}`
    }
    return `[${line}]`
  }

  function objectText(value: object, above: Above): string {
    const names = ownKeys(value)
    let line = ''
    for (let i = 0; i < names.length && text > 0; i++) {
      const name = names[i]
      const property = typeof name === 'string' ? describe(value, name) : undefined
      const shown = property?.enumerable && 'value' in property ? write(property.value, above) : undefined
      if (shown !== undefined) line += `${line === '' ? '' : ','}${spend(stringify(name))}:${shown}`
    }
    return `{${line}}`
  }

  return (value) => {
    objects = MAX_OBJECTS
    text = MAX_TEXT
    return write(value, null) ?? 'undefined'
  }
}
