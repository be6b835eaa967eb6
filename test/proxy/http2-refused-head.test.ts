// A refused header block on a connection that ends with the next frame, from many clients at the same moment, while the
// collector works as often as it can: Node counts the fields of such a block as memory of a session it has let go of,
// and must not find that out. Without `runtime/proxy/http2-keeper.ts` the process aborts within some hundred of them.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { askOnce, Frame, frame, headerBlock, PREFACE, pseudo } from './http2-client.ts'
import { openClient } from './journey-tools.ts'

const BATCHES = 12
const CLIENTS = 100

const port = await freePort()
const sluice = await startSluice(
  `
http {
  server { listen 127.0.0.1:${port}; http2 on; location / { return 200 short; } }
}
`,
  {},
  { nodeFlags: ['--max-semi-space-size=1'] },
)
test.after(async () => {
  await sluice.stop()
})

const POST = pseudo('/', 'POST')
const hello = Buffer.concat([Buffer.from(PREFACE, 'latin1'), frame(Frame.SETTINGS, 0, 0)])
/** A body that is declared and does not come is an error of the stream; fields behind the end, of the connection. */
const hostile = Buffer.concat([
  frame(Frame.HEADERS, 5, 1, headerBlock(POST)),
  frame(Frame.HEADERS, 5, 3, headerBlock([...POST, ['content-length', '5']])),
  frame(Frame.HEADERS, 5, 1, headerBlock([['x-sum', '1']])),
])

/** Resolves when the server has spoken, so its session is no longer of this turn. */
async function greet(): Promise<Socket> {
  const client = await openClient(port)
  client.on('end', () => client.destroy())
  const spoken = new Promise((done) => client.once('data', done).once('close', done))
  client.write(hello)
  await spoken
  return client
}

function attack(client: Socket): Promise<unknown> {
  const closed = new Promise((done) => client.once('close', done))
  client.on('data', () => client.destroy())
  client.write(hostile)
  return closed
}

async function attackAtOnce(): Promise<null> {
  const clients = await Promise.all(Array.from({ length: CLIENTS }, greet))
  await Promise.all(clients.map(attack))
  return null
}

test('refused header blocks do not end the process', async () => {
  for (let batch = 0; batch < BATCHES; batch++) {
    const ended = await Promise.race([sluice.exited, attackAtOnce()])
    assert.is(ended, null, sluice.stderr)
  }
  const { body } = await askOnce(port, '/')
  assert.is(body, 'short')
})

test.run()
