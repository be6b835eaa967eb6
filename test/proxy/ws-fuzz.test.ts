// Seeded garbage. The reader sees what the receiver of the `ws` library sees, which passes the Autobahn suite; and a
// gateway under garbage from both sides goes on.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as ws from 'ws'
import { Outcome } from '../../runtime/phases.ts'
import { answerOffers } from '../../runtime/ws/deflate.ts'
import { FrameBoundary } from '../../runtime/ws/frame-header.ts'
import { applyMask } from '../../runtime/ws/mask.ts'
import { Found, MessageReader } from '../../runtime/ws/message-reader.ts'
import { until } from './journey-tools.ts'
import { closeFrame, frame, handUpstream, hookedGateway, openEnd } from './ws-tools.ts'

const MAX = 5000
const SECONDS = 4

interface Receiver {
  on(event: string, listener: (...args: unknown[]) => void): void
  write(chunk: Buffer): boolean
}
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Receiver }

function generator(seed: number) {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const TEXTS = ['', 'a', 'é', '😀', 'x'.repeat(126), 'y'.repeat(4000), '\ud7ff', 'κόσμε']

/** Frames that are mostly right, sometimes wrong, sometimes bent afterwards. */
function stream(random: (below: number) => number, mask: boolean): Buffer {
  const pieces: Buffer[] = []
  let open = false
  const count = 1 + random(12)
  for (let i = 0; i < count; i++) {
    const kind = random(40)
    const text = Buffer.from(TEXTS[random(TEXTS.length)]!)
    const payload = random(8) === 0 ? text.subarray(0, random(text.length + 1)) : text
    const wrong = random(60) === 0
    if (kind < 24) {
      const fin = random(2) === 0
      const opcode = open !== wrong ? 0 : 1 + random(2)
      pieces.push(
        frame(opcode, payload, {
          mask: random(150) === 0 ? !mask : mask,
          fin,
          rsv: random(90) === 0 ? random(8) : 0,
        }),
      )
      open = !fin
    } else if (kind < 36) pieces.push(frame(9 + random(2), payload.subarray(0, wrong ? 130 : 125), { mask }))
    else if (kind < 38) pieces.push(closeFrame(990 + random(30), '', { mask }))
    else pieces.push(frame(random(16), payload.subarray(0, 100), { mask }))
  }
  const bytes = Buffer.concat(pieces)
  if (random(6) === 0 && bytes.length > 0) bytes[random(bytes.length)] = random(256)
  return bytes
}

function chunks(bytes: Buffer, random: (below: number) => number): Buffer[] {
  const list: Buffer[] = []
  const most = [1, 7, 200, 10_000][random(4)]!
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random(most)
    list.push(Buffer.from(bytes.subarray(at, at + size)))
    at += size
  }
  return list
}

function ours(list: readonly Buffer[], masked: boolean): string[] {
  const reader = new MessageReader({ masked, maxMessage: MAX, deflate: null, wake: () => {} })
  const events: string[] = []
  for (const chunk of list) {
    reader.push(Buffer.from(chunk))
    for (let found = reader.next(); found !== Found.NOTHING; found = reader.next()) {
      const data = () => reader.data.toString('latin1')
      if (found === Found.MESSAGE) events.push(`${reader.binary ? 'binary' : 'text'} ${data()}`)
      else if (found === Found.PING) events.push(`ping ${data()}`)
      else if (found === Found.PONG) events.push(`pong ${data()}`)
      else if (found === Found.CLOSE) events.push(`close ${reader.closeCode} ${reader.closeReason}`)
      else events.push(`fault ${reader.closeCode}`)
    }
  }
  return events
}

function theirs(list: readonly Buffer[], isServer: boolean): string[] {
  const receiver = new Receiver({ isServer, maxPayload: MAX })
  const events: string[] = []
  const text = (data: unknown) => (data as Buffer).toString('latin1')
  receiver.on('message', (data, binary) => events.push(`${binary ? 'binary' : 'text'} ${text(data)}`))
  receiver.on('ping', (data) => events.push(`ping ${text(data)}`))
  receiver.on('pong', (data) => events.push(`pong ${text(data)}`))
  receiver.on('conclude', (code, reason) => events.push(`close ${code} ${text(reason)}`))
  let failed = false
  const fail = (error: unknown) => {
    if (failed) return
    failed = true
    const symbol = Object.getOwnPropertySymbols(error as object).find(
      ({ description }) => description === 'status-code',
    )
    events.push(`fault ${(error as Record<symbol, number>)[symbol!]}`)
  }
  receiver.on('error', fail)
  const write = receiver as unknown as {
    _write(chunk: Buffer, encoding: string, done: (e?: Error) => void): void
  }
  for (const chunk of list) {
    if (failed || events.at(-1)?.startsWith('close')) break
    write._write(Buffer.from(chunk), 'buffer', (error) => error && fail(error))
  }
  return events
}

