// `r` as a script sees it, phase by phase.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome, type Phase } from '../../runtime/phases.ts'
import { releaseRequest, type Script } from '../../runtime/script/engine.ts'
import { type Described, FakeHost, FakeRequest, load } from './fake-request.ts'

/** What an expression of `r` comes to in a phase. */
async function see(expression: string, described: Described = {}, phase: Phase = 'access'): Promise<unknown> {
  const script = await load(`export function ${phase}(r) { r.log(JSON.stringify(${expression})) }`)
  const request = new FakeRequest(described)
  const outcome = await request.run(script, phase)
  script.dispose()
  if (outcome !== Outcome.PASS) throw new Error(request.logged.join('\n'))
  const line = request.logged[0].replace(/^info hooks\.js: /, '')
  return line === 'undefined' ? undefined : JSON.parse(line)
}

/** The message with which a statement fails in a phase. */
async function fails(statement: string, phase: Phase, described: Described = {}): Promise<string> {
  const script = await load(`export function ${phase}(r) { ${statement} }`)
  const request = new FakeRequest(described)
  const outcome = await request.run(script, phase)
  script.dispose()
  assert.is(outcome, Outcome.FAILED, `${statement} in ${phase}`)
  return request.failure![1]
}

async function run(
  source: string,
  phase: Phase,
  request = new FakeRequest(),
): Promise<[Outcome, FakeRequest, Script]> {
  const script = await load(source)
  return [await request.run(script, phase), request, script]
}

test('the request line', async () => {
  const seen = await see('[r.method, r.uri, r.rawArgs, r.httpVersion, r.remoteAddress, r.status]', {
    method: 'POST',
    uri: '/a b/caf\xc3\xa9',
    args: 'x=1',
    status: 200,
  })
  assert.equal(seen, ['POST', '/a b/caf\xc3\xa9', 'x=1', '1.1', '192.0.2.7', 200])
})

test('bytes that are no UTF-8 become U+FFFD, the characters around them stay', async () => {
  const [, request] = await run(
    'export function access(r) { r.log(r.uri) }',
    'access',
    new FakeRequest({ uri: '/a\x80b\xff/c' }),
  )
  assert.is(request.logged[0], 'info hooks.js: /a\xef\xbf\xbdb\xef\xbf\xbd/c')
})

test('NUL does not cut a string short, inwards or outwards', async () => {
  for (const [text, length] of [
    ['a\0b', 3],
    [`${'x'.repeat(2000)}\0admin`, 2006],
    ['caf\xc3\xa9\0z', 6],
  ] as const) {
    const source =
      'export function content(r) { const v = r.variables.v; return { status: 200, body: v.length + v } }'
    const [, request] = await run(source, 'content', new FakeRequest({ variables: { v: text } }))
    assert.is(request.answered?.body, `${length}${text}`)
  }
})

test('args are decoded, repeated names are lists, prototypes stay out of it', async () => {
  const args = 'a=1&b=x%20y+z&a=2&c&=e&bad=%zz&&__proto__=p&a=3'
  assert.equal(await see('r.args', { args }), {
    a: ['1', '2', '3'],
    b: 'x y z',
    c: '',
    '': 'e',
    bad: '%zz',
    ['__proto__']: 'p',
  })
})

test('variables by name, by computed name, unknown, absent and written', async () => {
  const source = `
    export function access(r) {
      const name = 'computed'
      r.variables.written = 'new'
      r.variables[name + '_too'] = 42
      const { destructured } = r.variables
      r.log(JSON.stringify([r.variables.plain, r.variables[name], r.variables.unknown_one ?? null,
        r.variables.absent ?? null, r.variables.written, destructured, 'plain' in r.variables, 'unknown_x' in r.variables]))
    }`
  const request = new FakeRequest({ variables: { plain: 'p', computed: 'c', destructured: 'd' } })
  await run(source, 'access', request)
  assert.is(request.logged[0], 'info hooks.js: ["p","c",null,null,"new","d",true,false]')
  assert.is(request.variables.computed_too, '42')
})

