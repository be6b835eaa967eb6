// A second version of a script for a share of the keys: who gets it, what stops it, and that nothing else changes.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import WebSocket, { WebSocketServer } from 'ws'
import { CanaryTrial } from '../../runtime/script-canary.ts'
import { hanging, refusal, Site, version } from './site.ts'

/** Where it is not the latency that counts, a machine that is busy elsewhere must not. */
const server = (canary: string, more = '', latency = 'max_latency=1m') =>
  `script_limits cpu=10ms; ${more} location / { script v.js; script_canary c.js ${canary} ${latency}; }`

const files = { 'v.js': version('live'), 'c.js': version('canary') }

/** Versions by user, asked one after the other. */
async function ask(site: Site, users: number): Promise<string[]> {
  const versions: string[] = []
  for (let user = 0; user < users; user++) versions.push((await site.get(`/?user=u${user}`)).version)
  return versions
}

const share = (versions: string[]) => versions.filter((name) => name === 'canary').length / versions.length

test('a share of the keys gets the canary, the same keys every time', async () => {
  const site = await Site.start(server('percent=25 key=$arg_user'), files)
  const first = await ask(site, 200)
  assert.ok(share(first) > 0.15 && share(first) < 0.35, `${share(first)} of 25 %`)
  assert.equal(await ask(site, 200), first)
  await site.close()
})

test('the keys are the same ones for another text, and a larger share keeps those of the smaller', async () => {
  const site = await Site.start(server('percent=20 key=$arg_user'), files)
  const first = await ask(site, 100)
  await site.save('c.js', `${version('canary')}// another text`)
  assert.equal(await ask(site, 100), first)
  await site.reload((config) => config.replace('percent=20', 'percent=50'))
  const more = await ask(site, 100)
  assert.ok(share(more) > share(first))
  for (const [user, name] of first.entries()) if (name === 'canary') assert.is(more[user], 'canary')
  await site.close()
})

test('0 and 100 percent are none and all; without a key, or with an empty one, the address decides', async () => {
  const site = await Site.start(
    `location /none { script v.js; script_canary c.js percent=0; }
     location /all { script v.js; script_canary c.js percent=100; }
     location /one { script v.js; script_canary c.js percent=50; }
     location /empty { script v.js; script_canary c.js percent=50 key=$arg_none; }`,
    files,
  )
  const one = (await site.get('/one')).version
  for (let n = 0; n < 5; n++) {
    assert.is((await site.get('/none')).version, 'live')
    assert.is((await site.get('/all')).version, 'canary')
    assert.is((await site.get(`/one?${n}`)).version, one)
    assert.is((await site.get(`/empty?${n}`)).version, one)
  }
  await site.close()
})

test('a request keeps to one version through all its phases, whatever becomes of the key', async () => {
  const tracing = (name: string) => `
    export function rewrite(r) { r.variables.trace += '${name} '; r.rawArgs = 'user=another' + r.args.user }
    export function access(r) { r.variables.trace += '${name} ' }
    export function content(r) { r.return(200, r.variables.trace + '${name}') }`
  const site = await Site.start(
    'location / { set $trace ""; script v.js; script_canary c.js percent=50 key=$arg_user; }',
    { 'v.js': tracing('live'), 'c.js': tracing('canary') },
  )
  const seen = new Set<string>()
  for (let user = 0; user < 40; user++) seen.add((await site.get(`/?user=${user}`)).body)
  assert.equal([...seen].sort(), ['canary canary canary', 'live live live'])
  await site.close()
})

test('hooks that only one of the two has', async () => {
  const site = await Site.start(
    `location / { script v.js; script_canary c.js percent=100; return 200 "from the configuration"; }
     location /live { script c.js; script_canary v.js percent=0; return 200 "from the configuration"; }`,
    {
      'v.js': `export function content(r) { r.return(200, 'live') }`,
      'c.js': `export function headerFilter(r) { r.headersOut.set('x-version', 'canary') }`,
    },
  )
  const answer = await site.get()
  assert.is(answer.version, 'canary')
  assert.is(answer.body, 'from the configuration')
  assert.is((await site.get('/live')).version, 'canary')
  await site.close()
})

