// Whatever a script does, the process goes on, the request gets its failure, and the next request is served.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest } from '../../runtime/script/engine.ts'
import { FakeHost, FakeRequest, load, refusal } from './fake-request.ts'

test('every function that a script can reach stands every kind of value', async () => {
  const host = new FakeHost()
  const script = await load(
    `
    const odd = [undefined, null, true, -1, 2 ** 31, NaN, 1e300, 5n, 'x', '', 'a\\0b', 'x'.repeat(2e4), Symbol('s'), {}, [], () => {},
      new Proxy({}, {}), Object.create(null), new Uint8Array(8), new ArrayBuffer(8, { maxByteLength: 16 }), { length: 2 ** 53 }, new Error('e')]
    function reach(root) {
      const seen = new Set()
      const found = []
      for (const queue = [root]; queue.length > 0; ) {
        const object = queue.pop()
        if ((typeof object !== 'object' && typeof object !== 'function') || object === null || seen.has(object)) continue
        seen.add(object)
        if (typeof object === 'function') found.push(object)
        for (const key of Reflect.ownKeys(object)) {
          const property = Reflect.getOwnPropertyDescriptor(object, key)
          if (property !== undefined) queue.push(property.value, property.get, property.set)
        }
        queue.push(Object.getPrototypeOf(object))
      }
      return found
    }
    let calls = 0
    function attack(r, root, skip) {
      for (const fn of reach(root)) {
        if (skip.includes(fn.name)) continue
        for (const value of odd) {
          for (const self of [r, root, value]) {
            try { calls++; fn.call(self, value, value, value, value, value) } catch {}
            try { fn.call(self) } catch {}
          }
        }
      }
    }
    const native = Object.getOwnPropertyNames(Object.prototype).concat(Object.getOwnPropertyNames(Function.prototype))
    export function balancer(r, upstream) {
      for (const root of [upstream, upstream.peers[0]]) attack(r, root, native)
    }
    export function access(r) {
      for (const root of [r, r.variables, r.headersIn, r.headersOut, sluice, console, setTimeout, clearTimeout]) attack(r, root, native)
      for (const name of ['URL', 'URLSearchParams', 'TextDecoder', 'TextEncoder', 'atob', 'btoa', 'structuredClone']) attack(r, globalThis[name], native)
    }
    export function log(r) { r.log(calls > 1000) }`,
    { limits: { cpu: 2000 }, host },
  )
  const request = new FakeRequest({ args: 'a=1' })
  for (const phase of ['balancer', 'access'] as const) {
    await request.run(script, phase)
    releaseRequest(request)
  }
  const next = new FakeRequest()
  assert.is(await next.run(script, 'log'), Outcome.PASS)
  assert.is(next.logged[0], 'info hooks.js: true')
  assert.is(script.stats.respawns, 0)
  const internal = host.logged.filter((line) => line.startsWith('alert'))
  assert.equal(internal, [])
  script.dispose()
})

test('20 ms of honest work is within 50', async () => {
  const script = await load(`
    export function access(r) {
      const rows = Array.from({ length: 2000 }, (_, i) => ({ id: i, name: 'user' + i }))
      const text = JSON.stringify(rows)
      const back = JSON.parse(text)
      back.sort((a, b) => a.name < b.name ? -1 : 1)
      const found = text.match(/"id":(\\d+)/g).length
      r.log(back.length, found)
    }`)
  for (let i = 0; i < 20; i++) {
    const request = new FakeRequest()
    assert.is(request.start(script, 'access'), Outcome.PASS, request.logged.join())
    assert.is(request.logged[0], 'info hooks.js: 2000 2000')
  }
  assert.is(script.stats.hooks.access?.overruns, 0)
})

test('the time that a call takes does not count for the next one', async () => {
  const script = await load('export function access(r) { for (let t = Date.now(); Date.now() - t < 12;); }')
  for (let i = 0; i < 12; i++) assert.is(new FakeRequest().start(script, 'access'), Outcome.PASS)
})

