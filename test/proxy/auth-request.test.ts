// auth_request: what each answer of the one that is asked means, what it hears of the request, and what it can set.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { openClient, socketUpstream, until } from './journey-tools.ts'

const port = await freePort()
const upstream = await recordingUpstream((_, { target, header, body }) => {
  if (!target.startsWith('/auth')) return ok(`inside for ${header('x-user')}: ${body}`)
  const status = header('x-status') ?? '200'
  const challenge =
    status === '401' ? 'WWW-Authenticate: Basic realm="a"\r\nWWW-Authenticate: Bearer\r\n' : ''
  return `HTTP/1.1 ${status} X\r\nX-User: ${header('authorization') ?? 'nobody'}\r\n${challenge}Content-Length: 6\r\n\r\nhidden`
})
const silent = await socketUpstream((socket) => void socket.resume())
const sluice = await startSluice(`
http {
  proxy_set_header X-User $user;
  server {
    listen 127.0.0.1:${port};
    location / { auth_request /auth; auth_request_set $user $upstream_http_x_user; proxy_pass http://${upstream.address}; }
    location = /auth { internal; proxy_pass http://${upstream.address}; }
    location /any/allowed { satisfy any; allow all; auth_request /auth; return 204; proxy_pass http://${upstream.address}; }
    location /any/denied { satisfy any; deny all; auth_request /auth; proxy_pass http://${upstream.address}; }
    location /all/denied { deny all; auth_request /auth; proxy_pass http://${upstream.address}; }
    location /off { auth_request off; proxy_pass http://${upstream.address}; }
    location /local { auth_request /verdict; proxy_pass http://${upstream.address}; }
    location = /verdict { if ($arg_x) { return 200; } return 204; }
    location /page { auth_request /auth; auth_request_set $user $upstream_http_x_user; error_page 403 /forbidden; proxy_pass http://${upstream.address}; }
    location = /forbidden { return 200 "ask $user"; }
    location /waits { auth_request /silent; proxy_pass http://${upstream.address}; }
    location = /silent { proxy_pass http://${silent.address}; }
    location /dead { auth_request /unreachable; proxy_pass http://${upstream.address}; }
    location = /unreachable { proxy_pass http://127.0.0.1:1; }
  }
}
`)
test.after(async () => {
  await sluice.stop()
  await Promise.all([upstream.close(), silent.close()])
})

async function ask(path: string, fields: Record<string, string> = {}) {
  const client = new HttpClient(port)
  const response = await client.get(path, fields)
  client.close()
  return response
}

const VERDICTS: readonly [answer: string, status: number][] = [
  ['200', 200],
  ['204', 200],
  ['299', 200],
  ['401', 401],
  ['403', 403],
  ['302', 500],
  ['404', 500],
  ['500', 500],
]
for (const [answer, status] of VERDICTS) {
  test(`${answer} of the one asked means ${status}`, async () => {
    const response = await ask('/x', { 'X-Status': answer })
    assert.is(response.status, status)
    assert.not.match(response.body, 'hidden')
    assert.is(response.header('www-authenticate'), answer === '401' ? 'Basic realm="a", Bearer' : undefined)
  })
}

test('auth_request_set takes from the answer; the request goes on with it', async () => {
  assert.is((await ask('/x', { Authorization: 'alice' })).body, 'inside for alice: ')
  assert.is((await ask('/off', { Authorization: 'alice' })).body, 'inside for undefined: ')
})

test('the one asked gets no body; the one who answers gets all of it', async () => {
  const client = new HttpClient(port)
  const response = await client.request(
    'POST /x HTTP/1.1\r\nHost: a\r\nAuthorization: bob\r\nContent-Length: 5\r\n\r\nhello',
  )
  assert.is(response.body, 'inside for bob: hello')
  const asked = upstream.requests.filter(({ target }) => target === '/auth').at(-1)!
  assert.is(asked.method, 'GET')
  assert.is(asked.body, '')
  assert.is(asked.header('content-length'), '0')
  assert.is((await client.get('/x')).status, 200)
  client.close()
})

test('satisfy any: rules or the one asked; the rules first', async () => {
  const before = upstream.requests.length
  assert.is((await ask('/any/allowed', { 'X-Status': '403' })).status, 204)
  assert.is(upstream.requests.length, before)
  assert.is((await ask('/any/denied')).status, 200)
  assert.is((await ask('/any/denied', { 'X-Status': '401' })).status, 401)
  assert.is((await ask('/any/denied', { 'X-Status': '403' })).status, 403)
  assert.is((await ask('/any/denied', { 'X-Status': '500' })).status, 500)
})

test('satisfy all: whom the rules refuse nobody is asked about', async () => {
  const before = upstream.requests.length
  assert.is((await ask('/all/denied')).status, 403)
  assert.is(upstream.requests.length, before)
})

test('an answer of our own, at once', async () => {
  assert.is((await ask('/local')).status, 200)
})

test('an error page after a refusal sees what was set', async () => {
  const response = await ask('/page', { 'X-Status': '403', Authorization: 'eve' })
  assert.is(response.status, 403)
  assert.is(response.body, 'ask eve')
})

test('nobody there to ask: 500', async () => {
  assert.is((await ask('/dead')).status, 500)
  await sluice.waitForLog(/auth request unexpected status: 502/)
})

test('what asks may not switch protocols', async () => {
  const response = await ask('/x', { Connection: 'Upgrade', Upgrade: 'websocket', 'X-Status': '200' })
  assert.is(response.status, 200)
  const asked = upstream.requests.filter(({ target }) => target === '/auth').at(-1)!
  assert.is(asked.header('upgrade'), undefined)
})

test('a client that leaves while somebody is asked', async () => {
  const client = await openClient(port, 'GET /waits HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('the question', () => silent.sockets.length === 1)
  let gone = false
  silent.sockets[0].once('end', () => (gone = true))
  silent.sockets[0].once('close', () => (gone = true))
  client.destroy()
  await until('its end', () => gone)
})

test.run()