test('saving the canary swaps it alone', async () => {
  const site = await Site.start(server('percent=50 key=$arg_user'), files)
  const before = await ask(site, 20)
  const lives = before.filter((name) => name === 'live').length
  await site.save('c.js', version('canary'))
  await site.save('c.js', `${version('canary')}//`)
  const user = before.indexOf('live')
  assert.is((await site.get(`/?user=u${user}`)).body, String(lives + 1))
  assert.is((await site.get(`/?user=u${before.indexOf('canary')}`)).body, '1')
  await site.close()
})

test('a canary that fails more often than it may is rolled back, said so, and not tried again until it changes', async () => {
  const failing = `export function content(r) { throw new Error('not ready') }`
  const site = await Site.start(server('percent=100 min_calls=10'), { ...files, 'c.js': failing })
  for (let n = 0; n < 10; n++) assert.is((await site.get()).status, 500)
  assert.is((await site.get()).version, 'live')
  await site.until('a generation without it', () => site.gateway.generation.id === 2)
  assert.is((await site.get()).version, 'live')
  assert.equal(site.reasons, ['start', 'canary rolled back'])
  const why = '10 of 10 hook calls failed, 0 of 0 of the script itself; the guard allows 1 % more'
  const { digest } = site.gateway.history[0].scripts[1]
  assert.ok(
    site.log.includes(
      `[alert] the canary ${site.path('c.js')}, version ${digest}, is rolled back: ${why}; it is not tried again until it changes`,
    ),
    site.log.join('\n'),
  )
  assert.equal(site.states('c.js'), ['quarantined'])
  assert.is(site.gateway.scripts[1].reason, `rolled back: ${why}`)
  assert.is(await site.save('c.js', failing), null)
  await site.reload()
  assert.is((await site.get()).version, 'live')
  await site.save('c.js', version('canary'))
  assert.is((await site.get()).version, 'canary')
  assert.equal(site.states('c.js'), ['canary'])
  await site.close()
})

test('errors that the script itself has as well are no reason', async () => {
  const flaky = (name: string) => `
    export function content(r) {
      if (r.args.fail) throw new Error('both do')
      r.headersOut.set('x-version', '${name}')
      r.return(200)
    }`
  const site = await Site.start(server('percent=50 key=$arg_user min_calls=10'), {
    'v.js': flaky('live'),
    'c.js': flaky('canary'),
  })
  for (let user = 0; user < 60; user++) {
    await site.get(`/?user=${user}`)
    await site.get(`/?user=${user}&fail=1`)
  }
  assert.equal(site.states('c.js'), ['canary'])
  await site.close()
})

test('a canary that is much slower than the script is rolled back; max_latency says how slow it may be', async () => {
  const waiting = (ms: number) => `
    export async function content(r) {
      await new Promise((done) => setTimeout(done, ${ms}))
      r.headersOut.set('x-version', '${ms}')
      r.return(200)
    }`
  const slow = { 'v.js': waiting(1), 'c.js': waiting(300) }
  const compared = await Site.start(server('percent=50 key=$arg_user min_calls=16', '', ''), slow)
  // Few at a time: on a busy machine the script itself must not seem to be slow.
  const askBoth = async (site: Site) => {
    for (let user = 0; user < 80; user += 8)
      await Promise.all(Array.from({ length: 8 }, (_, i) => site.get(`/?user=${user + i}`)))
  }
  for (let round = 0; round < 5 && compared.states('c.js')[0] !== 'quarantined'; round++)
    await askBoth(compared)
  await compared.until('rolled back', () => compared.states('c.js')[0] === 'quarantined')
  assert.match(
    compared.log.join('\n'),
    /rolled back: of \d+ hook calls the slowest hundredth took \d+\.\d ms or longer, \d+\.\d ms in the script itself/,
  )
  await compared.close()
  const allowed = await Site.start(
    server('percent=50 key=$arg_user min_calls=16', '', 'max_latency=5s'),
    slow,
  )
  await askBoth(allowed)
  assert.equal(allowed.states('c.js'), ['canary'])
  await allowed.close()
})

test('three slow calls among few are a hiccup, four are not', () => {
  for (const [slow, isBreached] of [
    [3, false],
    [4, true],
  ] as const) {
    let reason = ''
    const limits = { maxErrors: 100, maxLatency: null, minCalls: 50 }
    const trial = new CanaryTrial(
      limits,
      () => true,
      (why) => {
        reason = why
      },
    )
    for (let call = 0; call < 64; call++) {
      trial.live.succeeded(0.1)
      trial.canary.succeeded(call % 16 === 0 && call < slow * 16 ? 50 : 0.1)
    }
    assert.is(reason !== '', isBreached, reason)
  }
})

