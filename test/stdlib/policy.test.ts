// sluice:policy in the real engine: what each declared hook does to a request, and how wrong options are refused.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome, type Phase } from '../../runtime/phases.ts'
import { type Described, load, refusal, SandboxRequest } from './sandbox.ts'

const IMPORT = `import * as policy from 'sluice:policy'\n`

/** Runs `export const PHASE = policy.DECLARATION` against one request. */
async function run(phase: Phase, declaration: string, described: Described): Promise<SandboxRequest> {
  const [request] = await runAll(phase, declaration, [described])
  return request!
}

async function runAll(phase: Phase, declaration: string, all: Described[]): Promise<SandboxRequest[]> {
  const script = await load(`${IMPORT}export const ${phase} = policy.${declaration}`)
  const requests: SandboxRequest[] = []
  for (const described of all) {
    const request = new SandboxRequest(described)
    await request.run(script, phase)
    assert.is(request.failure, null)
    requests.push(request)
  }
  script.dispose()
  return requests
}

const fields = (request: SandboxRequest) => Object.fromEntries(request.responseHeaders.entries())

test('hash: the variable is the key, the option the method', async () => {
  const declared = await run('balancer', `hash('$arg_userId', { consistent: true })`, { args: 'userId=1001' })
  assert.equal(declared.peers.hashed, ['1001', true])
  assert.is(declared.peers.chosen, 1)
  const plain = await run('balancer', `hash('user:$arg_userId')`, { args: 'userId=7' })
  assert.equal(plain.peers.hashed, ['user:7', false])
  const computed = await run('balancer', `hash((r) => r.uri.split('/')[1])`, { uri: '/acme/x' })
  assert.equal(computed.peers.hashed, ['acme', false])
})

test('headers: removes, sets, appends, in this order', async () => {
  const request = await run(
    'headerFilter',
    `headers({ set: { 'X-Peer': '$upstream_addr', Vary: 'Cookie' }, append: { Vary: 'Origin' }, remove: ['server'] })`,
    {
      variables: { upstream_addr: '10.0.0.1:80' },
      response: { Server: 'app/1.0', 'x-peer': 'forged', Date: 'today' },
    },
  )
  assert.equal(request.responseHeaders.entries(), [
    ['Date', 'today'],
    ['X-Peer', '10.0.0.1:80'],
    ['Vary', 'Cookie'],
    ['Vary', 'Origin'],
  ])
})

test('headers: a value that comes out empty removes what was set, and appends nothing', async () => {
  const declaration = `headers({ set: { 'X-User': '$user' }, append: { Link: '$link' } })`
  const request = await run('headerFilter', declaration, { response: { 'X-User': 'old' } })
  assert.equal(fields(request), {})
})

test('headers: control characters that a client brought into a variable are encoded', async () => {
  const request = await run('headerFilter', `headers({ set: { 'X-Path': 'at $path' } })`, {
    variables: { path: '/a\r\nSet-Cookie: evil=1' },
  })
  assert.equal(fields(request), { 'X-Path': 'at /a%0D%0ASet-Cookie: evil=1' })
})

test('requestHeaders: the upstream sees the edits', async () => {
  const declaration = `requestHeaders({ remove: ['X-Internal'], set: { 'X-Client': '$remote_addr' } })`
  const request = await run('access', declaration, { headers: { 'X-Internal': '1', Accept: '*/*' } })
  assert.equal(request.requestHeaders.entries(), [
    ['Accept', '*/*'],
    ['X-Client', '192.0.2.7'],
  ])
})

test('allowIf: only a listed key passes', async () => {
  const keys = ['k1', 'k2', 'k', 'k11', 'K1', '', undefined]
  const requests = await runAll(
    'access',
    `allowIf('$http_x_api_key', ['k1', 'k2'])`,
    keys.map((key) => (key === undefined ? {} : { headers: { 'X-API-Key': key } })),
  )
  assert.equal(
    requests.map((request) => request.reply?.status ?? 'passed'),
    ['passed', 'passed', 403, 403, 403, 403, 403],
  )
})

test('allowIf: RegExp, predicate and async predicate', async () => {
  const status = async (test: string) => {
    const [good, bad] = await runAll('access', `allowIf('$arg_x', ${test})`, [
      { args: 'x=42' },
      { args: 'x=no' },
    ])
    return [good!.reply, bad!.reply?.status]
  }
  assert.equal(await status('/^[0-9]+$/g'), [null, 403])
  assert.equal(await status('(value) => value === "42"'), [null, 403])
  assert.equal(await status('async (value) => value === "42"'), [null, 403])
})

test('allowIf: a RegExp with a g flag has no memory of the request before', async () => {
  const same = { args: 'x=1' }
  const requests = await runAll('access', `allowIf('$arg_x', /1/g)`, [same, same, same])
  assert.equal(
    requests.map((request) => request.reply),
    [null, null, null],
  )
})

