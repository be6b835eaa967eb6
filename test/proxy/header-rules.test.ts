// add_header, add_trailer, expires: what they add to which response.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Settings, Template } from '../../runtime/config/model.ts'
import { formatHttpDate, parseHttpDate } from '../../runtime/http1/date.ts'
import type { Exchange } from '../../runtime/proxy/exchange.ts'
import { parseExpiry } from '../../runtime/proxy/expires.ts'
import { applyHeaderRules, compileHeaderRules, fillTrailers } from '../../runtime/proxy/header-rules.ts'
import type { Binder, Effective } from '../../runtime/proxy/plan.ts'
import { makeExchange } from './file-exchange.ts'

const where = { file: 'test.conf', line: 1, column: 1 }

/** `$name` stands for the request header of that name. */
function template(text: string): Template {
  const parts = text.startsWith('$') ? [{ variable: text.slice(1) }] : [text]
  return { text, parts, where }
}

const binder = {
  bind: ({ text }: Template) =>
    text.startsWith('$') ? (x: Exchange) => x.requestHeaders.get(text.slice(1)) ?? '' : () => text,
} as unknown as Binder

type Rule = [name: string, value: string, always?: 'always']

function compile(
  headers: readonly Rule[],
  trailers: readonly Rule[] = [],
  expires: Settings['expires'] = undefined,
) {
  const rule = ([name, value, always]: Rule) => ({
    where,
    name,
    value: template(value),
    always: always === 'always',
  })
  const settings = { addHeaders: headers.map(rule), addTrailers: trailers.map(rule), expires }
  return compileHeaderRules(settings as unknown as Effective, binder)
}

/** Header fields after the rules, without those that every response has. */
function apply(headers: readonly Rule[], status = 200, prepare: (x: Exchange) => void = () => {}) {
  const made = makeExchange({ fields: { Control: 'x' } })
  made.x.status = status
  prepare(made.x)
  applyHeaderRules(made.x, compile(headers)!)
  return made.x.headers.entries().map(([name, value]) => `${name}: ${value}`)
}

test('no rule at all compiles to nothing', () => {
  assert.is(compile([]), null)
  assert.is(compile([], [], { where, kind: 'off', seconds: 0, template: null }), null)
  assert.is(compile([], [], null), null)
})

test('rules apply to these statuses, with always to all', () => {
  const usual = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308]
  for (let status = 100; status < 600; status++) {
    const expected = usual.includes(status) ? ['A: 1', 'B: 2'] : ['B: 2']
    const rules: Rule[] = [
      ['A', '1'],
      ['B', '2', 'always'],
    ]
    assert.equal(apply(rules, status), expected, String(status))
  }
})

test('an empty value adds nothing', () => {
  assert.equal(
    apply([
      ['X-Empty', ''],
      ['X-Absent', '$absent'],
    ]),
    [],
  )
})

test('several rules of one name are several fields, behind those of the response', () => {
  const rules: Rule[] = [
    ['Set-Cookie', 'a=1'],
    ['Set-Cookie', 'b=2'],
    ['Cache-Control', 'private'],
    ['Link', '</x>'],
  ]
  const prepare = (x: Exchange) => x.headers.add('Cache-Control', 'no-store')
  assert.equal(apply(rules, 200, prepare), [
    'Cache-Control: no-store',
    'Set-Cookie: a=1',
    'Set-Cookie: b=2',
    'Cache-Control: private',
    'Link: </x>',
  ])
})

