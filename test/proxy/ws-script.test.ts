// WebSocket hooks as scripts, in a process of their own: a chat filter with a login, awaiting, state over a swap.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { until } from './journey-tools.ts'
import { handUpstream, openEnd } from './ws-tools.ts'

const script = (version: string) => `
export function wsOpen(r, ws) {
  ws.state = { count: 0 }
  ws.send('upstream', 'login ' + r.variables.arg_user + ' ' + ws.reconnects)
}
export async function wsMessage(r, msg, ws) {
  ws.state.count++
  if (msg.binary) return new Uint8Array([msg.data.length])
  if (msg.data === 'secret') return null
  if (msg.data === 'bye') return void ws.close(4000, 'enough')
  if (msg.data === 'late') await new Promise((next) => setTimeout(next, 50))
  if (msg.data === 'throw') throw new Error('boom')
  if (msg.from === 'client') return '${version}' + ws.state.count + ' ' + msg.data
}
export function wsClose(r, info, ws) {
  r.warn('closed by ' + info.by + ' ' + info.code + ' ' + info.reason + ' after ' + ws.state.count)
}
`

const upstream = await handUpstream()
const port = await freePort()
const sluice = await startSluice(
  `
http {
  server {
    listen 127.0.0.1:${port};
    location /ws { proxy_pass http://${upstream.address}; script chat.js; ws_close_timeout 300ms; }
    location /again { proxy_pass http://${upstream.address}; script chat.js; ws_reconnect on; ws_close_timeout 300ms; }
  }
}
`,
  { 'chat.js': script('v') },
)
test.after(async () => {
  await sluice.stop()
  await upstream.close()
})

async function pair(path: string) {
  const count = upstream.ends.length + 1
  const client = await openEnd(port, path)
  return { client, peer: await upstream.next(count) }
}

test('messages are changed, dropped and delayed in their order; a close says how many there were', async () => {
  const { client, peer } = await pair('/ws?user=7')
  for (const word of ['a', 'secret', 'late', 'b']) client.text(word)
  client.send(2, Buffer.alloc(5))
  peer.text('from upstream')
  await peer.seen(5)
  assert.match(peer.words.join('|'), /^text login 7 0\|text v\d a\|text v\d late\|text v\d b\|binary 05$/)
  assert.equal(await client.seen(1), ['text from upstream'])
  client.text('bye')
  assert.equal((await client.seen(2))[1], 'close 4000 enough')
  await until('the line', () => /closed by script 4000 enough after 7/.test(sluice.errorLog()))
})

test('a hook that throws closes both sides with 1011', async () => {
  const { client, peer } = await pair('/ws?user=1')
  client.text('throw')
  assert.equal(await client.seen(1), ['close 1011'])
  assert.equal((await peer.seen(2))[1], 'close 1011')
  await until('the line', () => /boom/.test(sluice.errorLog()))
})

test('an upstream that dies is replaced, and the script logs in again', async () => {
  const { client, peer } = await pair('/again?user=2')
  await peer.seen(1)
  const count = upstream.ends.length + 1
  peer.socket.destroy()
  const next = await upstream.next(count)
  client.text('x')
  assert.equal(await next.seen(2), ['text login 2 1', 'text v1 x'])
  client.socket.destroy()
})

test('a saved script takes an open WebSocket over, its state with it', async () => {
  const { client, peer } = await pair('/ws?user=3')
  client.text('one')
  assert.equal((await peer.seen(2))[1], 'text v1 one')
  writeFileSync(join(sluice.folder, 'chat.js'), script('w'))
  await until('the old generation is gone', () =>
    /generation 1 has served its last request/.test(sluice.errorLog()),
  )
  client.text('two')
  assert.equal((await peer.seen(3))[2], 'text w2 two')
  client.socket.destroy()
})

test('nothing broke', () => {
  assert.not.match(sluice.errorLog(), /\[(alert|emerg|crit)\]/)
})

test.run()
