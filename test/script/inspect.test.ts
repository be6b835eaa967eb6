// How values look in log lines: as `util.inspect` and `util.format` of Node in small, in one line, without running
// anything of the value's.
import { format } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { FakeBalancer, FakeRequest, load } from './fake-request.ts'

/** What `console.log` of these expressions writes, without level and script. */
async function logged(expressions: readonly string[], before = ''): Promise<string[]> {
  const script = await load(
    `${before}\nexport function access(r) { ${expressions.map((text) => `console.log(${text})`).join('\n')} }`,
    { limits: { cpu: 2000 } },
  )
  const request = new FakeRequest({
    uri: '/x',
    args: 'a=1',
    headers: [
      ['Host', 'h'],
      ['A', 'b'],
      ['A', 'c'],
    ],
  })
  assert.is(request.start(script, 'access'), Outcome.PASS, request.failure?.[1])
  script.dispose()
  return request.logged.map((line) => Buffer.from(line.replace(/^info hooks\.js: /, ''), 'latin1').toString())
}

async function check(
  cases: readonly (readonly [expression: string, text: string])[],
  before = '',
): Promise<void> {
  const lines = await logged(
    cases.map(([expression]) => expression),
    before,
  )
  for (const [i, [expression, text]] of cases.entries()) assert.is(lines[i], text, expression)
}

test('values', () =>
  check([
    ['5', '5'],
    ['-0', '-0'],
    ['NaN', 'NaN'],
    ['5n', '5n'],
    ['true', 'true'],
    ['undefined', 'undefined'],
    ['null', 'null'],
    ["'text'", 'text'],
    [
      "['text', \"it's\", 'a\\nb', 'caf\u00e9 \u{1f600}']",
      "[ 'text', \"it's\", \"a\\nb\", 'caf\u00e9 \u{1f600}' ]",
    ],
    ["Symbol('s')", 'Symbol(s)'],
    ['Symbol()', 'Symbol()'],
    ['Symbol.iterator', 'Symbol(Symbol.iterator)'],
    ['{}', '{}'],
    ['[]', '[]'],
    ["{ a: 1, 'b-c': 'x', [Symbol('s')]: null, 5: [] }", "{ '5': [], a: 1, 'b-c': 'x', [Symbol(s)]: null }"],
    ['[1, , , 4, undefined]', '[ 1, <2 empty>, 4, undefined ]'],
    ["new Map([['k', { v: 1 }], [{}, []]])", "Map(2) { 'k' => { v: 1 }, {} => [] }"],
    ["new Set(['a', 1])", "Set(2) { 'a', 1 }"],
    ['new Date(0)', '1970-01-01T00:00:00.000Z'],
    ['new Date(NaN)', 'Invalid Date'],
    ['/a\\/b/giu', '/a\\/b/giu'],
    ['new Uint8Array([1, 2])', 'Uint8Array(2) [ 1, 2 ]'],
    ['new BigInt64Array(1)', 'BigInt64Array(1) [ 0n ]'],
    ['new ArrayBuffer(8)', 'ArrayBuffer { byteLength: 8 }'],
    ['Promise.resolve(1)', 'Promise { <fulfilled> }'],
    ['new Promise(() => {})', 'Promise { <pending> }'],
    ['new WeakMap()', 'WeakMap { <unknown> }'],
    ['Object.create(null)', '[Object: null prototype] {}'],
    ['function f() {}', '[Function: f]'],
    ['() => {}', '[Function (anonymous)]'],
    ['async () => {}', '[AsyncFunction (anonymous)]'],
    ['function* g() {}', '[GeneratorFunction: g]'],
    ['async function* g() {}', '[AsyncGeneratorFunction: g]'],
    ['class A {}', '[class A]'],
    ['Math.max', '[Function: max]'],
  ]))

test('classes by their names', () =>
  check(
    [
      ['new User(7)', 'User { id: 7 }'],
      ['new Admin(7)', 'Admin { id: 7 }'],
      ['new List(1, 2, 3)', 'List(3) [ 1, 2, 3 ]'],
      ["new Table([['a', 1]])", "Table(1) { 'a' => 1 }"],
      ['[new User(1)]', '[ User { id: 1 } ]'],
      ['new (class {})()', '{}'],
    ],
    `class User { #secret = 1; constructor(id) { this.id = id } get name() { throw 1 } }
     class Admin extends User {}
     class List extends Array {}
     class Table extends Map {}`,
  ))

