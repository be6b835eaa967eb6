// gzip: which responses are compressed, what becomes of their head, and that streams keep flowing and keep being bounded.

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { constants, gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { type ClientResponse, HttpClient } from '../lib/raw-http.ts'
import { recordingUpstream } from '../lib/recording-upstream.ts'
import { openClient, residentMiB, socketUpstream, until } from './journey-tools.ts'

const TEXT = 'to be or not to be, '.repeat(50)
const LARGE = Array.from({ length: 40_000 }, (_, i) => `line ${i} of a text that is long enough\n`).join('')

/** Head lines of the upstream's answer by path; each answers with TEXT. */
const HEADS: Record<string, string> = {
  '/html': 'Content-Type: text/html; charset=utf-8\r\n',
  '/plain': 'Content-Type: text/plain\r\n',
  '/css': 'Content-Type: TEXT/CSS\r\n',
  '/typeless': '',
  '/encoded': 'Content-Type: text/html\r\nContent-Encoding: br\r\n',
  '/tagged':
    'Content-Type: text/html\r\nETag: "v1"\r\nAccept-Ranges: bytes\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n',
  '/weak': 'Content-Type: text/html\r\nETag: W/"v1"\r\n',
  '/private': 'Content-Type: text/html\r\nCache-Control: private\r\n',
  '/expired': 'Content-Type: text/html\r\nExpires: Thu, 01 Jan 1970 00:00:01 GMT\r\n',
}

const port = await freePort()
const upstream = await recordingUpstream((_, { target, method }) => {
  const path = target.replace(/^\/(proxied|old|any)(?=\/)/, '')
  if (path === '/404')
    return `HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: ${TEXT.length}\r\n\r\n${TEXT}`
  if (path === '/500')
    return `HTTP/1.1 500 Oh\r\nContent-Type: text/html\r\nContent-Length: ${TEXT.length}\r\n\r\n${TEXT}`
  if (path === '/304') return 'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n'
  if (path === '/tiny')
    return 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 19\r\n\r\n1234567890123456789'
  if (path === '/chunked')
    return `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n`
  if (path === '/broken')
    return 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\nConnection: close\r\n\r\nabc'
  if (path === '/large')
    return `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${LARGE.length}\r\n\r\n${LARGE}`
  return `HTTP/1.1 200 OK\r\n${HEADS[path]}Content-Length: ${TEXT.length}\r\n\r\n${method === 'HEAD' ? '' : TEXT}`
})
/** Sends a head and `first`, then the rest when the test says so. */
let goOn: (rest: string) => void = () => {}
const slow = await socketUpstream((socket) => {
  socket.once('data', () => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\nfirst ')
    goOn = (rest) => socket.end(rest)
  })
})
/** Writes as fast as it may, for ever. */
let written = 0
const endless = await socketUpstream((socket) => {
  const block = randomBytes(65536)
  const write = () => {
    written += block.length
    return socket.write(block)
  }
  socket.once('data', () => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n')
    const fill = () => {
      while (write());
    }
    socket.on('drain', fill)
    fill()
  })
})
const sluice = await startSluice(
  `
http {
  gzip on;
  gzip_types text/css;
  log_format ratio '$gzip_ratio';
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://${upstream.address}; }
    location /file { root .; }
    location /vary/ { gzip_vary on; proxy_pass http://${upstream.address}/; }
    location /proxied/ { gzip_proxied private expired; proxy_pass http://${upstream.address}; }
    location /any/ { gzip_proxied any; proxy_pass http://${upstream.address}; }
    location /old/ { gzip_http_version 1.0; gzip_disable msie6 ^curl; proxy_pass http://${upstream.address}; }
    location /everything/ { gzip_types *; gzip_min_length 0; proxy_pass http://${upstream.address}/; }
    location /ratio/ { proxy_pass http://${upstream.address}/; access_log ratio.log ratio; }
    location /slow { proxy_pass http://${slow.address}; proxy_buffering off; }
    location /endless { proxy_pass http://${endless.address}; }
  }
}
`,
  { 'file/page.html': TEXT, 'file/large.html': LARGE },
)
test.after(async () => {
  await sluice.stop()
  await Promise.all([upstream.close(), slow.close(), endless.close()])
})

