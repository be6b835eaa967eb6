/**
 * The host functions behind `sluice:jwt`: signatures of JSON Web Algorithms (RFC 7518, RFC 8037), made and checked by
 * Node's crypto, and base64url. Owns the parsed keys of one sandbox, bounded. A key serves the algorithm that it is made
 * for and no other, however it came here.
 */
import { isUtf8 } from 'node:buffer'
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { argument, bytesAt, type DoorContext, type HostFunctions, MAX_NAME, MAX_VALUE } from './door.ts'
import { fromBytes, GuestError, toBytes } from './guest-values.ts'
import type { Address } from './quickjs-module.ts'

/** `hash`: of the data before it is signed; `size`: bytes of a signature, or of the least secret. */
type Algorithm =
  | { readonly kind: 'secret'; readonly hash: string; readonly size: number }
  | { readonly kind: 'rsa'; readonly hash: string }
  | { readonly kind: 'ec'; readonly hash: string; readonly curve: string; readonly size: number }
  | { readonly kind: 'ed25519'; readonly size: number }

const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['HS256', { kind: 'secret', hash: 'sha256', size: 32 }],
  ['HS384', { kind: 'secret', hash: 'sha384', size: 48 }],
  ['HS512', { kind: 'secret', hash: 'sha512', size: 64 }],
  ['RS256', { kind: 'rsa', hash: 'sha256' }],
  ['ES256', { kind: 'ec', hash: 'sha256', curve: 'prime256v1', size: 64 }],
  ['EdDSA', { kind: 'ed25519', size: 64 }],
])

/** RFC 7518 section 3.3. */
const MIN_RSA_BITS = 2048
const MAX_RSA_BITS = 8192
const MAX_KEY = 16 * 1024
/** Parsed keys that one sandbox keeps. */
const MAX_KEYS = 64
/** Written anywhere in what is given as a secret, it is a key by mistake (RFC 8725 section 2.1). */
const PEM = '-----BEGIN '

export function signatureDoor(door: DoorContext): HostFunctions {
  const { values, instance } = door
  const keys = new KeyCache()
  const name = (cell: Address): string => values.text(cell, 'a name', MAX_NAME)
  /** `(algorithm, kind of key, key, offset, length)`; signing and checking take up to a millisecond each. */
  const prepare = (argv: Address, use: 'sign' | 'verify') => {
    if (instance.clock.isOver()) throw new GuestError('RangeError', instance.cpuMessage)
    const algorithm = ALGORITHMS.get(name(argv))
    if (algorithm === undefined) throw new GuestError('TypeError', 'there is no such algorithm')
    const material = bytesAt(door, argv, 2, 'the key', MAX_KEY)
    const key = keys.find(name(argument(argv, 1)), material, use)
    checkKey(key, algorithm)
    return { algorithm, key }
  }
  const data = (cell: Address): Buffer => Buffer.from(values.text(cell, 'the data', MAX_VALUE), 'latin1')
  return {
    /** `(algorithm, kind, key, offset, length, data, signature)`: whether the signature, base64url, is right. */
    verifySignature(_self, argv) {
      const { algorithm, key } = prepare(argv, 'verify')
      const signature = decodeBase64url(values.text(argument(argv, 6), 'the signature', MAX_VALUE))
      return values.boolean(signature !== null && isRight(algorithm, key, data(argument(argv, 5)), signature))
    },
    /** `(algorithm, kind, key, offset, length, data)`: the signature as base64url. */
    makeSignature(_self, argv) {
      const { algorithm, key } = prepare(argv, 'sign')
      return values.string(makeSignature(algorithm, key, data(argument(argv, 5))).toString('base64url'))
    },
    toBase64url: (_self, argv) => values.string(data(argv).toString('base64url')),
    /** Undefined for what is not base64url of UTF-8. */
    fromBase64url(_self, argv) {
      const bytes = decodeBase64url(values.text(argv, 'the text', MAX_VALUE))
      return bytes === null || !isUtf8(bytes) ? 0 : values.string(bytes.toString('latin1'))
    },
  }
}

/** RFC 7515 section 2: no padding, nothing but the alphabet, one spelling for each content. */
function decodeBase64url(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : null
}

