// sluice:limit in the real engine, on a clock and a store that the test has in its hand.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome, type ScriptRates } from '../../runtime/phases.ts'
import type { Script } from '../../runtime/script/engine.ts'
import { MemoryStore } from '../../runtime/store/memory-store.ts'
import { ScriptCounts } from '../../runtime/store/script-counts.ts'
import { StoreError } from '../../runtime/store/store.ts'
import { FakeHost } from '../script/fake-request.ts'
import { load as loadAny, ROOT, refusal, SandboxRequest } from './sandbox.ts'

const scripts: Script[] = []
test.after.each(() => {
  for (const script of scripts.splice(0)) script.dispose()
})

async function load(...args: Parameters<typeof loadAny>): Promise<Script> {
  const script = await loadAny(...args)
  scripts.push(script)
  return script
}

/** A store that answers when it is there. */
class Shared extends MemoryStore {
  away = false

  override async take(...args: Parameters<MemoryStore['take']>): Promise<number> {
    if (this.away) throw new StoreError('timeout', 'the store has not answered within 50 ms')
    return super.take(...args)
  }
}

/** One machine: its scripts count by this. */
class Machine extends FakeHost {
  ms = 0
  readonly counts = new ScriptCounts(() => this.ms)
  readonly limits: ScriptRates

  constructor(store = new Shared({ size: 1_000_000, now: () => this.ms })) {
    super()
    this.limits = {
      take: (asked) => this.counts.take(asked),
      takeShared: (asked) => this.counts.takeFrom(store, asked, this.log),
      admit: (_request, name, key, max) => this.counts.connections(name).admit(key, max) === 'admitted',
    }
  }
}

interface Asked {
  readonly allowed: boolean
  readonly retryAfter: number
  readonly remaining: number
}

/** A script whose hook asks a limiter; the function asks it once, for this query. */
async function limiter(machine: Machine, source: string, cost = '') {
  const script = await load(
    `import { rate } from 'sluice:limit'
     const limiter = ${source}
     export async function content(r) {
       const found = await limiter.take(r${cost})
       return { status: 200, body: JSON.stringify(found) }
     }`,
    { host: machine },
  )
  return async (args = 'user=ann'): Promise<Asked> => {
    const request = new SandboxRequest({ args })
    await request.run(script, 'content')
    if (request.failure !== null) throw new Error(request.failure[1])
    return JSON.parse(String(request.reply?.body)) as Asked
  }
}

const yes = (remaining: number): Asked => ({ allowed: true, retryAfter: 0, remaining })
const no = (retryAfter: number): Asked => ({ allowed: false, retryAfter, remaining: 0 })

for (const store of [false, true]) {
  const where = store ? 'in the store' : 'here'

  test(`${where}: a burst, then the rate`, async () => {
    const machine = new Machine()
    const ask = await limiter(machine, `rate('30r/m', { burst: 2, key: '$arg_user', store: ${store} })`)
    assert.equal([await ask(), await ask(), await ask()], [yes(2), yes(1), yes(0)])
    assert.equal(await ask(), no(2))
    assert.equal(await ask('user=bob'), yes(2))
    machine.ms += 1999
    assert.equal(await ask(), no(1))
    machine.ms += 1
    assert.equal(await ask(), yes(0))
    machine.ms += 60_000
    assert.equal(await ask(), yes(2))
  })

  test(`${where}: a request without a key is not limited`, async () => {
    const ask = await limiter(new Machine(), `rate('1r/d', { key: '$arg_user', store: ${store} })`)
    assert.equal([await ask(''), await ask(''), await ask('')], [yes(1), yes(1), yes(1)])
  })

  test(`${where}: a cost is taken whole or not at all`, async () => {
    const machine = new Machine()
    const ask = await limiter(
      machine,
      `rate('10r/s', { burst: 9, key: '$arg_user', store: ${store} })`,
      ', 4',
    )
    assert.equal([await ask(), await ask(), await ask()], [yes(6), yes(2), no(1)])
    machine.ms += 200
    assert.equal(await ask(), yes(0))
  })

  test(`${where}: a key may be as long as a client likes`, async () => {
    const ask = await limiter(new Machine(), `rate('1r/m', { key: '$arg_user', store: ${store} })`)
    const long = `user=${'x'.repeat(60_000)}`
    assert.equal([await ask(long), await ask(long), await ask(`${long}y`)], [yes(0), no(60), yes(0)])
  })
}

