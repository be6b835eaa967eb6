/**
 * Variables named after something in the request: `$arg_NAME`, `$cookie_NAME`, `$http_NAME`. On the hot path of
 * `hash $arg_userId`: no regular expression, nothing parsed but what is asked for (`test/bench/micro-variables.ts`).
 */
import { Field, fieldId } from '../http1/fields.ts'
import { hasAt } from '../lib/ascii.ts'
import { octetAt } from '../lib/octet-at.ts'
import type { FieldEdits } from './field-edits.ts'
import type { VariableGetter } from './plan.ts'

const EQUALS = 0x3d
const SPACE = 0x20

/**
 * `$arg_NAME` (ngx_http_arg): the first argument of that name in any case; it must have a `=`, and its value is as
 * sent: not decoded, `+` kept.
 */
export function argumentVariable(name: string): VariableGetter {
  if (name === '') return () => undefined
  return (x) => findArgument(x.args, name)
}

function findArgument(args: string, name: string): string | undefined {
  const length = name.length
  let at = 0
  while (args.length - at > length) {
    if (octetAt(args, at + length) === EQUALS && hasAt(args, at, name)) {
      const end = args.indexOf('&', at + length + 1)
      return end < 0 ? args.slice(at + length + 1) : args.slice(at + length + 1, end)
    }
    at = args.indexOf('&', at) + 1
    if (at === 0) return undefined
  }
  return undefined
}

/** `$cookie_NAME`: the first cookie of that name in any case. */
export function cookieVariable(name: string): VariableGetter {
  return (x) => {
    const { requestHeaders } = x
    const { block } = requestHeaders
    if (requestHeaders.hidden !== null || requestHeaders.extra !== null) {
      return firstCookie(requestHeaders.valuesOf('cookie'), name)
    }
    for (let i = block!.find(Field.COOKIE); i >= 0; i = block!.find(Field.COOKIE, i + 1)) {
      const value = findCookie(block!.value(i), name)
      if (value !== undefined) return value
    }
    return undefined
  }
}

function firstCookie(values: readonly string[], name: string): string | undefined {
  for (const value of values) {
    const found = findCookie(value, name)
    if (found !== undefined) return found
  }
  return undefined
}

/** The value of `name` in `a=1; b=2`, as sent. Blanks around the name's `=` do not count. */
function findCookie(text: string, name: string): string | undefined {
  let at = 0
  while (at < text.length) {
    const value = cookieValueAt(text, at, name)
    if (value !== undefined) return value
    const next = text.indexOf(';', at)
    if (next < 0) return undefined
    at = skipSpaces(text, next + 1)
  }
  return undefined
}

/** The value of the pair at `start` if it has this name (lower case): what `$cookie_` and `$upstream_cookie_` share. */
export function cookieValueAt(text: string, start: number, name: string): string | undefined {
  if (!hasAt(text, start, name)) return undefined
  const equals = skipSpaces(text, start + name.length)
  if (octetAt(text, equals) !== EQUALS) return undefined
  const from = skipSpaces(text, equals + 1)
  const end = text.indexOf(';', from)
  return end < 0 ? text.slice(from) : text.slice(from, end)
}

function skipSpaces(text: string, start: number): number {
  let at = start
  while (octetAt(text, at) === SPACE) at++
  return at
}

/** `$http_NAME`: the field with `-` for `_`; several joined with `, ` (cookies with `; `). */
export function requestFieldVariable(name: string): VariableGetter {
  const known = name.replaceAll('_', '-')
  const id = fieldId(known)
  const separator = id === Field.COOKIE ? '; ' : ', '
  return (x) => {
    const { requestHeaders } = x
    if (id === Field.OTHER) return editedField(requestHeaders, name)
    // Slow path: a script has edited the fields.
    if (requestHeaders.hidden !== null || requestHeaders.extra !== null)
      return requestHeaders.joined(known, separator)
    const block = requestHeaders.block!
    const at = block.find(id)
    if (at < 0) return undefined
    return block.find(id, at + 1) < 0 ? block.value(at) : block.joinedUnderscored(name)
  }
}

/** As `FieldBlock.joinedUnderscored`, over fields that were hidden and added. */
export function editedField(fields: FieldEdits, name: string): string | undefined {
  const { block, hidden, extra } = fields
  if (hidden === null && extra === null) return block === null ? undefined : block.joinedUnderscored(name)
  const separator = name === 'cookie' ? '; ' : ', '
  const values: string[] = []
  if (block !== null) {
    for (let i = 0; i < block.count; i++) {
      if ((hidden === null || hidden[i] === 0) && isUnderscored(block.name(i), name))
        values.push(block.value(i))
    }
  }
  if (extra !== null) {
    for (let i = 0; i < extra.length; i += 2) if (isUnderscored(extra[i], name)) values.push(extra[i + 1])
  }
  return values.length === 0 ? undefined : values.join(separator)
}

/** True for `X-Forwarded-For` and `x_forwarded_for`. */
export function isUnderscored(field: string, name: string): boolean {
  return field.length === name.length && field.toLowerCase().replaceAll('-', '_') === name
}
