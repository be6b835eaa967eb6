// Scripts that look for a way out of their sandbox, or into what is not theirs. Data only.
import type { Phase } from '../../runtime/phases.ts'
import type { AttackCase } from './arena.ts'

/** A hook that logs what it found; the line must be exactly that. */
export interface ProbeCase {
  readonly name: string
  readonly top?: string
  /** An expression; with a `return` in it, statements. */
  readonly probe: string
  readonly phase?: Phase
  readonly finds: string
}

const ABSENT = [
  'process',
  'require',
  'module',
  'exports',
  '__dirname',
  'Buffer',
  'global',
  'WebAssembly',
  'Deno',
  'Bun',
  'window',
  'self',
  'document',
  'os',
  'std',
  'bjson',
  'scriptArgs',
  'print',
  'gc',
  'navigator',
  'eval',
  'Intl',
  'XMLHttpRequest',
  'Worker',
  'postMessage',
  'setInterval',
  'setImmediate',
  'Atomics',
  'importScripts',
]

export const PROBES: readonly ProbeCase[] = [
  ...ABSENT.map((name) => ({ name: `there is no ${name}`, probe: `typeof ${name}`, finds: 'undefined' })),
  { name: 'this of a module', top: 'const self = this', probe: 'self', finds: 'undefined' },
  { name: 'this of a function', probe: '(function () { return this })()', finds: 'undefined' },
  {
    name: 'indirect eval',
    probe: 'try { return (0, globalThis.eval)("1") } catch (e) { return e.name }',
    finds: 'TypeError',
  },
  ...[
    'Function("return 1")',
    'new Function("return 1")',
    'this?.constructor ?? (() => {}).constructor("return process")',
    '(async () => {}).constructor("return 1")',
    '(function* () {}).constructor("return 1")',
    '(async function* () {}).constructor("return 1")',
    'Object.getPrototypeOf(async () => {}).constructor("1")',
    'r.return.constructor("return process")()',
    'r.log.constructor.constructor("return process")()',
    'Object.getOwnPropertyDescriptor(Object.getPrototypeOf(r), "uri").get.constructor("return process")()',
    'Reflect.construct((() => {}).constructor, ["return 1"])',
    'class A extends (() => {}).constructor {}; new A("return 1")',
    'setTimeout("1")',
    'Reflect.construct(Function, ["return 1"], Object)',
  ].map((code) => ({
    name: `no code from strings: ${code}`,
    probe: code.startsWith('class')
      ? `try { ${code}; return "made" } catch (e) { return e instanceof TypeError }`
      : `try { ${code}; return "made" } catch (e) { return e instanceof TypeError }`,
    finds: 'true',
  })),
  {
    name: 'the constructor cannot be put back',
    probe: 'try { Object.getPrototypeOf(() => {}).constructor = 1 } catch (e) { return e.name }',
    finds: 'TypeError',
  },
  ...[
    'std',
    'os',
    'node:fs',
    'fs',
    '../../etc/passwd',
    '/etc/passwd',
    'file:///etc/passwd',
    'data:text/javascript,1',
    'https://a/b.js',
    'sluice:internal',
    'sluice:nothing',
    '',
    '.',
    '..',
    '\\0',
    './\\ud800',
    '__proto__',
    'constructor',
  ].map((name) => ({
    name: `import of ${JSON.stringify(name)}`,
    probe: `return import("${name}").then(() => "imported", (e) => e instanceof Error)`,
    finds: 'true',
  })),
  {
    name: 'import with attributes',
    probe:
      'return import("./x.json", { with: { type: "json" } }).then(() => "imported", (e) => e instanceof Error)',
    finds: 'true',
  },
  {
    name: 'import of what is no text',
    probe:
      'return import({ toString() { throw new TypeError("mine") } }).then(() => "imported", (e) => e.message)',
    finds: 'mine',
  },
  { name: 'import.meta', probe: 'Object.keys(import.meta).join()', finds: '' },
  // host functions are ordinary functions of the guest's own world
  {
    name: "a host function has the guest's prototype",
    probe:
      'Object.getPrototypeOf(Object.getOwnPropertyDescriptor(Object.getPrototypeOf(r), "uri").get) === Object.getPrototypeOf(() => {})',
    finds: 'true',
  },
  {
    name: 'caller and arguments',
    probe:
      'try { return r.internalRedirect.caller ?? r.internalRedirect.arguments } catch (e) { return e.name }',
    finds: 'TypeError',
  },
  {
    name: 'caller of a callback of the prelude',
    probe: 'try { return [(function f() { return f.caller })()][0] } catch (e) { return e.name }',
    finds: 'TypeError',
  },
  {
    name: "host errors are the guest's",
    probe: 'try { r.return("x") } catch (e) { return e instanceof TypeError }',
    finds: 'true',
  },
  {
    name: 'host errors show nothing of the host',
    probe:
      'const told = []; for (const f of [() => r.return("x"), () => r.headersIn.get({}), () => r.headersIn.set("a b", "c"), () => r.internalRedirect(1), () => new URL("x"), () => Object.getPrototypeOf(r).constructor.x]) { try { f() } catch (e) { told.push(e.message + e.stack) } } return /work|runtime|\\.ts|node_modules|wasm|file:/.test(told.join())',
    finds: 'false',
  },
  {
    name: 'no classes behind r',
    probe: 'r.constructor === Object && Object.getPrototypeOf(r).constructor === Object',
    finds: 'true',
  },
  { name: 'r is fixed', probe: 'try { r.mine = 1 } catch (e) { return e.name }', finds: 'TypeError' },
  {
    name: 'the type of r is fixed',
    probe: 'try { Object.getPrototypeOf(r).log = 1 } catch (e) { return e.name }',
    finds: 'TypeError',
  },
  {
    name: 'sluice is fixed',
    probe: 'try { sluice.every = 1 } catch (e) { return e.name }',
    finds: 'TypeError',
  },
  {
    name: 'sluice cannot be replaced',
    probe: 'try { globalThis.sluice = 1 } catch (e) { return e.name }',
    finds: 'TypeError',
  },
  {
    name: 'no frames of the prelude but by name',
    probe: 'try { r.return("x") } catch (e) { return /sluice:prelude|return/.test(e.stack) }',
    finds: 'true',
  },
  {
    name: 'prepareStackTrace gets no host objects',
    probe:
      'const seen = []; Error.prepareStackTrace = (e, frames) => { for (const f of frames ?? []) for (const k of ["getThis", "getFunction"]) try { seen.push(typeof f[k]?.()) } catch {} return "x" }; try { r.return("x") } catch (e) { e.stack } return seen.includes("object")',
    finds: 'false',
  },
  // other requests and scripts
  {
    name: 'getters of r work on nothing else',
    probe:
      'const { get } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(r), "uri"); try { return get.call({}) } catch (e) { return e.message }',
    finds: 'this request is over: r and what belongs to it cannot be used any more',
  },
  {
    name: 'getters of r do not work on what inherits from it',
    probe: 'try { return Object.create(r).uri } catch (e) { return e.name }',
    finds: 'Error',
  },
  {
    name: 'getters of r do not work on a proxy of it',
    probe: 'try { return Reflect.get(r, "uri", new Proxy(r, {})) } catch (e) { return e.name }',
    finds: 'Error',
  },
  {
    name: 'fields of one request do not serve as r',
    probe:
      'const { get } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(r), "uri"); try { return get.call(r.headersIn) } catch (e) { return e.name }',
    finds: '/chat',
  },
  {
    name: 'private parts of r stay with it',
    probe:
      'const { get } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(r), "ctx"); try { return get.call({}) } catch (e) { return e.name }',
    finds: 'TypeError',
  },
  // tampering with what everybody shares
  {
    name: 'pollution of Object.prototype stays in the guest',
    probe:
      'Object.prototype.status = 204; Object.prototype.headers = { "x-evil": "1" }; Object.prototype.then = undefined; const c = r.ctx; return Object.keys(r.args).join() + r.headersIn.get("host")',
    finds: 'a,bexample.com',
  },
  {
    name: '__proto__ in JSON',
    probe: 'const o = JSON.parse(\'{"__proto__":{"evil":1}}\'); return {}.evil',
    finds: 'undefined',
  },
  { name: '__proto__ as an argument', probe: '"__proto__" in r.args || {}.evil === 1', finds: 'false' },
  {
    name: 'builtins that lie do not reach the prelude',
    probe:
      'String.prototype.split = () => ["evil"]; String.prototype.indexOf = () => 0; Array.prototype[Symbol.iterator] = () => { throw 1 }; Array.prototype.push = () => { throw 2 }; Promise.prototype.then = () => { throw 3 }; Reflect.apply = () => { throw 4 }; Object.keys = () => { throw 5 }; JSON.parse = () => { throw 6 }; JSON.stringify = () => { throw 7 }; Object.defineProperty = () => { throw 8 }; Object.freeze = () => { throw 9 }; return r.args.a + r.args.b + r.headersIn.get("host")',
    finds: '12example.com',
  },
  {
    name: 'setters on Array.prototype do not see what the prelude writes',
    probe:
      'let seen = 0; Object.defineProperty(Array.prototype, "0", { set() { seen++ }, configurable: true }); r.args.a; r.headersIn.get("host"); delete Array.prototype[0]; return seen',
    finds: '0',
  },
  {
    name: 'a getter on Promise.prototype.constructor',
    probe:
      'Object.defineProperty(Promise.prototype, "constructor", { get() { throw new Error("seen") } }); try { r.readText() } catch (e) { return e.message }',
    finds: 'seen',
  },
  {
    name: 'Symbol.species of promises',
    probe:
      'Object.defineProperty(Promise, Symbol.species, { get() { throw new Error("seen") } }); try { r.readText() } catch (e) { return e.message }',
    finds: 'seen',
  },
  // buffers
  {
    name: 'bytes that were handed over can be moved away',
    probe:
      'const b = new Uint8Array([65, 66]); r.ctx.b = b; const moved = b.buffer.transfer?.(1) ?? b.buffer; return b.length + "," + moved.byteLength',
    finds: '0,1',
  },
  {
    name: 'a detached buffer holds nothing',
    probe: 'const b = new Uint8Array([65, 66]); b.buffer.transfer(0); return new TextDecoder().decode(b)',
    finds: '',
  },
  {
    name: 'a view that shrinks while it is read',
    probe:
      'const b = new ArrayBuffer(64, { maxByteLength: 128 }), v = new Uint8Array(b); const o = { get fatal() { b.resize(1); return false } }; return new TextDecoder("utf-8", o).decode(v).length',
    finds: '1',
  },
  {
    name: 'a length that lies',
    probe:
      'const b = new Uint8Array(4); Object.defineProperty(b, "byteLength", { value: 2 ** 31 }); Object.defineProperty(b, "buffer", { value: new ArrayBuffer(1) }); return new TextDecoder().decode(b).length',
    finds: '4',
  },
  {
    name: 'SharedArrayBuffer shares with nobody',
    probe:
      'if (typeof SharedArrayBuffer === "undefined") return true; const b = new SharedArrayBuffer(8); return new TextDecoder().decode(new Uint8Array(b)) === "\\0".repeat(8)',
    finds: 'true',
  },
  // oddities
  { name: 'raw JSON is no way in', probe: 'typeof JSON.rawJSON', finds: 'undefined' },
  {
    name: 'dates at the end of time',
    probe:
      '[new Date(8.64e15).getTime(), new Date(8.64e15 + 1).getTime(), new Date(2024, 1, 30, 99, 99, 1e9).getTime() > 0, new Date("+275760-09-13").getFullYear()].join()',
    finds: '8640000000000000,NaN,true,275760',
  },
  {
    name: 'local dates far away',
    probe: 'String(new Date(-8.64e15)).length > 0 && new Date(8.64e15).toLocaleString().length > 0',
    finds: 'true',
  },
  {
    name: 'legacy accessors',
    probe: 'try { r.__defineGetter__("x", () => 1) } catch (e) { return e.name }',
    finds: 'TypeError',
  },
  {
    name: 'getters on the global object',
    probe: 'Object.defineProperty(globalThis, "r2", { get() { return 7 }, configurable: true }); return r2',
    finds: '7',
  },
]

