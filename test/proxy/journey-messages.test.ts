// What kinds of messages pass: HTTP/1.0 and 0.9 clients and upstreams, HEAD, 204, 304, interim responses, trailers,
// hop-by-hop fields.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { openClient, plainHead, readToEnd, split } from './journey-tools.ts'

/** What the upstream answers, by path. */
const ANSWERS: Record<string, string> = {
  '/length': 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc',
  '/chunked': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nab\r\n1\r\nc\r\n0\r\n\r\n',
  '/until-close': 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc',
  '/old': 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc',
  '/old-until-close': 'HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nabc',
  '/lone-lf': 'HTTP/1.1 200 OK\nContent-Length: 3\nX-A: b\n\nabc',
  '/no-phrase': 'HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc',
  '/204': 'HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n',
  '/304': 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n',
  '/204-length': 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
  '/interim':
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc',
  '/trailers':
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  '/fields':
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-Gone, keep-alive\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\nX-Kept: 2\r\nProxy-Connection: x\r\nServer: secret\r\nX-Accel-Limit-Rate: 1000000\r\n\r\n',
  '/418': "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n",
}

const port = await freePort()
const upstream = await recordingUpstream((_, { method, target, body }) => {
  const answer = ANSWERS[target.replace(/^\/(old-version|passing)(?=\/)/, '')]
  if (answer === undefined) return ok(`${method} ${target} [${body}]`)
  return method === 'HEAD' ? split(answer).head : answer
})
const sluice = await startSluice(`
http {
  proxy_pass_trailers off;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://${upstream.address}; }
    location /old-version/ { proxy_pass http://${upstream.address}; proxy_http_version 1.0; }
    location /passing/ { proxy_pass http://${upstream.address}; proxy_pass_trailers on; proxy_pass_header Server; }
    location /streamed { proxy_pass http://${upstream.address}; proxy_request_buffering off; }
    location /hello { return 200 hello; }
    location /empty { return 204; }
    location /limited { client_max_body_size 4; proxy_pass http://${upstream.address}; }
  }
}
`)
test.after(async () => {
  await upstream.close()
  await sluice.stop()
})

const request = (method: string, path: string, fields = '', version = '1.1') =>
  `${method} ${path} HTTP/${version}\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`

const head = (status: string, ...fields: string[]) => `HTTP/1.1 ${[status, ...fields].join('\r\n')}\r\n\r\n`

