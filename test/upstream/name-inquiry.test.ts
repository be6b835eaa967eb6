// One question and several name servers: who is asked, when the next one is, and which answers count.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { NameInquiry } from '../../runtime/upstream/name-inquiry.ts'
import { DnsServer } from '../lib/dns-server.ts'

const first = await DnsServer.start()
const second = await DnsServer.start()
test.after(async () => {
  await first.close()
  await second.close()
})

test.before.each(() => {
  first.forge = null
  for (const server of [first, second]) server.asked.length = 0
  first.set('app.test', { addresses: ['127.0.0.1'] })
  second.set('app.test', { addresses: ['127.0.0.2'] })
})

function inquire(
  name: string,
  options: { timeout?: number; ports?: number[]; first?: number } = {},
): NameInquiry {
  const { timeout = 3_000, ports = [first.port, second.port] } = options
  return new NameInquiry(
    { name, type: 'A' },
    { servers: ports.map((port) => ({ host: '127.0.0.1', port })), first: options.first ?? 0, timeout },
  )
}

/** Addresses, code, or what went wrong. */
async function outcome(inquiry: NameInquiry): Promise<string> {
  try {
    const message = await inquiry.answer
    return message === null ? 'no such name' : `${message.code} ${message.addresses.join(' ')}`.trim()
  } catch (error) {
    return (error as Error).message
  }
}

/** With bits of one byte turned. */
function changed(reply: Buffer, at: number, bits: number): Buffer {
  reply[at]! ^= bits
  return reply
}

test('one server is asked, once', async () => {
  assert.is(await outcome(inquire('app.test')), '0 127.0.0.1')
  assert.is(await outcome(inquire('app.test', { first: 1 })), '0 127.0.0.2')
  assert.is(await outcome(inquire('app.test', { first: 2 })), '0 127.0.0.1')
  assert.equal(first.asked, ['A app.test', 'A app.test'])
  assert.equal(second.asked, ['A app.test'])
})

test('an answer is final, also that the server failed', async () => {
  first.set('app.test', { fails: 'servfail' })
  assert.is(await outcome(inquire('app.test')), '2')
  assert.equal(second.asked, [])
})

test('the next server is asked when one is silent, at once when it is not there or does not understand', async () => {
  first.set('app.test', { fails: 'silent' })
  assert.is(await outcome(inquire('app.test', { timeout: 600 })), '0 127.0.0.2')
  first.set('app.test', { fails: 'formerr' })
  assert.is(await outcome(inquire('app.test', { timeout: 60_000 })), '0 127.0.0.2')
  const gone = await DnsServer.start()
  const ports = [gone.port, second.port]
  await gone.close()
  assert.is(await outcome(inquire('app.test', { timeout: 60_000, ports })), '0 127.0.0.2')
})

test('nobody is left, or time is over', async () => {
  first.set('app.test', { fails: 'formerr' })
  second.set('app.test', { fails: 'formerr' })
  assert.is(await outcome(inquire('app.test', { timeout: 60_000 })), '1: Format error')
  first.set('app.test', { fails: 'silent' })
  assert.is(await outcome(inquire('app.test', { timeout: 300 })), '110: Operation timed out')
  assert.is(await outcome(inquire('app.test', { timeout: -1 })), '110: Operation timed out')
})

test('a server that was silent is asked again', async () => {
  first.set('app.test', { fails: 'silent' })
  const answer = outcome(inquire('app.test', { timeout: 600, ports: [first.port] }))
  await first.untilAsked('A app.test')
  first.set('app.test', { addresses: ['127.0.0.4'] })
  assert.is(await answer, '0 127.0.0.4')
  assert.is(first.asked.length, 2)
})

test('an answer that does not fit is asked for over TCP', async () => {
  const addresses = Array.from({ length: 300 }, (_, i) => `127.9.${i >> 8}.${i & 255}`)
  first.set('app.test', { addresses, truncated: true })
  assert.is(await outcome(inquire('app.test')), `0 ${addresses.join(' ')}`)
  assert.equal(first.asked, ['A app.test', 'tcp A app.test'])
  first.set('app.test', { fails: 'servfail', truncated: true })
  assert.is(await outcome(inquire('app.test')), '2')
  assert.equal(second.asked, [])
})

test('what comes from there and is no answer to the question does not count', async () => {
  const forgeries: ((reply: Buffer) => Buffer)[] = [
    (reply) => changed(reply, 1, 0x01),
    (reply) => changed(reply, 13, 0x02),
    (reply) => changed(reply, 3, 0x0f),
    (reply) => reply.subarray(0, reply.length - 1),
    () => Buffer.alloc(0),
    () => Buffer.alloc(4096, 0xc0),
  ]
  for (const forge of forgeries) {
    first.forge = forge
    assert.is(await outcome(inquire('app.test', { timeout: 60_000 })), '0 127.0.0.1', forge.toString())
  }
})

test('it can be given up, and what comes later does not count', async () => {
  first.set('app.test', { fails: 'silent' })
  const inquiry = inquire('app.test', { timeout: 60_000 })
  await first.untilAsked('A app.test')
  inquiry.fail('given up')
  inquiry.fail('again')
  assert.is(await outcome(inquiry), 'given up')
  const atOnce = inquire('app.test')
  atOnce.fail('before it was asked')
  assert.is(await outcome(atOnce), 'before it was asked')
})

test.run()
