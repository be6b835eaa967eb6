/**
 * Proves, before the first script runs, that the installed QuickJS keeps its values where `guest-values.ts` and
 * `instance.ts` look for them. A mismatch means another build of the engine: the process must not use it.
 */
import { SYSTEM_CLOCK } from './clock.ts'
import { Tag } from './guest-values.ts'
import { classOf } from './inspect-door.ts'
import { EvalFlag, Instance } from './instance.ts'
import type { Compiled } from './quickjs-module.ts'

/** @throws Error naming the first assumption that does not hold */
export function selfTest(compiled: Compiled): void {
  const instance = new Instance({
    compiled,
    memory: 0,
    stack: 65_536,
    cpu: 1000,
    clock: SYSTEM_CLOCK,
    modules: { resolve: (_base, name) => name, load: () => '' },
    onInternalError: () => {},
  })
  checkTags(instance)
  checkNumbers(instance)
  checkStrings(instance)
  checkAccounts(instance)
  checkReferences(instance)
  checkClasses(instance)
  checkJobs(instance)
}

function expect(holds: boolean, what: string): void {
  if (!holds)
    throw new Error(`this build of QuickJS keeps ${what} in another way than Sluice expects; run npm ci`)
}

function checkTags(instance: Instance): void {
  const tags: [source: string, tag: number, low: number | null][] = [
    ['7', Tag.INT, 7],
    ['-1', Tag.INT, -1],
    ['true', Tag.BOOL, 1],
    ['false', Tag.BOOL, 0],
    ['null', Tag.NULL, null],
    ['undefined', Tag.UNDEFINED, null],
    ['({})', Tag.OBJECT, null],
    ["'abc'", Tag.STRING, null],
    ["'a'.repeat(9000) + 'b'.repeat(9000)", Tag.ROPE, null],
    ['throw 1', Tag.EXCEPTION, null],
  ]
  for (const [source, tag, low] of tags) {
    const cell = instance.evaluate(source, 'self-test', EvalFlag.GLOBAL)
    const { values } = instance
    expect(values.tag(cell) === tag && (low === null || values.low(cell) === low), `the value of ${source}`)
    instance.free(cell)
  }
}

function checkNumbers(instance: Instance): void {
  const { values } = instance
  for (const number of [
    1.5,
    -0.1,
    2 ** 40,
    -(2 ** 31) - 1,
    Number.MAX_VALUE,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ]) {
    const cell = instance.evaluate(`(${number})`, 'self-test', EvalFlag.GLOBAL)
    expect(values.isNumber(cell) && Object.is(values.number(cell), number), `the number ${number}`)
    const written = values.double(number)
    expect(
      values.low(written) === values.low(cell) && values.tag(written) === values.tag(cell),
      `the number ${number}`,
    )
    instance.free(cell)
    instance.free(written)
  }
}

function checkStrings(instance: Instance): void {
  const { values } = instance
  for (const text of ['', 'a', 'caf\u00e9', '\u20ac 5', '\u{1f600}', 'a\0b', 'x'.repeat(20_000)]) {
    const bytes = Buffer.from(text, 'utf8').toString('latin1')
    const cell = instance.evaluate(JSON.stringify(text), 'self-test', EvalFlag.GLOBAL)
    const written = values.string(bytes)
    expect(values.text(cell, '', 1e6) === bytes && values.text(written, '', 1e6) === bytes, 'strings')
    const isSame = instance.evaluate(`(s) => s === ${JSON.stringify(text)}`, 'self-test', EvalFlag.GLOBAL)
    expect(values.low(instance.call1(isSame, written)) === 1, 'strings of ours')
    instance.free(isSame)
    instance.free(cell)
    instance.free(written)
  }
  const rope = instance.evaluate("'\\u20ac\\0'.repeat(5000) + 'b'.repeat(9000)", 'self-test', EvalFlag.GLOBAL)
  const flat = `${Buffer.from('\u20ac\0', 'utf8').toString('latin1').repeat(5000)}${'b'.repeat(9000)}`
  expect(values.tag(rope) === Tag.ROPE && values.text(rope, '', 1e6) === flat, 'concatenated strings')
}

/** A string of ours weighs what one of QuickJS's own does, and is freed like one. */
function checkAccounts(instance: Instance): void {
  const { values, quickJs, context } = instance
  // A short one might be one of those that are used again and again.
  const weight = 'weight'.repeat(20)
  const text = values.cString(weight)
  const before = values.accounts
  const theirs = quickJs.newString(context, text)
  const one = values.accounts
  const ours = values.string(weight)
  const two = values.accounts
  instance.free(theirs)
  instance.free(ours)
  const after = values.accounts
  const same = (a: readonly number[], b: readonly number[]): boolean => a[0] === b[0] && a[1] === b[1]
  const added = [one[0] - before[0], one[1] - before[1]]
  expect(
    added[0] === 1 && same([two[0] - one[0], two[1] - one[1]], added) && same(after, before),
    'account of its memory',
  )
}

function checkReferences(instance: Instance): void {
  const { values } = instance
  const object = instance.evaluate('globalThis.object = {}', 'self-test', EvalFlag.GLOBAL)
  const address = values.low(object)
  expect(values.words[address >>> 2] === 2, 'reference counts')
  instance.free(instance.evaluate('delete globalThis.object', 'self-test', EvalFlag.GLOBAL))
  expect(values.isUnshared(address), 'reference counts')
  const setHook = instance.evaluate(
    '(o) => { globalThis.weak = new WeakRef(o) }',
    'self-test',
    EvalFlag.GLOBAL,
  )
  instance.free(instance.call1(setHook, object))
  expect(!values.isUnshared(address), 'weak references')
}

/** Proxies are told from what they stand for, by a class that all of them have. */
function checkClasses(instance: Instance): void {
  const kindOf = (source: string): number => {
    const cell = instance.evaluate(source, 'self-test', EvalFlag.GLOBAL)
    const kind = classOf(instance.values, cell)
    instance.free(cell)
    return kind
  }
  const alike = ['({})', '({ __proto__: { a: 1 } })', 'new (class A {})()', 'Object.create(null)'].map(kindOf)
  const others = [
    '[]',
    'new Proxy([], {})',
    'new Map()',
    'new Error()',
    '(() => {})',
    '/x/',
    'new Date()',
  ].map(kindOf)
  expect(
    alike.every((kind) => kind === alike[0] && kind >= 0),
    'the classes of objects',
  )
  expect(new Set([alike[0], ...others]).size === others.length + 1, 'the classes of objects')
  expect(
    kindOf('new Proxy(() => {}, { get() {} })') === others[1] && kindOf('5') === -1,
    'the classes of objects',
  )
}

function checkJobs(instance: Instance): void {
  expect(!instance.hasJobs, 'its job queue')
  instance.free(instance.evaluate('void Promise.reject(7)', 'self-test', EvalFlag.GLOBAL))
  const reasons = instance.rejections.take()
  expect(reasons.length === 1 && instance.values.low(reasons[0]) === 7, 'its rejection tracker')
  instance.free(instance.evaluate('void Promise.resolve().then(() => {})', 'self-test', EvalFlag.GLOBAL))
  expect(instance.hasJobs, 'its job queue')
  instance.drain(() => expect(false, 'its job queue'))
  expect(!instance.hasJobs, 'its job queue')
}
