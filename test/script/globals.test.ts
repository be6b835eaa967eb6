// The globals of a script, and what it cannot do with them.
import { runInThisContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { FakeRequest, load } from './fake-request.ts'

/** What an expression comes to in a sandbox. */
async function evaluate(expression: string): Promise<unknown> {
  const script = await load(
    `export async function content(r) { return { status: 200, body: JSON.stringify([${expression}]) } }`,
  )
  const request = new FakeRequest()
  const outcome = await request.run(script, 'content')
  script.dispose()
  if (outcome !== Outcome.ANSWER) throw new Error(request.logged.join('\n'))
  return JSON.parse(Buffer.from(request.answered!.body as string, 'latin1').toString('utf8'))[0]
}

async function error(expression: string): Promise<string> {
  return String(
    await evaluate(
      `(() => { try { return ${expression} } catch (e) { return e.name + ': ' + e.message } })()`,
    ),
  )
}

/** Expressions that Node and the sandbox agree on. */
const SAME = [
  "new URL('https://user:pw@example.com:8443/a/b/../c?x=1&x=2#frag').href",
  "['origin','protocol','username','password','host','hostname','port','pathname','search','hash'].map((k) => new URL('https://u:p@EXAMPLE.com:443/\u00e9 x?q=\u00e9#h')[k])",
  "new URL('../d?y', 'http://a.example/b/c/').href",
  "new URL('//other/x', 'https://a.example').href",
  "(() => { const u = new URL('http://a/b'); u.pathname = '/c d'; u.port = '81'; u.searchParams.append('k', 'v &'); u.hash = 'z'; return [u.href, u.search, String(u), JSON.stringify(u)] })()",
  "(() => { const u = new URL('http://a/?x=1'); const p = u.searchParams; u.search = '?y=2'; return [p.get('y'), p.get('x'), p.has('y')] })()",
  "(() => { const u = new URL('http://a/?x=1'); u.host = 'b:9'; u.protocol = 'https'; u.port = 'nonsense'; return u.href })()",
  "[URL.canParse('x'), URL.canParse('x', 'http://a')]",
  "new URLSearchParams('?a=1&b=%C3%A9+x&a=2&c').toString()",
  "[...new URLSearchParams('a=1&b=2&a=3')]",
  "new URLSearchParams({ a: '1 2', b: '\u00e9' }).toString()",
  "new URLSearchParams([['a', '1'], ['a', '2']]).getAll('a')",
  "(() => { const p = new URLSearchParams('b=1&a=2&b=3&c=4'); p.set('b', 'x'); p.delete('c'); p.sort(); p.append('z', 1); return [p.toString(), p.size, p.get('none'), [...p.keys()], [...p.values()]] })()",
  "(() => { const p = new URLSearchParams('a=1&a=2'); p.delete('a', '1'); return [p.toString(), p.has('a', '2'), p.has('a', '1')] })()",
  "[...new TextEncoder().encode('\u00e9\u20ac\u{1f600}\\0')]",
  'new TextDecoder().decode(new Uint8Array([0xc3, 0xa9, 0xff, 0x00, 0x41]))',
  "new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x41])).length",
  "new TextDecoder('latin1').encoding",
  "new TextDecoder('utf-16le').decode(new Uint8Array([0x41, 0, 0xac, 0x20]).subarray(0, 4))",
  'new TextDecoder().decode(new Uint8Array([1, 65, 66, 2]).subarray(1, 3))',
  "[['utf-8', [0xef, 0xbb, 0xbf, 0x41, 0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0x80, 0xe2, 0x41, 0xef, 0xbb, 0xbf, 0xf0, 0x9f]], ['utf-8', [0xe0, 0x80, 0xff, 0xc3, 0xf5, 0x80]], ['utf-16le', [0xff, 0xfe, 0x41, 0, 0x3d, 0xd8, 0, 0xde, 0x3d, 0xd8, 0x41]], ['utf-16be', [0xd8, 0x3d, 0xde, 0, 0, 0x41, 0xd8]], ['shift_jis', [0x82, 0xa0, 0x41, 0x82]], ['gb18030', [0x81, 0x30, 0x81, 0x30, 0xc4, 0xe3, 0x81]], ['windows-1252', [0xe9, 0x80]]].map(([label, bytes]) => { const d = new TextDecoder(label); let text = ''; for (const byte of bytes) text += d.decode(new Uint8Array([byte]), { stream: true }); text += d.decode(); return [text, d.decode(new Uint8Array([0x41, 0]))] })",
  "(() => { const d = new TextDecoder('utf-8', { ignoreBOM: true }); return [0xef, 0xbb, 0xbf, 0x41].map((b) => d.decode(new Uint8Array([b]), { stream: true })).join('').length })()",
  "(() => { const d = new TextDecoder('utf-8', { fatal: true }); const first = d.decode(new Uint8Array([0xc3]), { stream: true }); try { d.decode(); return 'none' } catch (e) { return [first, e.name, d.decode(new Uint8Array([0x41]))] } })()",
  '(() => { const d = new TextDecoder(); return [d.decode(new Uint8Array([65, 0xe2, 0x82]).buffer, { stream: true }), d.decode(new Uint8Array([9, 0xac, 66, 9]).subarray(1, 3), { stream: false })] })()',
  "atob('aGVsbG8gd29ybGQ=')",
  "atob('/////w==').charCodeAt(0)",
  "btoa('hello \u00ff')",
  "btoa(atob('AP8QgA=='))",
  '(() => { const o = { d: new Date(0), m: new Map([[1, { x: [1, 2] }]]), s: new Set([1]), r: /a/gi, u: new Uint8Array([1, 2]) }; o.self = o; const c = structuredClone(o); return [c !== o, c.self === c, c.d.getTime(), c.m.get(1).x, [...c.s], String(c.r), [...c.u]] })()',
  "structuredClone([1, 'a', null, true, undefined])",
  "(() => { const e = structuredClone(new TypeError('t')); return [e.name, e.message, e instanceof TypeError] })()",
  'new Date(2024, 0, 15, 12).getTimezoneOffset()',
  'new Date(2024, 6, 15, 12).toString().slice(0, 33)',
  '[0.1 + 0.2, -0, 1e300, 2 ** 53].map(String)',
] as const

test('what the web and Node have, as they have it', async () => {
  for (const expression of SAME) {
    const expected = JSON.parse(JSON.stringify([runInThisContext(`(${expression})`)]))[0]
    assert.equal(await evaluate(expression), expected, expression)
  }
})

test('what they refuse', async () => {
  const cases: [expression: string, message: string][] = [
    ["new URL('nope')", 'TypeError: "nope" is not a URL'],
    ["new URL('http://')", 'TypeError'],
    ["new URL('http://a').href = 'nope'", 'TypeError: not a URL'],
    ["atob('*')", 'Error: atob: the text is not base64'],
    ["btoa('\u20ac')", 'Error: btoa: the text holds characters that are no bytes'],
    ["new TextDecoder('klingon')", 'RangeError: the encoding "klingon" is not supported'],
    [
      "new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff]))",
      'TypeError: the data is not valid',
    ],
    [
      "new TextDecoder('iso-2022-jp').decode(new Uint8Array([65]), { stream: true })",
      'TypeError: TextDecoder does not decode iso-2022-jp in pieces; join them first',
    ],
    ["new TextDecoder().decode('text')", 'TypeError: the data is a string or a Uint8Array'],
    ['structuredClone(() => 1)', 'TypeError: structuredClone: a function cannot be cloned'],
    ['new URLSearchParams([[1]])', 'TypeError: each pair of a query has a name and a value'],
  ]
  for (const [expression, message] of cases) {
    const found = await error(expression)
    assert.ok(found.startsWith(message), `${expression}: ${found}`)
  }
})

test('code cannot be made from strings', async () => {
  const cases = [
    "Function('return 1')()",
    "new Function('return 1')()",
    "(() => {}).constructor('return 1')()",
    "(async () => {}).constructor('return 1')()",
    "(function* () {}).constructor('yield 1')()",
    "(async function* () {}).constructor('yield 1')()",
    "r.constructor.constructor('return process')()",
    "r.return.constructor('return 1')()",
    "r.headersIn.get.constructor('return 1')()",
    "Object.getPrototypeOf(Object.getPrototypeOf(async () => {})).constructor('return 1')()",
    "Reflect.construct(Object.getPrototypeOf(() => {}).constructor, ['return 1'])()",
    "setTimeout('1')",
  ]
  for (const expression of cases) assert.match(await error(expression), 'TypeError', expression)
  assert.match(await error("eval('1')"), 'ReferenceError')
  assert.match(await error("globalThis.eval('1')"), 'TypeError')
  assert.is(await evaluate('(() => {}) instanceof Function'), true)
})

test('there is nothing of the host', async () => {
  const names = [
    'process',
    'require',
    'module',
    'global',
    'Buffer',
    'WebAssembly',
    'setInterval',
    'std',
    'os',
    'scriptArgs',
    'print',
    'door',
    'prelude',
  ]
  assert.equal(await evaluate(`${JSON.stringify(names)}.filter((name) => name in globalThis)`), [])
  assert.equal(await evaluate('Object.keys(import.meta)'), [])
  assert.not.match(String(await evaluate('new Error("x").stack')), /node_modules|dist|sluice:prelude/)
})

test('tampering with builtins harms nobody but the script', async () => {
  const script = await load(`
    const evil = () => { throw new Error('tampered') }
    const { ownKeys } = Reflect
    const types = [Object, Array, String, Number, Promise, Function, RegExp, Map, Set, Uint8Array, ArrayBuffer, Error]
    const owners = []
    for (const type of types) {
      for (const name of ownKeys(type.prototype)) owners.push([type.prototype, name])
      for (const name of ownKeys(type)) owners.push([type, name])
    }
    for (let i = 0; i < owners.length; i++) {
      const owner = owners[i]
      try { owner[0][owner[1]] = evil } catch {}
    }
    Object.prototype.host = 'polluted'
    Object.prototype.then = undefined
    JSON.parse = JSON.stringify = Reflect.apply = evil
    globalThis.Promise = globalThis.Error = globalThis.TypeError = globalThis.Object = undefined
    export function balancer(r, upstream) { return upstream.hash(r.variables.arg_id, { consistent: true }) }
    export function access(r) { r.headersIn.set('x', r.headersIn.get('host') + r.method); r.return(403, 'no') }
    export function log(r) { r.nothing.there }`)
  const request = new FakeRequest({ args: 'id=12', headers: [['Host', 'h']] })
  assert.is(request.start(script, 'balancer'), Outcome.PEER)
  assert.is(request.balancer?.chosen, 2)
  assert.is(request.start(script, 'access'), Outcome.ANSWER)
  assert.equal(request.requestHeaders.get('x'), 'hGET')
  assert.is(request.start(script, 'log'), Outcome.FAILED)
  assert.is(({} as Record<string, unknown>).host, undefined)
})

test('one script cannot see another', async () => {
  const one = await load(
    'globalThis.shared = 1\nArray.prototype.shared = 1\nexport function log(r) { r.log(typeof shared) }',
  )
  const two = await load('export function log(r) { r.log(typeof shared, typeof [].shared) }')
  const request = new FakeRequest()
  request.start(one, 'log')
  request.start(two, 'log')
  assert.equal(request.logged, ['info hooks.js: number', 'info hooks.js: undefined undefined'])
})

test.run()
