// The same with a program, where a declaration does not reach: what depends on the response.

import { formatCacheControl, parseCacheControl, vary } from 'sluice:headers'

const ONE_DAY = 86400

/** @type {Sluice.HeaderFilter} */
export function headerFilter(r) {
  const cache = parseCacheControl(r.headersOut.get('Cache-Control'))
  if (r.status !== 200 || cache['no-store'] || cache.private) return
  const age = Math.min(Number(cache['max-age'] ?? ONE_DAY), ONE_DAY)
  r.headersOut.set('Cache-Control', formatCacheControl({ public: true, 'max-age': age }))
  vary(r, 'Accept-Encoding')
}
