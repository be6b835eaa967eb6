// Server side includes: the commands, inclusions side by side and in order, and everything that could run away.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { recordingUpstream } from '../lib/recording-upstream.ts'
import { openClient, socketUpstream, split, until } from './journey-tools.ts'

/** Pages by path; what they give to a client stands in the tests. */
const PAGES: Record<string, string> = {
  'echo.html':
    '<!--#echo var="arg_a" -->|<!--#echo var="arg_a" default="none" -->|<!--#echo var="arg_a" default="" -->',
  'encodings.html':
    '<!--#set var="v" value="<a> & \\"b\\" \xe9" --><!--#echo var="v" --> <!--#echo var="v" encoding="url" --> <!--#echo var="v" encoding="none" --> <!--#echo var="V" -->',
  'set.html': `<!--#set var="a" value="1" --><!--#set var="b" value="\${a}2\\$a\\x" --><!--#echo var="b" -->|<!--#echo var="no_such" -->`,
  'if.html':
    '<!--#if expr="$arg_a" -->A<!--#elif expr="$arg_b = two" -->B<!--#elif expr="$arg_b != /^[0-9]+\\$/" -->C<!--#else -->D<!--#endif -->.',
  'captures.html':
    '<!--#if expr="$arg_a = /^(?P<first>[a-z]+)-(.)/" --><!--#echo var="first" --> <!--#echo var="2" --> <!--#echo var="0" --><!--#endif -->',
  'slow-pattern.html': 'a<!--#if expr="$arg_a = /^(x+x+)+y\\$/" -->yes<!--#endif -->b',
  'slow-patterns.html': '<!--#if expr="$arg_a = /^(x+x+)+y\\$/" --><!--#endif -->'.repeat(200),
  'errors.html':
    '<!--#config errmsg="E" -->1<!--#nonsense -->2<!--#echo -->3<!--#echo var="a" var="b" -->4<!--#echo x="y" -->5<!--#else -->6<!--#endif -->7<!--#if expr="a ~ b" -->8<!--#include virtual="../x" -->9<!--#include virtual="/%2e%2e/x" -->',
  'block.html':
    '<!--#block name="one" --><b><!--#echo var="arg_a" --></b><!--#endblock -->x<!--#include virtual="/missing?$args" stub="one" -->y<!--#include virtual="/empty?$args" stub="one" -->z<!--#include virtual="/part.html" stub="one" -->',
  'date.html':
    '<!--#config timefmt="%Y" --><!--#echo var="date_gmt" -->|<!--#config timefmt="%s" --><!--#echo var="date_local" -->',
  'include.html':
    'a<!--#include virtual="/up/1" -->b<!--#include file="part.html" -->c<!--#include virtual="deep/part.html?a=$arg_a" -->d',
  'part.html': '(part)',
  'deep/part.html': '(<!--#echo var="arg_a" --> <!--#echo var="uri" --> <!--#echo var="request_uri" -->)',
  'shared.html':
    '<!--#set var="v" value="1" --><!--#include virtual="/sets.html" wait="yes" --><!--#echo var="v" -->',
  'sets.html': '<!--#set var="v" value="2" -->',
  'missing.html': 'a<!--#include virtual="/missing" -->b',
  'variable.html':
    '<!--#include virtual="/up/value" set="v" -->[<!--#echo var="v" -->]<!--#include virtual="/missing" set="v" -->[<!--#echo var="v" -->]',
  'too-long.html': '<!--#include virtual="/up/long" set="v" --><!--#echo var="v" -->',
  'itself.html': '<!--#include virtual="/itself.html" -->.',
  'twice.html': '<!--#include virtual="/twice.html" --><!--#include virtual="/twice.html" -->.',
  'doubling.html': `<!--#set var="a" value="0123456789" -->${'<!--#set var="a" value="$a$a$a$a$a$a$a$a$a$a" -->'.repeat(9)}ok`,
  'shown.html': `<!--#set var="a" value="${'x'.repeat(200)}" -->${'<!--#echo var="a" -->'.repeat(20_000)}`,
  'headers.html': 'plain',
  'log.html': '<!--#include virtual="/unlogged" --><!--#include virtual="/logged" -->',
  'denied.html': '<!--#include virtual="/inner/part.html" -->',
  'dies.html': 'a<!--#include virtual="/dying" -->b',
}

