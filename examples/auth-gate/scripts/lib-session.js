// A session is `user.expiry.signature`: nothing is stored, and nobody can make one without the secret.

import { hmac, timingSafeEqual } from 'sluice:hash'

/**
 * @param {string} user
 * @param {number} seconds how long it is good for
 */
export function seal(user, seconds) {
  const claim = `${encodeURIComponent(user)}.${Math.floor(Date.now() / 1000) + seconds}`
  return `${claim}.${sign(claim)}`
}

/**
 * The user of a sealed session, or null.
 * @param {string | undefined} session
 */
export function open(session) {
  const [, claim, user, expiry, signature] = /^(([^.]+)\.(\d+))\.(.+)$/.exec(session ?? '') ?? []
  if (claim === undefined || !timingSafeEqual(signature, sign(claim))) return null
  return Number(expiry) < Date.now() / 1000 ? null : decodeURIComponent(user)
}

/** @param {string} claim */
function sign(claim) {
  return hmac('sha256', sluice.params.secret ?? '', claim, 'base64url')
}
