// What is said when a script is refused or fails: where, what, and with which stack.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { ScriptError } from '../../runtime/script/engine.ts'
import { GuestLog, harmless } from '../../runtime/script/guest-log.ts'
import { FakeHost, FakeRequest, FILE, load, refusal } from './fake-request.ts'

test('a failing hook: one located line with the script’s stack', async () => {
  const script = await load(`function pick(list) {
  return list.first.name
}

export function access(r) {
  pick([])
}`)
  const request = new FakeRequest()
  assert.is(request.start(script, 'access'), Outcome.FAILED)
  assert.equal(request.logged, [
    `error ${FILE}:2:20: TypeError: cannot read property 'name' of undefined in access, at pick (hooks.js:2:20), at access (hooks.js:6:7)`,
  ])
  assert.equal(request.failure, ['access', "TypeError: cannot read property 'name' of undefined"])
  assert.equal(script.stats.hooks.access, { calls: 1, errors: 1, overruns: 0, cpuMicros: 0, slowest: 0 })
})

test('script_on_error open: as if the hook were absent, with the same line', async () => {
  const script = await load('export function access(r) { r.return(200); null.x }', { onError: 'open' })
  const request = new FakeRequest()
  assert.is(request.start(script, 'access'), Outcome.PASS)
  assert.equal([request.failure, request.answered], [null, null])
  assert.match(request.logged[0], /^error .*hooks\.js:1:\d+: TypeError/)
})

test('whatever is thrown is told', async () => {
  const cases: [statement: string, message: string][] = [
    ['throw "text"', "thrown: 'text'"],
    ['throw 5', 'thrown: 5'],
    ['throw undefined', 'thrown: undefined'],
    ['throw null', 'thrown: null'],
    ['throw { a: 1 }', 'thrown: { a: 1 }'],
    ['throw Symbol("x")', 'thrown: Symbol(x)'],
    ['throw new Error()', 'Error'],
    ['throw new RangeError("caf\u00e9")', 'RangeError: caf\u00e9'],
    ['class Mine extends Error { name = "Mine" } throw new Mine("m")', 'Mine: m'],
    ['throw Object.assign(new Error("x"), { name: {} })', 'Error: x'],
    ['throw Object.defineProperty(new Error("x"), "message", { get() { throw 1 } })', 'Error'],
    ['throw new Proxy(new Error("x"), { get() { throw 1 } })', 'thrown: [Proxy]'],
    ['throw { toString() { throw 1 } }', 'thrown: { toString: [Function: toString] }'],
    ['throw Object.setPrototypeOf(new Error("x"), new Proxy({}, { get() { throw 1 } }))', 'Error: x'],
    ['throw new Error("x".repeat(1e6))', 'Error: xxx'],
  ]
  for (const [statement, message] of cases) {
    const script = await load(`export function access(r) { ${statement} }`)
    const request = new FakeRequest()
    assert.is(request.start(script, 'access'), Outcome.FAILED)
    const found = Buffer.from(request.failure![1], 'latin1').toString('utf8')
    assert.ok(found.startsWith(message), `${statement}: ${found.slice(0, 100)}`)
    assert.ok(request.logged[0].length < 5000)
    script.dispose()
  }
})