test('the reader and the receiver of ws see the same', () => {
  const until = Date.now() + 1000 * SECONDS
  let cases = 0
  let faults = 0
  for (let seed = 1; Date.now() < until || cases < 2000; seed++) {
    const random = generator(seed)
    const mask = seed % 2 === 0
    const list = chunks(stream(random, mask), random)
    const expected = theirs(list, mask)
    assert.equal(ours(list, mask), expected, `seed ${seed}`)
    cases++
    if (expected.at(-1)?.startsWith('fault')) faults++
  }
  assert.ok(faults > cases / 20 && faults < cases * 0.9, `${faults} of ${cases} end in a fault`)
})

test('masking long and short, at every offset', () => {
  const random = generator(7)
  for (let size = 0; size < 200; size++) {
    const all = Buffer.alloc(size + 8, 0x55)
    const from = random(8)
    const key = Buffer.from([random(256), random(256), random(256), random(256)])
    const phase = random(9)
    applyMask(all, from, from + size, key.readInt32LE(0), phase)
    const expected = Buffer.alloc(size + 8, 0x55)
    for (let i = 0; i < size; i++) expected[from + i] ^= key[(i + phase) & 3]!
    assert.ok(all.equals(expected), `size ${size} at ${from}, phase ${phase}`)
  }
})

test('the boundary of raw frames is known at every byte', () => {
  const random = generator(11)
  for (let round = 0; round < 300; round++) {
    const boundary = new FrameBoundary()
    const frames = Array.from({ length: 4 }, () =>
      frame(2, Buffer.alloc([0, 3, 125, 126, 300, 70_000][random(6)]!), { mask: random(2) === 0 }),
    )
    const bytes = Buffer.concat(frames)
    const ends = new Set(frames.map((_, i) => Buffer.concat(frames.slice(0, i + 1)).length))
    for (let at = 0; at < bytes.length; ) {
      const size = Math.min(1 + random(random(2) === 0 ? 5 : 90_000), bytes.length - at)
      boundary.push(bytes.subarray(at, at + size))
      at += size
      assert.is(boundary.clean, ends.has(at))
    }
  }
})

test('fields of extensions are read or refused, whatever they hold', () => {
  const random = generator(3)
  const words = [
    'permessage-deflate',
    ';',
    ',',
    '=',
    '"',
    ' ',
    'server_max_window_bits',
    '9',
    '\\',
    'x',
    '__proto__',
  ]
  for (let i = 0; i < 20_000; i++) {
    const field = Array.from({ length: random(8) }, () => words[random(words.length)]).join('')
    try {
      const agreed = answerOffers(field, MAX)
      if (agreed !== null) assert.match(agreed.answer, /^permessage-deflate(; [a-z_]+(=\d+)?)*$/)
    } catch (error) {
      assert.instance(error, SyntaxError)
    }
  }
})

test('a gateway under garbage from both sides goes on', async () => {
  const upstream = await handUpstream()
  const sluice = await hookedGateway(
    `location / { proxy_pass http://${upstream.address}; ws_close_timeout 100ms; ws_max_message_size 5000; }`,
  )
  sluice.hook('/', {
    wsMessage: (x) => {
      const { data } = x.webSocket!.message!
      if (data.length !== 126) return Outcome.PASS
      setImmediate(() => x.hookSettled(Outcome.PASS))
      return Outcome.SUSPENDED
    },
    wsClose: () => Outcome.PASS,
  })
  for (let round = 0; round < 15; round++) {
    const first = upstream.ends.length
    const clients = await Promise.all(
      Array.from({ length: 20 }, () =>
        openEnd(sluice.port, '/', round % 2 ? 'Sec-WebSocket-Extensions: permessage-deflate\r\n' : ''),
      ),
    )
    await upstream.next(first + 20)
    clients.forEach((client, i) => {
      const random = generator(1000 * round + i)
      client.socket.write(stream(random, true))
      const peer = upstream.ends[first + i]!
      peer.socket.write(stream(random, false))
      if (random(4) === 0) peer.socket.destroy()
      if (random(4) === 0) client.socket.end()
    })
    await new Promise((next) => setTimeout(next, 20))
    for (const { socket } of clients) socket.destroy()
  }
  const { gateway } = sluice
  await until('all is over', () => gateway.connectionCount === 0 && gateway.generation.pins === 0)
  assert.equal(
    sluice.log.filter((line) => /^\[(alert|emerg|crit)\]/.test(line)),
    [],
  )
  await sluice.close()
  await upstream.close()
})

test.run()
