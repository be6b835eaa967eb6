// Scripts in TypeScript: types are taken out, positions stay, and what is no type is refused with what to write instead.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { ScriptError } from '../../runtime/script/engine.ts'
import { stripTypes } from '../../runtime/script/strip-types.ts'
import { FakeBalancer, FakeRequest, FILE, load, refusal } from './fake-request.ts'

/** A script in TypeScript that need not exist as a file. */
const TS_FILE = FILE.replace(/\.js$/, '.ts')
const ts = (source: string) => load(source, { file: TS_FILE })
const refused = (source: string) => refusal(source, { file: TS_FILE })

/** `line:column` of what stands in the text, in characters from 1. */
function at(source: string, what: string): string {
  const before = source.slice(0, source.indexOf(what)).split('\n')
  assert.ok(source.includes(what))
  return `${before.length}:${[...before.at(-1)!].length + 1}`
}

function folder(files: Readonly<Record<string, string>>): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-typescript-')))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  return path
}

test('a typed hook runs as if it had no types', async () => {
  const script = await ts(`import type { Nothing } from './nowhere.ts'
interface Options { readonly consistent?: boolean }
type Key = string | undefined
abstract class Chooser<T extends Options = Options> {
  protected readonly options: T
  declare ghost: string
  constructor(options: T) { this.options = options }
  abstract key(r: Sluice.BalancerRequest): Key
}
class ByUser extends Chooser {
  override key(r: Sluice.BalancerRequest): Key { return r.variables.arg_userId!.trim() as Key }
}
const chooser = new ByUser({ consistent: true } satisfies Options)
const first = <T,>(list: readonly T[]): T => list[0]!
declare const never: unique symbol
export function balancer(this: void, r: Sluice.BalancerRequest, upstream: Sluice.Upstream): Sluice.Choice {
  return upstream.hash(first<Key>([chooser.key(r)]), chooser['options'])
}`)
  const request = new FakeRequest({ args: 'userId=seven' })
  request.balancer = new FakeBalancer()
  assert.is(request.start(script, 'balancer'), Outcome.PEER)
  assert.equal(request.balancer.hashed, ['seven', true])
})

test('an error is told by the line and column of the TypeScript', async () => {
  const source = `type Long = { a: string; emoji: '\u{1f600}\u6f22' }
function pick(list: Array<{ name: string }>, _x?: '\u{1f600}'): string { return (list[0] as any).name }

export function access(r: Sluice.AccessRequest): void {
  pick([] as any[])
}`
  const place = at(source, '.name')
  const request = new FakeRequest()
  request.start(await ts(source), 'access')
  assert.equal(request.logged, [
    `error ${TS_FILE}:${place}: TypeError: cannot read property 'name' of undefined in access, at pick (hooks.ts:${place}), at access (hooks.ts:5:7)`,
  ])
})

test('positions hold in promises, timers, imported modules and the standard library', async () => {
  const main = `import { fail } from './lib/fail.ts'
import { sha256 } from 'sluice:hash'
export async function access(r: Sluice.AccessRequest): Promise<void> {
  await (null as unknown)
  fail<string>('a')
}
export function rewrite(r: Sluice.RewriteRequest): void { sha256(5 as unknown as string) }
export function log(r: Sluice.LogRequest): void { setTimeout((): void => { const x: any = null; x.y }, 0) }
export function content(r: Sluice.ContentRequest): void {
  const p: Promise<void> = Promise.reject(new Error('floating'))
}`
  const fail = `export function fail<T>(value: T): never {
  const why: string = \`no \${value}\`; throw new Error(why as string)
}`
  const root = folder({ 'main.ts': main, 'lib/fail.ts': fail })
  const script = await load(undefined, { file: join(root, 'main.ts') })
  const run = async (phase: 'access' | 'rewrite' | 'content' | 'log') => {
    const request = new FakeRequest()
    await request.run(script, phase)
    return request
  }
  assert.match(
    (await run('access')).logged[0],
    `error ${root}/lib/fail.ts:${at(fail, '(why as')}: Error: no a`,
  )
  assert.match((await run('access')).logged[0], `at access (main.ts:${at(main, "('a')")})`)
  assert.match(
    (await run('rewrite')).logged[0],
    `error ${root}/main.ts:${at(main, '(5 as')}: TypeError: sha256 takes`,
  )
  assert.match(
    (await run('content')).logged[0],
    `error ${root}/main.ts:${at(main, "('floating')")}: Error: floating`,
  )
  const request = new FakeRequest()
  const told = new Promise<string>((resolve) => {
    request.log = (level, line) => resolve(`${level} ${line}`)
  })
  request.start(script, 'log')
  assert.match(
    await told,
    `error ${root}/main.ts:${at(main, '.y }')}: TypeError: cannot read property 'y' of null`,
  )
})

