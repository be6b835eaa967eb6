// Random programs, composed of fragments that are hostile on their own. The same seed always gives the same programs.

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }
}

const VALUES = [
  ...[
    'undefined',
    'null',
    'true',
    '0',
    '-1',
    '1',
    '2 ** 31',
    '2 ** 32 - 1',
    '2 ** 53 - 1',
    'NaN',
    'Infinity',
    '1e-7',
    '-0',
    '5n',
    '2n ** 200n',
  ],
  ...[
    '""',
    '"a"',
    '"a\\0b"',
    '"\\ud800"',
    '"\\u20ac".repeat(300)',
    '"x".repeat(70000)',
    '"__proto__"',
    '"constructor"',
    '"/a?b#c"',
    '"a\\r\\nb: c"',
    'Symbol("s")',
    'Symbol.iterator',
    'Symbol.for("x")',
  ],
  ...[
    '{}',
    '[]',
    '[1, 2, 3]',
    'Object.create(null)',
    '{ length: 2 ** 53 - 1 }',
    '{ length: -1, 0: 1 }',
    '{ then(f) { f(1) } }',
    '{ get a() { throw 1 } }',
    '{ toString: null, valueOf: null }',
    '{ consistent: true }',
    '{ status: 204 }',
    '{ get status() { return 200 } }',
  ],
  ...[
    '() => {}',
    'function () { return this }',
    'async () => { await null }',
    'function* () { yield 1 }',
    'class {}',
    'new Proxy({}, {})',
    'new Proxy(function () {}, { get: (t, k) => k })',
    'new Date(NaN)',
    '/(a+)+b/g',
    'new Map([[1, 2]])',
    'new Set("abc")',
    'new WeakMap()',
  ],
  ...[
    'new Uint8Array(64)',
    'new ArrayBuffer(64, { maxByteLength: 256 })',
    'new DataView(new ArrayBuffer(8))',
    'new Float64Array(4)',
    'new Error("e")',
    'new Promise(() => {})',
    'Promise.resolve(1)',
    'Promise.reject(2).catch(() => {})',
  ],
  ...[
    'r',
    'r.headersIn',
    'r.headersOut',
    'r.variables',
    'r.args',
    'r.ctx',
    'sluice',
    'globalThis',
    'kept',
    'Object.prototype',
    'Array.prototype',
    'r.log',
    'console',
    'upstream',
  ],
]

const NAMES = [
  ...[
    'a',
    'b',
    'c',
    'length',
    'constructor',
    '__proto__',
    'prototype',
    'then',
    'toString',
    'valueOf',
    'name',
    'message',
    'stack',
    'status',
    'headers',
    'body',
    'uri',
    'rawArgs',
    'ctx',
    'args',
    'get',
    'set',
    'next',
    'return',
    'host',
    'peers',
    'hash',
  ],
]

const TYPES = [
  'Object',
  'Array',
  'String',
  'Number',
  'Promise',
  'Map',
  'Set',
  'RegExp',
  'Uint8Array',
  'ArrayBuffer',
  'Reflect',
  'JSON',
  'Math',
  'Error',
  'Date',
  'BigInt',
  'Symbol',
  'Proxy',
  'WeakRef',
  'Iterator',
  'URL',
  'URLSearchParams',
  'TextEncoder',
  'TextDecoder',
  'Headers',
  'structuredClone',
  'atob',
  'btoa',
  'setTimeout',
  'clearTimeout',
  'queueMicrotask',
  'fetch',
]

const HOST_CALLS = [
  ...[
    'r.log(V)',
    'r.warn(V, V)',
    'console.log(V)',
    'r.return(V, V)',
    'r.internalRedirect(V)',
    'r.decline()',
    'r.headersIn.get(V)',
    'r.headersIn.set(V, V)',
    'r.headersOut.append(V, V)',
    'r.headersIn.delete(V)',
    'r.headersIn[V]',
    'r.headersOut[V] = V',
  ],
  ...[
    'r.variables[V]',
    'r.variables[V] = V',
    'r.variables.x = V',
    'r.uri = V',
    'r.rawArgs = V',
    'r.status = V',
    'r.ctx = V',
    'r.ctx.k = V',
    'r.args[V]',
    'r.readText()',
    'r.readJSON()',
    'r.readBytes()',
    'r.readForm()',
    'setTimeout(V, V)',
    'clearTimeout(V)',
    'queueMicrotask(V)',
  ],
  ...[
    'new URL(V, V)',
    'new URLSearchParams(V).toString()',
    'atob(V)',
    'btoa(V)',
    'structuredClone(V)',
    'new TextDecoder(V).decode(V)',
    'new TextEncoder().encode(V)',
    'sha256(V)',
    'crc32(V)',
    'murmur3(V, V)',
    'hmac("sha1", V, V)',
    'upstream?.hash(V, V)',
    'upstream?.setTimeouts(V)',
    'upstream?.setMoreTries(V)',
    'upstream?.peers[V]',
    'kept.push(r)',
    'import(V)',
  ],
]

