// A sandbox that is lost is made anew; what waited in it fails; memory comes back.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest } from '../../runtime/script/engine.ts'
import { FakeHost, FakeRequest, load } from './fake-request.ts'

const TRAP = 'Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)'

test('the next request gets a new sandbox from the same sources', async () => {
  const host = new FakeHost()
  const script = await load(
    `
    let calls = 0
    export function init() { calls = 100 }
    export function access(r) { ${TRAP} }
    export function log(r) { r.log(++calls) }`,
    { host },
  )
  const before = new FakeRequest()
  before.start(script, 'log')
  before.start(script, 'log')
  assert.is(new FakeRequest().start(script, 'access'), Outcome.FAILED)
  assert.match(
    host.logged.at(-1) ?? '',
    /^warn .*hooks\.js: the sandbox was lost \(more than 50 ms of CPU time in one call\)/,
  )
  assert.is(script.memoryUsed, 0)
  const after = new FakeRequest()
  assert.is(after.start(script, 'log'), Outcome.PASS)
  assert.equal(
    [...before.logged, ...after.logged],
    ['info hooks.js: 101', 'info hooks.js: 102', 'info hooks.js: 101'],
  )
  assert.is(script.stats.respawns, 1)
})

test('a request that began in the lost sandbox goes on in the new one', async () => {
  const script = await load(`
    export function access(r) { r.ctx.mine = 1 }
    export function rewrite(r) { ${TRAP} }
    export function log(r) { r.log(JSON.stringify(r.ctx)) }`)
  const request = new FakeRequest()
  request.start(script, 'access')
  new FakeRequest().start(script, 'rewrite')
  assert.is(request.start(script, 'log'), Outcome.PASS)
  assert.is(request.logged[0], 'info hooks.js: {}')
  releaseRequest(request)
  assert.is(request.scriptState, null)
})

test('hooks that waited in it fail by the policy', async () => {
  for (const [onError, outcome] of [
    ['closed', Outcome.FAILED],
    ['open', Outcome.PASS],
  ] as const) {
    const script = await load(
      `
      export async function access(r) { await new Promise((done) => setTimeout(done, 5000)) }
      export function log(r) { ${TRAP} }`,
      { onError },
    )
    const waiting = [new FakeRequest(), new FakeRequest()]
    const outcomes = waiting.map((request) => request.run(script, 'access'))
    assert.is(new FakeRequest().start(script, 'log'), outcome)
    assert.equal(await Promise.all(outcomes), [outcome, outcome])
    assert.match(waiting[0].logged[0], 'the sandbox was lost: more than 50 ms of CPU time in one call')
    script.dispose()
  }
})

test('a hook that is resumed may lose the sandbox as well', async () => {
  const script = await load(`
    export async function access(r) { await new Promise((done) => setTimeout(done, 10)); ${TRAP} }
    export function log(r) {}`)
  assert.is(await new FakeRequest().run(script, 'access'), Outcome.FAILED)
  assert.is(new FakeRequest().start(script, 'log'), Outcome.PASS)
})

test('init is awaited again: until then the hooks fail', async () => {
  const script = await load(`
    let ready = 0
    export async function init() { await new Promise((done) => setTimeout(done, 20)); ready = 1 }
    export function access(r) { ${TRAP} }
    export function log(r) { r.log(ready) }`)
  new FakeRequest().start(script, 'access')
  const early = new FakeRequest()
  assert.is(early.start(script, 'log'), Outcome.FAILED)
  assert.match(early.failure![1], 'the sandbox is starting again')
  await new Promise((done) => setTimeout(done, 40))
  const late = new FakeRequest()
  assert.is(late.start(script, 'log'), Outcome.PASS)
  assert.is(late.logged[0], 'info hooks.js: 1')
})

test('losses in quick succession slow the respawn down', async () => {
  const script = await load(`export function access(r) { ${TRAP} }\nexport function log(r) {}`, {
    limits: { cpu: 5 },
  })
  let refused = 0
  for (let i = 0; i < 20; i++) {
    const request = new FakeRequest()
    request.start(script, 'access')
    if (request.failure![1].includes('starting again')) refused++
  }
  assert.ok(refused >= 10, `${refused} of 20 were refused at once`)
  assert.ok(script.stats.respawns < 10, `${script.stats.respawns} respawns`)
})

test('fifty scripts come and go, their memory too', async () => {
  const source = 'const table = new Uint8Array(20e6).fill(7)\nexport function log(r) { r.log(table.length) }'
  const round = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) {
      const script = await load(source)
      assert.is(new FakeRequest().start(script, 'log'), Outcome.PASS)
      script.dispose()
      // Dropped memories are freed by the collector; give it the chance that any event loop does.
      await new Promise((done) => setImmediate(done))
    }
  }
  await round()
  const before = process.memoryUsage().rss
  await round()
  const grown = process.memoryUsage().rss - before
  assert.ok(grown < 400e6, `grew by ${Math.round(grown / 1e6)} MB; fifty sandboxes of 25 MB would be 1250`)
})

test.run()
