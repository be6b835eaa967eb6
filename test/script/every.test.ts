// sluice.every: when its functions run, that they do not overlap, what their failures do; by a clock of the test's own.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ScriptClock } from '../../runtime/phases.ts'
import type { Script } from '../../runtime/script/engine.ts'
import { FakeHost, FakeRequest, load, refusal } from './fake-request.ts'

/** Time goes on when the test says so. */
class TestClock implements ScriptClock {
  readonly seed = null
  #now = 1_000_000
  #timers = new Set<{ at: number; callback: () => void }>()

  now(): number {
    return this.#now
  }

  setTimeout(callback: () => void, ms: number): unknown {
    const timer = { at: this.#now + ms, callback }
    this.#timers.add(timer)
    return timer
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as never)
  }

  /** Timers that wait. */
  get size(): number {
    return this.#timers.size
  }

  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#now = due.at
      due.callback()
    }
    this.#now = end
  }
}

class TimedHost extends FakeHost {
  readonly clock = new TestClock()
}

/** A script in service, its host, and what it has logged. */
async function serving(
  source: string,
  limits = {},
): Promise<{ script: Script; host: TimedHost; lines: () => string[] }> {
  const host = new TimedHost()
  const script = await load(`${source}\nexport function access() {}`, { host, limits })
  script.start()
  return { script, host, lines: () => host.logged.splice(0) }
}

test('functions run at their times, from when the script is in service until it is not', async () => {
  const host = new TimedHost()
  const script = await load(
    `sluice.every('1s', () => console.log('a', sluice.phase))
    export function init() { sluice.every(2500, () => console.log('b')) }
    export function access() {}`,
    { host },
  )
  host.clock.advance(10_000)
  assert.equal(host.logged, [])
  script.start()
  host.clock.advance(999)
  assert.equal(host.logged, [])
  host.clock.advance(2001)
  assert.equal(host.logged.splice(0), [
    'info hooks.js: a timer',
    'info hooks.js: a timer',
    'info hooks.js: b',
    'info hooks.js: a timer',
  ])
  script.stop()
  host.clock.advance(10_000)
  assert.equal(host.logged, [])
  assert.is(host.clock.size, 0)
  assert.equal(script.stats.repeats, { runs: 4, errors: 0, overruns: 0, skipped: 0 })
  script.dispose()
})

test('a script that two generations serve with runs them once, until both have gone', async () => {
  const { script, host, lines } = await serving("sluice.every('1s', () => console.log('a'))")
  script.start()
  host.clock.advance(1000)
  assert.is(lines().length, 1)
  script.stop()
  host.clock.advance(1000)
  assert.is(lines().length, 1)
  script.stop()
  host.clock.advance(1000)
  assert.is(lines().length, 0)
  script.dispose()
})

test('the handle stops one', async () => {
  const { script, host, lines } = await serving(`
    let count = 0
    const handle = sluice.every('1s', () => { console.log('a'); if (++count === 2) { handle.stop(); handle.stop() } })
    sluice.every('1s', () => console.log('b'))`)
  host.clock.advance(4000)
  assert.is(
    lines()
      .map((line) => line.slice(-1))
      .join(''),
    'ababbb',
  )
  script.dispose()
})

test('a run that still waits makes the next ones skip', async () => {
  const { script, host, lines } = await serving(`
    sluice.every('1s', async () => {
      console.log('begins')
      await new Promise((done) => setTimeout(done, 2500))
      console.log('ends')
    })`)
  host.clock.advance(4000)
  assert.equal(
    lines().map((line) => line.slice(15)),
    ['begins', 'ends', 'begins'],
  )
  assert.equal(script.stats.repeats, { runs: 2, errors: 0, overruns: 0, skipped: 2 })
  script.dispose()
})

