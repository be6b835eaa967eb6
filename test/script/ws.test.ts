// The WebSocket hooks: what they get, what they may do to messages and sockets, and how ws.state is kept.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest, type Script } from '../../runtime/script/engine.ts'
import { FakeHost, FakeRequest, FakeWebSocket, FILE, type LoadOptions, load } from './fake-request.ts'

function openSocket(): FakeRequest & { webSocket: FakeWebSocket } {
  const request = new FakeRequest({ args: 'user=7' })
  request.webSocket = new FakeWebSocket()
  return request as FakeRequest & { webSocket: FakeWebSocket }
}

type Socket = ReturnType<typeof openSocket>

/** A message from the client on its way through the script. */
async function pass(script: Script, request: Socket, data: string | number[]): Promise<Outcome> {
  const ws = request.webSocket
  const binary = typeof data !== 'string'
  ws.message = { from: 'client', data: Buffer.from(data as string), binary }
  ws.replacement = null
  const outcome = await request.run(script, 'wsMessage')
  ws.message = null
  return outcome
}

/** One message through one hook. */
async function message(
  body: string,
  data: string | number[] = 'hello',
  options: LoadOptions = {},
): Promise<[Outcome, Socket]> {
  const script = await load(`export const wsMessage = ${body}`, options)
  const request = openSocket()
  const outcome = await pass(script, request, data)
  releaseRequest(request)
  script.dispose()
  return [outcome, request]
}

test('what a message says', async () => {
  const show =
    '(r, msg) => r.log(msg.from, msg.binary, typeof msg.data, msg.data, msg.data.length, sluice.phase)'
  const cases: [data: string | number[], line: string][] = [
    ['hello', 'client false string hello 5 wsMessage'],
    ['', 'client false string  0 wsMessage'],
    ['caf\u00e9 \u{1f600}', 'client false string caf\u00e9 \u{1f600} 7 wsMessage'],
    [[0, 255], 'client true object Uint8Array(2) [ 0, 255 ] 2 wsMessage'],
    [[], 'client true object Uint8Array(0) [] 0 wsMessage'],
  ]
  for (const [data, line] of cases) {
    const [outcome, request] = await message(show, data)
    assert.is(outcome, Outcome.PASS, String(request.failure))
    assert.equal(request.logged.map(utf8), [`info hooks.js: ${line}`])
  }
  const long = '\u00e9'.repeat(40_000)
  const [, request] = await message('(r, msg) => r.log(msg.data.length, msg.data === msg.data)', long)
  assert.equal(request.logged, ['info hooks.js: 40000 true'])
  const [, bytes] = await message('(r, msg) => r.log(msg.data === msg.data)', [1])
  assert.equal(bytes.logged, ['info hooks.js: true'])
})

test('what goes on in the place of a message', async () => {
  const cases: [result: string, outcome: Outcome, replacement: string | number[] | null][] = [
    ['undefined', Outcome.PASS, null],
    ['null', Outcome.DROPPED, null],
    ["'x'", Outcome.REPLACED, 'x'],
    ["''", Outcome.REPLACED, ''],
    ["'\u00e9' + '\\0'.repeat(3)", Outcome.REPLACED, '\u00e9\0\0\0'],
    ['msg.data.toUpperCase()', Outcome.REPLACED, 'HELLO'],
    ["'ab'.repeat(1e5)", Outcome.REPLACED, 'ab'.repeat(1e5)],
    ['new Uint8Array([1, 0, 255])', Outcome.REPLACED, [1, 0, 255]],
    ['new Uint8Array([9, 1, 9]).subarray(1, 2)', Outcome.REPLACED, [1]],
    ['new ArrayBuffer(2)', Outcome.REPLACED, [0, 0]],
    ['({ then(done) { done("late") } })', Outcome.REPLACED, 'late'],
  ]
  for (const [result, outcome, replacement] of cases) {
    for (const body of [`(r, msg) => ${result}`, `async (r, msg) => { await null; return ${result} }`]) {
      const [found, request] = await message(body)
      assert.is(found, outcome, `${body}: ${request.failure}`)
      assert.equal(request.webSocket.replacement, replacement, body)
    }
  }
})

