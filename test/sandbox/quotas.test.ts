// Limits of number and size: what is over one is refused with a word, and what is within passes.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest } from '../../runtime/script/engine.ts'
import { BYTES_PER_SECOND, GuestLog, LINES_PER_SECOND } from '../../runtime/script/guest-log.ts'
import { FakeHost, FakeRequest, load, refusal } from '../script/fake-request.ts'

/** The text of the error that the body throws, or what it returns. */
async function outcomeOf(
  body: string,
  { top = '', limits = {}, phase = 'access' as 'access' | 'headerFilter' | 'rewrite' } = {},
): Promise<string> {
  const script = await load(
    `${top}\nexport async function ${phase}(r) { let found; try { found = await (async () => { ${body} })() } catch (e) { found = e.name + ': ' + e.message } r.variables.found = String(found) }`,
    { limits: { cpu: 2000, ...limits } },
  )
  const request = new FakeRequest({ headers: [['Host', 'example.com']] })
  const outcome = await request.run(script, phase)
  releaseRequest(request)
  script.dispose()
  return outcome === Outcome.PASS ? request.variables.found! : request.logged.join()
}

test('64 header fields of a call, not one more', async () => {
  const set = (count: number) =>
    `for (let i = 0; i < ${count}; i++) r.headersIn.set('x-' + i, 'v'); return 'done'`
  assert.is(await outcomeOf(set(64)), 'done')
  assert.is(await outcomeOf(set(65)), 'RangeError: a hook call sets at most 64 header fields')
  assert.is(
    await outcomeOf("for (;;) r.headersOut.append('x-a', 'v')"),
    'RangeError: a hook call sets at most 64 header fields',
  )
})

test('16 KiB of header fields of a call', async () => {
  const set = (bytes: number) => `r.headersIn.set('x-a', 'v'.repeat(${bytes})); return 'done'`
  assert.is(await outcomeOf(set(16_381)), 'done')
  assert.is(await outcomeOf(set(16_382)), 'RangeError: a hook call sets at most 16384 bytes of header fields')
})

test('the fields of one call do not count for the next', async () => {
  const script = await load(
    "export function access(r) { for (let i = 0; i < 60; i++) r.headersIn.set('x-' + i, 'v'); r.ctx.a = 1 }\nexport function content(r) { for (let i = 0; i < 60; i++) r.headersOut.set('x-' + i, 'v') }",
  )
  for (let i = 0; i < 3; i++) {
    const request = new FakeRequest()
    assert.is(await request.run(script, 'access'), Outcome.PASS)
    assert.is(await request.run(script, 'content'), Outcome.PASS)
    releaseRequest(request)
  }
  script.dispose()
})

test('the fields of an answer count too', async () => {
  const script = await load(
    'export function content() { return { status: 200, headers: Array.from({ length: 65 }, (_, i) => ["x-" + i, "v"]) } }',
  )
  const request = new FakeRequest()
  assert.is(await request.run(script, 'content'), Outcome.FAILED)
  assert.match(request.logged[0]!, 'at most 64 header fields')
  script.dispose()
})

test('an endless number of host calls is an overrun, with its place', async () => {
  const script = await load('export function access(r) {\n  for (;;) r.uri\n}', { limits: { cpu: 60_000 } })
  const request = new FakeRequest()
  assert.is(await request.run(script, 'access'), Outcome.FAILED)
  assert.match(request.logged[0]!, /hooks\.js:2:\d+: more than 262144 calls of host functions in one call/)
  assert.is(script.stats.hooks.access!.overruns, 1)
  script.dispose()
})

test('host calls that are caught go on being refused', async () => {
  const script = await load(
    'let n = 0; export function access(r) { for (let i = 0; i < 3e5; i++) { try { r.uri } catch { n++ } } }\nexport function log(r) { r.log(n > 0) }',
    { limits: { cpu: 60_000 } },
  )
  const request = new FakeRequest()
  assert.is(await request.run(script, 'access'), Outcome.FAILED)
  assert.is(script.stats.hooks.access!.overruns, 1)
  const next = new FakeRequest()
  await next.run(script, 'log')
  assert.is(next.logged[0], 'info hooks.js: true')
  script.dispose()
})

