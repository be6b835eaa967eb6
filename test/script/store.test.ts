// Session maps as scripts have them: what they give at once, what is waited for, who makes a value, and what scripts are
// told when the store is away. Against the memory store, and stores that answer when the test says so.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome, type Phase } from '../../runtime/phases.ts'
import { releaseRequest, type Script } from '../../runtime/script/engine.ts'
import { MemoryStore } from '../../runtime/store/memory-store.ts'
import { SessionMap, type SessionMapOptions } from '../../runtime/store/session-map.ts'
import { type Store, type StoreEntry, StoreError, type StoreValue } from '../../runtime/store/store.ts'
import { FakeBalancer, FakeHost, FakeRequest, load, PEERS } from './fake-request.ts'

const MEBIBYTE = 1024 * 1024

/** A memory store that is somewhere else: nothing is known without a wait, and the test says when calls are answered. */
class DistantStore extends MemoryStore {
  /** Calls in the order in which they came. */
  readonly calls: string[] = []
  /** Remembers what it has answered. */
  near = false
  /** What every call is refused with. */
  away: StoreError | null = null
  /** Calls wait until `open`. */
  #gate: Promise<void> = Promise.resolve()
  #open: () => void = () => undefined
  readonly #known = new Map<string, StoreEntry>()

  constructor() {
    super({ size: MEBIBYTE })
  }

  shut(): void {
    this.#gate = new Promise((done) => {
      this.#open = done
    })
  }

  open(): void {
    this.#open()
  }

  /** The memory store looks by itself at what is there. */
  #isLooking = false

  override peek(map: string, key: string): StoreEntry | null {
    if (this.#isLooking) return super.peek(map, key)
    return (this.near ? this.#known.get(`${map} ${key}`) : undefined) as StoreEntry
  }

  #looking<T>(look: () => T): T {
    this.#isLooking = true
    try {
      return look()
    } finally {
      this.#isLooking = false
    }
  }

  override async get(map: string, key: string): Promise<StoreEntry | null> {
    await this.#pass(`get ${key}`)
    const entry = await this.#looking(() => super.get(map, key))
    if (entry !== null) this.#known.set(`${map} ${key}`, entry)
    return entry
  }

  override async add(map: string, key: string, value: StoreValue, ttl: number): Promise<StoreEntry | null> {
    await this.#pass(`add ${key}`)
    return this.#looking(() => super.add(map, key, value, ttl))
  }

  override async compareAndSet(
    ...given: Parameters<Store['compareAndSet']>
  ): ReturnType<Store['compareAndSet']> {
    await this.#pass(`compareAndSet ${given[1]}`)
    return this.#looking(() => super.compareAndSet(...given))
  }

  last(map: string, key: string): StoreEntry | undefined {
    return this.#known.get(`${map} ${key}`)
  }

  async #pass(call: string): Promise<void> {
    this.calls.push(call)
    await this.#gate
    if (this.away !== null) throw this.away
  }
}

class StoreHost extends FakeHost {
  readonly users: SessionMap
  readonly map = (name: string): SessionMap | undefined => (name === 'users' ? this.users : undefined)

  constructor(
    store: Store = new MemoryStore({ size: MEBIBYTE }),
    onError: SessionMapOptions['onError'] = 'hash',
  ) {
    super()
    this.users = new SessionMap(store, { name: 'users', ttl: 60_000, max: 1000, onError })
  }
}

const IMPORT = "import { map, StoreError } from 'sluice:store'\nconst users = map('users')\n"

/** What an access hook of this body answers. */
async function access(body: string, host = new StoreHost()): Promise<string> {
  const script = await load(`${IMPORT}export async function access(r) { ${body} }`, { host })
  const request = new FakeRequest()
  await request.run(script, 'access')
  releaseRequest(request)
  script.dispose()
  return request.failure === null
    ? Buffer.from(request.answered!.body as string, 'latin1').toString()
    : `failed: ${request.failure[1]}`
}

const told = (value: string): string => `return { status: 200, body: JSON.stringify(${value}) }`

