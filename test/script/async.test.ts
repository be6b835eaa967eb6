// Hooks that wait: for promises, timers and the request's body.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest } from '../../runtime/script/engine.ts'
import { type Described, FakeHost, FakeRequest, load } from './fake-request.ts'

const SLEEP = 'const sleep = (ms) => new Promise((done) => setTimeout(done, ms))\n'

/** Runs an access hook to its end. */
async function access(body: string, described: Described = {}): Promise<[Outcome, FakeRequest]> {
  const script = await load(`${SLEEP}export async function access(r) { ${body} }`)
  const request = new FakeRequest(described)
  const outcome = await request.run(script, 'access')
  releaseRequest(request)
  script.dispose()
  return [outcome, request]
}

test('promises that settle at once do not suspend the request', async () => {
  const cases: [body: string, outcome: Outcome][] = [
    ['', Outcome.PASS],
    ['await null', Outcome.PASS],
    ['for (let i = 0; i < 500; i++) await null', Outcome.PASS],
    ['await null; r.return(403)', Outcome.ANSWER],
    ['return { status: 403 }', Outcome.ANSWER],
    ['await null; return { status: 403 }', Outcome.ANSWER],
    ["await null; r.internalRedirect('/x')", Outcome.REDIRECT],
    ['await null; throw new Error("x")', Outcome.FAILED],
    ['throw new Error("x")', Outcome.FAILED],
    ['await null; return 5', Outcome.FAILED],
    ['await r.readText()', Outcome.PASS],
    ['await Promise.all([r.readText(), r.readBytes(), null])', Outcome.PASS],
  ]
  for (const [body, outcome] of cases) {
    const script = await load(`export async function access(r) { ${body} }`)
    const request = new FakeRequest()
    assert.is(request.start(script, 'access'), outcome, body)
    releaseRequest(request)
    script.dispose()
  }
})

test('a hook that waits suspends the request and settles it once', async () => {
  const script = await load(
    `${SLEEP}export async function access(r) { await sleep(10); return { status: 403, body: r.uri } }`,
  )
  const request = new FakeRequest({ uri: '/late' })
  assert.is(request.start(script, 'access'), Outcome.SUSPENDED)
  assert.is(request.answered, null)
  await new Promise<void>((done) => {
    request.hookSettled = (outcome) => {
      request.settlements.push(outcome)
      done()
    }
  })
  assert.equal(request.settlements, [Outcome.ANSWER])
  assert.equal(request.answered, { status: 403, headers: [], body: '/late' })
})

test('what a waiting hook comes to', async () => {
  const cases: [body: string, outcome: Outcome][] = [
    ['await sleep(10)', Outcome.PASS],
    ['await sleep(10); r.return(403)', Outcome.ANSWER],
    ['await sleep(10); return { then(done) { done({ status: 403 }) } }', Outcome.ANSWER],
    ['return new Promise((done) => setTimeout(done, 10, { status: 403 }))', Outcome.ANSWER],
    ["await sleep(10); r.internalRedirect('/x')", Outcome.REDIRECT],
    ['await sleep(10); throw new Error("late")', Outcome.FAILED],
    ['await sleep(10); return "no"', Outcome.FAILED],
  ]
  for (const [body, outcome] of cases) assert.is((await access(body))[0], outcome, body)
})

test('a thenable that is no promise is waited for like one', async () => {
  const script = await load(
    'export const access = (r) => ({ then(done) { setTimeout(done, 10, { status: 403 }) } })',
  )
  const request = new FakeRequest()
  assert.is(await request.run(script, 'access'), Outcome.ANSWER)
})

test('r.return decides even if the hook goes on waiting', async () => {
  const script = await load(
    `${SLEEP}export async function access(r) { r.return(403); await sleep(10); r.log('later') }`,
  )
  const request = new FakeRequest()
  assert.is(request.start(script, 'access'), Outcome.ANSWER)
  releaseRequest(request)
})

test('requests wait side by side', async () => {
  const script = await load(`${SLEEP}
    export async function access(r) { r.ctx.ms = +r.rawArgs; await sleep(r.ctx.ms); return { status: 200, body: r.uri + r.ctx.ms } }`)
  const requests = [30, 10, 20].map((ms, i) => new FakeRequest({ uri: `/${i}-`, args: String(ms) }))
  const order: string[] = []
  await Promise.all(
    requests.map(async (request) => {
      await request.run(script, 'access')
      order.push(String(request.answered?.body))
    }),
  )
  assert.equal(order, ['/1-10', '/2-20', '/0-30'])
})

