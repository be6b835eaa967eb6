// testScript: hooks in the real sandbox, told apart by what they decide.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HookError, type TestedScript, type TestOptions, testScript } from '../../runtime/testing/index.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

/** A script that need not be a file, for one check. */
async function withScript(
  source: string,
  check: (script: TestedScript) => unknown,
  options: TestOptions = {},
): Promise<void> {
  const script = await testScript('hooks.js', { source, ...options })
  try {
    await check(script)
  } finally {
    script.dispose()
  }
}

test('what a hook decided, and what it did to the request', () =>
  withScript(
    `export function rewrite(r) {
       r.variables.user = r.args.name
       r.log('seen', r.args)
       r.uri = '/new path'
       r.rawArgs = 'b=2'
       r.headersIn.set('X-User', 'é')
       r.headersIn.delete('X-Old')
     }`,
    async (script) => {
      const decision = await script.rewrite({ uri: '/old', args: { name: 'é' }, headers: { 'X-Old': '1' } })
      assert.is(decision.outcome, 'pass')
      assert.is(decision.uri, '/new path')
      assert.is(decision.args, 'b=2')
      assert.equal(decision.headersIn.entries(), [
        ['Host', 'localhost'],
        ['X-User', 'é'],
      ])
      assert.equal(decision.variables, { user: 'é' })
      assert.is(decision.logs[0]?.level, 'info')
      assert.match(decision.logs[0]?.message ?? '', /^hooks\.js: seen .*name.*é/)
      assert.is(decision.error, null)
      assert.ok(decision.cpuMicros > 0)
    },
    { variables: { user: '' } },
  ))

test('answers: status, fields, body; what was set before stays, once', () =>
  withScript(
    `export async function access(r) {
       r.headersOut.set('X-Both', 'set')
       r.headersOut.set('X-Set', '1')
       if (r.method === 'PUT') return { status: 200, body: await r.readBytes() }
       const { name } = await r.readJSON()
       return { status: 201, headers: { 'X-Both': 'answer', 'Set-Cookie': ['a=1', 'b=2'] }, body: JSON.stringify({ hello: name }) }
     }
     export function content(r) { r.return(302, '/login') }`,
    async (script) => {
      const { answer, headersOut, status } = await script.access({ method: 'POST', body: '{"name":"zoë"}' })
      assert.is(status, 201)
      assert.is(answer?.status, 201)
      assert.equal(answer?.json(), { hello: 'zoë' })
      assert.equal(answer?.headers.getAll('set-cookie'), ['a=1', 'b=2'])
      assert.equal(headersOut.getAll('X-Both'), ['answer'])
      assert.equal(headersOut.getAll('X-Set'), ['1'])
      const bytes = await script.access({ method: 'PUT', body: new Uint8Array([0, 255]) })
      assert.equal([...(bytes.answer?.bytes ?? [])], [0, 255])
      const moved = await script.content()
      assert.is(moved.answer?.headers.get('Location'), '/login')
      assert.is(moved.answer?.bytes, null)
    },
  ))

test('redirects, peers, and what a balancer asks for', () =>
  withScript(
    `export function rewrite(r) { r.internalRedirect('/other?x=1') }
     export function balancer(r, upstream) {
       upstream.setTimeouts({ connect: 100 })
       if (r.args.by === 'name') return 'b:1'
       if (r.args.by === 'address') return '10.0.0.1:1'
       if (r.args.by === 'hash') return upstream.hash(r.args.key, { consistent: true })
     }`,
    async (script) => {
      assert.is((await script.rewrite()).redirect, '/other?x=1')
      const by = async (args: string) => (await script.balancer({ args })).peer
      assert.is(await by('by=name'), 'b:1')
      assert.is(await by('by=address'), 'a:1')
      assert.is(await by('by=hash&key=7'), 'b:1')
      const left = await script.balancer()
      assert.is(left.outcome, 'pass')
      assert.is(left.peer, null)
      assert.ok(left.takenPeer !== null)
      assert.equal(left.timeouts, { connect: 100, send: 60_000, read: 60_000 })
    },
    { upstream: [{ name: 'a:1', address: '10.0.0.1:1' }, 'b:1', 'c:1'] },
  ))

test('a hook that fails says where, in the script and in the test', () =>
  withScript(
    `export function access(r) {
       return helper(r)
     }
     function helper(r) {
       return r.nothing.at
     }`,
    async (script) => {
      const { outcome, error, logs } = await script.access()
      assert.is(outcome, 'failed')
      assert.instance(error, HookError)
      assert.is(error?.file, `${process.cwd()}/hooks.js`)
      assert.is(error?.line, 5)
      assert.match(error?.message ?? '', /hooks\.js:5:\d+: TypeError: /)
      assert.match(
        error?.stack ?? '',
        /\n {4}at helper \(hooks\.js:5:\d+\)\n {4}at access \(hooks\.js:2:\d+\)/,
      )
      assert.match(error?.stack ?? '', ' 5 |        return r.nothing.at\n')
      assert.is(logs.length, 1)
      assert.equal(script.stats.hooks.access?.errors, 1)
    },
  ))

