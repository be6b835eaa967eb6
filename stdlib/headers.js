// sluice:headers: reading and writing the values of header fields: lists, parameters, quality values, Cache-Control,
// Forwarded, Vary, credentials. Texts in, texts and plain objects out; knows no request but for `vary`.
// What a client sent may be anything: parsing never throws, it leaves out what is malformed. Writing throws.

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const ITEM = /(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/gs
const PART = /(?:[^;"]|"(?:[^"\\]|\\.)*"?)+/gs
const MAX_AGE = 2147483648
// A list with more members is malformed as a whole: reading only a part of it could be what an attacker wants.
const MAX_MEMBERS = 256

/** The members of a comma-separated list; commas in quoted strings do not count. RFC 9110 section 5.6.1. */
export function parseList(value) {
  return pieces(value, ITEM)
}

/** `text/html; charset="utf-8"` as value and parameters; the first of equal names counts. RFC 9110 section 5.6.6. */
export function parseParameters(value) {
  const [first = '', ...rest] = pieces(value, PART)
  const parameters = Object.create(null)
  // A field may consist of parameters alone, as the elements of Forwarded do.
  const alone = first.includes('=')
  for (const part of alone ? [first, ...rest] : rest) readParameter(parameters, part)
  return { value: alone ? '' : first, parameters }
}

/** The reverse of `parseParameters`; quotes what needs quotes. */
export function formatParameters(value, parameters = {}) {
  const parts = Object.entries(parameters).map(([name, text]) => {
    if (!TOKEN.test(name)) throw new TypeError(`formatParameters: ${JSON.stringify(name)} is not a name`)
    return `${name}=${quote(String(text))}`
  })
  return (value === '' ? parts : [value, ...parts]).join('; ')
}

/** A token as it is, everything else as a quoted string. RFC 9110 section 5.6.4. */
export function quote(text) {
  if (TOKEN.test(text)) return text
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(text)) throw new RangeError('a header value holds no control character')
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** An Accept-like list, best first: `[{ value, q, parameters }]`; of equal quality the first named. RFC 9110 section 12.4.2. */
export function parseQuality(value) {
  const entries = []
  for (const item of parseList(value)) {
    const { value: name, parameters } = parseParameters(item)
    const { q: weight = '1', ...others } = parameters
    const q = /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(weight) ? Number(weight) : 0
    if (name !== '') entries.push({ value: name.toLowerCase(), q, parameters: others })
  }
  return entries.sort((a, b) => b.q - a.q)
}

/**
 * Which of `offers` (media types, languages, encodings; best first) an Accept-like header prefers, or null if none
 * is acceptable. A missing header accepts everything.
 */
export function negotiate(value, offers) {
  if (value === undefined || value.trim() === '') return offers[0] ?? null
  const ranges = parseQuality(value)
  let best = null
  let bestQuality = 0
  for (const offer of offers) {
    const q = qualityOf(ranges, offer.toLowerCase())
    if (q > bestQuality) [best, bestQuality] = [offer, q]
  }
  return best
}

/** Cache-Control as an object: numbers for seconds, true for bare directives, else text. RFC 9111 section 5.2. */
export function parseCacheControl(value) {
  const directives = Object.create(null)
  for (const item of parseList(value)) {
    const equals = item.indexOf('=')
    const name = (equals < 0 ? item : item.slice(0, equals)).trim().toLowerCase()
    if (!TOKEN.test(name) || name in directives) continue
    const text = equals < 0 ? '' : unquote(item.slice(equals + 1).trim())
    // RFC 9111 section 1.2.2: what is too large to represent counts as 2^31.
    directives[name] = equals < 0 ? true : /^\d+$/.test(text) ? Math.min(Number(text), MAX_AGE) : text
  }
  return directives
}

/** The reverse of `parseCacheControl`; false and undefined leave a directive out. */
export function formatCacheControl(directives) {
  const parts = []
  for (const [name, value] of Object.entries(directives)) {
    if (!TOKEN.test(name))
      throw new TypeError(`formatCacheControl: ${JSON.stringify(name)} is not a directive`)
    if (value === true) parts.push(name)
    else if (value !== false && value !== undefined) parts.push(`${name}=${quote(String(value))}`)
  }
  return parts.join(', ')
}

/** The elements of Forwarded, the client's first: `[{ for, by, host, proto }]`, names in lower case. RFC 7239. */
export function parseForwarded(value) {
  return parseList(value).map((item) => parseParameters(item).parameters)
}

/** One or more elements as a Forwarded value; IPv6 addresses get their brackets. RFC 7239 section 6. */
export function formatForwarded(...elements) {
  return elements
    .map((element) => {
      const pairs = Object.entries(element).map(([name, value]) => {
        if (!TOKEN.test(name))
          throw new TypeError(`formatForwarded: ${JSON.stringify(name)} is not a parameter`)
        const node = name === 'for' || name === 'by'
        return `${name}=${quote(node && isIPv6(value) ? `[${value}]` : String(value))}`
      })
      return pairs.join(';')
    })
    .join(', ')
}

/** Adds names to Vary, each once; `*` stays alone. RFC 9110 section 12.5.5. */
export function vary(r, ...names) {
  const value = r.headersOut.get('Vary') ?? ''
  const present = new Set(parseList(value.toLowerCase()))
  if (present.has('*')) return
  const added = names.filter((name) => !present.has(name.toLowerCase()) && present.add(name.toLowerCase()))
  if (added.length === 0) return
  r.headersOut.set(
    'Vary',
    added.includes('*') ? '*' : [value, ...added].filter((part) => part !== '').join(', '),
  )
}

/** User and password of `Authorization: Basic …`, or null. RFC 7617. */
export function parseBasic(value) {
  const encoded = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(value ?? '')?.[1]
  if (encoded === undefined) return null
  const text = decodeBase64(encoded)
  const colon = text === null ? -1 : text.indexOf(':')
  return colon < 0 ? null : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** The token of `Authorization: Bearer …`, or null. RFC 6750 section 2.1. */
export function parseBearer(value) {
  return /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(value ?? '')?.[1] ?? null
}

function pieces(value, pattern) {
  const found = []
  if (value === undefined || value === null) return found
  pattern.lastIndex = 0
  for (let match = pattern.exec(value); match !== null; match = pattern.exec(value)) {
    const piece = match[0].trim()
    if (piece !== '' && found.push(piece) > MAX_MEMBERS) return []
  }
  return found
}

function readParameter(parameters, part) {
  const equals = part.indexOf('=')
  const name = part.slice(0, Math.max(equals, 0)).trim().toLowerCase()
  if (TOKEN.test(name) && !(name in parameters)) parameters[name] = unquote(part.slice(equals + 1).trim())
}

function unquote(text) {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replace(/\\(.)/gs, '$1') : text
}

/** The most specific range that covers the offer decides. RFC 9110 section 12.5.1. */
function qualityOf(ranges, offer) {
  let quality = 0
  let specific = -1
  for (const { value, q } of ranges) {
    const length = coveredBy(value, offer)
    if (length > specific) [quality, specific] = [q, length]
  }
  // Sending the content as it is needs no leave. RFC 9110 section 12.5.3.
  return specific < 0 && offer === 'identity' ? 0.0001 : quality
}

/** How specific `range` is if it covers the offer, else -1. Languages: RFC 4647 section 3.3.1. */
function coveredBy(range, offer) {
  if (range === offer) return range.length
  if (range === '*' || range === '*/*') return 0
  if (range.endsWith('/*')) return offer.startsWith(range.slice(0, -1)) ? 1 : -1
  return !offer.includes('/') && offer.startsWith(`${range}-`) ? range.length : -1
}

function isIPv6(value) {
  return /^[0-9a-f:.]+$/i.test(value) && value.split(':').length > 2
}

function decodeBase64(encoded) {
  try {
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0))
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return null
  }
}
