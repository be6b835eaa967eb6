// The WebSocket protocol as literal bytes, from both sides: what is let through, what ends the connection and how.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { until } from './journey-tools.ts'
import {
  BINARY,
  CLOSE,
  closeFrame,
  type End,
  frame,
  handUpstream,
  hookedGateway,
  openEnd,
  PING,
  PONG,
  TEXT,
} from './ws-tools.ts'

const upstream = await handUpstream()
const sluice = await hookedGateway(`
  location /ws {
    proxy_pass http://${upstream.address};
    ws_permessage_deflate off; ws_close_timeout 300ms; ws_max_message_size 200000;
  }
`)
sluice.hook('/ws', { wsMessage: () => Outcome.PASS })
test.after(async () => {
  await sluice.close()
  await upstream.close()
})

interface Pair {
  readonly client: End
  readonly peer: End
}

async function pair(): Promise<Pair> {
  const count = upstream.ends.length + 1
  const client = await openEnd(sluice.port, '/ws')
  return { client, peer: await upstream.next(count) }
}

/** Runs the case from the client's side, then from the upstream's; `masked` as that side must. */
async function fromBoth(run: (from: End, to: End, parts: { mask: boolean }) => Promise<void>): Promise<void> {
  const one = await pair()
  await run(one.client, one.peer, { mask: true })
  one.client.socket.destroy()
  const two = await pair()
  await run(two.peer, two.client, { mask: false })
  two.client.socket.destroy()
}

test('lengths at every boundary of their encoding', () =>
  fromBoth(async (from, to, parts) => {
    const sizes = [0, 1, 125, 126, 127, 65535, 65536, 65537, 200_000]
    for (const size of sizes) from.socket.write(frame(BINARY, Buffer.alloc(size, size & 255), parts))
    await to.seen(sizes.length)
    assert.equal(
      to.frames.map(({ payload }) => payload.length),
      sizes,
    )
    assert.ok(to.frames.every(({ payload }, i) => payload.every((byte) => byte === (sizes[i]! & 255))))
  }))

test('a length that could be written shorter is still a length', () =>
  fromBoth(async (from, to, { mask }) => {
    const key = mask ? [0, 0, 0, 0] : []
    const bit = mask ? 128 : 0
    from.socket.write(Buffer.from([0x81, bit | 126, 0, 1, ...key, 0x61]))
    from.socket.write(Buffer.from([0x81, bit | 127, 0, 0, 0, 0, 0, 0, 0, 1, ...key, 0x62]))
    assert.equal(await to.seen(2), ['text a', 'text b'])
  }))

test('fragments become one message, with control frames between them', () =>
  fromBoth(async (from, to, parts) => {
    from.socket.write(
      Buffer.concat([
        frame(TEXT, 'one ', { ...parts, fin: false }),
        frame(PING, 'now', parts),
        frame(0, '', { ...parts, fin: false }),
        frame(PONG, '', parts),
        frame(0, 'message', parts),
        frame(BINARY, '', { ...parts, fin: false }),
        frame(0, 'x', parts),
      ]),
    )
    assert.equal(await to.seen(2), ['text one message', 'binary 78'])
    assert.equal(await from.seen(1), ['pong now'])
  }))

test('one byte at a time', () =>
  fromBoth(async (from, to, parts) => {
    const bytes = Buffer.concat([
      frame(TEXT, 'a'.repeat(130), { ...parts, fin: false }),
      frame(PING, 'ping', parts),
      frame(0, 'é', parts),
    ])
    for (const byte of bytes) {
      from.socket.write(Buffer.from([byte]))
      await new Promise((next) => setImmediate(next))
    }
    assert.equal(await to.seen(1), [`text ${'a'.repeat(130)}é`])
    assert.equal(await from.seen(1), ['pong ping'])
  }))

test('pings of every size are answered with the same bytes', () =>
  fromBoth(async (from, _to, parts) => {
    const payloads = [Buffer.alloc(0), Buffer.from([0, 255, 254]), Buffer.alloc(125, 7)]
    for (const payload of payloads) from.socket.write(frame(PING, payload, parts))
    await from.seen(3)
    assert.ok(from.frames.every(({ payload }, i) => payload.equals(payloads[i]!)))
  }))

test('UTF-8 may be split anywhere between fragments', () =>
  fromBoth(async (from, to, parts) => {
    const text = Buffer.from('κόσμε 😀')
    for (let cut = 1; cut < text.length; cut++) {
      from.socket.write(frame(TEXT, text.subarray(0, cut), { ...parts, fin: false }))
      from.socket.write(frame(0, text.subarray(cut), parts))
    }
    assert.ok((await to.seen(text.length - 1)).every((word) => word === 'text κόσμε 😀'))
  }))

const NOT_UTF8 = [
  'ff',
  '80',
  'c080',
  'e08080',
  'f0808080',
  'eda080',
  'edbfbf',
  'f4908080',
  'f7bfbfbf',
  'f8888080 80',
  'ce',
  'cebae1bdb9cf83cebcceb5eda080656469746564',
  'cebae1bdb9cf83cebcceb5f4908080656469746564',
  // Long enough for every way of checking.
  `${'61'.repeat(100)}c1bf${'61'.repeat(100)}`,
]

test('text that is not UTF-8: 1007', async () => {
  for (const hex of NOT_UTF8) {
    await fromBoth(async (from, to, parts) => {
      from.socket.write(frame(TEXT, Buffer.from(hex.replaceAll(' ', ''), 'hex'), parts))
      assert.equal(await from.seen(1), ['close 1007 text is not UTF-8'], hex)
      assert.equal(await to.seen(1), [parts.mask ? 'close 1001' : 'close 1011'])
    })
  }
})