test('ETag and Last-Modified are replaced, or taken away by an empty value', () => {
  const prepare = (x: Exchange) => {
    x.headers.lastModified = 'Mon, 28 Sep 1970 06:00:00 GMT'
    x.headers.add('ETag', '"own"')
  }
  const replaced: Rule[] = [
    ['ETag', 'foo'],
    ['last-modified', 'Mon, 28 Sep 1970 07:00:00 GMT'],
  ]
  assert.equal(apply(replaced, 200, prepare), ['Last-Modified: Mon, 28 Sep 1970 07:00:00 GMT', 'ETag: foo'])
  assert.equal(
    apply(
      [
        ['ETag', ''],
        ['Last-Modified', ''],
      ],
      200,
      prepare,
    ),
    [],
  )
  assert.equal(
    apply(
      [
        ['ETag', 'foo'],
        ['ETag', ''],
      ],
      200,
      prepare,
    ),
    ['Last-Modified: Mon, 28 Sep 1970 06:00:00 GMT'],
  )
})

test('a value never brings a line of its own into the head', () => {
  for (const [value, sent] of [
    ['a\r\nX-Evil: 1', 'aX-Evil: 1'],
    ['a\nb', 'ab'],
    ['a\0b', 'ab'],
    ['\r\n', undefined],
    ['a\tb', 'a\tb'],
  ] as const) {
    const { x } = makeExchange()
    x.status = 200
    applyHeaderRules(x, compile([['X-Uri', value]])!)
    assert.equal(x.headers.entries(), sent === undefined ? [] : [['X-Uri', sent]])
  }
})

test('fields that frame the message are refused when compiled', () => {
  assert.throws(() => compile([['Content-Length', '1']]), /add_header cannot set "Content-Length"/)
  assert.throws(
    () => compile([], [['transfer-encoding', 'chunked']]),
    /add_trailer cannot set "transfer-encoding"/,
  )
})

test('trailers are announced with the head and filled in at its end', () => {
  const rules = compile(
    [],
    [
      ['X-One', '$late'],
      ['X-Empty', ''],
      ['X-Bad', 'a\nb'],
      ['X-Two', '2', 'always'],
    ],
  )!
  const { x } = makeExchange()
  x.status = 200
  applyHeaderRules(x, rules)
  assert.equal(x.trailers, [])
  x.requestHeaders.set('late', 'value at the end')
  fillTrailers(x, rules)
  assert.equal(x.trailers, [
    ['X-One', 'value at the end'],
    ['X-Bad', 'ab'],
    ['X-Two', '2'],
  ])
})

test('trailers of other statuses are only those with always', () => {
  const always = compile(
    [],
    [
      ['X-One', '1'],
      ['X-Two', '2', 'always'],
    ],
  )!
  const never = compile([], [['X-One', '1']])!
  const { x } = makeExchange()
  x.status = 404
  applyHeaderRules(x, never)
  assert.is(x.trailers, null)
  fillTrailers(x, never)
  assert.is(x.trailers, null)
  applyHeaderRules(x, always)
  fillTrailers(x, always)
  assert.equal(x.trailers, [['X-Two', '2']])
})

// ---- expires ----

type Expires = NonNullable<Settings['expires']>

function expire(expires: Partial<Expires>, status = 200, prepare: (x: Exchange) => void = () => {}) {
  const { x } = makeExchange({ fields: { E: 'unused' } })
  x.status = status
  prepare(x)
  const rules = compile([], [], { where, kind: 'access', seconds: 0, template: null, ...expires })!
  applyHeaderRules(x, rules)
  return { x, expires: x.headers.get('expires'), control: x.headers.get('cache-control') }
}

/** Milliseconds between an Expires date and now. */
const away = (date: string | undefined) => parseHttpDate(date ?? '') - Date.now()

test('epoch and max', () => {
  const epoch = expire({ kind: 'epoch' })
  assert.is(epoch.expires, 'Thu, 01 Jan 1970 00:00:01 GMT')
  assert.is(epoch.control, 'no-cache')
  const max = expire({ kind: 'max' })
  assert.is(max.expires, 'Thu, 31 Dec 2037 23:55:55 GMT')
  assert.is(max.control, 'max-age=315360000')
})

