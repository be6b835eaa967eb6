// sub_filter and addition, several filters at once, and filters before an HTTP/2 client.

import { connect } from 'node:http2'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { type ClientResponse, HttpClient } from '../lib/raw-http.ts'
import { socketUpstream } from './journey-tools.ts'

/** Answers in pieces that arrive as reads of their own: the path says which, separated by `_`. */
const upstream = await socketUpstream((socket) => {
  socket.once('data', async (request) => {
    const [, target] = /^GET \/\w+\/(\S*) /.exec(request.toString('latin1'))!
    socket.write(
      'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: "a"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: close\r\n\r\n',
    )
    for (const piece of target.split('_')) {
      await new Promise((next) => setTimeout(next, 2))
      socket.write(piece)
    }
    socket.end()
  })
})
const port = await freePort()
const sluice = await startSluice(
  `
http {
  ssi off;
  default_type text/html;
  server {
    listen 127.0.0.1:${port};
    http2 on;
    location /once/ { sub_filter foo bar; sub_filter ab +; proxy_pass http://${upstream.address}; }
    location /all/ { sub_filter_once off; sub_filter abc 1; sub_filter abcd 2; sub_filter ca 3; sub_filter $http_word "<$uri>"; proxy_pass http://${upstream.address}; }
    location /dated/ { sub_filter_last_modified on; sub_filter x y; proxy_pass http://${upstream.address}; }
    location /plain { sub_filter a b; default_type text/plain; return 200 aaa; }
    location /both { add_before_body /before; add_after_body /after; return 200 body; }
    location /empty { add_before_body /before; add_after_body /after; return 200 ""; }
    location /before { return 200 "[before "; }
    location /after { return 200 " after]"; }
    location /missing { add_after_body /nothing-here; return 404; }
    location /everything { gzip on; gzip_min_length 0; ssi on; add_before_body /before; add_after_body /after; sub_filter NAME /after; limit_rate 1m; return 200 '<!--#include virtual="NAME" -->NAME'; }
  }
}
`,
)
test.after(async () => {
  await sluice.stop()
  await upstream.close()
})

async function get(path: string, fields: Record<string, string> = {}): Promise<ClientResponse> {
  const client = new HttpClient(port)
  const response = await client.get(path, fields)
  client.close()
  return response
}

const REPLACED: readonly [path: string, body: string][] = [
  ['/once/foofoo', 'barfoo'],
  ['/once/xFOOabab', 'xbar+ab'],
  ['/once/f_o_o', 'bar'],
  ['/once/fo_x_fo', 'foxfo'],
  ['/once/ffoo_f', 'fbarf'],
  ['/once/a_bfo_ofoo', '+barfoo'],
  ['/all/abcd', '1d'],
  ['/all/xabxabcabc', 'xabx11'],
  ['/all/ab_ca_b', '1ab'],
  ['/all/c_a_c_a', '33'],
]
for (const [path, body] of REPLACED) {
  test(`sub_filter: ${path} becomes ${body}`, async () => {
    assert.is((await get(path)).body, body)
  })
}

test('sub_filter: variables in both, an empty string is none', async () => {
  assert.is((await get('/all/xwordx', { Word: 'WORD' })).body, 'x</all/xwordx>x')
})

test('sub_filter: bytes above 0x7f have one case only', async () => {
  assert.is((await get('/all/x%E9', { Word: '%e9' })).body, 'x</all/x\xe9>')
})

test('sub_filter: the head', async () => {
  const response = await get('/once/foo')
  assert.is(response.header('etag'), undefined)
  assert.is(response.header('last-modified'), undefined)
  const dated = await get('/dated/x')
  assert.is(dated.header('etag'), 'W/"a"')
  assert.is(dated.header('last-modified'), 'Mon, 01 Jan 2024 00:00:00 GMT')
  assert.is((await get('/plain')).body, 'aaa')
})

test('addition: before and after, also of an empty body; not of errors', async () => {
  assert.is((await get('/both')).body, '[before body after]')
  assert.is((await get('/empty')).body, '[before  after]')
  assert.not.match((await get('/missing')).body, 'after')
})

const EVERYTHING = '[before  after]/after after]'

test('all filters at once, each at its place', async () => {
  assert.is((await get('/everything')).body, EVERYTHING.replace('/after', 'NAME'))
})

test('all filters at once before an HTTP/2 client', async () => {
  const session = connect(`http://127.0.0.1:${port}`)
  const stream = session.request({ ':path': '/everything', 'accept-encoding': 'gzip' })
  const chunks: Buffer[] = []
  const [headers] = await Promise.all([
    new Promise<Record<string, unknown>>((done) => stream.once('response', done)),
    new Promise((done) => stream.on('data', (chunk) => chunks.push(chunk)).once('end', done)),
  ])
  session.destroy()
  assert.is(headers['content-encoding'], 'gzip')
  assert.is(gunzipSync(Buffer.concat(chunks)).toString(), EVERYTHING.replace('/after', 'NAME'))
})

test.run()
