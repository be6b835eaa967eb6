// sluice:cookie: reading Cookie and writing Set-Cookie, as RFC 6265bis asks of servers. Reading takes what clients send;
// writing is strict and throws. Values are percent-encoded unless `raw` says otherwise.

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/
const DOMAIN = /^\.?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i
const PATH = /^\/[\x20-\x3a\x3c-\x7e]*$/
const OPTIONS = [
  'domain',
  'expires',
  'httpOnly',
  'maxAge',
  'partitioned',
  'path',
  'priority',
  'raw',
  'sameSite',
  'secure',
]
// RFC 6265bis section 5.6: clients ignore a cookie or an attribute above these.
const MAX_PAIR = 4096
const MAX_ATTRIBUTE = 1024

/** All cookies of a Cookie value; of equal names the first counts. */
export function parse(header, { raw = false } = {}) {
  const cookies = Object.create(null)
  for (const pair of (header ?? '').split(';')) {
    const equals = pair.indexOf('=')
    const name = pair.slice(0, Math.max(equals, 0)).trim()
    if (name !== '' && !(name in cookies)) cookies[name] = decode(pair.slice(equals + 1), raw)
  }
  return cookies
}

/** One cookie of the request, or undefined. */
export function get(r, name, { raw = false } = {}) {
  const header = r.headersIn.get('Cookie')
  if (header === undefined || !header.includes(name)) return undefined
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals > 0 && pair.slice(0, equals).trim() === name) return decode(pair.slice(equals + 1), raw)
  }
  return undefined
}

/** A Set-Cookie value. Throws a TypeError or RangeError that says which part may not stand there. */
export function serialize(name, value, options = {}) {
  for (const option of Object.keys(options)) {
    if (!OPTIONS.includes(option)) {
      throw new TypeError(`cookie: there is no option "${option}"; it takes ${OPTIONS.join(', ')}`)
    }
  }
  const { path = '/' } = options
  checkPrefix(name, { ...options, path })
  if (typeof value !== 'string') refuse(`the value of ${name}, a text,`, value)
  const text = options.raw ? value : encodeURIComponent(value)
  if (typeof name !== 'string' || !NAME.test(name)) refuse('the name', name)
  if (!VALUE.test(text)) refuse(`the value of ${name}`, value)
  if (name.length + text.length > MAX_PAIR) throw new RangeError(`cookie: ${name} is larger than 4096 bytes`)
  return [`${name}=${text}`, ...attributes(name, { ...options, path })].join('; ')
}

/** Adds a Set-Cookie field to the response; in headerFilter. */
export function set(r, name, value, options) {
  r.headersOut.append('Set-Cookie', serialize(name, value, options))
}

/** Tells the client to forget a cookie; `path` and `domain` as when it was set. */
function remove(r, name, options = {}) {
  set(r, name, '', { ...options, maxAge: 0, expires: new Date(0) })
}

export { remove as delete }

function attributes(name, { domain, expires, maxAge, path, priority, sameSite, ...flags }) {
  const list = []
  if (path !== null) list.push(`Path=${attribute('path', path, PATH)}`)
  if (domain !== undefined) list.push(`Domain=${attribute('domain', domain, DOMAIN)}`)
  if (maxAge !== undefined) {
    if (!Number.isSafeInteger(maxAge)) refuse('maxAge, in whole seconds,', maxAge)
    list.push(`Max-Age=${maxAge}`)
  }
  if (expires !== undefined) {
    if (!(expires instanceof Date) || Number.isNaN(expires.getTime())) refuse('expires, a Date,', expires)
    list.push(`Expires=${expires.toUTCString()}`)
  }
  if (flags.secure) list.push('Secure')
  if (flags.httpOnly) list.push('HttpOnly')
  if (sameSite !== undefined) list.push(`SameSite=${word('sameSite', sameSite, ['Strict', 'Lax', 'None'])}`)
  if (priority !== undefined) list.push(`Priority=${word('priority', priority, ['Low', 'Medium', 'High'])}`)
  if (flags.partitioned) list.push('Partitioned')
  if (!flags.secure && (flags.partitioned || list.includes('SameSite=None'))) {
    throw new TypeError(`cookie: ${name} needs secure, as browsers drop it otherwise`)
  }
  return list
}

/** RFC 6265bis section 4.1.3: names that promise how the cookie was set. */
function checkPrefix(name, { secure, path, domain }) {
  if (/^__(secure|host)-/i.test(name) && !secure) throw new TypeError(`cookie: ${name} needs secure`)
  if (/^__host-/i.test(name) && (path !== '/' || domain !== undefined)) {
    throw new TypeError(`cookie: ${name} needs path '/' and no domain`)
  }
}

function attribute(option, value, pattern) {
  if (typeof value !== 'string' || value.length > MAX_ATTRIBUTE || !pattern.test(value)) refuse(option, value)
  return value
}

function word(option, value, words) {
  const found = words.find((known) => known.toLowerCase() === String(value).toLowerCase())
  if (found === undefined) {
    throw new TypeError(`cookie: ${option} is ${words.join(', ')}; it is ${JSON.stringify(value)}`)
  }
  return found
}

function refuse(what, value) {
  throw new TypeError(`cookie: ${what} cannot be ${JSON.stringify(value) ?? String(value)}`)
}

function decode(text, raw) {
  const value = text.trim().replace(/^"(.*)"$/, '$1')
  if (raw || !value.includes('%')) return value
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
