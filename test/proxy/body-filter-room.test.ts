// When the upstream has to wait for what stands before its client: only if a write of this read found no room, or it
// would wait for a word that has come already.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FieldBlock } from '../../runtime/http1/fields.ts'
import type { ResponseHead } from '../../runtime/http1/response-reader.ts'
import type { ResponseOutput } from '../../runtime/proxy/exchange.ts'
import { Step } from '../../runtime/proxy/step.ts'
import { UpstreamBody } from '../../runtime/proxy/upstream-body.ts'
import type { UpstreamCall } from '../../runtime/proxy/upstream-call.ts'
import { makeExchange } from './file-exchange.ts'

/** A chunked response of 4 KiB buffers, before an output that says what the test says. */
function relayed() {
  const { x } = makeExchange()
  const output = { room: true, pendingBytes: 0, sendHead: () => true, sendBody: () => output.room }
  x.output = output as unknown as ResponseOutput
  const connection = { beginBody: () => null, resume() {}, touch() {}, chunkOwned: true }
  const call = {
    x,
    plan: { settings: { proxyBuffering: false, proxyBufferSize: 4096 } },
    connection,
    record: { responseLength: 0 },
    readTimeout: 1000,
  } as unknown as UpstreamCall
  const body = new UpstreamBody(call)
  const fields = FieldBlock.from([['Transfer-Encoding', 'chunked']])
  assert.is(body.frame({ status: 200, version: 11, fields } as ResponseHead), null)
  assert.is(body.relay(), Step.SUSPENDED)
  return { x, output, reads: (text: string) => body.data(Buffer.from(text, 'latin1')) }
}

test('no room, and more held than may be: it waits', () => {
  const { x, output, reads } = relayed()
  Object.assign(output, { room: false, pendingBytes: 4096 })
  assert.is(reads('1\r\na\r\n'), true)
  assert.is(x.onDrained, null)
  output.pendingBytes = 4097
  assert.is(reads('1\r\nb\r\n'), false)
  assert.type(x.onDrained, 'function')
})

test('room: it goes on, whatever is held', () => {
  const { output, reads } = relayed()
  output.pendingBytes = 1_000_000
  assert.is(reads('1\r\na\r\n'), true)
})

test('there was no room, there is now, and this read has nothing to write: it goes on', () => {
  const { x, output, reads } = relayed()
  Object.assign(output, { room: false, pendingBytes: 3000 })
  assert.is(reads('1\r\na\r\n'), true)
  Object.assign(output, { room: true, pendingBytes: 5000 })
  assert.is(reads('1'), true)
  assert.is(x.onDrained, null)
})

test.run()
