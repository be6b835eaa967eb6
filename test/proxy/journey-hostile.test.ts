// What a hostile client sends never becomes anything but the one request it is, or none: framing, line ends, fields,
// targets, and values that variables carry into heads.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { openClient, readToEnd, until } from './journey-tools.ts'

const upstream = await recordingUpstream((_, { target }) => ok(target))
const port = await freePort()
const sluice = await startSluice(`
http {
  map $arg_x $mapped { default $arg_x; }
  server {
    listen 127.0.0.1:${port};
    server_name a;
    location / { proxy_pass http://${upstream.address}; }
    location /streamed/ { proxy_pass http://${upstream.address}; proxy_request_buffering off; }
    location /echo {
      proxy_pass http://${upstream.address};
      proxy_set_header X-Uri $uri;
      proxy_set_header X-Arg $arg_x;
      proxy_set_header X-Mapped $mapped;
      proxy_set_header X-Cookie $cookie_c;
      proxy_set_header Host $host;
    }
    location ~ ^/captured/(.*)$ { proxy_pass http://${upstream.address}; proxy_set_header X-Captured $1; }
    location ~ ^/rewritten/(.*)$ { rewrite ^/rewritten/(.*)$ /$1 break; proxy_pass http://${upstream.address}; }
    location ~ ^/put-in/(.*)$ { proxy_pass http://${upstream.address}/$1; }
    location ~ ^/asked/(.*)$ { set $args x=$1; proxy_pass http://${upstream.address}; }
    location /added { add_header X-Uri $uri; add_header X-Arg $arg_x; return 200 ok; }
    location ~ ^/moved/(.*)$ { return 301 /$1; }
    location ~ ^/sent/(.*)$ { rewrite ^/sent/(.*)$ /$1 redirect; }
  }
  server {
    listen 127.0.0.1:${port};
    server_name private;
    location / { proxy_pass http://${upstream.address}; proxy_set_header X-Server private; }
  }
}
`)
test.after(async () => {
  await upstream.close()
  await sluice.stop()
})

/** A request that must never be seen by the upstream as one of its own. */
const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n'
const post = (fields: string, body: string) => `POST PATH HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`
const chunkedBody = (size: string) => post('Transfer-Encoding: chunked\r\n', `${size}\r\nabc\r\n0\r\n\r\n`)

