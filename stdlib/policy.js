// sluice:policy: ready hooks for those who would rather declare than program. Every function here checks its options
// when the script loads and returns a hook; every text may hold nginx variables, which are compiled once.
// Knows nothing of how a request travels: a hook sees `r` alone.

import { digest, murmur3, now, randomBytes, template } from 'sluice:internal'

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const BAD_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/
const FRAMING =
  /^(connection|content-length|transfer-encoding|keep-alive|upgrade|trailer|te|proxy-connection)$/i

/** `hash KEY [consistent]` as a balancer hook. */
export function hash(key, options) {
  const { consistent = false } = take('hash', ['consistent'], options)
  if (typeof consistent !== 'boolean') fail('hash', 'consistent is true or false', consistent)
  const read = text('hash', 'the key', key)
  const method = Object.freeze({ consistent })
  return (r, upstream) => upstream.hash(read(r), method)
}

/** Edits the response's fields: a headerFilter hook. */
export function headers(options) {
  const edit = edits('headers', options)
  return (r) => edit(r, r.headersOut)
}

/** Edits the fields that the upstream will see: a rewrite or access hook. */
export function requestHeaders(options) {
  const edit = edits('requestHeaders', options)
  return (r) => edit(r, r.headersIn)
}

/** Lets only matching requests through: an access hook. Listed values are secrets, compared as salted digests. */
export function allowIf(value, test, refusal) {
  return gate('allowIf', value, test, refusal)
}

/** Turns matching requests away: an access hook. */
export function denyIf(value, test, refusal) {
  return gate('denyIf', value, test, refusal)
}

/** A part of the keys goes another way: a rewrite hook. Growing the part never moves a key back. */
export function canary(key, options) {
  const names = ['percent', 'to', 'set', 'header', 'cookie', 'salt']
  const { percent, salt = '', ...rest } = take('canary', names, options)
  const share = typeof percent === 'string' && percent !== '' ? Number(percent) : percent
  if (typeof share !== 'number' || !(share >= 0 && share <= 100)) {
    fail('canary', 'percent is a number from 0 to 100', percent)
  }
  if (typeof salt !== 'string') fail('canary', 'salt is a text', salt)
  const read = text('canary', 'the key', key)
  const divert = diversion(rest)
  const asked = override(rest)
  return (r) => {
    const wish = asked(r)
    if (wish === 'never') return
    if (wish !== 'always') {
      const name = read(r)
      if (name === '' || bucket(salt, name) * 100 >= share) return
    }
    divert(r)
  }
}

/** Divides the keys among variants by weight: a rewrite hook, with `headerFilter` beside it that keeps the choice in a cookie. */
export function abTest(key, options) {
  const names = ['variants', 'set', 'header', 'cookie', 'maxAge', 'salt']
  const taken = take('abTest', names, options)
  const { salt = taken.set ?? '', maxAge = 30 * 24 * 3600 } = taken
  if (typeof salt !== 'string') fail('abTest', 'salt is a text', salt)
  if (!(Number.isSafeInteger(maxAge) && maxAge > 0)) fail('abTest', 'maxAge is whole seconds', maxAge)
  const read = text('abTest', 'the key', key)
  const pick = wheel(taken.variants)
  const put = assignment(taken)
  const { cookie } = taken
  const kept = cookie === undefined ? null : cookieReader('abTest', cookie)
  const slot = Symbol('chosen variant')
  const hook = (r) => {
    const old = kept === null ? '' : kept(r)
    const name = read(r)
    const chosen = pick.has(old) ? old : pick.at(name === '' ? Math.random() : bucket(salt, name))
    put(r, chosen)
    if (kept !== null && chosen !== old) r.ctx[slot] = chosen
  }
  hook.rewrite = hook
  hook.headerFilter = (r) => {
    const chosen = r.ctx[slot]
    if (chosen === undefined) return
    r.headersOut.append('Set-Cookie', `${cookie}=${chosen}; Path=/; Max-Age=${maxAge}; SameSite=Lax`)
  }
  return hook
}