test('two machines on one store count together, and each for itself without', async () => {
  const store = new Shared({ size: 1_000_000, now: () => 0 })
  const machines = [new Machine(store), new Machine(store)]
  const source = (shared: boolean) => `rate('1r/m', { burst: 3, key: '$arg_user', store: ${shared} })`
  const together = await Promise.all(machines.map((machine) => limiter(machine, source(true))))
  const answers = []
  for (let i = 0; i < 6; i++) answers.push((await together[i % 2]!()).allowed)
  assert.equal(answers, [true, true, true, true, false, false])
  const apart = await Promise.all(machines.map((machine) => limiter(machine, source(false))))
  for (let i = 0; i < 8; i++) assert.is((await apart[i % 2]!()).allowed, true)
})

test('without the store the machine counts alone, and says so once', async () => {
  const store = new Shared({ size: 1_000_000, now: () => 0 })
  const machine = new Machine(store)
  const ask = await limiter(machine, `rate('1r/m', { burst: 1, key: '$arg_user', store: true })`)
  store.away = true
  assert.equal([await ask(), await ask(), await ask()], [yes(1), yes(0), no(60)])
  store.away = false
  assert.equal([await ask(), await ask(), await ask()], [yes(1), yes(0), no(60)])
  assert.equal(machine.logged, [
    'warn limits of scripts count in this process alone: the store has not answered within 50 ms',
    'warn limits of scripts count in the store again, after 3 calls',
  ])
})

test('limits of one name are one limit, and others are not', async () => {
  const machine = new Machine()
  const of = (name: string, key = "'$arg_user'") =>
    limiter(machine, `rate('1r/m', { key: ${key}, name: '${name}' })`)
  const [a, again, b] = [await of('a'), await of('a', '(r) => r.args.user'), await of('b')]
  assert.equal([await a(), await again(), await b()], [yes(0), no(60), yes(0)])
})

test('what is counted outlives the script', async () => {
  const machine = new Machine()
  const source = `rate('1r/m', { key: '$arg_user' })`
  assert.equal(await (await limiter(machine, source))(), yes(0))
  assert.equal(await (await limiter(machine, source))(), no(60))
})

for (const options of ["{ key: '$arg_user' }", "{ key: '$arg_user', store: true }"]) {
  test(`the hook refuses with Retry-After: ${options}`, async () => {
    const script = await load(
      `import { limit } from 'sluice:limit'
       export const access = limit('30r/m', ${options})`,
      { host: new Machine() },
    )
    const ask = async () => {
      const request = new SandboxRequest({ args: 'user=ann' })
      const outcome = await request.run(script, 'access')
      return [outcome, request.reply?.status, request.responseHeaders.get('retry-after')]
    }
    assert.equal(await ask(), [Outcome.PASS, undefined, undefined])
    assert.equal(await ask(), [Outcome.ANSWER, 429, '2'])
  })
}

test('the hook answers as it is told to', async () => {
  const script = await load(
    `import { limit } from 'sluice:limit'
     export const content = limit('1r/d', { key: 'all', status: 503, body: 'later' })`,
    { host: new Machine() },
  )
  await new SandboxRequest().run(script, 'content')
  const request = new SandboxRequest()
  await request.run(script, 'content')
  assert.equal([request.reply?.status, request.reply?.body], [503, 'later'])
  assert.is(request.responseHeaders.get('retry-after'), '86400')
})