test('a variable that cannot be set, and one that there is not', async () => {
  assert.match(await fails('r.variables.fixed_host = 1', 'access'), 'the variable $fixed_host cannot be set')
  assert.match(await fails('r.variables.unknown_x = 1', 'access'), 'there is no variable $unknown_x')
  assert.match(await fails('r.variables["un" + "known_x"] = 1', 'access'), 'there is no variable $unknown_x')
  assert.match(await fails('r.variables.x = {}', 'access'), 'the value of $x is a string, not an object')
})

test('header fields: methods, indexing, iteration, deletion', async () => {
  const headers = [
    ['Host', 'example.com'],
    ['X-A', '1'],
    ['x-a', '2'],
    ['Cookie', 'a=1'],
    ['cookie', 'b=2'],
  ] as const
  const source = `
    export function access(r) {
      const h = r.headersIn
      r.log(JSON.stringify([h.get('x-a'), h['X-A'], h.getAll('x-a'), h.cookie, h.has('host'), 'HOST' in h, h.nope ?? null]))
      r.log(JSON.stringify([[...h], Object.keys(h)]))
      const found = []
      for (const name in h) found.push(name)
      for (const [name, value] of h.entries()) found.push(value)
      h.forEach((value, name) => found.push(name))
      r.log(found.join())
      h.set('X-New', 'n')
      h.append('X-New', 'm')
      h['x-indexed'] = 5
      delete h['x-a']
      h.host = null
      r.log(JSON.stringify(h))
    }`
  const [outcome, request] = await run(source, 'access', new FakeRequest({ headers }))
  assert.is(outcome, Outcome.PASS, request.logged.join('\n'))
  const seen = request.logged.map((line) => line.replace('info hooks.js: ', ''))
  assert.is(seen[0], '["1, 2","1, 2",["1","2"],"a=1; b=2",true,true,null]')
  assert.equal(JSON.parse(seen[1]), [headers, ['Host', 'X-A', 'x-a', 'Cookie', 'cookie']])
  assert.is(seen[2], 'Host,X-A,x-a,Cookie,cookie,example.com,1,2,a=1,b=2,Host,X-A,x-a,Cookie,cookie')
  assert.equal(JSON.parse(seen[3]), {
    Cookie: 'a=1; b=2',
    cookie: 'a=1; b=2',
    'X-New': 'n, m',
    'x-indexed': '5',
  })
})

test('what a field may not hold is refused where the script sets it', async () => {
  const cases: [statement: string, message: string][] = [
    [
      "r.headersOut.set('X', 'a\\r\\nSet-Cookie: x=1')",
      'RangeError: the value of "X" holds a control character',
    ],
    ["r.headersOut.append('X', 'a\\0')", 'RangeError: the value of "X" holds a control character'],
    ["r.headersOut.set('X\\r\\n', 'a')", 'is no header name'],
    ["r.headersOut.set('', 'a')", 'is no header name'],
    ["r.headersOut['Content-Length'] = '5'", '"Content-Length" is written by the proxy itself'],
    ["r.headersOut.set('X', { toString() { while (1); } })", 'a header value is a string, not an object'],
    ["r.headersOut.set('X')", 'a header value is a string, not undefined'],
    ['r.headersOut.get()', 'a header name is a string, not undefined'],
    ["r.headersOut.set('X', 'x'.repeat(70000))", 'a header value is longer than 65536 bytes'],
  ]
  for (const [statement, message] of cases) assert.match(await fails(statement, 'headerFilter'), message)
})