/** What ends the connection, as bytes of a client; of an upstream the same without mask. */
const FAULTS: readonly [what: string, code: number, bytes: (mask: boolean) => Buffer][] = [
  ['RSV1 without an extension', 1002, (mask) => frame(TEXT, 'x', { mask, rsv: 4 })],
  ['RSV2', 1002, (mask) => frame(TEXT, 'x', { mask, rsv: 2 })],
  ['RSV3', 1002, (mask) => frame(BINARY, '', { mask, rsv: 1 })],
  ['RSV1 of a control frame', 1002, (mask) => frame(PING, '', { mask, rsv: 4 })],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(
    (opcode) =>
      [`opcode ${opcode}`, 1002, (mask: boolean) => frame(opcode, '', { mask })] as [
        string,
        number,
        (mask: boolean) => Buffer,
      ],
  ),
  ['a ping that is too long', 1002, (mask) => frame(PING, 'x'.repeat(126), { mask })],
  ['a fragmented ping', 1002, (mask) => frame(PING, 'x', { mask, fin: false })],
  ['a fragmented close', 1002, (mask) => frame(CLOSE, '', { mask, fin: false })],
  ['a continuation of nothing', 1002, (mask) => frame(0, 'x', { mask })],
  [
    'a message within a message',
    1002,
    (mask) => Buffer.concat([frame(TEXT, 'a', { mask, fin: false }), frame(TEXT, 'b', { mask })]),
  ],
  [
    'a continuation after the last fragment',
    1002,
    (mask) =>
      Buffer.concat([
        frame(TEXT, '', { mask, fin: false }),
        frame(0, '', { mask, fin: false }),
        frame(0, '', { mask, fin: false, rsv: 4 }),
      ]),
  ],
  ['a close of one byte', 1002, (mask) => frame(CLOSE, 'x', { mask })],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map(
    (code) =>
      [`close code ${code}`, 1002, (mask: boolean) => closeFrame(code, '', { mask })] as [
        string,
        number,
        (mask: boolean) => Buffer,
      ],
  ),
  ['a close reason that is not UTF-8', 1007, (mask) => frame(CLOSE, Buffer.from('03e8ff', 'hex'), { mask })],
  ['the wrong mask bit', 1002, (mask) => frame(TEXT, 'x', { mask: !mask })],
  [
    'a frame that is too large',
    1009,
    (mask) => Buffer.from([0x82, (mask ? 128 : 0) | 127, 0, 0, 0, 0, 0, 3, 13, 65, 1, 2, 3, 4]),
  ],
  [
    'a frame beyond all numbers',
    1009,
    (mask) => Buffer.from([0x82, (mask ? 128 : 0) | 127, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4]),
  ],
  [
    'fragments that are too large together',
    1009,
    (mask) =>
      Buffer.concat([
        frame(BINARY, Buffer.alloc(199_999), { mask, fin: false }),
        frame(0, 'x', { mask, fin: false }),
        frame(0, 'x', { mask }),
      ]),
  ],
]

for (const [what, code, bytes] of FAULTS) {
  test(`${what}: ${code}`, () =>
    fromBoth(async (from, to, { mask }) => {
      from.socket.write(Buffer.concat([frame(PING, 'before', { mask }), bytes(mask)]))
      const [pong, close] = await from.seen(2)
      assert.is(pong, 'pong before')
      assert.match(close!, new RegExp(`^close ${code} `))
      assert.equal(await to.seen(1), [mask ? 'close 1001' : 'close 1011'])
      await until('its end', () => from.ended)
    }))
}

for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]) {
  test(`close code ${code} passes with its reason`, () =>
    fromBoth(async (from, to, parts) => {
      from.socket.write(closeFrame(code, 'ré'.repeat(30), parts))
      const words = [`close ${code} ${'ré'.repeat(30)}`]
      assert.equal(await to.seen(1), words)
      assert.equal(await from.seen(1), words)
    }))
}

test('nothing behind a close frame is read', () =>
  fromBoth(async (from, to, parts) => {
    from.socket.write(
      Buffer.concat([closeFrame(1000, '', parts), frame(TEXT, 'late', parts), frame(PING, '', parts)]),
    )
    assert.equal(await to.seen(1), ['close 1000'])
    assert.equal(await from.seen(1), ['close 1000'])
    to.close(1000)
    await until('the end', () => to.ended || from.ended)
    assert.is(to.frames.length + from.frames.length, 2)
  }))

test('a flood of pings that nobody reads the answers to is bounded', async () => {
  const { client, peer } = await pair()
  client.socket.pause()
  const pings = Buffer.concat(Array.from({ length: 500 }, () => frame(PING, 'x'.repeat(125), { mask: true })))
  let sent = 0
  for (let i = 0; i < 400; i++) {
    if (client.socket.writableLength < 1_000_000) client.socket.write(pings)
    sent += 500
    await new Promise((next) => setImmediate(next))
  }
  client.text('still read')
  assert.equal(await peer.seen(1, 10_000), ['text still read'])
  client.socket.resume()
  await until('pongs', () => client.frames.length > 0)
  await new Promise((next) => setTimeout(next, 200))
  assert.ok(client.frames.length < sent, `${client.frames.length} of ${sent}`)
  client.socket.destroy()
})

test('nothing is left', async () => {
  const { gateway } = sluice
  await until('all is over', () => gateway.connectionCount === 0 && gateway.generation.pins === 0)
  assert.equal(
    sluice.log.filter((line) => /^\[(alert|emerg|crit)\]/.test(line)),
    [],
  )
})

test.run()
