// A user always reaches the same server.

/** @type {Sluice.Balancer} */
export function balancer(r, upstream) {
  return upstream.hash(r.variables.arg_userId, { consistent: true })
}

/** @type {Sluice.HeaderFilter} */
export function headerFilter(r) {
  r.headersOut.set('X-Routing', 'by user')
}
