// Who may talk to the admin API, and how much of its time one client can take.

import { statSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Guard } from '../../runtime/admin/guard.ts'
import { plain } from '../../runtime/admin/reply.ts'
import { ADMIN_LIMITS, type AdminLimits, AdminServer } from '../../runtime/admin/server.ts'
import { freePort } from '../lib/ports.ts'
import { rawRequest } from '../lib/raw-http.ts'
import { tempDir } from '../lib/temp.ts'
import { AdminSite, type Asked, ask } from './site.ts'

const TOKEN = 'a-token-of-some-length'
const JSON_TYPE = { 'Content-Type': 'application/json' }

/** A server that answers "fine", to whoever may ask. */
async function serve(guard: Guard, limits: Partial<AdminLimits> = {}, address?: { path: string }) {
  const port = await freePort()
  const log: string[] = []
  const server = new AdminServer({
    guard,
    answer: async (request) => {
      if (request.path === '/broken') throw new Error('secret')
      return plain(`fine ${(await request.body()).length}`)
    },
    log: (level, message) => log.push(`[${level}] ${message}`),
    limits: { ...ADMIN_LIMITS, ...limits },
  })
  await server.listen(address ?? { host: '127.0.0.1', port })
  return { port, server, log }
}

async function statuses(guard: Guard, cases: readonly [method: string, path: string, asked: Asked][]) {
  const { port, server } = await serve(guard)
  const found: number[] = []
  for (const [method, path, asked] of cases) found.push((await ask(port, method, path, asked)).status)
  server.destroy()
  return found
}

test('a Host is an address, localhost, or a name that is configured', async () => {
  const host = (Host: string): [string, string, Asked] => ['GET', '/', { headers: { Host } }]
  const hosts = [
    '127.0.0.1',
    '127.0.0.1:9145',
    '[::1]:9145',
    'localhost',
    'LOCALHOST:1',
    'admin.example',
    '10.0.0.1',
  ]
  assert.equal(
    await statuses(new Guard(['admin.example'], null), hosts.map(host)),
    hosts.map(() => 200),
  )
  const others = [
    'evil.example',
    'localhost.evil.example',
    'admin.example.evil',
    '127.0.0.1.evil',
    'x:80',
    'a:b:c',
  ]
  assert.equal(
    await statuses(new Guard(['admin.example'], null), others.map(host)),
    others.map(() => 421),
  )
})

test('a request without a Host is refused', async () => {
  const { port, server } = await serve(new Guard([], null))
  const answer = await rawRequest(port, 'GET / HTTP/1.0\r\n\r\n')
  assert.match(answer, /^HTTP\/1\.1 421 /)
  assert.match(answer, 'application/problem+json')
  server.destroy()
})

test('a page of another site may not ask', async () => {
  const from = (headers: Record<string, string>): [string, string, Asked] => [
    'GET',
    '/',
    { headers: { Host: '127.0.0.1:9', ...headers } },
  ]
  const found = await statuses(new Guard([], null), [
    from({ Origin: 'http://127.0.0.1:9' }),
    from({ Origin: 'http://127.0.0.1:9', 'Sec-Fetch-Site': 'same-origin' }),
    from({ 'Sec-Fetch-Site': 'none' }),
    from({ Origin: 'http://evil.example' }),
    from({ Origin: 'http://127.0.0.1:10' }),
    from({ Origin: 'null' }),
    from({ 'Sec-Fetch-Site': 'cross-site' }),
    from({ 'Sec-Fetch-Site': 'same-site' }),
  ])
  assert.equal(found, [200, 200, 200, 403, 403, 403, 403, 403])
})

test('what a form can send is not taken as a change', async () => {
  const type = (method: string, value?: string): [string, string, Asked] => [
    method,
    '/',
    { headers: value === undefined ? {} : { 'Content-Type': value } },
  ]
  const found = await statuses(new Guard([], null), [
    type('POST', 'application/json'),
    type('PATCH', 'application/json; charset=utf-8'),
    type('PUT', 'text/javascript'),
    type('DELETE'),
    type('POST'),
    type('POST', 'text/plain'),
    type('POST', 'application/x-www-form-urlencoded'),
    type('POST', 'multipart/form-data; boundary=x'),
    type('PUT', 'text/plain'),
    type('PUT', 'application/json'),
  ])
  assert.equal(found, [200, 200, 200, 200, 415, 415, 415, 415, 415, 415])
})