const port = await freePort()
let active = 0
let most = 0
const upstream = await recordingUpstream(async (_, { target, header, body }) => {
  active++
  most = Math.max(most, active)
  await new Promise((next) => setTimeout(next, target === '/up/late' ? 30 : 5))
  active--
  const text =
    target === '/up/long'
      ? 'x'.repeat(5000)
      : target.startsWith('/page/')
        ? PAGES[target.slice(6)]
        : `<${target}>`
  const part = '<!--#include virtual="/part.html" -->'
  const shown =
    target === '/up/body' ? `${header('content-length')}:${body}` : target === '/plain/x' ? part : text
  const type = target.startsWith('/page/') ? 'text/html' : 'text/plain'
  return `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${shown.length}\r\n\r\n${shown}`
})
/** Keeps every connection open without an answer. */
const silent = await socketUpstream((socket) => void socket.resume())
const dying = await socketUpstream((socket) => {
  socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'))
})
const sluice = await startSluice(
  `
http {
  ssi on;
  log_format line '$uri $status';
  server {
    listen 127.0.0.1:${port};
    root pages;
    location / { }
    location /up/ { proxy_pass http://${upstream.address}; }
    location /page/ { proxy_pass http://${upstream.address}; }
    location /plain/ { ssi_types text/plain; proxy_pass http://${upstream.address}/plain/; }
    location /empty { return 200 ""; }
    location /silent { proxy_pass http://${silent.address}; }
    location /dying { proxy_pass http://${dying.address}; }
    location /inner/ { internal; deny all; alias pages/; }
    location /off/ { ssi off; alias pages/; }
    location /quiet/ { ssi_silent_errors on; alias pages/; }
    location /dated/ { ssi_last_modified on; alias pages/; }
    location /short/ { ssi_value_length 4; alias pages/; }
    location /gzip/ { gzip on; alias pages/; }
    location /logged { log_subrequest on; access_log sub.log line; return 200 "(logged)"; }
    location /unlogged { access_log sub.log line; return 200 "(unlogged)"; }
    location /wait { return 200 'a<!--#include virtual="/up/late" wait="yes" -->b<!--#include virtual="/up/2" -->c'; default_type text/html; }
    location /parallel { default_type text/html; return 200 '${'<!--#include virtual="/up/late" -->'.repeat(8)}'; }
    location /hanging { default_type text/html; return 200 'a<!--#include virtual="/silent" -->b'; }
    location /posted { default_type text/html; proxy_pass http://${upstream.address}/page/posted.html; }
    location /many { default_type text/html; return 200 '${'<!--#include virtual="/part.html" -->'.repeat(90)}'; }
  }
}
`,
  Object.fromEntries(Object.entries(PAGES).map(([name, text]) => [`pages/${name}`, text])),
)
PAGES['posted.html'] = '<!--#include virtual="/up/body" -->'
test.after(async () => {
  await sluice.stop()
  await Promise.all([upstream.close(), silent.close(), dying.close()])
})

async function page(path: string, fields: Record<string, string> = {}): Promise<string> {
  const client = new HttpClient(port)
  const { body } = await client.get(path, fields)
  client.close()
  return body
}

const SHOWN: readonly [string, string][] = [
  ['/echo.html', '(none)|none|'],
  ['/echo.html?a=<', '&lt;|&lt;|&lt;'],
  ['/echo.html?a=', '||'],
  [
    '/encodings.html',
    '&lt;a&gt; &amp; &quot;b&quot; \xe9 %3Ca%3E%20&%20%22b%22%20%E9 <a> & "b" \xe9 <a> & "b" \xe9',
  ],
  ['/set.html', '12$a\\x|(none)'],
  ['/if.html?a=1&b=two', 'A.'],
  ['/if.html?b=two', 'B.'],
  ['/if.html?b=x', 'C.'],
  ['/if.html?b=7', 'D.'],
  ['/captures.html?a=abc-d', 'abc d abc-d'],
  ['/captures.html?a=1', ''],
  ['/errors.html', '1E2E3E4E5E6E7E8E9E'],
  ['/quiet/errors.html', '123456789'],
  ['/block.html?a=1', 'x<b>1</b>y<b>1</b>z(part)'],
  ['/include.html?a=7', 'a</up/1>b(part)c(7 /deep/part.html /include.html?a=7)d'],
  ['/shared.html', '2'],
  ['/variable.html', '[&lt;/up/value&gt;][&lt;/up/value&gt;]'],
  ['/off/echo.html', PAGES['echo.html']],
  [
    '/short/echo.html?a=b',
    '[an error occurred while processing the directive]'.repeat(3).replace(/\]\[/g, ']|['),
  ],
  ['/denied.html', '(part)'],
  ['/wait', 'a</up/late>b</up/2>c'],
  ['/many', '(part)'.repeat(90)],
]
for (const [path, shown] of SHOWN) {
  test(`${path} shows ${JSON.stringify(shown.slice(0, 60))}`, async () => {
    assert.is(await page(path), shown)
  })
}