test('what is set is got: every JSON value, and bytes', async () => {
  const values = [
    '"text"',
    '""',
    '"quotes \\\\" and \\\\\\\\, ümläute 日本 \\\\u0000"',
    '0',
    '-1.5',
    '1e300',
    'true',
    'false',
    '[]',
    '[1,[2]]',
    '{}',
    '{"a":{"b":[null]}}',
  ]
  for (const value of values) {
    const json = value.replaceAll('\\\\', '\\')
    assert.is(
      await access(`await users.set('k', JSON.parse('${value}')); ${told("await users.get('k')")}`),
      JSON.stringify(JSON.parse(json)),
    )
  }
  const bytes = await access(
    `const all = new Uint8Array([9, 0, 255, 7]); await users.set('k', all.subarray(1, 3))
    const got = await users.get('k'); ${told('[got instanceof Uint8Array, ...got]')}`,
  )
  assert.is(bytes, '[true,0,255]')
})

test('every operation does what it says', async () => {
  const cases: [body: string, expected: string][] = [
    [told("await users.get('none')"), 'null'],
    [told("[await users.add('k', 1), await users.add('k', 2), await users.get('k')]"), '[true,false,1]'],
    [told("[await users.getOrSet('k', () => undefined), await users.get('k')]"), '[null,null]'],
    [told("[await users.getOrSet('k', () => 'a'), await users.getOrSet('k', () => 'b')]"), '["a","a"]'],
    [told("[await users.incr('n'), await users.incr('n', 5), await users.incr('n', -2)]"), '[1,6,4]'],
    [
      told("[await users.touch('k'), await users.set('k', 1), await users.touch('k', { ttl: '2h' })]"),
      '[false,null,true]',
    ],
    [
      told(
        "[await users.delete('k'), await users.set('k', 1), await users.delete('k'), await users.get('k')]",
      ),
      '[false,null,true,null]',
    ],
    [
      told(
        "[await users.compareAndSet('k', null, 'a'), await users.compareAndSet('k', 'b', 'c'), await users.compareAndSet('k', 'a', 'c'), await users.get('k')]",
      ),
      '[true,false,true,"c"]',
    ],
    [
      told("[await users.set('k', 'a'), await users.compareAndSet('k', 'a', null), await users.get('k')]"),
      '[null,true,null]',
    ],
    [
      told(
        "[await users.set('k', 'a'), await users.replace('k', 'a', 'b'), await users.replace('k', 'a', 'c')]",
      ),
      '[null,"b","b"]',
    ],
    [told("[await users.set(7, 'seven'), await users.get('7')]"), '[null,"seven"]'],
    [told("[await users.set('日本', 1), await users.get('日本'), users.name]"), '[null,1,"users"]'],
  ]
  for (const [body, expected] of cases) assert.is(await access(body), expected, body)
})

test('entries come one by one, as many as asked for', async () => {
  const fill =
    "for (let i = 0; i < 40; i++) await users.set('k' + i, i)\nawait users.set('bytes', new Uint8Array([5]))\n"
  const collect = (limit: string) =>
    `const all = []; for await (const entry of users.entries(${limit})) all.push(entry)\n`
  const all = JSON.parse(
    await access(`${fill}${collect('')}${told('all.map(([key, value]) => [key, value[0] ?? value])')}`),
  )
  const expected = [...Array.from({ length: 40 }, (_, i) => [`k${i}`, i]), ['bytes', 5]]
  assert.equal(new Map(all), new Map(expected as [string, number][]))
  assert.is(await access(`${fill}${collect('{ limit: 25 }')}${told('all.length')}`), '25')
  assert.is(await access(`${fill}${collect('{ limit: 0 }')}${told('all.length')}`), '0')
})

test('a value goes when its time is over', async () => {
  let now = 1000
  const host = new StoreHost(new MemoryStore({ size: MEBIBYTE, now: () => now }))
  const script = await load(
    `${IMPORT}export async function access(r) {
      if (r.uri === '/set') {
        await users.set('short', 1, { ttl: '90s' })
        await users.set('ms', 1, { ttl: 90 })
        await users.set('own', 1)
        await users.set('ever', 1, { ttl: Infinity })
      }
      const there = []
      for (const key of ['short', 'ms', 'own', 'ever']) if (await users.get(key) !== null) there.push(key)
      return { status: 200, body: there.join() }
    }`,
    { host },
  )
  const ask = async (uri: string) => {
    const request = new FakeRequest({ uri })
    await request.run(script, 'access')
    releaseRequest(request)
    return request.answered!.body
  }
  assert.is(await ask('/set'), 'short,ms,own,ever')
  now += 91
  assert.is(await ask('/get'), 'short,own,ever')
  now += 60_000
  assert.is(await ask('/get'), 'short,ever')
  now += 60_000
  assert.is(await ask('/get'), 'ever')
  script.dispose()
})

