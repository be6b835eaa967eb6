// Random programs do no harm: half a minute of them. The seed of one that does is in the error; FUZZ_SEED repeats it.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fuzz } from './fuzz-run.ts'

test('random programs and random requests', async () => {
  const seed = Number(process.env.FUZZ_START ?? 1)
  process.stdout.write(`\nseeds from ${seed} on\n`)
  const { programs, refused, calls, table } = await fuzz(seed)
  process.stdout.write(`${programs} programs, ${refused} refused, ${calls} calls\n${table}`)
  if (process.env.FUZZ_SEED === undefined) assert.ok(calls > 2 * programs, 'most of them run')
})

test.run()
