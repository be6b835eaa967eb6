// fetch as scripts know it: requests, responses, streams, signals; and what it may not do.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest, type Script } from '../../runtime/script/engine.ts'
import { listening, network } from '../fetch/fetching.ts'
import { FakeHost, FakeRequest, load, refusal } from './fake-request.ts'

/** Answers everything that the tests ask. */
function serve(request: IncomingMessage, response: ServerResponse): void {
  const { url = '', method, headers } = request
  if (url === '/json') response.end('{"a":[1,"caf\u00e9"]}')
  else if (url === '/bom') response.end('\ufefftext')
  else if (url === '/latin') response.end(Buffer.from([0x61, 0xe9, 0x62]))
  else if (url.startsWith('/bytes/')) response.end(Buffer.alloc(Number(url.slice(7)), '\u20ac'))
  else if (url === '/fields') {
    response.setHeader('X-One', ['a', 'b'])
    response.setHeader('Set-Cookie', ['a=1', 'b=2'])
    response.setHeader('Content-Length', 0)
    response.statusMessage = 'Fine'
    response.writeHead(203).end()
  } else if (url === '/echo') {
    const body: Buffer[] = []
    request.on('data', (chunk: Buffer) => body.push(chunk))
    request.on('end', () => {
      response.end(JSON.stringify({ method, headers, body: Buffer.concat(body).toString('utf8') }))
    })
  } else if (url === '/redirect') response.writeHead(302, { location: '/json' }).end()
  else if (url === '/slow') response.write('first')
  else if (url === '/pieces') {
    response.write('one')
    setTimeout(() => response.write('two'), 30)
    setTimeout(() => response.end('three'), 60)
  } else if (url === '/cut') {
    response.writeHead(200, { 'content-length': 10 })
    response.write('abc', () => response.destroy())
  } else if (url === '/silent') silent.push(response)
  else response.writeHead(404).end('none')
}

/** Requests to which nothing is answered. */
const silent: ServerResponse[] = []
const server = createServer(serve)
const port = await listening(server)
const BASE = `http://127.0.0.1:${port}`

class NetworkHost extends FakeHost {
  override fetch = network(`${BASE}`)
}

const SETUP = `
  const BASE = '${BASE}'
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
  const caught = async (promise) => { try { return await promise } catch (error) { return error.name + ': ' + error.message } }
`

/** What the body of an async function comes to in a sandbox, as JSON. */
async function evaluate(body: string, memory = 32 * 2 ** 20): Promise<unknown> {
  const script = await load(
    `${SETUP}export async function content(r) {
      const value = await (async () => { ${body} })()
      return { status: 200, body: JSON.stringify([value]) }
    }`,
    // What is measured here is no CPU time: bodies of 15 MiB are made and copied.
    { host: new NetworkHost(), limits: { memory, cpu: 1000 } },
  )
  const request = new FakeRequest()
  const outcome = await request.run(script, 'content')
  releaseRequest(request)
  script.dispose()
  if (outcome !== Outcome.ANSWER) throw new Error(request.logged.join('\n'))
  return JSON.parse(Buffer.from(request.answered!.body as string, 'latin1').toString('utf8'))[0]
}

