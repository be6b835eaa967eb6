// POST user and password as a form; a right one gets a session cookie and goes back to where it came from.

import { serialize } from 'sluice:cookie'
import { timingSafeEqual } from 'sluice:hash'
import { getQuery, isLocal } from 'sluice:url'
import { seal } from './lib-session.js'

const HOUR = 3600

/** @type {Sluice.Content} */
export async function content(r) {
  if (r.method !== 'POST') return { status: 200, body: 'POST user and password.\n' }
  const { user, password } = await r.readForm()
  if (
    typeof user !== 'string' ||
    user === '' ||
    !timingSafeEqual(String(password), sluice.params.password ?? '')
  ) {
    return { status: 403, body: 'Wrong user or password.\n' }
  }
  const back = getQuery(r.rawArgs, 'back') ?? '/account/'
  return {
    status: 303,
    headers: {
      Location: isLocal(back) ? encodeURI(back) : '/account/',
      'Set-Cookie': serialize('session', seal(user, HOUR), { httpOnly: true, sameSite: 'Lax', maxAge: HOUR }),
    },
    body: 'Welcome.\n',
  }
}