test('a hook of one request may settle the hook of another', async () => {
  const script = await load(`
    let open
    const gate = new Promise((done) => { open = done })
    export async function access(r) { await gate; r.return(200, r.uri) }
    export function log(r) { open() }`)
  const waiting = new FakeRequest({ uri: '/waits' })
  const settled = waiting.run(script, 'access')
  assert.is(new FakeRequest().start(script, 'log'), Outcome.PASS)
  assert.is(waiting.answered, null)
  assert.is(await settled, Outcome.ANSWER)
  assert.is(waiting.answered!.body, '/waits')
})

test('bodies: text, JSON, bytes, form, each more than once', async () => {
  const [, request] = await access(
    'r.log(await r.readText(), (await r.readJSON()).a, [...await r.readBytes()].length)',
    {
      body: Buffer.from('{"a":"caf\u00e9"}'),
    },
  )
  assert.is(request.logged[0], 'info hooks.js: {"a":"caf\xc3\xa9"} caf\xc3\xa9 13')
  const [, form] = await access('r.log(JSON.stringify(await r.readForm()))', {
    headers: [['Content-Type', 'application/x-www-form-urlencoded; charset=utf-8']],
    body: Buffer.from('a=1&b=x+y%C3%A9&a=2'),
  })
  assert.equal(JSON.parse(Buffer.from(form.logged[0].slice(15), 'latin1').toString()), {
    a: ['1', '2'],
    b: 'x y\u00e9',
  })
})

test('bodies with NUL, without UTF-8, and large ones', async () => {
  const [, nul] = await access('const t = await r.readText(); r.log(t.length, JSON.stringify(t))', {
    body: Buffer.from('a\0b\xff', 'latin1'),
  })
  assert.is(nul.logged[0], 'info hooks.js: 4 "a\\u0000b\xef\xbf\xbd"')
  const [, large] = await access('r.log((await r.readText()).length, (await r.readBytes()).length)', {
    body: Buffer.alloc(3e6, 97),
  })
  assert.is(large.logged[0], 'info hooks.js: 3000000 3000000')
})

test('a body that is larger than the sandbox costs the sandbox, not the process', async () => {
  const script = await load('export async function access(r) { r.log((await r.readText()).length) }', {
    limits: { memory: 16e6 },
  })
  const request = new FakeRequest({ body: Buffer.alloc(40e6, 97) })
  assert.is(await request.run(script, 'access'), Outcome.FAILED)
  const next = new FakeRequest({ body: Buffer.from('small') })
  assert.is(await next.run(script, 'access'), Outcome.PASS)
})

test("what is wrong with a body is the client's fault, unless the script says otherwise", async () => {
  const malformed = { body: Buffer.from('{') }
  const answers: [body: string, described: Described, status: number][] = [
    ['await r.readJSON()', malformed, 400],
    ['return r.readJSON()', malformed, 400],
    ['await sleep(10); await r.readJSON()', malformed, 400],
    ['await r.readJSON()', { body: Buffer.alloc(100_000, '[') }, 400],
    ['await r.readJSON()', {}, 400],
    ['await r.readForm()', { body: Buffer.from('a=1'), headers: [['Content-Type', 'text/plain']] }, 415],
    // Kept, changed and thrown again, it is what it was.
    ['try { await r.readJSON() } catch (e) { e.status = 200; throw Object.freeze(e) }', malformed, 400],
    ['try { await r.readJSON() } catch (e) { r.return(422, e.name + e.status) }', malformed, 422],
  ]
  for (const [body, described, status] of answers) {
    const [outcome, request] = await access(body, described)
    assert.equal([outcome, request.answered?.status, request.failure], [Outcome.ANSWER, status, null], body)
  }
  const [, told] = await access(answers[7][0], malformed)
  assert.is(told.answered?.body, 'SyntaxError400')
  const [, request] = await access('await r.readForm()', answers[5][1])
  assert.match(
    request.logged[0],
    /^info .*hooks\.js:2:\d+: TypeError: the body is of type text\/plain, not application\/x-www-form-urlencoded in access/,
  )
})