test('what is no message is refused', async () => {
  for (const result of ['5', 'true', '{ data: "x" }', '[1]', 'r', 'msg', 'ws']) {
    const [outcome, request] = await message(`(r, msg, ws) => (${result})`)
    assert.is(outcome, Outcome.FAILED, result)
    assert.match(
      request.failure![1],
      /^TypeError: wsMessage returned .*; return nothing, a string or a Uint8Array to go on instead, or null$/,
    )
  }
})

test('a hook that waits; the message is its own until then', async () => {
  const script = await load(`
    const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
    export async function wsMessage(r, msg, ws) { await sleep(10); return msg.data + '!' }`)
  const request = openSocket()
  assert.is(await pass(script, request, 'late'), Outcome.REPLACED)
  assert.is(request.webSocket.replacement, 'late!')
  releaseRequest(request)
  script.dispose()
})

test('sending, to either side, text and bytes', async () => {
  const [outcome, { webSocket }] = await message(`(r, msg, ws) => {
    ws.send('client', 'caf\u00e9')
    ws.send('upstream', new Uint8Array([1, 2, 3]).subarray(1))
    ws.send('upstream', '')
    ws.send('client', new ArrayBuffer(1))
    ws.send('client', 'x'.repeat(2 ** 20))
    ws.send('client', new Uint8Array(3e6).subarray(5, 7))
  }`)
  assert.is(outcome, Outcome.PASS)
  assert.equal(webSocket.sent, [
    ['client', 'caf\u00e9'],
    ['upstream', [2, 3]],
    ['upstream', ''],
    ['client', [0]],
    ['client', 'x'.repeat(2 ** 20)],
    ['client', [0, 0]],
  ])
})

test('closing', async () => {
  const cases: [call: string, closed: [number, string]][] = [
    ['ws.close()', [1000, '']],
    ['ws.close(4001)', [4001, '']],
    ["ws.close(1003, 'caf\u00e9')", [1003, 'caf\xc3\xa9']],
    ['ws.close(undefined, null)', [1000, '']],
  ]
  for (const [call, closed] of cases) {
    const [outcome, { webSocket }] = await message(`(r, msg, ws) => { ${call} }`)
    assert.equal([outcome, webSocket.closed], [Outcome.PASS, closed], call)
  }
})

test('what ws refuses', async () => {
  const cases: [call: string, message: string][] = [
    ["ws.send('server', 'x')", "TypeError: ws.send(to, data): to is 'client' or 'upstream'"],
    ["ws.send({ toString() { return 'client' } }, 'x')", 'TypeError: ws.send(to, data): to is'],
    ["ws.send('client')", 'TypeError: the message is a string or a Uint8Array'],
    ["ws.send('client', 5)", 'TypeError: the message is a string or a Uint8Array'],
    [
      "ws.send('client', { toString() { while (1); } })",
      'TypeError: the message is a string or a Uint8Array',
    ],
    ["ws.send('client', 'x'.repeat(2 ** 20 + 1))", 'RangeError: the message is longer than 1048576 bytes'],
    [
      "ws.send('client', '\u00e9'.repeat(2 ** 19 + 1))",
      'RangeError: the message is longer than 1048576 bytes',
    ],
    [
      "ws.send('client', new Uint8Array(2 ** 20 + 1))",
      'RangeError: the message is longer than 1048576 bytes',
    ],
    ["ws.close(); ws.send('client', 'x')", 'RangeError: the WebSocket of the client is closed'],
    ['ws.close(1005)', 'RangeError: a WebSocket cannot be closed with code 1005'],
    ["ws.close('1000')", 'TypeError: the code of ws.close() is a whole number'],
    ['ws.close(1000.5)', 'TypeError: the code of ws.close() is a whole number'],
    ['ws.close(1000, {})', 'TypeError: the reason of ws.close() is a string, not an object'],
    ['ws.send.call(r, "client", "x")', 'TypeError: a method of a WebSocket was called on something else'],
    ['ws.close.call(msg)', 'TypeError: a method of a WebSocket was called on something else'],
    ['ws.close.call({})', 'Error: this request is over'],
    ['Object.getPrototypeOf(ws).state', 'TypeError'],
    ['Reflect.get(Object.getPrototypeOf(ws), "state", r)', 'TypeError'],
    ['Reflect.get(Object.getPrototypeOf(msg), "data", r)', 'Error: this message is over'],
    ['ws.state = undefined', 'TypeError: ws.state is a value that JSON can hold, not undefined'],
    ['ws.state = () => {}', 'TypeError: ws.state is a value that JSON can hold, not a function'],
    ['ws.state = 5n', 'TypeError: ws.state is a value that JSON can hold, not a bigint'],
    ['"use strict"; ws.extra = 1', 'TypeError'],
    ['"use strict"; msg.data = "x"', 'TypeError'],
    ['r.return(403)', 'TypeError: r.return() is possible in rewrite, access, content, not in wsMessage'],
    ['r.status = 500', 'TypeError: setting r.status is possible in headerFilter, not in wsMessage'],
  ]
  for (const [call, message_] of cases) {
    const [outcome, request] = await message(`(r, msg, ws) => { ${call} }`, 'x', { limits: { cpu: 500 } })
    assert.is(outcome, Outcome.FAILED, call)
    assert.ok(request.failure![1].startsWith(message_), `${call}: ${request.failure![1]}`)
  }
  // A RangeError of the view's can be caught as one.
  const [, caught] = await message(
    '(r, msg, ws) => { ws.close(); try { ws.send("client", "x") } catch (e) { r.log(e instanceof RangeError) } }',
  )
  assert.equal(caught.logged, ['info hooks.js: true'])
})