/** Answers 503 while the work lasts: a rewrite or access hook. */
export function maintenance(options) {
  const names = ['when', 'unless', 'from', 'until', 'status', 'retryAfter', 'body', 'contentType']
  const taken = take('maintenance', names, options)
  const { when = () => true, unless = () => false, body = 'Down for maintenance.\n' } = taken
  const { contentType = 'text/plain; charset=utf-8', retryAfter } = taken
  if (retryAfter !== undefined && !(Number.isSafeInteger(retryAfter) && retryAfter >= 0)) {
    fail('maintenance', 'retryAfter is whole seconds', retryAfter)
  }
  const isOn = condition('maintenance', 'when', when)
  const isExempt = condition('maintenance', 'unless', unless)
  const from = moment('from', taken.from, Number.NEGATIVE_INFINITY)
  const until = moment('until', taken.until, Number.POSITIVE_INFINITY)
  if (from >= until) fail('maintenance', 'from is before until', taken.until)
  const status = httpStatus('maintenance', taken.status ?? 503)
  const say = text('maintenance', 'body', body)
  const type = fieldValue('maintenance', 'contentType', contentType)
  return (r) => {
    const time = now()
    if (time < from || time >= until || !isOn(r) || isExempt(r)) return
    const left = retryAfter ?? (until === Number.POSITIVE_INFINITY ? 0 : Math.ceil((until - time) / 1000))
    const fields = { 'Content-Type': type, 'Cache-Control': 'no-store' }
    if (left > 0) fields['Retry-After'] = String(left)
    return { status, headers: fields, body: say(r) }
  }
}

// ---- what a policy is made of ----

function gate(policy, value, test, options) {
  const allow = policy === 'allowIf'
  const taken = take(policy, ['status', 'body', 'headers', 'redirect'], options)
  const read = text(policy, 'the value', value)
  const matches = matcher(policy, test)
  const refuse = refusal(policy, taken)
  const decide = (r, verdict) => (Boolean(verdict) === allow ? undefined : refuse(r))
  return (r) => {
    const verdict = matches(read(r), r)
    // A promise is truthy: what counts is what it comes to.
    if (typeof verdict?.then === 'function') return verdict.then((result) => decide(r, result))
    return decide(r, verdict)
  }
}

function refusal(policy, { status, body, headers: given = {}, redirect }) {
  const fields = {}
  for (const [name, value] of pairs(policy, 'headers', given)) fields[name] = fieldValue(policy, name, value)
  const code = httpStatus(policy, status ?? (redirect === undefined ? 403 : 302))
  // Without a body the answer is the status's error page, which would drop the fields.
  const bare = Object.keys(fields).length === 0 ? undefined : ''
  if (redirect === undefined) {
    const say = body === undefined ? () => bare : text(policy, 'body', body)
    return (r) => ({ status: code, headers: fields, body: say(r) })
  }
  if (body !== undefined) fail(policy, 'redirect and body exclude each other; leave one out', body)
  if (![301, 302, 303, 307, 308].includes(code)) fail(policy, 'a redirect has status 301 to 308', status)
  const url = text(policy, 'redirect', redirect)
  return (r) => ({ status: code, headers: { ...fields, Location: encodeControls(url(r)) }, body: bare })
}

function matcher(policy, test) {
  if (typeof test === 'function') return test
  if (test instanceof RegExp) {
    // Without g and y, which would make one request's match depend on the one before.
    const pattern = new RegExp(test.source, test.flags.replace(/[gy]/g, ''))
    return (value) => pattern.test(value)
  }
  const values = typeof test === 'string' ? [test] : test instanceof Set ? [...test] : test
  if (!Array.isArray(values)) {
    fail(policy, 'what to compare with is a text, a list of texts, a RegExp or a function', test)
  }
  // The values themselves stay out of the message: they may be keys.
  const wrong = values.findIndex((value) => typeof value !== 'string')
  if (wrong >= 0) fail(policy, `value ${wrong + 1} of the list is a text`, typeof values[wrong])
  return policy === 'allowIf' ? oneOfSecrets(values) : (value) => values.includes(value)
}