test('a status that a script gives its errors answers nothing', async () => {
  const thrown = [
    'throw { status: 413 }',
    'throw Object.assign(new Error("x"), { status: 413 })',
    'throw Object.assign(new Error("x"), { stack: "413\\u0001", status: 413 })',
    'throw Object.assign(new Error("x"), { name: "413\\u0001" })',
    'try { await r.readJSON() } catch (cause) { throw new Error("x", { cause }) }',
    'try { await r.readJSON() } catch (cause) { throw Object.create(cause) }',
    'try { await r.readJSON() } catch (cause) { throw new Proxy(cause, {}) }',
    'try { await r.readJSON() } catch (e) { throw { ...e } }',
    'JSON.parse("{")',
  ]
  for (const body of thrown) {
    const [outcome, request] = await access(body, { body: Buffer.from('{') })
    assert.equal([outcome, request.answered], [Outcome.FAILED, null], body)
  }
})

test("the client's fault is none of the script's, whatever script_on_error says", async () => {
  for (const onError of ['closed', 'open'] as const) {
    const script = await load('export async function access(r) { await r.readJSON() }', { onError })
    const request = new FakeRequest({ body: Buffer.from('{') })
    assert.is(await request.run(script, 'access'), Outcome.ANSWER)
    assert.equal([script.stats.hooks.access!.calls, script.stats.hooks.access!.errors], [1, 0])
    script.dispose()
  }
})

test('in a phase that cannot answer any more it is an error like any other', async () => {
  const script = await load(`let kept
    export async function access(r) { try { await r.readJSON() } catch (e) { kept = e } }
    export function headerFilter() { throw kept }`)
  const request = new FakeRequest({ body: Buffer.from('{') })
  await request.run(script, 'access')
  assert.is(await request.run(script, 'headerFilter'), Outcome.FAILED)
  script.dispose()
})

test('a body that comes later, or not at all', async () => {
  const script = await load('export async function access(r) { r.return(200, await r.readText()) }')
  const late = new FakeRequest({ body: Buffer.from('late') })
  late.bodyArrives = 'later'
  const outcome = late.run(script, 'access')
  late.deliverBody()
  assert.equal([await outcome, late.answered?.body], [Outcome.ANSWER, 'late'])
  const broken = new FakeRequest()
  broken.bodyArrives = 'later'
  const failed = broken.run(script, 'access')
  broken.deliverBody(new Error('the client went away'))
  assert.is(await failed, Outcome.FAILED)
  assert.match(broken.failure![1], 'the client went away')
  broken.deliverBody()
  const large = new FakeRequest()
  large.bodyArrives = 'later'
  const refused = large.run(script, 'access')
  large.deliverBody(Object.assign(new Error('too large'), { status: 413 }))
  assert.equal([await refused, large.answered?.status], [Outcome.ANSWER, 413])
})

test('too long a wait is ended', async () => {
  const host = new FakeHost()
  const script = await load(`${SLEEP}export async function access(r) { await new Promise(() => {}) }`, {
    limits: { wall: 20 },
    host,
  })
  const request = new FakeRequest()
  assert.is(await request.run(script, 'access'), Outcome.FAILED)
  assert.match(request.failure![1], 'the hook has waited for more than 20 ms')
  assert.is(script.stats.hooks.access?.overruns, 1)
  const open = await load('export async function access(r) { await new Promise(() => {}) }', {
    limits: { wall: 20 },
    onError: 'open',
  })
  assert.is(await new FakeRequest().run(open, 'access'), Outcome.PASS)
})

test('what settles after the wait was ended is ignored', async () => {
  const script = await load(
    `${SLEEP}
    export async function access(r) { await sleep(40); r.return(200) }
    export async function log(r) { await sleep(60) }`,
    { limits: { wall: 20 } },
  )
  const request = new FakeRequest()
  assert.is(await request.run(script, 'access'), Outcome.FAILED)
  // The wait of another request is longer than the first one's timer.
  await new FakeRequest().run(script, 'log')
  await new Promise((done) => setTimeout(done, 60))
  assert.equal([request.settlements, request.answered], [[Outcome.FAILED], null])
})

test('the client leaves: nothing of the request is resumed', async () => {
  const script = await load(`${SLEEP}
    export async function access(r) { await sleep(10); r.log('resumed'); await sleep(10); r.log('again') }
    export async function rewrite(r) { await sleep(40) }`)
  const gone = new FakeRequest()
  assert.is(gone.start(script, 'access'), Outcome.SUSPENDED)
  gone.closed = true
  const abandoned = new FakeRequest()
  assert.is(abandoned.start(script, 'access'), Outcome.SUSPENDED)
  script.abandon(abandoned)
  await new FakeRequest().run(script, 'rewrite')
  assert.equal([gone.logged, gone.settlements, abandoned.logged, abandoned.settlements], [[], [], [], []])
})

