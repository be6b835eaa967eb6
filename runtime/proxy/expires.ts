/** The `expires` directive: sets Expires and Cache-Control (ngx_http_headers_filter_module). */
import type { Settings } from '../config/model.ts'
import { parseTime } from '../config/values.ts'
import { formatHttpDate, httpDate, parseHttpDate } from '../http1/date.ts'
import type { Exchange } from './exchange.ts'
import type { Binder } from './plan.ts'

/** `access`: after the request; `modified`: after Last-Modified; `daily`: at that second of the local day. */
export interface Expiry {
  readonly kind: 'off' | 'epoch' | 'max' | 'access' | 'modified' | 'daily'
  readonly seconds: number
}

const DAY = 24 * 60 * 60

/** What `expires` does to a response, or null when it does nothing. */
export function compileExpires(model: Settings['expires'], binder: Binder): ((x: Exchange) => void) | null {
  if (model === undefined || model === null || model.kind === 'off') return null
  if (model.template === null) {
    const { kind, seconds } = model
    return kind === 'variable' ? null : (x) => setExpiry(x, { kind, seconds })
  }
  const value = binder.bind(model.template)
  const modified = model.kind === 'modified'
  return (x) => {
    const expiry = parseExpiry(value(x), modified)
    if (expiry !== null && expiry.kind !== 'off') setExpiry(x, expiry)
  }
}

/**
 * The value of a variable in `expires`; null when it is none (then nothing is set).
 * @param modified after `expires modified`, which takes times only
 */
export function parseExpiry(text: string, modified: boolean): Expiry | null {
  if (!modified && (text === 'epoch' || text === 'max' || text === 'off')) return { kind: text, seconds: 0 }
  const sign = text.charAt(0)
  const ms = parseTime(sign === '@' || sign === '+' || sign === '-' ? text.slice(1) : text, 's')
  if (ms === null) return null
  const seconds = ms / 1000
  if (sign === '@') return modified || seconds > DAY ? null : { kind: 'daily', seconds }
  return { kind: modified ? 'modified' : 'access', seconds: sign === '-' ? -seconds : seconds }
}

function setExpiry(x: Exchange, { kind, seconds }: Expiry): void {
  if (kind === 'epoch') set(x, 'Thu, 01 Jan 1970 00:00:01 GMT', 'no-cache')
  else if (kind === 'max') set(x, 'Thu, 31 Dec 2037 23:55:55 GMT', 'max-age=315360000')
  else if (kind === 'daily') setTime(x, nextTime(seconds), false)
  else if (seconds === 0) set(x, httpDate(), 'max-age=0')
  else setTime(x, base(x, kind) + seconds, seconds < 0)
}

/** Seconds since the epoch that the time counts from. */
function base(x: Exchange, kind: Expiry['kind']): number {
  const modified = kind === 'modified' ? parseHttpDate(x.headers.lastModified ?? '') : Number.NaN
  return Math.floor((Number.isNaN(modified) ? Date.now() : modified) / 1000)
}

function setTime(x: Exchange, time: number, past: boolean): void {
  const age = time - Math.floor(Date.now() / 1000)
  set(x, formatHttpDate(time * 1000), past || age < 0 ? 'no-cache' : `max-age=${age}`)
}

/** The next time that local clocks show this second of the day. */
function nextTime(seconds: number): number {
  const date = new Date()
  date.setHours(Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60, 0)
  if (date.getTime() <= Date.now()) date.setDate(date.getDate() + 1)
  return date.getTime() / 1000
}

function set({ headers }: Exchange, expires: string, cacheControl: string): void {
  headers.remove('expires')
  headers.add('Expires', expires)
  headers.remove('cache-control')
  headers.add('Cache-Control', cacheControl)
}
