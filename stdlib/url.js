// sluice:url: parts of URLs, editing of queries that leaves every other byte as it was sent, and paths. Texts in, texts
// out: nothing is decoded, encoded or put in order unless the name of the function says so, because the upstream
// may tell `a%2Fb` from `a/b`. `r.uri` is decoded already; `r.rawArgs` and `$request_uri` are as sent.

// RFC 3986 appendix B, and section 3.2 for the authority.
const PARTS = /^(?:([a-z][a-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/is
const AUTHORITY = /^(?:([^@]*)@)?(\[[0-9a-f:.]+\]|[^:@[\]]*)(?::(\d*))?$/i
// A script has a handful of patterns; one that makes them from what clients send must not grow without end.
const MAX_PATTERNS = 256
const compiledPatterns = new Map()

/**
 * The parts of a URL, absolute or only a path: scheme, user, host, port, path, query, fragment; undefined where
 * there is none. null when it is no URL, or one that browsers and servers read differently.
 */
export function parse(url) {
  if (/[\x00-\x20\x7f\\]/.test(url)) return null
  const [, scheme, authority, path, query, fragment] = PARTS.exec(url)
  const rest = { path, query, fragment }
  if (authority === undefined)
    return { scheme: scheme?.toLowerCase(), user: undefined, host: undefined, port: undefined, ...rest }
  const found = AUTHORITY.exec(authority)
  if (found === null) return null
  const [, user, host, port] = found
  return { scheme: scheme?.toLowerCase(), user, host: host.toLowerCase(), port, ...rest }
}

/** The reverse of `parse`. */
export function format({ scheme, user, host, port, path = '', query, fragment }) {
  let url = scheme === undefined ? '' : `${scheme}:`
  if (host !== undefined) url += `//${user === undefined ? '' : `${user}@`}${host}${port ? `:${port}` : ''}`
  if (host !== undefined && path !== '' && !path.startsWith('/'))
    throw new TypeError('url: the path after a host begins with "/"')
  url += path
  if (query !== undefined) url += `?${query}`
  if (fragment !== undefined) url += `#${fragment}`
  return url
}

/** The first value of a query parameter, decoded; '' for one without `=`; undefined if it is not there. */
export function getQuery(query, name) {
  for (const pair of pairs(query)) if (decodedName(pair) === name) return decodedValue(pair)
  return undefined
}

/** All parameters in order, decoded: `[[name, value], …]`. */
export function parseQuery(query) {
  return pairs(query).map((pair) => [decodedName(pair), decodedValue(pair)])
}

/** The query with this parameter set: where its first occurrence stood, or at the end; further ones go. */
export function setQuery(query, name, value) {
  const pair = `${encodeURIComponent(name)}=${encodeURIComponent(value)}`
  const list = pairs(query)
  const at = list.findIndex((other) => decodedName(other) === name)
  if (at < 0) return [...list, pair].join('&')
  return list
    .map((other, i) => (i === at ? pair : other))
    .filter((other, i) => i <= at || decodedName(other) !== name)
    .join('&')
}

/** The query with one more parameter at its end. */
export function appendQuery(query, name, value) {
  return [...pairs(query), `${encodeURIComponent(name)}=${encodeURIComponent(value)}`].join('&')
}

/** The query without these parameters. */
export function deleteQuery(query, ...names) {
  return pairs(query)
    .filter((pair) => !names.includes(decodedName(pair)))
    .join('&')
}

/** The query with these parameters only, for instance for a cache key. */
export function keepQuery(query, ...names) {
  return pairs(query)
    .filter((pair) => names.includes(decodedName(pair)))
    .join('&')
}

/** The parameters in order of their names; of equal names the order stays. */
export function sortQuery(query) {
  const named = pairs(query).map((pair) => [decodedName(pair), pair])
  named.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return named.map(([, pair]) => pair).join('&')
}

/** The segments of a path that are not empty. */
export function segments(path) {
  return path.split('/').filter((segment) => segment !== '')
}

/** Joins parts with one slash between them; `.` and `..` are worked off and never lead above the first part. */
export function join(base, ...parts) {
  const kept = []
  const last = parts.length === 0 ? base : parts.at(-1)
  for (const segment of parts.flatMap(segments)) {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
  }
  const path = [base.replace(/\/+$/, ''), ...kept].join('/')
  return last.endsWith('/') && !path.endsWith('/') ? `${path}/` : path || '/'
}

/**
 * Compiles a pattern: `:name` stands for one segment, `*name` at the end for the rest.
 * Make it once; the function that comes back takes a path and gives the parameters, or null.
 */
export function pattern(text) {
  if (typeof text !== 'string' || !text.startsWith('/')) throw new TypeError('url: a pattern begins with "/"')
  const names = []
  const source = text
    .slice(1)
    .split('/')
    .map((part, i, all) => {
      const [, sign, name] = /^([:*])(.*)$/s.exec(part) ?? []
      if (sign === undefined) return part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
      if (!/^[A-Za-z_]\w*$/.test(name))
        throw new TypeError(`url: ${part} in ${text} needs a name after "${sign}"`)
      if (names.includes(name)) throw new TypeError(`url: ${text} names ${name} twice`)
      if (sign === '*' && i < all.length - 1) throw new TypeError(`url: ${part} stands last in ${text}`)
      names.push(name)
      return sign === ':' ? '([^/]+)' : '(.*)'
    })
  const expression = new RegExp(`^/${source.join('/')}$`, 's')
  return (path) => {
    const found = expression.exec(path)
    if (found === null) return null
    const parameters = Object.create(null)
    names.forEach((name, i) => {
      parameters[name] = found[i + 1]
    })
    return parameters
  }
}

/** `pattern(text)(path)`; each pattern is compiled once. */
export function match(text, path) {
  let compiled = compiledPatterns.get(text)
  if (compiled === undefined) {
    compiled = pattern(text)
    if (compiledPatterns.size < MAX_PATTERNS) compiledPatterns.set(text, compiled)
  }
  return compiled(path)
}

/** True if a redirect there stays on this site: a path, and nothing that a browser takes for another host. */
export function isLocal(url) {
  return /^\/(?![/\\])[^\x00-\x20\x7f\\]*$/.test(url)
}

function pairs(query) {
  return query === undefined || query === '' ? [] : query.split('&').filter((pair) => pair !== '')
}

function decodedName(pair) {
  const equals = pair.indexOf('=')
  return decode(equals < 0 ? pair : pair.slice(0, equals))
}

function decodedValue(pair) {
  const equals = pair.indexOf('=')
  return equals < 0 ? '' : decode(pair.slice(equals + 1))
}

/** As forms encode; what is malformed stays as it is. */
function decode(text) {
  if (!/[%+]/.test(text)) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