test('each phase allows what it should, and says so when it does not', async () => {
  const cases: [statement: string, phases: Phase[]][] = [
    ["r.uri = '/x'", ['rewrite']],
    ["r.rawArgs = 'a=1'", ['rewrite']],
    ['r.return(403)', ['rewrite', 'access', 'content']],
    ["r.internalRedirect('/x')", ['rewrite', 'access', 'content']],
    ['r.decline()', ['rewrite', 'access', 'content']],
    ['r.readText()', ['rewrite', 'access', 'content']],
    ["r.headersIn.set('X', '1')", ['rewrite', 'access', 'balancer']],
    ["r.headersOut.set('X', '1')", ['rewrite', 'access', 'content', 'headerFilter']],
    ['r.status = 404', ['headerFilter']],
  ]
  const phases: Phase[] = ['rewrite', 'access', 'content', 'balancer', 'headerFilter', 'log']
  for (const [statement, allowed] of cases) {
    const source = phases.map((phase) => `export function ${phase}(r) { ${statement} }`).join('\n')
    const script = await load(source)
    for (const phase of phases) {
      const request = new FakeRequest()
      const outcome = await request.run(script, phase)
      if (allowed.includes(phase))
        assert.is.not(outcome, Outcome.FAILED, `${statement} in ${phase}: ${request.failure}`)
      else assert.match(request.failure?.[1] ?? '', `possible in ${allowed.join(', ')}, not in ${phase}`)
    }
    script.dispose()
  }
})

test('setting the path, the query and the status', async () => {
  const [, request] = await run(
    "export function rewrite(r) { r.uri = '/caf\u00e9'; r.rawArgs = 'a=1' }",
    'rewrite',
  )
  assert.equal([request.uri, request.rawArgs], ['/caf\xc3\xa9', 'a=1'])
  const [, filtered] = await run('export function headerFilter(r) { r.status = 418 }', 'headerFilter')
  assert.is(filtered.status, 418)
  assert.match(await fails("r.uri = 'x'", 'rewrite'), 'RangeError: a uri begins with "/"')
  assert.match(await fails('r.status = 9', 'headerFilter'), 'RangeError: a status is')
  assert.match(await fails("r.status = 'many'", 'headerFilter'), 'r.status is a whole number')
})

test('r.return answers, with a body, bytes, or a place to go to', async () => {
  const cases: [
    statement: string,
    status: number,
    headers: [string, string][],
    body: string | Uint8Array | null,
  ][] = [
    ['r.return(403)', 403, [], null],
    ["r.return(200, 'caf\u00e9')", 200, [], 'caf\xc3\xa9'],
    ['r.return(200, 7)', 200, [], '7'],
    ["r.return(302, '/login')", 302, [['Location', '/login']], null],
    [
      "r.return(301, 'https://example.com/\u00e9')",
      301,
      [['Location', 'https://example.com/\xc3\xa9']],
      null,
    ],
    ['r.return(200, new Uint8Array([1, 2, 3, 4]).subarray(1, 3))', 200, [], Buffer.from([2, 3])],
    ['r.return(200, new Uint8Array(0))', 200, [], Buffer.alloc(0)],
    ["r.headersOut.set('X-Why', 'w'); r.return(403, 'no')", 403, [['X-Why', 'w']], 'no'],
  ]
  for (const [statement, status, headers, body] of cases) {
    const [outcome, request] = await run(`export function content(r) { ${statement} }`, 'content')
    assert.is(outcome, Outcome.ANSWER, request.logged.join())
    assert.equal(request.answered, { status, headers, body }, statement)
  }
})

test('an answer as a value', async () => {
  const cases: [
    value: string,
    status: number,
    headers: [string, string][],
    body: string | Uint8Array | null,
  ][] = [
    ['{ status: 204 }', 204, [], null],
    [
      "{ status: 401, headers: { 'WWW-Authenticate': 'Basic' }, body: 'who?' }",
      401,
      [['WWW-Authenticate', 'Basic']],
      'who?',
    ],
    [
      "{ status: 200, headers: [['Set-Cookie', 'a'], ['Set-Cookie', 'b']] }",
      200,
      [
        ['Set-Cookie', 'a'],
        ['Set-Cookie', 'b'],
      ],
      null,
    ],
    [
      "{ status: 200, headers: { 'Set-Cookie': ['a', 'b'] } }",
      200,
      [
        ['Set-Cookie', 'a'],
        ['Set-Cookie', 'b'],
      ],
      null,
    ],
    ["{ status: 200, headers: new Map([['X', 1]]) }", 200, [['X', '1']], null],
    ["{ status: 302, headers: { Location: '/x' } }", 302, [['Location', '/x']], null],
    ['{ status: 200, body: new TextEncoder().encode("\u00e9").buffer }', 200, [], Buffer.from([0xc3, 0xa9])],
  ]
  for (const [value, status, headers, body] of cases) {
    const [outcome, request] = await run(`export function content(r) { return ${value} }`, 'content')
    assert.is(outcome, Outcome.ANSWER, request.logged.join())
    assert.equal(request.answered, { status, headers, body }, value)
  }
})

