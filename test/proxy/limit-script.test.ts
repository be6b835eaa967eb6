// sluice:limit in a running proxy: what a refused client gets, when a request is over, and that a swap forgives nobody.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { rawRequest } from '../lib/raw-http.ts'
import { once, openClient, socketUpstream, until } from './journey-tools.ts'

/** Requests that the upstream has read and not answered. */
const waiting: Socket[] = []
const upstream = await socketUpstream((socket) => once(socket, '\r\n\r\n', () => waiting.push(socket)))

const SCRIPT = `
import { connections, limit, rate } from 'sluice:limit'
const few = connections(2, { key: '$arg_k', name: 'few' })
const slow = limit('1r/m', { key: '$arg_k', name: 'slow', body: 'slow down' })
const shared = limit('1r/m', { burst: 1, key: '$arg_k', name: 'shared', store: true })
const byPath = rate('1r/m', { key: (r) => r.uri, name: 'paths' })
export async function access(r) {
  if (r.uri === '/few') return few(r)
  if (r.uri === '/slow') return slow(r)
  if (r.uri === '/shared') return shared(r)
  if (!(await byPath.take(r)).allowed) return { status: 418, body: 'tea' }
}
`
const port = await freePort()
const sluice = await startSluice(
  `http {
  server {
    listen 127.0.0.1:${port};
    script hooks.js;
    location / { try_files /none =204; }
    location /few { proxy_pass http://${upstream.address}; }
  }
}`,
  { 'hooks.js': SCRIPT },
)
test.after(async () => {
  await sluice.stop()
  await upstream.close()
})

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
const ask = (path: string) => rawRequest(port, get(path))
const statusOf = (text: string) => Number(text.slice(9, 12))

test('a refusal of our own keeps Retry-After, with a body of its own and with the page of its status', async () => {
  assert.is(statusOf(await ask('/slow?k=a')), 204)
  const slow = await ask('/slow?k=a')
  assert.is(statusOf(slow), 429)
  assert.match(slow, /\r\nRetry-After: 60\r\n/)
  assert.ok(slow.endsWith('\r\n\r\nslow down'))
  const answers = [await ask('/shared?k=a'), await ask('/shared?k=a'), await ask('/shared?k=a')]
  assert.equal(answers.map(statusOf), [204, 204, 429])
  assert.match(answers[2], /\r\nRetry-After: 60\r\n/)
  assert.match(answers[2], /<title>429 Too Many Requests<\/title>/)
})

test('a key may be a function', async () => {
  assert.equal([await ask('/x'), await ask('/x'), await ask('/y')].map(statusOf), [204, 418, 204])
})

test('a request counts until it has ended, or its client has left', async () => {
  const [first] = await Promise.all([openClient(port, get('/few?k=a')), openClient(port, get('/few?k=a'))])
  await until('two at the upstream', () => waiting.length === 2)
  assert.is(statusOf(await ask('/few?k=a')), 429)
  first.destroy()
  await sluice.waitForLog(/client prematurely closed connection/)
  const next = ask('/few?k=a')
  await until('a third at the upstream', () => waiting.length === 3)
  assert.is(statusOf(await ask('/few?k=a')), 429)
  for (const socket of waiting.splice(0)) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  assert.is(statusOf(await next), 200)
})

test('what is counted outlives a swap of the script', async () => {
  const from = sluice.errorLog().length
  sluice.write({ 'hooks.js': `${SCRIPT}// another version\n` })
  await sluice.waitForLog(/exited with code/, from)
  assert.is(statusOf(await ask('/slow?k=a')), 429)
  assert.is(statusOf(await ask('/shared?k=a')), 429)
})

test.run()
