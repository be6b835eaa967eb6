// Scripts that try to stall, exhaust or crash the proxy. Data only: a name and the body of a hook.

export interface Attack {
  readonly name: string
  readonly body: string
}

/** Each runs as `export function access(r) { BODY }`. */
export const ATTACKS: readonly Attack[] = [
  // CPU, where QuickJS polls by itself
  { name: 'loop', body: 'while (true);' },
  { name: 'loop that catches', body: 'while (1) { try { while (1); } catch (e) {} }' },
  { name: 'loop in finally', body: 'try { while (1); } finally { while (1); }' },
  {
    name: 'generator that swallows',
    body: 'function* g() { try { while (1) yield } finally { while (1); } } for (const x of g()) {}',
  },
  { name: 'getter', body: 'const o = { get x() { while (1); } }; o.x' },
  { name: 'toPrimitive', body: 'String({ toString() { while (1); } })' },
  { name: 'comparator', body: '[3, 2, 1].sort(() => { while (1); })' },
  { name: 'date spin', body: 'const t = Date.now(); while (Date.now() - t < 1e9);' },
  { name: 'proxy trap', body: 'new Proxy({}, { get() { while (1); } }).x' },
  // regular expressions
  { name: 'redos', body: '/^(a+)+$/.test("a".repeat(40) + "!")' },
  { name: 'redos with lookahead', body: '/^(?=(a+)+b)a*$/.test("a".repeat(40))' },
  { name: 'class compilation', body: 'new RegExp("[\\\\u{0}-\\\\u{10ffff}]".repeat(20000), "ui")' },
  // loops inside builtins, where it does not
  { name: 'array-like indexOf', body: 'Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)' },
  { name: 'array-like reverse', body: 'Array.prototype.reverse.call({ length: 2 ** 53 - 1 })' },
  { name: 'array-like reduce', body: 'Array.prototype.reduce.call({ length: 2 ** 53 - 1 }, (a) => a, 0)' },
  { name: 'array-like copyWithin', body: 'Array.prototype.copyWithin.call({ length: 2 ** 53 - 1 }, 1, 0)' },
  { name: 'sparse join', body: 'const a = []; a.length = 2 ** 32 - 1; a.join("")' },
  { name: 'sparse sort', body: 'const a = []; a.length = 2 ** 32 - 1; a.sort()' },
  {
    name: 'spreadable concat',
    body: '[].concat({ length: 2 ** 53 - 1, [Symbol.isConcatSpreadable]: true })',
  },
  { name: 'String.raw', body: 'String.raw({ raw: { length: 2 ** 53 - 1 } })' },
  { name: 'quadratic indexOf', body: '"a".repeat(2e6).indexOf("a".repeat(1e6) + "b")' },
  { name: 'quadratic replaceAll', body: '"a".repeat(1e6).replaceAll("a".repeat(5e5) + "b", "c")' },
  { name: 'flat of a graph', body: 'let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; a.flat(Infinity)' },
  {
    name: 'JSON of a graph',
    body: 'let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; JSON.stringify(a)',
  },
  { name: 'BigInt to text', body: '(2n ** 1000000n - 1n).toString()' },
  { name: 'BigInt power', body: '3n ** 6000000n' },
  { name: 'normalize', body: '("a" + "\\u0301\\u0316".repeat(5e5)).normalize("NFC")' },
  { name: 'console.log of an endless getter', body: 'console.log({ get x() { while (1); } })' },
  {
    name: 'error that cannot be described',
    body: 'const e = new Error("x"); Object.defineProperty(e, "stack", { get() { while (1); } }); throw e',
  },
  // promises
  { name: 'microtasks without end', body: '(function f() { Promise.resolve().then(f) })()' },
  { name: 'await without end', body: '(async () => { for (;;) await null })()' },
  { name: 'thenable without end', body: 'const t = { then(r) { r(t) } }; Promise.resolve(t)' },
  { name: 'loop in a microtask', body: 'Promise.resolve().then(() => { while (1); })' },
  {
    name: 'await that catches',
    body: 'return (async () => { for (;;) { try { await (async () => { while (1); })() } catch {} } })()',
  },
  // memory
  { name: 'array without end', body: 'const a = []; for (;;) a.push({})' },
  { name: 'strings without end', body: 'const a = []; for (let i = 0; ; i++) a.push("x".repeat(1000) + i)' },
  {
    name: 'memory errors caught',
    body: 'const a = []; for (;;) { try { a.push(new ArrayBuffer(1 << 20)) } catch {} }',
  },
  { name: 'buffers', body: 'const a = []; for (;;) a.push(new ArrayBuffer(1 << 20))' },
  { name: 'doubling', body: 'let s = "x"; for (;;) s += s' },
  { name: 'symbols', body: 'for (let i = 0; ; i++) Symbol.for("x" + i)' },
  { name: 'promises', body: 'for (;;) Promise.resolve().then(() => {})' },
  { name: 'closures', body: 'let f = () => 0; for (;;) { const g = f; f = () => g() }' },
  // stack
  { name: 'recursion', body: '(function f() { f() })()' },
  { name: 'toString recursion', body: 'const o = { toString() { return String(o) } }; String(o)' },
  { name: 'proxy recursion', body: 'const p = new Proxy({}, { get(t, k, s) { return s[k] } }); p.x' },
  { name: 'deep JSON', body: 'JSON.parse("[".repeat(1e5))' },
  { name: 'deep pattern', body: 'new RegExp("(".repeat(1e5) + ")".repeat(1e5))' },
  {
    name: 'recursion through the host',
    body: 'const o = { get consistent() { return r.variables[String(Math.random())] + new URL("http://a").href + o.consistent } }; o.consistent',
  },
]
