// sluice:jwt: JSON Web Tokens in the compact form, signed (RFC 7519, RFC 7515). Strict as RFC 8725 asks: the algorithms
// that may be used are the caller's choice and never the token's, keys serve the algorithm they are made for, and what
// a token says is not looked at before its signature holds. Signatures themselves are the host's work.

import * as host from 'sluice:internal'

const ALGORITHMS = ['HS256', 'HS384', 'HS512', 'RS256', 'ES256', 'EdDSA']
/** What `kty` and `crv` of a JWK may be (RFC 7518 section 6.1, RFC 8037 section 2). */
const KEY_TYPES = { HS256: 'oct', HS384: 'oct', HS512: 'oct', RS256: 'RSA', ES256: 'EC', EdDSA: 'OKP' }
const MAX_TOKEN = 16384
const MAX_LIFE = 100 * 365 * 86400

/** Why a token is refused: `code` is for programs, the message for people. Neither holds anything of the token. */
export class JwtError extends Error {
  constructor(code, message) {
    super(`jwt: ${message}`)
    this.name = 'JwtError'
    this.code = code
  }
}

/**
 * Checks signature and claims.
 * @returns { header, payload }
 * @throws JwtError for a token that is refused, TypeError for options that make no sense
 */
export function verify(token, options) {
  const taken = take('verify', VERIFY_OPTIONS, options)
  const algorithms = algorithmsOf(taken.algorithms)
  const parsed = parse(token)
  const { header } = parsed
  checkHeader(header, algorithms, taken.type)
  const { kind, material } = keyMaterial('verify', keyFor(taken, header), header.alg)
  if (!withKey(() => host.verifySignature(header.alg, kind, material, parsed.signed, parsed.signature))) {
    throw new JwtError('signature', 'the signature is wrong')
  }
  const payload = object(parsed.body, 'payload')
  checkClaims(payload, taken)
  return { header, payload }
}

/** Makes a token of these claims. @throws TypeError for options, claims or keys that make no sense */
export function sign(claims, options) {
  const taken = take('sign', SIGN_OPTIONS, options)
  const { algorithm, keyId, type = 'JWT', header: more = {} } = taken
  if (!ALGORITHMS.includes(algorithm)) fail('sign', `algorithm is ${ALGORITHMS.join(', ')}`, algorithm)
  if (!isObject(claims)) fail('sign', 'the claims are an object', claims)
  if (!isObject(more) || 'alg' in more || 'crit' in more)
    fail('sign', 'header is an object without alg and crit', more)
  const header = { ...more, alg: algorithm, typ: type }
  if (keyId !== undefined) header.kid = keyId
  const signed = `${encode(header)}.${encode(claimsToSign(claims, taken))}`
  if (taken.key === undefined) fail('sign', 'a key is needed', undefined)
  const { kind, material } = keyMaterial('sign', taken.key, algorithm)
  const token = `${signed}.${withKey(() => host.makeSignature(algorithm, kind, material, signed), TypeError)}`
  if (token.length > MAX_TOKEN) throw new RangeError(`jwt: sign: a token has at most ${MAX_TOKEN} bytes`)
  return token
}

/**
 * What a token says, unchecked: anybody may have written it.
 * @returns { header, payload }
 * @throws JwtError when it is no token
 */
export function decode(token) {
  const { header, body } = parse(token)
  return { header, payload: object(body, 'payload') }
}

// ---- the compact form (RFC 7515 section 7.1) ----

function parse(token) {
  if (typeof token !== 'string') throw new JwtError('malformed', 'there is no token')
  if (token.length > MAX_TOKEN) throw new JwtError('too_large', `the token is longer than ${MAX_TOKEN} bytes`)
  const parts = token.split('.')
  if (parts.length !== 3) throw new JwtError('malformed', 'a token has three parts')
  const [head, body, signature] = parts
  return {
    header: object(head, 'header'),
    body,
    signed: `${head}.${body}`,
    signature,
  }
}

