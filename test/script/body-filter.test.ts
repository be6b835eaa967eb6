// The bodyFilter hook: what it gets of a chunk, and what goes on in its place.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest, type Script } from '../../runtime/script/engine.ts'
import { FakeChunk, FakeRequest, type LoadOptions, load } from './fake-request.ts'

/** Runs the hook for one chunk. */
async function pass(script: Script, request: FakeRequest, chunk: FakeChunk): Promise<Outcome> {
  request.bodyChunk = chunk
  const outcome = await request.run(script, 'bodyFilter')
  request.bodyChunk = null
  return outcome
}

async function filter(
  body: string,
  chunk: FakeChunk,
  options: LoadOptions = {},
): Promise<[Outcome, FakeRequest]> {
  const script = await load(`export const bodyFilter = ${body}`, options)
  const request = new FakeRequest()
  const outcome = await pass(script, request, chunk)
  releaseRequest(request)
  script.dispose()
  return [outcome, request]
}

test('a hook that returns nothing lets the chunk pass', async () => {
  for (const body of ['() => {}', '() => undefined', 'async () => {}', 'async () => { await null }']) {
    const chunk = new FakeChunk('abc')
    assert.equal([(await filter(body, chunk))[0], chunk.replacement], [Outcome.PASS, null], body)
  }
})

test('what the hook gets: bytes of its own, and whether they are the last', async () => {
  const chunk = new FakeChunk(Uint8Array.of(0, 255, 7), true)
  const [, request] = await filter(
    `(r, chunk, info) => {
      r.log(chunk instanceof Uint8Array, chunk.length, chunk[1], info, r.status)
      chunk.fill(1)
    }`,
    chunk,
  )
  assert.equal(request.logged, ['info hooks.js: true 3 255 { last: true } 0'])
  assert.equal([...chunk.data], [0, 255, 7])
  const [, empty] = await filter(
    '(r, chunk, { last }) => r.log(chunk.length, last)',
    new FakeChunk('', false),
  )
  assert.equal(empty.logged, ['info hooks.js: 0 false'])
})

test('what goes on in the place of a chunk', async () => {
  const cases: [result: string, bytes: number[]][] = [
    ["'x'", [0x78]],
    ["'\u00e9\\0'", [0xc3, 0xa9, 0]],
    ["'ab'.repeat(1) + 'c'", [0x61, 0x62, 0x63]],
    ['new Uint8Array([1, 0, 255])', [1, 0, 255]],
    ['new Uint8Array([9, 1, 2, 9]).subarray(1, 3)', [1, 2]],
    ['new Uint8Array([5, 6]).buffer', [5, 6]],
    ['new Uint8Array(5e6).subarray(3, 5)', [0, 0]],
    ['null', []],
    ["''", []],
    ['new Uint8Array(0)', []],
  ]
  for (const [result, bytes] of cases) {
    for (const body of [
      `() => ${result}`,
      `async () => ${result}`,
      `async () => { await null; return ${result} }`,
    ]) {
      const chunk = new FakeChunk('abc')
      const [outcome, request] = await filter(body, chunk)
      assert.is(outcome, Outcome.REPLACED, `${body}: ${request.failure}`)
      assert.equal([...chunk.replacement!], bytes, body)
    }
  }
})

test('a hook that waits', async () => {
  const script = await load(`
    const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
    export async function bodyFilter(r, chunk) { await sleep(10); return chunk.reverse() }`)
  const request = new FakeRequest()
  request.bodyChunk = new FakeChunk('abc')
  assert.is(request.start(script, 'bodyFilter'), Outcome.SUSPENDED)
  const settled = new Promise((done) => {
    request.hookSettled = done
  })
  assert.is(await settled, Outcome.REPLACED)
  assert.is(Buffer.from((request.bodyChunk as FakeChunk).replacement!).toString(), 'cba')
  releaseRequest(request)
})

test('what is no content is refused', async () => {
  const cases: [result: string, message: string][] = [
    [
      '5',
      'TypeError: bodyFilter returned 5; return nothing, a string or a Uint8Array to go on instead, or null',
    ],
    ['false', 'TypeError: bodyFilter returned false; return nothing'],
    ['{ status: 200 }', 'TypeError: bodyFilter returned { status: 200 }; return nothing'],
    ['[1]', 'TypeError: bodyFilter returned [ 1 ]; return nothing'],
    ['new Uint16Array(1)', 'TypeError: what bodyFilter returned is a string or a Uint8Array'],
    ["'x'.repeat(17e6)", 'what bodyFilter returned is longer than 16777216 bytes'],
    ['new Uint8Array(17e6)', 'RangeError: what bodyFilter returned is longer than 16777216 bytes'],
  ]
  for (const [result, message] of cases) {
    const chunk = new FakeChunk('abc')
    const [outcome, request] = await filter(`() => (${result})`, chunk, {
      limits: { memory: 128e6, cpu: 2000 },
    })
    assert.equal([outcome, chunk.replacement], [Outcome.FAILED, null], result)
    assert.ok(request.failure![1].startsWith(message), `${result}: ${request.failure![1]}`)
  }
})