test('what is wrong is a rejection that says so', async () => {
  const cases: [body: string, expected: RegExp][] = [
    ['users.get(undefined)', /^TypeError: the key of a session map is a string or a number, not undefined$/],
    ['users.get({})', /^TypeError: the key of a session map is a string or a number/],
    ["users.get('k'.repeat(2000))", /^StoreError too_large: a key is at most 1024 bytes/],
    ["users.get('日'.repeat(400))", /^StoreError too_large/],
    ["users.set('k', undefined)", /^TypeError: a value is JSON or a Uint8Array, not undefined$/],
    ["users.set('k', 'x'.repeat(300000))", /^StoreError too_large: a value is at most 262144 bytes/],
    ["users.set('k', new Uint8Array(300000))", /^StoreError too_large/],
    [
      "users.set('k', 1, { ttl: 'soon' })",
      /^TypeError: a ttl is a time above 0, such as "1h", or milliseconds$/,
    ],
    ["users.set('k', 1, { ttl: 0 })", /^TypeError: a ttl is a time above 0/],
    ["users.set('k', 1, { ttl: NaN })", /^TypeError: a ttl is a time above 0/],
    ["users.set('k', 1, { ttl: {} })", /^TypeError: a ttl is a time such as "1h"/],
    ["users.set('k', 1, 5)", /^TypeError: options are \{ ttl \}, not 5$/],
    ["users.getOrSet('k')", /^TypeError: getOrSet takes a function that makes the value, not undefined$/],
    ["users.getOrSet('k', () => Symbol.iterator)", /^TypeError: a value is JSON or a Uint8Array, not Symbol/],
    ["users.getOrSet('k', () => { throw new RangeError('mine') })", /^RangeError: mine$/],
    ["users.getOrSet('k', async () => { throw new RangeError('mine') })", /^RangeError: mine$/],
    ["users.set('k', 'text').then(() => users.incr('k'))", /^StoreError wrong_type/],
    ["users.incr('k', 'one')", /^TypeError: incr adds a number, not "one"$/],
    ["users.entries({ limit: 'all' }).next()", /^TypeError: entries: limit is a number, not "all"$/],
  ]
  for (const [call, expected] of cases) {
    const said = await access(
      `try { await ${call} } catch (error) {
        return { status: 200, body: error.name + (error instanceof StoreError ? ' ' + error.code : '') + ': ' + error.message }
      }
      return { status: 200, body: 'nothing' }`,
    )
    assert.match(said, expected, call)
  }
})

test('a map that the configuration does not have is refused when the script loads', async () => {
  const reason = async (host: FakeHost) => {
    try {
      await load(
        "import { map } from 'sluice:store'\nconst other = map('other')\nexport function access() {}",
        { host },
      )
      return 'loaded'
    } catch (error) {
      return (error as Error).message
    }
  }
  assert.match(
    await reason(new StoreHost()),
    /there is no session map "other"; write "session_map NAME;" in http/,
  )
  assert.match(await reason(new FakeHost()), /there is no session map "other"/)
})

test('a hit does not suspend the request', async () => {
  const store = new DistantStore()
  const host = new StoreHost(store)
  await host.users.set('ann', '"c.example:8080"')
  await host.users.get('ann')
  store.near = true
  for (const hook of ['(r, u) { return', 'async (r, u) { return await'].map((text) =>
    text.replace('async (', '('),
  )) {
    const kind = hook.includes('await') ? 'async ' : ''
    const script = await load(
      `${IMPORT}export ${kind}function balancer${hook} users.getOrSet('ann', () => 'a.example:8080') }`,
      { host },
    )
    const request = new FakeRequest()
    assert.is(request.start(script, 'balancer'), Outcome.PEER)
    assert.is(request.balancer!.chosen, 2)
    releaseRequest(request)
    script.dispose()
  }
  assert.equal(store.calls, ['get ann'])
})

/** Requests of one script, begun one after the other without waiting. */
function begin(
  script: Script,
  count: number,
  phase: Phase,
): { request: FakeRequest; done: Promise<Outcome> }[] {
  return Array.from({ length: count }, () => {
    const request = new FakeRequest()
    return { request, done: request.run(script, phase) }
  })
}