async function get(
  path: string,
  fields: Record<string, string> = { 'Accept-Encoding': 'gzip' },
): Promise<ClientResponse> {
  const client = new HttpClient(port)
  try {
    return await client.get(path, fields)
  } finally {
    client.close()
  }
}

const plain = (response: ClientResponse) =>
  gunzipSync(Buffer.from(response.body, 'latin1')).toString('latin1')

for (const path of ['/html', '/css', '/404', '/file/page.html']) {
  test(`${path} is compressed for a client that takes gzip`, async () => {
    const response = await get(path)
    assert.is(response.header('content-encoding'), 'gzip')
    assert.is(response.header('content-length'), undefined)
    assert.is(plain(response), TEXT)
    assert.ok(response.body.length < TEXT.length / 5)
  })
}

for (const path of ['/plain', '/typeless', '/encoded', '/500', '/tiny', '/304']) {
  test(`${path} is left alone`, async () => {
    const response = await get(path)
    assert.is.not(response.header('content-encoding'), 'gzip')
  })
}

test('gzip_types *: every type; gzip_min_length 0: every length', async () => {
  assert.is(plain(await get('/everything/typeless')), TEXT)
  assert.is(plain(await get('/everything/tiny')), '1234567890123456789')
})

test('a tag becomes weak, ranges are not offered, Last-Modified stays', async () => {
  const response = await get('/tagged')
  assert.is(response.header('etag'), 'W/"v1"')
  assert.is(response.header('accept-ranges'), undefined)
  assert.is(response.header('last-modified'), 'Mon, 01 Jan 2024 00:00:00 GMT')
  assert.is((await get('/weak')).header('etag'), 'W/"v1"')
})

test('a range of a file is asked for in vain when it is compressed', async () => {
  const asked = await get('/file/page.html', { 'Accept-Encoding': 'gzip', Range: 'bytes=0-3' })
  assert.is(asked.status, 200)
  assert.is(plain(asked), TEXT)
  const whole = await get('/file/page.html', { Range: 'bytes=0-3' })
  assert.is(whole.status, 206)
  assert.is(whole.body, TEXT.slice(0, 4))
})

test('HEAD gets the head of the compressed response', async () => {
  const client = new HttpClient(port)
  const response = await client.request('HEAD /html HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n')
  assert.is(response.header('content-encoding'), 'gzip')
  assert.is(response.header('content-length'), undefined)
  assert.is((await client.get('/html')).body, TEXT)
  client.close()
})

const ACCEPTED: readonly [string, boolean][] = [
  ['gzip', true],
  ['deflate, gzip', true],
  ['br;q=1.0, GZIP;q=0.5', true],
  ['gzip;q=0.001', true],
  ['gzip; q=1', true],
  ['gzip;q=0', false],
  ['gzip;q=0.000, deflate', false],
  ['gzip;q=x', false],
  ['gzip;q=1.1', false],
  ['x-gzip', false],
  ['identity', false],
  ['', false],
]
for (const [field, taken] of ACCEPTED) {
  test(`Accept-Encoding: ${field} ${taken ? 'takes' : 'does not take'} gzip`, async () => {
    const response = await get('/html', { 'Accept-Encoding': field })
    assert.is(response.header('content-encoding') === 'gzip', taken)
  })
}

test('gzip_vary: said to every client, compressed or not', async () => {
  assert.is((await get('/vary/html')).header('vary'), 'Accept-Encoding')
  assert.is((await get('/vary/html', {})).header('vary'), 'Accept-Encoding')
  assert.is((await get('/vary/plain')).header('vary'), undefined)
  assert.is((await get('/html')).header('vary'), undefined)
})

