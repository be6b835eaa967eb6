// DNS messages byte for byte: the question that is asked, what answers say, and those that are none.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type NameQuestion, readMessage, writeQuestion } from '../../runtime/upstream/name-message.ts'

const ID = 0x1234
const QUESTION: NameQuestion = { name: 'app.test', type: 'A' }
/** `app.test` in hexadecimal. */
const APP = '03617070 0474657374 00'
const A_IN = '0001 0001'
const POINTER_TO_APP = 'c00c'

/** Bytes of hexadecimal numbers, in which blanks do not count. */
function bytes(...hex: string[]): Buffer {
  return Buffer.from(hex.join('').replaceAll(' ', ''), 'hex')
}

/** An answer to `QUESTION` with records after it. */
function answer(count: number, ...records: string[]): Buffer {
  const number = count.toString(16).padStart(4, '0')
  return bytes('1234 8180 0001', number, '0000 0000', APP, A_IN, ...records)
}

const read = (message: Buffer) => readMessage(message, ID, QUESTION)

function address(owner: string, ip: string, ttl = '0000003c'): string {
  return `${owner} ${A_IN} ${ttl} 0004 ${ip}`
}

test('a question asks for recursion and nothing else', () => {
  assert.equal(
    writeQuestion(ID, QUESTION),
    bytes('1234 0100 0001 0000 0000 0000', '03 617070 04 74657374 00', '0001 0001'),
  )
  assert.equal(writeQuestion(0, { name: 'a', type: 'SRV' })!.subarray(12), bytes('01 61 00 0021 0001'))
})

test('addresses of a name, compressed or not, in the case that the server likes', () => {
  const message = answer(
    2,
    address(POINTER_TO_APP, '7f000001'),
    address('03415050 0474455354 00', '7f000002', '0000001e'),
  )
  assert.equal(read(message), {
    code: 0,
    truncated: false,
    addresses: ['127.0.0.1', '127.0.0.2'],
    services: [],
    alias: '',
    ttl: 30,
  })
})

test('IPv6 addresses and services', () => {
  const six = bytes(
    '1234 8180 0001 0001 0000 0000',
    APP,
    '001c 0001',
    POINTER_TO_APP,
    '001c 0001 00000001 0010 fe80 0000 0000 0000 0000 0000 0000 0001',
  )
  assert.equal(readMessage(six, ID, { name: 'app.test', type: 'AAAA' })!.addresses, ['fe80::1'])
  const srv = bytes(
    '1234 8180 0001 0001 0000 0000',
    APP,
    '0021 0001',
    POINTER_TO_APP,
    '0021 0001 00000001 0008 000a 0005 1f90 c00c',
  )
  assert.equal(readMessage(srv, ID, { name: 'app.test', type: 'SRV' })!.services, [
    { name: 'app.test', port: 8080, priority: 10, weight: 5 },
  ])
})

test('what the name stands for is followed within the answer; what belongs to others is not taken', () => {
  const alias = `${POINTER_TO_APP} 0005 0001 00000005 0004 0161 c010`
  const full = answer(3, alias, address('0161 c010', '7f000003'), address('0162 c010', '7f000009'))
  assert.equal(read(full)!.addresses, ['127.0.0.3'])
  assert.is(read(full)!.ttl, 5)
  assert.is(read(full)!.alias, '')
  assert.is(read(answer(1, alias))!.alias, 'a.test')
  assert.equal(read(answer(1, address('0162 c010', '7f000009')))!.addresses, [])
  const loop = `${POINTER_TO_APP} 0005 0001 00000005 0002 c00c`
  assert.equal(read(answer(1, loop))!.addresses, [])
})

test('a dot within a label is no dot between labels', () => {
  const alias = `${POINTER_TO_APP} 0005 0001 00000005 0006 03 612e62 c010`
  assert.is(read(answer(1, alias))!.alias, 'a\\.b.test')
})

test('records of other types and classes are passed over; a TTL that is negative is 0', () => {
  const text = `${POINTER_TO_APP} 0010 0001 00000001 0003 026869`
  const chaos = `${POINTER_TO_APP} 0001 0003 00000001 0004 01020304`
  const { addresses, ttl } = read(answer(3, text, chaos, address(POINTER_TO_APP, '7f000001', 'ffffffff')))!
  assert.equal([addresses, ttl], [['127.0.0.1'], 0])
})

test('codes, and answers that are cut off', () => {
  const head = (flags: string) => bytes('1234', flags, '0001 0000 0000 0000', APP, A_IN)
  assert.is(read(head('8183'))!.code, 3)
  assert.is(read(head('8182'))!.code, 2)
  assert.is(read(head('8380'))!.truncated, true)
  assert.is(read(bytes('1234 8181 0000 0000 0000 0000'))!.code, 1, 'who does not understand repeats nothing')
})

test('what does not answer the question is no answer', () => {
  const good = answer(1, address(POINTER_TO_APP, '7f000001'))
  assert.ok(read(good))
  const bad: Record<string, Buffer> = {
    'another number': bytes('1235', good.toString('hex').slice(4)),
    'a question': bytes('1234 0100', good.toString('hex').slice(8)),
    'another kind': bytes('1234 a980', good.toString('hex').slice(8)),
    'no question': bytes('1234 8180 0000 0000 0000 0000'),
    'two questions': bytes('1234 8180 0002 0000 0000 0000', APP, A_IN, APP, A_IN),
    'another name': bytes('1234 8180 0001 0000 0000 0000 03617071 0474657374 00', A_IN),
    'another type': bytes('1234 8180 0001 0000 0000 0000', APP, '001c 0001'),
    'another class': bytes('1234 8180 0001 0000 0000 0000', APP, '0001 0003'),
  }
  for (const [what, message] of Object.entries(bad)) assert.is(read(message), null, what)
})

test('what is not to the letter is no answer', () => {
  const bad: Record<string, Buffer> = {
    'no address': answer(1, `${POINTER_TO_APP} ${A_IN} 00000001 0000`),
    'a short address': answer(1, `${POINTER_TO_APP} ${A_IN} 00000001 0003 7f0000`),
    'a long address': answer(1, `${POINTER_TO_APP} ${A_IN} 00000001 0005 7f00000100`),
    'fewer records than said': answer(2, address(POINTER_TO_APP, '7f000001')),
    'a pointer to itself': answer(1, address('c01a', '7f000001')),
    'a pointer ahead': answer(1, address('c0ff', '7f000001')),
    'a pointer that comes back': answer(1, address('0161 c01a', '7f000001')),
    'a label of another kind': answer(1, address('4161', '7f000001')),
    'a name without an end': answer(1, '3f6161'),
    'a name of 256 characters': answer(
      1,
      address(`${`3f${'61'.repeat(63)}`.repeat(4)} 01 61 00`, '7f000001'),
    ),
    'an alias longer than said': answer(1, `${POINTER_TO_APP} 0005 0001 00000001 0001 0161 c010`),
  }
  for (const [what, message] of Object.entries(bad)) assert.is(read(message), null, what)
})

test('no message makes it fail, however it is cut or changed', () => {
  const alias = `${POINTER_TO_APP} 0005 0001 00000005 0004 0161 c010`
  const good = answer(2, alias, address('0161 c010', '7f000003'))
  for (let end = 0; end < good.length; end++) assert.is(read(good.subarray(0, end)), null, `${end} bytes`)
  for (let at = 0; at < good.length; at++)
    for (let value = 0; value < 256; value++) {
      const changed = Buffer.from(good)
      changed[at] = value
      const message = read(changed)
      if (message !== null) assert.ok(message.addresses.length <= 1)
    }
})

test.run()