test('wsOpen and wsClose', async () => {
  const script = await load(`
    export function wsOpen(r, ws) {
      r.log('open', ws.protocol, ws.reconnects, r.args.user, sluice.phase)
      ws.send('upstream', 'login')
      return 'means nothing'
    }
    export async function wsClose(r, info, ws) {
      await null
      r.log('close', info.by, info.code, info.reason, ws.protocol, sluice.phase)
      return null
    }
    export function log(r) { r.log('log', sluice.phase) }`)
  const request = openSocket()
  const ws = request.webSocket
  assert.is(await request.run(script, 'wsOpen'), Outcome.PASS)
  ws.reconnects = 1
  assert.is(await request.run(script, 'wsOpen'), Outcome.PASS)
  ws.end = { by: 'upstream', code: 1011, reason: 'caf\xc3\xa9' }
  assert.is(await request.run(script, 'wsClose'), Outcome.PASS)
  ws.end = null
  await request.run(script, 'log')
  assert.equal(request.logged.map(utf8), [
    'info hooks.js: open chat.v2 0 7 wsOpen',
    'info hooks.js: open chat.v2 1 7 wsOpen',
    'info hooks.js: close upstream 1011 caf\u00e9 chat.v2 wsClose',
    'info hooks.js: log log',
  ])
  assert.equal(ws.sent.length, 2)
  releaseRequest(request)
  assert.is(request.scriptState, null)
  script.dispose()
})

test('a message that the script has kept is over with its hook; the next one is another object', async () => {
  const script = await load(`
    const kept = []
    export function wsMessage(r, msg, ws) {
      for (const old of kept) {
        r.log(old === msg)
        try { r.log(old.data) } catch (e) { r.log(e.message) }
      }
      kept.push(msg)
      return msg.data
    }`)
  const request = openSocket()
  await pass(script, request, 'first')
  assert.is(await pass(script, request, 'second'), Outcome.REPLACED)
  assert.is(request.webSocket.replacement, 'second')
  assert.equal(request.logged, [
    'info hooks.js: false',
    'info hooks.js: this message is over: msg can be used while its wsMessage hook runs',
  ])
  releaseRequest(request)
  script.dispose()
})

test('a WebSocket that the script has kept can be used until its request is over, and never stands for another', async () => {
  const script = await load(`
    const all = new Map()
    export function wsOpen(r, ws) { all.set(r.args.user, ws) }
    export function wsMessage(r, msg, ws) {
      for (const [user, other] of all) {
        try { if (other !== ws) other.send('client', user + ' ' + msg.data) } catch (e) { r.log(e.message) }
      }
      return null
    }`)
  const [one, two] = [openSocket(), openSocket()]
  two.rawArgs = 'user=8'
  for (const request of [one, two]) await request.run(script, 'wsOpen')
  assert.is(await pass(script, two, 'hi'), Outcome.DROPPED)
  assert.equal([one.webSocket.sent, two.webSocket.sent], [[['client', '7 hi']], []])
  releaseRequest(one)
  const three = openSocket()
  await pass(script, three, 'again')
  assert.equal([one.webSocket.sent.length, two.webSocket.sent], [1, [['client', '8 again']]])
  assert.equal(three.logged, [
    'info hooks.js: this request is over: r and what belongs to it cannot be used any more',
  ])
  releaseRequest(two)
  releaseRequest(three)
  script.dispose()
})

