// The rewriting of a WebAssembly binary, shown on one of a few bytes, and on the engine's own.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { compileQuickJs } from '../../runtime/script/quickjs-module.ts'
import { selfTest } from '../../runtime/script/self-test.ts'
import { rewriteModule } from '../../runtime/script/wasm-rewriter.ts'

/**
 *     (import "a" "q" (func $exhausted))  (import "a" "t" (func $rejected (param i32 i32)))  (import "a" "a" (memory 2 4))
 *     (table 1 funcref)  (global (mut i32) (i32.const 5))
 *     (func $spin (param i32) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
 *     (func $interpreter … the same with more bytes …)
 */
const SPIN = [0, 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x0b]
const INTERPRETER = [0, 0x01, 0x01, 0x01, ...SPIN.slice(1)]
const MODULE = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [3, 0x60, 0, 0, 0x60, 2, 0x7f, 0x7f, 0, 0x60, 1, 0x7f, 0]),
  ...section(2, [3, 1, 0x61, 1, 0x71, 0, 0, 1, 0x61, 1, 0x74, 0, 1, 1, 0x61, 1, 0x61, 2, 1, 2, 4]),
  ...section(3, [2, 2, 2]),
  ...section(4, [1, 0x70, 0, 1]),
  ...section(6, [1, 0x7f, 1, 0x41, 5, 0x0b]),
  ...section(7, [2, 1, 0x73, 0, 2, 1, 0x69, 0, 3]),
  ...section(9, [1, 0, 0x41, 0, 0x0b, 1, 2]),
  ...section(10, [2, SPIN.length, ...SPIN, INTERPRETER.length, ...INTERPRETER]),
])

function section(id: number, body: readonly number[]): number[] {
  return [id, body.length, ...body]
}

const OPTIONS = { exhausted: 'q', rejected: 't', fuelExport: 'fuel', initialPages: 1 }

async function instantiate(onExhausted: (fuel: { value: number }) => void): Promise<Record<string, unknown>> {
  const { bytes } = rewriteModule(MODULE, OPTIONS)
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 4 })
  const exports: Record<string, unknown> = new WebAssembly.Instance(await WebAssembly.compile(bytes), {
    a: { q: () => onExhausted(exports.fuel as { value: number }), t: () => {}, a: memory },
  }).exports
  return exports
}

test('loops ask for fuel when it is used up, and go on with what they get', async () => {
  assert.ok(WebAssembly.validate(MODULE))
  let asked = 0
  const { fuel, s } = await instantiate((counter) => {
    asked++
    counter.value = 100
  })
  ;(fuel as { value: number }).value = 100
  ;(s as (times: number) => void)(1000)
  assert.is(asked, 9)
})

test('a throw ends an endless loop', async () => {
  const { s } = await instantiate(() => {
    throw new Error('enough')
  })
  assert.throws(() => (s as (times: number) => void)(0), 'enough')
})

test('the largest function is left alone', async () => {
  const { i } = await instantiate(() => {
    throw new Error('asked')
  })
  ;(i as (times: number) => void)(1000)
  assert.is(rewriteModule(MODULE, OPTIONS).loops, 1)
})

test('what is not understood is refused', () => {
  assert.throws(() => rewriteModule(new Uint8Array(20), OPTIONS), 'not a WebAssembly binary')
  assert.throws(() => rewriteModule(MODULE.subarray(0, MODULE.length - 3), OPTIONS), 'ends early')
  assert.throws(() => rewriteModule(MODULE, { ...OPTIONS, exhausted: 'x' }), 'lacks the imports')
  const grows = MODULE.slice()
  // memory.grow in place of the interpreter's nops
  grows.set([0x40, 0], grows.length - INTERPRETER.length + 1)
  assert.throws(() => rewriteModule(grows, OPTIONS), 'opcode 0x40')
})

test('the engine passes its self-test', async () => {
  const compiled = await compileQuickJs()
  selfTest(compiled)
  assert.is(await compileQuickJs(), compiled)
})

test.run()
