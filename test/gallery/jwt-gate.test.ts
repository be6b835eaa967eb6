// JWT gate: who passes, what the server behind is told, and what the others are.

import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { testScript } from '../../runtime/testing/index.ts'
import { gallery } from './gallery.ts'

const secret = 'a secret of thirty-two bytes, and more'
const NOW = '2030-01-01T00:00:00Z'
const exp = Date.parse(NOW) / 1000 + 60

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

function token(claims: object, key = secret): string {
  const text = `${encode({ alg: 'HS256' })}.${encode({ exp, sub: 'ann', iss: 'login', ...claims })}`
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
}

const bearer = (text: string) => ({ headers: { Authorization: `Bearer ${text}`, 'X-User': 'root' } })

test('a valid token passes, and the server behind learns whose it is', async () => {
  const script = await testScript(gallery('jwt-gate.js'), { params: { secret, issuer: 'login' }, now: NOW })
  const decision = await script.access(bearer(token({ sub: 'ann ü' })))
  assert.is(decision.outcome, 'pass')
  assert.equal(decision.headersIn.getAll('X-User'), ['ann%20%C3%BC'])
  const byCookie = await script.access({ headers: { Cookie: `token=${token({})}` } })
  assert.is(byCookie.headersIn.get('X-User'), 'ann')
  script.dispose()
})

test('everybody else gets 401, and the log says why', async () => {
  const script = await testScript(gallery('jwt-gate.js'), { params: { secret, issuer: 'login' }, now: NOW })
  const cases: [token: string, why: string][] = [
    [token({ exp: exp - 120 }), 'expired'],
    [token({ iss: 'mallory' }), 'issuer'],
    [token({ aud: 'another shop' }), 'audience'],
    [token({ sub: undefined }), 'claim'],
    [token({}, 'another secret of thirty-two bytes'), 'signature'],
    [`${encode({ alg: 'none' })}.${encode({ exp, sub: 'root' })}.`, 'algorithm'],
    ['x', 'malformed'],
  ]
  for (const [text, why] of cases) {
    const { answer, logs } = await script.access(bearer(text))
    assert.is(answer?.status, 401)
    assert.is(answer?.headers.get('WWW-Authenticate'), 'Bearer error="invalid_token"')
    assert.equal(logs, [{ level: 'info', message: `jwt-gate.js: token refused: ${why}` }])
  }
  const { answer } = await script.access()
  assert.is(answer?.headers.get('WWW-Authenticate'), 'Bearer')
  script.dispose()
})

test('a token ends when its time has come, half a minute of grace included', async () => {
  const script = await testScript(gallery('jwt-gate.js'), { params: { secret }, now: NOW })
  await script.clock.advance('89s')
  assert.is((await script.access(bearer(token({})))).outcome, 'pass')
  await script.clock.advance('1s')
  assert.is((await script.access(bearer(token({})))).outcome, 'answer')
  script.dispose()
})

test('a public key, as the directive takes it', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
  const script = await testScript(gallery('jwt-gate.js'), {
    params: { public_key: Buffer.from(pem).toString('base64') },
    now: NOW,
  })
  const text = `${encode({ alg: 'ES256' })}.${encode({ exp, sub: 'ann' })}`
  const signed = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  assert.is((await script.access(bearer(`${text}.${signed.toString('base64url')}`))).outcome, 'pass')
  assert.is((await script.access(bearer(token({}, pem)))).answer?.status, 401)
  script.dispose()
})

test('without a key, or with a weak one, the script is refused', async () => {
  for (const params of [{}, { secret: 'short' }] as Record<string, string>[]) {
    try {
      await testScript(gallery('jwt-gate.js'), { params })
      assert.unreachable()
    } catch (error) {
      assert.match((error as Error).message, /jwt-gate\.js:\d+:\d+: .*secret= has at least 32 bytes/)
    }
  }
})

test.run()
