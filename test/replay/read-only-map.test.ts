// A session map in the shadow: what is asked is answered, what would change it is not carried out.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ScriptMap } from '../../runtime/phases.ts'
import { readOnlyMap } from '../../runtime/replay/read-only-map.ts'

/** Holds `n` as 5; whatever would change it fails the test. */
function held(): ScriptMap {
  const refuse = (): never => {
    throw new Error('the map was changed')
  }
  const value = (key: string) => (key === 'n' ? '5' : null)
  return {
    name: 'm',
    onError: 'hash',
    peek: value,
    get: async (key) => value(key),
    set: refuse,
    add: refuse,
    compareAndSet: refuse,
    replace: refuse,
    incr: refuse,
    touch: refuse,
    delete: refuse,
    entries: async () => ({ entries: [{ key: 'n', value: '5' }], cursor: null }),
    owe: refuse,
  }
}

test('changes say what they would have come to, and are not made', async () => {
  const map = readOnlyMap(held())
  assert.is(map.peek('n'), '5')
  assert.is(await map.get('m'), null)
  assert.is(await map.set('n', '6'), undefined)
  assert.is(await map.add('n', '6'), '5')
  assert.is(await map.add('m', '6'), null)
  assert.is(await map.compareAndSet('n', '5', '6'), true)
  assert.is(await map.compareAndSet('n', '4', '6'), false)
  assert.is(await map.replace('n', '5', '6'), '6')
  assert.is(await map.replace('n', '4', '6'), '5')
  assert.is(await map.incr('n', 2), 7)
  assert.is(await map.touch('n'), true)
  assert.is(await map.delete('m'), false)
  assert.is((await map.entries(null, 10)).entries.length, 1)
  map.owe('n', '6')
  assert.is(await map.get('n'), '5')
})

test.run()