test('denyIf: turns away what matches, with status, body, fields or a redirect', async () => {
  const bot = { headers: { 'User-Agent': 'bad-bot/2' } }
  const source = `'$http_user_agent', /bot/`
  const answer = async (options: string) => (await run('access', `denyIf(${source}${options})`, bot)).reply
  assert.equal(await answer(''), { status: 403, headers: {}, body: null })
  assert.equal(
    await answer(`, { status: 429, headers: { 'Retry-After': '60' }, body: 'no, $http_user_agent' }`),
    {
      status: 429,
      headers: { 'Retry-After': '60' },
      body: 'no, bad-bot/2',
    },
  )
  assert.equal(await answer(`, { redirect: 'https://$host/help' }`), {
    status: 302,
    headers: { Location: 'https://example.com/help' },
    body: null,
  })
  assert.is((await run('access', `denyIf(${source})`, { headers: { 'User-Agent': 'curl' } })).reply, null)
  assert.is((await run('access', `denyIf('$http_referer', [''])`, {})).reply?.status, 403)
})

const USERS = Array.from({ length: 2000 }, (_, i) => ({ args: `userId=${i}` }))

/** The users that a canary of so many percent diverts. */
async function diverted(percent: number): Promise<number[]> {
  const declaration = `canary('$arg_userId', { percent: ${percent}, set: { pool: 'new' } })`
  const requests = await runAll('rewrite', declaration, USERS)
  return requests.flatMap((request, i) => (request.variables.pool === 'new' ? [i] : []))
}

test('canary: about so many percent of the keys, and nobody moves back when it grows', async () => {
  const five = await diverted(5)
  const twenty = await diverted(20)
  assert.ok(five.length > 60 && five.length < 140, `${five.length} of 2000 at 5 percent`)
  assert.ok(twenty.length > 330 && twenty.length < 470, `${twenty.length} of 2000 at 20 percent`)
  assert.ok(five.every((user) => twenty.includes(user)))
  assert.equal(await diverted(5), five)
  assert.is((await diverted(0)).length, 0)
  assert.is((await diverted(100)).length, 2000)
})

test('canary: requests without a key stay; header and cookie decide before the key', async () => {
  const declaration = `canary('$arg_userId', { percent: 100, to: '@canary', header: 'X-Canary', cookie: 'canary' })`
  const to = async (described: Described) => (await run('rewrite', declaration, described)).redirected
  const args = 'userId=1'
  assert.is(await to({ args }), '@canary')
  assert.is(await to({}), null)
  assert.is(await to({ args, headers: { 'X-Canary': 'never' } }), null)
  assert.is(await to({ headers: { 'X-Canary': 'always' } }), '@canary')
  assert.is(await to({ headers: { Cookie: 'canary=always' } }), '@canary')
  assert.is(await to({ args, headers: { Cookie: 'canary=always', 'X-Canary': 'never' } }), null)
  assert.is(await to({ args, headers: { 'X-Canary': 'perhaps' } }), '@canary')
})

test('canary: a request that was sent to the other location is not sent there again', async () => {
  const script = await load(
    `${IMPORT}export const rewrite = policy.canary('$uri', { percent: 100, to: '/new' })`,
  )
  const request = new SandboxRequest({ variables: { uri: '/x' } })
  assert.is(await request.run(script, 'rewrite'), Outcome.REDIRECT)
  assert.is(await request.run(script, 'rewrite'), Outcome.PASS)
  script.dispose()
})

test('abTest: divides by weight, the same key always alike', async () => {
  const declaration = `abTest('$arg_userId', { variants: { old: 75, new: 25 }, set: 'variant', header: 'X-Variant' })`
  const first = await runAll('rewrite', declaration, USERS)
  const fresh = first.filter((request) => request.variables.variant === 'new')
  assert.ok(fresh.length > 420 && fresh.length < 580, `${fresh.length} of 2000 at 25 percent`)
  const second = await runAll('rewrite', declaration, USERS)
  const chosen = (request: SandboxRequest) => request.variables.variant
  assert.equal(second.map(chosen), first.map(chosen))
  assert.ok(first.every((request) => request.requestHeaders.get('x-variant') === chosen(request)))
})

