// sluice:limit: how often, and how many at a time. Rates are counted by the host, in this process or in the store that
// all workers and machines share; nothing of them lives in the script, so that a swap forgives nobody.

import * as host from 'sluice:internal'

const Later = Promise
const { floor, ceil } = Math
const SECONDS = { s: 1, m: 60, h: 3600, d: 86400 }
// What the host tells of a call.
const VALUE = 0
// Of a request: the store's fractions of a millisecond are rounded.
const ROUNDING = 0.001

/** A rate by key, to be asked in any hook. */
export function rate(limit, options) {
  const { ask } = limiter('rate', limit, options, [])
  return Object.freeze({
    async take(r, cost = 1) {
      if (typeof cost !== 'number' || !(cost > 0)) fail('take', 'the cost is a number above 0', cost)
      return ask(r, cost)
    },
  })
}

/** A rewrite, access or content hook that refuses what comes too fast. */
export function limit(rate, options) {
  const { ask, shared, status, body } = limiter('limit', rate, options, ['status', 'body'])
  const refuse = refusal('limit', status, body)
  const judge = (r, { allowed, retryAfter }) => {
    if (!allowed) return refuse(r, retryAfter)
  }
  // What is counted here is decided without a wait.
  return shared ? async (r) => judge(r, await ask(r, 1)) : (r) => judge(r, ask(r, 1))
}

/** A rewrite, access or content hook that refuses what comes while `max` requests of the key are under way. */
export function connections(max, options) {
  const {
    key = '$remote_addr',
    name,
    status,
    body,
  } = taken('connections', ['key', 'name', 'status', 'body'], options)
  if (!Number.isSafeInteger(max) || max < 1) fail('connections', 'the limit is a whole number from 1', max)
  const read = reader('connections', key, name)
  const refuse = refusal('connections', status, body)
  const counted = name ?? `${max} ${key}`
  return (r) => {
    const of = read(r)
    if (of !== '' && !host.limitAdmit(r, counted, of, max)) return refuse(r, 1)
  }
}

function limiter(of, limit, options, more) {
  const names = ['burst', 'key', 'name', 'store', ...more]
  const { burst = 0, key = '$remote_addr', name, store = false, status, body } = taken(of, names, options)
  const perSecond = parseRate(of, limit)
  if (!Number.isSafeInteger(burst) || burst < 0) fail(of, 'burst is a whole number', burst)
  if (typeof store !== 'boolean') fail(of, 'store is true or false', store)
  const read = reader(of, key, name)
  const counted = name ?? `${limit} ${burst} ${key}`
  // As in nginx: so many beyond the first.
  const full = burst + 1
  const answer = (wait) => {
    if (wait > 0) return { allowed: false, retryAfter: ceil(wait / 1000), remaining: 0 }
    return { allowed: true, retryAfter: 0, remaining: floor(full + (wait * perSecond) / 1000 + ROUNDING) }
  }
  const here = (r, cost) => {
    const of = read(r)
    return answer(of === '' ? 0 : host.limitTake(counted, of, perSecond, full, cost))
  }
  const inStore = async (r, cost) => {
    const of = read(r)
    return answer(of === '' ? 0 : await promiseOf(host.limitAsk(counted, of, perSecond, full, cost)))
  }
  return { ask: store ? inStore : here, shared: store, status, body }
}

// ---- calls under way ----

const calls = new Map()

function settle(id, told, value) {
  const resolve = calls.get(id)
  if (resolve === undefined) return
  calls.delete(id)
  // Else its request is over, and nobody waits any more.
  if (told === VALUE) resolve(value)
}
host.limitReady(settle)

function promiseOf(id) {
  return new Later((resolve) => {
    calls.set(id, resolve)
  })
}

// ---- arguments ----

function parseRate(of, text) {
  const [, number, unit] = /^(\d{1,9})r\/([smhd])$/.exec(text) ?? []
  if (!(number > 0)) fail(of, 'the rate is a text such as "10r/s", "30r/m", "500r/h" or "1000r/d"', text)
  return number / SECONDS[unit]
}

/** The key of a request: a text with nginx variables, or a function of the request, which tells nobody what it counts by. */
function reader(of, key, name) {
  if (name !== undefined && (typeof name !== 'string' || name === '')) fail(of, 'name is a text', name)
  if (typeof key === 'string') return host.template(key)
  if (typeof key !== 'function') fail(of, 'the key is a text with nginx variables, or a function', key)
  if (name === undefined) fail(of, 'a key that is a function needs a name beside it', name)
  return (r) => String(key(r) ?? '')
}

function refusal(of, status = 429, body = undefined) {
  if (!Number.isInteger(status) || status < 400 || status > 599) fail(of, 'status is from 400 to 599', status)
  if (body !== undefined && typeof body !== 'string') fail(of, 'body is a text', body)
  return (r, seconds) => {
    r.headersOut.set('Retry-After', String(seconds))
    return r.return(status, body)
  }
}

function taken(of, names, options = {}) {
  if (typeof options !== 'object' || options === null) fail(of, 'options are an object', options)
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) fail(of, `options are ${names.join(', ')}`, name)
  }
  return options
}

function fail(of, what, value) {
  throw new TypeError(
    `${of}: ${what}, not ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`,
  )
}