test('a timer may send as long as the WebSocket is there', async () => {
  const script = await load(`
    export function wsOpen(r, ws) { setTimeout(() => ws.send('client', 'tick'), 10) }`)
  const request = openSocket()
  const sent = new Promise<void>((done) => {
    request.webSocket.send = (...args) => {
      assert.equal([args[0], String(args[1]), args[2]], ['client', 'tick', false])
      done()
    }
  })
  assert.is(await request.run(script, 'wsOpen'), Outcome.PASS)
  await sent
  releaseRequest(request)
  script.dispose()
})

test('a hook that a script causes from within another one runs once that is done', async () => {
  const script = await load(`
    let first
    export function wsOpen(r, ws) { first ??= ws }
    export function wsMessage(r, msg, ws) { first.close(4000); r.log('closed'); return 'done' }
    export function wsClose(r, info, ws) { r.log('close ' + info.code) }`)
  const [one, two] = [openSocket(), openSocket()]
  const ws = one.webSocket
  await one.run(script, 'wsOpen')
  const outcomes: Outcome[] = []
  ws.onClose = () => {
    ws.end = { by: 'script', code: 4000, reason: '' }
    outcomes.push(one.start(script, 'wsClose'))
  }
  const settled = new Promise<void>((done) => {
    one.hookSettled = (outcome) => {
      outcomes.push(outcome)
      done()
    }
  })
  assert.is(await pass(script, two, 'x'), Outcome.REPLACED)
  assert.equal([two.logged, one.logged], [['info hooks.js: closed'], []])
  await settled
  assert.equal(outcomes, [Outcome.SUSPENDED, Outcome.PASS])
  assert.equal(one.logged, ['info hooks.js: close 4000'])
  assert.is(script.stats.hooks.wsClose?.calls, 1)
  releaseRequest(one)
  releaseRequest(two)
  script.dispose()
})

test('how r, ws and msg look in a log line', async () => {
  const [, request] = await message('(r, msg, ws) => { console.log(msg, ws); globalThis.old = msg }')
  assert.equal(request.logged, [
    "info hooks.js: Message { from: 'client', binary: false, data: 'hello' } WebSocket { protocol: 'chat.v2', reconnects: 0 }",
  ])
})

test('limits hold as for every hook, and script_on_error decides', async () => {
  const cases: [body: string, message: string][] = [
    ['() => { while (true); }', 'more than 50 ms of CPU time in one call'],
    ['(r, msg) => "x".repeat(2e6).indexOf("x".repeat(1e6) + "y")', 'more than 50 ms of CPU time in one call'],
    ['() => new Promise(() => {})', 'the hook has waited for more than 20 ms'],
    ['() => { throw new Error("no") }', 'Error: no'],
    ['async (r, msg) => { await null; throw new Error("no") }', 'Error: no'],
  ]
  for (const [body, told] of cases) {
    const [closed, request] = await message(body, 'x', { limits: { wall: 20 } })
    assert.equal([closed, request.failure], [Outcome.FAILED, ['wsMessage', told]], body)
    const [open, passed] = await message(body, 'x', { limits: { wall: 20 }, onError: 'open' })
    assert.equal([open, passed.failure, passed.webSocket.replacement], [Outcome.PASS, null, null], body)
    assert.match(passed.logged[0], `${told} in wsMessage`)
  }
})

// ---- ws.state ----

const COUNTER = `
  export function wsMessage(r, msg, ws) {
    ws.state.count = (ws.state.count ?? 0) + 1
    return String(ws.state.count)
  }`