test('abTest: the cookie keeps the choice and is set only when it changes', async () => {
  const script = await load(
    `${IMPORT}export const { rewrite, headerFilter } = policy.abTest('', { variants: { a: 1, b: 1 }, set: 'v', cookie: 'ab' })`,
  )
  const visit = async (cookie: string): Promise<[string | undefined, string | undefined]> => {
    const request = new SandboxRequest({ headers: cookie === '' ? {} : { Cookie: cookie } })
    await request.run(script, 'rewrite')
    await request.run(script, 'headerFilter')
    return [request.variables.v, request.responseHeaders.get('set-cookie')]
  }
  const [variant, cookie] = await visit('')
  assert.is(cookie, `ab=${variant}; Path=/; Max-Age=2592000; SameSite=Lax`)
  assert.equal(await visit('ab=a'), ['a', undefined])
  assert.equal(await visit('ab=b'), ['b', undefined])
  assert.match((await visit('ab=forged'))[1]!, /^ab=[ab];/)
  assert.match((await visit('ab=constructor'))[1]!, /^ab=[ab];/)
  script.dispose()
})

test('maintenance: answers 503 with the time that is left', async () => {
  const soon = `new Date(Date.now() + 60000)`
  const { reply } = await run('access', `maintenance({ until: ${soon}, body: '$host rests\\n' })`, {})
  assert.is(reply?.status, 503)
  assert.is(reply?.body, 'example.com rests\n')
  assert.is(reply?.headers['Cache-Control'], 'no-store')
  assert.match(reply!.headers['Retry-After']!, /^(59|60)$/)
})

test('maintenance: when, unless, from and until', async () => {
  const isDown = async (options: string, variables: Record<string, string> = {}) =>
    (await run('access', `maintenance(${options})`, { variables })).reply !== null
  assert.is(await isDown(''), true)
  assert.is(await isDown(`{ when: '$down' }`, { down: '1' }), true)
  assert.is(await isDown(`{ when: '$down' }`, { down: '0' }), false)
  assert.is(await isDown(`{ when: '$down' }`), false)
  assert.is(await isDown(`{ unless: (r) => r.remoteAddress === '192.0.2.7' }`), false)
  assert.is(await isDown(`{ from: Date.now() + 60000 }`), false)
  assert.is(await isDown(`{ until: '2001-01-01T00:00:00Z' }`), false)
})

test('a promise where a text or a flag is needed is refused, not taken for one', async () => {
  for (const [phase, declaration] of [
    ['balancer', `hash(async () => 'x')`],
    ['access', `maintenance({ unless: async () => false })`],
  ] as [Phase, string][]) {
    const script = await load(`${IMPORT}export const ${phase} = policy.${declaration}`)
    const request = new SandboxRequest()
    assert.is(await request.run(script, phase), Outcome.FAILED)
    assert.match(request.failure![1], 'is a promise; write a hook of your own to wait for it')
    script.dispose()
  }
})

const WRONG: [declaration: string, message: string][] = [
  [`hash()`, 'hash: the key is a text or a function of the request; it is undefined'],
  [`hash('$uri', { consistant: true })`, 'hash: there is no option "consistant"; it takes consistent'],
  [`hash('$uri', { consistent: 1 })`, 'hash: consistent is true or false; it is 1'],
  [`hash('$uri', 'consistent')`, 'hash: the options are an object with consistent; it is "consistent"'],
  [`headers({})`, 'headers: give set, append or remove; it is {}'],
  [`headers({ remove: 'Server' })`, 'headers: remove is a list of header names; it is "Server"'],
  [
    `headers({ set: { 'Content-Length': '1' } })`,
    'headers: header "Content-Length" is written by the proxy itself',
  ],
  [
    `headers({ set: { 'X-A': 'a\\r\\nb' } })`,
    'headers: the value of X-A is a text without control characters; it is "a\\r\\nb"',
  ],
  [`allowIf('$uri', [])`, 'allowIf: the list of values is empty: nobody could pass; it is []'],
  [`allowIf('$uri', [''])`, 'allowIf: an empty value would let requests without any pass; it is ""'],
  [`allowIf('$uri', ['secret', 5])`, 'allowIf: value 2 of the list is a text; it is "number"'],
  [`denyIf('$uri', /x/, { status: 200 })`, 'denyIf: status is a number from 300 to 599; it is 200'],
  [`canary('$uri', { percent: 101, to: '/x' })`, 'canary: percent is a number from 0 to 100; it is 101'],
  [`canary('$uri', { percent: true, to: '/x' })`, 'canary: percent is a number from 0 to 100; it is true'],
  [`canary('$uri', { percent: 5, to: 'x' })`, `canary: to is '@location' or '/path'; it is "x"`],
  [
    `abTest('$uri', { variants: { a: 1 } })`,
    'abTest: variants names two or more, as { a: 50, b: 50 }; it is {"a":1}',
  ],
  [`maintenance({ until: 'soon' })`, `maintenance: until is a date, as '2030-01-31T06:00:00Z'; it is "soon"`],
]

for (const [declaration, message] of WRONG) {
  test(`refused at load: ${declaration}`, async () => {
    assert.match(await refusal(`${IMPORT}export const access = policy.${declaration}`), message)
  })
}

test.run()
