// The first version: whichever server has the fewest requests.

/** @type {Sluice.Balancer} */
export function balancer(_, upstream) {
  return upstream.leastConn()
}

/** @type {Sluice.HeaderFilter} */
export function headerFilter(r) {
  r.headersOut.set('X-Routing', 'least busy')
}