test('connections: so many at a time', async () => {
  const machine = new Machine()
  const script = await load(
    `import { connections } from 'sluice:limit'
     export const access = connections(2, { key: '$arg_user' })`,
    { host: machine },
  )
  const ask = async (args: string) => {
    const request = new SandboxRequest({ args })
    await request.run(script, 'access')
    return request.reply?.status ?? 'passed'
  }
  const four = [await ask('user=ann'), await ask('user=ann'), await ask('user=ann'), await ask('user=bob')]
  assert.equal(four, ['passed', 'passed', 429, 'passed'])
  assert.equal([await ask(''), await ask(''), await ask('')], ['passed', 'passed', 'passed'])
  machine.counts.connections('2 $arg_user').release('ann')
  assert.equal([await ask('user=ann'), await ask('user=ann')], ['passed', 429])
})

test('what makes no sense is refused when the script loads', async () => {
  const RATE = 'the rate is a text such as "10r/s", "30r/m", "500r/h" or "1000r/d"'
  const cases: [call: string, message: string][] = [
    ["rate('10')", `rate: ${RATE}, not "10"`],
    ["limit('0r/s')", `limit: ${RATE}, not "0r/s"`],
    ['rate(10)', `rate: ${RATE}, not 10`],
    ["rate('1r/s', { burst: -1 })", 'rate: burst is a whole number, not -1'],
    ["rate('1r/s', { store: 'redis' })", 'rate: store is true or false, not "redis"'],
    ["rate('1r/s', { status: 503 })", 'rate: options are burst, key, name, store, not "status"'],
    ["rate('1r/s', { key: 7 })", 'rate: the key is a text with nginx variables, or a function, not 7'],
    [
      "rate('1r/s', { key: (r) => r.uri })",
      'rate: a key that is a function needs a name beside it, not undefined',
    ],
    ["rate('1r/s', { name: '' })", 'rate: name is a text, not ""'],
    ["limit('1r/s', { status: 200 })", 'limit: status is from 400 to 599, not 200'],
    ['connections(0)', 'connections: the limit is a whole number from 1, not 0'],
    ['connections(1, 2)', 'connections: options are an object, not 2'],
  ]
  for (const [call, message] of cases) {
    const source = `import { connections, limit, rate } from 'sluice:limit'\n${call}\nexport function access() {}`
    const found = await refusal(source, { host: new Machine() })
    assert.ok(found.includes(message), `${call}: ${found}`)
  }
})

test('a cost is a number above 0', async () => {
  const ask = await limiter(new Machine(), `rate('1r/s')`, ', -1')
  try {
    await ask()
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /take: the cost is a number above 0, not -1/)
  }
})

test('the example of the page: searches cost more, and downloads are few', async () => {
  const page = readFileSync(join(ROOT, 'stdlib/limit.md'), 'utf8')
  const example = /^## Example\n\n```js\n(.*?)^```$/ms.exec(page)?.[1]
  const script = await load(example, { host: new Machine() })
  const ask = async (uri: string) => {
    const request = new SandboxRequest({ uri, args: 'userId=7' })
    await request.run(script, 'access')
    return request.reply?.status ?? request.responseHeaders.get('x-remaining')
  }
  assert.equal([await ask('/'), await ask('/search'), await ask('/search')], ['20', '15', '10'])
  assert.equal(
    [await ask('/download/a'), await ask('/download/b'), await ask('/download/c')],
    ['9', '8', 429],
  )
  assert.equal([await ask('/search'), await ask('/search'), await ask('/')], ['2', 429, '1'])
})

test('a host that counts nothing allows everything', async () => {
  const script = await load(
    `import { connections, limit } from 'sluice:limit'
     const [slow, few] = [limit('1r/d', { store: true }), connections(1)]
     export async function access(r) { return (await slow(r)) ?? few(r) }`,
  )
  for (let i = 0; i < 3; i++) {
    const request = new SandboxRequest()
    assert.is(await request.run(script, 'access'), Outcome.PASS)
  }
})

test.run()