test('a canary that hangs is stopped by its overruns, and the script takes its calls at once', async () => {
  const site = await Site.start(server('percent=100 min_calls=1000', 'script_eject_after 3;'), {
    'v.js': version('live'),
    'c.js': hanging('canary'),
  })
  assert.is((await site.get()).version, 'canary')
  for (let n = 0; n < 3; n++) assert.is((await site.get('/?hang')).status, 500)
  assert.is((await site.get('/?hang')).version, 'live')
  assert.equal(site.states('c.js'), ['quarantined'])
  assert.match(site.log.join('\n'), /the canary .*c\.js, version .*, is rolled back: /)
  await site.close()
})

test('promoted, the canary serves all requests as the script, until that one is saved', async () => {
  const site = await Site.start(server('percent=1 key=$arg_user'), files)
  const { generation } = await site.gateway.promoteCanary(site.path('c.js'))
  assert.is(generation, 2)
  assert.is((await site.get()).version, 'canary')
  assert.equal(site.reasons, ['start', 'canary promoted'])
  await site.reload()
  assert.is((await site.get()).version, 'canary')
  assert.equal([...site.states('v.js'), ...site.states('c.js')], ['live', 'quarantined', 'quarantined'])
  await site.gateway.rollback(site.path('v.js'))
  assert.is((await site.get()).version, 'live')
  await site.save('v.js', version('next'))
  assert.is((await site.get()).version, 'next')
  await site.close()
})

test('two canaries on one way: each is chosen by its own share', async () => {
  const marking = (name: string) => `export function access(r) { r.variables.trace += '${name}' }\n`
  const telling = `export function content(r) { r.return(200, r.variables.trace) }`
  const site = await Site.start(
    `location / {
       set $trace "";
       script a.js; script_canary b.js percent=50 key=a$arg_user;
       script c.js; script_canary d.js percent=50 key=b$arg_user;
     }`,
    {
      'a.js': marking('a'),
      'b.js': marking('b'),
      'c.js': marking('c') + telling,
      'd.js': marking('d') + telling,
    },
  )
  const seen = new Set<string>()
  for (let user = 0; user < 40; user++) seen.add((await site.get(`/?user=${user}`)).body)
  assert.equal([...seen].sort(), ['ac', 'ad', 'bc', 'bd'])
  await site.close()
})

test('a canary that cannot be loaded is refused as a script is', async () => {
  const site = await Site.start(server('percent=100'), files)
  assert.match(await refusal(site.save('c.js', 'export function content(r) {')), /c\.js:1:\d+: /)
  assert.is((await site.get()).version, 'canary')
  await site.close()
})

test('an open WebSocket goes on with the script, and its state, when the canary is rolled back', async () => {
  const counting = (name: string) => `
    export function wsMessage(r, msg, ws) {
      if (msg.data === 'fail') throw new Error('not ready')
      if (msg.from === 'upstream') return
      ws.state.count = (ws.state.count ?? 0) + 1
      return '${name} ' + ws.state.count
    }`
  const echo = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  echo.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))))
  await new Promise((resolve) => echo.once('listening', resolve))
  const { port } = echo.address() as { port: number }
  const site = await Site.start(
    `location / { script v.js; script_canary c.js percent=100 min_calls=1; proxy_pass http://127.0.0.1:${port}; }`,
    { 'v.js': counting('live'), 'c.js': counting('canary') },
  )
  const open = async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${site.port}/`)
    await new Promise((resolve) => socket.once('open', resolve))
    return socket
  }
  const say = (socket: WebSocket, text: string) =>
    new Promise<string>((resolve) => {
      socket.once('message', (data) => resolve(String(data)))
      socket.once('close', (code) => resolve(`closed ${code}`))
      socket.send(text)
    })
  const [kept, lost] = [await open(), await open()]
  assert.is(await say(kept, 'a'), 'canary 1')
  assert.is(await say(kept, 'b'), 'canary 2')
  assert.match(await say(lost, 'fail'), /^closed \d+$/)
  await site.until('a generation without it', () => site.gateway.generation.id === 2)
  assert.is(await say(kept, 'c'), 'live 3')
  kept.terminate()
  await site.close()
  await new Promise((resolve) => echo.close(resolve))
})

test.run()