test('answers that are none', async () => {
  const cases: [statement: string, message: string][] = [
    ['return 403', 'content returned 403; return nothing, call r.return(status)'],
    ['return false', 'content returned false'],
    ["return 'text'", "content returned 'text'"],
    ['return {}', 'content returned {}'],
    ["return { status: '200' }", "content returned { status: '200' }"],
    ['r.return()', 'the status is a whole number'],
    ['r.return(99)', 'the status is a number from 200 to 999'],
    ['r.return(1000)', 'the status is a number from 200 to 999'],
    ["r.return('200 OK')", 'the status is a whole number'],
    ['r.return(200, {})', 'the body is a string or a Uint8Array'],
    ["r.return(302, 'a\\r\\nb')", 'the value of Location holds a control character'],
    ["return { status: 200, headers: { 'X Y': '1' } }", '"X Y" is no header name'],
    ["return { status: 200, headers: { X: 'a\\nb' } }", 'the value of X holds a control character'],
    ["return { status: 200, headers: { 'Content-Length': '1' } }", 'Content-Length'],
    ['r.return(200); r.return(201)', 'this hook has decided already'],
    ["r.internalRedirect('x')", 'a redirect goes to'],
    ['throw new Error("after"); ', 'Error: after'],
    ['r.return(200); throw new Error("after")', 'Error: after'],
  ]
  for (const [statement, message] of cases) {
    const found = await fails(statement, 'content')
    assert.ok(found.includes(message), `${statement}: ${found}`)
  }
})

test('what a hook returns after r.return does not matter', async () => {
  const [outcome, request] = await run(
    'export function access(r) { r.return(403); return { status: 200 } }',
    'access',
  )
  assert.equal([outcome, request.answered?.status], [Outcome.ANSWER, 403])
})

test('redirect and decline', async () => {
  const [redirected, request] = await run(
    "export function rewrite(r) { r.internalRedirect('@other') }",
    'rewrite',
  )
  assert.equal([redirected, request.redirected], [Outcome.REDIRECT, '@other'])
  const [declined] = await run('export function content(r) { r.decline() }', 'content')
  assert.is(declined, Outcome.PASS)
})

test('a value returned by headerFilter or log means nothing', async () => {
  assert.is((await run('export const headerFilter = (r) => 403', 'headerFilter'))[0], Outcome.PASS)
  assert.is((await run('export const log = (r) => ({ status: 200 })', 'log'))[0], Outcome.PASS)
})

test('r.ctx lasts from phase to phase of one request, and no longer', async () => {
  const script = await load(`
    export function access(r) { r.ctx.seen = (r.ctx.seen ?? 0) + 1 }
    export function log(r) { r.log('seen', r.ctx.seen) }`)
  const first = new FakeRequest()
  const second = new FakeRequest()
  await first.run(script, 'access')
  await second.run(script, 'access')
  await first.run(script, 'access')
  await first.run(script, 'log')
  await second.run(script, 'log')
  releaseRequest(first)
  const third = new FakeRequest()
  await third.run(script, 'log')
  assert.equal(
    [first, second, third].map((request) => request.logged[0]),
    ['info hooks.js: seen 2', 'info hooks.js: seen 1', 'info hooks.js: seen undefined'],
  )
  assert.is(first.scriptState, null)
})

