// sluice:jwt in the real engine: the vectors of the RFCs, every reason for a refusal, keys of the wrong kind.

import { createHmac, createPublicKey, generateKeyPairSync, sign as signature, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate, load, ROOT, SandboxRequest } from './sandbox.ts'

const jwt = (expression: string) => evaluate(`import * as jwt from 'sluice:jwt'`, expression)

/** What the call comes to: its value, or the code or message of its error. */
const outcome = (call: string) =>
  jwt(
    `(() => { try { return jwt.${call} } catch (e) { return e.code ?? e.constructor.name + ': ' + e.message } })()`,
  )

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

// ---- RFC 7515 appendix A ----

const CLAIMS =
  'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'
const PAYLOAD = { iss: 'joe', exp: 1300819380, 'http://example.com/is_root': true }

const VECTORS = [
  {
    name: 'A.1, HS256',
    alg: 'HS256',
    head: 'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9',
    signature: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
    key: {
      kty: 'oct',
      k: 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
    },
  },
  {
    name: 'A.2, RS256',
    alg: 'RS256',
    head: 'eyJhbGciOiJSUzI1NiJ9',
    signature:
      'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw',
    key: {
      kty: 'RSA',
      n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ',
      e: 'AQAB',
    },
  },
  {
    name: 'A.3, ES256',
    alg: 'ES256',
    head: 'eyJhbGciOiJFUzI1NiJ9',
    signature: 'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q',
    key: {
      kty: 'EC',
      crv: 'P-256',
      x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
      y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
    },
  },
]

const call = (token: string, options: Record<string, unknown>) =>
  outcome(`verify(${JSON.stringify(token)}, ${JSON.stringify(options)})`)

for (const { name, alg, head, signature: right, key } of VECTORS) {
  test(`RFC 7515 ${name}: right until it is changed, or has expired`, async () => {
    const options = { algorithms: [alg], key, now: PAYLOAD.exp - 1 }
    const token = `${head}.${CLAIMS}.${right}`
    assert.equal(((await call(token, options)) as { payload: unknown }).payload, PAYLOAD)
    assert.is(await call(token, { ...options, now: PAYLOAD.exp }), 'expired')
    const other = encode({ ...PAYLOAD, iss: 'eve' })
    assert.is(await call(`${head}.${other}.${right}`, options), 'signature')
    const flipped = (right[0] === 'c' ? 'd' : 'c') + right.slice(1)
    assert.is(await call(`${head}.${CLAIMS}.${flipped}`, options), 'signature')
    assert.is(await call(`${head}.${CLAIMS}.`, options), 'signature')
    assert.is(await call(`${head}.${CLAIMS}.${right}AA`, options), 'signature')
    assert.is(await call(`${head}.${CLAIMS}.${right}=`, options), 'signature')
  })
}

test('RFC 8037 A.4, Ed25519: the signature is right, though it signs no claims', async () => {
  const key = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  const signed = 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc'
  const right = 'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg'
  const options = { algorithms: ['EdDSA'], key }
  assert.is(await call(`${signed}.${right}`, options), 'malformed')
  assert.is(await call(`${signed}.${right.slice(0, -2)}Aw`, options), 'signature')
})

// ---- every reason for a refusal ----

const SECRET = 's'.repeat(64)
const NOW = 1_700_000_000

