// Whatever a script hands over ends up on the wire or in a log only if it cannot be taken for something else there.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome, type Phase } from '../../runtime/phases.ts'
import { releaseRequest } from '../../runtime/script/engine.ts'
import { FakeRequest, load } from '../script/fake-request.ts'

/** The request after one hook, and the error that the hook got. */
async function run(body: string, phase: Phase = 'access'): Promise<FakeRequest> {
  const script = await load(`export function ${phase}(r, upstream) { ${body} }`)
  const request = new FakeRequest({ uri: '/a', headers: [['Host', 'example.com']] })
  await request.run(script, phase)
  releaseRequest(request)
  script.dispose()
  return request
}

async function refuses(body: string, says: RegExp, phase: Phase = 'access'): Promise<void> {
  const request = await run(body, phase)
  assert.match(request.logged.join('\n'), says, body)
  assert.is(request.failure?.[0], phase)
  assert.is(request.answered, null)
}

const SPLITS = ['a\\r\\nSet-Cookie: x=1', 'a\\nb', 'a\\rb', 'a\\0b', '\\x7f', '\\x1b[31m', 'a\\r\\n b']

for (const value of SPLITS) {
  test(`a header value cannot split a message: ${value}`, async () => {
    await refuses(`r.headersIn.set('x-a', '${value}')`, /control character/)
    await refuses(`r.headersOut.append('x-a', '${value}')`, /control character/)
    await refuses(`return { status: 200, headers: { 'x-a': '${value}' } }`, /control character/)
    await refuses(`r.return(302, '/${value}')`, /control character/)
  })
}

for (const name of ['X\\r\\n', '', 'a b', 'a:b', ':path', 'a\\0', '\\u00e9', '"', 'a,b']) {
  test(`no header name: ${JSON.stringify(name)}`, async () => {
    await refuses(`r.headersIn.set('${name}', 'v')`, /is no header name/)
    await refuses(`return { status: 200, headers: { '${name}': 'v' } }`, /is no header name/)
  })
}

for (const value of [
  '{ toString() { while (1); } }',
  '1n',
  'Symbol("x")',
  '[]',
  '() => 1',
  'new Proxy({}, {})',
  'new String("a")',
]) {
  test(`no header value: ${value}`, () =>
    refuses(`r.headersIn.set('x-a', ${value})`, /TypeError: .*is a string, not/))
}

for (const status of [
  '99',
  '1000',
  '"200 OK\\r\\n"',
  '100',
  '101',
  'NaN',
  '200.5',
  '1e9',
  '-200',
  '{}',
  'null',
  '2n',
  '2 ** 32 + 200',
]) {
  test(`no status: ${status}`, async () => {
    await refuses(`r.return(${status})`, /the status is a/)
    if (!/^[\d-]/.test(status)) return
    await refuses(`return { status: ${status} }`, /the status is a|access returned/)
  })
}

for (const uri of ['', 'x', 'http://evil/', 'a//b', ' /a', '5', '{}', 'undefined']) {
  test(`no redirect: ${JSON.stringify(uri)}`, () =>
    refuses(
      `r.internalRedirect(${/^(5|\{\}|undefined)$/.test(uri) ? uri : `'${uri}'`})`,
      /redirect goes to|is a string, not|a "\/path"/,
    ))
}

test('forged log lines stay one line each, without control characters', async () => {
  const forgeries = [
    'ok\\n[error] fake',
    '\\x1b[2J',
    '\\u202e',
    '\\ud800',
    'a\\0b',
    '\\u0085',
    '\\r\\n\\r\\n',
    '\\u2028',
  ]
  const request = await run(
    forgeries
      .map(
        (text) =>
          `r.log('${text}'); console.log({ '${text}': '${text}' }); r.warn(['${text}'], new Error('${text}'))`,
      )
      .join('\n'),
  )
  assert.is(request.logged.length, 3 * forgeries.length)
  for (const line of request.logged) {
    assert.match(line, /^(info|warn) hooks\.js: /)
    assert.not.match(line, /[\x00-\x1f\x7f]|\xc2[\x80-\x9f]/)
  }
})