test('the log hook of a client that left keeps r.ctx, and may wait', async () => {
  const script = await load(`${SLEEP}
    export async function access(r) { r.ctx.user = 'u1'; await sleep(1000) }
    export async function log(r) { await sleep(10); r.log(r.ctx.user, r.uri) }`)
  const request = new FakeRequest({ uri: '/left' })
  assert.is(request.start(script, 'access'), Outcome.SUSPENDED)
  request.closed = true
  script.abandon(request)
  const logged = request.run(script, 'log')
  // The proxy is done with the request before the hook is.
  releaseRequest(request)
  assert.is(request.scriptState, null)
  assert.is(await logged, Outcome.PASS)
  assert.equal(request.logged, ['info hooks.js: u1 /left'])
})

test('timers: arguments, order, clearing', async () => {
  const [, request] = await access(`
    setTimeout((a, b) => r.log(a + b), 12, 'x', 'y')
    clearTimeout(setTimeout(() => r.log('never'), 10))
    clearTimeout(undefined)
    clearTimeout('x')
    clearTimeout(99999)
    await sleep(30)
    r.log('end')`)
  assert.equal(request.logged, ['info hooks.js: xy', 'info hooks.js: end'])
})

test('a timer that throws is reported, the others go on', async () => {
  const [outcome, request] = await access(
    'setTimeout(() => { throw new Error("in a timer") }, 10); await sleep(30); r.log("end")',
  )
  assert.is(outcome, Outcome.PASS)
  assert.match(
    request.logged[0],
    /^error .*hooks\.js:2:\d+: Error: in a timer in a promise or timer that nobody waits for/,
  )
  assert.is(request.logged[1], 'info hooks.js: end')
})

test('a request has at most 32 timers', async () => {
  const [outcome, request] = await access('for (let i = 0; i < 33; i++) setTimeout(() => {}, 1000)')
  assert.is(outcome, Outcome.FAILED)
  assert.match(request.failure![1], 'more than 32 timers of one request')
})

test('what is not a function is no timer', async () => {
  assert.match(
    (await access('setTimeout("r.return(200)", 10)'))[1].failure![1],
    'setTimeout takes a function',
  )
  assert.match((await access('queueMicrotask(5)'))[1].failure![1], 'queueMicrotask takes a function')
})

test('rejections that nobody handles are counted and logged, handled ones are not', async () => {
  const source = `
    export function access(r) { Promise.reject(new Error('lost')) }
    export async function rewrite(r) { const p = Promise.reject(new Error('found')); try { await p } catch {} }
    export async function log(r) { throw new Error('own') }
    export function headerFilter(r) { queueMicrotask(() => { throw new Error('in a microtask') }) }`
  const script = await load(source)
  const request = new FakeRequest()
  assert.is(request.start(script, 'access'), Outcome.PASS)
  assert.is(script.stats.unhandledRejections, 1)
  assert.match(request.logged[0], /hooks\.js:2:\d+: Error: lost in a promise or timer that nobody waits for/)
  assert.is(request.start(script, 'rewrite'), Outcome.PASS)
  assert.is(request.start(script, 'log'), Outcome.FAILED)
  assert.is(script.stats.unhandledRejections, 1)
  assert.is(request.start(script, 'headerFilter'), Outcome.PASS)
  assert.is(script.stats.unhandledRejections, 2)
})

test('init may wait, and refuses the script when it fails', async () => {
  const script = await load(`${SLEEP}let ready = false
    export async function init() { await sleep(10); ready = true }
    export function access(r) { r.log(ready) }`)
  const request = new FakeRequest()
  request.start(script, 'access')
  assert.is(request.logged[0], 'info hooks.js: true')
})

test('dispose drops what waits', async () => {
  const script = await load(`${SLEEP}export async function access(r) { await sleep(10); r.return(200) }`)
  const request = new FakeRequest()
  assert.is(request.start(script, 'access'), Outcome.SUSPENDED)
  script.dispose()
  await new Promise((done) => setTimeout(done, 30))
  assert.equal([request.settlements, request.answered], [[], null])
  assert.is(new FakeRequest().start(script, 'access'), Outcome.FAILED)
})

test.run()