test('many ask for a key at once: one makes the value, all get it, the store is asked twice', async () => {
  const store = new DistantStore()
  const script = await load(
    `${IMPORT}let made = 0
    const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
    export async function access(r) {
      const value = await users.getOrSet('ann', async () => { await sleep(10); return 'value ' + ++made })
      return { status: 200, body: value }
    }`,
    { host: new StoreHost(store) },
  )
  const all = begin(script, 20, 'access')
  await Promise.all(all.map(({ done }) => done))
  assert.equal(
    all.map(({ request }) => request.answered!.body),
    Array(20).fill('value 1'),
  )
  assert.equal(store.calls, ['get ann', 'add ann'])
  for (const { request } of all) releaseRequest(request)
  script.dispose()
})

test('somebody else was quicker: the value that is there counts', async () => {
  const store = new DistantStore()
  const host = new StoreHost(store)
  const script = await load(
    `${IMPORT}export async function access(r) { return { status: 200, body: await users.getOrSet('ann', () => 'mine') } }`,
    { host },
  )
  store.shut()
  const [one] = begin(script, 1, 'access')
  await host.users.set('ann', '"theirs"')
  store.open()
  await one.done
  assert.is(one.request.answered!.body, 'theirs')
  releaseRequest(one.request)
  script.dispose()
})

test('a make that fails fails all who wait, and the next one is asked again', async () => {
  const script = await load(
    `${IMPORT}let calls = 0
    export async function access(r) {
      try {
        return { status: 200, body: await users.getOrSet('ann', () => { if (++calls === 1) throw new Error('not yet'); return 'now' }) }
      } catch (error) {
        return { status: 200, body: error.message }
      }
    }`,
    { host: new StoreHost(new DistantStore()) },
  )
  for (const expected of ['not yet', 'now']) {
    const all = begin(script, 3, 'access')
    await Promise.all(all.map(({ done }) => done))
    assert.equal(
      all.map(({ request }) => request.answered!.body),
      Array(3).fill(expected),
    )
    for (const { request } of all) releaseRequest(request)
  }
  script.dispose()
})

test('the request that makes the value ends: the next one that waits makes it', async () => {
  const script = await load(
    `${IMPORT}let makers = 0
    export async function access(r) {
      const value = await users.getOrSet('ann', () => ++makers === 1 ? new Promise(() => {}) : 'second')
      return { status: 200, body: value }
    }`,
    { host: new StoreHost(new DistantStore()) },
  )
  const [first, second, third] = begin(script, 3, 'access')
  await new Promise((done) => setImmediate(done))
  Object.assign(first!.request, { closed: true })
  script.abandon(first!.request)
  assert.is(await second!.done, Outcome.ANSWER)
  assert.is(await third!.done, Outcome.ANSWER)
  assert.equal(
    [second, third].map((each) => each!.request.answered!.body),
    ['second', 'second'],
  )
  assert.equal(first!.request.settlements, [])
  for (const { request } of [first!, second!, third!]) releaseRequest(request)
  script.dispose()
})

test('a request that ends while the store is asked leaves nothing behind', async () => {
  const store = new DistantStore()
  const host = new StoreHost(store)
  const script = await load(
    `${IMPORT}export async function access(r) { r.return(200, String(await users.get('ann'))) }`,
    { host },
  )
  store.shut()
  const [gone] = begin(script, 1, 'access')
  Object.assign(gone!.request, { closed: true })
  script.abandon(gone!.request)
  releaseRequest(gone!.request)
  store.open()
  const [next] = begin(script, 1, 'access')
  await next!.done
  assert.is(next!.request.answered!.body, 'null')
  assert.equal(gone!.request.settlements, [])
  releaseRequest(next!.request)
  script.dispose()
})

test('one request cannot ask without end', async () => {
  const said = await access(
    `const all = await Promise.allSettled(Array.from({ length: 80 }, (_, i) => users.set('k' + i, i)))
    const failed = all.filter((each) => each.status === 'rejected')
    return { status: 200, body: failed.length + ' ' + failed[0].reason.message }`,
    new StoreHost(new DistantStore()),
  )
  assert.is(said, '16 more than 64 calls of session maps of one request at the same time')
})