test('a failing run is logged with its line, counted, and changes nothing for the next', async () => {
  const cases: [body: string, line: RegExp, overruns: number][] = [
    ["() => { throw new Error('mine') }", /^error .*hooks\.js:1:\d+: Error: mine in sluice\.every, at/, 0],
    [
      "async () => { throw new Error('mine') }",
      /^error .*hooks\.js:1:\d+: Error: mine in sluice\.every, at/,
      0,
    ],
    [
      "async () => { await new Promise((done) => setTimeout(done, 10)); throw new Error('mine') }",
      /Error: mine in sluice\.every/,
      0,
    ],
    ['() => ({ then(done, fail) { fail(new Error("mine")) } })', /Error: mine in sluice\.every/, 0],
    ['() => { for (;;); }', /more than 20 ms of CPU time in one call in sluice\.every/, 1],
    [
      'async () => { await new Promise((done) => setTimeout(done, 10)); for (;;); }',
      /more than 20 ms of CPU time in one call in sluice\.every/,
      1,
    ],
    [
      'async () => { await new Promise((done) => setTimeout(done, 10)); try { for (;;); } catch {} }',
      /more than 20 ms of CPU time in one call in sluice\.every/,
      1,
    ],
    ['() => new Promise(() => {})', /the function has waited for more than 300 ms in sluice\.every/, 1],
  ]
  for (const [body, expected, overruns] of cases) {
    const { script, host, lines } = await serving(`sluice.every('1s', ${body})`, { cpu: 20, wall: 300 })
    host.clock.advance(1500)
    const logged = lines()
    assert.is(logged.length, 1, body)
    assert.match(logged[0], expected)
    host.clock.advance(1000)
    assert.equal(script.stats.repeats, { runs: 2, errors: 2, overruns: 2 * overruns, skipped: 0 }, body)
    assert.is(script.stats.unhandledRejections, 0)
    script.dispose()
    assert.is(host.clock.size, 0)
  }
})

test('a lost sandbox is made anew for its functions, without a request', async () => {
  const { script, host, lines } = await serving(
    `let runs = 0
    sluice.every('1s', () => { console.log('run', ++runs); if (runs === 2) Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) })`,
    { cpu: 20 },
  )
  host.clock.advance(2000)
  const [first, second, failed, lost] = lines()
  assert.equal([first, second], ['info hooks.js: run 1', 'info hooks.js: run 2'])
  assert.match(failed, /^error .*more than 20 ms of CPU time.* in sluice\.every/)
  assert.match(lost, /^warn .*the sandbox was lost/)
  while (script.memoryUsed === 0) await new Promise((next) => setTimeout(next, 1))
  host.clock.advance(1000)
  assert.equal(lines(), ['info hooks.js: run 1'])
  assert.is(script.stats.respawns, 1)
  script.dispose()
  assert.is(host.clock.size, 0)
})

test('a sandbox that a request made anew has its own', async () => {
  const host = new TimedHost()
  const script = await load(
    `let runs = 0
    sluice.every('1s', () => console.log('run', ++runs))
    export function rewrite() { Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }
    export function access() {}`,
    { host, limits: { cpu: 20 } },
  )
  script.start()
  host.clock.advance(1000)
  new FakeRequest().start(script, 'rewrite')
  new FakeRequest().start(script, 'access')
  host.logged.length = 0
  host.clock.advance(1000)
  assert.equal(host.logged, ['info hooks.js: run 1'])
  script.dispose()
})

test('what it does not take', async () => {
  const cases: [call: string, message: RegExp][] = [
    ["sluice.every('1s')", /TypeError: sluice\.every takes an interval and a function/],
    [
      "sluice.every('soon', () => {})",
      /TypeError: sluice\.every takes a time such as "10s", or milliseconds/,
    ],
    ['sluice.every({}, () => {})', /TypeError: the interval of sluice\.every is a string/],
    ["sluice.every('99ms', () => {})", /RangeError: sluice\.every takes a time from 100ms/],
    ['sluice.every(99.9, () => {})', /RangeError: sluice\.every takes a time from 100ms/],
    ['sluice.every(NaN, () => {})', /RangeError: sluice\.every takes a time from 100ms/],
    ['sluice.every(2 ** 31, () => {})', /RangeError: sluice\.every takes a time from 100ms to 2147483647ms/],
    [
      'for (let i = 0; i < 33; i++) sluice.every(1000, () => {})',
      /RangeError: sluice\.every: more than 32 of one script/,
    ],
  ]
  for (const [call, message] of cases)
    assert.match(await refusal(`${call}\nexport function access() {}`), message)
})

test('only while the script loads', async () => {
  const script = await load("export function access(r) { sluice.every('1s', () => {}) }")
  const request = new FakeRequest()
  request.start(script, 'access')
  assert.match(request.logged[0], /TypeError: sluice\.every is possible only while the script loads/)
  script.dispose()
})

test.run()
