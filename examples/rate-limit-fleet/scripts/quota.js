// A quota for each partner over all machines: five a minute in all. Reports cost three of them.
import { rate } from 'sluice:limit'

const quota = rate('5r/m', { burst: 4, key: '$http_x_api_key', name: 'partners', store: true })

/** @type {Sluice.Access} */
export async function access(r) {
  if (!r.headersIn.has('X-API-Key')) return r.return(401, 'an X-API-Key, please\n')
  const cost = r.uri.startsWith('/api/report') ? 3 : 1
  const { allowed, retryAfter, remaining } = await quota.take(r, cost)
  r.headersOut.set('X-Quota-Remaining', String(remaining))
  if (allowed) return
  r.headersOut.set('Retry-After', String(retryAfter))
  return r.return(429, `your quota is used up; come again in ${retryAfter} s\n`)
}