/** Looks up a salted digest, so that the time it takes tells nothing of how much of a guess was right. */
function oneOfSecrets(values) {
  if (values.length === 0) fail('allowIf', 'the list of values is empty: nobody could pass', values)
  if (values.includes('')) fail('allowIf', 'an empty value would let requests without any pass', '')
  const salt = digest('sha256', randomBytes(16), 'hex')
  const digests = new Set(values.map((value) => digest('sha256', salt + value, 'hex')))
  return (value) => value !== '' && digests.has(digest('sha256', salt + value, 'hex'))
}

function edits(policy, options) {
  const taken = take(policy, ['set', 'append', 'remove'], options)
  const { remove = [] } = taken
  if (!Array.isArray(remove)) fail(policy, 'remove is a list of header names', remove)
  for (const name of remove) fieldName(policy, name)
  const set = readers(policy, 'set', taken.set)
  const append = readers(policy, 'append', taken.append)
  if (remove.length + set.length + append.length === 0) fail(policy, 'give set, append or remove', options)
  return (r, fields) => {
    for (const name of remove) fields.delete(name)
    for (const [name, read] of set) {
      const value = read(r)
      if (value === '') fields.delete(name)
      else write(fields, 'set', name, value)
    }
    for (const [name, read] of append) {
      const value = read(r)
      if (value !== '') write(fields, 'append', name, value)
    }
  }
}

function readers(policy, option, given = {}) {
  return pairs(policy, option, given).map(([name, value]) => {
    if (typeof value === 'string') fieldValue(policy, name, value)
    return [name, text(policy, `${option} ${name}`, value)]
  })
}

/** Variables hold what clients sent: a value that is refused for its control characters goes out with them encoded. */
function write(fields, how, name, value) {
  try {
    fields[how](name, value)
  } catch (error) {
    if (!BAD_VALUE.test(value)) throw error
    fields[how](name, encodeControls(value))
  }
}