test('two scripts have an r of their own for the same request', async () => {
  const source = 'export function access(r) { r.ctx.mine = (r.ctx.mine ?? 0) + 1; r.log(r.ctx.mine) }'
  const scripts = [await load(source), await load(source)]
  const request = new FakeRequest()
  for (const script of [...scripts, ...scripts]) await request.run(script, 'access')
  assert.equal(
    request.logged.map((line) => line.at(-1)),
    ['1', '1', '2', '2'],
  )
  scripts[0].abandon(request)
  for (const script of scripts) await request.run(script, 'access')
  assert.equal(
    request.logged.slice(4).map((line) => line.at(-1)),
    ['3', '3'],
  )
  releaseRequest(request)
  assert.is(request.scriptState, null)
})

test('an r that outlives its request says so, and never speaks for another one', async () => {
  const script = await load(`
    const kept = []
    export function access(r) { kept.push(r, r.variables, r.headersIn, r.headersOut) }
    export function rewrite(r) {
      const uses = [() => kept[0].uri, () => kept[1].arg_user, () => kept[2].get('x'), () => kept[3].x = '1',
        () => kept[0].return(403), () => kept[0].log('x'), () => kept[2].x, () => kept[0].ctx]
      for (const use of uses) {
        try { r.log('got', use()) } catch (e) { r.log(e.message) }
      }
    }`)
  const first = new FakeRequest({ uri: '/secret', args: 'user=first' })
  await first.run(script, 'access')
  releaseRequest(first)
  const second = new FakeRequest({ uri: '/public' })
  await second.run(script, 'rewrite')
  assert.is(second.logged.length, 8)
  for (const line of second.logged) assert.match(line, 'this request is over')
  assert.is(first.answered, null)
})

test('weak references to r are references too', async () => {
  const script = await load(`
    const seen = new WeakMap()
    export function access(r) { r.log(String(seen.get(r))); seen.set(r, r.uri) }`)
  for (const uri of ['/a', '/b', '/c']) {
    const request = new FakeRequest({ uri })
    await request.run(script, 'access')
    releaseRequest(request)
    assert.is(request.logged[0], 'info hooks.js: undefined')
  }
})

test('nothing can be put on r, and its methods only work on it', async () => {
  assert.match(await fails('r.user = 1', 'access'), 'TypeError')
  assert.match(await fails('r.variables = {}', 'access'), 'TypeError')
  assert.match(await fails('Object.getPrototypeOf(r).return = () => {}', 'access'), 'TypeError')
  assert.match(await fails("r.headersIn.get.call({}, 'x')", 'access'), 'this request is over')
  assert.match(await fails("r.headersIn.get.call(r, 'x')", 'access'), 'called on something else')
  assert.match(await fails('r.headersIn.get = 1', 'access'), 'TypeError')
})

test('writes come too late once the hook has ended', async () => {
  const script = await load(`
    export function access(r) { setTimeout(() => { try { r.return(403) } catch (e) { r.log(e.message) } }, 10) }`)
  const request = new FakeRequest()
  const logged = new Promise<void>((done) => {
    request.log = (_level, message) => {
      request.logged.push(message)
      done()
    }
  })
  assert.is(await request.run(script, 'access'), Outcome.PASS)
  await logged
  assert.is(request.logged[0], 'hooks.js: r.return() comes too late: the access hook has ended')
  releaseRequest(request)
})

test('sluice tells where the script runs, and cannot be changed', async () => {
  const source = `
    'use strict'
    const seen = [sluice.phase]
    export function init(given) { seen.push(given === sluice, sluice.phase) }
    export function access(r) {
      try { sluice.worker = 9 } catch (e) { seen.push(e.name) }
      try { sluice.params.size = 9 } catch (e) { seen.push(e.name) }
      r.log(JSON.stringify([...seen, sluice.phase, sluice.params, sluice.worker, sluice.version, sluice.generation]))
    }`
  const script = await load(source, { params: { size: '4', name: 'caf\u00e9' }, host: new FakeHost() })
  const request = new FakeRequest()
  await request.run(script, 'access')
  const seen = Buffer.from(request.logged[0], 'latin1').toString('utf8').replace('info hooks.js: ', '')
  assert.equal(JSON.parse(seen), [
    'init',
    true,
    'init',
    'TypeError',
    'TypeError',
    'access',
    { size: '4', name: 'caf\u00e9' },
    0,
    '0.1.0',
    3,
  ])
})

test.run()
