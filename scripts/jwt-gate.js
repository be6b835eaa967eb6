// JWT gate: only requests with a valid token pass; the server behind learns from X-User whose it is. The token comes as
// Authorization: Bearer, or in a cookie.
//
//     script scripts/jwt-gate.js secret=… issuer=login.example.com audience=shop;
//
//   secret      of at least 32 bytes, for HS256; or
//   public_key  base64 of a PEM public key, for RS256, ES256 and EdDSA
//   issuer      iss of the tokens; not looked at without it
//   audience    aud of the tokens; needed when they have one
//   cookie      name of the cookie                                                   token

import * as cookies from 'sluice:cookie'
import { parseBearer } from 'sluice:headers'
import { JwtError, verify } from 'sluice:jwt'

const { secret, public_key: publicKey, issuer, audience, cookie = 'token' } = sluice.params

/** @type {import('sluice:jwt').VerifyOptions} */
const options = {
  ...(publicKey === undefined
    ? { key: secret ?? '', algorithms: ['HS256'] }
    : { key: atob(publicKey), algorithms: ['RS256', 'ES256', 'EdDSA'] }),
  ...(issuer !== undefined && { issuer }),
  ...(audience !== undefined && { audience }),
  required: ['exp', 'sub'],
  clockTolerance: 30,
}

/** Without a good key there is nothing to check with: the script is refused when it is loaded. */
export function init() {
  if (publicKey !== undefined) return
  if (secret === undefined || secret.length < 32)
    throw new Error('secret= has at least 32 bytes; or give public_key=')
}

/** @type {Sluice.Access} */
export function access(r) {
  const token = parseBearer(r.headersIn.get('Authorization')) ?? cookies.get(r, cookie)
  try {
    const { payload } = verify(token, options)
    // Set, not appended: what a client claims to be is gone.
    r.headersIn.set('X-User', encodeURIComponent(payload.sub ?? ''))
  } catch (error) {
    if (!(error instanceof JwtError)) throw error
    r.log(`token refused: ${error.code}`)
    const problem = token === undefined ? 'Bearer' : 'Bearer error="invalid_token"'
    return { status: 401, headers: { 'WWW-Authenticate': problem }, body: 'Please log in.\n' }
  }
}
