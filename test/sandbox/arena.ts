// Where hostile scripts meet the real engine: runs one case, measures how long it kept the event loop, and whether the
// process and everybody else's scripts are as well as before.
import * as assert from 'uvu/assert'
import { Outcome, type Phase } from '../../runtime/phases.ts'
import { releaseRequest, type Script } from '../../runtime/script/engine.ts'
import { threadTime } from '../../runtime/script/thread-time.ts'
import { FakeHost, FakeRequest, type LoadOptions, load } from '../script/fake-request.ts'

/**
 * What becomes of a hook call: it is over a limit; it gets an error of its own; one of the two; it ends well; or any of
 * these, because all that matters is that nothing else happens.
 */
export type Expected = 'overrun' | 'error' | 'failed' | 'pass' | 'any'

export interface AttackCase {
  readonly name: string
  /** Statements of `export function access(r) { BODY }`. */
  readonly body: string
  /** What stands above the hook. */
  readonly top?: string
  readonly phase?: Phase
  readonly expect: Expected
  /** What the error log says of it. */
  readonly says?: RegExp
  readonly limits?: LoadOptions['limits']
}

/** ms of CPU time that a script may keep the event loop at most, the default limits given. */
export const LONGEST_STALL = 100
/** A slow or busy machine gets more; the table tells the truth. */
const FACTOR = Number(process.env.STALL_FACTOR ?? 1.5)

/** Stalls by name, and the table that they make. */
export class Stalls {
  readonly #took: [name: string, ms: number][] = []

  /** Runs the action and remembers the time that it took. */
  measure<T>(name: string, action: () => T): T {
    const started = threadTime()
    try {
      return action()
    } finally {
      this.#took.push([name, threadTime() - started])
    }
  }

  /** As `measure`, for what takes several turns of the loop: the sum of them. */
  async measureAll<T>(name: string, action: () => Promise<T>): Promise<T> {
    const started = threadTime()
    try {
      return await action()
    } finally {
      this.#took.push([name, threadTime() - started])
    }
  }

  add(name: string, ms: number): void {
    this.#took.push([name, ms])
  }

  /** @param share 0.5: the median, 1: the longest */
  quantile(share: number): number {
    const sorted = this.#took.map(([, ms]) => ms).toSorted((a, b) => a - b)
    return sorted[Math.floor(share * (sorted.length - 1))] ?? 0
  }

  get longest(): number {
    return Math.max(0, ...this.#took.map(([, ms]) => ms))
  }

  table(title: string): string {
    const sorted = this.#took.toSorted((a, b) => b[1] - a[1])
    const at = (share: number) => this.quantile(share).toFixed(1)
    const worst = sorted.slice(0, 5).map(([name, ms]) => `  ${ms.toFixed(1).padStart(7)} ms  ${name}`)
    const head = `${title}: ${sorted.length} entries, stall p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`
    return [head, ...worst, ''].join('\n')
  }

  assertBounded(): void {
    assert.ok(this.longest <= LONGEST_STALL * FACTOR, this.table('too long'))
  }
}

/** The script of a case, with a hook that says whether it is still alive. */
export function sourceOf({ top = '', body, phase = 'access' }: AttackCase): string {
  return `${top}\nexport function ${phase}(r, upstream) { ${body}\n}\nexport function log(r) { r.variables.alive = 'yes' }`
}

export interface Ended {
  readonly outcome: Outcome
  readonly request: FakeRequest
}

/** Runs a hook until it has settled. Each entry that it takes is measured. */
export async function attack(script: Script, one: AttackCase, stalls: Stalls): Promise<Ended> {
  const request = new FakeRequest({ args: 'a=1&b=2', headers: [['Host', 'example.com']] })
  const settled = request.run.bind(request)
  const run = stalls.measure(one.name, () => settled(script, one.phase ?? 'access'))
  const outcome = await run
  stalls.measure(one.name, () => releaseRequest(request))
  return { outcome, request }
}

/** Loads the case's script alone, attacks, checks the outcome, and that the next request is served. */
export async function fight(one: AttackCase, stalls: Stalls): Promise<Ended> {
  const host = new FakeHost()
  const script = await load(sourceOf(one), { host, ...(one.limits && { limits: one.limits }) })
  const ended = await attack(script, one, stalls)
  check(one, script, ended)
  await serves(script)
  assert.equal(
    host.logged.filter((line) => line.startsWith('alert')),
    [],
    'the engine itself is well',
  )
  script.dispose()
  return ended
}

function check(
  { expect, says, phase = 'access' }: AttackCase,
  script: Script,
  { outcome, request }: Ended,
): void {
  const stats = script.stats.hooks[phase as 'access']!
  const lines = request.logged.join('\n')
  if (expect === 'pass') assert.ok(outcome !== Outcome.FAILED, `it should have passed: ${lines}`)
  else if (expect !== 'any') assert.is(outcome, Outcome.FAILED, `it should have failed: ${lines}`)
  if (expect === 'overrun') assert.is(stats.overruns, 1, `it should have overrun: ${lines}`)
  if (expect === 'error') assert.is(stats.overruns, 0, `it should not have overrun: ${lines}`)
  if (says !== undefined) assert.match(lines, says)
}

/** The script's log hook runs, at the latest when the sandbox that was lost may be made anew. */
export async function serves(script: Script): Promise<void> {
  for (let tries = 0; ; tries++) {
    const request = new FakeRequest()
    const outcome = await request.run(script, 'log')
    releaseRequest(request)
    if (outcome === Outcome.PASS) return assert.is(request.variables.alive, 'yes')
    assert.ok(tries < 60, `it does not serve any more: ${request.logged.join()}`)
    await new Promise((done) => setTimeout(done, 20))
  }
}

/** A script that wants no harm, with the answer that it must give whatever others do. */
export const HONEST = `
  import { crc32 } from 'sluice:hash'
  let served = 0
  export async function access(r) {
    r.headersIn.set('x-key', String(crc32(r.uri)))
    await null
    const sum = Object.keys(Object.prototype).length + Object.keys(globalThis).length
    r.variables.said = [++served, r.uri, r.headersIn.get('x-key'), sum, [3, 1, 2].sort().join(''), 'abc'.startsWith('b')].join(' ')
  }`

/** Serves one request of the honest script. @throws when it does not get what it always got */
export async function honest(script: Script, count: number): Promise<void> {
  const request = new FakeRequest({ uri: '/honest' })
  const outcome = await request.run(script, 'access')
  releaseRequest(request)
  assert.is(outcome, Outcome.PASS, request.logged.join())
  assert.is(request.variables.said, `${count} /honest 2646863179 0 123 false`)
}