test('depth, cycles, and what is long', async () => {
  await check([
    ['{ a: { b: { c: { d: { e: { f: 1 } } } } } }', '{ a: { b: { c: { d: { e: [Object] } } } } }'],
    ['[[[[[[1]]]]]]', '[ [ [ [ [ [Array] ] ] ] ] ]'],
    [
      '(() => { const a = { b: {} }; a.b.a = a; a.self = a; return a })()',
      '{ b: { a: [Circular] }, self: [Circular] }',
    ],
    ['(() => { const a = {}; return [a, a] })()', '[ {}, {} ]'],
    ['(() => { const m = new Map(); m.set(1, m); return m })()', 'Map(1) { 1 => [Circular] }'],
    ["['x'.repeat(1005)]", `[ '${'x'.repeat(1000)}'... 5 more characters ]`],
  ])
  const [array, object, map, wide, text] = await logged([
    'Array.from({ length: 1e5 }, (_, i) => i)',
    'Object.fromEntries(Array.from({ length: 150 }, (_, i) => ["k" + i, i]))',
    'new Map(Array.from({ length: 150 }, (_, i) => [i, i]))',
    '(() => { let a = []; for (let i = 0; i < 30; i++) a = [a, a]; return a })()',
    "'x'.repeat(1e5)",
  ])
  assert.match(array, /^\[ 0, 1, .*, 99, \.\.\. 99900 more \]$/)
  assert.match(object, /^\{ k0: 0, .*k99: 99, \.\.\. 50 more \}$/)
  assert.match(map, /^Map\(150\) \{ 0 => 0, .*99 => 99, \.\.\. \}$/)
  for (const line of [array, object, map, wide, text]) assert.ok(line.length <= 4099, String(line.length))
})

test('errors with their stack, in one line', async () => {
  const [plain, nested, rich, own, bare] = await logged(
    [
      "fail('no')",
      "{ error: new RangeError('deep') }",
      "Object.assign(new Error('e', { cause: new TypeError('why') }), { code: 'E_X' })",
      "new Mine('m')",
      "Object.assign(new Error('x'), { stack: undefined })",
    ],
    `class Mine extends Error { get name() { throw 1 } }
     function fail(why) { return new Error(why) }`,
  )
  assert.match(plain, /^Error: no, at fail \(hooks\.js:2:\d+\), at access \(hooks\.js:3:\d+\)$/)
  assert.match(nested, /^\{ error: RangeError: deep, at access \(hooks\.js:4:\d+\) \}$/)
  assert.match(
    rich,
    /^Error: e, at access .* \{ code: 'E_X', \[cause\]: TypeError: why, at access \(.*\) \}$/,
  )
  assert.match(own, /^Error: m, at /)
  assert.is(bare, 'Error: x')
})

test('nothing of the value is run', () =>
  check(
    [
      [
        '{ get a() { ran++ }, set b(v) {}, get c() { ran++ }, set c(v) {} }',
        '{ a: [Getter], b: [Setter], c: [Getter/Setter] }',
      ],
      ['new Proxy({ a: 1 }, trap)', '[Proxy]'],
      ['new Proxy(function () {}, trap)', '[Proxy]'],
      ['[new Proxy([], trap)]', '[ [Proxy] ]'],
      ['Object.create(new Proxy({}, trap))', '{}'],
      [
        '{ toString() { ran++ }, toJSON() { ran++ }, [Symbol.toPrimitive]() { ran++ }, valueOf: 1 }',
        '{ toString: [Function: toString], toJSON: [Function: toJSON], valueOf: 1, [Symbol(Symbol.toPrimitive)]: [Function: [Symbol.toPrimitive]] }',
      ],
      [
        "(() => { class A {} Object.defineProperty(A.prototype, 'constructor', { get() { ran++ } }); return new A() })()",
        '{}',
      ],
      [
        "'%s %d %j', { toString() { ran++ } }, { valueOf() { ran++ } }, { toJSON() { ran++ }, a: 1, get b() { ran++ } }",
        '{ toString: [Function: toString] } NaN {"a":1}',
      ],
      ['Object.defineProperty([1], 0, { get() { ran++ } })', '[ [Getter] ]'],
      ["Object.defineProperty(/x/, 'flags', { get() { ran++ } })", '/x/'],
      ["Object.defineProperty(new Map([[1, 2]]), 'size', { get() { ran++ } })", 'Map(1) { 1 => 2 }'],
      ['ran', '0'],
    ],
    `let ran = 0
     const trap = new Proxy({}, { get() { ran++ } })`,
  ))

