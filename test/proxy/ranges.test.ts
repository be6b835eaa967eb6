// Range requests: which bytes are sent, under which head.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { BodyPart } from '../../runtime/proxy/exchange.ts'
import type { Effective } from '../../runtime/proxy/plan.ts'
import { applyRanges, parseRanges } from '../../runtime/proxy/ranges.ts'
import { answerWith, bodyOf, makeExchange } from './file-exchange.ts'

const UNLIMITED = 0x7fffffff
const DATE = 'Mon, 28 Sep 1970 06:00:00 GMT'

/** As in nginx's own tests: X000XXXXXX, X001XXXXXX, … 1000 bytes. */
const TEXT = Array.from({ length: 100 }, (_, i) => `X${String(i).padStart(3, '0')}XXXXXX`).join('')

async function get(
  fields: Record<string, string>,
  parts: BodyPart[] = [TEXT],
  settings: Partial<Effective> = {},
) {
  const { x } = makeExchange({ fields, settings })
  answerWith(x, parts, DATE, '"tag"')
  const status = applyRanges(x) || x.status
  return { x, status, head: Object.fromEntries(x.headers.entries()), body: await bodyOf(x.parts) }
}

const WHOLE = 'whole'
const NONE = 'none'
const PARSED: readonly [field: string, total: number, maxRanges: number, ranges: string][] = [
  ['bytes=0-8', 1000, UNLIMITED, '0-8'],
  ['bytes=-10', 1000, UNLIMITED, '990-999'],
  ['bytes=990-', 1000, UNLIMITED, '990-999'],
  ['bytes=990-1990', 1000, UNLIMITED, '990-999'],
  ['bytes=0-10001', 1000, UNLIMITED, '0-999'],
  ['BYTES=0-8', 1000, UNLIMITED, '0-8'],
  ['bytes=-2000', 1000, UNLIMITED, '0-999'],
  ['bytes=0-9, -10, 10-19', 1000, UNLIMITED, '0-9 990-999 10-19'],
  ['bytes=0-9, -10, 100000-, 10-19', 1000, UNLIMITED, '0-9 990-999 10-19'],
  ['bytes= 1 - 2 , 4 -', 10, UNLIMITED, '1-2 4-9'],
  ['bytes=100000-', 1000, UNLIMITED, NONE],
  ['bytes=alpha', 1000, UNLIMITED, NONE],
  ['bytes=10-alpha', 1000, UNLIMITED, NONE],
  ['bytes=10', 1000, UNLIMITED, NONE],
  ['bytes=10-11 12-', 1000, UNLIMITED, NONE],
  ['bytes=0-1,', 1000, UNLIMITED, NONE],
  ['bytes=,0-1', 1000, UNLIMITED, NONE],
  ['bytes=--5', 1000, UNLIMITED, NONE],
  ['bytes=5-2', 1000, UNLIMITED, NONE],
  ['bytes=-0', 1000, UNLIMITED, NONE],
  ['bytes=+1-2', 1000, UNLIMITED, NONE],
  ['bytes=99999999999999999999999999-', 1000, UNLIMITED, NONE],
  ['bytes=0-99999999999999999999999999', 1000, UNLIMITED, '0-999'],
  ['bytes=0-10001, 0-0', 1000, UNLIMITED, WHOLE],
  ['bytes=0-1,0-1,0-1', 4, UNLIMITED, WHOLE],
  ['bytes=0-', 0, UNLIMITED, WHOLE],
  ['items=0-8', 1000, UNLIMITED, WHOLE],
  ['bytes=', 1000, UNLIMITED, WHOLE],
  ['bytes 0-8', 1000, UNLIMITED, WHOLE],
  ['bytes=0-9, -10', 1000, 2, '0-9 990-999'],
  ['bytes=0-9, -10, 10000-', 1000, 2, '0-9 990-999'],
  ['bytes=0-9, -10, 10-19', 1000, 2, WHOLE],
]
for (const [field, total, maxRanges, expected] of PARSED) {
  const limit = maxRanges === UNLIMITED ? '' : ` with max_ranges ${maxRanges}`
  test(`"${field}" of ${total} bytes${limit}: ${expected}`, () => {
    const ranges = parseRanges(field, total, maxRanges)
    const text =
      typeof ranges === 'string' ? ranges : ranges.map(({ start, end }) => `${start}-${end - 1}`).join(' ')
    assert.is(text, expected)
  })
}

test('ranges that cost more than the whole are not answered, unless max_ranges allows them', () => {
  const many = `bytes=${Array.from({ length: 100 }, (_, i) => `${i * 2}-${i * 2}`).join(',')}`
  assert.is(parseRanges(many, 1000, UNLIMITED), 'whole')
  assert.is(parseRanges(many, 100_000, UNLIMITED).length, 100)
  assert.is(parseRanges(many, 1000, 100).length, 100)
})

test('a field is read in linear time', () => {
  const started = performance.now()
  const spaces = ' '.repeat(50_000)
  for (const field of [
    `bytes=1-${spaces}x`,
    `bytes=1${spaces}x`,
    `bytes=${'1'.repeat(50_000)}x`,
    `bytes=${spaces}x`,
  ]) {
    assert.is(parseRanges(field, 1000, UNLIMITED), 'none')
  }
  assert.ok(performance.now() - started < 500)
})