test('with a token, everything but the health checks and the console needs it', async () => {
  const as = (Authorization: string, path = '/api/v1/status'): [string, string, Asked] => [
    'GET',
    path,
    { headers: { Authorization } },
  ]
  const found = await statuses(new Guard([], TOKEN), [
    as(`Bearer ${TOKEN}`),
    as(`bearer ${TOKEN}`),
    ['GET', '/api/v1/status', {}],
    as('Bearer '),
    as(`Bearer ${TOKEN}x`),
    as(`Bearer ${TOKEN.slice(0, -1)}`),
    as(`Basic ${TOKEN}`),
    as(TOKEN),
    ['GET', '/metrics', {}],
    ['GET', '/healthz', {}],
    ['GET', '/readyz', {}],
    ['GET', '/', {}],
    ['GET', '/console/console.js', {}],
    ['GET', '/console', {}],
    ['GET', '//', {}],
  ])
  assert.equal(found, [200, 200, 401, 401, 401, 401, 401, 401, 401, 200, 200, 200, 200, 401, 401])
})

test('a refusal says how to do it right', async () => {
  const { port, server } = await serve(new Guard([], TOKEN))
  const { headers, json } = await ask(port, 'GET', '/metrics')
  assert.is(headers['www-authenticate'], 'Bearer realm="sluice"')
  assert.is(headers['content-type'], 'application/problem+json')
  assert.equal(json, {
    type: 'about:blank',
    title: 'unauthorized',
    status: 401,
    detail: 'send "Authorization: Bearer TOKEN" with the token of token_file',
  })
  server.destroy()
})

test('a defect tells the log, not the client', async () => {
  const { port, server, log } = await serve(new Guard([], null))
  const { status, text } = await ask(port, 'GET', '/broken')
  assert.is(status, 500)
  assert.not.match(text, 'secret')
  assert.match(log[0], /^\[alert\] admin: GET \/broken: Error: secret/)
  server.destroy()
})

test('a body is bounded, whatever it says of its length', async () => {
  const { port, server } = await serve(new Guard([], null), { body: 100 })
  const post = (length: number) => ask(port, 'POST', '/', { headers: JSON_TYPE, body: ' '.repeat(length) })
  assert.is((await post(100)).text, 'fine 100')
  assert.is((await post(101)).status, 413)
  const head =
    'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
  const chunked = await rawRequest(port, `${head}3c\r\n${' '.repeat(60)}\r\n3c\r\n${' '.repeat(60)}\r\n`)
  assert.match(chunked, /^HTTP\/1\.1 413 [\s\S]*Connection: close/i)
  server.destroy()
})

test('a slow client is let go', async () => {
  const { port, server } = await serve(new Guard([], null), { head: 150, request: 300 })
  const late = await rawRequest(port, 'GET / HTTP/1.1\r\nHost: loc')
  assert.match(late, /^HTTP\/1\.1 408 /)
  const head =
    'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n12'
  assert.match(await rawRequest(port, head), /^HTTP\/1\.1 408 /)
  server.destroy()
})

test('connections are bounded', async () => {
  const { port, server } = await serve(new Guard([], null), { connections: 2 })
  const held = [1, 2].map(() => connect(port, '127.0.0.1'))
  await Promise.all(held.map((socket) => new Promise((done) => socket.once('connect', done))))
  // Until the server has counted them, a third one might get in.
  const third = await rawRequest(port, '', { until: 'close' })
  assert.is(third, '')
  for (const socket of held) socket.destroy()
  server.destroy()
})

test("a socket in the file system is its owner's alone, and one that was left behind is replaced", async () => {
  const path = join(tempDir(), 'admin.sock')
  const left = await serve(new Guard([], null), {}, { path })
  assert.is(statSync(path).mode & 0o777, 0o600)
  assert.is((await ask(path, 'GET', '/')).text, 'fine 0')
  const second = await serve(new Guard([], null), {}, { path }).catch((error) => error.code)
  assert.is(second, 'EADDRINUSE')
  left.server.destroy()
})

test('an address that is taken is an error with its place', async () => {
  const taken = createServer()
  const port = await new Promise<number>((done) => {
    taken.listen(0, '127.0.0.1', () => done((taken.address() as { port: number }).port))
  })
  const server = (http: number) => `\nadmin ${port};\nserver { listen 127.0.0.1:${http}; }`
  const error = await AdminSite.start(server).catch((thrown) => thrown)
  assert.match(error.message, /sluice\.conf:3:1: "admin" cannot listen: .*EADDRINUSE/)
  taken.close()
})

test('a token is read from its file, and has a least length', async () => {
  const server = (port: number, admin: number) =>
    `admin ${admin} token_file=t;\nserver { listen 127.0.0.1:${port}; }`
  const short = await AdminSite.start(server, { t: 'short\n' }).catch((thrown) => thrown)
  assert.match(
    short.message,
    /sluice\.conf:2:1: the first line of token_file .* is no token; write at least 16 letters/,
  )
  const site = await AdminSite.start(server, { t: `${TOKEN}\n` })
  assert.is((await site.ask('GET', '/api/v1/status')).status, 401)
  const headers = { Authorization: `Bearer ${TOKEN}` }
  assert.is((await site.ask('GET', '/api/v1/status', { headers })).status, 200)
  await site.close()
})

test.run()
