// Body filters and WebSocket hooks under testScript: what goes in, what goes on, what is sent beside it.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type TestedScript, testScript } from '../../runtime/testing/index.ts'

async function withScript(source: string, check: (script: TestedScript) => unknown): Promise<void> {
  const script = await testScript('hooks.js', { source })
  try {
    await check(script)
  } finally {
    script.dispose()
  }
}

test('a body filter gets the chunks in turn, and the last one marked', () =>
  withScript(
    `export function bodyFilter(r, chunk, { last }) {
       r.ctx.count = (r.ctx.count ?? 0) + 1
       const text = new TextDecoder().decode(chunk)
       if (text === 'drop') return null
       if (text === 'pass') return
       return '<' + text + ' ' + r.ctx.count + (last ? ' last' : '') + ' ' + r.status + '>'
     }`,
    async (script) => {
      const { outcome, body, chunks } = await script.bodyFilter(['a', 'drop', 'pass', 'é'], { status: 203 })
      assert.is(outcome, 'replaced')
      assert.is(body, '<a 1 203>pass<é 4 last 203>')
      assert.is(chunks.length, 3)
      assert.is((await script.bodyFilter('pass')).outcome, 'pass')
      assert.is((await script.bodyFilter(new Uint8Array([112, 97, 115, 115]))).body, 'pass')
      assert.is((await script.bodyFilter([])).body, '< 1 last 200>')
    },
  ))

test('a body filter may wait, and ends the body when it fails', () =>
  withScript(
    `export async function bodyFilter(r, chunk) {
       if (chunk.length > 3) throw new Error('too long')
       await new Promise((done) => setTimeout(done, 100))
       return new Uint8Array([...chunk].reverse())
     }`,
    async (script) => {
      const pending = script.bodyFilter(['abc', 'def'])
      await script.clock.advance('1s')
      assert.is((await pending).body, 'cbafed')
      const failing = script.bodyFilter(['abc', 'defg', 'hij'])
      await script.clock.advance('1s')
      const { outcome, body, error } = await failing
      assert.is(outcome, 'failed')
      assert.is(body, 'cba')
      assert.match(error?.message ?? '', /hooks\.js:2:\d+: Error: too long/)
    },
  ))

const CHAT = `
  export function wsOpen(r, ws) {
    ws.state = { room: r.args.room, count: 0 }
    ws.send('upstream', 'join ' + r.args.room)
  }
  export function wsMessage(r, msg, ws) {
    ws.state.count++
    if (msg.binary) return new Uint8Array([...msg.data, 255])
    if (msg.data === 'count') { ws.send('client', String(ws.state.count)); return null }
    if (msg.data === 'bye') { ws.close(4001, 'bye ü'); return null }
    if (msg.from === 'client') return ws.state.room + ': ' + msg.data
  }
  export function wsClose(r, info, ws) {
    r.log(info.by, info.code, info.reason, ws.state.count)
  }`

test('one WebSocket from its opening to its end', () =>
  withScript(CHAT, async (script) => {
    const socket = script.request({ args: { room: 'lobby' } })
    const opened = await socket.wsOpen()
    assert.equal(opened.sent, [{ to: 'upstream', data: 'join lobby', binary: false }])
    assert.is((await socket.wsMessage('hellö')).message, 'lobby: hellö')
    const back = await socket.wsMessage({ from: 'upstream', data: 'welcome' })
    assert.is(back.outcome, 'pass')
    assert.is(back.message, 'welcome')
    assert.equal((await socket.wsMessage(new Uint8Array([1]))).message, new Uint8Array([1, 255]))
    const counted = await socket.wsMessage('count')
    assert.is(counted.outcome, 'dropped')
    assert.is(counted.message, null)
    assert.equal(counted.sent, [{ to: 'client', data: '4', binary: false }])
    assert.equal((await socket.wsMessage('bye')).close, { code: 4001, reason: 'bye ü' })
    const closed = await socket.wsClose({ by: 'script', code: 4001, reason: 'bye ü' })
    assert.equal(closed.logs, [{ level: 'info', message: 'hooks.js: script 4001 bye ü 5' }])
    socket.end()
  }))

test('two WebSockets have a state each', () =>
  withScript(CHAT, async (script) => {
    const [a, b] = ['a', 'b'].map((room) => script.request({ args: { room } }).wsOpen())
    await a
    await b
    assert.is((await a!.wsMessage('x')).message, 'a: x')
    assert.is((await b!.wsMessage('x')).message, 'b: x')
  }))

test('a state that an earlier version of the script has left', async () => {
  await withScript(CHAT, async (script) => {
    const decision = await script.wsMessage('x', { webSocket: { state: { room: 'ü', count: 7 } } })
    assert.is(decision.message, 'ü: x')
    assert.equal(decision.state, { room: 'ü', count: 8 })
  })
  await withScript(
    `export function migrate(old) { return { total: old.count } }
     export function wsMessage(r, msg, ws) { ws.state.total++ }`,
    async (script) => {
      const { state } = await script.wsMessage('x', { webSocket: { state: { count: 7 } } })
      assert.equal(state, { total: 8 })
    },
  )
})

test.run()