/** A balancer hook that keeps users where they are; `r.variables.key` is the user. */
const KEEP = `${IMPORT}
  export async function balancer(r, u) { return await users.getOrSet(r.variables.key, () => u.leastConn().name) }`

/** One is down, one rests; the method chooses the other. */
const group = () =>
  new FakeBalancer([
    { ...PEERS[0], down: true },
    { ...PEERS[1], down: false },
    { ...PEERS[2], resting: true },
  ])

/** Where users go, one after the other; null: the hook failed. */
async function places(host: StoreHost, keys: readonly string[]): Promise<(string | null)[]> {
  const script = await load(KEEP, { host })
  const chosen: (string | null)[] = []
  for (const key of keys) {
    const request = new FakeRequest({ variables: { key } })
    request.balancer = group()
    const outcome = await request.run(script, 'balancer')
    if (request.failure !== null) throw new Error(request.failure[1])
    chosen.push(outcome === Outcome.PEER ? request.balancer.peers[request.balancer.chosen].name : null)
    releaseRequest(request)
  }
  script.dispose()
  return chosen
}

test('a peer that has left the group, is down or rests is replaced, for all who share the map', async () => {
  for (const store of [new MemoryStore({ size: MEBIBYTE }), new DistantStore()]) {
    const host = new StoreHost(store)
    await host.users.set('ann', '"gone.example:8080"')
    await host.users.set('bob', '"a.example:8080"')
    await host.users.set('cid', '"c.example:8080"')
    await host.users.set('dan', '"10.0.0.1:8080"')
    const users = ['ann', 'bob', 'cid', 'dan']
    assert.equal(await places(host, users), Array(4).fill('b.example:8080'))
    for (const user of users) assert.is(await host.users.get(user), '"b.example:8080"')
  }
})

test('of many who find a peer lost one replaces it, and all go the same way', async () => {
  const host = new StoreHost(new DistantStore())
  await host.users.set('ann', '"gone.example:8080"')
  const replaced = host.users.replace.bind(host.users)
  let calls = 0
  host.users.replace = (key, gone, value, ttl) => {
    calls++
    // Another machine has been quicker.
    return host.users.set(key, '"c.example:8080"').then(() => replaced(key, gone, value, ttl))
  }
  const script = await load(KEEP, { host })
  const requests = Array.from({ length: 5 }, () => new FakeRequest({ variables: { key: 'ann' } }))
  for (const request of requests) request.balancer = group()
  await Promise.all(requests.map((request) => request.run(script, 'balancer')))
  assert.equal(
    requests.map((request) => request.balancer!.chosen),
    [2, 2, 2, 2, 2],
  )
  assert.is(calls, 1)
  for (const request of requests) releaseRequest(request)
  script.dispose()
})

test('what names no peer is none: other values stay, in a balancer hook too', async () => {
  const host = new StoreHost(new DistantStore())
  await host.users.set('ann', '"db.example:5432"')
  const script = await load(
    `${IMPORT}export async function balancer(r, u) {
      const place = await users.getOrSet('ann', () => 'db2.example:5432')
      return place === 'db.example:5432' ? u.peers[1] : u.peers[0]
    }`,
    { host },
  )
  const request = new FakeRequest()
  request.balancer = group()
  assert.is(await request.run(script, 'balancer'), Outcome.PEER)
  assert.is(request.balancer!.chosen, 1)
  assert.is(await host.users.get('ann'), '"db.example:5432"')
  releaseRequest(request)
  script.dispose()
})

test('where no other peer is to be had, the one that rests stays', async () => {
  const host = new StoreHost()
  await host.users.set('ann', '"c.example:8080"')
  const script = await load(
    `${IMPORT}export async function balancer(r, u) { return await users.getOrSet('ann', () => undefined) }`,
    { host },
  )
  const request = new FakeRequest()
  request.balancer = group()
  assert.is(await request.run(script, 'balancer'), Outcome.PEER)
  assert.is(request.balancer.chosen, 2)
  releaseRequest(request)
  script.dispose()
})

const AWAY = new StoreError('timeout', 'redis took longer than 50 ms')
const PICK = `${IMPORT}
  export async function balancer(r, u) { return await users.getOrSet(r.variables.key, () => u.leastConn().name) }
  export async function access(r) {
    try { await users.getOrSet(r.variables.key, () => 'made') } catch (error) { return { status: 200, body: error.name + ' ' + error.code } }
  }`

