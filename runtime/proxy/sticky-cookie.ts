/** nginx's `sticky cookie` and `sticky route`: the request itself says which peer it belongs to, by the peer's id. */
import type { Outcome } from '../phases.ts'
import type { Exchange } from './exchange.ts'
import type { Getter } from './plan.ts'
import { namesOf, Sticky, takeById } from './sticky.ts'

/** The first of these that has a value names the peer. */
export function stickyRoute(lookups: readonly Getter[]): Sticky {
  return new Sticky((request) => routed(request as Exchange, lookups))
}

function routed(x: Exchange, lookups: readonly Getter[]): Outcome {
  return takeById(x.call!, firstOf(x, lookups))
}

export function firstOf(x: Exchange, getters: readonly Getter[]): string {
  for (const get of getters) {
    const text = get(x)
    if (text !== '') return text
  }
  return ''
}

export interface StickyCookieOptions {
  readonly name: string
  /** Seconds; null: as long as the browser runs. */
  readonly expires: number | 'max' | null
  readonly domain: Getter | null
  readonly path: string | null
  readonly httpOnly: boolean
  readonly secure: boolean
  readonly sameSite: Getter | null
}

/** The cookie is set with every answer, as nginx does. */
export function stickyCookie(options: StickyCookieOptions, lookup: Getter): Sticky {
  return new Sticky((request) => routed(request as Exchange, [lookup]), {
    answered: ({ x, group }, peer) =>
      x.headers.add('Set-Cookie', cookieText(x, options, namesOf(group).id(peer))),
  })
}

const SAME_SITE = /^(?:strict|lax|none)$/i
const UNSAFE = /[\x00-\x1f\x7f;]/

function cookieText(x: Exchange, options: StickyCookieOptions, id: string): string {
  const { name, expires, path, httpOnly, secure } = options
  let text = `${name}=${id}`
  if (expires === 'max') text += '; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000'
  else if (expires !== null)
    text += `; expires=${cookieTime(Date.now() + expires * 1000)}; max-age=${expires}`
  const domain = options.domain === null ? '' : options.domain(x)
  // A variable may hold what a client has sent.
  if (domain !== '' && !UNSAFE.test(domain)) text += `; domain=${domain}`
  if (httpOnly) text += '; httponly'
  if (secure) text += '; secure'
  const sameSite = options.sameSite === null ? '' : options.sameSite(x)
  if (sameSite !== '') text += `; samesite=${SAME_SITE.test(sameSite) ? sameSite : 'strict'}`
  return path === null ? text : `${text}; path=${path}`
}

/** `Wed, 09-Jun-21 10:18:14 GMT`; from 2038 on the year has four digits, as nginx writes it. */
function cookieTime(ms: number): string {
  const [, day, date, month, year, time] = /^(\w+), (\d+) (\w+) (\d+) ([\d:]+)/.exec(
    new Date(ms).toUTCString(),
  )!
  return `${day}, ${date}-${month}-${Number(year) > 2037 ? year : year!.slice(2)} ${time} GMT`
}