function isRight(algorithm: Algorithm, key: KeyObject, data: Buffer, signature: Buffer): boolean {
  switch (algorithm.kind) {
    case 'secret': {
      const expected = createHmac(algorithm.hash, key).update(data).digest()
      return signature.length === expected.length && timingSafeEqual(signature, expected)
    }
    case 'rsa':
      return verify(algorithm.hash, data, key, signature)
    case 'ec':
      return (
        signature.length === algorithm.size &&
        verify(algorithm.hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature)
      )
    case 'ed25519':
      return signature.length === algorithm.size && verify(null, data, key, signature)
  }
}

function makeSignature(algorithm: Algorithm, key: KeyObject, data: Buffer): Buffer {
  switch (algorithm.kind) {
    case 'secret':
      return createHmac(algorithm.hash, key).update(data).digest()
    case 'rsa':
      return sign(algorithm.hash, data, key)
    case 'ec':
      return sign(algorithm.hash, data, { key, dsaEncoding: 'ieee-p1363' })
    case 'ed25519':
      return sign(null, data, key)
  }
}

// ---- keys ----

/** @throws GuestError when the key is not of the algorithm's kind and strength (RFC 8725 sections 3.1 and 3.5) */
function checkKey(key: KeyObject, algorithm: Algorithm): void {
  const kind = key.type === 'secret' ? 'secret' : (key.asymmetricKeyType ?? '')
  if (kind !== algorithm.kind) {
    throw new GuestError(
      'TypeError',
      `the key is ${KINDS[kind] ?? 'of another kind'}, not ${KINDS[algorithm.kind]}`,
    )
  }
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (algorithm.kind === 'secret' && key.symmetricKeySize! < algorithm.size) {
    throw new GuestError(
      'TypeError',
      `the secret has ${key.symmetricKeySize} bytes; it needs ${algorithm.size} (RFC 7518 section 3.2)`,
    )
  }
  if (algorithm.kind === 'ec' && namedCurve !== algorithm.curve) {
    throw new GuestError('TypeError', `the key is on the curve ${namedCurve}, not P-256`)
  }
  if (algorithm.kind === 'rsa' && (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS)) {
    throw new GuestError(
      'TypeError',
      `the RSA key has ${modulusLength} bits; it needs ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`,
    )
  }
}

const KINDS: Readonly<Record<string, string>> = {
  secret: 'a secret',
  rsa: 'an RSA key',
  ec: 'an EC key',
  ed25519: 'an Ed25519 key',
}

/** Parsing a key takes longer than using it. The oldest goes first. */
class KeyCache {
  readonly #keys = new Map<string, KeyObject>()

  /** @param kind `secret`, `pem` or `jwk`. @throws GuestError */
  find(kind: string, material: Uint8Array, use: 'sign' | 'verify'): KeyObject {
    const text = Buffer.from(material.buffer, material.byteOffset, material.byteLength).toString('latin1')
    const id = `${kind} ${use} ${text}`
    const known = this.#keys.get(id)
    if (known !== undefined) return known
    const key = parseKey(kind, text, use)
    if (this.#keys.size >= MAX_KEYS) this.#keys.delete(this.#keys.keys().next().value!)
    this.#keys.set(id, key)
    return key
  }
}

function parseKey(kind: string, text: string, use: 'sign' | 'verify'): KeyObject {
  if (kind === 'secret') {
    if (text.includes(PEM)) throw new GuestError('TypeError', 'a PEM key cannot be a secret')
    return createSecretKey(Buffer.from(text, 'latin1'))
  }
  const make = use === 'sign' ? createPrivateKey : createPublicKey
  try {
    if (kind === 'pem') return make({ key: Buffer.from(text, 'latin1'), format: 'pem' })
    const jwk = JSON.parse(fromBytes(text)) as { kty?: unknown; k?: unknown }
    if (jwk.kty !== 'oct') return make({ key: jwk as object, format: 'jwk' } as never)
    const secret = typeof jwk.k === 'string' ? decodeBase64url(toBytes(jwk.k)) : null
    if (secret !== null) return createSecretKey(secret)
  } catch {
    // Node's words are about OpenSSL.
  }
  const what = kind === 'pem' ? 'PEM' : 'JWK'
  throw new GuestError('TypeError', `the key is no ${what} ${use === 'sign' ? 'private' : 'public'} key`)
}