test('on_error=hash: while the store is away, a hash of the key says which peer it is, and the store is owed the answer', async () => {
  const store = new DistantStore()
  const host = new StoreHost(store, 'hash')
  const script = await load(PICK, { host })
  store.away = AWAY
  const request = new FakeRequest({ variables: { key: 'four' } })
  assert.is(await request.run(script, 'balancer'), Outcome.PEER)
  assert.equal(request.balancer!.hashed, ['four', true])
  assert.is(request.balancer!.chosen, 4 % 3)
  assert.is(host.users.stats.fallbacks, 1)
  // Where no peer is chosen, there is nothing to fall back to.
  const other = new FakeRequest({ variables: { key: 'four' } })
  await other.run(script, 'access')
  assert.is(other.answered!.body, 'StoreError timeout')
  assert.is(host.users.stats.fallbacks, 1)
  store.away = null
  while (host.users.stats.reconciled === 0) await new Promise((done) => setTimeout(done, 50))
  assert.is(await host.users.get('four'), '"b.example:8080"')
  for (const each of [request, other]) releaseRequest(each)
  script.dispose()
})

test('on_error=hash: the store goes away between reading and writing', async () => {
  const store = new DistantStore()
  const script = await load(PICK, { host: new StoreHost(store, 'hash') })
  const request = new FakeRequest({ variables: { key: 'fives' } })
  const done = request.run(script, 'balancer')
  const { add } = store
  store.add = (...args) => {
    store.away = AWAY
    return add.apply(store, args)
  }
  assert.is(await done, Outcome.PEER)
  assert.is(request.balancer!.chosen, 5 % 3)
  releaseRequest(request)
  script.dispose()
})

test('on_error=stale: what was known last, else a value of its own, owed to the store', async () => {
  const store = new DistantStore()
  const host = new StoreHost(store, 'stale')
  await host.users.set('known', '"c.example:8080"')
  await host.users.get('known')
  const script = await load(PICK, { host })
  store.away = AWAY
  for (const [key, peer] of [
    ['known', 2],
    ['fresh', 1],
  ] as const) {
    const request = new FakeRequest({ variables: { key } })
    assert.is(await request.run(script, 'balancer'), Outcome.PEER)
    assert.is(request.balancer!.chosen, peer)
    releaseRequest(request)
  }
  assert.is(host.users.stats.fallbacks, 2)
  host.users.close()
  script.dispose()
})

test('on_error=closed: the script is told, and the hook fails if it does not care', async () => {
  const store = new DistantStore()
  const script = await load(PICK, { host: new StoreHost(store, 'closed') })
  store.away = AWAY
  const request = new FakeRequest({ variables: { key: 'ann' } })
  assert.is(await request.run(script, 'balancer'), Outcome.FAILED)
  assert.match(request.failure![1], /redis took longer than 50 ms/)
  releaseRequest(request)
  script.dispose()
})

test('what somebody else has written and is no JSON is an error, not a crash', async () => {
  const host = new StoreHost()
  await host.users.set('k', '{nonsense')
  const said = await access(
    "try { await users.get('k') } catch (error) { return { status: 200, body: error.code + ' ' + error.message } }",
    host,
  )
  assert.is(said, 'wrong_type what the store holds there is no JSON')
})

test('scripts ask while they load, in timers, and in every hook', async () => {
  const host = new StoreHost(new DistantStore())
  const script = await load(
    `${IMPORT}export async function init() { await users.set('top', 2) }
    export async function access(r) {
      setTimeout(async () => { await users.incr('top') }, 10)
      while (await users.get('top') < 3) await new Promise((done) => setTimeout(done, 10))
    }
    export async function headerFilter(r) { r.headersOut.set('X-Top', String(await users.incr('top'))) }
    export async function log(r) { await users.set('logged', r.uri) }`,
    { host },
  )
  const request = new FakeRequest()
  assert.is(await request.run(script, 'access'), Outcome.PASS)
  assert.is(await request.run(script, 'headerFilter'), Outcome.PASS)
  assert.is(request.responseHeaders.get('x-top'), '4')
  await request.run(script, 'log')
  assert.is(await host.users.get('logged'), '"/chat"')
  releaseRequest(request)
  script.dispose()
})

test.run()