test('a clock that an earlier call started does not run on between calls', async () => {
  const script = await load(`
    export function access(r) { for (let t = Date.now(); Date.now() - t < 5;); }
    export function rewrite(r) { keep.push(r) }
    const keep = []`)
  new FakeRequest().start(script, 'access')
  for (const end = performance.now() + 80; performance.now() < end; );
  // Every request needs a slot of its own: as much guest code as it takes to look at the clock.
  for (let i = 0; i < 3000; i++) assert.is(new FakeRequest().start(script, 'rewrite'), Outcome.PASS)
})

test('the limits are those that are configured', async () => {
  const spin = 'export function access(r) { for (let t = Date.now(); Date.now() - t < 120;); }'
  assert.is(new FakeRequest().start(await load(spin, { limits: { cpu: 10 } }), 'access'), Outcome.FAILED)
  assert.is(new FakeRequest().start(await load(spin, { limits: { cpu: 400 } }), 'access'), Outcome.PASS)
  const fill =
    'export function access(r) { const a = []; for (let i = 0; i < 20; i++) a.push(new ArrayBuffer(1e6)) }'
  assert.is(new FakeRequest().start(await load(fill, { limits: { memory: 16e6 } }), 'access'), Outcome.FAILED)
  assert.is(new FakeRequest().start(await load(fill, { limits: { memory: 64e6 } }), 'access'), Outcome.PASS)
  const dive = 'export function access(r) { (function f(n) { if (n > 0) f(n - 1) })(150) }'
  assert.is(new FakeRequest().start(await load(dive, { limits: { stack: 8192 } }), 'access'), Outcome.FAILED)
  assert.is(new FakeRequest().start(await load(dive, { limits: { stack: 65536 } }), 'access'), Outcome.PASS)
})

test('memory that a request took comes back', async () => {
  const script = await load("export function access(r) { r.ctx.data = 'x'.repeat(2e6) + r.uri }")
  for (let i = 0; i < 200; i++) {
    const request = new FakeRequest({ uri: `/${i}` })
    assert.is(request.start(script, 'access'), Outcome.PASS)
    releaseRequest(request)
  }
  assert.ok(script.memoryUsed < 24e6, `${script.memoryUsed}`)
})

test('hundreds of thousands of calls leak nothing', async () => {
  const script = await load(`
    export async function access(r) {
      if (r.headersIn.get('x-a') === undefined) r.headersIn.set('x-a', r.variables.v)
      await null
    }`)
  const run = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const request = new FakeRequest({ variables: { v: `value ${i}` } })
      if (request.start(script, 'access') !== Outcome.PASS) throw new Error(request.logged.join())
    }
  }
  run(20_000)
  const before = script.memoryUsed
  run(180_000)
  assert.is(script.memoryUsed, before)
})

test('scripts that overrun while they load are refused', async () => {
  assert.match(await refusal('while (1);'), 'more than 70 ms of CPU time')
  assert.match(await refusal('const a = []; for (;;) a.push(new ArrayBuffer(1e6))'), 'out of memory')
  assert.match(
    await refusal('await new Promise(() => {})\nexport function log() {}'),
    'the top level awaits something',
  )
  assert.match(
    await refusal('export async function init() { await new Promise(() => {}) }', { limits: { wall: 20 } }),
    'init has waited for more than 20 ms',
  )
  assert.match(await refusal(`export const f = ${'('.repeat(1e5)}`), /stack/)
})

test('a sandbox too small to start is refused, not fatal', async () => {
  const script = await load('export function log(r) {}', { limits: { memory: 1 } })
  assert.is(new FakeRequest().start(script, 'log'), Outcome.PASS)
  assert.ok(script.memoryUsed <= 8 * 1024 * 1024)
})

test('a script that leaves no memory for the rest of its loading is refused', async () => {
  const hoard = `const kept = []
    for (let size = 2 ** 20; size > 1024; size /= 2) try { for (;;) kept.push(new Uint8Array(size)) } catch {}
    export function access() { return new URL('http://a/').href }`
  assert.match(await refusal(hoard, { limits: { memory: 2 ** 24, load: 1000 } }), /out of memory/)
})

test.run()