test('a response, read in every way', async () => {
  const cases: [body: string, value: unknown][] = [
    ['return await (await fetch(BASE + "/json")).json()', { a: [1, 'caf\u00e9'] }],
    ['return await (await fetch(BASE + "/json")).text()', '{"a":[1,"caf\u00e9"]}'],
    ['return await (await fetch(BASE + "/bom")).text()', 'text'],
    ['return await (await fetch(BASE + "/latin")).text()', 'a\ufffdb'],
    ['return [...await (await fetch(BASE + "/latin")).bytes()]', [0x61, 0xe9, 0x62]],
    ['return (await (await fetch(BASE + "/latin")).arrayBuffer()).byteLength', 3],
    ['return (await (await fetch(BASE + "/bytes/1000000")).bytes()).length', 1_000_000],
    ['return (await (await fetch(BASE + "/bytes/999999")).text()) === "\u20ac".repeat(333333)', true],
    ['return (await (await fetch(BASE + "/bytes/0")).text())', ''],
    ['return (await (await fetch(BASE + "/bytes/0")).bytes()).length', 0],
    [
      'const f = await fetch(BASE + "/fields"); return [f.status, f.statusText, f.ok, f.redirected, f.url, f.bodyUsed, f.body]',
      [203, 'Fine', true, false, `${BASE}/fields`, false, null],
    ],
    [
      'return [...(await fetch(BASE + "/fields")).headers].filter(([name]) => /^x-|cookie/.test(name))',
      [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['x-one', 'a, b'],
      ],
    ],
    ['return (await fetch(BASE + "/fields")).headers.getSetCookie()', ['a=1', 'b=2']],
    [
      'const f = await fetch(BASE + "/redirect"); return [f.status, f.redirected, f.url]',
      [200, true, `${BASE}/json`],
    ],
    [
      'const f = await fetch(BASE + "/redirect", { redirect: "manual" }); return [f.status, f.headers.get("Location")]',
      [302, '/json'],
    ],
    [
      'const f = await fetch(BASE + "/none"); return [f.ok, f.status, await f.text(), f.bodyUsed]',
      [false, 404, 'none', true],
    ],
    [
      'const f = await fetch(BASE + "/json"); await f.text(); return caught(f.json())',
      'TypeError: the body is read already, or being read',
    ],
    ['return (await fetch(new URL("/none", BASE))).status', 404],
    [
      'const all = []; for await (const piece of (await fetch(BASE + "/pieces")).body) all.push(new TextDecoder().decode(piece)); return all',
      ['one', 'two', 'three'],
    ],
    ['for await (const piece of (await fetch(BASE + "/slow")).body) return piece.length', 5],
    [
      'const f = await fetch(BASE + "/slow"); await f.body.cancel(); return caught(f.text())',
      'AbortError: the body was cancelled',
    ],
    [
      'return caught(fetch(BASE + "/cut").then((f) => f.text()))',
      `TypeError: fetch: ${BASE}/cut: the answer was cut off`,
    ],
  ]
  for (const [body, value] of cases) assert.equal(await evaluate(body), value, body)
})

test('a request, written in every way', async () => {
  const echo = (input: string) =>
    `const { method, headers, body } = await (await fetch(${input})).json(); return [method, headers['content-type'] ?? null, headers['x-a'] ?? null, body]`
  const text = 'text/plain;charset=UTF-8'
  const cases: [input: string, value: unknown][] = [
    ['BASE + "/echo"', ['GET', null, null, '']],
    ['BASE + "/echo", { method: "post", body: "caf\u00e9" }', ['POST', text, null, 'caf\u00e9']],
    [
      'BASE + "/echo", { method: "PUT", body: new Uint8Array([65, 66, 67]).subarray(1), headers: { "X-A": "1" } }',
      ['PUT', null, '1', 'BC'],
    ],
    [
      'BASE + "/echo", { method: "POST", body: new URLSearchParams({ a: "1 2" }) }',
      ['POST', 'application/x-www-form-urlencoded;charset=UTF-8', null, 'a=1+2'],
    ],
    [
      'BASE + "/echo", { method: "POST", body: "{}", headers: [["Content-Type", "application/json"], ["x-a", "1"], ["X-A", "2"]] }',
      ['POST', 'application/json', '1, 2', '{}'],
    ],
    [
      'BASE + "/echo", { method: "POST", body: (function* () { yield "a"; yield new Uint8Array([66]) })() }',
      ['POST', null, null, 'aB'],
    ],
    [
      'BASE + "/echo", { method: "POST", body: (async function* () { yield "a"; await sleep(20); yield "b" })() }',
      ['POST', null, null, 'ab'],
    ],
    ['BASE + "/echo", { method: "POST", body: (async function* () {})() }', ['POST', null, null, '']],
    [
      '{ url: BASE + "/echo", method: "PATCH", body: "x", headers: new Headers({ "x-a": "h" }) }',
      ['PATCH', text, 'h', 'x'],
    ],
    ['{ url: BASE + "/echo", method: "PATCH" }, { method: "DELETE" }', ['DELETE', null, null, '']],
    [
      'BASE + "/echo", { method: "POST", body: (await fetch(BASE + "/json")).body }',
      ['POST', null, null, '{"a":[1,"caf\u00e9"]}'],
    ],
  ]
  for (const [input, value] of cases) assert.equal(await evaluate(echo(input)), value, input)
})