test('with onError open the error is known, and the request goes on', () =>
  withScript(
    'export function access() { throw new Error("oops") }',
    async (script) => {
      const { outcome, error } = await script.access()
      assert.is(outcome, 'pass')
      assert.match(error?.message ?? '', /oops/)
    },
    { onError: 'open' },
  ))

test('a script that is refused, is refused as the proxy would', async () => {
  const refusals: [source: string, message: RegExp][] = [
    ['export function acess() {}', /hooks\.js:1:17: the export acess is no hook; did you mean access\?/],
    ['export function access( {', /hooks\.js:1:\d+: SyntaxError/],
    ['export function init() { throw new Error("no " + sluice.params.key) }', /hooks\.js:1:\d+: Error: no 7/],
  ]
  for (const [source, message] of refusals) {
    try {
      await withScript(source, () => {}, { params: { key: 7 } })
      assert.unreachable()
    } catch (error) {
      assert.match((error as Error).message, message)
    }
  }
})

test('files and their imports, by path and by URL', async () => {
  const folder = tempDir()
  writeFiles(folder, {
    'scripts/a.js': `import { name } from '../lib/name.js'\nexport function content() { return { status: 200, body: name } }`,
    'lib/name.js': `export const name = 'found'`,
  })
  const path = `${folder}/scripts/a.js`
  for (const file of [path, new URL(`file://${path}`)]) {
    const script = await testScript(file, { root: folder })
    assert.is((await script.content()).answer?.text, 'found')
    assert.equal(script.exports, ['content'])
    script.dispose()
  }
  try {
    await testScript(path)
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, 'it lies outside the folder of the script')
  }
})

// ---- time ----

const WAITING = `
  export async function access(r) {
    const began = Date.now()
    await new Promise((done) => setTimeout(done, 5000))
    return { status: 200, body: new Date().toISOString() + ' ' + (Date.now() - began) + ' ' + r.variables.msec }
  }`

test('time stands still until the test moves it', () =>
  withScript(
    WAITING,
    async (script) => {
      const pending = script.access()
      await script.clock.advance('4s')
      assert.is(script.clock.next, 1000)
      await script.clock.advance('1s')
      const { answer } = await pending
      assert.is(answer?.text, '2030-01-01T00:00:05.000Z 5000 1893456005.000')
    },
    { now: '2030-01-01T00:00:00Z' },
  ))

test('the wall limit goes by that time too', () =>
  withScript(
    WAITING,
    async (script) => {
      const pending = script.access()
      await script.clock.advance('3s')
      const { outcome, error } = await pending
      assert.is(outcome, 'failed')
      assert.match(error?.message ?? '', 'the hook has waited for more than 3000 ms')
      assert.is(script.stats.hooks.access?.overruns, 1)
    },
    { limits: { wall: '3s' } },
  ))

test('a test that forgets to move time fails instead of hanging', () =>
  withScript(
    WAITING,
    async (script) => {
      try {
        await script.access()
        assert.unreachable()
      } catch (error) {
        assert.match(
          (error as Error).message,
          'the access hook has waited for 50 ms and a timer is due in 5000 ms; move time with script.clock.advance()',
        )
      }
    },
    { patience: 50 },
  ))

test('init may wait: time passes by itself while a script is loaded', () =>
  withScript(
    `let at
     export async function init() {
       await new Promise((done) => setTimeout(done, 2000))
       at = Date.now()
     }
     export function content() { return { status: 200, body: String(at) } }`,
    async (script) => {
      assert.is((await script.content()).answer?.text, '2000')
      assert.is(script.clock.now(), 2000)
    },
    { now: 0 },
  ))

test('the CPU limit is real', () =>
  withScript(
    'export function access() { for (;;); }',
    async (script) => {
      const { error, cpuMicros } = await script.access()
      assert.match(error?.message ?? '', 'more than 10 ms of CPU time')
      assert.ok(cpuMicros >= 10_000, String(cpuMicros))
    },
    { limits: { cpu: '10ms' } },
  ))

// ---- several phases ----

test('a request through its phases, with what a script keeps for it', () =>
  withScript(
    `export function rewrite(r) { r.ctx.steps = ['rewrite'] }
     export async function access(r) { await null; r.ctx.steps.push('access') }
     export function balancer(r, upstream) { r.ctx.steps.push('balancer ' + upstream.tries); return upstream.peers[upstream.tries] }
     export function headerFilter(r) { r.headersOut.set('X-Steps', r.ctx.steps.join()); r.headersOut.set('X-Peers', r.variables.upstream_addr) }
     export function log(r) { r.log(r.status, r.ctx.steps.length) }`,
    async (script) => {
      const request = script.request({ status: 502, responseHeaders: { 'X-Up': '1' } })
      const filtered = await request.rewrite().access().balancer().balancer('timeout').headerFilter()
      assert.is(filtered.status, 502)
      assert.equal(filtered.headersOut.toJSON(), {
        'x-up': '1',
        'x-steps': 'rewrite,access,balancer 0,balancer 1',
        'x-peers': 'a:1, b:1',
      })
      const logged = await request.log()
      assert.is(logged.logs[0]?.message, 'hooks.js: 502 4')
      assert.equal(
        request.decisions.map(({ phase, peer }) => peer ?? phase),
        ['rewrite', 'access', 'a:1', 'b:1', 'headerFilter', 'log'],
      )
      request.end()
    },
    { upstream: ['a:1', 'b:1'] },
  ))

