// Users of a room meet on one server; who is in none is where they were.

/** @type {Sluice.Balancer} */
export function balancer(r, upstream) {
  return upstream.hash(r.variables.arg_room ?? r.variables.arg_userId, { consistent: true })
}

/** @type {Sluice.HeaderFilter} */
export function headerFilter(r) {
  r.headersOut.set('X-Routing', 'by room')
}