/** What the engine's C code gets wrong, or has got wrong: nothing may happen but within the sandbox. */
const SURFACE = (name: string, body: string): AttackCase => ({ name, body, expect: 'any' })
export const ENGINE_BUGS: readonly AttackCase[] = [
  SURFACE('emoji properties', 'new RegExp("\\\\p{RGI_Emoji}".repeat(500), "v")'),
  SURFACE('set operations', 'new RegExp("[" + "[a-z]--".repeat(3000) + "[b]]", "v")'),
  SURFACE('captures without end', 'new RegExp("()".repeat(5e4))'),
  SURFACE(
    'named captures',
    'new RegExp(Array.from({ length: 3000 }, (_, i) => "(?<n" + i + ">a)").join("|"))',
  ),
  SURFACE(
    'huge repetitions',
    'new RegExp("(?:a{1000}){1000}{1000}".replace("}{1000}", "}")).test("a".repeat(1e5))',
  ),
  SURFACE('lookbehind captures', '/(?<=(\\d+)(\\d+))$/.exec("1053"); /(?<=\\1(a))b/.exec("aab")'),
  SURFACE(
    'lastIndex beyond',
    'const e = /a/gy; e.lastIndex = 2 ** 53; e.exec("a"); e.lastIndex = -1; e.exec("a"); e.lastIndex = { valueOf: () => { e.compile("b".repeat(1e4)); return 0 } }; e.exec("a")',
  ),
  SURFACE(
    'compile while it runs',
    'const e = /(a)+/g; "aaa".replace(e, () => { e.compile("b"); return "x" })',
  ),
  SURFACE(
    'transfer while it sorts',
    'const b = new ArrayBuffer(4096), t = new Float64Array(b); t.sort(() => { try { b.transfer(0) } catch {} return 0 })',
  ),
  SURFACE(
    'resize while it sorts',
    'const b = new ArrayBuffer(4096, { maxByteLength: 8192 }), t = new Float64Array(b); t.sort(() => { b.resize(8); return 0 })',
  ),
  SURFACE(
    'resize while it fills',
    'const b = new ArrayBuffer(4096, { maxByteLength: 8192 }), t = new Uint8Array(b); t.fill({ valueOf() { b.resize(1); return 255 } })',
  ),
  SURFACE(
    'resize while it sets',
    'const b = new ArrayBuffer(4096, { maxByteLength: 8192 }), t = new Uint8Array(b); t.set({ length: 4096, get 0() { b.resize(1); return 1 } })',
  ),
  SURFACE(
    'resize while it is searched',
    'const b = new ArrayBuffer(4096, { maxByteLength: 8192 }), t = new Uint8Array(b); t.lastIndexOf(1, { valueOf() { b.resize(1); return 4095 } }); t.indexOf(1, { valueOf() { b.resize(8192); return 0 } })',
  ),
  SURFACE(
    'resize in with',
    'const b = new ArrayBuffer(64, { maxByteLength: 128 }), t = new Uint8Array(b); t.with(63, { valueOf() { b.resize(1); return 1 } })',
  ),
  SURFACE(
    'resize in slice and subarray',
    'class U extends Uint8Array { static get [Symbol.species]() { b.resize(1); return Uint8Array } } const b = new ArrayBuffer(64, { maxByteLength: 128 }); new U(b).slice(0, 64); new U(b).subarray(0, 64)',
  ),
  SURFACE(
    'resize in copyWithin',
    'const b = new ArrayBuffer(64, { maxByteLength: 128 }), t = new Uint8Array(b); t.copyWithin(0, { valueOf() { b.resize(1); return 32 } }, 64)',
  ),
  SURFACE(
    'DataView beyond',
    'const b = new ArrayBuffer(64, { maxByteLength: 128 }), d = new DataView(b, 32); d.setFloat64({ valueOf() { b.resize(1); return 16 } }, 1); d.getBigInt64(0)',
  ),
  SURFACE(
    'typed array of another',
    'const b = new ArrayBuffer(64, { maxByteLength: 128 }), t = new Uint8Array(b); new Float64Array({ length: 8, get 0() { b.transfer(1); return 1 } }); new Uint16Array(t)',
  ),
  SURFACE(
    'array that shrinks while it sorts',
    'const a = [3, 1, 2]; a.sort(() => { a.length = 0; return 1 })',
  ),
  SURFACE(
    'array whose length is pushed',
    'const a = []; Object.defineProperty(a, "length", { writable: false }); try { a.push(1) } catch {} const b = [1]; b.length = 2 ** 32 - 1; try { b.push(1, 2, 3) } catch {}',
  ),
  SURFACE(
    'array that shrinks in splice',
    'const a = new Array(100).fill(1); a.splice({ valueOf() { a.length = 1; return 0 } }, 50, 1, 2)',
  ),
  SURFACE(
    'array that shrinks in join',
    'const a = new Array(100).fill({ toString() { a.length = 0; return "x" } }); a.join()',
  ),
  SURFACE(
    'array that shrinks in iteration',
    'const a = [1, 2, 3]; for (const x of a) a.length = 0; const i = a.values(); a.push(1); i.next(); a.length = 0; i.next()',
  ),
  SURFACE(
    'map that clears itself',
    'const m = new Map([[1, 1], [2, 2], [3, 3]]); m.forEach((v, k) => { m.clear(); m.set(k + 10, 1); if (k > 1e4) throw 1 })',
  ),
  SURFACE(
    'set operations that lie',
    'new Set([1, 2, 3]).union?.({ size: -0, has() {}, keys() { return { next: () => ({ done: true }) } } }); new Set([1]).isSubsetOf?.({ size: Infinity, has: () => true, keys() {} })',
  ),
  SURFACE(
    'groupBy that mutates',
    'const a = [1, 2, 3]; Object.groupBy?.(a, (x) => { a.length = 0; return x })',
  ),
  SURFACE(
    'weak references to the dying',
    'let w; { let o = { a: 1 }; w = new WeakRef(o); o = null } w.deref(); const f = new FinalizationRegistry((x) => { f.register({}, 1) }); for (let i = 0; i < 1e4; i++) f.register({}, i, f); f.unregister(f)',
  ),
  SURFACE(
    'finalizers that loop',
    'const f = new FinalizationRegistry(() => { while (1); }); for (let i = 0; i < 1e4; i++) f.register({ i }, i)',
  ),
  SURFACE(
    'weak map keyed by itself',
    'const w = new WeakMap(); w.set(w, w); const p = new Proxy(w, {}); w.set(p, p)',
  ),
  SURFACE(
    'generators that run themselves',
    'const g = (function* () { try { g.next() } catch (e) { yield e } })(); g.next(); g.return(1); g.throw(1)',
  ),
  SURFACE(
    'async generators in disorder',
    'const g = (async function* () { yield 1; yield 2 })(); g.next(); g.next(); g.return(1); g.throw(2); g.next(); return g.next()',
  ),
  SURFACE('a promise resolved with itself', 'let f; const p = new Promise((x) => { f = x }); f(p); return p'),
  SURFACE('a promise that is settled twice', 'return new Promise((a, b) => { a(1); b(2); a(3); throw 4 })'),
  SURFACE(
    'class fields that throw',
    'class A { #x = (() => { throw 1 })(); static { this.y = 1 } get #z() { return 1 } } new A()',
  ),
  SURFACE(
    'private names on a proxy',
    'class B { constructor(o) { return o } } class A extends B { #x = 1; static has(o) { return #x in o } } const p = new Proxy({}, {}); new A(p); new A(p)',
  ),
  SURFACE(
    'super in odd places',
    'const o = { __proto__: { f() { return this } }, f() { return super.f() } }; Object.setPrototypeOf(o, null); o.f()',
  ),
  SURFACE(
    'arguments that alias',
    '(function (a) { arguments[0] = 1; delete arguments[0]; arguments.length = 2 ** 31; return [...arguments] })(2)',
  ),
  SURFACE(
    'labels and switches',
    'a: { switch (1) { case 1: break a; default: while (1); } } b: for (;;) for (;;) break b',
  ),
  SURFACE(
    'destructuring of the dying',
    'const o = { get a() { delete o.b; return 1 }, b: 2 }; const { a, b, ...c } = o; [o.x, o.y] = [1]; [...o.z] = "abc"',
  ),
  SURFACE(
    'huge numbers as lengths',
    'for (const n of [NaN, -1, 2 ** 31, 2 ** 32, 2 ** 53, Infinity, -0, 1e308]) { try { new Array(n) } catch {} try { "x".repeat(n) } catch {} try { new Uint8Array(n) } catch {} try { [].length = n } catch {} try { "abc".at(n); "abc".substring(n); [1].at(n); [1].with(n, 1) } catch {} try { (1).toFixed(n); (1).toPrecision(n); (1).toString(n) } catch {} }',
  ),
  SURFACE(
    'numbers as texts',
    'for (const t of ["1e400", "0x" + "f".repeat(1e4), "0b" + "1".repeat(1e4), "9".repeat(1e4), "." + "1".repeat(1e4) + "e-99999"]) { Number(t); parseFloat(t); parseInt(t, 36) }',
  ),
  SURFACE(
    'BigInt edges',
    'for (const n of [0n, -1n, 2n ** 64n, -(2n ** 63n)]) for (const m of [0n, 1n, -1n, 2n ** 70n]) for (const f of [(a, b) => a / b, (a, b) => a % b, (a, b) => a ** b, (a, b) => a << b, (a, b) => a >> b, (a, b) => BigInt.asIntN(64, a & b)]) try { f(n, m) } catch {}',
  ),
  SURFACE(
    'BigInt as an index',
    'const a = new BigInt64Array(4); a[0] = 2n ** 64n; a[2n ** 64n] = 1n; a.sort(); a.fill(-1n); try { a[0] = 1 } catch {} a.toLocaleString()',
  ),
  SURFACE(
    'odd keys',
    'const o = {}; for (const k of ["", "\\0", "\\ud800", "__proto__", "constructor", "length", "4294967295", "4294967294", "-0", "1e3", Symbol(), Symbol.iterator, 2 ** 31, -1]) { o[k] = 1; delete o[k]; [][k]; "abc"[k]; new Uint8Array(4)[k] = 1 } Object.entries(o)',
  ),
  SURFACE(
    'a frozen array that sorts',
    'Object.freeze([2, 1]).toSorted(); try { Object.freeze([2, 1]).sort() } catch {}',
  ),
  SURFACE(
    'lone surrogates',
    'const s = "\\ud800"; s.normalize(); s.isWellFormed?.(); s.toWellFormed?.(); try { encodeURIComponent(s) } catch {} JSON.stringify(s); r.variables.s = s; r.log(s, [s], { [s]: s })',
  ),
  SURFACE(
    'localeCompare and case',
    '"\\u0130".toLowerCase(); "\\u00df".toUpperCase(); "a".localeCompare("\\ud800"); "x".toLocaleUpperCase("tr"); (1e21).toLocaleString(); new Date(NaN).toLocaleString()',
  ),
  SURFACE(
    'iterator helpers that close',
    'const i = { __proto__: Iterator.prototype, next() { return { done: false, value: 1 } }, return() { throw 1 } }; try { i.take(1).toArray() } catch {} try { i.drop(Infinity) } catch {} i.map((x) => { throw x }).next()',
  ),
  SURFACE(
    'iterator of an iterator',
    'Iterator.from?.({ next() { return { get done() { return false }, get value() { return 1 } } } }).take(10).flatMap((x) => [x, x]).reduce((a, b) => a + b)',
  ),
  SURFACE(
    'errors of errors',
    'const e = new Error("x", { get cause() { throw 1 } }); new AggregateError({ *[Symbol.iterator]() { for (let i = 0; i < 100; i++) yield i } })',
  ),
  SURFACE(
    'stacks that are set',
    'const e = new Error("x"); e.stack = { toString() { while (1); } }; e.message = { toString() { while (1); } }; e.name = Symbol(); throw e',
  ),
  SURFACE(
    'stacks without end',
    'Error.stackTraceLimit = Infinity; Error.prepareStackTrace = (e, f) => f; (function f(n) { if (n === 0) throw new Error("deep"); f(n - 1) })(200)',
  ),
  SURFACE('prepareStackTrace that loops', 'Error.prepareStackTrace = () => { while (1); }; null.x'),
  SURFACE(
    'prepareStackTrace in a trap',
    `Error.prepareStackTrace = () => { while (1); }; Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)`,
  ),
  SURFACE(
    'thrown things',
    'throw [undefined, null, 1n, Symbol("x"), () => {}, new Proxy({}, { get() { while (1); }, getPrototypeOf() { while (1); } }), { toString: null }][Math.floor(Math.random() * 7)]',
  ),
  SURFACE(
    'a proxy that is revoked',
    'const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); r.log(typeof proxy); throw proxy',
  ),
  SURFACE(
    'a disposable stack',
    'if (typeof DisposableStack === "function") { const s = new DisposableStack(); s.defer(() => s.dispose()); s.dispose() }',
  ),
]

