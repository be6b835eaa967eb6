// HTTP Basic with a pause after a wrong password: one guess takes half a second, other requests do not wait.

import { timingSafeEqual } from 'sluice:hash'
import { parseBasic } from 'sluice:headers'

const PAUSE = 500

/** @type {Sluice.Access} */
export async function access(r) {
  const given = parseBasic(r.headersIn.get('Authorization'))
  if (given !== null && timingSafeEqual(given.password, sluice.params.password ?? '')) return
  if (given !== null) await new Promise((resume) => setTimeout(resume, PAUSE))
  return { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="admin"' }, body: 'Who are you?\n' }
}