test('an error cannot forge a line either', async () => {
  for (const thrown of [
    "new Error('a\\n[alert] forged\\x1b[31m')",
    "'a\\nb'",
    "{ message: 'a\\nb', stack: 'x\\ny' }",
    "Object.assign(new Error('a'), { name: 'b\\nc' })",
  ]) {
    const request = await run(`throw ${thrown}`)
    assert.is(request.logged.length, 1)
    assert.not.match(request.logged[0]!, /[\x00-\x1f\x7f]/)
  }
})

test('a NUL does not end anything early', async () => {
  const request = await run(`
    r.variables.a = 'admin\\0x'
    r.log(r.variables.a.length, r.variables.a === 'admin\\0x', r.headersIn.get('host\\0'), 'ho\\0st' in r.headersIn)`)
  assert.is(request.variables.a, 'admin\0x')
  assert.is(request.logged[0], 'info hooks.js: 7 true undefined false')
})

test('strings of every kind come back as they went', async () => {
  const request = await run(`
    const kinds = ['', 'a', 'a\\0b', '\\0', 'caf\\u00e9', '\\u20ac', '\\u{1f600}', 'x'.repeat(2000), '\\u00e9'.repeat(2000), '\\u20ac\\0'.repeat(900), 'x'.repeat(600) + '\\u20ac'.repeat(600), ('y' + 'z'.repeat(9000)) + ('\\u20ac'.repeat(9000) + r.uri)]
    r.log(kinds.map((text) => { r.variables.v = text; const back = r.variables.v; return back === text && back.length === text.length && { [back]: 1 }[text] === 1 && JSON.stringify(back) === JSON.stringify(text) }).join())`)
  assert.is(request.logged[0], `info hooks.js: ${new Array(12).fill('true').join()}`)
})

test('a lone surrogate is made well-formed on its way out', async () => {
  const request = await run("r.variables.a = 'x\\ud800y'")
  assert.is(request.variables.a, Buffer.from('x\ufffdy', 'utf8').toString('latin1'))
})

test('text that is no UTF-8 is made well-formed on its way in', async () => {
  const script = await load(
    'export function access(r) { r.log(r.variables.bad.length, r.variables.bad.isWellFormed?.() ?? true) }',
  )
  const request = new FakeRequest({ variables: { bad: '\xff\xc3(\xe2\x82' } })
  await request.run(script, 'access')
  assert.match(request.logged[0]!, /^info hooks\.js: \d true$/)
  script.dispose()
})

test('phases keep to what is theirs', async () => {
  await refuses('r.return(200)', /is possible in rewrite, access, content, not in log/, 'log')
  await refuses(
    "r.headersIn.set('a', 'b')",
    /is possible in rewrite, access, balancer, not in headerFilter/,
    'headerFilter',
  )
  await refuses("r.uri = '/b'", /is possible in rewrite, not in access/)
  await refuses('r.status = 500', /is possible in headerFilter, not in access/)
  await refuses('r.return(200); r.return(500)', /has decided already/)
  await refuses('upstream.roundRobin()', /cannot read property|undefined/)
})

test('what was said after the hook has ended comes too late', async () => {
  const script = await load(`
    let kept
    export function access(r) { kept = r; r.ctx.a = 1 }
    export function content(r) { try { kept.headersIn.set('a', 'b'); r.log('set') } catch (e) { r.log(e.message) } try { kept.uri = '/x' } catch (e) { r.log(e.message) } }`)
  const first = new FakeRequest()
  await first.run(script, 'access')
  const second = new FakeRequest()
  await second.run(script, 'content')
  assert.match(second.logged[0]!, /comes too late: the access hook has ended/)
  releaseRequest(first)
  const third = new FakeRequest()
  await third.run(script, 'content')
  assert.match(third.logged[0]!, /this request is over/)
  assert.is(Outcome.PASS, 0)
  script.dispose()
})

test.run()
