// Header rules: what the servers behind may believe, what browsers should enforce, and what nobody needs to know.
//
//     script scripts/header-rules.js hsts=31536000 frame=SAMEORIGIN;
//
//   hsts    seconds for Strict-Transport-Security, on https alone                    31536000
//   frame   X-Frame-Options                                                          DENY

const { hsts = '31536000', frame = 'DENY' } = sluice.params

/** Names that only our own proxies may send. */
const INTERNAL = /^x-(internal|forwarded)-/i

/** What servers tell about themselves. */
const CHATTY = ['Server', 'X-Powered-By', 'X-AspNet-Version', 'X-Runtime']

/** @type {Sluice.Rewrite} */
export function rewrite(r) {
  for (const name of [...r.headersIn.keys()]) if (INTERNAL.test(name)) r.headersIn.delete(name)
  r.headersIn.set('X-Request-ID', r.variables.request_id ?? '')
}

/** @type {Sluice.HeaderFilter} */
export function headerFilter(r) {
  const out = r.headersOut
  for (const name of CHATTY) out.delete(name)
  out.set('X-Request-ID', r.variables.request_id ?? '')
  out.set('X-Content-Type-Options', 'nosniff')
  out.set('X-Frame-Options', frame)
  if (r.variables.scheme === 'https') out.set('Strict-Transport-Security', `max-age=${hsts}`)
  // What is for one user is nobody else's: no cache on the way keeps it.
  if (out.has('Set-Cookie') && !out.has('Cache-Control')) out.set('Cache-Control', 'private, no-store')
}
