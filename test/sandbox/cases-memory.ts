// Scripts that want all the memory there is, and stacks without an end. Data only.
import type { AttackCase, Expected } from './arena.ts'

function all(expect: Expected, bodies: Readonly<Record<string, string>>, says?: RegExp): AttackCase[] {
  return Object.entries(bodies).map(([name, body]) => ({ name, body, expect, ...(says && { says }) }))
}

/** Out of memory or out of time, whatever comes first. */
const HOARDS = all('overrun', {
  objects: 'const a = []; for (;;) a.push({})',
  'arrays of arrays': 'let a = []; for (;;) a = [a, new Array(100).fill(a)]',
  maps: 'const m = new Map(); for (let i = 0; ; i++) m.set(i, {})',
  sets: 'const s = new Set(); for (let i = 0; ; i++) s.add("k" + i)',
  'weak maps of living keys':
    'const k = [], w = new WeakMap(); for (;;) { const o = {}; k.push(o); w.set(o, {}) }',
  strings: 'const a = []; for (let i = 0; ; i++) a.push("x".repeat(1000) + i)',
  ropes: 'let s = "x"; const a = []; for (;;) { s = s + "y"; a.push(s) }',
  buffers: 'const a = []; for (;;) a.push(new ArrayBuffer(1 << 20))',
  'resizable buffers':
    'const a = []; for (;;) { const b = new ArrayBuffer(8, { maxByteLength: 1 << 24 }); b.resize(1 << 20); a.push(b) }',
  'typed arrays': 'const a = []; for (;;) a.push(new Float64Array(1e5))',
  symbols: 'for (let i = 0; ; i++) Symbol.for("x" + i)',
  'symbols as keys': 'const o = {}; for (;;) o[Symbol()] = 1',
  'property names': 'const o = {}; for (let i = 0; ; i++) o["k" + i] = i',
  shapes: 'for (let i = 0; ; i++) { const o = {}; for (let j = 0; j < 50; j++) o["p" + i + "_" + j] = j }',
  closures: 'let f = () => 0; for (;;) { const g = f; f = () => g() }',
  promises: 'for (;;) Promise.resolve().then(() => {})',
  'promises that wait for ever': 'const a = []; for (;;) a.push(new Promise(() => {}))',
  generators: 'const a = []; for (;;) { const g = (function* () { yield })(); g.next(); a.push(g) }',
  'async generators':
    'const a = []; for (;;) { const g = (async function* () { for (;;) yield 1 })(); g.next(); a.push(g) }',
  proxies: 'let p = {}; for (;;) p = new Proxy(p, {})',
  'bound functions': 'const a = []; for (;;) a.push(a.push.bind(a, 1, 2, 3))',
  'regular expressions': 'const a = []; for (let i = 0; ; i++) a.push(new RegExp("a{" + (i % 9) + "}" + i))',
  dates: 'const a = []; for (;;) a.push(new Date())',
  errors: 'const a = []; for (;;) a.push(new Error("x"))',
  bigints: 'const a = []; for (;;) a.push(2n ** 100000n + BigInt(a.length))',
  'memory errors caught': 'const a = []; for (;;) { try { a.push(new ArrayBuffer(1 << 20)) } catch {} }',
  'large ones caught': 'for (;;) { try { new ArrayBuffer(2 ** 30) } catch {} }',
  'strings too large, caught': 'for (;;) { try { "x".repeat(2 ** 29) } catch {} }',
  'filled to the last byte':
    'const a = []; for (let n = 1 << 20; n > 16; ) { try { a.push(new ArrayBuffer(n)) } catch { n >>= 1 } } for (;;) r.log("x".repeat(100) + a.length)',
  'an array literal': 'let a = [1]; for (;;) a = [...a, ...a]',
  'an object spread': 'let o = {}; for (let i = 0; ; i++) o = { ...o, ["k" + i]: i }',
  'structured clones': 'let a = [1]; for (;;) a = structuredClone([a, a])',
  'json of doubles': 'let s = ["x"]; for (;;) s = JSON.parse(JSON.stringify([s, s]))',
  matches: '"a".repeat(1e6).match(/a/g).map((x) => x.repeat(100) + Math.random())',
  'context without end': 'r.ctx.all = []; for (;;) r.ctx.all.push("x".repeat(1000) + r.ctx.all.length)',
  splits: 'const a = []; for (;;) a.push("a,".repeat(1e5).split(","))',
})