test('timers: 32 of a request, 1024 of a script', async () => {
  assert.is(
    await outcomeOf('for (let i = 0; i < 33; i++) setTimeout(() => {}, 1000)'),
    'RangeError: more than 32 timers of one request',
  )
  const script = await load(
    'export function access(r) { for (let i = 0; i < 32; i++) setTimeout(() => {}, 60000) }',
  )
  const requests: FakeRequest[] = []
  for (let i = 0; i < 33; i++) {
    const request = new FakeRequest()
    requests.push(request)
    assert.is(await request.run(script, 'access'), i < 32 ? Outcome.PASS : Outcome.FAILED)
  }
  assert.match(requests.at(-1)!.logged[0]!, 'a script waits for at most 1024 things at the same time')
  for (const request of requests) releaseRequest(request)
  script.dispose()
})

test('timers that are due together share the event loop with others', async () => {
  const script = await load(`
    let done = 0
    export function access(r) { for (let i = 0; i < 16; i++) setTimeout(() => { for (let t = Date.now(); Date.now() - t < 30;); done++ }, 10) }
    export function log(r) { r.variables.done = String(done) }`)
  const request = new FakeRequest()
  await request.run(script, 'access')
  let turns = 0
  for (let done = 0; done < 16; turns++) {
    await new Promise((turn) => setImmediate(turn))
    const asks = new FakeRequest()
    await asks.run(script, 'log')
    done = Number(asks.variables.done)
  }
  assert.ok(turns >= 6, `${turns} turns of the loop for half a second of timers`)
  releaseRequest(request)
  script.dispose()
})

test('a timer that waits for its turn can still be stopped', async () => {
  const script = await load(
    `
    let ran = ''
    export function access(r) {
      for (const name of ['a', 'b', 'c']) setTimeout(() => { ran += name; for (let t = Date.now(); Date.now() - t < 45;); }, 10)
      const last = setTimeout(() => { ran += 'd' }, 25)
      setTimeout(() => clearTimeout(last), 10)
    }
    export function log(r) { r.log(ran) }`,
    { limits: { cpu: 80 } },
  )
  const request = new FakeRequest()
  await request.run(script, 'access')
  await new Promise((done) => setTimeout(done, 400))
  const asks = new FakeRequest()
  await asks.run(script, 'log')
  assert.is(asks.logged[0], 'info hooks.js: abc')
  releaseRequest(request)
  script.dispose()
})

test('promise jobs: 65536 of an entry', async () => {
  const script = await load('export async function access(r) { for (;;) await null }', {
    limits: { cpu: 60_000 },
  })
  const request = new FakeRequest()
  assert.is(await request.run(script, 'access'), Outcome.FAILED)
  assert.match(request.logged[0]!, /more than 65536 promise jobs in one call in access/)
  script.dispose()
})

test('hooks that settle all at once are told in turns', async () => {
  const script = await load(`
    const waiting = []
    export function access(r) { return new Promise((done) => waiting.push(done)) }
    export function log(r) { for (const done of waiting) done({ get status() { for (let t = Date.now(); Date.now() - t < 20;); return 204 } }) }`)
  const requests = Array.from({ length: 12 }, () => new FakeRequest())
  const outcomes = requests.map((request) => request.run(script, 'access'))
  await new FakeRequest().run(script, 'log')
  let turns = 0
  for (let left = 12; left > 0; turns++) {
    left = requests.filter(({ settlements }) => settlements.length === 0).length
    await new Promise((turn) => setImmediate(turn))
  }
  assert.ok(turns >= 4, `${turns} turns`)
  assert.equal(new Set(await Promise.all(outcomes)), new Set([Outcome.ANSWER]))
  for (const request of requests) releaseRequest(request)
  script.dispose()
})

test('log lines: a number and a size per second, and one word on what was dropped', () => {
  let now = 5000
  const lines: string[] = []
  const sink = (level: string, line: string): number => lines.push(`${level} ${line}`)
  const log = new GuestLog('a.js: ', sink, () => now)
  for (let i = 0; i < 90; i++) log.write(sink, 'info', 'x'.repeat(1e6))
  const written = lines.length
  assert.ok(written < LINES_PER_SECOND && lines.join('').length < BYTES_PER_SECOND + 8192, `${written}`)
  now = 6000
  log.write(sink, 'info', 'next')
  log.write(sink, 'info', 'and another')
  assert.equal(lines.slice(written), [
    `warn a.js: ${90 - written} log lines dropped; 100 a second, 131072 bytes at most, are written`,
    'info a.js: next',
    'info a.js: and another',
  ])
})

