// Services by their SRV records (RFC 2782): which targets there are, in which order, and what of those that nobody knows.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { NameLookup } from '../../runtime/upstream/name-lookup.ts'
import { ServiceRecords, serviceName } from '../../runtime/upstream/service-records.ts'
import { DnsServer, type SrvRecord } from '../lib/dns-server.ts'

const NAME = '_http._tcp.app.test'
const dns = await DnsServer.start()
test.after(() => dns.close())

test.before.each(() => {
  dns.set('a.test', { addresses: ['127.0.0.2', '127.0.0.1'], ttl: 60 })
  dns.set('b.test', { addresses: ['127.0.0.3'], ttl: 60 })
  dns.set('c.test', { addresses: ['127.0.0.4'], ttl: 60 })
})

class Service {
  readonly log: string[] = []
  readonly #records = new ServiceRecords(
    NAME,
    new NameLookup({ servers: [dns.address], valid: null, ipv4: true, ipv6: false, timeout: 700 }),
    (_, message) => this.log.push(message),
  )

  /** `name address,address weight`, backups in brackets. */
  async ask(...srv: SrvRecord[]): Promise<string[]> {
    if (srv.length > 0) dns.set(NAME, { srv, ttl: 60 })
    const { records } = await this.#records.ask()
    return records.map(({ name, addresses, weight, backup }) => {
      const text = `${name} ${addresses.map((address) => address.text).join(',')} ${weight}`
      return backup ? `(${text})` : text
    })
  }

  async valid(): Promise<number> {
    return (await this.#records.ask()).valid
  }

  failure(): Promise<string> {
    return this.#records.ask().then(
      () => 'none',
      (error: Error) => error.message,
    )
  }
}

test('what a service is called in DNS', () => {
  assert.is(serviceName('http', 'app.test'), '_http._tcp.app.test')
  assert.is(serviceName('_http._tcp', 'app.test'), '_http._tcp.app.test')
  assert.is(serviceName('blue.canary', 'app.test'), 'blue.canary.app.test')
})

test('the lowest priority goes first, others are backups; port and weight are those of the record', async () => {
  const service = new Service()
  const answers = await service.ask(
    { target: 'c.test', port: 83, priority: 20, weight: 9 },
    { target: 'B.test', port: 82, priority: 10, weight: 0 },
    { target: 'a.test', port: 81, priority: 10, weight: 5 },
  )
  assert.equal(answers, [
    'a.test 127.0.0.1:81,127.0.0.2:81 5',
    'b.test 127.0.0.3:82 1',
    '(c.test 127.0.0.4:83 9)',
  ])
  assert.equal(service.log, [])
})

test('all processes agree on the order, and a record that is there twice is two targets', async () => {
  const srv = [
    { target: 'b.test', port: 80 },
    { target: 'a.test', port: 81 },
    { target: 'a.test', port: 80 },
    { target: 'a.test', port: 80 },
    { target: 'a.test', port: 80, priority: 7 },
  ]
  const expected = [
    'a.test 127.0.0.1:80,127.0.0.2:80 1',
    'a.test 127.0.0.1:80,127.0.0.2:80 1',
    'a.test 127.0.0.1:81,127.0.0.2:81 1',
    'b.test 127.0.0.3:80 1',
    '(a.test 127.0.0.1:80,127.0.0.2:80 1)',
  ]
  assert.equal(await new Service().ask(...srv), expected)
  assert.equal(await new Service().ask(...srv.toReversed()), expected)
})

test('it holds as long as its records, or as the addresses of its targets', async () => {
  const service = new Service()
  dns.set(NAME, {
    srv: [
      { target: 'a.test', port: 80 },
      { target: 'b.test', port: 80 },
    ],
    ttl: 20,
  })
  assert.is(await service.valid(), 20_000)
  dns.set('b.test', { addresses: ['127.0.0.3'], ttl: 4 })
  assert.is(await service.valid(), 4_000)
})

test('targets without an address are left out, and the next priority goes first', async () => {
  const service = new Service()
  dns.delete('a.test')
  const srv = [
    { target: 'a.test', port: 80, priority: 1 },
    { target: 'b.test', port: 80, priority: 2 },
    { target: 'c.test', port: 80, priority: 3 },
  ]
  assert.equal(await service.ask(...srv), ['b.test 127.0.0.3:80 1', '(c.test 127.0.0.4:80 1)'])
  assert.equal(service.log, [
    `a.test could not be resolved (3: Host not found) while resolving service ${NAME}`,
  ])
  await service.ask()
  assert.is(service.log.length, 1, 'it is said once')
})

test('a target keeps its addresses while nobody knows', async () => {
  const service = new Service()
  const srv = [{ target: 'a.test', port: 80 }]
  const before = await service.ask(...srv)
  dns.set('a.test', { fails: 'servfail' })
  assert.equal(await service.ask(), before)
  assert.equal(service.log, [
    `a.test could not be resolved (2: Server failure) while resolving service ${NAME}`,
  ])
  assert.is(await service.valid(), 5_000, 'it is asked for again soon')
  assert.equal(await service.ask(...srv, { target: 'b.test', port: 80 }), [
    ...before,
    'b.test 127.0.0.3:80 1',
  ])
})

test('nobody knows any target: nobody knows the service', async () => {
  const service = new Service()
  dns.set('a.test', { fails: 'servfail' })
  dns.set(NAME, { srv: [{ target: 'a.test', port: 80 }] })
  assert.is(await service.failure(), '2: Server failure')
  dns.delete('a.test')
  assert.equal(await service.ask(), [])
})

test('what is no server is left out, and said', async () => {
  const service = new Service()
  const answers = await service.ask(
    { target: 'b.test', port: 80 },
    { target: 'b.test', port: 0 },
    { target: 'x y;.test', port: 80 },
    { target: '127.1', port: 80 },
  )
  assert.equal(answers, ['b.test 127.0.0.3:80 1'])
  assert.is(service.log.length, 3)
  assert.match(service.log.join('\n'), `"b.test" and port 0 are no server while resolving service ${NAME}`)
})

test('more addresses than a group could use are refused', async () => {
  const service = new Service()
  for (const name of ['a', 'b'])
    dns.set(`${name}.test`, {
      addresses: Array.from({ length: 501 }, (_, i) => `127.2.${i >> 8}.${i & 255}`),
    })
  dns.set(NAME, { srv: ['a', 'b'].map((name) => ({ target: `${name}.test`, port: 80 })) })
  assert.match(await service.failure(), /^1002 addresses are more than the 1000/)
})

test.run()