test('gzip_proxied: what came through a proxy is compressed only where that is said', async () => {
  const via = { 'Accept-Encoding': 'gzip', Via: '1.1 x' }
  const isCompressed = async (path: string, fields = via) =>
    (await get(path, fields)).header('content-encoding') === 'gzip'
  assert.is(await isCompressed('/html'), false)
  assert.is(await isCompressed('/any/html'), true)
  assert.is(await isCompressed('/proxied/private'), true)
  assert.is(await isCompressed('/proxied/expired'), true)
  assert.is(await isCompressed('/any/expired'), true)
})

test('gzip_http_version 1.0 and gzip_disable', async () => {
  const fields = 'Host: a\r\nAccept-Encoding: gzip\r\n'
  const ask = async (path: string, version: string, agent: string) => {
    const client = new HttpClient(port)
    const response = await client.request(
      `GET ${path} HTTP/${version}\r\n${fields}User-Agent: ${agent}\r\n\r\n`,
    )
    client.close()
    return response.header('content-encoding') === 'gzip'
  }
  assert.is(await ask('/html', '1.0', 'x'), false)
  assert.is(await ask('/old/html', '1.0', 'x'), true)
  assert.is(await ask('/old/html', '1.1', 'Curl/8'), false)
  assert.is(await ask('/old/html', '1.1', 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)'), false)
  assert.is(await ask('/old/html', '1.1', 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)'), true)
})

test('a body of unknown length, and one of many blocks', async () => {
  assert.is(plain(await get('/chunked')), 'abc')
  assert.is(plain(await get('/large')), LARGE)
  assert.is(plain(await get('/file/large.html')), LARGE)
})

test('an upstream that breaks off before anything was sent: 502, not half a page', async () => {
  assert.is((await get('/broken')).status, 502)
})

test('proxy_buffering off: what the upstream sends arrives before its end', async () => {
  const client = await openClient(
    port,
    'GET /slow HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n',
  )
  let text = ''
  let over = false
  client.on('data', (chunk) => (text += chunk.toString('latin1')))
  client.on('end', () => (over = true))
  const sent = () =>
    gunzipSync(dechunked(text.slice(text.indexOf('\r\n\r\n') + 4)), { finishFlush: constants.Z_SYNC_FLUSH })
  await until('the first part', () => /\r\n\r\n[0-9a-f]+\r\n[\s\S]*\x00\x00\xff\xff\r\n$/.test(text))
  assert.is(sent().toString(), 'first ')
  goOn('and last')
  await until('the end', () => over)
  assert.is(sent().toString(), 'first and last')
})

test('$gzip_ratio', async () => {
  const { body } = await get('/ratio/html')
  const log = () => readFileSync(join(sluice.folder, 'ratio.log'), 'latin1')
  await until('the log line', () => log() !== '')
  assert.is(Number(log()), Number((TEXT.length / body.length).toFixed(2)))
})

test('a client that does not read holds the upstream up', async () => {
  const before = residentMiB(sluice.pid)
  const client = await openClient(port, 'GET /endless HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n')
  client.pause()
  await until(
    'the upstream to be held up',
    stands(() => written),
    20_000,
  )
  assert.ok(residentMiB(sluice.pid) - before < 100, `${residentMiB(sluice.pid) - before} MiB more`)
  const held = written
  client.resume()
  await until('more to come', () => written > held + 1_000_000, 20_000)
  client.destroy()
  await until(
    'the upstream to be let go',
    () => endless.sockets[0].destroyed || endless.sockets[0].readableEnded,
  )
})

/** The chunks that are there whole. */
function dechunked(text: string): Buffer {
  let bytes = ''
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\r\n', at)
    const size = Number.parseInt(text.slice(at, end), 16)
    bytes += text.slice(end + 2, end + 2 + size)
    at = end + 2 + size + 2
  }
  return Buffer.from(bytes, 'latin1')
}

/** True once a counter above 0 has stood still for a fifth of a second. */
function stands(count: () => number): () => boolean {
  let seen = 0
  let since = Date.now()
  return () => {
    if (count() !== seen) {
      seen = count()
      since = Date.now()
    }
    return seen > 0 && Date.now() - since > 200
  }
}

test.run()