test('an answer keeps the phases behind it from running, but not header filter and log', () =>
  withScript(
    `export function rewrite(r) { if (r.uri === '/no') r.return(403) }
     export function access(r) { if (r.uri === '/bad') throw new Error('bad') }
     export function content(r) { return { status: 200, body: 'content' } }
     export function headerFilter(r) { r.headersOut.set('X-Status', String(r.status)) }`,
    async (script) => {
      const phases = async (uri: string) => {
        const request = script.request({ uri })
        const { headersOut } = await request.rewrite().access().content().headerFilter()
        request.end()
        return `${request.decisions.map(({ phase }) => phase).join()} ${headersOut.get('X-Status')}`
      }
      assert.is(await phases('/yes'), 'rewrite,access,content,headerFilter 200')
      assert.is(await phases('/no'), 'rewrite,headerFilter 403')
      assert.is(await phases('/bad'), 'rewrite,access,headerFilter 500')
    },
  ))

test('a client that leaves drops the hook that waits for it', () =>
  withScript(
    `export async function access(r) {
       await new Promise((done) => setTimeout(done, 1000))
       console.log('never')
     }
     export function log(r) { r.log('left') }`,
    async (script) => {
      const request = script.request().access()
      request.leave()
      assert.is(script.clock.next, null)
      try {
        await request
        assert.unreachable()
      } catch (error) {
        assert.match((error as Error).message, 'the client has left')
      }
      const { logs } = await request.log()
      assert.equal(logs, [{ level: 'info', message: 'hooks.js: left' }])
      request.end()
      const ended = script.request().access()
      ended.end()
      let shown = ''
      await ended.then(null, (error) => {
        shown = (error as Error).message
      })
      assert.is(shown, 'the request was ended while its hook waited')
    },
  ))

// ---- nothing shared, nothing left ----

test('the same seed, the same numbers; two scripts share nothing', async () => {
  const source = `let calls = 0
    export function content() { return { status: 200, body: [++calls, Math.random(), Math.random()].join() } }`
  const results: string[] = []
  for (const seed of [1, 1, 2]) {
    await withScript(
      source,
      async (script) => {
        results.push((await script.content()).answer?.text ?? '')
      },
      { seed },
    )
  }
  assert.is(results[0], results[1])
  assert.is.not(results[0], results[2])
  assert.match(results[0] ?? '', /^1,0\.\d+,0\.\d+$/)
})

test('random balancing is the same in every run too', async () => {
  const runs: string[] = []
  for (let run = 0; run < 2; run++) {
    await withScript(
      'export function balancer(r, upstream) { return upstream.random() }',
      async (script) => {
        let peers = ''
        for (let i = 0; i < 20; i++) peers += (await script.balancer()).peer
        runs.push(peers)
      },
      { upstream: ['a', 'b', 'c'] },
    )
  }
  assert.is(runs[0], runs[1])
  for (const name of ['a', 'b', 'c']) assert.ok(runs[0]?.includes(name))
})

test('many requests at once, each with its own decision', () =>
  withScript(
    `export async function access(r) {
       await new Promise((done) => setTimeout(done, 10 * r.args.n))
       return { status: 200, body: r.args.n }
     }`,
    async (script) => {
      const pending = Array.from({ length: 50 }, (_, n) => script.access({ args: { n } }))
      await script.clock.advance('1s')
      const texts = (await Promise.all(pending)).map(({ answer }) => answer?.text)
      assert.equal(
        texts,
        Array.from({ length: 50 }, (_, n) => String(n)),
      )
    },
  ))

test('mistakes of the test are told as such', () =>
  withScript('export function access() {}', async (script) => {
    const mistakes: [() => unknown, string][] = [
      [() => script.balancer(), 'has no balancer hook; it exports access'],
      [
        () => script.access({ uri: '/a?b=c' }),
        'uri: "/a?b=c" has a query; give it as args, or all as target',
      ],
      [() => script.request(), 'no hook has run for this request; call one'],
      [() => testScript('x.js', { limits: { memory: 'much' } }), 'limits: memory cannot be "much"'],
      [() => testScript('x.js', { now: 'soon' }), 'now: "soon" is no time'],
      [() => testScript('x.js', { seed: 0 }), 'seed: 0 is no whole number'],
      [() => testScript('x.js'), 'x.js: there is no such file'],
    ]
    for (const [mistake, message] of mistakes) {
      let shown = ''
      try {
        await mistake()
      } catch (error) {
        shown = (error as Error).message
      }
      assert.ok(shown.includes(message), `${shown} | ${message}`)
    }
  }))

test('a script that is disposed of says so', async () => {
  const script = await testScript('x.js', { source: 'export function access() {}' })
  script.dispose()
  try {
    await script.access()
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /x\.js is disposed of$/)
  }
})

test.run()
