// sluice:redis in the real engine, with a real Redis: what scripts may send, what they get, and what they are told when
// there is no reply.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ScriptRedis } from '../../runtime/phases.ts'
import { releaseRequest } from '../../runtime/script/engine.ts'
import { RedisStore } from '../../runtime/store/redis-store.ts'
import { testScript } from '../../runtime/testing/index.ts'
import { RedisServer, startCluster } from '../lib/redis.ts'
import { FakeHost } from '../script/fake-request.ts'
import { load, ROOT, refusal, SandboxRequest } from './sandbox.ts'

const PREFIX = 'sluice:'
const server = await RedisServer.start()
const stores: RedisStore[] = []

async function storeOf(ports: readonly number[], timeout = 1000): Promise<RedisStore> {
  const store = new RedisStore({
    addresses: ports.map((port) => ({ host: '127.0.0.1', port })),
    mode: ports.length > 1 ? 'cluster' : 'single',
    database: 0,
    tls: null,
    prefix: PREFIX,
    timeout,
    log: () => undefined,
  })
  await store.ready(10_000)
  stores.push(store)
  return store
}

function hostOf(store: RedisStore, allowsEval = false): FakeHost {
  const host = new FakeHost()
  host.redis = { prefix: PREFIX, allowsEval, send: (commands, atomic) => store.raw(commands, atomic) }
  return host
}

const shared = await storeOf([server.port])
const HEAD = `import * as redis from 'sluice:redis'
const shown = (value) => value instanceof Uint8Array ? 'bytes ' + value.join() : value instanceof redis.RedisError
  ? 'RedisError ' + value.code + ': ' + value.message : Array.isArray(value) ? value.map(shown) : value
`

/** What expressions give, or throw, one after the other in an access hook. */
async function givenAll(expressions: readonly string[], host = hostOf(shared)): Promise<unknown[]> {
  const script = await load(
    `${HEAD}const all = [${expressions.map((expression) => `() => ${expression}`).join(',\n')}]
    const failure = (error) => error instanceof redis.RedisError ? error : error.name + ': ' + error.message
    export async function access(r) {
      const answers = []
      for (const each of all) answers.push(shown(await each().catch(failure)) ?? null)
      return { status: 200, body: JSON.stringify(answers) }
    }`,
    { host },
  )
  try {
    const request = new SandboxRequest()
    await request.run(script, 'access')
    releaseRequest(request)
    if (request.failure !== null) throw new Error(request.failure[1])
    return JSON.parse(Buffer.from(String(request.reply?.body), 'latin1').toString())
  } finally {
    script.dispose()
  }
}

async function given(expression: string, host?: FakeHost): Promise<unknown> {
  return (await givenAll([expression], host))[0]
}

test.before.each(() => {
  server.command('flushall')
})