function object(part, what) {
  const text = host.fromBase64url(part)
  let value
  if (text !== undefined) {
    try {
      value = JSON.parse(text)
    } catch {
      // Told below.
    }
  }
  if (!isObject(value)) throw new JwtError('malformed', `the ${what} is not a JSON object in base64url`)
  return value
}

function encode(value) {
  return host.toBase64url(JSON.stringify(value))
}

// ---- header and key ----

function checkHeader(header, algorithms, type) {
  if (!algorithms.includes(header.alg)) {
    throw new JwtError('algorithm', `the token is not signed with ${algorithms.join(' or ')}`)
  }
  // RFC 7515 section 4.1.11: what must be understood is not.
  if ('crit' in header) throw new JwtError('malformed', 'the token has critical extensions')
  if (type !== undefined && mediaType(header.typ) !== mediaType(type)) {
    throw new JwtError('type', `the token is not of type ${type}`)
  }
}

/** RFC 7515 section 4.1.9. */
function mediaType(typ) {
  return typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : undefined
}

/** The key of the options, or the one of `keys` that the token names. Keys in the token itself are not looked at. */
function keyFor({ key, keys }, header) {
  if ((key === undefined) === (keys === undefined)) fail('verify', 'give either key or keys', key)
  if (key !== undefined) return key
  if (!isObject(keys)) fail('verify', 'keys is an object of keys by id, or a JWK set', keys)
  const found = Array.isArray(keys.keys) ? ofSet(keys.keys, header.kid) : ofRecord(keys, header.kid)
  if (found === undefined) throw new JwtError('key', 'there is no key for the token')
  return found
}

function ofSet(set, kid) {
  if (kid === undefined) return set.length === 1 ? set[0] : undefined
  return set.find((jwk) => isObject(jwk) && jwk.kid === kid)
}

function ofRecord(keys, kid) {
  return typeof kid === 'string' && Object.hasOwn(keys, kid) ? keys[kid] : undefined
}

/** A text that begins as PEM does is PEM; other texts, and bytes, are secrets; an object is a JWK (RFC 7517). */
function keyMaterial(use, key, algorithm) {
  if (key instanceof Uint8Array) return { kind: 'secret', material: key }
  if (typeof key === 'string') return { kind: /^\s*-----BEGIN /.test(key) ? 'pem' : 'secret', material: key }
  if (!isObject(key)) fail(use, 'a key is a text, a Uint8Array or a JWK', key)
  if (key.kty !== KEY_TYPES[algorithm] || (key.alg !== undefined && key.alg !== algorithm)) {
    throw keyError(use, `the key is not for ${algorithm}`)
  }
  if (key.use !== undefined && key.use !== 'sig') throw keyError(use, 'the key is not for signatures')
  if (Array.isArray(key.key_ops) && !key.key_ops.includes(use)) throw keyError(use, `the key may not ${use}`)
  return { kind: 'jwk', material: JSON.stringify(key) }
}

function keyError(use, message) {
  return use === 'sign' ? new TypeError(`jwt: sign: ${message}`) : new JwtError('key', message)
}

/** What the host says about a key is told as an error about keys. */
function withKey(action, Kind) {
  try {
    return action()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    if (Kind === TypeError) throw new TypeError(`jwt: sign: ${error.message}`)
    throw new JwtError('key', error.message)
  }
}

// ---- claims (RFC 7519 section 4.1) ----

