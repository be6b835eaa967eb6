// The same user always reaches the same server; another one only while that server is down.

/** @type {Sluice.Balancer} */
export function balancer(r, upstream) {
  return upstream.hash(r.variables.arg_userId, { consistent: true })
}
