// What name servers say, and what is made of it: addresses, services, nothing, or nobody knows.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { NameLookup } from '../../runtime/upstream/name-lookup.ts'
import type { ResolverOptions } from '../../runtime/upstream/name-resolver.ts'
import { DnsServer } from '../lib/dns-server.ts'

const dns = await DnsServer.start()
test.after(() => dns.close())

function lookup(options: Partial<ResolverOptions> = {}, maxQuestions?: number): NameLookup {
  const defaults = { servers: [dns.address], valid: null, ipv4: true, ipv6: true, timeout: 700 }
  return new NameLookup({ ...defaults, ...options }, maxQuestions)
}

async function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    (answer) => `no failure but ${JSON.stringify(answer)}`,
    (error: Error) => `${error.constructor.name} ${error.message}`,
  )
}

test('addresses of both families come sorted, one that is there twice as two, and hold for the shortest TTL', async () => {
  dns.set('app.test', { addresses: ['127.0.0.3', '::1', '127.0.0.2', '127.0.0.3'], ttl: 7 })
  assert.equal(await lookup().addresses('app.test'), {
    records: ['127.0.0.2', '127.0.0.3', '127.0.0.3', '::1'],
    valid: 7_000,
  })
  dns.set('alias.test', { cname: 'app.test', ttl: 3 })
  assert.is((await lookup().addresses('alias.test')).valid, 3_000)
})

test('"ipv4=off", "ipv6=off" and "valid=" say otherwise', async () => {
  const from = dns.asked.length
  dns.set('app.test', { addresses: ['127.0.0.3', '::1', '127.0.0.2'], ttl: 7 })
  assert.equal((await lookup({ ipv6: false }).addresses('app.test')).records, ['127.0.0.2', '127.0.0.3'])
  assert.equal((await lookup({ ipv4: false }).addresses('app.test')).records, ['::1'])
  assert.equal(dns.asked.slice(from), ['A app.test', 'AAAA app.test'])
  assert.is((await lookup({ valid: 90_000 }).addresses('app.test')).valid, 90_000)
})

test('a TTL of 0 holds for a second, one of years for a day', async () => {
  dns.set('short.test', { addresses: ['127.0.0.1'], ttl: 0 })
  dns.set('long.test', { addresses: ['127.0.0.1'], ttl: 2 ** 31 - 1 })
  assert.is((await lookup().addresses('short.test')).valid, 1_000)
  assert.is((await lookup().addresses('long.test')).valid, 86_400_000)
})

test('a name that is not there, or has nothing, is an answer that holds for 10 seconds', async () => {
  dns.set('empty.test', {})
  for (const name of ['none.test', 'empty.test'])
    assert.equal(await lookup().addresses(name), { records: [], valid: 10_000 }, name)
  assert.is((await lookup({ valid: 2_000 }).addresses('none.test')).valid, 2_000)
})

test('a name server that fails, refuses, is silent or is not there says nothing of the name', async () => {
  dns.set('bad.test', { fails: 'servfail' })
  dns.set('closed.test', { fails: 'refused' })
  dns.set('silent.test', { fails: 'silent' })
  assert.is(await failure(lookup().addresses('bad.test')), 'LookupError 2: Server failure')
  assert.is(await failure(lookup().addresses('closed.test')), 'LookupError 5: Operation refused')
  assert.is(await failure(lookup().addresses('silent.test')), 'LookupError 110: Operation timed out')
  const gone = await DnsServer.start()
  const servers = [gone.address]
  await gone.close()
  assert.is(await failure(lookup({ servers }).addresses('app.test')), 'LookupError 111: Connection refused')
})

test('one family that fails is no answer, though the other has addresses', async () => {
  dns.set('half.test', { addresses: ['127.0.0.1'], fails: 'servfail', failsFor: 'AAAA' })
  assert.is(await failure(lookup().addresses('half.test')), 'LookupError 2: Server failure')
  assert.equal((await lookup({ ipv6: false }).addresses('half.test')).records, ['127.0.0.1'])
})

test('more records than a group could use are refused', async () => {
  const addresses = Array.from({ length: 1001 }, (_, i) => `127.1.${i >> 8}.${i & 255}`)
  dns.set('many.test', { addresses })
  assert.match(
    await failure(lookup({ ipv6: false }).addresses('many.test')),
    /1001 records are more than the 1000/,
  )
})