test('a state is kept over the hooks of a WebSocket, and as JSON beside it', async () => {
  const script = await load(COUNTER)
  const [one, two] = [openSocket(), openSocket()]
  for (let i = 0; i < 3; i++) await pass(script, one, 'x')
  await pass(script, two, 'x')
  assert.equal([one.webSocket.replacement, two.webSocket.replacement], ['3', '1'])
  assert.equal([...one.webSocket.states.keys()], [FILE])
  const { json, version } = one.webSocket.states.get(FILE)!
  assert.is(json, '{"count":3}')
  assert.match(version, /^[0-9a-f]{16}$/)
  releaseRequest(one)
  releaseRequest(two)
  assert.equal([one.scriptState, two.scriptState], [null, null])
  // The slots are used again, without what was in them.
  const three = openSocket()
  await pass(script, three, 'x')
  assert.is(three.webSocket.replacement, '1')
  releaseRequest(three)
  script.dispose()
})

test('any JSON value is a state', async () => {
  for (const value of ['null', '5', '"caf\u00e9"', 'false', '[1,[2]]', '{"a":{"b":null}}']) {
    const script = await load(`export function wsMessage(r, msg, ws) {
      if (msg.data === 'set') ws.state = ${value}
      else return JSON.stringify(ws.state)
    }`)
    const request = openSocket()
    await pass(script, request, 'set')
    await pass(script, request, 'get')
    assert.is(request.webSocket.replacement, value)
    const next = await load(`export const wsMessage = (r, msg, ws) => JSON.stringify(ws.state)`)
    await pass(next, request, 'get')
    assert.is(request.webSocket.replacement, value)
    releaseRequest(request)
    script.dispose()
    next.dispose()
  }
})

test('a hook that does not touch the state writes none; one that only reads it writes what it got', async () => {
  const idle = await load(
    'export function wsMessage(r, msg, ws) { r.ctx.seen = true; ws.send("client", "x") }',
  )
  const request = openSocket()
  await pass(idle, request, 'x')
  assert.is(request.webSocket.states.size, 0)
  releaseRequest(request)
  idle.dispose()
  const reader = await load('export function wsOpen(r, ws) { ws.state }')
  await request.run(reader, 'wsOpen')
  assert.is(request.webSocket.states.get(FILE)!.json, '{}')
  releaseRequest(request)
  reader.dispose()
})

test('a hook that waits keeps the state when it has ended', async () => {
  const script = await load(`
    const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
    export async function wsMessage(r, msg, ws) {
      const { state } = ws
      state.a = 1
      await sleep(10)
      state.b = 2
      if (msg.data === 'throw') throw new Error('late')
    }`)
  for (const data of ['x', 'throw']) {
    const request = openSocket()
    const { webSocket } = request
    webSocket.message = { from: 'client', data: Buffer.from(data), binary: false }
    const settled = request.run(script, 'wsMessage')
    // Another WebSocket's hook ends meanwhile.
    const other = openSocket()
    await pass(script, other, 'x')
    assert.is(await settled, data === 'x' ? Outcome.PASS : Outcome.FAILED)
    assert.is(webSocket.states.get(FILE)!.json, '{"a":1,"b":2}')
    releaseRequest(request)
    releaseRequest(other)
  }
  script.dispose()
})

test('a timer and the hook of another WebSocket may change a state, too', async () => {
  const script = await load(`
    let first
    export function wsOpen(r, ws) {
      first = ws
      setTimeout(() => { ws.state.ticks = 1; ws.send('client', 'tick') }, 10)
    }
    export function wsMessage(r, msg, ws) { first.state.others = 1 }`)
  const request = openSocket()
  const ticked = new Promise<void>((done) => {
    request.webSocket.send = () => setImmediate(done)
  })
  await request.run(script, 'wsOpen')
  await ticked
  assert.is(request.webSocket.states.get(FILE)!.json, '{"ticks":1}')
  const other = openSocket()
  await pass(script, other, 'x')
  assert.is(request.webSocket.states.get(FILE)!.json, '{"ticks":1,"others":1}')
  assert.is(other.webSocket.states.size, 0)
  releaseRequest(other)
  releaseRequest(request)
  script.dispose()
})

