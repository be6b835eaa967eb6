/**
 * A script's request made into one that may go on the wire: every part is checked here, and what frames a message is
 * refused. Also what becomes of it when it is redirected (Fetch standard, "HTTP-redirect fetch"). Does no I/O.
 */
import type { FetchRequest } from '../phases.ts'

/** Bytes. */
const MAX_URL = 8 * 1024
const MAX_FIELDS = 100
const MAX_FIELD_BYTES = 32 * 1024

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Control characters, and what is no byte. */
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?$/
/** Methods that are no plain requests, in any case of letters. */
const FORBIDDEN_METHODS = /^(?:connect|trace|track)$/i
/** Methods whose case does not matter (Fetch standard, "normalize a method"). */
const NORMALIZED = /^(?:delete|get|head|options|post|put)$/i
/** Fields of one connection alone, and of framing (RFC 9110 section 7.6.1). */
const REFUSED = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** Meant for one origin alone. */
const CREDENTIALS = new Set(['authorization', 'cookie', 'host'])
const OF_BODY = /^content-/

export type Fields = readonly (readonly [name: string, value: string])[]

/** One request of a fetch; a redirect makes another one. */
export interface Outgoing {
  readonly url: URL
  readonly method: string
  readonly fields: Fields
  readonly body: Uint8Array | 'stream' | null
}

/** Not allowed, or impossible; the message, a byte string, is for the script. */
export class Refusal extends Error {}

/** @throws Refusal */
export function readOutgoing(request: FetchRequest): Outgoing {
  const url = readUrl(request.url, null)
  const method = readMethod(request.method)
  if (request.body !== null && (method === 'GET' || method === 'HEAD')) {
    throw new Refusal(`a ${method} request has no body`)
  }
  checkFields(request.headers)
  return { url, method, fields: request.headers, body: request.body }
}

/** @throws Refusal */
function readUrl(text: string, base: URL | null): URL {
  if (text.length > MAX_URL) throw new Refusal(`the URL is longer than ${MAX_URL} bytes`)
  let url: URL
  try {
    url = base === null ? new URL(decoded(text)) : new URL(decoded(text), base)
  } catch {
    throw new Refusal(`${quoted(text)} is not a URL`)
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Refusal(`${quoted(text)} is neither http nor https`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new Refusal('a URL holds no user and password; send an Authorization field')
  }
  // Non-ASCII takes three times its bytes.
  if (url.href.length > MAX_URL) throw new Refusal(`the URL is longer than ${MAX_URL} bytes`)
  url.hash = ''
  return url
}

function readMethod(method: string): string {
  if (!TOKEN.test(method) || method.length > 32 || FORBIDDEN_METHODS.test(method)) {
    throw new Refusal(`the method ${quoted(method)} cannot be sent`)
  }
  return NORMALIZED.test(method) ? method.toUpperCase() : method
}

function checkFields(fields: Fields): void {
  if (fields.length > MAX_FIELDS) throw new Refusal(`a request has at most ${MAX_FIELDS} header fields`)
  let bytes = 0
  let hosts = 0
  for (const [name, value] of fields) {
    const lower = name.toLowerCase()
    if (!TOKEN.test(name)) throw new Refusal(`${quoted(name)} is no header name`)
    if (REFUSED.has(lower)) throw new Refusal(`the header ${lower} is the proxy's own`)
    if (CONTROL.test(value)) throw new Refusal(`the value of ${name} holds a control character`)
    if (lower === 'host' && (++hosts > 1 || !HOST.test(value)))
      throw new Refusal('the header host names one host')
    bytes += name.length + value.length + 4
  }
  if (bytes > MAX_FIELD_BYTES) throw new Refusal(`the header fields take more than ${MAX_FIELD_BYTES} bytes`)
}

/** Where an answer of that status sends the client, as it says. */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308
}

/** The request that follows a redirect. @throws Refusal */
export function redirected(last: Outgoing, status: number, location: string): Outgoing {
  const url = readUrl(location, last.url)
  const { method, body } = last
  const toGet =
    (status === 303 && method !== 'HEAD' && method !== 'GET') ||
    ((status === 301 || status === 302) && method === 'POST')
  if (!toGet && body === 'stream') throw new Refusal('a streamed body cannot be sent again after a redirect')
  const elsewhere = url.origin !== last.url.origin
  const fields = last.fields.filter(([name]) => {
    const lower = name.toLowerCase()
    return !(elsewhere && CREDENTIALS.has(lower)) && !(toGet && OF_BODY.test(lower))
  })
  return { url, method: toGet ? 'GET' : method, fields, body: toGet ? null : body }
}

/** Text for a message: short, and nothing in it that drives a terminal. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text)
}

/** Byte string to text. */
function decoded(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8')
}
