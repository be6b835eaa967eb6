/**
 * Takes an upstream's response head over into the exchange: hides what ends at this hop or is configured away,
 * rewrites `Location`, `Refresh` and cookies. Fields that are passed on stay where they stand in the head.
 */
import { Field, type FieldBlock, fieldId } from '../http1/fields.ts'
import type { Exchange } from './exchange.ts'
import { isFraming } from './field-edits.ts'
import { absoluteLocation } from './location-redirect.ts'
import type { Binder, Effective, ProxyTarget, UpstreamResponsePlan } from './plan.ts'
import { compileReplacements, type Replacement, rewriteCookie } from './replacements.ts'
import { type LocationName, nominatedFields } from './upstream-request.ts'

/** ngx_http_proxy_module: not passed on unless `proxy_pass_header` says so. */
const HIDDEN = [
  'date',
  'server',
  'x-pad',
  'x-accel-expires',
  'x-accel-redirect',
  'x-accel-limit-rate',
  'x-accel-buffering',
  'x-accel-charset',
]

const Action = { PASS: 0, HIDE: 1, TAKE: 2 } as const

export function compileUpstreamResponse(
  settings: Effective,
  location: LocationName,
  fixed: ProxyTarget | null,
  binder: Binder,
): UpstreamResponsePlan {
  const shown = new Set(settings.proxyPassHeaders.map((name) => name.toLowerCase()))
  const hidden = [...HIDDEN, ...settings.proxyHideHeaders.map((name) => name.toLowerCase())].filter(
    (name) => !shown.has(name),
  )
  const actions = fieldActions(hidden)
  const otherNames = hidden.filter((name) => fieldId(name) === Field.OTHER)
  const redirects = compileReplacements(settings.proxyRedirects, binder, defaultRedirect(location, fixed))
  const domains = compileReplacements(settings.proxyCookieDomains, binder, null)
  const paths = compileReplacements(settings.proxyCookiePaths, binder, null)

  const take = (x: Exchange, fields: FieldBlock, index: number, id: number): void => {
    const { headers } = x
    const value = fields.value(index)
    switch (id) {
      case Field.CONTENT_TYPE:
        headers.contentType = value
        break
      case Field.LAST_MODIFIED:
        headers.lastModified = value
        break
      case Field.LOCATION:
        headers.location = rewriteLocation(x, value, redirects)
        break
      case Field.REFRESH:
        headers.add('Refresh', rewriteRefresh(x, value, redirects))
        break
      case Field.SET_COOKIE:
        headers.add(fields.name(index), rewriteCookie(x, value, domains, paths))
        break
      case Field.SERVER:
        headers.server = value
        break
      case Field.DATE:
        headers.date = value
        break
      case Field.UPGRADE:
        if (x.status === 101 || x.head.version === 11) headers.add('Upgrade', value)
        break
    }
  }
  if (redirects !== null)
    actions[Field.REFRESH] = actions[Field.REFRESH] === Action.HIDE ? Action.HIDE : Action.TAKE
  if (domains !== null || paths !== null) {
    actions[Field.SET_COOKIE] = actions[Field.SET_COOKIE] === Action.HIDE ? Action.HIDE : Action.TAKE
  }

  return (x, head) => {
    const { fields } = head
    const { headers } = x
    x.status = head.status
    x.statusText = head.reason
    headers.block = fields
    for (let i = 0; i < fields.count; i++) {
      const id = fields.id(i)
      const action = actions[id]
      if (action === Action.PASS) {
        // nginx takes the first `Expires` only.
        if (id === Field.EXPIRES && fields.find(Field.EXPIRES) !== i) headers.hide(i)
        if (id === Field.OTHER && otherNames.length > 0 && isNamed(fields, i, otherNames)) headers.hide(i)
        continue
      }
      headers.hide(i)
      if (action === Action.TAKE) take(x, fields, i, id)
    }
    const nominated = nominatedFields(fields)
    if (nominated === null) return
    for (let i = 0; i < fields.count; i++) if (nominated.has(fields.name(i).toLowerCase())) headers.hide(i)
  }
}

function fieldActions(hidden: readonly string[]): Uint8Array {
  const actions = new Uint8Array(256)
  for (let id = 1; id < 256; id++) if (isFraming(id)) actions[id] = Action.HIDE
  for (const id of [
    Field.CONTENT_TYPE,
    Field.LAST_MODIFIED,
    Field.LOCATION,
    Field.SERVER,
    Field.DATE,
    Field.UPGRADE,
  ]) {
    actions[id] = Action.TAKE
  }
  for (const name of hidden) {
    const id = fieldId(name)
    if (id !== Field.OTHER) actions[id] = Action.HIDE
  }
  return actions
}

function isNamed(fields: FieldBlock, index: number, names: readonly string[]): boolean {
  for (const name of names) if (fields.nameEquals(index, name)) return true
  return false
}

/** `proxy_redirect default`: what proxy_pass names becomes the location's name again. */
function defaultRedirect(
  location: LocationName,
  fixed: ProxyTarget | null,
): { from: string; to: string } | null {
  if (fixed === null || location.kind === 'pattern' || location.kind === 'named') return null
  const url = `${fixed.scheme}://${fixed.written}`
  return fixed.uri === null ? { from: `${url}/`, to: '/' } : { from: url + fixed.uri, to: location.name }
}

function rewriteLocation(x: Exchange, value: string, rules: readonly Replacement[] | null): string {
  if (rules === null) return value
  for (const rule of rules) {
    const rewritten = rule.prefix(x, value)
    if (rewritten !== null) return rewritten.startsWith('/') ? absoluteLocation(x, rewritten) : rewritten
  }
  return value
}

/** `Refresh: 5; url=…` */
function rewriteRefresh(x: Exchange, value: string, rules: readonly Replacement[] | null): string {
  const at = value.toLowerCase().indexOf('url=')
  if (rules === null || at < 0) return value
  const url = value.slice(at + 4)
  for (const rule of rules) {
    const rewritten = rule.prefix(x, url)
    if (rewritten !== null) return value.slice(0, at + 4) + rewritten
  }
  return value
}
