/**
 * The console: a web page on the admin API, `/` and the files it is made of, read once. Knows nothing of what the page
 * shows; all of that comes by the API, so the files hold no secret and need no token.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { packageRoot } from '../lib/package-root.ts'
import { type ApiRequest, notFound, type Reply } from './reply.ts'

/** In the package as in the repository: these files are not compiled. */
const FOLDER = new URL('runtime/admin/console/', packageRoot)

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
}

/** Nothing but its own files and its own API; no text becomes markup. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const HEADERS = {
  'Content-Security-Policy': POLICY,
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
  // Asked for each time: a new version of the program has a page of its own.
  'Cache-Control': 'no-cache',
} as const

export class Console {
  readonly #files: ReadonlyMap<string, Reply>

  /** @throws Error of the system when the package is not whole */
  constructor() {
    const names = readdirSync(FOLDER).filter((name) => Object.hasOwn(TYPES, extname(name)))
    this.#files = new Map(names.map((name) => [name, read(name)]))
  }

  page(request: ApiRequest): Reply {
    return this.file('index.html', request)
  }

  /** @throws Refusal when it is none of the console's files */
  file(name: string, request: ApiRequest): Reply {
    const reply = this.#files.get(name)
    if (reply === undefined) throw notFound(`there is nothing at ${request.path}`)
    const { ETag } = reply.headers!
    return request.header('if-none-match') === ETag ? { ...reply, status: 304, type: '', body: '' } : reply
  }
}

function read(name: string): Reply {
  const body = readFileSync(new URL(name, FOLDER), 'utf8')
  const digest = createHash('sha256').update(body).digest('hex').slice(0, 16)
  return { status: 200, type: TYPES[extname(name)], body, headers: { ...HEADERS, ETag: `"${digest}"` } }
}