test('$date_gmt and $date_local in the format that the page asks for', async () => {
  const [year, seconds] = (await page('/date.html')).split('|')
  assert.is(year, String(new Date().getUTCFullYear()))
  assert.ok(Math.abs(Number(seconds) - Date.now() / 1000) < 5)
})

test('an inclusion that fails shows its error page', async () => {
  assert.match(await page('/missing.html'), /^a<html>[\s\S]*404 Not Found[\s\S]*b$/)
})

test('the head: no length, no tag, no ranges; a file that is no page keeps them', async () => {
  const client = new HttpClient(port)
  const response = await client.get('/headers.html')
  for (const name of ['content-length', 'etag', 'last-modified', 'accept-ranges'])
    assert.is(response.header(name), undefined)
  assert.is(response.header('transfer-encoding'), 'chunked')
  const dated = await client.get('/dated/headers.html')
  assert.ok(dated.header('last-modified'))
  assert.match(dated.header('etag') ?? '', /^W\//)
  const off = await client.get('/off/headers.html')
  assert.is(off.header('content-length'), '5')
  const head = await client.request('HEAD /headers.html HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.is(head.header('content-length'), undefined)
  client.close()
})

test('an HTTP/1.0 client gets the page until the end of the connection', async () => {
  assert.is(split(await rawRequest(port, 'GET /include.html HTTP/1.0\r\n\r\n')).body.slice(0, 8), 'a</up/1>')
})

test('inclusions run side by side and are shown in order', async () => {
  most = 0
  assert.is(await page('/parallel'), '</up/late>'.repeat(8))
  assert.is(most, 8)
})

test('the page is compressed with what it includes', async () => {
  const body = await page('/gzip/include.html?a=7', { 'Accept-Encoding': 'gzip' })
  assert.match(gunzipSync(Buffer.from(body, 'latin1')).toString('latin1'), /^a<\/up\/1>b\(part\)c/)
})

test('the body of the request goes along with an inclusion', async () => {
  const client = new HttpClient(port)
  const response = await client.request('POST /posted HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  assert.is(response.body, '3:abc')
  client.close()
})

test('an inclusion has no log line of its own but with log_subrequest', async () => {
  assert.is(await page('/log.html'), '(unlogged)(logged)')
  const log = () => readFileSync(join(sluice.folder, 'sub.log'), 'latin1')
  await until('the log line', () => log() !== '')
  assert.is(log(), '/logged 200\n')
})

test('ssi_types: other types than text/html', async () => {
  assert.is(await page('/plain/x'), '(part)')
})

test('a client that leaves takes the inclusions with it', async () => {
  const before = silent.sockets.length
  const client = await openClient(port, 'GET /hanging HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('the inclusion', () => silent.sockets.length > before)
  let gone = false
  silent.sockets[before].once('end', () => (gone = true))
  silent.sockets[before].once('close', () => (gone = true))
  client.destroy()
  await until('its end', () => gone)
})

test('an inclusion that breaks off ends the connection after the page', async () => {
  const response = await rawRequest(port, 'GET /dies.html HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(response, /half/)
  assert.match(response, /1\r\nb\r\n0\r\n\r\n$/)
})

test('a response that is too long for a variable ends the request', async () => {
  assert.is(await rawRequest(port, 'GET /too-long.html HTTP/1.1\r\nHost: a\r\n\r\n'), '')
  await sluice.waitForLog(/too big subrequest response/)
})

test('what includes itself comes to an end', async () => {
  assert.is(await page('/itself.html'), `[an error occurred while processing the directive]${'.'.repeat(51)}`)
  await sluice.waitForLog(/subrequests cycle while processing "\/itself.html"/)
  const both = await page('/twice.html')
  assert.is(both.match(/\./g)!.length, 1001)
  await sluice.waitForLog(/subrequests are too many while processing "\/twice.html"/)
})

test('a value that doubles is stopped', async () => {
  assert.match(await page('/doubling.html'), /^(\[an error[^\]]*\])+ok$/)
})

test('an expression that takes for ever is given up', async () => {
  const started = Date.now()
  const shown = await page(`/slow-pattern.html?a=${'x'.repeat(60)}`)
  const error = '[an error occurred while processing the directive]'
  assert.is(shown, `a${error}yes${error}b`)
  assert.ok(Date.now() - started < 1000)
})

test('a page full of them is given no more time than a few', async () => {
  const started = Date.now()
  await page(`/slow-patterns.html?a=${'x'.repeat(60)}`)
  assert.ok(Date.now() - started < 1500, `${Date.now() - started} ms`)
})

test('a page much larger than its source goes out as the client takes it', async () => {
  assert.is((await page('/shown.html')).length, 200 * 20_000)
})

test.run()
