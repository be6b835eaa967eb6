// Session maps of tested scripts: described, shown, and kept for as long as the test's clock says.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  DescriptionError,
  type TestedScript,
  type TestOptions,
  testScript,
} from '../../runtime/testing/index.ts'

async function withScript(
  source: string,
  options: TestOptions,
  check: (script: TestedScript) => unknown,
): Promise<void> {
  const script = await testScript('hooks.js', { source, ...options })
  try {
    await check(script)
  } finally {
    script.dispose()
  }
}

const BALANCER = `
  import { map } from 'sluice:store'
  const users = map('users')
  export function balancer(r, upstream) {
    return users.getOrSet(r.args.user, () => upstream.roundRobin().name)
  }`
const SERVERS = { upstream: ['10.0.0.1:80', '10.0.0.2:80'] }

test('a user keeps to the peer that the map names, until its time is over', () =>
  withScript(BALANCER, { ...SERVERS, maps: { users: { alice: '10.0.0.2:80' } } }, async (script) => {
    for (let i = 0; i < 3; i++) assert.is((await script.balancer({ args: 'user=alice' })).peer, '10.0.0.2:80')
    const bob = (await script.balancer({ args: 'user=bob' })).peer
    assert.equal(script.maps, { users: { alice: '10.0.0.2:80', bob } })
    await script.clock.advance('59m')
    assert.equal(script.maps, { users: { alice: '10.0.0.2:80', bob } })
    await script.clock.advance('61s')
    assert.equal(script.maps, { users: {} })
  }))

test('a peer that has gone is replaced', () =>
  withScript(BALANCER, { ...SERVERS, maps: { users: { alice: '10.0.0.3:80' } } }, async (script) => {
    const { peer } = await script.balancer({ args: 'user=alice' })
    assert.ok(SERVERS.upstream.includes(peer!))
    assert.equal(script.maps.users, { alice: peer })
  }))

test('values of every kind, and every operation', () =>
  withScript(
    `import { map } from 'sluice:store'
     const m = map('m')
     export async function access(r) {
       const before = [await m.get('list'), await m.get('bytes'), await m.get('none')]
       await m.set('set', { a: [1] }, { ttl: '10s' })
       await m.add('set', 'not this')
       await m.incr('count', 2)
       await m.delete('list')
       await m.touch('bytes', { ttl: '5s' })
       const keys = []
       for await (const [key] of m.entries()) keys.push(key)
       r.return(200, JSON.stringify({ before: [before[0], [...before[1]], before[2] ?? null], keys: keys.sort() }))
     }`,
    { maps: { m: { list: [1, 'é'], bytes: new Uint8Array([0, 255]), count: 40 } } },
    async (script) => {
      assert.equal((await script.access()).answer?.json(), {
        before: [[1, 'é'], [0, 255], null],
        keys: ['bytes', 'count', 'set'],
      })
      assert.equal(script.maps.m, { bytes: new Uint8Array([0, 255]), count: 42, set: { a: [1] } })
      await script.clock.advance('6s')
      assert.equal(script.maps.m, { count: 42, set: { a: [1] } })
      await script.clock.advance('5s')
      assert.equal(script.maps.m, { count: 42 })
    },
  ))

test('maps of the configuration are there with their bounds, others are not', async () => {
  const options = { http: 'session_map users ttl=10s max=2;', maps: { users: { a: 1 }, more: {} } }
  const source = `import { map } from 'sluice:store'
    export const access = async (r) => { await map('users').set(r.args.key, 1) }`
  await withScript(source, options, async (script) => {
    assert.equal(script.maps, { users: { a: 1 }, more: {} })
    await script.clock.advance('5s')
    await script.access({ args: 'key=b' })
    await script.access({ args: 'key=c' })
    assert.equal(script.maps.users, { b: 1, c: 1 })
    await script.clock.advance('11s')
    assert.equal(script.maps.users, {})
  })
  const unknown = await testScript('hooks.js', { source: BALANCER }).catch((error: Error) => error.message)
  assert.match(String(unknown), 'there is no session map "users"')
})

test('what one test has put there is in no other', async () => {
  for (let i = 0; i < 2; i++)
    await withScript(BALANCER, { ...SERVERS, maps: { users: {} } }, async (script) => {
      assert.equal(script.maps.users, {})
      await script.balancer({ args: 'user=x' })
    })
})

const message = (options: object): Promise<string> =>
  testScript('hooks.js', { source: 'export function access() {}', ...options }).then(
    (script) => {
      script.dispose()
      return 'it was not refused'
    },
    (error: unknown) => {
      assert.instance(error, DescriptionError)
      assert.instance(error, TypeError)
      return (error as Error).message
    },
  )

test('descriptions that make no sense', async () => {
  assert.match(await message({ maps: { 'a b': {} } }), 'maps: "a b" is no name of a session_map')
  assert.match(await message({ maps: { a: { key: undefined } } }), 'maps: a: the value of "key" is neither')
  assert.match(await message({ maps: { a: { ['k'.repeat(2000)]: 1 } } }), 'maps: a: a key')
  assert.match(await message({ maps: { a: 5 } }), 'maps: a is an object of values by key')
})

test('options that there are not are refused with those that there are', async () => {
  assert.is(
    await message({ param: {} }),
    'options: there is no "param"; there are params, limits, onError, upstream, variables, http, location, maps, now, seed, fetch, source, root, patience',
  )
  assert.is(
    await message({ limits: { cpus: '1s' } }),
    'limits: there is no "cpus"; there are memory, stack, cpu, load, wall',
  )
  await withScript('export function access() {}', {}, async (script) => {
    assert.throws(
      () => script.request({ header: { 'X-A': '1' } } as object),
      /^the request: there is no "header"; there are method, uri, args, target, httpVersion, headers,/,
    )
  })
})

test.run()