test('what is refused, as an error that can be caught', async () => {
  const cases: [input: string, error: string][] = [
    ['"nonsense"', 'TypeError: fetch: "nonsense" is not a URL'],
    [
      '"http://evil.example/x"',
      'TypeError: fetch: http://evil.example is not allowed; "script_allow_fetch http://evil.example;" would allow it',
    ],
    [
      '"http://127.0.0.1:1/"',
      'TypeError: fetch: http://127.0.0.1:1 is not allowed; "script_allow_fetch http://127.0.0.1:1;" would allow it',
    ],
    [
      'BASE, { headers: { "Content-Length": "1" } }',
      "TypeError: fetch: the header content-length is the proxy's own",
    ],
    ['BASE, { headers: { "x": "a\\nb" } }', 'TypeError: a header value holds a control character'],
    [
      'BASE, { headers: { "x": "\\u{10ffff}\\ud800" } }',
      'TypeError: fetch: the value of x holds a control character',
    ],
    ['BASE, { headers: { "x y": "" } }', 'TypeError: "x y" is no header name'],
    ['BASE, { headers: 5 }', 'TypeError: Headers are made of an object or of pairs'],
    ['BASE, { method: "CONNECT" }', 'TypeError: fetch: the method "CONNECT" cannot be sent'],
    ['BASE, { body: "x" }', 'TypeError: fetch: a GET request has no body'],
    ['BASE, { method: "POST", body: 5 }', 'TypeError: a body is a string or a Uint8Array'],
    ['BASE, { method: "POST", body: {} }', 'TypeError: a body is a string or a Uint8Array'],
    ['BASE, { method: "POST", body: [1] }', 'TypeError: a piece of the body is a string or a Uint8Array'],
    ['BASE, { method: "POST", body: (function* () { throw new Error("mine") })() }', 'Error: mine'],
    ['BASE, { redirect: "maybe" }', 'TypeError: redirect is "follow", "manual" or "error"'],
    ['BASE, { timeout: 0 }', 'RangeError: timeout is a number of milliseconds above 0'],
    ['BASE + "/" + "x".repeat(200_000)', 'RangeError: the request is longer than 131072 bytes'],
    [
      'BASE + "/silent", { timeout: 50 }',
      `TimeoutError: fetch: "${BASE}/silent": no complete answer within 50 ms`,
    ],
    ['BASE, { signal: AbortSignal.abort() }', 'AbortError: the operation was aborted'],
    ['BASE, { signal: AbortSignal.abort(new RangeError("why")) }', 'RangeError: why'],
    ['BASE + "/silent", { signal: AbortSignal.timeout(30) }', 'TimeoutError: the time of 30 ms is over'],
  ]
  for (const [input, error] of cases) {
    assert.is(await evaluate(`return caught((async () => fetch(${input}))())`), error, input)
  }
})

test('signals', async () => {
  const cases: [body: string, value: unknown][] = [
    [
      'const c = new AbortController(); const p = caught(fetch(BASE + "/silent", { signal: c.signal })); c.abort(); return [await p, c.signal.aborted]',
      ['AbortError: the operation was aborted', true],
    ],
    [
      'const c = new AbortController(); const f = await fetch(BASE + "/slow", { signal: c.signal }); const p = caught(f.text()); c.abort(new Error("enough")); return p',
      'Error: enough',
    ],
    [
      'const c = new AbortController(); const f = await fetch(BASE + "/slow", { signal: c.signal }); c.abort(new Error("enough")); return caught(f.text())',
      'Error: enough',
    ],
    [
      'const c = new AbortController(); const f = await fetch(BASE + "/json", { signal: c.signal }); const t = await f.text(); c.abort(); return t.length',
      16,
    ],
    [
      'const a = new AbortController(), b = new AbortController(); const any = AbortSignal.any([a.signal, b.signal]); b.abort("b"); return [any.aborted, any.reason, a.signal.aborted]',
      [true, 'b', false],
    ],
    [
      'const c = new AbortController(); const seen = []; const f = () => seen.push(1); c.signal.onabort = () => seen.push(0); c.signal.addEventListener("abort", f); c.signal.addEventListener("abort", f); c.abort(); c.abort(); return seen',
      [0, 1],
    ],
    [
      'const c = new AbortController(); const f = () => { throw 1 }; c.signal.addEventListener("abort", f); c.signal.removeEventListener("abort", f); c.abort("x"); try { c.signal.throwIfAborted() } catch (e) { return e }',
      'x',
    ],
    [
      'try { new AbortSignal() } catch (e) { return e.message }',
      'an AbortSignal comes from an AbortController',
    ],
    [
      'return caught((async () => fetch(BASE, { signal: {} }))()).then((e) => e.startsWith("TypeError"))',
      true,
    ],
  ]
  for (const [body, value] of cases) assert.equal(await evaluate(body), value, body)
})