function checkClaims(payload, taken) {
  const { clockTolerance = 0, required = [] } = taken
  if (!(Number.isFinite(clockTolerance) && clockTolerance >= 0))
    fail('verify', 'clockTolerance is a number of seconds', clockTolerance)
  const now = secondsOf('verify', 'now', taken.now ?? host.now() / 1000)
  for (const name of ['exp', 'nbf', 'iat']) {
    if (payload[name] !== undefined && !Number.isFinite(payload[name]))
      throw new JwtError('claim', `the claim ${name} is no time`)
  }
  for (const name of list('required', required)) {
    if (!Object.hasOwn(payload, name)) throw new JwtError('claim', `the claim ${name} is missing`)
  }
  if (payload.exp !== undefined && now >= payload.exp + clockTolerance)
    throw new JwtError('expired', 'the token has expired')
  if (payload.nbf !== undefined && now < payload.nbf - clockTolerance)
    throw new JwtError('not_active', 'the token is not valid yet')
  checkName(payload, 'iss', 'issuer', taken.issuer)
  checkName(payload, 'sub', 'subject', taken.subject)
  checkAudience(payload.aud, taken.audience)
}

function checkName(payload, claim, option, wanted) {
  if (wanted === undefined) return
  if (typeof payload[claim] !== 'string' || !list(option, wanted).includes(payload[claim]))
    throw new JwtError(option, `the token has another ${option}`)
}

/** RFC 7519 section 4.1.3: a token for somebody in particular is refused by everybody who does not say to be it. */
function checkAudience(aud, wanted) {
  if (wanted === false || (wanted === undefined && aud === undefined)) return
  const meant = typeof aud === 'string' ? [aud] : aud
  const named = wanted === undefined ? [] : list('audience', wanted)
  if (!Array.isArray(meant) || !meant.some((one) => typeof one === 'string' && named.includes(one)))
    throw new JwtError('audience', 'the token is meant for another audience')
}

function claimsToSign(claims, taken) {
  const now = Math.floor(secondsOf('sign', 'now', taken.now ?? host.now() / 1000))
  const made = { iat: now, ...claims }
  if (taken.expiresIn !== undefined) made.exp = now + span('expiresIn', taken.expiresIn)
  if (taken.notBefore !== undefined) made.nbf = now + span('notBefore', taken.notBefore)
  if (taken.issuer !== undefined) made.iss = taken.issuer
  if (taken.subject !== undefined) made.sub = taken.subject
  if (taken.audience !== undefined) made.aud = taken.audience
  return made
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86400 }

/** Seconds, or a text as `'15m'`. */
function span(name, value) {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(value) ?? []
  const seconds = count === undefined ? value : Number(count) * UNITS[unit]
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= MAX_LIFE) return seconds
  return fail('sign', `${name} is seconds, or a text as '15m'`, value)
}

function secondsOf(use, name, value) {
  const seconds = value instanceof Date ? value.getTime() / 1000 : value
  return Number.isFinite(seconds) ? seconds : fail(use, `${name} is a Date or seconds since 1970`, value)
}

// ---- options ----

const VERIFY_OPTIONS = [
  'algorithms',
  'audience',
  'clockTolerance',
  'issuer',
  'key',
  'keys',
  'now',
  'required',
  'subject',
  'type',
]
const SIGN_OPTIONS = [
  'algorithm',
  'audience',
  'expiresIn',
  'header',
  'issuer',
  'key',
  'keyId',
  'notBefore',
  'now',
  'subject',
  'type',
]

function take(use, names, options) {
  if (!isObject(options)) fail(use, 'the options are an object', options)
  for (const name of Object.keys(options)) {
    if (!names.includes(name))
      throw new TypeError(`jwt: ${use}: there is no option "${name}"; it takes ${names.join(', ')}`)
  }
  return options
}

function algorithmsOf(given) {
  if (!Array.isArray(given) || given.length === 0 || !given.every((one) => ALGORITHMS.includes(one)))
    fail('verify', `algorithms is a list of ${ALGORITHMS.join(', ')}`, given)
  return given
}

function list(name, value) {
  const all = typeof value === 'string' ? [value] : value
  if (!Array.isArray(all) || !all.every((one) => typeof one === 'string'))
    fail('verify', `${name} is a text or a list of texts`, value)
  return all
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function fail(use, rule, value) {
  throw new TypeError(`jwt: ${use}: ${rule}; it is ${JSON.stringify(value) ?? 'undefined'}`)
}
