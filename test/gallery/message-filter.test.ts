// WebSocket message filter: what passes, what is covered, what is refused.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { testScript } from '../../runtime/testing/index.ts'
import { gallery } from './gallery.ts'

const params = { words: 'darn,h*ck', max: 60 }

test('known messages pass as they are, and listed words are covered', async () => {
  const script = await testScript(gallery('message-filter.js'), { params })
  const passed = await script.wsMessage('{"type": "message", "text": "hello"}')
  assert.is(passed.outcome, 'pass')
  assert.is(passed.message, '{"type": "message", "text": "hello"}')
  const covered = await script.wsMessage('{"type":"message","text":"Darn it, darning h*ck"}')
  assert.is(covered.outcome, 'replaced')
  assert.is(covered.message, '{"type":"message","text":"**** it, darning ****"}')
  script.dispose()
})

test('others are dropped, and the sender is told', async () => {
  const script = await testScript(gallery('message-filter.js'), { params })
  const cases: [message: string, reason: string][] = [
    ['not JSON', 'not understood'],
    ['[]', 'not understood'],
    ['null', 'not understood'],
    ['{"type":"admin"}', 'not understood'],
    [JSON.stringify({ type: 'message', text: 'x'.repeat(60) }), 'too long'],
  ]
  for (const [message, reason] of cases) {
    const { outcome, message: passed, sent } = await script.wsMessage(message)
    assert.is(outcome, 'dropped', message)
    assert.is(passed, null)
    assert.equal(sent, [{ to: 'client', data: JSON.stringify({ type: 'refused', reason }), binary: false }])
  }
  script.dispose()
})

test('binary messages close the connection; the server may send what it likes', async () => {
  const script = await testScript(gallery('message-filter.js'), { params })
  const binary = await script.wsMessage(new Uint8Array([1, 2]))
  assert.is(binary.outcome, 'dropped')
  assert.equal(binary.close, { code: 1003, reason: 'texts only' })
  const back = await script.wsMessage({ from: 'upstream', data: new Uint8Array([1, 2]) })
  assert.is(back.outcome, 'pass')
  assert.equal(back.message, new Uint8Array([1, 2]))
  script.dispose()
})

test.run()
