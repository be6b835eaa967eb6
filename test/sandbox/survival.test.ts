// One process, all attacks one after the other, and beside them a script that must never notice.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { FakeHost, load } from '../script/fake-request.ts'
import { type AttackCase, attack, HONEST, honest, Stalls, serves, sourceOf } from './arena.ts'
import { CPU_CASES } from './cases-cpu.ts'
import { ENGINE_BUGS, RETURNS } from './cases-escape.ts'
import { MEMORY_CASES, STACK_CASES } from './cases-memory.ts'

const ALL: readonly AttackCase[] = [...CPU_CASES, ...MEMORY_CASES, ...STACK_CASES, ...RETURNS, ...ENGINE_BUGS]

test('no attack reaches another script, and the process stays as large as it was', async () => {
  const stalls = new Stalls()
  const bystander = await load(HONEST)
  await honest(bystander, 1)
  let served = 1
  let before = 0
  for (const one of ALL) {
    const script = await load(sourceOf(one), {
      host: new FakeHost(),
      ...(one.limits && { limits: one.limits }),
    })
    const attacked = attack(script, one, stalls)
    await honest(bystander, ++served)
    const { outcome } = await attacked
    assert.ok(outcome !== Outcome.SUSPENDED)
    await honest(bystander, ++served)
    await serves(script)
    script.dispose()
    if (served < 100) before = process.memoryUsage().rss
  }
  assert.is(bystander.stats.respawns, 0)
  assert.is(bystander.stats.hooks.access!.errors, 0)
  assert.is(bystander.stats.hooks.access!.calls, served)
  const grown = process.memoryUsage().rss - before
  process.stdout.write(
    `\n${stalls.table(`all ${ALL.length} attacks in one process`)}  ${Math.round(grown / 1e6)} MB more\n`,
  )
  assert.ok(grown < 300e6, `${grown / 1e6} MB`)
  stalls.assertBounded()
  bystander.dispose()
})

test.run()
