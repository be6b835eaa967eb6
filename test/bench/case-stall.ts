// How long hostile scripts keep the event loop: the attacks of `test/sandbox/`, in this process.

import { type AttackCase, attack, Stalls, serves, sourceOf } from '../sandbox/arena.ts'
import { CPU_CASES } from '../sandbox/cases-cpu.ts'
import { ENGINE_BUGS, RETURNS } from '../sandbox/cases-escape.ts'
import { MEMORY_CASES, STACK_CASES } from '../sandbox/cases-memory.ts'
import { FakeHost, load } from '../script/fake-request.ts'
import { markdownTable, type Row } from './table.ts'

const CLASSES: readonly (readonly [name: string, cases: readonly AttackCase[]])[] = [
  ['CPU time', CPU_CASES],
  ['memory', MEMORY_CASES],
  ['stack', STACK_CASES],
  ['engine bugs and odd results', [...ENGINE_BUGS, ...RETURNS]],
]

/** A table of all classes, and the worst attacks. */
export async function stallCase(rounds: number): Promise<string> {
  const rows: Row[] = []
  const all = new Stalls()
  for (const [name, cases] of CLASSES) {
    const stalls = new Stalls()
    for (let round = 0; round < rounds; round++) for (const one of cases) await fight(one, [stalls, all])
    rows.push(row(name, cases.length, stalls))
  }
  const total = CLASSES.reduce((sum, [, cases]) => sum + cases.length, 0)
  rows.push(row('**all**', total, all))
  return markdownTable(['attacks', 'scripts', 'p50 ms', 'p99 ms', 'max ms'], rows)
}

function row(name: string, count: number, stalls: Stalls): Row {
  return { name, values: [String(count), ...[0.5, 0.99, 1].map((share) => stalls.quantile(share))] }
}

async function fight(one: AttackCase, stalls: readonly Stalls[]): Promise<void> {
  const script = await load(sourceOf(one), {
    host: new FakeHost(),
    ...(one.limits && { limits: one.limits }),
  })
  const measured = new Stalls()
  await attack(script, one, measured)
  for (const each of stalls) each.add(one.name, measured.longest)
  await serves(script)
  script.dispose()
}