test('a time from now, forwards and backwards', () => {
  const later = expire({ seconds: 2048 })
  assert.is(later.control, 'max-age=2048')
  assert.ok(Math.abs(away(later.expires) - 2_048_000) < 2000)
  const before = expire({ seconds: -2048 })
  assert.is(before.control, 'no-cache')
  assert.ok(Math.abs(away(before.expires) + 2_048_000) < 2000)
  const now = expire({ seconds: 0 })
  assert.is(now.control, 'max-age=0')
  assert.ok(Math.abs(away(now.expires)) < 2000)
})

test('a time from the modification', () => {
  const at = (date: string | null) =>
    expire({ kind: 'modified', seconds: 2048 }, 200, (x) => {
      x.headers.lastModified = date
    })
  const old = at('Mon, 28 Sep 1970 06:00:00 GMT')
  assert.is(old.expires, 'Mon, 28 Sep 1970 06:34:08 GMT')
  assert.is(old.control, 'no-cache')
  const fresh = at(formatHttpDate(Date.now()))
  assert.match(fresh.control!, /^max-age=204[5-8]$/)
  assert.is(at(null).control, 'max-age=2048')
})

test('a time of the day, today or tomorrow', () => {
  const { expires, control } = expire({ kind: 'daily', seconds: 15 * 3600 + 30 * 60 + 33 })
  assert.match(expires!, /:33 GMT$/)
  const ahead = away(expires)
  assert.ok(ahead > -1000 && ahead <= 25 * 3600 * 1000, String(ahead))
  assert.ok(Math.abs(Number(/^max-age=(\d+)$/.exec(control!)![1]) - ahead / 1000) <= 2)
})

test('Expires and Cache-Control of the response are replaced', () => {
  const { x } = expire({ kind: 'epoch' }, 200, (x) => {
    x.headers.add('Expires', 'never')
    x.headers.add('Cache-Control', 'private')
    x.headers.add('Cache-Control', 'max-age=1')
  })
  assert.equal(x.headers.getAll('expires'), ['Thu, 01 Jan 1970 00:00:01 GMT'])
  assert.equal(x.headers.getAll('cache-control'), ['no-cache'])
})

test('errors do not expire', () => {
  assert.is(expire({ kind: 'epoch' }, 404).expires, undefined)
})

test('a variable says it all for each request', () => {
  const by = (value: string, kind: Expires['kind'] = 'variable') => {
    const prepare = (x: Exchange) => {
      x.requestHeaders.set('E', value)
      x.headers.lastModified = formatHttpDate(Date.now())
    }
    return expire({ kind, template: template('$E') }, 200, prepare)
  }
  assert.match(by('epoch').expires!, '1970')
  assert.match(by('max').expires!, '2037')
  assert.is(by('off').expires, undefined)
  assert.is(by('2048').control, 'max-age=2048')
  assert.is(by('-2048').control, 'no-cache')
  assert.match(by('@33s').expires!, /:33 GMT$/)
  assert.match(by('2048', 'modified').control!, /^max-age=204[5-8]$/)
  assert.is(by('').expires, undefined)
  assert.is(by('bad').expires, undefined)
  assert.is(by('epoch', 'modified').expires, undefined)
})

const EXPIRIES: readonly [string, boolean, string | null][] = [
  ['1h30m', false, 'access 5400'],
  ['+10', false, 'access 10'],
  ['-1d', false, 'access -86400'],
  ['@15h30m33s', false, 'daily 55833'],
  ['@24h', false, 'daily 86400'],
  ['@25h', false, null],
  ['@-1h', false, null],
  ['@1h', true, null],
  ['1y', true, 'modified 31536000'],
  ['max', true, null],
  ['10ms', false, null],
  ['+-1', false, null],
  ['', false, null],
]
for (const [text, modified, expected] of EXPIRIES) {
  test(`expires ${modified ? 'modified ' : ''}"${text}": ${expected ?? 'nothing'}`, () => {
    const expiry = parseExpiry(text, modified)
    assert.is(expiry === null ? null : `${expiry.kind} ${expiry.seconds}`, expected)
  })
}

test.run()
