// `bodyFilter` of real scripts, from the configuration to the client: what they give, what they await, how they fail.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { openClient, socketUpstream, split, until } from './journey-tools.ts'

const HEAD = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'

let upstreamSocket: Socket | null = null
const upstream = await socketUpstream((socket) => {
  upstreamSocket = socket
  socket.on('data', (request) => {
    const stays = request.toString('latin1').includes('/stays')
    socket.write(`${HEAD}2\r\nab\r\n${stays ? '' : '2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n'}`)
  })
  socket.on('end', () => socket.end())
})
const port = await freePort()
const sluice = await startSluice(
  `
http {
  server {
    listen 127.0.0.1:${port};
    error_page 500 /sorry;
    location /upper { script scripts/upper.js; proxy_pass http://${upstream.address}; }
    location /slow { script scripts/slow.js; proxy_pass http://${upstream.address}; }
    location /chain { script scripts/upper.js; script scripts/slow.js; script scripts/upper.js; return 200 'abc'; }
    location /throws { script scripts/throws.js; proxy_pass http://${upstream.address}; }
    location /open { script scripts/throws.js; script_on_error open; proxy_pass http://${upstream.address}; }
    location /wall { script scripts/never.js; script_limits wall=50ms; proxy_pass http://${upstream.address}; }
    location /stays { script scripts/never.js; proxy_pass http://${upstream.address}; }
    location /sorry { return 200 'sorry'; }
  }
}
`,
  {
    'scripts/upper.js': `
      export function bodyFilter(r, chunk) {
        r.ctx.bytes = (r.ctx.bytes ?? 0) + chunk.length
        return chunk.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte))
      }
      export function log(r) { console.log('over ' + r.ctx.bytes) }`,
    'scripts/slow.js': `
      export async function bodyFilter(r, chunk, { last }) {
        await new Promise((go) => setTimeout(go, 2))
        return last ? '.' : null
      }`,
    'scripts/throws.js': `
      export function bodyFilter(r, chunk) {
        if (chunk[0] === Number(r.args.at ?? 97)) throw new Error('no more')
      }`,
    'scripts/never.js': `
      export function bodyFilter(r) {
        console.log('it waits')
        r.ctx.waits = true
        return new Promise(() => {})
      }
      export function log(r) { console.log('over, it waited: ' + r.ctx.waits) }`,
  },
)
test.after(async () => {
  await sluice.stop()
  await upstream.close()
})

async function body(path: string): Promise<string> {
  const client = new HttpClient(port)
  const response = await client.get(path)
  client.close()
  return response.body
}

test('bytes in the place of bytes, and a context that lasts', async () => {
  assert.is(await body('/upper'), 'ABCDEF')
  await sluice.waitForLog(/over 6/)
})

test('a hook that awaits a timer', async () => {
  assert.is(await body('/slow'), '.')
})

test('three scripts, the one between them waiting', async () => {
  assert.is(await body('/chain'), '.')
})

test('a throw at the first piece is an error page', async () => {
  const answer = await rawRequest(port, 'GET /throws HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(answer, /^HTTP\/1.1 500 Internal Server Error\r\n/)
  assert.is(split(answer).body, 'sorry')
  await sluice.waitForLog(/no more.*throws\.js:3/)
})

test('a throw at a later piece cuts the response', async () => {
  const answer = await rawRequest(port, 'GET /throws?at=99 HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.is(split(answer).body, '2\r\nab\r\n')
})

test('script_on_error open: as if the hook were absent', async () => {
  assert.is(await body('/open?at=99'), 'abcdef')
})

test('the wall limit ends a hook that waits for ever', async () => {
  assert.match(await rawRequest(port, 'GET /wall HTTP/1.1\r\nHost: a\r\n\r\n'), /^HTTP\/1.1 500 /)
})

test('the client leaves while a hook waits for ever', async () => {
  const from = sluice.errorLog().length
  const client = await openClient(port, 'GET /stays HTTP/1.1\r\nHost: a\r\n\r\n')
  await sluice.waitForLog(/it waits/, from)
  client.destroy()
  await sluice.waitForLog(/over, it waited: true/, from)
  await until('the connection to be closed', () => upstreamSocket!.destroyed)
})

test('one response after the other', async () => {
  const client = new HttpClient(port)
  for (let i = 0; i < 50; i++) assert.is((await client.get('/slow')).body, '.')
  client.close()
})

test.run()
