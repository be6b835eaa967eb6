// The auth gate: who passes which gate, and what the application sees of it.

import { createHmac } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Application, type Example, http, type Received, startExample } from './example.ts'

let application: Application
let example: Example

test.before(async () => {
  application = await Application.start((_, response) => response.end('inside'))
  example = await startExample('auth-gate', { 9001: application.port })
})

test.after(async () => {
  await example.sluice.stop()
  await application.stop()
})

const get = (path: string, headers: Record<string, string> = {}) =>
  http(example.port(8083), path, { headers })

function login(form: string, query = ''): Promise<Received> {
  const headers = {
    'Content-Type': 'application/x-www-form-urlencoded',
    'Content-Length': String(Buffer.byteLength(form)),
  }
  return http(example.port(8083), `/login${query}`, { method: 'POST', headers, body: form })
}

function sessionOf({ headers }: Received): string {
  return headers['set-cookie']![0]!.split(';')[0]!
}

/** Where a redirect leads on this site; anywhere else it is the whole URL. */
function pathOf({ headers }: Received): string {
  const base = `http://127.0.0.1:${example.port(8083)}`
  const url = new URL(headers.location!, base)
  return url.href.startsWith(`${base}/`) ? url.href.slice(base.length) : url.href
}

test('/api/: one of the keys, else 401 and the application sees nothing', async () => {
  assert.is((await get('/api/x', { 'X-API-Key': 'key-of-alice' })).body, 'inside')
  assert.is((await get('/api/x', { 'X-API-Key': 'key-of-bob' })).body, 'inside')
  const seen = application.requests.length
  for (const key of ['key-of-mallory', 'key-of-alic', 'key-of-alicee', 'KEY-OF-ALICE', '']) {
    const { status, headers, body } = await get('/api/x', { 'X-API-Key': key })
    assert.equal([status, headers['www-authenticate'], body], [401, 'ApiKey', 'An X-API-Key is needed.\n'])
  }
  assert.is((await get('/api/x')).status, 401)
  assert.is(application.requests.length, seen)
})

test('/account/: the login gives a session, the application is told whose', async () => {
  const refused = await get('/account/orders')
  assert.equal([refused.status, pathOf(refused)], [302, '/login?back=%2Faccount%2Forders'])
  const answer = await login('user=zo%C3%AB&password=opensesame', '?back=/account/orders')
  assert.equal([answer.status, pathOf(answer)], [303, '/account/orders'])
  assert.match(
    answer.headers['set-cookie']![0]!,
    /^session=[^;]+; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/,
  )
  const { body } = await get('/account/orders', { Cookie: `a=1; ${sessionOf(answer)}`, 'X-User': 'root' })
  assert.is(body, 'inside')
  assert.is(application.requests.at(-1)!.headers['x-user'], 'zo%C3%AB')
})

test('/account/: forged, changed and expired sessions go to the login', async () => {
  const session = sessionOf(await login('user=ann&password=opensesame'))
  const sign = (claim: string, secret: string) =>
    `session=${claim}.${createHmac('sha256', secret).update(claim).digest('base64url')}`
  const later = Math.floor(Date.now() / 1000) + 60
  assert.is((await get('/account/', { Cookie: sign(`ann.${later}`, 'change-me') })).status, 200)
  for (const cookie of [
    'session=',
    'session=ann.99999999999.',
    session.replace('ann', 'bob'),
    `${session}x`,
    sign(`ann.${later}`, 'guessed'),
    sign(`ann.${later - 120}`, 'change-me'),
  ]) {
    assert.is((await get('/account/', { Cookie: cookie })).status, 302, cookie)
  }
})

test('/login: wrong passwords stay out, and the way back stays on this site', async () => {
  for (const form of ['user=ann&password=wrong', 'user=&password=opensesame', 'password=opensesame', '']) {
    const { status, headers } = await login(form)
    assert.equal([status, headers['set-cookie']], [403, undefined], form)
  }
  for (const back of ['//evil.example/', 'https://evil.example/', '/%5Cevil.example', 'x']) {
    assert.is(pathOf(await login('user=ann&password=opensesame', `?back=${back}`)), '/account/', back)
  }
})

test('/admin/: a wrong password takes half a second, and nobody else waits', async () => {
  const credentials = (password: string) => ({
    Authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`,
  })
  assert.is((await get('/admin/', credentials('opensesame'))).body, 'inside')
  assert.is((await get('/admin/')).status, 401)
  const started = Date.now()
  const guess = get('/admin/', credentials('wrong'))
  let guessed = false
  guess.then(() => {
    guessed = true
  })
  assert.is((await get('/api/x', { 'X-API-Key': 'key-of-bob' })).status, 200)
  assert.is(guessed, false)
  assert.is((await guess).status, 401)
  assert.ok(Date.now() - started >= 490, `answered after ${Date.now() - started} ms`)
})

test.run()
