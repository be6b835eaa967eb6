// A script that wants the processor for itself is stopped; the proxy waits for it less than a tenth of a second.
import { test } from 'uvu'
import { fight, Stalls } from './arena.ts'
import { CPU_CASES } from './cases-cpu.ts'

const stalls = new Stalls()

for (const one of CPU_CASES) test(one.name, () => fight(one, stalls).then(() => {}))

test('none of them stalls the event loop for longer than it may', () => {
  process.stdout.write(`\n${stalls.table('cpu')}`)
  stalls.assertBounded()
})

test.run()