test('a state that cannot be kept fails the hook before anything goes on', async () => {
  const cases: [statements: string, message: string][] = [
    ['ws.state.self = ws.state', 'ws.state cannot be kept after wsMessage: TypeError: circular reference'],
    ['ws.state = { big: 5n }', 'ws.state cannot be kept after wsMessage: TypeError: '],
    [
      'ws.state = "x".repeat(65_535)',
      'ws.state cannot be kept after wsMessage: its JSON is longer than 65536 bytes',
    ],
    [
      'ws.state = "\u00e9".repeat(32_768)',
      'ws.state cannot be kept after wsMessage: its JSON is longer than 65536',
    ],
    ['ws.state = { toJSON() {} }', 'ws.state cannot be kept after wsMessage: TypeError: it has no JSON'],
    [
      'ws.state = { toJSON() { throw new Error("mine") } }',
      'ws.state cannot be kept after wsMessage: Error: mine',
    ],
  ]
  for (const [statements, told] of cases) {
    for (const result of ['"replaced"', 'new Uint8Array(1)', 'null', 'undefined', 'Promise.resolve("x")']) {
      const [outcome, request] = await message(`(r, msg, ws) => { ${statements}; return ${result} }`)
      assert.equal([outcome, request.webSocket.replacement], [Outcome.FAILED, null], statements)
      assert.ok(request.failure![1].replace(/^Error: /, '').startsWith(told), request.failure![1])
      assert.is(request.webSocket.states.size, 0)
    }
  }
  const [spins, spun] = await message('(r, msg, ws) => { ws.state = { toJSON() { for (;;); } }; return "x" }')
  assert.equal([spins, spun.webSocket.replacement], [Outcome.FAILED, null])
  assert.match(spun.failure![1], 'more than 50 ms of CPU time in one call')
  const [fits] = await message('(r, msg, ws) => { ws.state = "x".repeat(65_534) }')
  assert.is(fits, Outcome.PASS)
})

test('a state whose toJSON reads the state is kept once for each hook', async () => {
  const script = await load(`
    let calls = 0
    export function wsMessage(r, msg, ws) {
      ws.state = { toJSON: () => typeof ws.state + ++calls }
    }`)
  const [one, two] = [openSocket(), openSocket()]
  await pass(script, one, 'x')
  assert.is(one.webSocket.states.get(FILE)!.json, '"object1"')
  await pass(script, two, 'x')
  assert.is(one.webSocket.states.get(FILE)!.json, '"object2"')
  assert.is(two.webSocket.states.get(FILE)!.json, '"object3"')
  releaseRequest(one)
  releaseRequest(two)
  script.dispose()
})

test('code that runs when a request is let go finds nothing of it afterwards', async () => {
  const script = await load(`
    export function wsMessage(r, msg, ws) {
      const old = r.ctx.secret
      ws.state = { toJSON() { r.ctx.secret = 'kept'; return 1 } }
      if (msg.data === 'spin') for (;;);
      return String(old)
    }`)
  const one = openSocket()
  one.webSocket.message = { from: 'client', data: Buffer.from('spin'), binary: false }
  assert.is(await one.run(script, 'wsMessage'), Outcome.FAILED)
  one.webSocket.message = null
  releaseRequest(one)
  for (let i = 0; i < 5; i++) {
    const other = openSocket()
    await pass(script, other, 'x')
    assert.is(other.webSocket.replacement, 'undefined')
    releaseRequest(other)
  }
  script.dispose()
})

test('a state of another WebSocket that cannot be kept fails nobody', async () => {
  const script = await load(`
    let first
    export function wsOpen(r, ws) { first = ws }
    export function wsMessage(r, msg, ws) { first.state.self = first.state }`)
  const [one, two] = [openSocket(), openSocket()]
  await one.run(script, 'wsOpen')
  assert.is(await pass(script, two, 'x'), Outcome.PASS)
  assert.match(one.logged[0], /^error .*ws\.state cannot be kept after wsOpen: TypeError: circular reference/)
  assert.is(script.stats.unhandledRejections, 1)
  releaseRequest(one)
  releaseRequest(two)
  script.dispose()
})

test('the hook of a failed message has changed the state all the same', async () => {
  const script = await load(`export function wsMessage(r, msg, ws) {
    ws.state.n = (ws.state.n ?? 0) + 1
    if (msg.data === 'throw') throw new Error('no')
    if (msg.data === 'spin') for (;;);
  }`)
  const request = openSocket()
  assert.is(await pass(script, request, 'throw'), Outcome.FAILED)
  assert.is(request.webSocket.states.get(FILE)!.json, '{"n":1}')
  assert.is(await pass(script, request, 'spin'), Outcome.FAILED)
  releaseRequest(request)
  assert.is(request.webSocket.states.get(FILE)!.json, '{"n":2}')
  script.dispose()
})

