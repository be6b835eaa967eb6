// A name that is followed: when it is asked for again, what stays while nobody knows, and what is said.

import { mock } from 'node:test'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LookupError } from '../../runtime/upstream/name-inquiry.ts'
import type { NameAnswer } from '../../runtime/upstream/name-lookup.ts'
import { NameWatch } from '../../runtime/upstream/name-watch.ts'

type Reply = NameAnswer<string> | Error

const found = (valid: number, ...records: string[]): Reply => ({ records, valid })
const FAILS = new LookupError('2: Server failure')

/** One watch with replies that are given in order; time passes when the test says so. */
class Watched {
  readonly log: string[] = []
  readonly heard: string[] = []
  asked = 0
  stopped = 0
  readonly watch: NameWatch<string>
  readonly end: () => void

  constructor(replies: Reply[], random = 0) {
    const ask = async () => {
      this.asked++
      const reply = replies.shift() ?? FAILS
      if (reply instanceof Error) throw reply
      return reply
    }
    const log = (level: string, message: string) => void this.log.push(`${level}: ${message}`)
    const options = { name: 'app.test', ask, log, random: () => random }
    this.watch = new NameWatch(options, () => this.stopped++)
    this.end = this.watch.follow((records) => this.heard.push(records.join(' ')))
  }

  async pass(ms: number): Promise<void> {
    mock.timers.tick(ms)
    await new Promise((done) => setImmediate(done))
  }
}

async function watched(replies: Reply[], random?: number): Promise<Watched> {
  const one = new Watched(replies, random)
  await one.watch.ready
  return one
}

test.before.each(() => mock.timers.enable({ apis: ['setTimeout'] }))
test.after.each(() => mock.timers.reset())

test('it is asked for again when the answer is no longer valid, and what it is then is told', async () => {
  const one = await watched([found(5_000, '1'), found(5_000, '1'), found(5_000, '1', '2')])
  await one.pass(4_999)
  assert.is(one.asked, 1)
  await one.pass(1)
  await one.pass(5_000)
  assert.equal([one.asked, one.heard], [3, ['1', '1', '1 2']])
  assert.equal(one.watch.known, ['1', '2'])
  assert.equal(one.log, [])
  one.end()
})

test('up to a tenth later, so that not all ask at once', async () => {
  const one = await watched([found(10_000, '1'), found(10_000, '1')], 0.5)
  await one.pass(10_499)
  assert.is(one.asked, 1)
  await one.pass(1)
  assert.is(one.asked, 2)
  one.end()
})

test('the last good answer stays while nobody knows; this is said once, and so is its end', async () => {
  const one = await watched([found(5_000, '1'), FAILS, FAILS, FAILS, found(5_000, '1')])
  for (const wait of [5_000, 1_000, 2_000]) await one.pass(wait)
  assert.equal([one.asked, one.watch.known], [4, ['1']])
  assert.equal(one.log, ['error: app.test could not be resolved (2: Server failure); what it had last stays'])
  await one.pass(4_000)
  assert.equal(one.log.slice(1), ['notice: app.test is resolved again'])
  assert.equal(one.heard, ['1', '1'])
  one.end()
})

test('tries come less and less often, every 30 seconds in the end', async () => {
  const one = await watched([])
  const waits: number[] = []
  for (const wait of [1, 2, 4, 8, 16, 30, 30]) {
    await one.pass(wait * 1000 - 1)
    const before = one.asked
    await one.pass(1)
    if (one.asked === before + 1) waits.push(wait)
  }
  assert.equal(waits, [1, 2, 4, 8, 16, 30, 30])
  one.end()
})

test('a name that was never known has nothing, and begins when it is', async () => {
  const one = await watched([FAILS, found(5_000, '1')])
  assert.is(one.watch.known, null)
  assert.equal(one.log, [
    'error: app.test could not be resolved (2: Server failure); it has no servers until it is',
  ])
  await one.pass(1_000)
  assert.equal([one.watch.known, one.heard], [['1'], ['1']])
  one.end()
})

test('a name that is gone has nothing any more', async () => {
  const one = await watched([found(5_000, '1'), found(10_000), found(10_000), found(5_000, '2')])
  await one.pass(5_000)
  assert.equal([one.watch.known, one.heard], [[], ['1', '']])
  await one.pass(10_000)
  await one.pass(10_000)
  assert.equal(one.heard, ['1', '', '', '2'])
  assert.equal(one.log, [
    'error: app.test could not be resolved (3: Host not found); it has no servers until it is',
    'notice: app.test is resolved again',
  ])
  one.end()
})

test('it ends with the last who follows it, and nothing is asked or told afterwards', async () => {
  const one = await watched([found(5_000, '1'), found(5_000, '2')])
  const other: string[] = []
  const endOther = one.watch.follow((records) => other.push(...records))
  one.end()
  one.end()
  await one.pass(5_000)
  assert.equal([one.heard, other, one.stopped], [['1'], ['2'], 0])
  endOther()
  await one.pass(60_000)
  assert.equal([one.asked, one.stopped], [2, 1])
})

test('an answer that comes after the end changes nothing, and nobody waits for it', async () => {
  let answer: (reply: NameAnswer<string>) => void = () => undefined
  const log: string[] = []
  const ask = () => new Promise<NameAnswer<string>>((done) => (answer = done))
  const watch = new NameWatch({ name: 'app.test', ask, log: (_, message) => log.push(message) })
  const end = watch.follow(() => log.push('heard'))
  end()
  await watch.ready
  answer({ records: ['1'], valid: 1 })
  await new Promise((done) => setImmediate(done))
  assert.equal([watch.known, log], [null, []])
})

test.run()