test('one range is a 206 with Content-Range', async () => {
  const { status, head, body } = await get({ Range: 'bytes=0-8' })
  assert.is(status, 206)
  assert.is(body, 'X000XXXXX')
  assert.is(head['Content-Range'], 'bytes 0-8/1000')
  assert.is(head['Content-Length'], '9')
  assert.is(head['Content-Type'], 'text/plain')
  assert.is(head['Accept-Ranges'], undefined)
  assert.is(head.ETag, '"tag"')
})

test('several ranges are multipart/byteranges, in the order asked for', async () => {
  const { status, head, body } = await get({ Range: 'bytes=0-9, -10, 10-19' })
  assert.is(status, 206)
  const boundary = /^multipart\/byteranges; boundary=([0-9a-f]{20})$/.exec(head['Content-Type'])?.[1]
  assert.is(
    body,
    `\r\n--${boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-9/1000\r\n\r\nX000XXXXXX` +
      `\r\n--${boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 990-999/1000\r\n\r\nX099XXXXXX` +
      `\r\n--${boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 10-19/1000\r\n\r\nX001XXXXXX` +
      `\r\n--${boundary}--\r\n`,
  )
  assert.is(head['Content-Length'], String(body.length))
  assert.is(head['Content-Range'], undefined)
})

test('parts without a type have none', async () => {
  const { x } = makeExchange({ fields: { Range: 'bytes=0-0,2-2' } })
  answerWith(x, ['abc'], null)
  x.headers.contentType = null
  applyRanges(x)
  assert.not.match(await bodyOf(x.parts), 'Content-Type')
})

test('a body of several parts is cut across them', async () => {
  const parts: BodyPart[] = ['abc', Buffer.from('defg'), '', 'hij']
  assert.is((await get({ Range: 'bytes=2-7' }, parts)).body, 'cdefgh')
  assert.is((await get({ Range: 'bytes=3-6' }, parts)).body, 'defg')
  assert.is((await get({ Range: 'bytes=-1' }, parts)).body, 'j')
})

test('nothing to satisfy: the page of a 416, with the length of the whole', async () => {
  const { status, head, body } = await get({ Range: 'bytes=1000-' })
  assert.is(status, 416)
  assert.match(body, '<h1>416 Requested Range Not Satisfiable</h1>')
  assert.equal(head, {
    'Content-Type': 'text/html',
    'Content-Length': String(body.length),
    'Content-Range': 'bytes */1000',
  })
})

test('a response that could be cut says so', async () => {
  const cases: Record<string, string>[] = [{}, { Range: 'items=0-1' }, { Range: 'bytes=0-10001, 0-0' }]
  for (const fields of cases) {
    const { status, head, body } = await get(fields)
    assert.is(status, 200)
    assert.is(head['Accept-Ranges'], 'bytes')
    assert.is(body, TEXT)
  }
})

test('max_ranges 0 switches ranges off', async () => {
  const { status, head } = await get({ Range: 'bytes=0-8' }, [TEXT], { maxRanges: 0 })
  assert.is(status, 200)
  assert.is(head['Accept-Ranges'], undefined)
})

const IF_RANGE: readonly [string, number][] = [
  [DATE, 206],
  ['Mon, 28 Sep 1970 06:00:01 GMT', 200],
  ['wrong', 200],
  ['"tag"', 206],
  ['"other"', 200],
  ['W/"tag"', 200],
  ['', 200],
]
for (const [condition, expected] of IF_RANGE) {
  test(`If-Range: ${condition || '(empty)'}: ${expected}`, async () => {
    assert.is((await get({ Range: 'bytes=0-8', 'If-Range': condition })).status, expected)
  })
}

test('If-Range by date needs a date', async () => {
  const { x } = makeExchange({ fields: { Range: 'bytes=0-0', 'If-Range': DATE } })
  answerWith(x, ['abc'], null)
  applyRanges(x)
  assert.is(x.status, 200)
})

test('other statuses, HTTP/0.9 and bodies that do not allow it are left alone', () => {
  const made = () => makeExchange({ fields: { Range: 'bytes=0-8' } }).x
  const error = made()
  answerWith(error, [TEXT], null)
  error.status = 404
  assert.is(applyRanges(error), 0)
  assert.is(error.status, 404)

  const page = made()
  answerWith(page, [TEXT], null)
  page.allowRanges = false
  assert.is(applyRanges(page), 0)
  assert.is(page.status, 200)

  const old = makeExchange({ version: 9, fields: { Range: 'bytes=0-8' } }).x
  answerWith(old, [TEXT], null)
  assert.is(applyRanges(old), 0)
  assert.is(old.status, 200)
})

test('every slice of a file has a handle of its own, and the first one is closed', () => {
  const open = new Set<object>()
  const handle = () => {
    const file = { read() {}, share: () => handle(), close: () => void open.delete(file) }
    open.add(file)
    return file
  }
  const { x } = makeExchange({ fields: { Range: 'bytes=0-1,4-5' } })
  const whole = handle()
  answerWith(x, [{ file: whole, start: 0, end: 10 }], null)
  applyRanges(x)
  const slices = x.parts!.filter((part) => typeof part === 'object' && 'file' in part)
  assert.equal(
    slices.map((slice) => [slice.start, slice.end]),
    [
      [0, 2],
      [4, 6],
    ],
  )
  assert.is(open.has(whole), false)
  assert.is(open.size, 2)
})

test('ranges of a slice count from its start', async () => {
  const file = { read() {}, share: () => file, close() {} }
  const { x } = makeExchange({ fields: { Range: 'bytes=1-2' } })
  answerWith(x, [{ file, start: 100, end: 110 }], null)
  applyRanges(x)
  assert.equal(x.parts, [{ file, start: 101, end: 103 }])
})

test.run()