test('dropped lines are told of even if no further one comes', async () => {
  const lines: string[] = []
  const told = new Promise<void>((done) => {
    const log = new GuestLog('a.js: ', (level, line) => {
      lines.push(`${level} ${line}`)
      done()
    })
    for (let i = 0; i < 105; i++) log.write(() => {}, 'info', 'line')
  })
  const keepsAwake = setTimeout(() => {}, 5000)
  await told
  clearTimeout(keepsAwake)
  assert.match(lines[0]!, /^warn a\.js: \d+ log lines dropped; /)
})

test('values that cross the door have a size', async () => {
  const big = (bytes: number) => `'x'.repeat(${bytes})`
  const cases: [body: string, says: RegExp][] = [
    [`r.headersIn.get(${big(1025)})`, /a header name is longer than 1024 bytes/],
    [`r.headersIn.set('a', ${big(65_537)})`, /a header value is longer than 65536 bytes/],
    [`r.variables.v = ${big(65_537)}`, /is longer than 65536 bytes/],
    [`r.variables[${big(1025)}]`, /a name is longer than 1024 bytes/],
    [`r.internalRedirect('/' + ${big(65_536)})`, /the uri is longer than 65536 bytes/],
    [`new URL('http://a/' + ${big(65_536)})`, /the URL is longer than 65536 bytes/],
    [`r.return(302, ${big(65_537)})`, /the URL is longer than 65536 bytes/],
    [`atob(${big(4_194_305)})`, /is longer than 4194304 bytes/],
    [`new TextDecoder(${big(1025)})`, /the encoding is longer than 1024 bytes/],
    ['structuredClone(Symbol())', /a symbol cannot be cloned/],
  ]
  for (const [body, says] of cases) assert.match(await outcomeOf(body), says)
  assert.match(
    await outcomeOf(`sha1(${big(4_194_305)})`, { top: "import { sha1 } from 'sluice:hash'" }),
    /the data is longer than 4194304 bytes/,
  )
})

test('a script can be as slow to load as it may, and no slower', async () => {
  const spin = (ms: number) => `for (let t = Date.now(); Date.now() - t < ${ms};);\nexport function log(r) {}`
  assert.match(
    await refusal(spin(400), { limits: { load: 20 } }),
    /hooks\.js:1:\d+: more than 20 ms of CPU time in one call/,
  )
  const script = await load(spin(40), { limits: { load: 1000 } })
  script.dispose()
})

test('what failed, where, and how often', async () => {
  const host = new FakeHost()
  const script = await load(
    `function deep(list) {
  return list.indexOf(1)
}
export function access(r) {
  deep({ __proto__: Array.prototype, length: 2 ** 53 - 1 })
}
export function content(r) {
  const words = []
  for (;;) words.indexOf(1)
}
export async function rewrite(r) {
  await new Promise(() => {})
}
export function log(r) {}`,
    { host, limits: { wall: 20 } },
  )
  const lineOf = async (phase: 'access' | 'content' | 'rewrite'): Promise<string> => {
    const request = new FakeRequest()
    assert.is(await request.run(script, phase), Outcome.FAILED)
    releaseRequest(request)
    await new Promise((done) => setTimeout(done, 15))
    return request.logged[0]!
  }
  // In a builtin that had to be cut off, in the script's own loop, and while it waited.
  assert.match(
    await lineOf('access'),
    /hooks\.js:2:\d+: more than 50 ms of CPU time in one call in access, at deep \(hooks\.js:2:\d+\), at access \(hooks\.js:5:\d+\)/,
  )
  assert.match(await lineOf('content'), /hooks\.js:9:\d+: .* in content, at content \(hooks\.js:9:\d+\)/)
  assert.match(await lineOf('rewrite'), /hooks\.js:11:23: the hook has waited for more than 20 ms in rewrite/)
  for (const phase of ['access', 'content', 'rewrite'] as const) {
    const { calls, errors, overruns } = script.stats.hooks[phase]!
    assert.equal([calls, errors, overruns], [1, 1, 1], phase)
  }
  assert.ok(script.stats.hooks.access!.cpuMicros >= 25_000, JSON.stringify(script.stats.hooks.access))
  assert.ok(script.stats.hooks.access!.slowest >= 25_000)
  for (let i = 0; i < 32; i++) await new FakeRequest().run(script, 'log')
  const { cpuMicros, slowest } = script.stats.hooks.log!
  assert.ok(cpuMicros >= slowest && cpuMicros < 50_000, `${cpuMicros} ${slowest}`)
  script.dispose()
})

test.run()
