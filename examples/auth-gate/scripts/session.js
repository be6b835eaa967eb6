// Only with a session; the others go to the login. The application is told who it is.

import { get } from 'sluice:cookie'
import { open } from './lib-session.js'

/** @type {Sluice.Init} */
export function init({ params }) {
  if (!params.secret) throw new Error('secret= is missing in the script directive')
}

/** @type {Sluice.Access} */
export function access(r) {
  const user = open(get(r, 'session'))
  if (user === null) return r.return(302, `/login?back=${encodeURIComponent(r.uri)}`)
  r.headersIn.set('X-User', encodeURIComponent(user))
}
