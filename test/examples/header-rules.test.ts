// The header rules: what the application gets and what the client gets.

import type { OutgoingHttpHeaders } from 'node:http'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Application, type Example, http, startExample } from './example.ts'

let application: Application
let example: Example
let respondWith: OutgoingHttpHeaders = {}

test.before(async () => {
  application = await Application.start((_, response) => {
    response.writeHead(200, { Server: 'app/1.0', 'X-Powered-By': 'magic', ...respondWith }).end('ok')
  })
  example = await startExample('header-rules', { 9001: application.port })
})

test.after(async () => {
  await example.sluice.stop()
  await application.stop()
})

const get = (path: string, headers: Record<string, string> = {}) =>
  http(example.port(8082), path, { headers })

test('the application gets an id and the client, and no forged internal user', async () => {
  const { headers } = await get('/', { 'X-Internal-User': 'root', 'X-Client': 'forged', 'X-Kept': '1' })
  const received = application.requests.at(-1)!.headers
  assert.is(received['x-internal-user'], undefined)
  assert.is(received['x-client'], '127.0.0.1')
  assert.is(received['x-kept'], '1')
  assert.match(String(received['x-request-id']), /^[0-9a-f]{32}$/)
  assert.is(headers['x-request-id'], received['x-request-id'])
})

test('the client gets what is set and not what is removed', async () => {
  const { status, headers, body } = await get('/')
  assert.is(status, 200)
  assert.is(body, 'ok')
  assert.is(headers['x-peer'], `127.0.0.1:${application.port}`)
  assert.is(headers['x-frame-options'], 'DENY')
  assert.is(headers['x-content-type-options'], 'nosniff')
  assert.is(headers.link, '</style.css>; rel=preload; as=style')
  assert.is(headers.server, undefined)
  assert.is(headers['x-powered-by'], undefined)
})

test('below /public/ what may be cached is, for at most a day; requests keep the rules of the server', async () => {
  const cached = async (headers: OutgoingHttpHeaders) => {
    respondWith = headers
    const { headers: received } = await get('/public/logo.svg')
    return [received['cache-control'], received.vary]
  }
  assert.equal(await cached({}), ['public, max-age=86400', 'Accept-Encoding'])
  assert.equal(await cached({ 'Cache-Control': 'max-age=60', Vary: 'Origin' }), [
    'public, max-age=60',
    'Origin, Accept-Encoding',
  ])
  assert.equal(await cached({ 'Cache-Control': 'max-age=999999' }), [
    'public, max-age=86400',
    'Accept-Encoding',
  ])
  assert.equal(await cached({ 'Cache-Control': 'private' }), ['private', undefined])
  assert.equal(await cached({ 'Cache-Control': 'no-store' }), ['no-store', undefined])
  assert.is(application.requests.at(-1)!.headers['x-client'], '127.0.0.1')
})

test.run()
