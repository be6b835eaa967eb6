// The balancer hook and its `upstream`.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { FakeBalancer, FakeRequest, load, PEERS, peer } from './fake-request.ts'

async function balance(
  body: string,
  request = new FakeRequest({ args: 'userId=1234' }),
): Promise<[Outcome, FakeRequest]> {
  const script = await load(`export function balancer(r, upstream) { ${body} }`)
  const outcome = await request.run(script, 'balancer')
  script.dispose()
  return [outcome, request]
}

test('the methods choose, and the hook returns what they chose', async () => {
  const cases: [body: string, chosen: number, hashed: [string, boolean] | null][] = [
    ['return upstream.hash(r.variables.arg_userId, { consistent: true })', 1, ['1234', true]],
    ['return upstream.hash(r.variables.arg_userId, { consistent: false })', 1, ['1234', false]],
    ['return upstream.hash(12345)', 2, ['12345', false]],
    ['return upstream.hash(r.variables.arg_none)', 0, ['', false]],
    ['return upstream.hash("\u00e9", { get consistent() { return true } })', 2, ['\xc3\xa9', true]],
    ['return upstream.hash("k", { consistent: true, more: 1 })', 1, ['k', true]],
    ['return upstream.roundRobin()', 0, null],
    ['return upstream.leastConn()', 1, null],
    ['return upstream.random()', 2, null],
    ['return upstream.peers[2]', 2, null],
    ['return upstream.peers.find((p) => !p.backup && !p.down)', 0, null],
    ["return 'b.example:8080'", 1, null],
    ["return '10.0.0.1:8080'", 0, null],
    ["return 'unix:/run/' + 'c.sock'", 2, null],
    ['return String(upstream.peers[1])', 1, null],
  ]
  for (const [body, chosen, hashed] of cases) {
    const [outcome, request] = await balance(body)
    assert.is(outcome, Outcome.PEER, `${body}: ${request.failure}`)
    assert.equal([request.balancer?.chosen, request.balancer?.hashed], [chosen, hashed], body)
  }
})

test('nothing, or no eligible peer, leaves it to the configured method', async () => {
  for (const body of ['', 'return', 'return null', 'return upstream.ipHash()']) {
    const [outcome, request] = await balance(body)
    assert.equal([outcome, request.balancer?.chosen], [Outcome.PASS, -1], body)
  }
})

test('what peers tell', async () => {
  const [, request] = await balance(
    'r.log(JSON.stringify([upstream.name, upstream.tries, upstream.lastFailure, upstream.peers.map((p) => [p.name, p.address, p.weight, p.connections, p.fails, p.down, p.backup])]))',
  )
  assert.equal(JSON.parse(request.logged[0].replace('info hooks.js: ', '')), [
    'workers',
    0,
    null,
    [
      ['a.example:8080', '10.0.0.1:8080', 3, 5, 0, false, false],
      ['b.example:8080', '10.0.0.2:8080', 1, 0, 2, true, false],
      ['c.example:8080', 'unix:/run/c.sock', 1, 0, 0, false, true],
    ],
  ])
})

test('peers are live, and the same objects at every call', async () => {
  const facts = { connections: 1 }
  const peers = [
    {
      ...peer('a:1', '10.0.0.1:1'),
      get connections() {
        return facts.connections
      },
    },
  ]
  const script = await load(`
    let first
    export function balancer(r, upstream) {
      first ??= upstream.peers[0]
      r.log(first === upstream.peers[0], first.connections, first === upstream.hash('x'))
    }`)
  for (const connections of [1, 2]) {
    facts.connections = connections
    const request = new FakeRequest()
    request.balancer = new FakeBalancer(peers)
    await request.run(script, 'balancer')
    assert.is(request.logged[0], `info hooks.js: true ${connections} true`)
  }
})

test('a later try tells what failed, and may change timeouts and tries', async () => {
  const request = new FakeRequest()
  request.balancer = new FakeBalancer()
  request.balancer.tries = 2
  request.balancer.lastFailure = 'http_502'
  await balance(
    'r.log(upstream.tries, upstream.lastFailure); upstream.setTimeouts({ connect: 500, read: 1500.5 }); upstream.setMoreTries(2)',
    request,
  )
  assert.is(request.logged[0], 'info hooks.js: 2 http_502')
  assert.equal(request.balancer.timeouts, [500, undefined, 1501])
  assert.is(request.balancer.moreTries, 2)
})

test('what is no peer of this group', async () => {
  const cases: [body: string, message: string][] = [
    [
      "return 'nobody:1'",
      'balancer returned "nobody:1"; the peers are a.example:8080, b.example:8080, c.example:8080',
    ],
    ["return 'a.example:8080\\0evil'", 'the peers are'],
    ["return '__proto__'", 'the peers are'],
    ["return 'http://169.254.169.254'", 'the peers are'],
    ['return 1', 'balancer returns a peer of upstream.peers, its host:port, or nothing'],
    ['return true', 'balancer returns a peer'],
    ["return { name: 'a.example:8080' }", 'an object that is no peer of this upstream group'],
    ['return r', 'an object that is no peer'],
    ['return upstream.peers', 'an object that is no peer'],
    ["upstream.hash({ toString() { return 'x' } })", 'the key is a string, not an object'],
    ['upstream.setMoreTries(-1)', 'setMoreTries takes a whole number'],
    ['upstream.setTimeouts({ connect: -1 })', 'the connect timeout is a number of milliseconds above 0'],
    ['upstream.setTimeouts()', 'setTimeouts takes { connect, send, read }'],
    ['upstream.peers[0].weight = 5', 'TypeError'],
    ['upstream.peers.push(1)', 'TypeError'],
    ["upstream.hash('k', { get consistent() { throw new Error('mine') } })", 'Error: mine'],
  ]
  for (const [body, message] of cases) {
    const [outcome, request] = await balance(body)
    assert.is(outcome, Outcome.FAILED, body)
    assert.ok(request.failure![1].includes(message), `${body}: ${request.failure}`)
  }
})

test('a peer of another group is refused', async () => {
  const script = await load(`
    let kept
    export function balancer(r, upstream) { return (kept ??= upstream.peers[0]) }`)
  const first = new FakeRequest()
  assert.is(await first.run(script, 'balancer'), Outcome.PEER)
  const second = new FakeRequest()
  second.balancer = new FakeBalancer([...PEERS].reverse())
  assert.is(await second.run(script, 'balancer'), Outcome.FAILED)
})

test('upstream is of use while its hook runs, also over awaits', async () => {
  const script = await load(`
    let kept
    export async function balancer(r, upstream) {
      kept = upstream
      await new Promise((done) => setTimeout(done, 10))
      return upstream.leastConn()
    }
    export function log(r) { return kept.name }`)
  const request = new FakeRequest()
  assert.is(await request.run(script, 'balancer'), Outcome.PEER)
  assert.is(request.balancer?.chosen, 1)
  await request.run(script, 'log')
  assert.match(request.failure![1], 'upstream is for the balancer hook while it runs')
})

test('hundreds of groups do not pile up', async () => {
  const script = await load('export function balancer(r, upstream) { return upstream.peers[0] }')
  for (let i = 0; i < 600; i++) {
    const request = new FakeRequest()
    request.balancer = new FakeBalancer([peer(`p${i}:1`, `10.0.0.1:${i}`)])
    assert.is(await request.run(script, 'balancer'), Outcome.PEER)
  }
  assert.ok(script.memoryUsed < 8 * 1024 * 1024, `${script.memoryUsed}`)
})

test.run()