/** Hooks that return what no hook should. */
export const RETURNS: readonly AttackCase[] = [
  { name: 'returns a number', body: 'return 5', expect: 'error', says: /access returned 5/ },
  { name: 'returns a symbol', body: 'return Symbol("x")', expect: 'error' },
  { name: 'returns a BigInt', body: 'return 10n ** 100n', expect: 'error' },
  { name: 'returns a function', body: 'return () => {}', expect: 'error' },
  { name: 'returns r', body: 'return r', expect: 'any' },
  { name: 'returns globalThis', body: 'return globalThis', expect: 'error' },
  {
    name: 'returns a proxy that loops',
    body: 'return new Proxy({}, { get() { while (1); } })',
    expect: 'overrun',
  },
  { name: 'returns a then that loops', body: 'return { get then() { while (1); } }', expect: 'overrun' },
  { name: 'returns a status that loops', body: 'return { get status() { while (1); } }', expect: 'overrun' },
  {
    name: 'returns fields that loop',
    body: 'return { status: 200, headers: { get a() { while (1); } } }',
    expect: 'overrun',
  },
  {
    name: 'returns fields without end',
    body: 'return { status: 200, headers: { *[Symbol.iterator]() { for (;;) yield ["x-a", "b"] } } }',
    expect: 'error',
    says: /at most 64/,
  },
  {
    name: 'returns a field of any kind',
    body: 'return { status: 200, headers: { a: { toString() { while (1); } } } }',
    expect: 'error',
  },
  {
    name: 'returns a body of any kind',
    body: 'return { status: 200, body: { toString() { while (1); } } }',
    expect: 'error',
  },
  { name: 'returns 16 MB', body: 'return "x".repeat(16e6)', expect: 'failed' },
  {
    name: 'answers with 17 MiB',
    body: 'r.return(200, new Uint8Array(17 << 20))',
    expect: 'error',
    says: /longer than 16777216 bytes/,
    limits: { memory: 128e6 },
  },
  {
    name: 'a thenable that settles often',
    body: 'return { then(a, b) { a({ status: 204 }); b(1); a({ status: 500 }) } }',
    expect: 'pass',
  },
  {
    name: 'a thenable of a thenable',
    body: 'return { then(a) { a({ then(b) { b({ status: 204 }) } }) } }',
    expect: 'pass',
  },
  {
    name: 'Object.prototype.then',
    body: 'Object.prototype.then = function (f) { f({ status: 204 }) }; return { status: 200 }',
    expect: 'any',
  },
  {
    name: 'Object.prototype.then that loops',
    body: 'Object.prototype.then = function () { while (1); }; return {}',
    expect: 'overrun',
  },
  {
    name: 'balancer returns a URL',
    phase: 'balancer',
    body: 'return "http://169.254.169.254"',
    expect: 'error',
    says: /the peers are/,
  },
  {
    name: 'balancer returns a name with a NUL',
    phase: 'balancer',
    body: 'return "a.example:8080\\0"',
    expect: 'error',
  },
  { name: 'balancer returns __proto__', phase: 'balancer', body: 'return "__proto__"', expect: 'error' },
  { name: 'balancer returns an index', phase: 'balancer', body: 'return 0', expect: 'error' },
  {
    name: 'balancer returns 16 MB',
    phase: 'balancer',
    body: 'return "x".repeat(5e6)',
    expect: 'failed',
    says: /longer than/,
  },
  {
    name: 'balancer returns a thenable',
    phase: 'balancer',
    body: 'return { then(f) { f("evil:80") } }',
    expect: 'error',
  },
  {
    name: 'balancer returns a like of a peer',
    phase: 'balancer',
    body: 'return { name: "evil:80", address: "10.9.9.9:80" }',
    expect: 'error',
  },
  {
    name: 'balancer returns an heir of a peer',
    phase: 'balancer',
    body: 'return Object.create(upstream.peers[0])',
    expect: 'error',
  },
]
