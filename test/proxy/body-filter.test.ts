// Hooks on bodies, of whatever response: what they see, what becomes of its head, and the filters that stand behind.

import type { Socket } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome, type PhaseHandler } from '../../runtime/phases.ts'
import { type ClientResponse, HttpClient, rawRequest } from '../lib/raw-http.ts'
import { filteredSite, hookOf, inPieces, witness } from './body-filter-tools.ts'
import { askOnce } from './http2-client.ts'
import { openClient, plainHead, split, until } from './journey-tools.ts'

const site = await filteredSite(
  `
  default_type text/html;
  location /proxied { proxy_pass http://$UPSTREAM; proxy_pass_trailers on; }
  location /kept { proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; }
  location /sse { proxy_pass http://$UPSTREAM; proxy_buffering off; }
  location /gzip { gzip on; gzip_min_length 0; proxy_pass http://$UPSTREAM; }
  location /all { gzip on; gzip_min_length 0; ssi on; sub_filter NAME /part; add_after_body /part; limit_rate 1m; return 200 'a NAMX'; }
  location /part { return 200 '(part)'; }
  location /slow { limit_rate 100k; limit_rate_after 1k; proxy_pass http://$UPSTREAM; }
  location /text { return 200 'hello'; }
  location /empty { return 200 ''; }
  location /files/ { }
  location /missing { error_page 404 /sorry; return 404; }
  location /plain404 { return 404; }
  location = /sorry { return 200 'sorry'; }
  location /page { ssi on; return 200 '[<!--#include virtual="/text" -->]<!--#include virtual="/text" set="v" --><!--#echo var="v" -->'; }
  location /guarded { auth_request /auth; return 200 'in'; }
  location /auth { proxy_pass http://$UPSTREAM; }
  location /tunnel { proxy_pass http://$UPSTREAM; proxy_http_version 1.1; proxy_set_header Upgrade websocket; proxy_set_header Connection upgrade; }
  `,
  { 'files/one.html': 'one file', 'files/none.html': '', 'files/big.bin': Buffer.alloc(150_000, 'b') },
)
test.after(() => site.close())

const upper = (text: string) => text.toUpperCase()

async function get(path: string, fields: Record<string, string> = {}): Promise<ClientResponse> {
  const client = new HttpClient(site.port)
  const response = await client.get(path, fields)
  client.close()
  return response
}

/** The upstream answers every request with these pieces, then closes if `closes`. */
function upstreamSends(pieces: readonly string[], closes = false): void {
  site.answer = (socket) => void inPieces(socket, ...pieces).then(() => (closes ? socket.end() : null))
}

const OK = 'HTTP/1.1 200 OK\r\nServer: up\r\n'

test('what a hook gives stands in the place of a piece; the head says no more what may not hold', async () => {
  upstreamSends([
    `${OK}Content-Type: text/plain\r\nContent-Length: 5\r\nETag: "a"\r\nAccept-Ranges: bytes\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\nhello`,
  ])
  site.filter('/proxied', (text) => `<${upper(text)}>`)
  const answer = await rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n', {
    until: /0\r\n\r\n$/,
  })
  assert.is(
    plainHead(answer),
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nETag: W/"a"\r\n\r\n',
  )
  assert.is(split(answer).body, '7\r\n<HELLO>\r\n0\r\n\r\n')
})

const SEEN: readonly [name: string, pieces: readonly string[], closes: boolean, seen: readonly string[]][] = [
  ['a length, in one read', [`${OK}Content-Length: 3\r\n\r\nabc`], false, ['abc!']],
  ['a length, in several', [`${OK}Content-Length: 3\r\n\r\n`, 'a', 'bc'], false, ['a', 'bc!']],
  ['a length of 0', [`${OK}Content-Length: 0\r\n\r\n`], false, ['!']],
  [
    'chunks, in one read',
    [`${OK}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n`],
    false,
    ['a', 'bc!'],
  ],
  [
    'chunks, in several',
    [`${OK}Transfer-Encoding: chunked\r\n\r\n`, '1\r\na\r\n', '2\r\nb', 'c\r\n', '0\r\n\r\n'],
    false,
    ['a', 'b', 'c', '!'],
  ],
  ['chunks, none', [`${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`], false, ['!']],
  ['the end of the connection', [`${OK}\r\nab`, 'c'], true, ['ab', 'c', '!']],
]
for (const [name, pieces, closes, expected] of SEEN) {
  test(`the last piece comes once: ${name}`, async () => {
    upstreamSends(pieces, closes)
    const { seen, hook } = witness()
    site.filter('/proxied', hook)
    const response = await get('/proxied')
    assert.equal(seen, expected)
    assert.is(response.body, expected.join('').replace('!', ''))
  })
}

