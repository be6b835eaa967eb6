/**
 * Who may talk to the admin API: pure decisions on the head of a request. A token where one is configured, compared in
 * constant time; and nothing that a web page of elsewhere can make a browser send.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { Refusal } from './problem.ts'

/** Asked by load balancers and orchestrators, which have no token; they tell nothing but yes or no. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz'])

export interface GuardedRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

export class Guard {
  readonly #hosts: ReadonlySet<string>
  /** Digest of the token: equal lengths, whatever is sent. null: nobody needs one. */
  readonly #token: Buffer | null

  constructor(hosts: readonly string[], token: string | null) {
    this.#hosts = new Set(hosts)
    this.#token = token === null ? null : digest(token)
  }

  /** @throws Refusal */
  check({ method, path, headers }: GuardedRequest): void {
    this.#checkHost(headers.host)
    if (!isVisit(method, path, headers)) checkOrigin(headers)
    if (!OPEN_PATHS.has(path) && !isConsole(path)) this.#checkToken(headers.authorization)
    checkType(method, headers['content-type'])
  }

  /** A name that somebody's DNS leads here (rebinding) is none of ours. */
  #checkHost(host: string | undefined): void {
    const name = host === undefined ? '' : hostName(host)
    if (name === 'localhost' || isIP(name) !== 0 || this.#hosts.has(name)) return
    throw new Refusal(
      421,
      'misdirected request',
      `"Host: ${host ?? ''}" is no address, nor localhost; add "host=NAME" to "admin" for a name`,
    )
  }

  #checkToken(authorization: string | undefined): void {
    if (this.#token === null) return
    const sent = /^bearer +(.+)$/i.exec(authorization ?? '')?.[1] ?? ''
    if (timingSafeEqual(digest(sent), this.#token)) return
    throw new Refusal(
      401,
      'unauthorized',
      'send "Authorization: Bearer TOKEN" with the token of token_file',
      {
        headers: { 'WWW-Authenticate': 'Bearer realm="sluice"' },
      },
    )
  }
}

/** The page and its files hold nothing but themselves. */
function isConsole(path: string): boolean {
  return path === '/' || path.startsWith('/console/')
}

/** Somebody follows a link, on whatever page: what opens is the console itself, which nobody else's page can frame. */
function isVisit(method: string, path: string, headers: IncomingHttpHeaders): boolean {
  const { 'sec-fetch-mode': mode, 'sec-fetch-dest': dest, origin } = headers
  return (
    method === 'GET' && path === '/' && mode === 'navigate' && dest === 'document' && origin === undefined
  )
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function hostName(host: string): string {
  const [, name = ''] = /^(\[[^\]]*\]|[^:]*)(?::\d+)?$/.exec(host) ?? []
  return name.replace(/^\[(.*)\]$/, '$1').toLowerCase()
}

/** Pages of this server itself may ask; pages of others are told by their Origin, or by what the browser says of them. */
function checkOrigin(headers: IncomingHttpHeaders): void {
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  const isOurs = origin === undefined || origin === `http://${host}` || origin === `https://${host}`
  if (isOurs && (site === undefined || site === 'same-origin' || site === 'none')) return
  throw new Refusal(403, 'forbidden', `a page of ${origin ?? 'another site'} may not use this API`)
}

/** A form of a web page cannot send these types unasked. */
function checkType(method: string, type: string | undefined): void {
  if (method === 'GET' || method === 'HEAD' || method === 'DELETE') return
  const [essence] = (type ?? '').toLowerCase().split(';')
  const isScript = /^(?:text|application)\/(?:javascript|typescript)$/.test(essence.trim())
  if (method === 'PUT' ? isScript : essence.trim() === 'application/json') return
  const wanted = method === 'PUT' ? 'text/javascript (or text/typescript)' : 'application/json'
  throw new Refusal(415, 'unsupported media type', `send "Content-Type: ${wanted}"`)
}
