// What hooks have done in all: sums over scripts that come and go, for a bounded number of files.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HookTotals } from '../runtime/hook-totals.ts'

type Counted = Parameters<HookTotals['update']>[0] extends Iterable<infer T> ? T : never

function script(file: string, calls: number): Counted {
  const hooks = { access: { calls, errors: 0, overruns: 0, cpuMicros: calls * 2 } }
  return { file, stats: { hooks } } as unknown as Counted
}

test('what a script has done is added once, however often it is told of', () => {
  const totals = new HookTotals()
  const first = script('a.js', 3)
  totals.update([first, first])
  totals.update([first, script('a.js', 4)])
  assert.equal(totals.byFile.get('a.js')?.get('access'), { calls: 7, errors: 0, overruns: 0, cpuMicros: 14 })
})

test('of a thousand files and more those that served last are known', () => {
  const totals = new HookTotals()
  const stays = script('stays.js', 1)
  for (let i = 0; i < 1500; i++) totals.update([script(`canary-${i}.js`, 1), stays])
  assert.is(totals.byFile.size, 1000)
  assert.is(totals.byFile.get('stays.js')?.get('access')?.calls, 1)
  assert.ok(totals.byFile.has('canary-1499.js'))
  assert.not.ok(totals.byFile.has('canary-0.js'))
})

test.run()