test('r and what belongs to it', async () => {
  await check([
    ['r', "Request { method: 'GET', uri: '/x', rawArgs: 'a=1', remoteAddress: '192.0.2.7', status: 0 }"],
    ['r.headersIn', "Headers { Host: 'h', A: 'b, c' }"],
    ['r.args', "[Object: null prototype] { a: '1' }"],
    [
      '{ r }',
      "{ r: Request { method: 'GET', uri: '/x', rawArgs: 'a=1', remoteAddress: '192.0.2.7', status: 0 } }",
    ],
  ])
  const script = await load(`let kept
    export function access(r) { kept ??= [r, r.headersIn]; r.log(kept) }
    export function balancer(r, upstream) { r.log(upstream.peers[0]); r.log(upstream) }`)
  const request = new FakeRequest()
  request.start(script, 'access')
  request.balancer = new FakeBalancer()
  request.start(script, 'balancer')
  assert.match(
    request.logged[1],
    "Peer { name: 'a.example:8080', address: '10.0.0.1:8080', weight: 3, connections: 5, fails: 0, down: false }",
  )
  assert.match(
    request.logged[2],
    "Upstream { name: 'workers', tries: 0, lastFailure: null, peers: [ Peer { name: 'a.example:8080'",
  )
})

test('format, as Node does it', async () => {
  const cases = [
    "'%s is %d years and %i days, %f', 'Ann', 42, 3.9, '1.5'",
    "'%j %o', { a: [1, null, 'x'] }, [1]",
    "'100%', 5",
    "'%% %x %s'",
    "'%s', 1, 2, 'three'",
    "'%s %s', 1",
    "'%c styled', 'color: red'",
    "'a %d', 5n",
    "'a', 'b', 1, true, null",
    "'%s', null",
    "'%s', -0",
    "'%'",
    "'%', 1",
    "5, '%s', 6",
    "'%d %i', 'x', '12px'",
    "'%j', undefined",
  ]
  const lines = await logged(cases)
  for (const [i, args] of cases.entries()) {
    // The same arguments for Node: the texts of this table.
    const values = new Function(`return [${args}]`)() as unknown[]
    const node = args.includes('%o') ? '{"a":[1,null,"x"]} [ 1 ]' : format(...values)
    assert.is(lines[i], node, args)
  }
})

test('JSON of what can be read, in bounds', async () => {
  await check([
    [
      "'%j', { d: new Date(0), n: NaN, u: undefined, f() {}, s: Symbol(), b: 5n, [Symbol('k')]: 1 }",
      '{"d":"1970-01-01T00:00:00.000Z","n":null,"b":5}',
    ],
    ["'%j', (() => { const a = [,]; a[1] = a; return a })()", '[null,"[Circular]"]'],
    ["'%j', new Proxy({}, {})", '"..."'],
    ["'%j', 'a\\nb'", '"a\\nb"'],
  ])
  const [line] = await logged(["'%j', Array.from({ length: 1e6 }, (_, i) => i)"])
  assert.ok(line.length < 4200)
})

test('a value without end costs little, and the next line is whole', async () => {
  const script = await load(
    `const wide = Object.fromEntries(Array.from({ length: 20000 }, (_, i) => ['k' + i, { a: { b: { c: [i] } } }]))
     export function access(r) { for (let i = 0; i < 3; i++) r.log(wide, wide); r.log('end') }`,
    { limits: { cpu: 2000 } },
  )
  const request = new FakeRequest()
  assert.is(request.start(script, 'access'), Outcome.PASS)
  assert.is(request.logged.at(-1), 'info hooks.js: end')
})

test('a script that has replaced builtins harms its own lines alone', async () => {
  const script = await load(`
    Map.prototype.entries = Reflect.ownKeys = Object.getOwnPropertyDescriptor = () => { for (;;); }
    Array.prototype[Symbol.iterator] = String.prototype.slice = null
    export function access(r) { r.log('plain', 1); try { r.log({}) } catch { r.log('caught') } }
    export function rewrite(r) { throw new Error('still told') }`)
  const other = await load('export function access(r) { r.log({ a: new Map([[1, 2]]) }) }')
  const request = new FakeRequest()
  request.start(script, 'rewrite')
  assert.match(request.logged[0], 'Error: still told in rewrite, at rewrite (hooks.js:5:')
  request.start(script, 'access')
  assert.is(request.logged[1], 'info hooks.js: plain 1')
  const clean = new FakeRequest()
  clean.start(other, 'access')
  assert.equal(clean.logged, ['info hooks.js: { a: Map(1) { 1 => 2 } }'])
})

test.run()