test('Headers', async () => {
  const cases: [expression: string, value: unknown][] = [
    [
      '[...new Headers({ b: 1, A: ["x", "y"] })]',
      [
        ['a', 'x, y'],
        ['b', '1'],
      ],
    ],
    [
      '(() => { const h = new Headers([["a", "1"]]); h.append("A", " 2 "); h.set("b", "3"); h.set("a", "4"); h.delete("B"); return [h.get("a"), h.get("b"), h.has("A"), [...h.keys()], [...h.values()]] })()',
      ['4', null, true, ['a'], ['4']],
    ],
    ['[...new Headers(new Headers({ a: "1" }))]', [['a', '1']]],
    [
      '(() => { const seen = []; new Headers({ a: "1" }).forEach((value, name) => seen.push(name, value)); return seen })()',
      ['a', '1'],
    ],
  ]
  for (const [expression, value] of cases)
    assert.equal(await evaluate(`return ${expression}`), value, expression)
})

test('so many at the same time, and no more', async () => {
  assert.equal(
    await evaluate(`
      const all = Array.from({ length: 65 }, () => caught(fetch(BASE + '/bytes/70000')))
      const last = await all[64]
      const rest = await Promise.all(all.slice(0, 64))
      await rest[0].text()
      const again = await fetch(BASE + '/json')
      return [last, rest.every((each) => each.status === 200), await again.text()]`),
    [
      'RangeError: more than 64 fetches of one request at the same time; read or cancel their bodies',
      true,
      '{"a":[1,"caf\u00e9"]}',
    ],
  )
})

test('a piece of a stream may be long, and bodies under way take 32 MiB', async () => {
  assert.equal(
    await evaluate(`
      const whole = new Uint8Array(300_001).fill(65)
      async function* pieces() { yield whole.subarray(1, 200_000); yield '\u20ac'.repeat(50_000); yield new Uint8Array(0); yield whole.subarray(200_000) }
      const { body, headers } = await (await fetch(BASE + '/echo', { method: 'POST', body: pieces() })).json()
      return [headers['transfer-encoding'], body.includes('\u20ac'.repeat(50_000)), body.length > 250_000]`),
    ['chunked', true, true],
  )
  assert.equal(
    await evaluate(
      `const body = new Uint8Array(15 * 2 ** 20)
      const send = (signal) => caught(fetch(BASE + '/silent', { method: 'POST', body, signal }))
      const c = new AbortController()
      const first = send(c.signal)
      send()
      const refused = await send()
      c.abort()
      await first
      return [refused, await caught(fetch(BASE + '/none', { method: 'POST', body })).then((f) => f.status)]`,
      128 * 2 ** 20,
    ),
    ["RangeError: the bodies of a script's fetches take more than 33554432 bytes", 404],
  )
})

test('the whole of a script may have 256 under way', async () => {
  const host = new NetworkHost()
  const script = await load(
    `${SETUP}export async function access(r) { for (let i = 0; i < 64; i++) fetch(BASE + '/silent').catch(() => {}); await caught(fetch(BASE)).then((e) => r.warn(e)) }`,
    { host },
  )
  const requests = Array.from({ length: 5 }, () => new FakeRequest())
  for (const request of requests) request.start(script, 'access')
  assert.match(requests[4].logged.join(), /more than 256 fetches of one script/)
  for (const request of requests) releaseRequest(request)
  script.dispose()
})

/** Begins hooks that fetch what is never answered; the server has the request when this returns. */
async function pendingFetch(script: Script, request: FakeRequest): Promise<ServerResponse> {
  const before = silent.length
  assert.is(request.start(script, 'access'), Outcome.SUSPENDED)
  while (silent.length === before) await new Promise((next) => setTimeout(next, 5))
  return silent[before]
}