test('what is TypeScript and no type is refused in its place, with what to write instead', async () => {
  const cases: [source: string, place: string, advice: string][] = [
    ['\n  enum Color { Red }', '2:3', "write `const Color = { Red: 'red' } as const`"],
    ['const enum Color { Red }', '1:1', 'an enum is code'],
    ['namespace A { export const b = 1 }', '1:1', 'write a module (a file of its own) or an object'],
    [
      'class A { constructor(private x: number) {} }',
      '1:31',
      'write a field, and assign it in the constructor',
    ],
    ["import a = require('b')", '1:1', "write `import x from './x.ts'`"],
    ['export = 5', '1:1', 'write `export { x }`'],
    ['const a = <string>b', '1:11', 'write `x as T`'],
    ['\tconst s = "\u{1f600}\u6f22\u00e9"; enum Color { Red }', '1:19', 'an enum is code'],
  ]
  for (const [source, place, advice] of cases) {
    const message = await refused(`${source}\nexport function log() {}`)
    assert.ok(message.startsWith(`${TS_FILE}:${place}: SyntaxError: `), message)
    assert.ok(message.includes(advice), message)
    assert.not.match(message, 'strip')
  }
})

test('what is no TypeScript either is located', async () => {
  assert.match(
    await refused('export function log() {\n  let x: = 5\n}'),
    `${TS_FILE}:2:10: SyntaxError: Unexpected`,
  )
  assert.match(await refused('let a = `never\n'), `${TS_FILE}:1:9: SyntaxError: Unterminated template`)
  // Taken for TypeScript, refused by the engine: the place is still that of the text.
  const twice = 'const a: number = 1, a: string = ""\nexport function log() {}'
  assert.match(await refused(twice), `${TS_FILE}:${at(twice, '= ""')}: SyntaxError: invalid redefinition`)
})

test('the line and a caret come with the error', async () => {
  try {
    await ts('export function log(): void {}\n\tenum Color { Red }\n')
    assert.unreachable()
  } catch (error) {
    assert.is((error as ScriptError).excerpt, '    2 |   enum Color { Red }\n      |   ^')
  }
  try {
    await ts(
      "import { crc99 } from 'sluice:hash'\nexport function log(r: Sluice.LogRequest): void { crc99('') }",
    )
    assert.unreachable()
  } catch (error) {
    assert.instance(error, ScriptError)
    assert.is(
      (error as ScriptError).excerpt,
      "    1 | import { crc99 } from 'sluice:hash'\n      |          ^",
    )
  }
})

test('imports: .ts by name, .js that is .ts, .mts, types left out, JavaScript beside it', async () => {
  const root = folder({
    'main.ts': `import { a } from './a.js'
import { b, type B } from './b.ts'
import { c } from './c.mjs'
import { d } from './d.js'
import type { Gone } from './gone.ts'
export function log(r: Sluice.LogRequest): void { const x: B = b; r.log(a + x + c + d) }`,
    'a.ts': "export const a: string = 'a'",
    'b.ts': "export type B = string\nexport const b: B = 'b'",
    'c.mts': "export const c = 'c' as const",
    'd.js': "export const d = 'd'",
    'd.ts': "export const d: string = 'the .ts of a .js that there is'",
    'plain.js': "import { b } from './b.ts'\nexport function log(r) { r.log(b) }",
  })
  const lines: string[] = []
  for (const main of ['main.ts', 'plain.js']) {
    const script = await load(undefined, { file: join(root, main) })
    const request = new FakeRequest()
    request.start(script, 'log')
    lines.push(...request.logged)
    if (main === 'main.ts') {
      assert.equal(
        [...script.files].sort(),
        ['a.ts', 'b.ts', 'c.mts', 'd.js', 'main.ts'].map((name) => join(root, name)),
      )
    }
  }
  assert.equal(lines, ['info main.ts: abcd', 'info plain.js: b'])
})