test('the last piece comes once: responses of our own', async () => {
  for (const [path, expected] of [
    ['/text', ['hello!']],
    ['/empty', ['!']],
    ['/files/one.html', ['one file!']],
    ['/files/none.html', ['!']],
  ] as const) {
    const { seen, hook } = witness()
    site.filter(path, hook)
    const response = await get(path)
    assert.equal([path, ...seen], [path, ...expected])
    assert.is(response.header('content-length'), undefined)
    assert.is(response.header('accept-ranges'), undefined)
    assert.is(response.body, expected.join('').replace('!', ''))
  }
})

test('a file is seen block by block, whole though a range is asked for', async () => {
  const sizes: number[] = []
  site.filter('/files/', (text) => {
    sizes.push(text.length)
    return null
  })
  const response = await get('/files/big.bin', { Range: 'bytes=0-9' })
  assert.is(response.status, 200)
  assert.is(response.body.length, 150_000)
  assert.equal(sizes, [65536, 65536, 18928, 0])
})

test('a body is made where there was none, and may end as none', async () => {
  site.filter('/empty', (_text, last) => (last ? 'made' : null))
  assert.is((await get('/empty')).body, 'made')
  site.filter('/text', () => '')
  assert.is((await get('/text')).body, '')
})

test('the output of one hook is the input of the next; what is dropped is not seen by it', async () => {
  upstreamSends([`${OK}Content-Length: 6\r\n\r\n`, 'ab', 'cd', 'ef'])
  const { seen, hook } = witness()
  site.filter(
    '/proxied',
    (text) => (text === 'cd' ? '' : upper(text)),
    hook,
    (text) => `${text}.`,
  )
  assert.is((await get('/proxied')).body, 'AB.EF.')
  assert.equal(seen, ['AB', 'EF!'])
  seen.length = 0
  site.filter('/proxied', () => '', hook)
  assert.is((await get('/proxied')).body, '')
  assert.equal(seen, ['!'])
})

test('a hook may hold everything back until the last piece', async () => {
  upstreamSends([`${OK}Transfer-Encoding: chunked\r\n\r\n`, '1\r\na\r\n', '1\r\nb\r\n', '0\r\n\r\n'])
  let all = ''
  site.filter('/proxied', (text, last) => {
    all += text
    return last ? [...all].reverse().join('') : ''
  })
  assert.is((await get('/proxied')).body, 'ba')
})

test('bytes that are no text, and more of them than went in', async () => {
  upstreamSends([`${OK}Content-Length: 2\r\n\r\n\xff\x00`])
  site.filter('/proxied', (text) => Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(70_000, 0xe9)]))
  const { body } = await get('/proxied')
  assert.is(body.slice(0, 3), '\xff\x00\xe9')
  assert.is(body.length, 70_002)
})

