// Throws random programs and random requests at the engine for a while, beside a script that wants no harm.
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest, type Script, ScriptError } from '../../runtime/script/engine.ts'
import { FakeHost, FakeRequest, load } from '../script/fake-request.ts'
import { HONEST, honest, Stalls } from './arena.ts'
import { Dice, FUZZ_PHASES, program } from './fuzz-programs.ts'

/** Seconds of one file; the runner stops it after 60. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 25)
/** Bytes that the process may have grown by. */
const GROWTH = 400e6
const PATIENCE = 200

export interface Fuzzed {
  readonly programs: number
  readonly refused: number
  readonly calls: number
  readonly table: string
}

/**
 * Runs programs from this seed on; `FUZZ_SEED` replaces it, to see again what failed.
 * @throws with the seed of the program at fault
 */
export async function fuzz(first: number): Promise<Fuzzed> {
  const given = process.env.FUZZ_SEED
  const start = given === undefined ? first : Number(given)
  const end = performance.now() + SECONDS * 1000
  const counts = { programs: 0, refused: 0, calls: 0 }
  const stalls = new Stalls()
  const bystander = await load(HONEST)
  await honest(bystander, 1)
  const before = process.memoryUsage().rss
  for (let seed = start; performance.now() < end && (given === undefined || seed === start); seed++) {
    try {
      await one(seed, counts, stalls)
      await honest(bystander, ++counts.programs + 1)
      if (given === undefined) stalls.assertBounded()
      const grown = process.memoryUsage().rss - before
      assert.ok(grown < GROWTH, `the process has grown by ${Math.round(grown / 1e6)} MB`)
    } catch (error) {
      throw new Error(`FUZZ_SEED=${seed}: ${(error as Error).message}`, { cause: error })
    }
  }
  bystander.dispose()
  return { ...counts, table: stalls.table(`fuzz from ${start} on`) }
}

async function one(seed: number, counts: { refused: number; calls: number }, stalls: Stalls): Promise<void> {
  const dice = new Dice(seed)
  const source = program(dice)
  const host = new FakeHost()
  host.fetch = (_request, events) => {
    setImmediate(() => events.failed({ kind: 'TypeError', message: 'there is no network' }))
    return { read() {}, write: () => true, finish() {}, abort() {} }
  }
  let script: Script
  try {
    const options = {
      host,
      limits: { wall: PATIENCE, memory: 16e6 },
      onError: dice.pick(['open', 'closed'] as const),
    }
    script = await stalls.measureAll(`load of ${seed}`, () => load(source, options))
  } catch (error) {
    // A mistake in the grammar would make all of them fail: the test counts them.
    assert.ok(error instanceof ScriptError, `${(error as Error).stack}`)
    counts.refused++
    return
  }
  const waiting: Promise<Outcome>[] = []
  for (let i = 0; i < 8; i++) {
    counts.calls++
    waiting.push(call(seed, script, dice, stalls))
  }
  await Promise.all(waiting)
  script.dispose()
  await new Promise((turn) => setImmediate(turn))
  const internal = host.logged.filter((line) => /script engine|internal/.test(line))
  assert.equal(internal, [], 'the engine itself is well')
}

function call(seed: number, script: Script, dice: Dice, stalls: Stalls): Promise<Outcome> {
  const request = new FakeRequest({
    uri: dice.pick(['/', '/a', '/%00', `/${'x'.repeat(3000)}`]),
    args: dice.pick(['', 'a=1&a=2&__proto__=3', '&&==&%zz', 'x'.repeat(5000)]),
    headers: dice.pick([
      [],
      [['Host', 'h']],
      [
        ['a', '\xff\xfe'],
        ['a', 'b'],
      ],
      Array.from({ length: 100 }, (_, i) => [`x-${i}`, 'v']),
    ]) as [string, string][],
    body: Buffer.from(dice.pick(['', '{}', '{"__proto__":{}}', 'a=b', '\xff\0'])),
    status: dice.pick([0, 200, 502]),
  })
  request.bodyArrives = dice.pick(['now', 'later'] as const)
  const phase = dice.pick(FUZZ_PHASES)
  const isImpatient = dice.next() < 0.2
  const name = `${phase} of ${seed}`
  const settled = new Promise<Outcome>((done) => {
    request.hookSettled = done
    const outcome = stalls.measure(name, () => request.start(script, phase))
    if (outcome !== Outcome.SUSPENDED) done(outcome)
    else if (isImpatient) {
      request.closed = true
      script.abandon(request)
      done(outcome)
    } else if (request.bodyArrives === 'later') setImmediate(() => request.deliverBody())
  })
  return settled.then((outcome) => {
    stalls.measure(name, () => releaseRequest(request))
    return outcome
  })
}
