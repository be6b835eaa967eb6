// Scripts with bodyFilter and ws* hooks in a running proxy, swapped while a WebSocket is open.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { until } from '../proxy/journey-tools.ts'
import { handUpstream, openEnd } from '../proxy/ws-tools.ts'

const FIRST = `
export function wsOpen(r, ws) {
  ws.state = { user: r.args.user, count: 0 }
  ws.send('upstream', 'login ' + ws.state.user)
}
export async function wsMessage(r, msg, ws) {
  if (msg.binary) return null
  if (msg.from === 'upstream') return msg.data.toUpperCase()
  await null
  ws.state.count++
  if (msg.data === 'ping') {
    ws.send('client', 'pong')
    return null
  }
  if (msg.data === 'bye') ws.close(4001, 'bye')
}
export function wsClose(r, info, ws) { r.warn('closed by', info.by, info.code, info.reason, ws.state) }`

const SECOND = `
export function migrate(old) { return { name: old.user, messages: [old.count] } }
export function wsMessage(r, msg, ws) {
  if (msg.from === 'client') return JSON.stringify(ws.state)
}
export function wsClose(r, info, ws) { r.warn('closed by', info.by, info.code) }`

const THIRD = `
export function migrate(old) { return old.missing.user }
export function wsMessage(r, msg, ws) {}`

test('messages are replaced, dropped, answered; the script closes', async () => {
  const port = await freePort()
  const upstream = await handUpstream()
  const sluice = await startSluice(
    `script_watch off;
    server { listen 127.0.0.1:${port}; location / { script chat.js; proxy_pass http://${upstream.address}; } }`,
    { 'chat.js': FIRST },
  )
  const client = await openEnd(port, '/?user=ann')
  const peer = await upstream.next(1)
  client.text('hello')
  client.send(2, Buffer.of(1, 2))
  client.text('ping')
  assert.equal(await peer.seen(2), ['text login ann', 'text hello'])
  assert.equal(await client.seen(1), ['text pong'])
  peer.text('caf\u00e9')
  assert.equal(await client.seen(2), ['text pong', 'text CAF\u00c9'])
  client.text('bye')
  assert.equal((await client.seen(3))[2], 'close 4001 bye')
  assert.equal((await peer.seen(3))[2], 'close 4001 bye')
  client.close(4001)
  peer.close(4001)
  await until('the log', () => sluice.errorLog().includes('closed by'))
  assert.match(sluice.errorLog(), "chat.js: closed by script 4001 bye { user: 'ann', count: 3 }")
  await sluice.stop()
  await upstream.close()
})

test('a WebSocket goes on under the next version of its script, its state migrated', async () => {
  const port = await freePort()
  const upstream = await handUpstream()
  const sluice = await startSluice(
    `script_watch off;
    server { listen 127.0.0.1:${port}; location / { script chat.js; proxy_pass http://${upstream.address}; } }`,
    { 'chat.js': FIRST },
  )
  const client = await openEnd(port, '/?user=ann')
  const peer = await upstream.next(1)
  client.text('one')
  client.text('two')
  assert.equal((await peer.seen(3))[2], 'text two')
  sluice.write({ 'chat.js': SECOND })
  await sluice.reload()
  client.text('three')
  assert.equal((await peer.seen(4))[3], 'text {"name":"ann","messages":[2]}')
  client.close(1000)
  await peer.seen(5)
  peer.close(1000)
  await client.gone()
  await until('the log', () => sluice.errorLog().includes('closed by client 1000'))
  await sluice.stop()
  await upstream.close()
})

test('a migrate that throws closes the WebSocket with 1011, and says where', async () => {
  const port = await freePort()
  const upstream = await handUpstream()
  const sluice = await startSluice(
    `script_watch off;
    server { listen 127.0.0.1:${port}; location / { script chat.js; proxy_pass http://${upstream.address}; } }`,
    { 'chat.js': FIRST },
  )
  const client = await openEnd(port, '/?user=ann')
  const peer = await upstream.next(1)
  await peer.seen(1)
  sluice.write({ 'chat.js': THIRD })
  await sluice.reload()
  client.text('two')
  await peer.seen(2)
  assert.is(peer.words[1], 'close 1011')
  assert.match(sluice.errorLog(), /chat\.js:2:\d+: TypeError: .* in wsMessage, at migrate \(chat\.js:2:\d+\)/)
  client.socket.destroy()
  await sluice.stop()
  await upstream.close()
})

test('a body filter works chunk by chunk', async () => {
  const port = await freePort()
  const upstream = await recordingUpstream(() => ok('the quick brown fox'))
  const sluice = await startSluice(
    `server { listen 127.0.0.1:${port}; location / { script loud.js; proxy_pass http://${upstream.address}; } }`,
    {
      'loud.js': `export async function bodyFilter(r, chunk, { last }) {
        r.ctx.decoder ??= new TextDecoder()
        await null
        return r.ctx.decoder.decode(chunk, { stream: !last }).toUpperCase() + (last ? '!' : '')
      }`,
    },
  )
  const response = await new HttpClient(port).get('/')
  assert.equal([response.status, response.body], [200, 'THE QUICK BROWN FOX!'])
  await sluice.stop()
  await upstream.close()
})

test.run()