test('the state survives the loss of the sandbox', async () => {
  const script = await load(`${COUNTER}
    export function log(r) { Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }`)
  const request = openSocket()
  await pass(script, request, 'x')
  assert.is(await new FakeRequest().run(script, 'log'), Outcome.FAILED)
  assert.is(await pass(script, request, 'x'), Outcome.REPLACED)
  assert.is(request.webSocket.replacement, '2')
  assert.is(script.stats.respawns, 1)
  releaseRequest(request)
  script.dispose()
})

test('the next generation takes the state over, changed by its migrate if its sources differ', async () => {
  const first = await load(COUNTER)
  const request = openSocket()
  const ws = request.webSocket
  await pass(first, request, 'x')
  await pass(first, request, 'x')
  const { version } = ws.states.get(FILE)!
  releaseRequest(request)
  first.dispose()

  const same = await load(COUNTER)
  await pass(same, request, 'x')
  const kept = ws.states.get(FILE)!
  assert.equal([ws.replacement, kept.json, kept.version], ['3', '{"count":3}', version])
  releaseRequest(request)
  same.dispose()

  const next = await load(`
    export function migrate(old) { console.log('migrate', old); return { total: old.count, from: 'v1' } }
    export function wsOpen() {}
    export function wsMessage(r, msg, ws) { if (msg.data === 'read') return JSON.stringify(ws.state) }`)
  assert.equal(next.exports, ['migrate', 'wsMessage', 'wsOpen'])
  assert.is(await pass(next, request, 'x'), Outcome.PASS)
  const migrated = ws.states.get(FILE)!
  assert.is(migrated.json, '{"total":3,"from":"v1"}')
  assert.is.not(migrated.version, version)
  await pass(next, request, 'read')
  assert.is(ws.replacement, migrated.json)
  releaseRequest(request)
  // Once migrated, not migrated again.
  await pass(next, request, 'read')
  assert.equal(request.logged, ['info hooks.js: migrate { count: 3 }'])
  releaseRequest(request)
  next.dispose()

  const without = await load('export const wsMessage = (r, msg, ws) => JSON.stringify(ws.state)')
  await pass(without, request, 'x')
  assert.is(ws.replacement, migrated.json)
  releaseRequest(request)
  without.dispose()
})

test('a migrate that fails, fails the hook with its own stack, and the old state stays', async () => {
  const cases: [migrate: string, message: RegExp][] = [
    ['old => old.none.x', /hooks\.js:1:\d+: TypeError: .* in wsMessage, at migrate \(hooks\.js:1:\d+\)/],
    ['() => {}', /TypeError: migrate returned undefined; return the new ws\.state in wsMessage/],
    ['() => () => {}', /TypeError: migrate returned a function; return the new ws\.state in wsMessage/],
    [
      'async (old) => old',
      /TypeError: migrate returned a promise; return the new ws\.state itself in wsMessage/,
    ],
    ['() => { for (;;); }', /more than 50 ms of CPU time in one call in wsMessage/],
  ]
  for (const [migrate, line] of cases) {
    const source = `export const migrate = ${migrate}\nexport function wsMessage(r, msg, ws) { r.log('ran') }`
    const script = await load(source)
    const request = openSocket()
    request.webSocket.states.set(FILE, { json: '{"n":1}', version: 'other' })
    assert.is(await pass(script, request, 'x'), Outcome.FAILED)
    assert.match(request.logged[0], line)
    assert.is(request.logged.length, 1)
    assert.is(request.webSocket.states.get(FILE)!.json, '{"n":1}')
    releaseRequest(request)
    script.dispose()
    const open = await load(source, { onError: 'open' })
    assert.is(await pass(open, request, 'x'), Outcome.PASS)
    releaseRequest(request)
    open.dispose()
  }
})

test('scripts have states of their own: by file, and by parameters as long as these stay', async () => {
  const one = await load(COUNTER, { params: { room: 'a' } })
  const two = await load(COUNTER, { params: { room: 'b' } })
  const request = openSocket()
  const ws = request.webSocket
  await pass(one, request, 'x')
  await pass(one, request, 'x')
  await pass(two, request, 'x')
  assert.is(ws.replacement, '1')
  assert.is(ws.states.size, 2)
  releaseRequest(request)
  // The configuration is changed: the state goes on under the new parameters.
  const changed = await load(COUNTER, { params: { room: 'c' } })
  await pass(changed, request, 'x')
  assert.is(ws.replacement, '3')
  assert.is(ws.states.size, 2)
  await pass(changed, request, 'x')
  assert.is(ws.replacement, '4')
  const other = await load(COUNTER, { file: FILE.replace('hooks', 'other') })
  await pass(other, request, 'x')
  assert.is(ws.replacement, '1')
  releaseRequest(request)
  for (const script of [one, two, changed, other]) script.dispose()
})