function token(claims: unknown, header: Record<string, unknown> = { alg: 'HS256' }, secret = SECRET): string {
  const signed = `${encode(header)}.${encode(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

const check = (text: string, more: Record<string, unknown> = {}) =>
  call(text, { algorithms: ['HS256'], key: SECRET, now: NOW, ...more })

const REFUSED: [what: string, token: string, options: Record<string, unknown>, code: string][] = [
  ['alg none', `${encode({ alg: 'none' })}.${encode({})}.`, {}, 'algorithm'],
  ['alg none, spelled otherwise', `${encode({ alg: 'nOnE' })}.${encode({})}.`, {}, 'algorithm'],
  ['an algorithm that was not asked for', token({}, { alg: 'HS512' }), {}, 'algorithm'],
  ['an algorithm that is a list', token({}, { alg: ['HS256'] }), {}, 'algorithm'],
  ['no algorithm', token({}, {}), {}, 'algorithm'],
  ['another secret', token({}, { alg: 'HS256' }, 'x'.repeat(64)), {}, 'signature'],
  ['critical extensions', token({}, { alg: 'HS256', crit: ['b64'], b64: false }), {}, 'malformed'],
  ['two parts', 'a.b', {}, 'malformed'],
  ['four parts', `${token({})}.x`, {}, 'malformed'],
  ['an empty text', '', {}, 'malformed'],
  ['a header that is a list', `${encode([])}.${encode({})}.`, {}, 'malformed'],
  ['a header that is no base64url', `${encode({ alg: 'HS256' })}=.${encode({})}.`, {}, 'malformed'],
  [
    'a header that is no UTF-8',
    `${Buffer.from('{"a":"\xff"}', 'latin1').toString('base64url')}.e30.`,
    {},
    'malformed',
  ],
  ['a header of brackets', `${encode('['.repeat(9000))}.e30.x`, {}, 'malformed'],
  ['a payload that is a text', token('"x"'), {}, 'malformed'],
  ['more than 16 KiB', token({ x: 'x'.repeat(16384) }), {}, 'too_large'],
  ['exp now', token({ exp: NOW }), {}, 'expired'],
  ['exp as a text', token({ exp: '9999999999' }), {}, 'claim'],
  ['exp null', token({ exp: null }), {}, 'claim'],
  ['nbf in a second', token({ nbf: NOW + 1 }), {}, 'not_active'],
  ['iat that is none', token({ iat: {} }), {}, 'claim'],
  ['no exp where it is required', token({}), { required: ['exp'] }, 'claim'],
  ['a claim that only the prototype has', token({}), { required: ['toString'] }, 'claim'],
  ['another issuer', token({ iss: 'b' }), { issuer: 'a' }, 'issuer'],
  ['no issuer', token({}), { issuer: ['a'] }, 'issuer'],
  ['another subject', token({ sub: 'b' }), { subject: 'a' }, 'subject'],
  ['an audience, and nobody says to be it', token({ aud: 'b' }), {}, 'audience'],
  ['another audience', token({ aud: ['b', 'c'] }), { audience: ['a'] }, 'audience'],
  ['no audience', token({}), { audience: 'a' }, 'audience'],
  ['an audience that is none', token({ aud: { a: 1 } }), { audience: 'a' }, 'audience'],
  ['another type', token({}, { alg: 'HS256', typ: 'JWT' }), { type: 'at+jwt' }, 'type'],
  [
    'a key id that is not there',
    token({}, { alg: 'HS256', kid: 'c' }),
    { key: undefined, keys: { a: SECRET } },
    'key',
  ],
  [
    'a key id of the prototype',
    token({}, { alg: 'HS256', kid: 'toString' }),
    { key: undefined, keys: { a: SECRET } },
    'key',
  ],
  ['no key id', token({}), { key: undefined, keys: { a: SECRET } }, 'key'],
]

for (const [what, text, options, code] of REFUSED) {
  test(`refused: ${what}`, async () => {
    assert.is(await check(text, options), code)
  })
}

const ACCEPTED: [what: string, token: string, options: Record<string, unknown>][] = [
  ['within the tolerance', token({ exp: NOW - 9, nbf: NOW + 9 }), { clockTolerance: 10 }],
  ['one of several issuers', token({ iss: 'b', sub: 's' }), { issuer: ['a', 'b'], subject: 's' }],
  ['one of several audiences', token({ aud: ['x', 'a'] }), { audience: ['a', 'b'] }],
  ['an audience that is not looked at', token({ aud: 'x' }), { audience: false }],
  [
    'a type with and without its prefix',
    token({}, { alg: 'HS256', typ: 'application/AT+JWT' }),
    { type: 'at+jwt' },
  ],
  [
    'a key by id',
    token({}, { alg: 'HS256', kid: 'b' }),
    { key: undefined, keys: { a: 'x'.repeat(32), b: SECRET } },
  ],
  [
    'a key of a set, without an id as there is one',
    token({}),
    { key: undefined, keys: { keys: [{ kty: 'oct', k: encode(SECRET), alg: 'HS256', use: 'sig' }] } },
  ],
]

for (const [what, text, options] of ACCEPTED) {
  test(`accepted: ${what}`, async () => {
    const result = await check(text, options)
    assert.type(result, 'object', String(result))
  })
}

// ---- keys ----

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string

test('a public key is no secret: the oldest trick against this format (RFC 8725 section 2.1)', async () => {
  const forged = token({ sub: 'admin' }, { alg: 'HS256' }, pem)
  const both = { algorithms: ['RS256', 'HS256'] }
  assert.is(await check(forged, { ...both, key: pem }), 'key')
  assert.is(await check(forged, { ...both, key: `\n ${pem}` }), 'key')
  assert.is(await check(forged, { ...both, key: `x${pem}` }), 'key')
  assert.is(await check(forged, { ...both, key: rsa.publicKey.export({ format: 'jwk' }) }), 'key')
  assert.is(
    await outcome(
      `verify(${JSON.stringify(forged)}, { algorithms: ['HS256'], key: new TextEncoder().encode(${JSON.stringify(pem)}) })`,
    ),
    'key',
  )
})

test('keys that are too weak, of another kind, or for another purpose', async () => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
  const x25519 = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' })
  const head = (alg: string) => `${encode({ alg })}.${encode({})}.${'A'.repeat(86)}`
  const cases: [alg: string, key: unknown, expected: string][] = [
    ['RS256', weak, 'key'],
    ['ES256', p384, 'key'],
    ['EdDSA', x25519, 'key'],
    ['ES256', pem, 'key'],
    ['RS256', SECRET, 'key'],
    ['HS256', 'short', 'key'],
    ['HS384', 'x'.repeat(47), 'key'],
    ['HS256', { kty: 'oct', k: encode(SECRET), use: 'enc' }, 'key'],
    ['HS256', { kty: 'oct', k: encode(SECRET), alg: 'HS512' }, 'key'],
    ['HS256', { kty: 'oct', k: encode(SECRET), key_ops: ['sign'] }, 'key'],
    ['HS256', { kty: 'oct', k: 'a b' }, 'key'],
    ['RS256', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', 'key'],
    ['RS256', { kty: 'RSA' }, 'key'],
  ]
  for (const [alg, key, expected] of cases) {
    assert.is(await call(head(alg), { algorithms: [alg], key }), expected, JSON.stringify([alg, key]))
  }
})

test('sign: what Node verifies, with every algorithm, and back', async () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ed = generateKeyPairSync('ed25519')
  const pairs = [
    ['RS256', rsa, 'sha256', {}],
    ['ES256', ec, 'sha256', { dsaEncoding: 'ieee-p1363' as const }],
    ['EdDSA', ed, null, {}],
  ] as const
  for (const [algorithm, { privateKey }, hash, more] of pairs) {
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
    const options = JSON.stringify({ algorithm, key, keyId: 'k1', now: NOW, expiresIn: '15m' })
    const made = (await jwt(`jwt.sign({ sub: 'ü' }, ${options})`)) as string
    const [head = '', body = '', signed = ''] = made.split('.')
    assert.equal(JSON.parse(Buffer.from(head, 'base64url').toString()), {
      alg: algorithm,
      typ: 'JWT',
      kid: 'k1',
    })
    assert.equal(JSON.parse(Buffer.from(body, 'base64url').toString()), {
      iat: NOW,
      sub: 'ü',
      exp: NOW + 900,
    })
    const text = Buffer.from(`${head}.${body}`)
    const publicKey = createPublicKey(privateKey)
    assert.ok(verify(hash, text, { key: publicKey, ...more }, Buffer.from(signed, 'base64url')))
    const theirs = `${head}.${body}.${signature(hash, text, { key: privateKey, ...more }).toString('base64url')}`
    const jwk = publicKey.export({ format: 'jwk' })
    assert.type(await call(theirs, { algorithms: [algorithm], key: jwk, now: NOW }), 'object')
  }
  for (const [algorithm, hash] of [
    ['HS256', 'sha256'],
    ['HS384', 'sha384'],
    ['HS512', 'sha512'],
  ] as const) {
    const made = (await jwt(`jwt.sign({}, { algorithm: '${algorithm}', key: '${SECRET}' })`)) as string
    const at = made.lastIndexOf('.')
    assert.is(made.slice(at + 1), createHmac(hash, SECRET).update(made.slice(0, at)).digest('base64url'))
  }
})

const MISTAKES: [call: string, message: string][] = [
  [
    `verify('a.b.c', { key: 'k' })`,
    'jwt: verify: algorithms is a list of HS256, HS384, HS512, RS256, ES256, EdDSA; it is undefined',
  ],
  [
    `verify('a.b.c', { algorithms: ['none'], key: 'k' })`,
    'jwt: verify: algorithms is a list of HS256, HS384, HS512, RS256, ES256, EdDSA; it is ["none"]',
  ],
  [
    `verify('a.b.c', { algorithms: [], key: 'k' })`,
    'jwt: verify: algorithms is a list of HS256, HS384, HS512, RS256, ES256, EdDSA; it is []',
  ],
  [
    `verify('${token({})}', { algorithms: ['HS256'] })`,
    'jwt: verify: give either key or keys; it is undefined',
  ],
  [
    `verify('a.b.c', { algorithm: 'HS256' })`,
    'jwt: verify: there is no option "algorithm"; it takes algorithms, audience, clockTolerance, issuer, key, keys, now, required, subject, type',
  ],
  [
    `sign({}, { algorithm: 'none', key: 'k' })`,
    'jwt: sign: algorithm is HS256, HS384, HS512, RS256, ES256, EdDSA; it is "none"',
  ],
  [`sign([], { algorithm: 'HS256', key: 'k' })`, 'jwt: sign: the claims are an object; it is []'],
  [`sign({}, { algorithm: 'HS256' })`, 'jwt: sign: a key is needed; it is undefined'],
  [
    `sign({}, { algorithm: 'HS256', key: 'k' })`,
    'jwt: sign: the secret has 1 bytes; it needs 32 (RFC 7518 section 3.2)',
  ],
  [
    `sign({}, { algorithm: 'HS256', key: '${SECRET}', expiresIn: 'soon' })`,
    `jwt: sign: expiresIn is seconds, or a text as '15m'; it is "soon"`,
  ],
  [
    `sign({}, { algorithm: 'HS256', key: '${SECRET}', header: { alg: 'none' } })`,
    'jwt: sign: header is an object without alg and crit; it is {"alg":"none"}',
  ],
]

for (const [mistake, message] of MISTAKES) {
  test(`a mistake of the script's: ${mistake.replace(/'[\w-]{20,}[^']*'/g, '…')}`, async () => {
    assert.is(await outcome(mistake), `TypeError: ${message}`)
  })
}

test('sign: a token that nobody would accept is not made', async () => {
  const made = `sign({ x: 'x'.repeat(16384) }, { algorithm: 'HS256', key: '${SECRET}' })`
  assert.is(await outcome(made), 'RangeError: jwt: sign: a token has at most 16384 bytes')
})

test('decode: what a token says, whoever wrote it', async () => {
  assert.equal(await outcome(`decode('${token({ sub: 'x' }, { alg: 'none' })}')`), {
    header: { alg: 'none' },
    payload: { sub: 'x' },
  })
  assert.is(await outcome(`decode(undefined)`), 'malformed')
})

test("the page's example: who has a token of ours passes", async () => {
  const page = readFileSync(join(ROOT, 'stdlib/jwt.md'), 'utf8')
  const source = /^## Example\n\n```js\n(.*?)^```$/ms.exec(page)?.[1] ?? ''
  const script = await load(source, { params: { secret: SECRET } })
  const exp = Math.ceil(Date.now() / 1000) + 60
  const ask = async (authorization: string) => {
    const request = new SandboxRequest({ headers: { Authorization: authorization } })
    await request.run(script, 'access')
    return request.reply?.body ?? request.requestHeaders.get('X-User')
  }
  assert.is(await ask(`Bearer ${token({ exp, sub: 'ann', iss: 'login.example.com' })}`), 'ann')
  assert.is(await ask(`Bearer ${token({ exp, sub: 'ann', iss: 'example.org' })}`), 'issuer\n')
  assert.is(await ask(`Bearer ${token({ exp: 1, sub: 'ann', iss: 'login.example.com' })}`), 'expired\n')
  assert.is(await ask('Basic YTpi'), 'malformed\n')
  script.dispose()
})

test('JwtError: an Error with a code', async () => {
  const shown = await jwt(
    `(() => { try { jwt.decode('x') } catch (e) { return [e instanceof jwt.JwtError, e instanceof Error, e.name, e.message] } })()`,
  )
  assert.equal(shown, [true, true, 'JwtError', 'jwt: a token has three parts'])
})

test('signing in a loop ends with the CPU time of the entry', async () => {
  const key = JSON.stringify(rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const script = await load(
    `import { sign } from 'sluice:jwt'
     export function access(r) {
       for (;;) { try { sign({}, { algorithm: 'RS256', key: ${key} }) } catch {} }
     }`,
    { limits: { cpu: 50 } },
  )
  const request = new SandboxRequest()
  const before = process.cpuUsage()
  await request.run(script, 'access')
  const { user, system } = process.cpuUsage(before)
  assert.match(request.failure?.[1] ?? '', /more than 50 ms of CPU time/)
  assert.ok((user + system) / 1000 < 250, `${(user + system) / 1000} ms`)
  script.dispose()
})

test.run()
