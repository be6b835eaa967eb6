// Scripts that want all the memory, or stacks without an end, hurt themselves alone.
import { test } from 'uvu'
import { fight, Stalls } from './arena.ts'
import { MEMORY_CASES, STACK_CASES } from './cases-memory.ts'

const stalls = new Stalls()

for (const one of [...MEMORY_CASES, ...STACK_CASES]) test(one.name, () => fight(one, stalls).then(() => {}))

test('none of them stalls the event loop for longer than it may', () => {
  process.stdout.write(`\n${stalls.table('memory and stack')}`)
  stalls.assertBounded()
})

test.run()