const PASSED: readonly [string, string, string][] = [
  ['/length', head('200 OK', 'Content-Length: 3', 'Connection: close'), 'abc'],
  [
    '/chunked',
    head('200 OK', 'Transfer-Encoding: chunked', 'Connection: close'),
    '2\r\nab\r\n1\r\nc\r\n0\r\n\r\n',
  ],
  [
    '/until-close',
    head('200 OK', 'Transfer-Encoding: chunked', 'Connection: close'),
    '3\r\nabc\r\n0\r\n\r\n',
  ],
  ['/old', head('200 OK', 'Content-Length: 3', 'Connection: close'), 'abc'],
  [
    '/old-until-close',
    head('200 OK', 'Transfer-Encoding: chunked', 'Connection: close'),
    '3\r\nabc\r\n0\r\n\r\n',
  ],
  ['/lone-lf', head('200 OK', 'Content-Length: 3', 'Connection: close', 'X-A: b'), 'abc'],
  ['/no-phrase', head('200 ', 'Content-Length: 3', 'Connection: close'), 'abc'],
  ['/204', head('204 No Content', 'Connection: close', 'X-A: b'), ''],
  ['/204-length', head('204 No Content', 'Connection: close'), ''],
  ['/304', head('304 Not Modified', 'Connection: close', 'ETag: "1"'), ''],
  ['/interim', head('200 OK', 'Content-Length: 3', 'Connection: close'), 'abc'],
  ['/trailers', head('200 OK', 'Transfer-Encoding: chunked', 'Connection: close'), '3\r\nabc\r\n0\r\n\r\n'],
  [
    '/passing/trailers',
    head('200 OK', 'Transfer-Encoding: chunked', 'Connection: close'),
    '3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  ],
  ['/fields', head('200 OK', 'Content-Length: 0', 'Connection: close', 'X-Kept: 1', 'X-Kept: 2'), ''],
  ['/418', head("418 I'm a teapot", 'Content-Length: 0', 'Connection: close'), ''],
]
for (const [path, expected, body] of PASSED) {
  test(`the response ${path} of an upstream`, async () => {
    const response = await rawRequest(port, request('GET', path))
    assert.is(plainHead(response), expected)
    assert.is(split(response).body, body)
  })
}

const TO_OLD_CLIENTS: readonly [string, string][] = [
  ['/length', head('200 OK', 'Content-Length: 3', 'Connection: close')],
  ['/chunked', head('200 OK', 'Connection: close')],
  ['/until-close', head('200 OK', 'Connection: close')],
]
for (const [path, expected] of TO_OLD_CLIENTS) {
  test(`the response ${path} for an HTTP/1.0 client, even one that wants to keep the connection`, async () => {
    for (const fields of ['', path === '/length' ? '' : 'Connection: keep-alive\r\n']) {
      const response = await rawRequest(port, `GET ${path} HTTP/1.0\r\n${fields}\r\n`)
      assert.is(plainHead(response), expected)
      assert.is(split(response).body, 'abc')
    }
  })
}

test('an HTTP/0.9 client gets the body and nothing else', async () => {
  assert.is(await rawRequest(port, 'GET /hello\r\n'), 'hello')
  for (const path of ['/length', '/chunked', '/until-close'])
    assert.is(await rawRequest(port, `GET ${path}\r\n`), 'abc')
})

test('HEAD is answered with the head of GET', async () => {
  const client = new HttpClient(port)
  for (const [path, length] of [
    ['/length', '3'],
    ['/hello', '5'],
  ] as const) {
    const response = await client.request(`HEAD ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.is(response.header('content-length'), length)
    assert.is(response.body, '')
  }
  for (const path of ['/chunked', '/until-close']) {
    const response = await client.request(`HEAD ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.is(response.header('content-length'), undefined)
    assert.is(response.status, 200)
  }
  assert.is((await client.get('/hello')).body, 'hello')
  client.close()
})

test('204 of ours has neither length nor coding', async () => {
  assert.is(
    plainHead(await rawRequest(port, request('GET', '/empty'))),
    head('204 No Content', 'Connection: close'),
  )
})

test('an upstream that is spoken to in HTTP/1.0 gets a length, a close and no coding', async () => {
  const seen = upstream.requests.length
  const body = 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n'
  const response = await rawRequest(port, request('POST', '/old-version/', body))
  assert.match(response, /POST \/old-version\/ \[abcde\]$/)
  const [sent] = await upstream.waitForRequests(seen + 1).then((all) => all.slice(seen))
  assert.match(sent!.head, /^POST \/old-version\/ HTTP\/1\.0\r\n/)
  assert.is(sent!.header('content-length'), '5')
  assert.is(sent!.header('transfer-encoding'), undefined)
})

test('100 Continue comes when the body is wanted, the upstream is not asked for it', async () => {
  for (const path of ['/x', '/streamed', '/hello']) {
    const client = new HttpClient(port)
    client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n`)
    while (client.interim.length === 0 && client.rest === '') await new Promise((next) => setTimeout(next, 5))
    assert.match(client.rest || client.interim[0]!.head, /^HTTP\/1.1 100 Continue\r\n\r\n/)
    client.send('abc')
    assert.is((await client.response()).status, 200)
    assert.is((await client.get('/hello')).body, 'hello')
    client.close()
  }
  assert.is(upstream.requests.filter((sent) => sent.header('expect') !== undefined).length, 0)
})

test('a body that is refused by its length is not asked for', async () => {
  const response = await rawRequest(
    port,
    'POST /limited HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n',
    {
      until: /<\/html>\r\n$/,
    },
  )
  assert.match(response, /^HTTP\/1.1 413 /)
})

test('100 Continue is not for HTTP/1.0, nor for other expectations, nor when the body is there', async () => {
  const post = (version: string, expect: string) =>
    `POST /x HTTP/${version}\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\nExpect: ${expect}\r\n\r\nabc`
  assert.match(await rawRequest(port, post('1.0', '100-continue')), /^HTTP\/1.1 200 /)
  assert.match(await rawRequest(port, post('1.1', '200-ok')), /^HTTP\/1.1 200 /)
})

test('hop-by-hop fields of a request end here', async () => {
  const seen = upstream.requests.length
  const fields =
    'Connection: X-Gone, keep-alive, TE\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: X\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-Kept: 1\r\nCookie: a=b\r\n'
  await rawRequest(port, `GET /hop HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, { until: /hop \[\]$/ })
  assert.is(
    upstream.requests[seen]!.head,
    `GET /hop HTTP/1.1\r\nHost: ${upstream.address}\r\nX-Kept: 1\r\nCookie: a=b\r\n\r\n`,
  )
})

test('the fields that tell who asks cannot be taken away by naming them in Connection', async () => {
  const seen = upstream.requests.length
  const fields =
    'Connection: Cookie, Authorization, X-Forwarded-For, Host\r\nCookie: a=b\r\nAuthorization: c\r\nX-Forwarded-For: d\r\n'
  await rawRequest(port, `GET /hop HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, { until: /hop \[\]$/ })
  const sent = upstream.requests[seen]!
  assert.equal(
    ['cookie', 'authorization', 'x-forwarded-for', 'host'].map((name) => sent.header(name)),
    ['a=b', 'c', 'd', upstream.address],
  )
})

test('a response in the smallest pieces is the same response', async () => {
  for (const path of ['/length', '/chunked']) {
    const socket = await openClient(port)
    const bytes = request('GET', path)
    for (const byte of bytes) socket.write(byte)
    assert.match(String(await readToEnd(socket)), path === '/length' ? /\r\n\r\nabc$/ : /c\r\n0\r\n\r\n$/)
  }
})

test.run()