test('each function does what Redis does', async () => {
  const cases: [expression: string, expected: unknown][] = [
    ["redis.get('k')", null],
    ["redis.set('k', 'ümläut 日本 \\u0000')", 'OK'],
    ["redis.get('k')", 'ümläut 日本 \u0000'],
    ["redis.set('k', 7, 'EX', 60, 'NX')", null],
    ["redis.exists('k', 'none', 'k')", 2],
    ["redis.expire('k', 60)", 1],
    ["redis.ttl('k')", 60],
    ["redis.del('k', ['none'])", 1],
    ["redis.incr('n')", 1],
    ["redis.incr('n', 41)", 42],
    ["redis.hset('h', 'a', 1, 'b', 2)", 2],
    ["redis.hset('h', { c: 'x', a: 'y' })", 1],
    ["redis.hget('h', 'a')", 'y'],
    ["redis.hgetall('h')", { a: 'y', b: '2', c: 'x' }],
    ["redis.hgetall('none')", {}],
    ["redis.hdel('h', 'a', 'b')", 2],
    ["redis.sadd('s', ['a', 'b'], 'c')", 3],
    ["redis.srem('s', 'c')", 1],
    ["redis.smembers('s').then((all) => all.sort())", ['a', 'b']],
    ["redis.sismember('s', 'a')", true],
    ["redis.sismember('s', 'z')", false],
    ["redis.zadd('z', 2, 'b', 1, 'a')", 2],
    ["redis.zrange('z', 0, -1, 'WITHSCORES')", ['a', '1', 'b', '2']],
    ["redis.zrem('z', 'a')", 1],
    ["redis.rpush('l', 'a', 'b')", 2],
    ["redis.lpush('l', 'c')", 3],
    ["redis.lrange('l', 0, -1)", ['c', 'a', 'b']],
    ["redis.publish('news', 'hello')", 0],
    ["redis.call('strlen', 'n')", 2],
    ["redis.call('MGET', ['n', 'none'])", ['42', null]],
    ["redis.call('XADD', 'x', '1-1', 'f', 'v')", '1-1'],
    ["redis.call('XREAD', 'COUNT', 5, 'STREAMS', 'x', 0)", [['x', [['1-1', ['f', 'v']]]]]],
    ["redis.call('PING')", 'PONG'],
    ["redis.call('ECHO', '')", ''],
  ]
  const answers = await givenAll(cases.map(([expression]) => expression))
  for (const [i, [expression, expected]] of cases.entries()) assert.equal(answers[i], expected, expression)
})

test('bytes go and come as they are', async () => {
  await given("redis.set('k', new Uint8Array([9, 0, 255, 13, 10, 7]).subarray(1, 5))")
  assert.is(server.command('--no-raw', 'get', 'k'), '"\\x00\\xff\\r\\n"')
  assert.is(await given("redis.bytes('GET', 'k')"), 'bytes 0,255,13,10')
  assert.equal(await given("redis.bytes('MGET', 'k', 'none', 'k')"), [
    'bytes 0,255,13,10',
    null,
    'bytes 0,255,13,10',
  ])
  assert.is(await given("redis.bytes('STRLEN', 'k')"), 4)
  assert.is(
    await given("redis.bytes('INCR', 'k')"),
    'RedisError ERR: ERR value is not an integer or out of range',
  )
})

test("what Redis refuses is a RedisError with Redis's own words", async () => {
  await given("redis.set('k', 'text')")
  const wrong = 'RedisError WRONGTYPE: WRONGTYPE Operation against a key holding the wrong kind of value'
  assert.is(await given("redis.hget('k', 'f')"), wrong)
  assert.is(
    await given("redis.call('GET')"),
    "RedisError ERR: ERR wrong number of arguments for 'get' command",
  )
  assert.equal(await given("redis.pipeline([['HGET', 'k', 'f'], ['GET', 'k']])"), [wrong, 'text'])
  // Such answers come from a server that is well.
  await givenAll(Array(10).fill("redis.hget('k', 'f')"))
  assert.is(shared.stats.breaker, 'closed')
})

test('a transaction is done whole, and nothing comes between', async () => {
  assert.equal(
    await given("redis.transaction([['SET', 'a', 1], ['INCR', 'a'], ['HGET', 'a', 'f'], ['GET', 'a']])"),
    ['OK', 2, 'RedisError WRONGTYPE: WRONGTYPE Operation against a key holding the wrong kind of value', '2'],
  )
  const aborted = (await given("redis.transaction([['INCR', 'a'], ['GET']])")) as string[]
  assert.equal(
    aborted.map((each) => each.split(':')[0]),
    ['RedisError EXECABORT', 'RedisError ERR'],
  )
  assert.is(server.command('get', 'a'), '2')
  // Those of others that are under way at the same time stay outside.
  const all = Array.from({ length: 20 }, () =>
    given("redis.transaction([['GET', 'n'], ['INCR', 'n'], ['INCR', 'n']])"),
  )
  for (const replies of (await Promise.all(all)) as (number | string | null)[][])
    assert.is(replies[2], Number(replies[0] ?? 0) + 2)
})