test('no hook is asked about a body that there is not: HEAD, 204, 304', async () => {
  const { seen, hook } = witness()
  for (const path of ['/proxied', '/text', '/files/']) site.filter(path, hook)
  upstreamSends([`${OK}Content-Length: 5\r\nETag: "a"\r\n\r\n`])
  for (const path of ['/proxied', '/text', '/files/one.html']) {
    const client = new HttpClient(site.port)
    const response = await client.request(`HEAD ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    client.close()
    assert.is(response.header('content-length'), undefined, path)
  }
  upstreamSends(['HTTP/1.1 204 No Content\r\nETag: "a"\r\n\r\n'])
  assert.is((await get('/proxied')).header('etag'), '"a"')
  upstreamSends(['HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n'])
  assert.is((await get('/proxied')).header('etag'), 'W/"a"')
  assert.equal(seen, [])
})

test('error pages are bodies too, with the hooks of the location that they come from', async () => {
  const { seen, hook } = witness()
  site.filter('/plain404', (text) => (text.includes('404') ? text.replaceAll('Not Found', 'Gone') : null))
  const plain = await get('/plain404')
  assert.is(plain.status, 404)
  assert.match(plain.body, 'Gone')
  site.filter('/missing', hook)
  site.filter('/sorry', upper)
  const page = await get('/missing')
  assert.is(page.status, 404)
  assert.is(page.body, 'SORRY')
  assert.equal(seen, [])
})

test('gzip comes after the hooks', async () => {
  upstreamSends([`${OK}Content-Type: text/html\r\nContent-Length: 6\r\n\r\nabc`, 'def'])
  site.filter('/gzip', upper)
  const response = await get('/gzip', { 'Accept-Encoding': 'gzip' })
  assert.is(gunzipSync(Buffer.from(response.body, 'latin1')).toString(), 'ABCDEF')
})

test('sub_filter, ssi, addition, gzip and limit_rate come after the hooks', async () => {
  site.filter('/all', (text) => text.replace('NAMX', '<!--#include virtual="NAME" -->'))
  site.filter('/part')
  const response = await get('/all', { 'Accept-Encoding': 'gzip' })
  assert.is(gunzipSync(Buffer.from(response.body, 'latin1')).toString(), 'a (part)(part)')
})

test('limit_rate holds for what the hooks give', async () => {
  upstreamSends([`${OK}Content-Length: 4\r\n\r\n`, 'ab', 'cd'])
  site.filter('/slow', (text) => text.repeat(10_000))
  const { body } = await get('/slow')
  assert.is(body, 'ab'.repeat(10_000) + 'cd'.repeat(10_000))
})

test('an HTTP/1.0 client gets no chunks, and the end of the connection for an end', async () => {
  upstreamSends([`${OK}Content-Length: 4\r\n\r\nab`, 'cd'])
  site.filter('/proxied', upper)
  const answer = await rawRequest(site.port, 'GET /proxied HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
  assert.is(plainHead(answer), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
  assert.is(split(answer).body, 'ABCD')
})

test('an HTTP/2 client', async () => {
  upstreamSends([`${OK}Content-Length: 4\r\n\r\nab`, 'cd'])
  const { seen, hook } = witness()
  site.filter('/proxied', hook, (text) => `${upper(text)}-`)
  const answer = await askOnce(site.port, '/proxied')
  assert.is(answer.body, 'AB-CD-')
  assert.is(answer.headers['content-length'], undefined)
  assert.is(answer.code, 0)
  assert.equal(seen, ['ab', 'cd!'])
})

test('both connections serve again', async () => {
  site.answer = (socket) => void inPieces(socket, `${OK}Content-Length: 3\r\n\r\na`, 'bc')
  site.filter('/kept', upper)
  const before = site.upstream.sockets.length
  const client = new HttpClient(site.port)
  for (let i = 0; i < 3; i++) assert.is((await client.get('/kept')).body, 'ABC')
  client.close()
  assert.is(site.upstream.sockets.length - before, 1)
})

test('trailers follow the last piece', async () => {
  upstreamSends([`${OK}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n`])
  site.filter('/proxied', async (text) => upper(text))
  const answer = await rawRequest(
    site.port,
    'GET /proxied HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n',
  )
  assert.is(split(answer).body, '1\r\nA\r\n0\r\nX-Sum: 1\r\n\r\n')
})

test('each piece reaches the client before the next one exists', async () => {
  let socket: Socket | null = null
  site.answer = (opened) => {
    socket = opened
    opened.write(`${OK}Content-Type: text/event-stream\r\n\r\n`)
  }
  site.filter('/sse', upper)
  const client = await openClient(site.port, 'GET /sse HTTP/1.1\r\nHost: a\r\n\r\n')
  let text = ''
  client.on('data', (chunk) => (text += chunk.toString('latin1')))
  await until('the head', () => text.endsWith('\r\n\r\n'))
  for (const word of ['one', 'two', 'three']) {
    socket!.write(`data: ${word}\n\n`)
    await until(word, () => text.endsWith(`DATA: ${upper(word)}\n\n\r\n`))
  }
  socket!.end()
  await until('the end', () => text.endsWith('\r\n0\r\n\r\n'))
  client.destroy()
})

test('without hooks chunks pass as they came, and a length stays', async () => {
  site.filter('/proxied')
  upstreamSends([`${OK}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n`])
  const chunked = await rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  assert.is(split(chunked).body, '1\r\na\r\n2\r\nbc\r\n0\r\n\r\n')
  site.filter('/text')
  assert.is((await get('/text')).header('content-length'), '5')
})

test('subrequests have the hooks of their own locations', async () => {
  site.filter('/page', (text) => text.replace('[', '{'))
  site.filter('/text', (text) => `${upper(text)}+`)
  assert.is((await get('/page')).body, '{HELLO+]HELLO+')
})

test('auth_request is asked without its body', async () => {
  const { seen, hook } = witness()
  site.filter('/auth', hook)
  site.filter('/guarded', upper)
  upstreamSends([`${OK}Content-Length: 2\r\n\r\nok`])
  assert.is((await get('/guarded')).body, 'IN')
  assert.equal(seen, [])
})

test('tunnels are no bodies', async () => {
  const { seen, hook } = witness()
  site.filter('/tunnel', hook)
  site.answer = (socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi')
    socket.end()
  }
  const answer = await rawRequest(
    site.port,
    'GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
  )
  assert.is(split(answer).body, 'hi')
  assert.equal(seen, [])
})

test('a status that a header hook sets decides whether there is a body', async () => {
  upstreamSends(['HTTP/1.1 204 No Content\r\n\r\n'])
  const headerFilter: PhaseHandler = (request) => {
    request.status = 200
    return Outcome.PASS
  }
  site.hook('/proxied', {
    headerFilter: [headerFilter],
    bodyFilter: [hookOf((_text, last) => (last ? 'more' : null))],
  })
  const response = await get('/proxied')
  assert.is(response.status, 200)
  assert.is(response.body, 'more')
})

test.run()
