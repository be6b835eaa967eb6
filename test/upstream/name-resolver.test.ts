// `resolver` for names that requests make: what is kept, for whom, and for how long.

import { mock } from 'node:test'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { NameResolver, type ResolverOptions } from '../../runtime/upstream/name-resolver.ts'
import { DnsServer } from '../lib/dns-server.ts'

const dns = await DnsServer.start()
test.after(() => dns.close())
test.after.each(() => mock.timers.reset())

function resolver(options: Partial<ResolverOptions> = {}): NameResolver {
  return new NameResolver({
    servers: [dns.address],
    valid: null,
    ipv4: true,
    ipv6: false,
    timeout: 700,
    ...options,
  })
}

/** Addresses that one who waits is given. */
function lookUp(names: NameResolver, target: string): Promise<string> {
  return new Promise((done) => {
    names.lookUp(target, 80, (addresses) => done(addresses.map(({ text }) => text).join(' ')))
  })
}

const known = (names: NameResolver, target: string) => names.cached(target)?.map(({ text }) => text) ?? null

test('an answer is kept for its TTL, in any case of letters', async () => {
  mock.timers.enable({ apis: ['Date'], now: 1_000 })
  dns.set('app.test', { addresses: ['127.0.0.1', '::1'], ttl: 7 })
  const names = resolver({ ipv6: true })
  assert.is(known(names, 'app.test:81'), null)
  assert.is(await lookUp(names, 'app.test:81'), '127.0.0.1:81 [::1]:81')
  assert.equal(known(names, 'APP.test:81'), ['127.0.0.1:81', '[::1]:81'])
  assert.is(known(names, 'app.test'), null, 'another port is another upstream')
  mock.timers.setTime(7_999)
  assert.ok(known(names, 'app.test:81'))
  mock.timers.setTime(8_000)
  assert.is(known(names, 'app.test:81'), null)
})

test('"valid=" goes before the TTL', async () => {
  mock.timers.enable({ apis: ['Date'], now: 1_000 })
  const names = resolver({ valid: 20_000 })
  await lookUp(names, 'app.test')
  mock.timers.setTime(20_999)
  assert.ok(known(names, 'app.test'))
})

test('who asks at the same time shares a question; who waits for a failure hears of it, and it is not kept', async () => {
  dns.set('bad.test', { fails: 'servfail' })
  const names = resolver()
  const from = dns.asked.length
  let seen: unknown
  const first = new Promise<void>((done) => {
    names.lookUp('bad.test', 80, () => {
      seen = known(names, 'bad.test')
      done()
    })
  })
  assert.is(await lookUp(names, 'BAD.test'), '')
  await first
  assert.equal(seen, [], 'it is there for who waited')
  assert.is(dns.asked.length - from, 1)
  assert.is(known(names, 'bad.test'), null)
  dns.set('bad.test', { addresses: ['127.0.0.5'] })
  assert.is(await lookUp(names, 'bad.test'), '127.0.0.5:80')
})

test('that there is no such name is kept for 5 seconds', async () => {
  mock.timers.enable({ apis: ['Date'], now: 1_000 })
  const names = resolver()
  assert.is(await lookUp(names, 'none.test'), '')
  mock.timers.setTime(5_999)
  assert.equal(known(names, 'none.test'), [])
  mock.timers.setTime(6_000)
  assert.is(known(names, 'none.test'), null)
})

test('addresses and sockets need no name server, and what is neither has no address', async () => {
  const names = resolver()
  const from = dns.asked.length
  assert.is(await lookUp(names, '127.0.0.9:99'), '127.0.0.9:99')
  assert.is(await lookUp(names, 'unix:/tmp/A'), 'unix:/tmp/A')
  assert.is(known(names, 'unix:/tmp/a'), null)
  for (const target of ['a b.test', '127.1', 'app.test:0']) assert.is(await lookUp(names, target), '', target)
  assert.is(dns.asked.length, from)
})

test('a thousand names are kept', async () => {
  const names = resolver({ servers: [] })
  for (let i = 0; i <= 1000; i++) await lookUp(names, `127.3.${i >> 8}.${i & 255}`)
  assert.is(known(names, '127.3.0.0'), null)
  assert.ok(known(names, '127.3.0.1'))
  assert.ok(known(names, '127.3.3.232'))
})

test.run()
