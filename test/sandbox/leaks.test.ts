// A million calls, and no byte more; and metered loops compute what others do.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { SYSTEM_CLOCK } from '../../runtime/script/clock.ts'
import { releaseRequest } from '../../runtime/script/engine.ts'
import { EvalFlag, Instance } from '../../runtime/script/instance.ts'
import { type Compiled, compileQuickJs } from '../../runtime/script/quickjs-module.ts'
import { rewriteModule } from '../../runtime/script/wasm-rewriter.ts'
import { FakeRequest, load } from '../script/fake-request.ts'

test('a million hook calls leak nothing, on either side', async () => {
  const script = await load(`
    export function access(r) {
      const key = r.variables.v
      if (key === 'value 3') throw new Error('three')
      r.headersIn.set('x-key', key + '\\u20ac')
      if (key === 'value 5') return { status: 200, headers: { a: 'b' }, body: new Uint8Array(64) }
    }`)
  const run = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const request = new FakeRequest({ variables: { v: `value ${i % 1000}` } })
      const outcome = request.start(script, 'access')
      if (outcome === Outcome.SUSPENDED) throw new Error('it waits for something')
    }
  }
  run(100_000)
  const used = script.memoryUsed
  const rss = process.memoryUsage().rss
  for (let i = 0; i < 9; i++) {
    run(100_000)
    await new Promise((turn) => setImmediate(turn))
  }
  assert.is(script.memoryUsed, used)
  const grown = process.memoryUsage().rss - rss
  assert.ok(grown < 64e6, `${grown / 1e6} MB more`)
  assert.is(script.stats.hooks.access!.calls, 1_000_000)
  assert.is(script.stats.hooks.access!.errors, 1000)
  script.dispose()
})

test('requests that keep something, wait, and fail leak nothing', async () => {
  const script = await load(`
    const kept = []
    export async function access(r) {
      r.ctx.data = 'x'.repeat(1000) + r.uri
      if (kept.push(r) > 8) kept.shift()
      await null
      if (r.uri === '/3') throw new Error('three')
    }`)
  const run = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const request = new FakeRequest({ uri: `/${i % 10}` })
      request.start(script, 'access')
      releaseRequest(request)
    }
  }
  run(20_000)
  const used = script.memoryUsed
  run(60_000)
  assert.is(script.memoryUsed, used)
  script.dispose()
})

/** Bodies of functions whose result says whether the engine still computes right. */
const CORPUS: readonly string[] = [
  'return JSON.stringify(Array.from({ length: 500 }, (_, i) => ({ i, t: "x".repeat(i % 17), n: i / 3 })))',
  'return [..."the quick brown fox jumps over the lazy dog"].sort().join("")',
  'return Array.from({ length: 999 }, (_, i) => (i * 7919) % 997).sort((a, b) => a - b).join()',
  'return Array.from({ length: 300 }, (_, i) => String((i * 7919) % 997)).sort().join()',
  'return "lorem ipsum dolor".replace(/(\\w+) (\\w+)/g, "$2 $1").split(/\\b/).join("|")',
  'return /^(?<a>\\d{1,3})(?:\\.(?<b>\\d+))*$/.exec("123.45.6789").slice(0, 3).join()',
  'return (2n ** 521n - 1n).toString() + (12345678901234567890n * 98765432109876543210n) / 3n',
  'return String(2 ** 0.5) + (0.1 + 0.2) + 1e21 + 5e-324 + (1.5).toFixed(10) + parseFloat("3.14e-7")',
  'return JSON.stringify(JSON.parse("[" + "{\\"a\\":[1,2,{\\"b\\":null}]},".repeat(200) + "1]"))',
  'return "\\u1e9b\\u0323 caf\\u00e9 \\ufb03".normalize("NFKD") + "\\u0130I".toLowerCase() + "stra\\u00dfe".toUpperCase()',
  'return [...new Map(Array.from({ length: 200 }, (_, i) => [i % 50, i]))].flat().join()',
  'return (function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) })(16)',
  'const b = new Uint8Array(4096).map((_, i) => i); b.copyWithin(7, 1000); return new Uint8Array(b.buffer.slice(100)).reduce((a, x) => (a * 31 + x) | 0, 7)',
  'const a = new Float64Array(1000).map((_, i) => Math.sin(i)); a.sort(); a.fill(1, 10, 20); return a.join().length + "," + a[500]',
  'let s = ""; for (let i = 0; i < 3000; i++) s += String.fromCharCode(32 + (i % 95)); return s.lastIndexOf("A") + s.indexOf("zz") + s.slice(100, 200)',
  'return "x".repeat(5000).padStart(5100, "ab").split("a").length + "," + encodeURIComponent("\\u20ac/?".repeat(200)).length',
  'const d = new Date(Date.UTC(2024, 1, 29, 12)); return d.toISOString() + d.getTime() + new Date("2024-03-10T02:30:00Z").toISOString()',
  'return (function* () { for (let i = 0; i < 100; i++) yield i * i })().filter?.((x) => x % 2).map((x) => x + 1).toArray().join() ?? ""',
  'const w = []; const p = new Proxy({}, { get: (t, k) => { w.push(k); return k } }); return p.a + p.b + Object.entries({ ...{ x: 1 }, y: 2 }) + w',
  'try { null.x } catch (e) { return e.message + e.name }',
  'const c = new ArrayBuffer(8, { maxByteLength: 64 }); c.resize(64); c.resize(16); new Uint8Array(c).set([1, 2, 3], 5); return [...new Uint8Array(c)].join()',
]

/** The engine's own binary without meters: the interpreter alone would be stopped, but no loop of a builtin. */
async function unmetered(): Promise<Compiled> {
  const bytes = await readFile(
    createRequire(import.meta.url).resolve('@jitl/quickjs-wasmfile-release-sync/wasm'),
  )
  const options = { exhausted: 'q', rejected: 't', fuelExport: 'fuel', initialPages: 96, unmetered: true }
  const { bytes: rewritten, trackerIndex, loops } = rewriteModule(bytes, options)
  assert.is(loops, 0)
  return { module: await WebAssembly.compile(rewritten), trackerIndex }
}

function results(compiled: Compiled): string[] {
  const modules = { resolve: (_base: string, name: string) => name, load: () => '' }
  const limits = { memory: 32e6, stack: 64 * 1024, cpu: 5000 }
  const instance = new Instance({
    compiled,
    ...limits,
    clock: SYSTEM_CLOCK,
    modules,
    onInternalError: () => {},
  })
  return CORPUS.map((source) => {
    instance.enter()
    const cell = instance.evaluate(`String((() => { ${source} })())`, 'corpus', EvalFlag.GLOBAL)
    return instance.values.isString(cell)
      ? instance.values.text(cell, 'a result', 1e6)
      : `tag ${instance.values.tag(cell)}`
  })
}

test('meters change no result', async () => {
  const metered = results(await compileQuickJs())
  assert.equal(metered, results(await unmetered()))
  assert.equal(
    metered.filter((text) => text.startsWith('tag')),
    [],
  )
})

test.run()