const REFUSED: readonly [string, string, number][] = [
  [
    'length and chunked',
    post('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${HIDDEN}`),
    400,
  ],
  [
    'chunked and length',
    post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', `0\r\n\r\n${HIDDEN}`),
    400,
  ],
  ['two lengths that differ', post('Content-Length: 0\r\nContent-Length: 35\r\n', HIDDEN), 400],
  ['two lengths that agree', post('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc'), 400],
  ['a list of lengths', post('Content-Length: 3, 3\r\n', 'abc'), 400],
  ['a length with a sign', post('Content-Length: +3\r\n', 'abc'), 400],
  ['a length below zero', post('Content-Length: -3\r\n', 'abc'), 400],
  ['a length in hex', post('Content-Length: 0x3\r\n', 'abc'), 400],
  ['a length that is empty', post('Content-Length: \r\n', HIDDEN), 400],
  ['a length with an underscore', post('Content-Length: 1_0\r\n', HIDDEN), 400],
  ['a length beyond all numbers', post('Content-Length: 99999999999999999999\r\n', HIDDEN), 400],
  [
    'two codings',
    post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', `0\r\n\r\n${HIDDEN}`),
    400,
  ],
  ['a coding behind chunked', post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${HIDDEN}`), 501],
  ['a coding before chunked', post('Transfer-Encoding: gzip, chunked\r\n', `0\r\n\r\n${HIDDEN}`), 501],
  ['chunked by another name', post('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${HIDDEN}`), 501],
  ['chunked with a tab', post('Transfer-Encoding:\tchunked\r\n', `0\r\n\r\n${HIDDEN}`), 501],
  ['a coding in quotes', post('Transfer-Encoding: "chunked"\r\n', `0\r\n\r\n${HIDDEN}`), 501],
  ['chunked for HTTP/1.0', 'POST PATH HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['a space before the colon', post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${HIDDEN}`), 400],
  ['a space before the colon of the length', post('Content-Length : 35\r\n', HIDDEN), 400],
  ['a folded line', post('X-A: b\r\n Transfer-Encoding: chunked\r\n', HIDDEN), 400],
  ['a folded coding', post('Transfer-Encoding:\r\n chunked\r\n', HIDDEN), 400],
  ['a first line that is folded', `POST PATH HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n`, 400],
  ['a line without a colon', post('Transfer-Encoding\r\n', HIDDEN), 400],
  ['a field without a name', post(': chunked\r\n', HIDDEN), 400],
  ['NUL in a value', post('X-A: b\0c\r\n', ''), 400],
  ['NUL in a name', post('X\0A: b\r\n', ''), 400],
  ['CR in a value', post('X-A: b\rTransfer-Encoding: chunked\r\n', HIDDEN), 400],
  ['another control byte in a value', post('X-A: b\x01\r\n', ''), 400],
  ['a lookalike of a length', 'GET PATH HTTP/1.1\r\nHost: a\r\nContent_Length: 35\r\n\r\n', 400],
  ['a coding with a control byte', post('Transfer-Encoding: \x0bchunked\r\n', HIDDEN), 400],
  ['chunk size with a sign', chunkedBody('+3'), 400],
  ['chunk size in 0x', chunkedBody('0x3'), 400],
  ['chunk size with spaces before', chunkedBody(' 3'), 400],
  ['chunk size beyond all numbers', chunkedBody('10000000000000003'), 400],
  ['chunk size that is empty', chunkedBody(''), 400],
  [
    'chunk that is longer than its size',
    post('Transfer-Encoding: chunked\r\n', '2\r\nabc\r\n0\r\n\r\n'),
    400,
  ],
  ['a lone LF behind a chunk size', post('Transfer-Encoding: chunked\r\n', '3\nabc\r\n0\r\n\r\n'), 400],
  ['a lone CR behind a chunk size', post('Transfer-Encoding: chunked\r\n', '3\rabc\r\n0\r\n\r\n'), 400],
  ['a lone LF in an extension', post('Transfer-Encoding: chunked\r\n', `3;a\nabc\r\n0\r\n\r\n`), 400],
  ['a chunk that ends in a lone LF', post('Transfer-Encoding: chunked\r\n', '3\r\nabc\n0\r\n\r\n'), 400],
  ['a trailer that is no field', post('Transfer-Encoding: chunked\r\n', `0\r\nX A: b\r\n\r\n`), 400],
  ['no Host', 'GET PATH HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', 'GET PATH HTTP/1.1\r\nHost: a\r\nHost: private\r\n\r\n', 400],
  ['a Host with a path', 'GET PATH HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['a Host with a user', 'GET PATH HTTP/1.1\r\nHost: x@private\r\n\r\n', 400],
  ['a Host with a space', 'GET PATH HTTP/1.1\r\nHost: a private\r\n\r\n', 400],
  ['a target with a control byte', 'GET PATH\x01 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a target with a space and more', 'GET PATH HTTP/1.1 x HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a target that climbs out', 'GET PATH../../../x HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a target that climbs out, encoded', 'GET PATH%2e%2e/%2e./%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a target with an encoded NUL', 'GET PATH%00 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a target with a broken escape', 'GET PATH%zz HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
  ['TRACE', 'TRACE PATH HTTP/1.1\r\nHost: a\r\n\r\n', 405],
  ['a method in lower case', 'get PATH HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
]

for (const path of ['/x/', '/streamed/']) {
  for (const [what, bytes, status] of REFUSED) {
    test(`${path}: ${what} is refused, nothing whole reaches the upstream`, async () => {
      const seen = upstream.requests.length
      const answer = await rawRequest(port, bytes.replaceAll('PATH', path) + HIDDEN)
      const got = Number(answer.slice(9, 12))
      // nginx answers some of these 400 or 505 by other roads; what matters is that they are refused and closed.
      assert.ok(
        got === status || (status === 400 && (got === 505 || got === 502)),
        `answered ${answer.slice(0, 40)}`,
      )
      assert.is(answer.match(/HTTP\/1\.1 /g)!.length, 1)
      assert.is(
        upstream.requests.length,
        seen,
        JSON.stringify(upstream.requests.slice(seen).map(({ head }) => head)),
      )
    })
  }
}

const PASSED: readonly [string, string, string][] = [
  [
    'lone LF as the end of every line',
    'GET /1 HTTP/1.1\nHost: a\nX-A: b\n\n',
    'GET /1 HTTP/1.1\r\nHost: UP\r\nX-A: b\r\n\r\n',
  ],
  [
    'spaces around a value',
    'GET /2 HTTP/1.1\r\nHost: a\r\nX-A:  \t b \t \r\n\r\n',
    'GET /2 HTTP/1.1\r\nHost: UP\r\nX-A: b\r\n\r\n',
  ],
  [
    'bytes above 127 in a value',
    'GET /3 HTTP/1.1\r\nHost: a\r\nX-A: \xe4\xff\r\n\r\n',
    'GET /3 HTTP/1.1\r\nHost: UP\r\nX-A: \xe4\xff\r\n\r\n',
  ],
  [
    'names with an underscore or a byte above 127 are dropped',
    'GET /4 HTTP/1.1\r\nHost: a\r\nX_A: b\r\nX-\xe4: b\r\n\r\n',
    'GET /4 HTTP/1.1\r\nHost: UP\r\n\r\n',
  ],
  [
    'an absolute target',
    'GET http://private/5?q HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /5?q HTTP/1.1\r\nHost: UP\r\nX-Server: private\r\n\r\n',
  ],
  [
    'an absolute target with a port',
    'GET http://PRIVATE:1/6 HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /6 HTTP/1.1\r\nHost: UP\r\nX-Server: private\r\n\r\n',
  ],
  [
    'a Host with a dot at its end',
    'GET /7 HTTP/1.1\r\nHost: Private.:80\r\n\r\n',
    'GET /7 HTTP/1.1\r\nHost: UP\r\nX-Server: private\r\n\r\n',
  ],
  [
    'escapes stay as they were',
    'GET /8/%2f%41%0d%0a?%0d%0aX: HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /8/%2f%41%0d%0a?%0d%0aX: HTTP/1.1\r\nHost: UP\r\n\r\n',
  ],
  [
    'dots stay as they were while they stay inside',
    'GET /8/../9/./x HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /8/../9/./x HTTP/1.1\r\nHost: UP\r\n\r\n',
  ],
]
for (const [what, bytes, head] of PASSED) {
  test(`${what}: exactly one clean request`, async () => {
    const seen = upstream.requests.length
    await rawRequest(port, bytes, { until: /\r\n\r\n./ })
    const got = upstream.requests.slice(seen).map((request) => request.head)
    assert.equal(got, [head.replace('UP', upstream.address)])
  })
}

test('a chunked body goes on in framing of ours: extensions and trailers end here', async () => {
  for (const [path, body] of [
    ['/x/', 'Content-Length: 5\r\n\r\nabcde'],
    ['/streamed/', 'Transfer-Encoding: chunked\r\n\r\n'],
  ] as const) {
    const seen = upstream.requests.length
    const client = new HttpClient(port)
    client.send(
      `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a="b\\"c"\r\nabc\r\n`,
    )
    if (path === '/streamed/')
      await until('the first chunk', () => upstream.connections.some((text) => text.endsWith('3\r\nabc\r\n')))
    client.send('0002\r\nde\r\n0;x\r\nContent-Length: 5\r\nX-Smuggled: 1\r\n\r\n')
    assert.is((await client.response()).body, path)
    client.close()
    assert.is(upstream.requests[seen]!.body, 'abcde')
    assert.equal(upstream.requests[seen]!.trailers, [])
    const bytes = upstream.connections[upstream.requests[seen]!.connection]!
    const sent = bytes.slice(bytes.lastIndexOf('POST '))
    assert.ok(sent.includes(body), sent)
    assert.not.match(sent, /Smuggled|a="b/)
  }
})

test('a body of a request that is refused later is never read as a request', async () => {
  const seen = upstream.requests.length
  const body = HIDDEN.repeat(3)
  const answer = await rawRequest(
    port,
    `POST /moved/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  assert.match(answer, /^HTTP\/1.1 301 /)
  assert.is(upstream.requests.length, seen)
})

/** Percent-encoded line ends in everything that variables can carry. */
const EVIL = '%0d%0aX-Evil:%201%0d%0a%0d%0a'
for (const target of [
  `/echo/${EVIL}?x=${EVIL}`,
  `/captured/${EVIL}`,
  `/rewritten/${EVIL}`,
  `/put-in/${EVIL}`,
]) {
  test(`${target} makes no line in the request to the upstream`, async () => {
    const seen = upstream.requests.length
    await rawRequest(
      port,
      `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: c=${EVIL}\r\n\r\n`,
    )
    const got = upstream.requests.slice(seen)
    for (const request of got) {
      assert.is(request.header('x-evil'), undefined)
      assert.not.match(request.head.replaceAll('\r\n', ''), /[\r\n]/)
    }
    assert.ok(got.length <= 1)
  })
}

test('what a variable puts into the target stays inside the target', async () => {
  const seen = upstream.requests.length
  await rawRequest(port, 'GET /put-in/x%20HTTP/1.0?a%20b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await rawRequest(port, 'GET /put-in/x%01%7f%09y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await rawRequest(port, 'GET /asked/a%20b%01c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const lines = upstream.requests.slice(seen).map(({ startLine }) => startLine)
  assert.equal(lines, [
    'GET /x%20HTTP/1.0 HTTP/1.1',
    'GET /x%01%7F%09y HTTP/1.1',
    'GET /asked/a%20b%01c?x=a%20b%01c HTTP/1.1',
  ])
})

for (const target of [`/added${EVIL}?x=${EVIL}`, `/moved/${EVIL}`, `/sent/${EVIL}`, `/sent/x?${EVIL}`]) {
  test(`${target} makes no line in the response`, async () => {
    const answer = await rawRequest(port, `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    const head = answer.slice(0, answer.indexOf('\r\n\r\n'))
    assert.not.match(head, /\nX-Evil/)
    assert.not.match(head.replaceAll('\r\n', ''), /[\r\n]/)
  })
}

test('a request is not complete before its last byte: nobody waits upstream for the rest of a head', async () => {
  const connections = upstream.connections.length
  const client = await openClient(port, 'GET /partial HTTP/1.1\r\nHost: a\r\n')
  await new Promise((next) => setTimeout(next, 50))
  assert.is(upstream.connections.length, connections)
  client.end()
  assert.is(String(await readToEnd(client)), '')
})

test('the upstream never saw anything that was not strict HTTP, nor a hidden request', () => {
  assert.equal(
    upstream.faults.filter((fault) => !fault.includes('streamed')),
    [],
  )
  assert.equal(
    upstream.requests.filter(({ target }) => target === '/hidden'),
    [],
  )
  assert.not.match(sluice.errorLog(), /\[(alert|emerg|crit)\]/)
})

test.run()
