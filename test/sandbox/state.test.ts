// What outlives a call: loads that are refused, sandboxes that are lost, promises that come too late.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest } from '../../runtime/script/engine.ts'
import { FakeHost, FakeRequest, load, refusal } from '../script/fake-request.ts'
import { Stalls } from './arena.ts'

const stalls = new Stalls()
const HOOK = '\nexport function log(r) {}'

const LOADS: readonly (readonly [name: string, source: string, says: RegExp])[] = [
  ['a throw', `throw new Error('no')${HOOK}`, /hooks\.js:1:\d+: Error: no/],
  ['a loop', `while (1);${HOOK}`, /more than 70 ms of CPU time/],
  ['a loop that catches', `for (;;) { try { for (;;); } catch {} }${HOOK}`, /more than 70 ms of CPU time/],
  [
    'a builtin that loops',
    `Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)${HOOK}`,
    /hooks\.js:1:\d+: more than 70 ms/,
  ],
  ['an await that never ends', `await new Promise(() => {})${HOOK}`, /the top level awaits something/],
  [
    'jobs without end',
    `(function f() { Promise.resolve().then(f) })()${HOOK}`,
    /promise jobs|more than 70 ms/,
  ],
  ['no export', 'const x = 1', /exports no hook/],
  ['an export that is no function', 'export const access = 5', /is a number, not a function/],
  ['an export that is a proxy', 'export const access = new Proxy({}, {})', /not a function/],
  ['an export that throws', 'export { access }\nlet access = (() => { throw 1 })()', /thrown: 1|1/],
  [
    'an export in its dead zone',
    'export { x as access }\nawait null\nthrow new Error("dead")\nlet x = () => {}',
    /dead/,
  ],
  [
    '60 000 parameters',
    `(function (${Array.from({ length: 60_000 }, (_, i) => `a${i}`).join()}) {})${HOOK}`,
    /.+/,
  ],
  [
    '20 000 private names',
    `class A { ${Array.from({ length: 20_000 }, (_, i) => `#a${i};`).join(' ')} }${HOOK}`,
    /.+/,
  ],
  [
    '30 000 captured variables',
    `${Array.from({ length: 30_000 }, (_, i) => `let a${i} = 1`).join('\n')}\n;(() => ${Array.from({ length: 30_000 }, (_, i) => `a${i}`).join('+')})()${HOOK}`,
    /.+/,
  ],
  [
    'a million locals',
    `(function () { ${Array.from({ length: 200_000 }, (_, i) => `var a${i}`).join(';')} })${HOOK}`,
    /.+/,
  ],
  ['parentheses', `export const f = ${'('.repeat(1e5)}`, /stack/],
  ['brackets', `export const f = ${'['.repeat(1e5)}`, /stack/],
  ['braces', `${'{'.repeat(1e5)}`, /stack/],
  ['functions in functions', `${'function f() {'.repeat(2e4)}`, /stack/],
  ['arrows in arrows', `export const f = ${'() => '.repeat(3e4)}1`, /stack/],
  ['unary operators', `export const f = ${'!'.repeat(1e5)}1`, /stack/],
  ['templates in templates', `export const f = ${'`${'.repeat(2e4)}`, /stack/],
  ['exponents', `export const f = ${'2 ** '.repeat(5e4)}2`, /stack/],
  ['conditionals', `export const f = ${'1 ? 1 : '.repeat(5e4)}1`, /stack/],
  ['optional chains', `export const f = a${'?.a'.repeat(2e5)}`, /.+/],
  ['a long string', `export const f = '${'x'.repeat(4e6)}' + 1; f()`, /.+/],
  ['a pattern that is too large', `export const f = /${'(?:a|b)'.repeat(2e4)}{9}${'('.repeat(2e4)}/`, /.+/],
  ['many numbers', `export const f = [${'1e300,'.repeat(5e5)}]; f()`, /.+/],
  ['html comments', `${'<!--\n'.repeat(1e5)}throw 1`, /.+/],
  ['hash collisions', `const m = new Map(); for (let i = 0; ; i++) m.set((i << 16) >>> 0, i)${HOOK}`, /.+/],
  ['lone surrogates in names', 'export const \\ud800 = 1', /SyntaxError|invalid|unexpected/],
  ['import of itself without end', "import { a } from './hooks.js'\nexport const a2 = a", /.+/],
]

// The engine itself is compiled once per process, before the first script.
test.before(async () => (await load('export function log() {}')).dispose())

for (const [name, source, says] of LOADS) {
  test(`refused at load: ${name}`, async () => {
    const message = await stalls.measureAll(name, () => refusal(source))
    assert.match(message, says)
    assert.match(message, /hooks\.js/)
  })
}

test('scripts are loaded one after the other, whatever the one before did', async () => {
  for (const [, source] of LOADS.slice(0, 8)) {
    await refusal(source)
    const script = await load(`export function log(r) { r.log('fine') }`)
    const request = new FakeRequest()
    assert.is(await request.run(script, 'log'), Outcome.PASS)
    script.dispose()
  }
})

test('200 sandboxes lost and made anew: all goes on, and memory comes back', async () => {
  const host = new FakeHost()
  const source = `
    export function access(r) { if (r.rawArgs === 'trap') Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }
    export async function content(r) { await null; r.return(200, 'here ' + r.uri) }`
  let before = 0
  for (let i = 0; i < 200; i++) {
    // A script of its own each: one that is lost so often is made to wait.
    const script = await load(source, { host, limits: { cpu: 2 } })
    const attacker = new FakeRequest({ args: 'trap' })
    assert.is(await attacker.run(script, 'access'), Outcome.FAILED)
    releaseRequest(attacker)
    const honest = new FakeRequest({ uri: `/${i}` })
    assert.is(await honest.run(script, 'content'), Outcome.ANSWER, honest.logged.join())
    assert.is(honest.answered!.body, `here /${i}`)
    assert.is(script.stats.respawns, 1)
    script.dispose()
    releaseRequest(honest)
    if (i === 50) before = process.memoryUsage().rss
    if (i % 10 === 0) await new Promise((turn) => setTimeout(turn, 1))
  }
  const grown = process.memoryUsage().rss - before
  assert.ok(grown < 200e6, `${grown / 1e6} MB more after 150 lost sandboxes`)
})

test('a script that is lost again and again is made to wait, and others are not', async () => {
  const script = await load(
    'export function access(r) { while (1); }\nexport function content(r) { Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }',
    { limits: { cpu: 2 } },
  )
  const bystander = await load('export function access(r) {}')
  let starting = 0
  for (let i = 0; i < 60; i++) {
    const request = new FakeRequest()
    await request.run(script, 'content')
    if (request.logged[0]!.includes('is starting again')) starting++
    releaseRequest(request)
    assert.is(await new FakeRequest().run(bystander, 'access'), Outcome.PASS)
  }
  assert.ok(starting > 40, `${starting} of 60 calls were answered without trying`)
  assert.ok(script.stats.respawns < 10)
  script.dispose()
  bystander.dispose()
})

test('errors that nobody handles are counted and told, not thrown at the process', async () => {
  const seen: unknown[] = []
  const onUnhandled = (reason: unknown): number => seen.push(reason)
  process.on('unhandledRejection', onUnhandled)
  const script = await load(
    `export function log(r) { Promise.reject(new Error('late')); setTimeout(() => { throw new Error('later') }, 10); r.ctx.a = 1 }`,
  )
  const request = new FakeRequest()
  await request.run(script, 'log')
  await new Promise((done) => setTimeout(done, 40))
  assert.is(script.stats.unhandledRejections, 2)
  assert.match(request.logged.join('\n'), /Error: late[\s\S]*Error: later/)
  process.off('unhandledRejection', onUnhandled)
  assert.equal(seen, [])
  releaseRequest(request)
  script.dispose()
})

test('what comes after the client has left is dropped', async () => {
  const script = await load(`
    export async function access(r) { await new Promise((done) => setTimeout(done, 30)); r.return(200, 'late') }
    export async function content(r) { const text = await r.readText(); r.return(200, text) }
    export function log(r) {}`)
  const request = new FakeRequest()
  assert.is(request.start(script, 'access'), Outcome.SUSPENDED)
  request.closed = true
  script.abandon(request)
  releaseRequest(request)
  const reader = new FakeRequest()
  reader.bodyArrives = 'later'
  assert.is(reader.start(script, 'content'), Outcome.SUSPENDED)
  reader.closed = true
  script.abandon(reader)
  releaseRequest(reader)
  reader.deliverBody()
  reader.deliverBody(new Error('twice'))
  await new Promise((done) => setTimeout(done, 60))
  for (const each of [request, reader]) {
    assert.equal(each.settlements, [])
    assert.is(each.answered, null)
  }
  script.dispose()
})

test('a hook that waits when its sandbox is lost fails once, and a late answer changes nothing', async () => {
  const script = await load(`
    let settle
    export function access(r) { return new Promise((done) => { settle = done }) }
    export function content(r) { settle({ status: 204 }); settle({ status: 500 }); Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }`)
  const waiting = new FakeRequest()
  assert.is(waiting.start(script, 'access'), Outcome.SUSPENDED)
  assert.is(await new FakeRequest().run(script, 'content'), Outcome.FAILED)
  assert.equal(waiting.settlements, [Outcome.FAILED])
  assert.match(waiting.logged[0]!, /the sandbox was lost/)
  releaseRequest(waiting)
  script.dispose()
})

test('r of a request in a sandbox that is gone is gone as well', async () => {
  const script = await load(`
    export function access(r) { r.ctx.mine = 'old' }
    export function content(r) { while (1); }
    export function rewrite(r) { Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }
    export function log(r) { r.log(r.ctx.mine) }`)
  const request = new FakeRequest()
  await request.run(script, 'access')
  await new FakeRequest().run(script, 'rewrite')
  assert.is(await request.run(script, 'log'), Outcome.PASS)
  assert.is(request.logged[0], 'info hooks.js: undefined')
  releaseRequest(request)
  script.dispose()
})

test('loading stalls the event loop no longer than a hook may', () => {
  process.stdout.write(`\n${stalls.table('loads')}`)
  stalls.assertBounded()
})

test.run()
