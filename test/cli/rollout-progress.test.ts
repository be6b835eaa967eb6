// A roll-out as people see it: in place on a terminal, line by line in a file, and in the end.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RefusedError } from '../../runtime/cli/admin-client.ts'
import { concludeRollout, RolloutProgress } from '../../runtime/cli/rollout-progress.ts'
import { refusalLines } from '../../runtime/cli/rollout-text.ts'
import { makeStyle } from '../../runtime/cli/style.ts'
import { rollout } from '../admin/fleet-double.ts'

const ESC = '\x1b'
const plain = makeStyle(false)

/** What a screen is told, one text for each look. */
function shown(
  screen: { isTTY?: boolean; columns?: number; rows?: number },
  ...looks: readonly (readonly string[])[]
): string[] {
  const told: string[] = []
  const progress = new RolloutProgress({ ...screen, write: (text: string) => told.push(text) }, plain)
  return looks.map((machines) => {
    told.length = 0
    progress.show(rollout('asking', machines))
    return told.join('')
  })
}

test('a line for each change of state, where there is no terminal', () => {
  const looks = shown(
    {},
    ['web-2 asked', 'web-10 asked'],
    ['web-2 ready', 'web-10 asked'],
    ['web-2 ready', 'web-10 ready'],
    ['web-2 ready', 'web-10 ready'],
    ['web-2 serving', 'web-10 failed the disk is full\nmore of it'],
  )
  assert.equal(looks, [
    'push a.js d1d1d1d1d1d1d1d1 by ann\n',
    '  web-2   ready\n',
    '  web-10  ready\n',
    '',
    '  web-10  failed   the disk is full\n  web-2   serving  generation 7 after 30 ms\n',
  ])
})

test('on a terminal the lines are drawn again where they stand', () => {
  const looks = shown({ isTTY: true }, ['a asked', 'b asked'], ['a ready', 'b away'], ['a ready', 'b away'])
  const again = `${ESC}[2A${ESC}[2K  a  ready\n${ESC}[2K  b  away     catches up when it is back\n`
  assert.equal(looks, [
    `push a.js d1d1d1d1d1d1d1d1 by ann\n${ESC}[2K  a  asked\n${ESC}[2K  b  asked\n`,
    again,
    again,
  ])
})

test('a machine that comes later has a line of its own', () => {
  const [, second, third] = shown(
    { isTTY: true },
    ['a asked'],
    ['a asked', 'b asked'],
    ['a asked', 'b asked'],
  )
  assert.is(second, `${ESC}[1A${ESC}[2K  a  asked\n${ESC}[2K  b  asked\n`)
  assert.is(third.startsWith(`${ESC}[2A`), true)
})

test('no line is longer than the terminal, and what does not fit on it is not drawn in place', () => {
  const [look] = shown({ isTTY: true, columns: 40 }, [`web-1 refused ${'x'.repeat(100)}`])
  assert.is(look.split('\n')[1].replace(`${ESC}[2K`, '').length, 39)
  const [narrow] = shown({ isTTY: true, columns: 20 }, [`${'long'.repeat(10)} refused no`])
  assert.is(narrow.split('\n')[1], `${ESC}[2K  longlo  refused`)
  const machines = Array.from({ length: 10 }, (_, i) => `m${i} ready`)
  const [tall] = shown({ isTTY: true, rows: 10 }, machines)
  assert.not.match(tall, ESC)
  assert.is(tall.match(/ready/g)?.length, 10)
})

test('nothing that other machines say moves the cursor', () => {
  const [look] = shown({}, [`web${ESC}[2J refused ${ESC}]0;title\x07 \u202etxt`])
  assert.is(look, 'push a.js d1d1d1d1d1d1d1d1 by ann\n  web?[2J  refused  ?]0;title? ?txt\n')
  const lines = refusalLines(rollout('refused', [`web-2 refused a.js:1:2: no\n  r${ESC}[31m\n  ^`]))
  assert.equal(lines.slice(1), ['  web-2: a.js:1:2: no\n      r?[31m\n      ^'])
})

test('served everywhere: 0; not everywhere: 1, and why', () => {
  assert.equal(concludeRollout(rollout('done', ['a serving', 'b serving', 'c unused']), true), {
    out: 'a.js is version d1d1d1d1d1d1d1d1 on 2 of 2 machines\n',
    faults: '',
    code: 0,
  })
  assert.equal(concludeRollout(rollout('done', ['a serving', 'b failed no disk', 'c away']), true), {
    out: 'a.js is version d1d1d1d1d1d1d1d1 on 1 of 3 machines\n',
    faults: 'sluice: b failed: no disk\nsluice: c is away; it catches up when it is back\n',
    code: 1,
  })
})

test('who was not waited for follows; who was has not answered', () => {
  const under = rollout('recorded', ['a serving', 'b ready'], { kind: 'rollback' })
  assert.equal(concludeRollout(under, false), {
    out: 'a.js is version d1d1d1d1d1d1d1d1 on 1 of 2 machines, 1 to follow\n',
    faults: '',
    code: 0,
  })
  assert.equal(concludeRollout(under, true), {
    out: 'a.js is version d1d1d1d1d1d1d1d1 on 1 of 2 machines\n',
    faults: 'sluice: b has not answered yet\n',
    code: 1,
  })
})

test('a canary is told with its share, and its end', () => {
  const canary = { percent: 250, key: '$arg_u' }
  assert.is(
    concludeRollout(rollout('done', ['a serving'], { kind: 'canary', canary }), true).out,
    'a.js has the canary d1d1d1d1d1d1d1d1 for 2.5 % by $arg_u on 1 of 1 machines\n',
  )
  assert.is(
    concludeRollout(rollout('done', ['a serving'], { kind: 'remove' }), true).out,
    'a.js has no canary any more on 1 of 1 machines\n',
  )
})

test('a refusal is an error with the reasons of the machines', () => {
  const refused = rollout('refused', ['a ready', 'b refused a.js:1:2: no'], { reason: 'b refuses it' })
  try {
    concludeRollout(refused, true)
    assert.unreachable()
  } catch (error) {
    assert.is((error as RefusedError).message, 'b refuses it')
    assert.is((error as RefusedError).rollout, refused)
  }
  assert.equal(refusalLines(refused), [
    'the push of a.js is refused, and nothing has changed',
    '  b: a.js:1:2: no',
  ])
  const nobody = rollout('refused', ['a unused'], { reason: 'no machine has a script "a.js"' })
  assert.equal(refusalLines(nobody), ['no machine has a script "a.js"; nothing has changed'])
})

test.run()
