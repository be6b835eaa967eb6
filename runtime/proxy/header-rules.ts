/** `add_header`, `add_trailer` and `expires` on a response head (ngx_http_headers_filter_module). */
import { Field, fieldId } from '../http1/fields.ts'
import type { Exchange } from './exchange.ts'
import { compileExpires } from './expires.ts'
import type { Binder, Effective, HeaderRules } from './plan.ts'

/**
 * The rules of one location, or null when it has none.
 * @throws Error for a field that frames the message: a configuration cannot set those.
 */
export function compileHeaderRules(settings: Effective, binder: Binder): HeaderRules | null {
  const headers = settings.addHeaders.map(({ name, value, always }) => {
    refuseFraming('add_header', name)
    const id = fieldId(name)
    return {
      name,
      value: binder.bind(value),
      always,
      replaces: id === Field.ETAG || id === Field.LAST_MODIFIED,
    }
  })
  const trailers = settings.addTrailers.map(({ name, value, always }) => {
    refuseFraming('add_trailer', name)
    return { name, value: binder.bind(value), always }
  })
  const expires = compileExpires(settings.expires, binder)
  return headers.length === 0 && trailers.length === 0 && expires === null
    ? null
    : { headers, trailers, expires }
}

function refuseFraming(directive: string, name: string): void {
  const id = fieldId(name)
  if (id === Field.CONTENT_LENGTH || id === Field.TRANSFER_ENCODING) {
    throw new Error(`${directive} cannot set "${name}": it frames the message; remove the line`)
  }
}

/**
 * Applies the rules to a head that is not sent yet. When trailers are to follow, `x.trailers` becomes an empty list,
 * which asks for a framing that has room for them; {@link fillTrailers} puts them in.
 */
export function applyHeaderRules(x: Exchange, rules: HeaderRules): void {
  const usual = isUsual(x.status)
  if (rules.expires !== null && usual) rules.expires(x)
  for (const rule of rules.headers) {
    if (!usual && !rule.always) continue
    const value = safe(rule.value(x))
    if (rule.replaces) replace(x, rule.name, value)
    else if (value !== '') x.headers.add(rule.name, value)
  }
  if (rules.trailers.some((rule) => usual || rule.always)) x.trailers ??= []
}

/** Evaluates the trailers at the end of the body, when every variable has its last value. */
export function fillTrailers(x: Exchange, rules: HeaderRules): void {
  const { trailers } = x
  if (trailers === null) return
  const usual = isUsual(x.status)
  for (const rule of rules.trailers) {
    if (!usual && !rule.always) continue
    const value = safe(rule.value(x))
    if (value !== '') trailers.push([rule.name, value])
  }
}

/** The statuses that rules without `always` apply to. */
function isUsual(status: number): boolean {
  switch (status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
      return true
    default:
      return false
  }
}

const CONTROL = /[\r\n\0]/
const CONTROLS = /[\r\n\0]/g

/** A variable may hold what a client sent, decoded: a line feed in it would be another field, or another response. */
function safe(value: string): string {
  return CONTROL.test(value) ? value.replace(CONTROLS, '') : value
}

function replace(x: Exchange, name: string, value: string): void {
  const { headers } = x
  if (fieldId(name) === Field.LAST_MODIFIED) {
    headers.lastModified = value === '' ? null : value
    return
  }
  headers.remove(name)
  if (value !== '') headers.add(name, value)
}