/** Places for more: V a value, S statements, N a name, T a type, D a depth of loops. */
const STATEMENTS = [
  ...[
    'let x = V',
    'V',
    'x = V',
    'kept.push(V)',
    'throw V',
    'return V',
    'S; S',
    'if (V) { S } else { S }',
    'try { S } catch (e) { S }',
    'try { S } finally { S }',
    'for (let i = 0; i < D; i++) { S }',
    'for (const x of V) { S }',
    'for (const k in V) { S }',
    'while (V) { S }',
    'do { S } while (V)',
    'switch (V) { case V: S; default: S }',
  ],
  ...[
    '(function f(n) { S; if (n < D) f(n + 1) })(0)',
    '(async () => { S; await V; S })()',
    'return (async () => { await V; S; return V })()',
    'return new Promise((a, b) => { S; a(V) })',
    'for await (const x of V) { S }',
    '[...V]',
    'const { N: q, ...w } = V',
    'V.N',
    'V.N = V',
    'V[V]',
    'V[V] = V',
    'delete V.N',
    'V.N(V, V)',
    'V?.N?.(V)',
    'new (V)(V)',
    'V instanceof V',
    'V in V',
    'V + V',
    'V < V',
    'V == V',
    'V ** V',
    '"".concat(V, V)',
  ],
  ...[
    'T.prototype.N = V',
    'T.N = V',
    'Object.defineProperty(V, V, { get() { S }, configurable: true })',
    'Object.defineProperty(V, "N", { value: V })',
    'Object.setPrototypeOf(V, V)',
    'Object.freeze(V)',
    'Reflect.ownKeys(V)',
    'Reflect.construct(V, [V], V)',
    'Reflect.apply(V, V, [V])',
    'JSON.stringify(V)',
    'JSON.parse(V)',
    'Array.from(V)',
    'Object.entries(V)',
    'String(V)',
    'V.sort(() => { S })',
    'V.map((x) => { S })',
    'V.replace(V, () => { S })',
    'V.repeat(D)',
    'V.concat(V)',
    'V.split(V)',
    'V.fill(V)',
    'V.resize?.(V)',
    'V.buffer?.transfer?.(V)',
    'new RegExp(V, "gu")',
    'V.normalize()',
    'V.toString(36)',
    'BigInt(V) ** 9n',
  ],
  ...[
    'while (1) { S }',
    'for (;;) kept.push(V)',
    'const a = []; a.length = 2 ** 32 - 1; a.N(V)',
    'Array.prototype.N.call({ length: 2 ** 53 - 1 }, V)',
    '/^(a+)+$/.test("a".repeat(30) + "!")',
    'Promise.resolve(V).then(() => { S })',
    'Promise.all([V, V])',
    'Promise.reject(V)',
    'Error.prepareStackTrace = () => { S; return V }',
    'new FinalizationRegistry(() => { S }).register({}, 1)',
    'globalThis.N = V',
    'globalThis.T = V',
    'kept.length = 0',
  ],
]

export type FuzzPhase = 'access' | 'content' | 'balancer' | 'log' | 'headerFilter' | 'rewrite'
export const FUZZ_PHASES: readonly FuzzPhase[] = [
  'access',
  'content',
  'balancer',
  'log',
  'headerFilter',
  'rewrite',
]

/** A script with every hook, which imports what it may need. */
export function program(dice: Dice): string {
  const top = dice.next() < 0.2 ? `try { ${statements(dice, 3)} } catch {}\n` : ''
  const hooks = FUZZ_PHASES.map((phase) => {
    const isAsync = dice.next() < 0.3 && phase !== 'balancer' ? 'async ' : ''
    return `export ${isAsync}function ${phase}(r, upstream) { let x; ${statements(dice, 4)} }`
  })
  return `import { crc32, hmac, murmur3, sha256 } from 'sluice:hash'\nconst kept = []\nlet r, upstream, x\n${top.replaceAll('return ', 'void ')}${hooks.join('\n')}`
}

function statements(dice: Dice, depth: number): string {
  const count = 1 + dice.below(4)
  return Array.from({ length: count }, () => `{ ${statement(dice, depth)} }`).join('\n')
}

function statement(dice: Dice, depth: number): string {
  const isHost = depth === 0 || dice.next() < 0.4
  const template = isHost ? dice.pick(HOST_CALLS) : dice.pick(STATEMENTS)
  return template.replace(/\b[VSNTD]\b/g, (place) => {
    if (place === 'V') return value(dice)
    if (place === 'N') return dice.pick(NAMES)
    if (place === 'T') return dice.pick(TYPES)
    if (place === 'D') return String(dice.pick([1, 3, 100, 1e5, 1e9]))
    return statements(dice, depth - 1)
  })
}

function value(dice: Dice): string {
  return `(${dice.next() < 0.1 ? dice.pick(TYPES) : dice.pick(VALUES)})`
}
