// Header rules: what goes to the servers behind, and what goes to browsers.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { testScript } from '../../runtime/testing/index.ts'
import { gallery } from './gallery.ts'

test('nobody outside may speak as our own proxies do', async () => {
  const script = await testScript(gallery('header-rules.js'))
  const { headersIn } = await script.rewrite({
    headers: { 'X-Internal-User': 'root', 'x-forwarded-for': '10.0.0.1', 'X-Mine': '1', Host: 'example.com' },
    variables: { request_id: 'abc123' },
  })
  assert.equal(headersIn.toJSON(), { host: 'example.com', 'x-mine': '1', 'x-request-id': 'abc123' })
  script.dispose()
})

test('browsers are told what to enforce, and nothing about the servers', async () => {
  const script = await testScript(gallery('header-rules.js'), { params: { hsts: 60, frame: 'SAMEORIGIN' } })
  const response = {
    responseHeaders: { 'X-Powered-By': 'x', 'X-Runtime': '1', 'Content-Type': 'text/html' },
    variables: { request_id: 'abc123', scheme: 'https' },
  }
  const { headersOut } = await script.headerFilter(response)
  assert.equal(headersOut.toJSON(), {
    'content-type': 'text/html',
    'x-request-id': 'abc123',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'SAMEORIGIN',
    'strict-transport-security': 'max-age=60',
  })
  const plain = await script.headerFilter({ ...response, variables: { scheme: 'http' } })
  assert.is(plain.headersOut.has('Strict-Transport-Security'), false)
  script.dispose()
})

test('what sets cookies is not kept by caches, unless the server says so itself', async () => {
  const script = await testScript(gallery('header-rules.js'))
  const cookie = { 'Set-Cookie': ['a=1', 'b=2'] }
  const { headersOut } = await script.headerFilter({ responseHeaders: cookie })
  assert.is(headersOut.get('Cache-Control'), 'private, no-store')
  assert.equal(headersOut.getAll('Set-Cookie'), ['a=1', 'b=2'])
  const said = await script.headerFilter({ responseHeaders: { ...cookie, 'Cache-Control': 'no-cache' } })
  assert.is(said.headersOut.get('Cache-Control'), 'no-cache')
  script.dispose()
})

test.run()
