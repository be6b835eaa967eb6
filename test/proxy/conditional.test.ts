// 304 and 412: requests that ask for a response only if it changed, or only if it did not.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { applyConditional } from '../../runtime/proxy/conditional.ts'
import type { Effective } from '../../runtime/proxy/plan.ts'
import { answerWith, bodyOf, makeExchange } from './file-exchange.ts'

const DATE = 'Mon, 28 Sep 1970 06:00:00 GMT'
const EARLIER = 'Mon, 28 Sep 1970 05:59:59 GMT'
const LATER = 'Mon, 28 Sep 1970 06:00:01 GMT'
const TAG = '"5a-3"'

interface Response {
  readonly lastModified?: string | null
  readonly etag?: string
  readonly settings?: Partial<Effective>
}

function statusOf(fields: Record<string, string>, response: Response = {}): number {
  const { x } = makeExchange({ fields, settings: response.settings })
  const { lastModified = DATE } = response
  answerWith(x, ['body'], lastModified, 'etag' in response ? response.etag : TAG)
  return applyConditional(x) || x.status
}

const CASES: readonly [Record<string, string>, number, Response?][] = [
  [{}, 200],

  // If-Modified-Since
  [{ 'If-Modified-Since': DATE }, 304],
  [{ 'If-Modified-Since': EARLIER }, 200],
  [{ 'If-Modified-Since': LATER }, 200],
  [{ 'If-Modified-Since': LATER }, 304, { settings: { ifModifiedSince: 'before' } }],
  [{ 'If-Modified-Since': EARLIER }, 200, { settings: { ifModifiedSince: 'before' } }],
  [{ 'If-Modified-Since': DATE }, 200, { settings: { ifModifiedSince: 'off' } }],
  [{ 'If-Modified-Since': 'yesterday' }, 200],
  [{ 'If-Modified-Since': 'yesterday' }, 200, { settings: { ifModifiedSince: 'before' } }],
  [{ 'If-Modified-Since': '' }, 200, { settings: { ifModifiedSince: 'before' } }],
  [
    { 'If-Modified-Since': 'Tue, 19 Jan 2038 03:14:07 GMT' },
    304,
    { settings: { ifModifiedSince: 'before' } },
  ],
  [{ 'If-Modified-Since': 'Mon Sep 28 06:00:00 1970' }, 304],
  [{ 'If-Modified-Since': DATE }, 200, { lastModified: null }],

  // If-None-Match: compared weakly
  [{ 'If-None-Match': TAG }, 304],
  [{ 'If-None-Match': '"foo"' }, 200],
  [{ 'If-None-Match': `"foo", "bar", ${TAG} , "baz"` }, 304],
  [{ 'If-None-Match': '*' }, 304],
  [{ 'If-None-Match': '*' }, 304, { etag: undefined }],
  [{ 'If-None-Match': TAG }, 200, { etag: undefined }],
  [{ 'If-None-Match': `W/${TAG}` }, 304],
  [{ 'If-None-Match': TAG }, 304, { etag: `W/${TAG}` }],
  [{ 'If-None-Match': `x${TAG}` }, 200],
  [{ 'If-None-Match': `${TAG}x` }, 200],
  [{ 'If-None-Match': '"a,b"' }, 304, { etag: '"a,b"' }],
  [{ 'If-None-Match': ',,, ,' }, 200],

  // both: each must say that nothing changed
  [{ 'If-Modified-Since': DATE, 'If-None-Match': TAG }, 304],
  [{ 'If-Modified-Since': EARLIER, 'If-None-Match': TAG }, 200],
  [{ 'If-Modified-Since': DATE, 'If-None-Match': '"foo"' }, 200],

  // If-Match: compared strongly
  [{ 'If-Match': TAG }, 200],
  [{ 'If-Match': '"foo"' }, 412],
  [{ 'If-Match': `"foo", "bar", \t${TAG} , "baz"` }, 200],
  [{ 'If-Match': '*' }, 200],
  [{ 'If-Match': `W/${TAG}` }, 412],
  [{ 'If-Match': `W/${TAG}` }, 412, { etag: `W/${TAG}` }],
  [{ 'If-Match': TAG }, 412, { etag: undefined }],

  // If-Unmodified-Since
  [{ 'If-Unmodified-Since': DATE }, 200],
  [{ 'If-Unmodified-Since': LATER }, 200],
  [{ 'If-Unmodified-Since': EARLIER }, 412],
  [{ 'If-Unmodified-Since': 'yesterday' }, 412],
  [{ 'If-Unmodified-Since': DATE }, 412, { lastModified: null }],
  [{ 'If-Unmodified-Since': DATE, 'If-None-Match': TAG }, 304],
]
for (const [fields, status, response] of CASES) {
  test(`${JSON.stringify(fields)} on ${JSON.stringify(response ?? 'a file')}: ${status}`, () => {
    assert.is(statusOf(fields, response), status)
  })
}

test('a 304 keeps its validators and has no body, type or length', () => {
  const { x } = makeExchange({ fields: { 'If-None-Match': TAG } })
  answerWith(x, ['body'], DATE, TAG)
  assert.is(applyConditional(x), 0)
  assert.equal(x.parts, [])
  assert.is(x.allowRanges, false)
  assert.equal(x.headers.entries(), [
    ['Last-Modified', DATE],
    ['ETag', TAG],
  ])
})

test('a 412 keeps nothing of the response', async () => {
  const { x } = makeExchange({ fields: { 'If-Match': '"foo"' } })
  answerWith(x, ['body'], DATE, TAG)
  assert.is(applyConditional(x), 412)
  assert.is(x.status, 412)
  assert.match(await bodyOf(x.parts), '<h1>412 Precondition Failed</h1>')
  assert.equal(
    x.headers.entries().map(([name]) => name),
    ['Content-Type', 'Content-Length'],
  )
})

test('preconditions are ignored when the response is not a 200', () => {
  const { x } = makeExchange({ fields: { 'If-Match': '"foo"', 'If-Modified-Since': DATE } })
  answerWith(x, ['body'], DATE, TAG)
  x.status = 404
  assert.is(applyConditional(x), 0)
  assert.is(x.status, 404)
})

test('files of a body that is not sent are closed', () => {
  const cases: Record<string, string>[] = [{ 'If-None-Match': '*' }, { 'If-Match': '"foo"' }]
  for (const fields of cases) {
    const { x } = makeExchange({ fields })
    let closed = 0
    const file = { read() {}, share: () => file, close: () => void closed++ }
    answerWith(x, [{ file, start: 0, end: 4 }], DATE, TAG)
    applyConditional(x)
    assert.is(closed, 1)
  }
})

test('a long list of tags is read in linear time', () => {
  const { x } = makeExchange({
    fields: { 'If-None-Match': `${'"'.repeat(5_000)}${' '.repeat(5_000)}${','.repeat(5_000)}` },
  })
  answerWith(x, ['body'], DATE, TAG)
  const started = performance.now()
  applyConditional(x)
  assert.ok(performance.now() - started < 100)
  assert.is(x.status, 200)
})

test.run()