function encodeControls(value) {
  return value.replace(
    /[\x00-\x1f\x7f]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

/** A stable place in [0, 1) for a key. */
function bucket(salt, key) {
  return (murmur3(salt === '' ? key : `${salt}:${key}`) >>> 0) / 4294967296
}

function diversion({ to, set }) {
  if ((to === undefined) === (set === undefined)) fail('canary', 'give either to or set', to)
  if (set !== undefined) return assignments('canary', set)
  if (typeof to !== 'string' || !/^[/@]./.test(to)) fail('canary', "to is '@location' or '/path'", to)
  const read = text('canary', 'to', to)
  const slot = Symbol('already diverted')
  return (r) => {
    if (r.ctx[slot]) return
    r.ctx[slot] = true
    r.internalRedirect(read(r))
  }
}

/** `always` or `never` by header, else by cookie, as the canary annotations of ingress controllers. */
function override({ header, cookie }) {
  if (header !== undefined) fieldName('canary', header)
  const byCookie = cookie === undefined ? null : cookieReader('canary', cookie)
  return (r) => {
    const wish = header === undefined ? undefined : r.headersIn.get(header)
    return wish === undefined && byCookie !== null ? byCookie(r) : wish
  }
}

function cookieReader(policy, name) {
  if (typeof name !== 'string' || !/^\w+$/.test(name)) {
    fail(policy, 'cookie is a name made of letters, digits and _', name)
  }
  return template(`$cookie_${name}`)
}

function assignments(policy, set) {
  const list = Object.entries(set).map(([name, value]) => [
    variable(policy, name),
    text(policy, `set ${name}`, value),
  ])
  return (r) => {
    for (const [name, read] of list) r.variables[name] = read(r)
  }
}

function assignment({ set, header }) {
  if (set === undefined && header === undefined) fail('abTest', 'give set, header or both', set)
  if (set !== undefined) variable('abTest', set)
  if (header !== undefined) fieldName('abTest', header)
  return (r, variant) => {
    if (set !== undefined) r.variables[set] = variant
    if (header !== undefined) r.headersIn.set(header, variant)
  }
}

function wheel(variants) {
  const entries = Object.entries(variants ?? {})
  if (entries.length < 2) fail('abTest', 'variants names two or more, as { a: 50, b: 50 }', variants)
  let total = 0
  for (const [name, weight] of entries) {
    token('abTest', 'the name of a variant', name)
    if (!(Number.isFinite(weight) && weight >= 0)) fail('abTest', `the weight of ${name} is a number`, weight)
    total += weight
  }
  if (total === 0) fail('abTest', 'at least one variant has a weight above 0', variants)
  const open = entries.filter(([, weight]) => weight > 0)
  const at = (place) => {
    let left = place * total
    return (open.find(([, weight]) => (left -= weight) < 0) ?? open.at(-1))[0]
  }
  return { at, has: (name) => Object.hasOwn(variants, name) }
}

/** True as nginx's `if ($x)`: anything but '' and '0'. */
function condition(policy, option, given) {
  if (typeof given === 'boolean') return () => given
  if (typeof given === 'function') return (r) => settled(policy, option, given(r))
  const read = text(policy, option, given)
  return (r) => {
    const value = read(r)
    return value !== '' && value !== '0'
  }
}

// ---- checks at load ----

/** A function of the request for a text that may hold variables, or for a function that gives a text. */
function text(policy, what, given) {
  if (typeof given === 'function') {
    return (r) => {
      const value = settled(policy, what, given(r))
      return value === undefined || value === null ? '' : String(value)
    }
  }
  if (typeof given !== 'string' && typeof given !== 'number') {
    fail(policy, `${what} is a text or a function of the request`, given)
  }
  const fixed = String(given)
  return fixed.includes('$') ? template(fixed) : () => fixed
}

/** A promise is a text as well as a flag, and the wrong one. */
function settled(policy, what, value) {
  if (typeof value?.then !== 'function') return value
  throw new TypeError(`${policy}: ${what} is a promise; write a hook of your own to wait for it`)
}

/** Compiled only to find out whether the configuration declares it. */
function variable(policy, name) {
  if (typeof name !== 'string' || !/^\w+$/.test(name))
    fail(policy, 'set names variables, without the dollar', name)
  template(`$${name}`)
  return name
}

function take(policy, names, options = {}) {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    fail(policy, `the options are an object with ${names.join(', ')}`, options)
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new TypeError(`${policy}: there is no option "${name}"; it takes ${names.join(', ')}`)
    }
  }
  return options
}

function pairs(policy, option, given) {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    fail(policy, `${option} is an object of header names and values`, given)
  }
  for (const name of Object.keys(given)) fieldName(policy, name)
  return Object.entries(given)
}

function fieldName(policy, name) {
  token(policy, 'a header name', name)
  if (FRAMING.test(name)) throw new RangeError(`${policy}: header "${name}" is written by the proxy itself`)
}

function fieldValue(policy, name, value) {
  if (typeof value !== 'string' || BAD_VALUE.test(value)) {
    fail(policy, `the value of ${name} is a text without control characters`, value)
  }
  return value
}

function token(policy, what, value) {
  if (typeof value !== 'string' || !TOKEN.test(value)) {
    fail(policy, `${what} is made of letters, digits and !#$%&'*+.^_\`|~-`, value)
  }
  return value
}

function httpStatus(policy, status) {
  if (!Number.isInteger(status) || status < 300 || status > 599) {
    fail(policy, 'status is a number from 300 to 599', status)
  }
  return status
}

function moment(option, given, otherwise) {
  if (given === undefined) return otherwise
  const time = new Date(given).getTime()
  if (Number.isNaN(time)) fail('maintenance', `${option} is a date, as '2030-01-31T06:00:00Z'`, given)
  return time
}

function fail(policy, rule, given) {
  const shown = typeof given === 'function' ? 'a function' : (JSON.stringify(given) ?? String(given))
  throw new TypeError(`${policy}: ${rule}; it is ${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown}`)
}