test('r.ctx is kept from chunk to chunk, and to the log', async () => {
  const script = await load(`
    export function bodyFilter(r, chunk, { last }) {
      r.ctx.length = (r.ctx.length ?? 0) + chunk.length
      if (last) return 'total ' + r.ctx.length
    }
    export function log(r) { r.log(r.ctx.length) }`)
  const request = new FakeRequest()
  const chunks = [new FakeChunk('abc'), new FakeChunk('de'), new FakeChunk('', true)]
  const outcomes: Outcome[] = []
  for (const chunk of chunks) outcomes.push(await pass(script, request, chunk))
  assert.equal(outcomes, [Outcome.PASS, Outcome.PASS, Outcome.REPLACED])
  assert.is(Buffer.from(chunks[2].replacement!).toString(), 'total 5')
  await request.run(script, 'log')
  assert.equal(request.logged, ['info hooks.js: 5'])
  releaseRequest(request)
  script.dispose()
})

test('chunk by chunk, a decoder keeps what is incomplete', async () => {
  const script = await load(`
    export function bodyFilter(r, chunk, { last }) {
      r.ctx.decoder ??= new TextDecoder()
      return r.ctx.decoder.decode(chunk, { stream: !last }).toUpperCase()
    }`)
  const request = new FakeRequest()
  const bytes = Buffer.from('caf\u00e9 \u20ac \u{1f600}!')
  let text = ''
  for (let i = 0; i < bytes.length; i++) {
    const chunk = new FakeChunk(bytes.subarray(i, i + 1), i === bytes.length - 1)
    assert.is(await pass(script, request, chunk), Outcome.REPLACED)
    text += Buffer.from(chunk.replacement!).toString()
  }
  assert.is(text, 'CAF\u00c9 \u20ac \u{1f600}!')
  releaseRequest(request)
})

test('the response cannot be changed any more, and sluice.phase says where we are', async () => {
  const cases: [statement: string, message: string][] = [
    ['r.status = 500', 'setting r.status is possible in headerFilter, not in bodyFilter'],
    ["r.headersOut.set('x', 'y')", 'changing r.headersOut is possible in'],
    ["r.headersIn.set('x', 'y')", 'changing r.headersIn is possible in'],
    ["r.uri = '/x'", 'setting r.uri is possible in rewrite, not in bodyFilter'],
    ['r.return(403)', 'r.return() is possible in rewrite, access, content, not in bodyFilter'],
    ['r.readText()', 'reading the body is possible in'],
  ]
  for (const [statement, message] of cases) {
    const [outcome, request] = await filter(`(r) => { ${statement} }`, new FakeChunk('abc'))
    assert.is(outcome, Outcome.FAILED)
    assert.ok(request.failure![1].startsWith(`TypeError: ${message}`), request.failure![1])
  }
  const script = await load(
    'export function bodyFilter(r) { r.log(sluice.phase, r.status, r.headersOut.get("etag"), r.uri) }',
  )
  const request = new FakeRequest({ status: 206, response: [['ETag', '"1"']] })
  assert.is(await pass(script, request, new FakeChunk('abc')), Outcome.PASS)
  assert.equal(request.logged, ['info hooks.js: bodyFilter 206 "1" /chat'])
})

test('limits hold as for every hook, and script_on_error decides', async () => {
  const cases: [body: string, message: string][] = [
    ['() => { while (true); }', 'more than 50 ms of CPU time in one call'],
    ['() => new Promise(() => {})', 'the hook has waited for more than 20 ms'],
    ['() => { throw new Error("no") }', 'Error: no'],
    ['async () => { throw new Error("no") }', 'Error: no'],
  ]
  for (const [body, message] of cases) {
    const chunk = new FakeChunk('abc')
    const [closed, request] = await filter(body, chunk, { limits: { wall: 20 } })
    assert.equal(
      [closed, chunk.replacement, request.failure],
      [Outcome.FAILED, null, ['bodyFilter', message]],
    )
    const [open, passed] = await filter(body, chunk, { limits: { wall: 20 }, onError: 'open' })
    assert.equal([open, chunk.replacement, passed.failure], [Outcome.PASS, null, null])
    assert.match(passed.logged[0], `${message} in bodyFilter`)
  }
})

test('chunks come and go; their memory does too', async () => {
  const script = await load('export function bodyFilter(r, chunk) { if (chunk[0] === 1) return chunk }')
  const request = new FakeRequest()
  const chunk = new FakeChunk(Buffer.alloc(65_536, 1))
  for (let i = 0; i < 2000; i++) {
    request.bodyChunk = chunk
    assert.is(request.start(script, 'bodyFilter'), Outcome.REPLACED)
  }
  assert.is(request.scriptState, null)
  assert.ok(script.memoryUsed < 10e6, `${script.memoryUsed} bytes`)
  script.dispose()
})

test.run()