const SILENT = `${SETUP}export async function access(r) { await fetch(BASE + '/silent') }
export function log() {}`

test('a request that its client has left takes its fetches along', async () => {
  const script = await load(SILENT, { host: new NetworkHost() })
  const request = new FakeRequest()
  const response = await pendingFetch(script, request)
  const gone = new Promise((done) => response.on('close', done))
  request.closed = true
  script.abandon(request)
  await gone
  assert.equal(request.settlements, [])
  releaseRequest(request)
  script.dispose()
})

test('a hook that has ended leaves its fetches until the request is over', async () => {
  const script = await load(
    `${SETUP}export function access(r) { fetch(BASE + '/silent').catch((e) => r.log(e)) }`,
    { host: new NetworkHost() },
  )
  const request = new FakeRequest()
  const before = silent.length
  assert.is(request.start(script, 'access'), Outcome.PASS)
  while (silent.length === before) await new Promise((next) => setTimeout(next, 5))
  const gone = new Promise((done) => silent[before].on('close', done))
  releaseRequest(request)
  await gone
  assert.equal(request.logged, [])
  script.dispose()
})

test('fetches end with the sandbox: disposed of, or lost', async () => {
  for (const end of ['dispose', 'lose']) {
    const script = await load(
      `${SILENT}
      export function rewrite() { Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }`,
      { host: new NetworkHost() },
    )
    const request = new FakeRequest()
    const response = await pendingFetch(script, request)
    const gone = new Promise((done) => response.on('close', done))
    if (end === 'dispose') script.dispose()
    else new FakeRequest().start(script, 'rewrite')
    await gone
    assert.equal(request.settlements, end === 'dispose' ? [] : [Outcome.FAILED])
    script.dispose()
  }
})

test('wall time bounds a fetch, and a longer timeout does not help', async () => {
  const script = await load(
    `${SETUP}export async function access(r) { await fetch(BASE + '/silent', { timeout: 60_000 }) }`,
    { host: new NetworkHost(), limits: { wall: 100 } },
  )
  const request = new FakeRequest()
  const started = Date.now()
  assert.is(await request.run(script, 'access'), Outcome.FAILED)
  assert.ok(Date.now() - started < 2000)
  assert.match(request.logged.join(), /waited for more than 100 ms|no complete answer within 100 ms/)
  releaseRequest(request)
  script.dispose()
})

test('an error that nobody catches has the line of the script', async () => {
  const script = await load(
    `export async function access(r) {\n  const f = await fetch('http://evil.example/')\n}`,
    { host: new NetworkHost() },
  )
  const request = new FakeRequest()
  assert.is(await request.run(script, 'access'), Outcome.FAILED)
  assert.match(
    request.logged[0],
    /^error .*hooks\.js.*TypeError: fetch: http:\/\/evil\.example is not allowed.* in access/,
  )
  releaseRequest(request)
  script.dispose()
})

test('init and the top level may fetch, and are waited for', async () => {
  const script = await load(
    `${SETUP}
    const { a } = await (await fetch(BASE + '/json')).json()
    let later
    export async function init() { later = (await fetch(BASE + '/none')).status }
    export function access(r) { r.log(a[1], later) }`,
    { host: new NetworkHost() },
  )
  const request = new FakeRequest()
  request.start(script, 'access')
  assert.equal(request.logged, ['info hooks.js: caf\xc3\xa9 404'])
  assert.equal(script.exports, ['access', 'init'])
  script.dispose()
  const host = new NetworkHost()
  const cases: [source: string, message: RegExp][] = [
    ["await fetch('http://evil.example/')", /TypeError: fetch: http:\/\/evil\.example is not allowed/],
    [
      "await fetch(BASE + '/silent')",
      /the top level has waited for more than 200 ms|no complete answer within 200 ms/,
    ],
    ["await fetch(BASE + '/json'); throw new Error('mine')", /hooks\.js:\d+:\d+: Error: mine/],
    ["await fetch(BASE + '/json'); for (;;);", /more than 70 ms of CPU time/],
    [
      "await fetch(BASE + '/json'); await new Promise(() => {})",
      /the top level has waited for more than 200 ms/,
    ],
    ['await new Promise(() => {})', /the top level awaits something that does not come/],
  ]
  for (const [source, message] of cases) {
    assert.match(
      await refusal(`${SETUP}${source}\nexport function access() {}`, { host, limits: { wall: 200 } }),
      message,
    )
  }
})