/** Refused at once, and catchable. */
const REFUSED = all('failed', {
  doubling: 'let s = "x"; for (;;) s += s',
  'wide doubling': 'let s = "\\u20ac"; for (;;) s += s',
  'growing one buffer':
    'const b = new ArrayBuffer(8, { maxByteLength: 2 ** 31 }); for (let i = 1; ; i *= 2) b.resize(i)',
  'bound chain': 'let f = () => 1; for (let i = 0; i < 2e4; i++) f = f.bind(null); f()',
  'nested json text': 'let a = []; for (let i = 0; i < 1e4; i++) a = [a]; JSON.stringify(a)',
  repeat: '"x".repeat(2 ** 30 - 1).length',
  padEnd: '"x".padEnd(2 ** 30 - 1).length',
  'a large array': 'new Array(2 ** 32 - 1).fill(0)',
  'a large buffer': 'new ArrayBuffer(2 ** 40)',
  'a large view': 'new Float64Array(2 ** 29)',
  'a large BigInt': '2n ** (2n ** 40n)',
  'many arguments': 'Math.max(...new Array(1e6))',
  'many arguments of apply': 'Math.max.apply(null, { length: 2 ** 31 - 1 })',
  'join of a long separator': 'new Array(1e5).join("x".repeat(1e5))',
  'replace that multiplies': '"a".repeat(1e5).replaceAll("a", "$`$`")',
  'concat of itself': 'let a = new Array(1e5).fill(1); for (let i = 0; i < 20; i++) a = a.concat(a)',
})

const STACKS: readonly AttackCase[] = [
  ...all(
    'error',
    {
      recursion: '(function f() { f() })()',
      'mutual recursion': 'const a = () => b(), b = () => a(); a()',
      'method recursion': 'const o = { f() { return this.f() } }; o.f()',
      'getter recursion': 'const o = { get x() { return this.x } }; o.x',
      'setter recursion': 'const o = { set x(v) { this.x = v } }; o.x = 1',
      'toString recursion': 'const o = { toString() { return String(o) } }; String(o)',
      'toJSON recursion': 'const o = { toJSON() { return JSON.stringify(o) } }; JSON.stringify(o)',
      'constructor recursion': 'class A { constructor() { new A() } } new A()',
      'proxy recursion': 'const p = new Proxy({}, { get(t, k, s) { return s[k] } }); p.x',
      'proxy chain': 'let p = {}; for (let i = 0; i < 2e4; i++) p = new Proxy(p, {}); p.x',
      'prototype chain of proxies':
        'let p = {}; for (let i = 0; i < 2e4; i++) p = Object.create(new Proxy(p, {})); p.x',
      'comparator that sorts':
        'const a = [3, 2, 1, 5, 4]; a.sort(function f(x, y) { a.sort(f); return x - y })',
      'replace in replace': '"a".replace(/a/, function f() { return "a".replace(/a/, f) })',
      'generator in itself': 'function* g() { yield* g() } g().next()',
      'iterator in itself': 'const o = { [Symbol.iterator]() { return [...o] } }; [...o]',
      'hasInstance recursion': 'const o = { [Symbol.hasInstance]: (x) => x instanceof o }; 1 instanceof o',
      'species recursion':
        'class A extends Array { static get [Symbol.species]() { return new A(1).map((x) => x) } } new A(1).map((x) => x)',
      'default argument recursion': '(function f(a = f()) {})()',
      'isArray of proxies':
        'let p = []; for (let i = 0; i < 2e4; i++) p = new Proxy(p, {}); Array.isArray(p); p.x',
      'nested json': 'JSON.parse("[".repeat(1e5))',
      'flat of depth': 'let a = []; for (let i = 0; i < 1e4; i++) a = [a]; a.flat(Infinity)',
      'nested pattern': 'new RegExp("(".repeat(1e5) + ")".repeat(1e5))',
      'nested groups': 'new RegExp("(?:".repeat(1e4) + ")".repeat(1e4))',
      'nested classes': 'new RegExp("[".repeat(1e4) + "]".repeat(1e4), "v")',
      'clone of depth': 'let a = []; for (let i = 0; i < 1e4; i++) a = [a]; structuredClone(a)',
      'recursion through the host':
        'const o = { get consistent() { return r.variables[String(Math.random())] + new URL("http://a").href + o.consistent } }; o.consistent',
    },
    /stack overflow|call stack|too many|overflow|SyntaxError|InternalError/,
  ),
  { name: 'async recursion', body: 'return (async function f() { await f() })()', expect: 'failed' },
  {
    name: 'recursion through an option',
    phase: 'balancer' as const,
    body: 'const o = { a: 1, get consistent() { return upstream.hash("k", o) } }; upstream.hash("k", o)',
    expect: 'failed',
  },
]

/** A promise resolved by a chain of 100 000 others, objects nested so deep that freeing them might recurse. */
const DEPTHS = all('any', {
  'freeing a deep list': 'let a = null; for (let i = 0; i < 2e5; i++) a = { a }; a = null',
  'freeing deep closures':
    'let f = () => 0; for (let i = 0; i < 1e5; i++) { const g = f; f = () => g }; f = null',
  'freeing deep promises':
    'let p = Promise.resolve(); for (let i = 0; i < 3e4; i++) p = p.then(() => p); p = null',
  'a million locals of one kind':
    'let s = 0; for (let i = 0; i < 1e5; i++) { let a = i, b = a, c = b; s += c }',
})

export const MEMORY_CASES: readonly AttackCase[] = [...HOARDS, ...REFUSED, ...DEPTHS]
export const STACK_CASES: readonly AttackCase[] = STACKS