test('an overrun names the place where the script was', async () => {
  const script = await load('export function access(r) {\n  while (true);\n}', { limits: { cpu: 10 } })
  const request = new FakeRequest()
  request.start(script, 'access')
  assert.match(
    request.logged[0],
    /hooks\.js:\d+:\d+: more than 10 ms of CPU time in one call in access, at access \(hooks/,
  )
  assert.is(script.stats.hooks.access?.overruns, 1)
})

test('a failure in the standard library is told by the script’s own frame', async () => {
  const script = await load(`import { sha256 } from 'sluice:hash'\nexport function access(r) { sha256(5) }`)
  const request = new FakeRequest()
  request.start(script, 'access')
  assert.match(
    request.logged[0],
    /^error .*hooks\.js:2:\d+: TypeError: sha256 takes a text or a Uint8Array in access, at .*sluice:hash/,
  )
})

test('log lines are one line each, without control characters, and bounded', async () => {
  const script = await load(`
    export function access(r) {
      r.log('a\\nb\\r\\n[error] forged \\x1b[31m \\x7f \\u0085', { n: 1 })
      r.warn('x'.repeat(10000))
      r.error('nul \\0')
      console.debug('debug', [1, 'two'], new Map([['k', { deep: { deeper: {} } }]]), null, undefined, () => {}, 5n)
    }`)
  const request = new FakeRequest()
  request.start(script, 'access')
  assert.is(request.logged[0], 'info hooks.js: a\\nb\\x0d\\n[error] forged \\x1b[31m \\x7f \\x85 { n: 1 }')
  assert.match(request.logged[1], /^warn hooks\.js: x{4096}/)
  assert.ok(request.logged[1].length < 4200)
  assert.is(request.logged[2], 'error hooks.js: nul \\x00')
  assert.is(
    request.logged[3],
    "debug hooks.js: debug [ 1, 'two' ] Map(1) { 'k' => { deep: { deeper: {} } } } null undefined [Function (anonymous)] 5n",
  )
})

test('a hundred lines a second, and a word on the rest', () => {
  let now = 5000
  const lines: string[] = []
  const sink = (level: string, line: string): number => lines.push(`${level} ${line}`)
  const log = new GuestLog('a.js: ', sink, () => now)
  for (let i = 0; i < 250; i++) log.write(sink, 'info', `line ${i}`)
  assert.is(lines.length, 100)
  now = 6000
  log.write(sink, 'info', 'next')
  assert.equal(lines.slice(100), [
    'warn a.js: 150 log lines dropped; 100 a second, 131072 bytes at most, are written',
    'info a.js: next',
  ])
})

test('harmless leaves text in UTF-8 alone', () => {
  const text = Buffer.from('caf\u00e9 \u20ac \u{1f600}', 'utf8').toString('latin1')
  assert.is(harmless(text), text)
})

test('a script that logs without end does not write without end', async () => {
  const script = await load('export function access(r) { for (;;) r.log("x") }')
  const request = new FakeRequest()
  request.start(script, 'access')
  assert.ok(request.logged.length <= 202, `${request.logged.length} lines`)
})

test('console outside any request writes to the host', async () => {
  const host = new FakeHost()
  await load('console.log("loading", sluice.params.size)\nexport function log() {}', {
    host,
    params: { size: '5' },
  })
  assert.equal(host.logged, ['info hooks.js: loading 5'])
})

test('what refuses a script, and where', async () => {
  const cases: [source: string, message: string][] = [
    ['export function access(r) {\n  return (\n}', `${FILE}:3:1: SyntaxError: `],
    ['\nnull.x\nexport function log() {}', `${FILE}:2:5: TypeError: cannot read property 'x' of null`],
    ['throw new Error("not today")', `${FILE}:1:16: Error: not today`],
    ['await null\nnull.x', `${FILE}:2:5: TypeError`],
    ['export function init() {\n  throw new Error("no store")\n}', `${FILE}:2:18: Error: no store`],
    [
      'export async function init() {\n  await null\n  throw new Error("no store")\n}',
      `${FILE}:3:18: Error: no store`,
    ],
    ['export function init() { return Promise.reject(new Error("no store")) }', ': Error: no store'],
    ['Promise.reject(new Error("floating"))\nexport function log() {}', 'Error: floating'],
    ['const x = 1', `${FILE}: the script exports no hook; the hooks are init, rewrite`],
    ['export const access = 5', `${FILE}:1:14: the export access is a number, not a function`],
    ['export const access = {}', 'the export access is an object, not a function'],
    [
      '\nexport function header_filter(r) {}',
      `${FILE}:2:17: the export header_filter is no hook; did you mean headerFilter?`,
    ],
    ['export function balance(r) {}', 'did you mean balancer?'],
    ['export function acess(r) {}', 'did you mean access?'],
    ['export function access_by_lua(r) {}', 'did you mean access?'],
    ['export function onLog(r) {}', 'did you mean log?'],
    [
      'export function log(r) {}\nexport function helper(r) {}',
      'the export helper is no hook; the hooks are',
    ],
    ['export default function access(r) {}', 'hooks are exported by name'],
    ['export function preread(s) {}', 'the hook preread does not exist in this version'],
    ['export function access(r) { eval("1") }\neval("1")', "ReferenceError: 'eval' is not defined"],
    [
      "import {\n  sha256, nope\n} from 'sluice:hash'\nexport function log() {}",
      `${FILE}:2:11: SyntaxError: Could not find export 'nope' in module 'sluice:hash'`,
    ],
    [
      'export function log() {}\nexport { log as access, gone }',
      `${FILE}:2:25: SyntaxError: exported variable 'gone'`,
    ],
    ['const text = "{"\nJSON.parse(text)', `${FILE}:2:11: SyntaxError: expecting property name`],
    ['/* \u{1f600}\u6f22 */ null.x', `${FILE}:1:14: TypeError`],
  ]
  for (const [source, message] of cases) {
    const found = await refusal(source)
    assert.ok(found.includes(message), `${source}:\n  ${found}`)
  }
})

test('positions in timers, promises that nobody waits for, and JSON that is none', async () => {
  const script = await load(`export function access(r) {
  setTimeout(() => {
    null.timer
  }, 0)
}
export function rewrite(r) {
  Promise.resolve().then(() => {
    null.floating
  })
}
export async function content(r) {
  await null
  JSON.parse('{"a":')
}`)
  const rewrite = new FakeRequest()
  await rewrite.run(script, 'rewrite')
  assert.match(rewrite.logged[0], `error ${FILE}:8:9: TypeError: cannot read property 'floating' of null`)
  const content = new FakeRequest()
  await content.run(script, 'content')
  assert.match(
    content.logged[0],
    new RegExp(`^error ${FILE}:13:\\d+: SyntaxError: .* in content, at content \\(hooks`),
  )
  const access = new FakeRequest()
  const told = new Promise((resolve) => {
    access.log = (_level, line) => resolve(line)
  })
  access.start(script, 'access')
  assert.match(String(await told), `${FILE}:3:9: TypeError: cannot read property 'timer' of null`)
})

test('who wants to know more of a failure gets the line with a caret, and the stack', async () => {
  const faults: unknown[] = []
  const host = Object.assign(new FakeHost(), { failed: (...told: unknown[]) => faults.push(...told) })
  const script = await load('const f = () => {\n\tnull.caf\u00e9\n}\nexport function access(r) { f() }', {
    host,
  })
  const request = new FakeRequest()
  request.start(script, 'access')
  assert.is(request.logged.length, 1)
  assert.equal(faults, [
    {
      phase: 'access',
      message: "TypeError: cannot read property 'caf\u00c3\u00a9' of null",
      file: FILE,
      line: 2,
      column: 6,
      excerpt: '    2 |   null.caf\u00c3\u00a9\n      |       ^',
      stack: ['f (hooks.js:2:6)', 'access (hooks.js:4:30)'],
    },
    request,
  ])
})

test('the error of a refused script has the place as fields', async () => {
  try {
    await load('export function init() {\n  nope()\n}')
    assert.unreachable()
  } catch (error) {
    assert.instance(error, ScriptError)
    const { file, line, column, reason, excerpt, stack } = error as ScriptError
    assert.equal([file, line, column, reason], [FILE, 2, 3, "ReferenceError: 'nope' is not defined"])
    assert.is(excerpt, '    2 |   nope()\n      |   ^')
    assert.match(stack ?? '', 'at init (hooks.js:2:3)')
  }
})

test('a file that is not there, and one that is too large', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-script-'))
  assert.is(
    await refusal(undefined, { file: join(folder, 'none.js') }),
    `${folder}/none.js: there is no such file`,
  )
  writeFileSync(join(folder, 'large.js'), `//${'x'.repeat(1024 * 1024)}`)
  assert.match(
    await refusal(undefined, { file: join(folder, 'large.js') }),
    'large.js is larger than 1048576 bytes',
  )
  writeFileSync(join(folder, 'nul.js'), 'export function log() {}\0')
  assert.match(await refusal(undefined, { file: join(folder, 'nul.js') }), 'nul.js holds a NUL')
})

test('host errors that are not the script’s business stay with the host', async () => {
  const host = new FakeHost()
  const script = await load(
    'export function access(r) { try { r.uri } catch (e) { r.log(e.message, e.stack.includes("/")) } }',
    { host },
  )
  const request = new FakeRequest()
  Object.defineProperty(request, 'uri', {
    get() {
      throw new Error('secret /etc/path')
    },
  })
  assert.is(request.start(script, 'access'), Outcome.PASS)
  assert.is(request.logged[0], 'info hooks.js: an internal error of the proxy; see the error log false')
  assert.match(host.logged[0], /^alert script engine: Error: secret/)
})

test.run()