test('a body is read as the script asks for it, and sent as the peer takes it', async () => {
  let sent = 0
  const big = createServer((request, response) => {
    if (request.url === '/up') {
      request.once('data', () => request.pause())
      setTimeout(() => {
        uploadedBefore = request.socket.bytesRead
        request.resume()
      }, 300)
      request.on('end', () => response.end('done'))
      return
    }
    const more = () => {
      while (sent < 64 * 2 ** 20) {
        sent += 65_536
        if (!response.write(Buffer.alloc(65_536))) {
          response.once('drain', more)
          return
        }
      }
      response.end()
    }
    more()
  })
  let uploadedBefore = 0
  const bigPort = await listening(big)
  class BigHost extends FakeHost {
    override fetch = network(`http://127.0.0.1:${bigPort}`)
  }
  // Twice the sandbox's memory goes through it.
  const script = await load(
    `${SETUP}
    export async function access(r) {
      let read = 0
      for await (const piece of (await fetch('http://127.0.0.1:${bigPort}/')).body) {
        if (read === 0) await sleep(300)
        read += piece.length
      }
      r.log(read)
    }
    export async function rewrite(r) {
      let made = 0
      async function* chunks() { for (let i = 0; i < 1024; i++) { made++; yield new Uint8Array(65536) } }
      const sending = fetch('http://127.0.0.1:${bigPort}/up', { method: 'POST', body: chunks() })
      await sleep(200)
      const before = made
      r.log((await (await sending).text()), made, before < 200)
    }`,
    { host: new BigHost(), limits: { memory: 32 * 2 ** 20 } },
  )
  const request = new FakeRequest()
  const running = request.run(script, 'access')
  await new Promise((done) => setTimeout(done, 250))
  assert.ok(sent < 32 * 2 ** 20, `${sent} bytes were sent while the script slept`)
  assert.is(await running, Outcome.PASS, request.logged.join())
  assert.is(await request.run(script, 'rewrite'), Outcome.PASS, request.logged.join())
  assert.equal(request.logged, [`info hooks.js: ${64 * 2 ** 20}`, 'info hooks.js: done 1024 true'])
  assert.ok(uploadedBefore < 16 * 2 ** 20)
  assert.ok(script.memoryUsed <= 32 * 2 ** 20)
  releaseRequest(request)
  script.dispose()
  big.close()
  big.closeAllConnections()
})

test('text(), json() and bytes() take 16 MiB', async () => {
  const big = createServer((_request, response) => response.end(Buffer.alloc(17 * 2 ** 20, 'x')))
  const bigPort = await listening(big)
  class BigHost extends FakeHost {
    override fetch = network(`http://127.0.0.1:${bigPort}`)
  }
  for (const method of ['text', 'bytes', 'json']) {
    const script = await load(
      `export async function access(r) { try { await (await fetch('http://127.0.0.1:${bigPort}/')).${method}() } catch (e) { r.log(e) } }`,
      { host: new BigHost(), limits: { memory: 256 * 2 ** 20 } },
    )
    const request = new FakeRequest()
    assert.is(await request.run(script, 'access'), Outcome.PASS)
    assert.match(request.logged[0], /RangeError: the body is longer than 16777216 bytes/)
    releaseRequest(request)
    script.dispose()
  }
  big.close()
  big.closeAllConnections()
})

test('ten thousand fetches later the sandbox is as large as after a few', async () => {
  const script = await load(
    `${SETUP}export async function access(r) { for (let i = 0; i < 20; i++) await (await fetch(BASE + '/json')).json() }`,
    { host: new NetworkHost() },
  )
  const run = async (times: number) => {
    for (let i = 0; i < times; i++) {
      const requests = Array.from({ length: 5 }, () => new FakeRequest())
      const outcomes = await Promise.all(requests.map((request) => request.run(script, 'access')))
      assert.ok(outcomes.every((outcome) => outcome === Outcome.PASS))
      for (const request of requests) releaseRequest(request)
    }
  }
  await run(10)
  const before = script.memoryUsed
  await run(90)
  assert.is(script.memoryUsed, before)
  script.dispose()
})

test.after(() => {
  server.close()
  server.closeAllConnections()
})

test.run()