test('who asks the same at the same time gets the same answer, asked for once', async () => {
  const one = lookup()
  const from = dns.asked.length
  const [a, b] = await Promise.all([one.addresses('app.test'), one.addresses('app.test')])
  assert.is(a, b)
  assert.is(dns.asked.length - from, 2)
})

test('services come as they are; a target without a name is none', async () => {
  const srv = [{ target: 'a.test', port: 81, priority: 1, weight: 5 }]
  dns.set('_http._tcp.app.test', { srv: [...srv, { target: '', port: 0 }] })
  assert.equal(await lookup().services('_http._tcp.app.test'), {
    records: [{ name: 'a.test', port: 81, priority: 1, weight: 5 }],
    valid: 1_000,
  })
  assert.equal((await lookup().services('_none._tcp.app.test')).records, [])
  dns.set('_bad._tcp.app.test', { fails: 'servfail' })
  assert.is(await failure(lookup().services('_bad._tcp.app.test')), 'LookupError 2: Server failure')
})

test('what a name stands for is asked for, where its server does not say more', async () => {
  dns.set('hop.test', { cname: 'Next.test', bare: true, ttl: 60 })
  dns.set('next.test', { cname: 'app.test', bare: true, ttl: 5 })
  dns.set('_http._tcp.hop.test', { cname: '_http._tcp.app.test', bare: true })
  const from = dns.asked.length
  assert.equal(await lookup({ ipv6: false }).addresses('HOP.test.'), {
    records: ['127.0.0.2', '127.0.0.3'],
    valid: 5_000,
  })
  assert.equal(dns.asked.slice(from), ['A hop.test', 'A next.test', 'A app.test'])
  assert.equal(
    (await lookup().services('_http._tcp.hop.test')).records,
    (await lookup().services('_http._tcp.app.test')).records,
  )
  dns.set('nowhere.test', { cname: 'none.test', bare: true })
  assert.equal((await lookup().addresses('nowhere.test')).records, [])
})

test('names that stand for each other, or for too many others, are not known', async () => {
  dns.set('a.loop.test', { cname: 'b.loop.test', bare: true })
  dns.set('b.loop.test', { cname: 'a.loop.test', bare: true })
  const from = dns.asked.length
  assert.match(
    await failure(lookup({ ipv6: false }).addresses('a.loop.test')),
    /^LookupError a.loop.test stands for/,
  )
  assert.is(dns.asked.length - from, 17)
})

test('a name that no question can hold is not there', async () => {
  const from = dns.asked.length
  for (const name of [`${'a'.repeat(64)}.test`, 'a..test', '.test', `${'abc.'.repeat(63)}test`])
    assert.equal((await lookup().addresses(name)).records, [], name)
  assert.is(dns.asked.length, from)
})

test('only so many questions are under way at a time; others wait for their turn', async () => {
  dns.set('silent.test', { fails: 'silent' })
  dns.set('later.test', { addresses: ['127.0.0.1'] })
  const one = lookup({ ipv6: false, timeout: 1_000 }, 1)
  const from = dns.asked.length
  const asked = dns.untilAsked('A silent.test')
  const answers = Promise.all(['silent.test', 'later.test', 'app.test'].map((name) => one.addresses(name)))
  await asked
  dns.set('silent.test', { addresses: ['127.0.0.1'] })
  assert.equal(
    (await answers).map(({ records }) => records.length),
    [1, 1, 2],
  )
  assert.equal(dns.asked.slice(from), ['A silent.test', 'A silent.test', 'A later.test', 'A app.test'])
})

test('a name server is an address', () => {
  for (const server of ['ns.test', 'unix:/tmp/ns', '127.0.0.1:0', '127.1'])
    assert.throws(() => lookup({ servers: [server] }), Error, server)
})

test('what is under way can be given up', async () => {
  const one = lookup({ timeout: 60_000 })
  dns.set('silent.test', { fails: 'silent' })
  const asked = dns.untilAsked('A silent.test')
  const answer = failure(one.addresses('silent.test'))
  await asked
  one.cancel()
  assert.is(await answer, 'LookupError given up')
  assert.is(await failure(one.addresses('app.test')), 'LookupError given up')
})

test('without a name server names are looked up as the system does', async () => {
  const system = lookup({ servers: [], ipv6: false })
  assert.equal(await system.addresses('localhost'), { records: ['127.0.0.1'], valid: 30_000 })
})

test.run()