test('migrate is no hook by itself', async () => {
  const refused = (source: string): Promise<string> =>
    load(source).then(
      () => 'loaded',
      (error: Error) => error.message,
    )
  assert.match(await refused('export function migrate(old) {}'), 'the script exports no hook')
  assert.match(
    await refused('export const migrate = 5; export function wsOpen() {}'),
    'the export migrate is a number, not a function',
  )
  assert.match(await refused('export function onMessage() {}'), 'did you mean wsMessage?')
  assert.match(await refused('export function ws_close() {}'), 'did you mean wsClose?')
})

test('a script that replaces builtins spoils nothing but its own', async () => {
  const script = await load(`
    JSON.stringify = () => 'x'
    JSON.parse = () => 'y'
    Uint8Array.prototype.subarray = null
    Object.freeze = Object.create = Reflect.apply = null
    export function wsMessage(r, msg, ws) {
      ws.state.n = (ws.state.n ?? 0) + 1
      ws.send('client', msg.data)
    }`)
  const request = openSocket()
  await pass(script, request, [1, 2])
  assert.is(await pass(script, request, [3]), Outcome.PASS)
  assert.equal(request.webSocket.sent, [
    ['client', [1, 2]],
    ['client', [3]],
  ])
  assert.is(request.webSocket.states.get(FILE)!.json, '{"n":2}')
  releaseRequest(request)
  script.dispose()
})

test('every function of ws and msg stands every kind of value', async () => {
  const host = new FakeHost()
  const script = await load(
    `
    const odd = [undefined, null, true, -1, 2 ** 31, NaN, 5n, 'client', 'a\\0b', Symbol('s'), {}, [], () => {},
      new Proxy({}, {}), new Uint8Array(8), new ArrayBuffer(8, { maxByteLength: 16 }), { length: 2 ** 53 }]
    let calls = 0
    function attack(object, selves) {
      for (const key of Reflect.ownKeys(object)) {
        const { value, get, set } = Reflect.getOwnPropertyDescriptor(object, key)
        for (const fn of [value, get, set]) {
          if (typeof fn !== 'function') continue
          for (const a of odd) for (const b of odd) for (const self of selves) {
            try { calls++; fn.call(self, a, b) } catch {}
            try { fn.call(a, self, b) } catch {}
          }
        }
      }
    }
    export function wsMessage(r, msg, ws) {
      const { getPrototypeOf } = Object
      for (const type of [getPrototypeOf(ws), getPrototypeOf(msg)]) attack(type, [r, ws, msg])
      ws.state = calls > 1000
    }`,
    { limits: { cpu: 5000 }, host },
  )
  const request = openSocket()
  assert.is(await pass(script, request, 'x'), Outcome.PASS, String(request.failure))
  assert.is(request.webSocket.states.get(FILE)!.json, 'true')
  assert.ok(request.webSocket.sent.length > 0)
  assert.is(script.stats.respawns, 0)
  assert.equal(host.logged, [])
  releaseRequest(request)
  script.dispose()
})

test('many WebSockets and messages leave nothing behind', async () => {
  const host = new FakeHost()
  const script = await load(
    `export function wsMessage(r, msg, ws) {
      ws.state = { last: msg.data.length, data: msg.data }
      return msg.data
    }`,
    { host },
  )
  const data = Buffer.from('m'.repeat(2000))
  for (let i = 0; i < 3000; i++) {
    const request = openSocket()
    for (let j = 0; j < 3; j++) {
      request.webSocket.message = { from: 'upstream', data, binary: false }
      assert.is(request.start(script, 'wsMessage'), Outcome.REPLACED)
    }
    releaseRequest(request)
    assert.is(request.scriptState, null)
  }
  assert.ok(script.memoryUsed < 10e6, `${script.memoryUsed} bytes`)
  script.dispose()
})

function utf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

test.run()
