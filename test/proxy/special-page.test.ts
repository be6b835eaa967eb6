// The built-in pages, and the two small contents: stub_status and empty_gif.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { serveGif } from '../../runtime/proxy/empty-gif.ts'
import type { Effective } from '../../runtime/proxy/plan.ts'
import { specialPage } from '../../runtime/proxy/special-page.ts'
import { Step } from '../../runtime/proxy/step.ts'
import { serveStatus } from '../../runtime/proxy/stub-status.ts'
import { answerWith, bodyOf, makeExchange } from './file-exchange.ts'

async function page(status: number, settings: Partial<Effective> = {}) {
  const { x } = makeExchange({ settings })
  specialPage(x, status)
  return {
    status: x.status,
    type: x.headers.contentType,
    length: x.headers.contentLength,
    body: await bodyOf(x.parts),
  }
}

test('a page is nginx’s but for the name', async () => {
  const body =
    '<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n' +
    '<hr><center>sluice/1.2.3</center>\r\n</body>\r\n</html>\r\n'
  assert.equal(await page(404), { status: 404, type: 'text/html', length: body.length, body })
})

test('server_tokens off hides the version', async () => {
  assert.match((await page(500, { serverTokens: 'off' })).body, '<hr><center>sluice</center>')
})

const TITLES: readonly [number, string][] = [
  [301, '301 Moved Permanently'],
  [302, '302 Found'],
  [303, '303 See Other'],
  [307, '307 Temporary Redirect'],
  [308, '308 Permanent Redirect'],
  [400, '400 Bad Request'],
  [401, '401 Authorization Required'],
  [403, '403 Forbidden'],
  [405, '405 Not Allowed'],
  [408, '408 Request Time-out'],
  [413, '413 Request Entity Too Large'],
  [414, '414 Request-URI Too Large'],
  [416, '416 Requested Range Not Satisfiable'],
  [429, '429 Too Many Requests'],
  [500, '500 Internal Server Error'],
  [502, '502 Bad Gateway'],
  [503, '503 Service Temporarily Unavailable'],
  [504, '504 Gateway Time-out'],
  [505, '505 HTTP Version Not Supported'],
]
for (const [status, title] of TITLES) {
  test(title, async () => {
    const { body } = await page(status)
    assert.match(body, `<title>${title}</title>`)
    assert.match(body, `<h1>${title}</h1>`)
  })
}

const BAD_REQUESTS: readonly [number, string][] = [
  [494, 'Request Header Or Cookie Too Large'],
  [495, 'The SSL certificate error'],
  [496, 'No required SSL certificate was sent'],
  [497, 'The plain HTTP request was sent to HTTPS port'],
]
for (const [status, reason] of BAD_REQUESTS) {
  test(`${status} is shown as 400 with its reason`, async () => {
    const { status: sent, body } = await page(status)
    assert.is(sent, 400)
    assert.match(body, `<title>400 ${reason}</title>`)
    assert.match(body, `<h1>400 Bad Request</h1></center>\r\n<center>${reason}</center>\r\n<hr>`)
  })
}

test('statuses without a page have an empty body', async () => {
  for (const status of [201, 204, 304, 417, 418, 422, 426, 451, 499, 506, 599]) {
    assert.equal(await page(status), { status, type: null, length: 0, body: '' })
  }
})

test('what described another body goes, other fields stay', () => {
  const { x } = makeExchange()
  answerWith(x, ['other'], 'Mon, 28 Sep 1970 06:00:00 GMT', '"tag"')
  x.headers.add('Accept-Ranges', 'bytes')
  x.headers.add('WWW-Authenticate', 'Basic')
  specialPage(x, 401)
  assert.is(x.allowRanges, false)
  assert.equal(
    x.headers.entries().map(([name]) => name),
    ['Content-Type', 'Content-Length', 'WWW-Authenticate'],
  )
})

test('files of the body it replaces are closed', () => {
  const { x } = makeExchange()
  let closed = 0
  const file = { read() {}, share: () => file, close: () => void closed++ }
  answerWith(x, [{ file, start: 0, end: 4 }], null)
  specialPage(x, 500)
  assert.is(closed, 1)
})

test('stub_status', async () => {
  const { x } = makeExchange()
  assert.is(serveStatus(x), Step.HEADER_FILTER)
  assert.is(x.status, 200)
  assert.is(x.headers.contentType, 'text/plain')
  assert.is(
    await bodyOf(x.parts),
    'Active connections: 3 \nserver accepts handled requests\n 5 4 31 \nReading: 0 Writing: 1 Waiting: 2 \n',
  )
})

test('empty_gif', async () => {
  const { x } = makeExchange()
  assert.is(serveGif(x), Step.HEADER_FILTER)
  assert.is(x.headers.contentType, 'image/gif')
  assert.is(x.headers.lastModified, 'Mon, 28 Sep 1970 06:00:00 GMT')
  assert.is(x.headers.contentLength, 43)
  const body = await bodyOf(x.parts)
  assert.is(body.length, 43)
  assert.ok(body.startsWith('GIF89a\x01\0\x01\0'))
})

test('both take GET and HEAD only', () => {
  for (const serve of [serveStatus, serveGif]) {
    assert.is(serve(makeExchange({ method: 'HEAD' }).x), Step.HEADER_FILTER)
    const { x } = makeExchange({ method: 'POST' })
    assert.is(serve(x), Step.ERROR)
    assert.is(x.status, 405)
  }
})

test.run()