test('commands that block, change the connection or reach beyond their keys are not sent', async () => {
  const before = commandsOf(server)
  const refused = `AUTH ACL BGREWRITEAOF BGSAVE BITFIELD BLMOVE BLPOP BRPOP BZPOPMIN CLIENT CLUSTER COMMAND CONFIG COPY DBSIZE DEBUG
    DISCARD DUMP EVAL EVALSHA EXEC FAILOVER FCALL FLUSHALL FLUSHDB FUNCTION HELLO INFO KEYS LASTSAVE LATENCY MEMORY MIGRATE
    HRANDFIELD MODULE MONITOR MOVE MULTI OBJECT PSUBSCRIBE PSYNC PUBSUB QUIT RANDOMKEY READONLY REPLICAOF RESET RESTORE ROLE SAVE SCAN
    SCRIPT SELECT SETBIT SETRANGE SHUTDOWN SLAVEOF SLOWLOG SORT SORT_RO SPUBLISH SRANDMEMBER SUBSCRIBE SWAPDB SYNC UNSUBSCRIBE WAIT WATCH
    XREADGROUP ZRANDMEMBER constructor __proto__`
  const answers = await givenAll(refused.split(/\s+/).map((name) => `redis.call('${name}', 'a', 'b')`))
  for (const answer of answers) assert.match(String(answer), /^RangeError: ("|EVAL)/)
  assert.match(
    String(await given("redis.call('xread', 'count', 1, 'block', 0, 'STREAMS', 'x', 0)")),
    /^RangeError: XREAD with BLOCK/,
  )
  assert.match(
    String(await given("redis.pipeline([['SET', 'a', 1], ['FLUSHALL']])")),
    /^RangeError: "FLUSHALL"/,
  )
  assert.match(String(await given("redis.call('GET\\r\\nFLUSHALL', 'a')")), /^RangeError: "GET\r\nFLUSHALL"/)
  assert.is(commandsOf(server) - before, 1, 'nothing but what asks')
})

/** How many the server has been sent; asking is one. */
function commandsOf({ command }: RedisServer): number {
  return Number(/total_commands_processed:(\d+)/.exec(command.call(server, 'info', 'stats'))![1])
}

test("the store's own keys and channels are out of reach, by whatever command and word", async () => {
  const own = `${PREFIX}m:users{}ann`
  const bytes = `new Uint8Array([${[...Buffer.from(own)].join()}])`
  const calls = [
    `redis.get('${own}')`,
    `redis.get(${bytes})`,
    `redis.del('a', '${own}')`,
    `redis.call('MSET', 'a', 1, '${own}', 2)`,
    `redis.call('RENAME', 'a', '${own}')`,
    `redis.call('SUNIONSTORE', '${own}', 'a')`,
    `redis.call('XREAD', 'STREAMS', 'a', '${own}', 0, 0)`,
    `redis.transaction([['GET', 'a'], ['GET', '${own}']])`,
    `redis.publish('${PREFIX}changed', 'x')`,
    `redis.eval('return 1', ['a', '${own}'])`,
  ]
  for (const [i, answer] of (await givenAll(calls, hostOf(shared, true))).entries())
    assert.is(
      answer,
      'RangeError: what begins with "sluice:" belongs to the store itself; use sluice:store',
      calls[i],
    )
  // A value is none of it.
  assert.is(await given(`redis.set('a', '${own}')`), 'OK')
  assert.equal(await given(`redis.call('MSET', 'a', '${own}', 'b', '${PREFIX}')`), 'OK')
})

test('Lua runs where it is allowed', async () => {
  const source = "redis.eval('return { KEYS[1], ARGV[1], 3 }', ['k'], ['v'])"
  assert.equal(await given(source, hostOf(shared, true)), ['k', 'v', 3])
  assert.match(
    String(await given(source)),
    /^RangeError: EVAL runs Lua in Redis, where no limit of the sandbox holds; add "allow_eval" to "store"/,
  )
  assert.match(
    String(await given("redis.call('EVAL', 'return 1', 'all')", hostOf(shared, true))),
    /^RangeError: EVAL: the number of keys is a whole number/,
  )
})

test('what makes no word is a rejection that says so', async () => {
  const cases: [expression: string, message: string][] = [
    ["redis.set('k', undefined)", 'a word of a command is a text, a number or a Uint8Array, not undefined'],
    [
      "redis.set('k', { a: 1 })",
      'a word of a command is a text, a number or a Uint8Array, not [object Object]',
    ],
    ["redis.set('k', NaN)", 'a word of a command is a text, a number or a Uint8Array, not NaN'],
    ["redis.set('k', 1n)", 'a word of a command is a text, a number or a Uint8Array, not 1'],
    ['redis.call(7)', 'a command is a text such as "GET", not 7'],
    ["redis.pipeline('GET')", 'pipeline takes an array of arrays, not "GET"'],
    ["redis.transaction(['GET'])", 'transaction: a command is an array such as ["GET", "key"], not "GET"'],
  ]
  const answers = await givenAll(cases.map(([expression]) => expression))
  for (const [i, [expression, message]] of cases.entries())
    assert.is(answers[i], `TypeError: ${message}`, expression)
})

test('what is sent and what comes is bounded', async () => {
  const kib = "'x'.repeat(1024)"
  assert.is(await given(`redis.set('k', 'x'.repeat(1000000))`), 'OK')
  assert.match(
    String(await given(`redis.set('k', 'x'.repeat(1048576))`)),
    /^RangeError: a call has at most 4096 words and 1048576 bytes/,
  )
  assert.match(
    String(await given(`redis.rpush('l', Array(5000).fill(1))`)),
    /^RangeError: a call has at most 4096 words/,
  )
  assert.match(
    String(await given(`redis.pipeline(Array(129).fill(['PING']))`)),
    /^RangeError: a call has at most 128 commands/,
  )
  assert.is(((await given(`redis.pipeline(Array(128).fill(['PING']))`)) as string[]).length, 128)
  assert.equal(await given('redis.pipeline([])'), [])
  for (let i = 0; i < 2; i++) await given(`redis.rpush('l', Array(600).fill(${kib}))`)
  assert.is(
    await given("redis.lrange('l', 0, -1)"),
    'RedisError too_large: the reply is larger than 1048576 bytes; ask for less at a time',
  )
  assert.match(
    String(await given("Promise.all(Array.from({ length: 65 }, () => redis.get('k')))")),
    /^RangeError: more than 64 calls .* of one request at the same time/,
  )
})

test('while Redis does not answer each call fails after its deadline, then at once', async () => {
  const other = await RedisServer.start()
  const host = hostOf(await storeOf([other.port], 50))
  other.pause()
  for (let i = 0; i < 5; i++)
    assert.match(String(await given("redis.get('k')", host)), /^RedisError timeout: /)
  const started = performance.now()
  assert.match(String(await given("redis.get('k')", host)), /^RedisError unavailable: redis .* is away \(/)
  assert.ok(performance.now() - started < 40)
  await other.stop()
})

test('a script whose store is no Redis is refused with what to write', async () => {
  const host = new FakeHost()
  host.redis = undefined
  assert.match(
    await refusal(`${HEAD}export function access() {}`, { host }),
    /sluice:redis needs a Redis; write "store redis:\/\/HOST:PORT\/0;" in http, or use sluice:store/,
  )
})

test('a script that is tested without a site loads, and its calls fail', async () => {
  const source = `${HEAD}export async function access(r) {
    try { await redis.get('k') } catch (error) { return r.warn(shown(error)) }
  }`
  const script = await testScript('hooks.js', { source })
  const { logs } = await script.access({ uri: '/' })
  assert.is(logs[0]?.message, 'hooks.js: RedisError unavailable: a tested script has no Redis')
  script.dispose()
})

test('a balancer hook, a log hook and a timer wait for it like any other', async () => {
  const host = hostOf(shared)
  server.command('set', 'peer', 'b.example:8080')
  const script = await load(
    `${HEAD}let ticks
    export async function balancer(r, u) {
      ticks = new Promise((done) => setTimeout(() => done(redis.incr('ticks')), 1))
      return redis.get('peer')
    }
    export async function log(r) { await redis.rpush('log', r.uri); await ticks }`,
    { host },
  )
  const request = new SandboxRequest({ uri: '/x' })
  await request.run(script, 'balancer')
  assert.is(request.peers.peers[request.peers.chosen]!.name, 'b.example:8080')
  await request.run(script, 'log')
  releaseRequest(request)
  assert.is(server.command('get', 'ticks'), '1')
  assert.is(server.command('lrange', 'log', '0', '-1'), '/x')
  script.dispose()
})

test('a request that ends meanwhile is forgotten, and the script goes on', async () => {
  let answer: (() => void) | null = null
  const redis: ScriptRedis = {
    prefix: PREFIX,
    allowsEval: false,
    send: (commands, atomic) =>
      new Promise((done, fail) => {
        answer = () => shared.raw(commands, atomic).then(done, fail)
      }),
  }
  const host = new FakeHost()
  host.redis = redis
  const script = await load(`${HEAD}export async function access(r) { await redis.get('k') }`, { host })
  const gone = new SandboxRequest()
  gone.start(script, 'access')
  releaseRequest(gone)
  answer!()
  const next = new SandboxRequest()
  const done = next.run(script, 'access')
  answer!()
  await done
  assert.is(next.failure, null)
  releaseRequest(next)
  script.dispose()
})

test('a cluster has each key asked where it is, and a transaction of one slot', async () => {
  const nodes = await startCluster()
  const host = hostOf(await storeOf(nodes.map(({ port }) => port)), true)
  const sets = Array.from({ length: 20 }, (_, i) => `['SET', 'k${i}', ${i}]`).join()
  await given(`redis.pipeline([${sets}])`, host)
  assert.equal(await given("redis.pipeline([['GET', 'k3'], ['GET', 'k11'], ['GET', 'k18']])", host), [
    '3',
    '11',
    '18',
  ])
  assert.ok(nodes.every((node) => Number(node.command('dbsize')) > 0))
  assert.equal(await given("redis.transaction([['SET', '{u}a', 1], ['INCR', '{u}a']])", host), ['OK', 2])
  assert.match(
    String(((await given("redis.transaction([['GET', 'k1'], ['GET', 'k2']])", host)) as string[])[0]),
    /^RedisError CROSSSLOT: /,
  )
  assert.is(await given("redis.eval('return KEYS[1]', ['k5'])", host), 'k5')
  await Promise.all(nodes.map((node) => node.stop()))
})

test('the example of the page: who is banned is kept out, the others are counted', async () => {
  const page = readFileSync(join(ROOT, 'stdlib/redis.md'), 'utf8')
  const example = /^## Example\n\n```js\n(.*?)^```$/ms.exec(page)?.[1]
  const host = hostOf(shared)
  const script = await load(example, { host })
  server.command('sadd', 'banned', 'eve')
  const ask = async (args: string) => {
    const request = new SandboxRequest({ args })
    await request.run(script, 'access')
    releaseRequest(request)
    return request.reply?.status ?? request.responseHeaders.get('x-visits')
  }
  assert.equal(
    [
      await ask('userId=ann'),
      await ask('userId=ann'),
      await ask('userId=eve'),
      await ask('userId=bob'),
      await ask(''),
    ],
    ['1', '2', 403, '1', 401],
  )
  host.redis = new FakeHost().redis
  assert.is(await ask('userId=eve'), undefined)
  script.dispose()
})

test.after(async () => {
  for (const store of stores) await store.close()
  await server.stop()
})

test.run()
