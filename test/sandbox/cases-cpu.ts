// Scripts that want the processor for themselves. Data only.
import type { AttackCase, Expected } from './arena.ts'

/** Bodies of hooks that are all to be stopped. */
function all(expect: Expected, bodies: Readonly<Record<string, string>>): AttackCase[] {
  return Object.entries(bodies).map(([name, body]) => ({ name, body, expect }))
}

/** An array-like of the largest length there is. */
const ENDLESS = '{ length: 2 ** 53 - 1 }'
const arrayLike = (call: string): string => `Array.prototype.${call.replace('(', `.call(${ENDLESS}, `)}`

/** Where QuickJS polls by itself, or a handler of the script's might swallow the interruption. */
const LOOPS = all('overrun', {
  loop: 'while (true);',
  'loop that catches': 'while (1) { try { while (1); } catch (e) {} }',
  'loop in finally': 'try { while (1); } finally { while (1); }',
  'labelled continue': 'a: for (;;) { b: for (;;) { try { continue a } finally { continue b } } }',
  'generator that swallows':
    'function* g() { try { while (1) yield } finally { while (1); } } for (const x of g()) {}',
  'generator that never returns':
    'function* g() { for (;;) { try { yield } finally { for (;;) { try { continue } finally { continue } } } } } for (const x of g()) break',
  'date spin': 'const t = Date.now(); while (Date.now() - t < 1e9);',
  getter: 'const o = { get x() { while (1); } }; o.x',
  setter: 'const o = { set x(v) { while (1); } }; o.x = 1',
  toPrimitive: 'String({ toString() { while (1); } })',
  'Symbol.toPrimitive': '"" + { [Symbol.toPrimitive]() { while (1); } }',
  valueOf: '+{ valueOf() { while (1); } }',
  comparator: '[3, 2, 1].sort(() => { while (1); })',
  'comparator that grows': 'const a = [2, 1]; a.sort((x, y) => { for (;;) a.push(x) })',
  'typed comparator': 'new Uint8Array(1000).sort(() => { while (1); })',
  'proxy trap': 'new Proxy({}, { get() { while (1); } }).x',
  'proxy ownKeys': 'Object.keys(new Proxy({}, { ownKeys() { while (1); } }))',
  'iterator that never ends': '[...{ [Symbol.iterator]: () => ({ next: () => ({ done: false }) }) }]',
  'iterator close':
    'for (const x of { [Symbol.iterator]: () => ({ next: () => ({ done: false }), return() { while (1); } }) }) break',
  'iterator helpers': 'function* g() { for (;;) yield 1 } g().map((x) => x).filter(() => false).next()',
  'iterator helper storm': 'let i = [1].values(); for (;;) i = i.map((x) => x)',
  'flatMap of itself': 'function* g() { for (;;) yield [] } g().flatMap((x) => x).next()',
  'array from an endless iterator': 'Array.from({ *[Symbol.iterator]() { for (;;) yield 1 } })',
  'map from an endless iterator':
    'new Map({ *[Symbol.iterator]() { for (let i = 0; ; i++) yield [i % 9, i] } })',
  species: 'class A extends Array { static get [Symbol.species]() { while (1); } } new A(3).map((x) => x)',
  hasInstance: '({}) instanceof { [Symbol.hasInstance]() { while (1); } }',
  'toString tag': 'Object.prototype.toString.call({ get [Symbol.toStringTag]() { while (1); } })',
  'json getter': 'JSON.stringify({ get a() { while (1); } })',
  'json toJSON': 'JSON.stringify({ toJSON() { while (1); } })',
  'json reviver': 'JSON.parse("[1]", () => { while (1); })',
  'replace callback': '"a".replace(/a/, () => { while (1); })',
  'replaceAll callback': '"a".replaceAll("a", () => { while (1); })',
  'regexp exec of its own': 'const e = /a/g; e.exec = () => ["a"]; "b".replace(e, "")',
  'sticky split':
    'class R extends RegExp { exec() { this.lastIndex = 0; return null } } "ab".repeat(1e6).split(new R("x"))',
  'date conversion': 'new Date({ valueOf() { while (1); } })',
  'class static block': 'class A { static { while (1); } }',
  'default argument': '((a = (() => { while (1); })()) => a)()',
  'tagged template': '((s) => { while (1); })`x`',
  'array destructuring': 'const [a] = { *[Symbol.iterator]() { while (1); yield } }',
  'rest of a proxy': 'const { ...a } = new Proxy({}, { ownKeys() { while (1); } })',
  'reduce of itself': 'let n = 0; const a = [1]; a.reduce(function f() { for (;;) n++ }, 0)',
  'with bind': 'let f = () => {}; for (;;) f = f.bind(null)',
  'weak references': 'for (;;) new WeakRef({})',
  'finalization storm': 'const f = new FinalizationRegistry(() => {}); for (;;) f.register({}, 1)',
  'weak map storm': 'const w = new WeakMap(); for (;;) w.set({}, {})',
  'errors without end': 'for (;;) { try { null.x } catch {} }',
  'bound to the host': 'for (;;) r.uri',
  'header reads': 'for (;;) r.headersIn.get("host")',
  'header entries': 'for (;;) [...r.headersIn]',
  'variables without end': 'for (let i = 0; ; i++) r.variables["v" + i]',
})

/** Loops inside builtins: every generic function of Array.prototype over 2^53 elements, and their like. */
const BUILTINS = all('overrun', {
  ...Object.fromEntries(
    [
      'indexOf(1)',
      'lastIndexOf(1)',
      'includes(1)',
      'join("")',
      'reverse()',
      'shift()',
      'forEach(() => {})',
      'filter(() => {})',
      'some(() => {})',
      'every(() => true)',
      'find(() => {})',
      'findLast(() => {})',
      'findIndex(() => {})',
      'reduce((a) => a, 0)',
      'reduceRight((a) => a, 0)',
      'copyWithin(1, 0)',
      'fill(1)',
      'flat()',
      'flatMap((x) => x)',
      'sort()',
      'toLocaleString()',
    ].map((call) => [`array-like ${call}`, arrayLike(call)]),
  ),
  'array-like typed array': 'new Uint8Array({ length: 2 ** 24, get 0() { return 1 } })',
  'sparse join': 'const a = []; a.length = 2 ** 32 - 1; a.join("")',
  'sparse sort': 'const a = []; a.length = 2 ** 32 - 1; a.sort()',
  'sparse map': 'const a = []; a.length = 2 ** 32 - 1; a.map(() => 1)',
  'sparse reverse': 'const a = []; a.length = 2 ** 32 - 1; a.reverse()',
  'spreadable concat': `[].concat({ ...${ENDLESS}, [Symbol.isConcatSpreadable]: true })`,
  'String.raw': `String.raw({ raw: ${ENDLESS} })`,
  'quadratic indexOf': '"a".repeat(2e6).indexOf("a".repeat(1e6) + "b")',
  'quadratic lastIndexOf': '"a".repeat(2e6).lastIndexOf("a".repeat(1e6) + "b")',
  'quadratic includes': '"a".repeat(2e6).includes("a".repeat(1e6) + "b")',
  'quadratic split': '"a".repeat(2e6).split("a".repeat(1e6) + "b")',
  'quadratic replaceAll': '"a".repeat(1e6).replaceAll("a".repeat(5e5) + "b", "c")',
  'sort of long prefixes':
    'const x = "x".repeat(1e6), a = x + "a", b = x + "b"; const l = []; for (let i = 0; i < 2e4; i++) l.push(i % 2 ? a : b); l.sort()',
  'localeCompare of long strings': 'const x = "\\u00e9".repeat(5e5); for (;;) x.localeCompare(x + "a")',
  'flat of a graph': 'let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; a.flat(Infinity)',
  'json of a graph': 'let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; JSON.stringify(a)',
  'text of a graph': 'let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; String(a)',
  'structuredClone of rows': 'let a = []; for (let i = 0; i < 1e9; i++) a = structuredClone([a, a])',
  'normalize bomb': '("a" + "\\u0301\\u0316".repeat(5e5)).normalize("NFC")',
  'normalize without end': 'const x = "\\ufdfa".repeat(1e5); for (;;) x.normalize("NFKD")',
  'toUpperCase without end': 'const x = "\\ufb03".repeat(1e5); for (;;) x.toUpperCase()',
  'encode without end': 'const x = "\\u20ac".repeat(1e5); for (;;) encodeURIComponent(x)',
  'copy without end': 'const a = new Uint8Array(8e6), b = new Uint8Array(8e6); for (;;) a.set(b)',
  'fill without end': 'const a = new Uint8Array(1e7); for (;;) a.fill(1)',
  'slice without end': 'const a = new Uint8Array(4e6); for (;;) a.slice()',
  'compare without end': 'const a = "x".repeat(1e6) + "a", b = "x".repeat(1e6) + "b"; for (;;) a < b',
})

const NUMBERS = all('overrun', {
  'BigInt to text': '(2n ** 1000000n - 1n).toString()',
  'BigInt power': '3n ** 6000000n',
  'BigInt product': 'const x = 2n ** 500000n - 1n; for (;;) x * x',
  'BigInt quotient': 'const x = 2n ** 900000n - 1n, y = 2n ** 450000n - 3n; for (;;) x / y',
  'BigInt from text': 'const x = "9".repeat(3e5); for (;;) BigInt(x)',
  'BigInt shifts': 'for (;;) (1n << 900000n) >> 1n',
  'BigInt.asUintN': 'const x = 2n ** 900000n - 1n; for (;;) BigInt.asUintN(899999, x)',
  'numbers to text': 'for (;;) (Math.random() * 1e300).toString(2)',
  'precise numbers': 'for (;;) (1 / 3).toFixed(100)',
})

const PATTERNS = all('overrun', {
  redos: '/^(a+)+$/.test("a".repeat(40) + "!")',
  'redos with lookahead': '/^(?=(a+)+b)a*$/.test("a".repeat(40))',
  'redos with lookbehind': '/(?<=^(a+)+)b/.test("c" + "a".repeat(40) + "b")',
  'redos with back-references': '/^(a*)*\\1$/.test("a".repeat(40) + "!")',
  'redos in replace':
    '"a".repeat(60).replace(/(a|aa)+$/g, "").replace(/(x+x+)+y/, "") + /(x+x+)+y/.test("x".repeat(60))',
  'redos in split': '("a".repeat(40) + "!").split(/(?:a+)+$/)',
  'quadratic pattern': '/a*a*b/.test("a".repeat(1e5))',
  'class compilation': 'new RegExp("[\\\\u{0}-\\\\u{10ffff}]".repeat(20000), "ui")',
  'many properties': 'new RegExp("\\\\p{L}".repeat(5000), "u")',
  'case folding of properties': 'for (;;) new RegExp("[\\\\p{L}\\\\p{N}]", "ui")',
})

/** Continuations: nothing of the script's is on the stack between them. */
const JOBS = all('overrun', {
  'microtasks without end': '(function f() { Promise.resolve().then(f) })()',
  'queueMicrotask without end': '(function f() { queueMicrotask(f) })()',
  'await without end': '(async () => { for (;;) await null })()',
  'thenable without end': 'const t = { then(r) { r(t) } }; Promise.resolve(t)',
  'loop in a microtask': 'Promise.resolve().then(() => { while (1); })',
  'loop in a thenable': 'return { then() { while (1); } }',
  'await that catches':
    'return (async () => { for (;;) { try { await (async () => { while (1); })() } catch {} } })()',
  'async generator without end':
    'return (async () => { async function* g() { for (;;) yield 1 } for await (const x of g()); })()',
  'promise subclass':
    'class P extends Promise { then(a, b) { while (1); } } return P.resolve(1).then(() => {}) && new P(() => {}).then()',
  'Promise.all without end': 'return Promise.all({ *[Symbol.iterator]() { for (;;) yield 1 } })',
  'Promise.race storm':
    'return (async () => { for (;;) await Promise.race([1, 2, 3].map((x) => Promise.resolve(x))) })()',
  'promises rejected without end':
    'return (async () => { for (;;) { try { await Promise.reject(1) } catch {} } })()',
  'rejections that nobody handles': 'for (let i = 0; ; i++) Promise.reject(new Error("x" + i))',
})

/** What the host does for the script is on the script's account. */
const HOST: readonly AttackCase[] = [
  {
    name: 'digests without end',
    top: "import { sha512 } from 'sluice:hash'",
    body: 'const x = "x".repeat(4e6); for (;;) sha512(x)',
    expect: 'overrun',
    says: /hooks\.js:2:\d+: /,
  },
  {
    name: 'small digests without end',
    top: "import { sha256 } from 'sluice:hash'",
    body: 'for (let i = 0; ; i++) sha256("x" + i)',
    expect: 'overrun',
  },
  {
    name: 'digests that are caught',
    top: "import { md5 } from 'sluice:hash'",
    body: 'const x = "x".repeat(1e6); for (;;) { try { md5(x) } catch {} }',
    expect: 'overrun',
  },
  ...all('overrun', {
    'URLs without end': 'for (let i = 0; ; i++) new URL("http://example.com/" + i).href',
    'long URLs without end': 'const x = "http://a/" + "%41".repeat(2e4); for (;;) new URL(x).href',
    'queries without end': 'const x = "a=1&".repeat(1.5e4); for (;;) new URLSearchParams(x)',
    'base64 without end': 'const x = "x".repeat(3e6); for (;;) atob(btoa(x))',
    'text decoding without end':
      'const d = new TextDecoder("utf-16le"), x = new Uint8Array(4e6); for (;;) d.decode(x)',
    'text encoding without end': 'const x = "\\u20ac".repeat(1e6); for (;;) new TextEncoder().encode(x)',
    'log lines without end': 'for (let i = 0; ; i++) r.log("line " + i)',
    'console.log of objects without end':
      'const w = {}; for (let i = 0; i < 1e5; i++) w["k" + i] = w; for (;;) console.log(w)',
    'log of a long line': 'const x = "x".repeat(1e6); for (;;) r.log(x)',
    'log of a rope':
      'let x = "y"; for (let i = 0; i < 20; i++) x = x + "\\u0001" + x; for (;;) r.log("" + x)',
    'timers set and cleared': 'for (;;) clearTimeout(setTimeout(() => {}, 1000))',
  }),
]

export const CPU_CASES: readonly AttackCase[] = [
  ...LOOPS,
  ...BUILTINS,
  ...NUMBERS,
  ...PATTERNS,
  ...JOBS,
  ...HOST,
]
