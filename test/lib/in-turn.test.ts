import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InTurn } from '../../runtime/lib/in-turn.ts'

test('work follows work, also after one that failed', async () => {
  const turn = new InTurn()
  const said: string[] = []
  const work = (name: string, fails = false) =>
    turn.run(async () => {
      said.push(`${name} begins`)
      await new Promise((next) => setImmediate(next))
      said.push(`${name} ends`)
      if (fails) throw new Error(name)
      return name
    })
  const answers = await Promise.allSettled([work('a'), work('b', true), work('c')])
  assert.equal(said, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
  assert.equal(
    answers.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.message)),
    ['a', 'b', 'c'],
  )
})

test.run()