test('imports that cannot be, told at the import or in the imported file', async () => {
  const root = folder({
    'broken.ts': '\nlet x: = 1',
    'types.d.ts': 'export type T = 1',
    'enum.ts': 'enum A { B }',
  })
  const cases: [text: string, message: string][] = [
    ["import './none.ts'", "1:8: cannot import './none.ts': there is no such file"],
    ["import './types.d.ts'", "1:8: cannot import './types.d.ts': it holds types alone; write `import type`"],
    ["import './a.tsx'", "1:8: cannot import './a.tsx': TypeScript modules are .ts or .mts"],
    [
      "await import('./' + 'enum' + '.ts')",
      "cannot import './enum.ts': a TypeScript module is imported by a name that stands in the import",
    ],
    ["import './broken.ts'", `${root}/broken.ts:2:8: SyntaxError: Unexpected token`],
    ["\nimport './enum.ts'", `${root}/enum.ts:1:1: SyntaxError: an enum is code`],
  ]
  for (const [text, message] of cases) {
    writeFileSync(join(root, 'main.ts'), `${text}\nexport function log(): void {}`)
    const found = await refusal(undefined, { file: join(root, 'main.ts') })
    assert.ok(found.includes(message), `${text}:\n  ${found}`)
  }
  // A name in a comment is not imported.
  writeFileSync(join(root, 'main.ts'), "// import './broken.ts'\nexport function log(): void {}")
  ;(await load(undefined, { file: join(root, 'main.ts') })).dispose()
})

test('a lost sandbox is made anew without the files', async () => {
  const root = folder({
    'main.ts': `import { n } from './n.js'
export function log(r: Sluice.LogRequest): void { r.log(n) }
export function access(r: Sluice.AccessRequest): void { [].indexOf.call({ length: 2 ** 53 - 1 } as any, 1 as never) }`,
    'n.ts': 'export const n: number = 5',
  })
  const script = await load(undefined, { file: join(root, 'main.ts'), limits: { cpu: 10 } })
  rmSync(root, { recursive: true })
  new FakeRequest().start(script, 'access')
  const request = new FakeRequest()
  request.start(script, 'log')
  assert.equal([request.logged, script.stats.respawns], [['info main.ts: 5'], 1])
})

test('a text on which the stripper never ends is given up, and one that breaks it; others are not harmed', async () => {
  const endless = `x = ${'<T>(a = '.repeat(40)}1${')'.repeat(40)}`
  const deep = `x = ${'['.repeat(20_000)}`
  const started = Date.now()
  const results = await Promise.all(
    [endless, 'const a: number = 1', deep, 'const b: string = ""'].map(stripTypes),
  )
  assert.ok(Date.now() - started < 15_000)
  const words = results.map((result) => (typeof result === 'string' ? result : result.message))
  assert.match(words[0], 'its types cannot be taken out within 1000 ms')
  assert.is(words[1], 'const a         = 1')
  assert.match(words[2], /nested too deeply|Expression expected/)
  assert.is(words[3], 'const b         = ""')
})

test('the event loop goes on while types are taken out', async () => {
  const endless = `x = ${'<T>(a = '.repeat(40)}1${')'.repeat(40)}`
  let longest = 0
  let last = performance.now()
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 5)
  await stripTypes(endless)
  clearInterval(timer)
  assert.ok(longest < 300, `${longest} ms`)
})

test('every character that is no type stays in its place', async () => {
  const pieces = [
    'let a = 1;',
    'let b: string = "\u{1f600}";',
    "type C = '\u{1f600}\u6f22';",
    '/* \u{1f680} */ let d = x as any;',
    '\n',
    '\t',
    'function f<T>(x: T, y?: "\u00e9"): x is T { return true }\r\n',
    'class G { private h?: number; i!: "\u20ac" }\n',
  ]
  let seed = 7
  const random = (n: number) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31
    return seed % n
  }
  for (let round = 0; round < 40; round++) {
    const source = Array.from({ length: 12 }, () => pieces[random(pieces.length)]).join(' ')
    const text = (await stripTypes(source)) as string
    const [before, after] = [[...source], [...text]]
    assert.is(after.length, before.length)
    // What is left of a type is a blank, or the `;` that keeps two statements apart.
    for (const [i, character] of after.entries())
      assert.ok(character === before[i] || /[\s;]/.test(character))
  }
})

test.run()
