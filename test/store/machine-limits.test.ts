// The zones of a machine: two workers that count in one book over their channels to the supervisor.

import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Channel, type Wire } from '../../runtime/lib/channel.ts'
import { LimitBooks, MachineLimits, type ZoneIdentity } from '../../runtime/store/machine-limits.ts'
import { NO_ROOM } from '../../runtime/store/rate-zone.ts'

const KIB = 1024

function wireOf(port: MessagePort): Wire {
  return {
    send: (message) => port.postMessage(message),
    onMessage: (listener) => void port.on('message', listener),
    onClose: (listener) => void port.on('close', listener),
  }
}

const ports: MessagePort[] = []
test.after(() => {
  for (const port of ports) port.close()
})

interface Worker {
  readonly limits: MachineLimits
  /** It has gone. */
  leave(): void
  /** Holds back what the supervisor answers. */
  readonly answers: { hold: Promise<void> | null }
}

function worker(books: LimitBooks, timeout = 1000): Worker {
  const { port1, port2 } = new MessageChannel()
  ports.push(port1)
  const answers: Worker['answers'] = { hold: null }
  const wire = wireOf(port1)
  const held: Wire = {
    ...wire,
    send: (message) => void (answers.hold ?? Promise.resolve()).then(() => wire.send(message)),
  }
  const leave = books.serve(new Channel(held))
  return { limits: new MachineLimits(new Channel(wireOf(port2)), timeout), leave, answers }
}

const rates: ZoneIdentity = { kind: 'req', name: 'one', key: '$arg_k', size: 64 * KIB }
const others: ZoneIdentity = { ...rates, name: 'two' }
const open: ZoneIdentity = { kind: 'conn', name: 'open', key: '$arg_k', size: 64 * KIB }
const more: ZoneIdentity = { ...open, name: 'more' }

const claim = (zone: ZoneIdentity, burst: number) => ({ zone, key: 'ann', rate: 1, burst })
const place = (zone: ZoneIdentity, max: number, key = 'ann') => ({ zone, key, max })

test('two workers count requests together', async () => {
  const books = new LimitBooks()
  const [a, b] = [worker(books), worker(books)]
  const claims = [claim(rates, 1000)]
  assert.equal(await a.limits.take(claims, true), { refused: -1, excess: [0] })
  assert.equal(await b.limits.take(claims, true), { refused: -1, excess: [1000] })
  assert.equal(await a.limits.take(claims, true), { refused: 0, excess: [2000] })
})

test('what one claim refuses does not count in the others; nor does what is only looked at', async () => {
  const { limits } = worker(new LimitBooks())
  assert.equal(await limits.take([claim(rates, 9000), claim(others, 0)], true), {
    refused: -1,
    excess: [0, 0],
  })
  assert.equal(await limits.take([claim(rates, 9000), claim(others, 0)], true), {
    refused: 1,
    excess: [1000],
  })
  assert.equal(await limits.take([claim(rates, 9000)], false), { refused: -1, excess: [] })
  assert.equal(await limits.take([claim(rates, 0)], false), { refused: 0, excess: [1000] })
  assert.equal(await limits.take([claim(rates, 9000)], true), { refused: -1, excess: [1000] })
})

test('a key without room is refused', async () => {
  const { limits } = worker(new LimitBooks())
  const claims = [{ zone: { ...rates, size: 32 * KIB }, key: 'x'.repeat(50_000), rate: 1, burst: 0 }]
  assert.equal(await limits.take(claims, true), { refused: 0, excess: [NO_ROOM] })
})

test('two workers admit together, and each that ends makes room', async () => {
  const books = new LimitBooks()
  const [a, b] = [worker(books), worker(books)]
  assert.equal(await a.limits.admit([place(open, 2)]), { refused: -1, full: false })
  assert.equal(await b.limits.admit([place(open, 2)]), { refused: -1, full: false })
  assert.equal(await b.limits.admit([place(open, 2)]), { refused: 0, full: false })
  a.limits.release(open, 'ann')
  assert.equal(await a.limits.admit([place(open, 2)]), { refused: -1, full: false })
})

test('what one claim refuses is not held by the others', async () => {
  const { limits } = worker(new LimitBooks())
  await limits.admit([place(open, 1)])
  assert.equal(await limits.admit([place(more, 1), place(open, 1)]), { refused: 1, full: false })
  assert.equal(await limits.admit([place(more, 1)]), { refused: -1, full: false })
})

test('what a worker had under way goes with it', async () => {
  const books = new LimitBooks()
  const [a, b] = [worker(books), worker(books)]
  for (let i = 0; i < 3; i++) await a.limits.admit([place(open, 4)])
  await b.limits.admit([place(open, 4)])
  assert.is((await b.limits.admit([place(open, 4)])).refused, 0)
  a.leave()
  for (let i = 0; i < 3; i++) assert.is((await b.limits.admit([place(open, 4)])).refused, -1)
  assert.is((await b.limits.admit([place(open, 4)])).refused, 0)
})

test('a worker cannot release what another one holds', async () => {
  const books = new LimitBooks()
  const [a, b] = [worker(books), worker(books)]
  await a.limits.admit([place(open, 1)])
  b.limits.release(open, 'ann')
  assert.is((await b.limits.admit([place(open, 1)])).refused, 0)
})

test('an answer that comes too late admits nobody', async () => {
  const books = new LimitBooks()
  const [a, b] = [worker(books, 30), worker(books)]
  let answer = () => {}
  a.answers.hold = new Promise((done) => {
    answer = done
  })
  try {
    await a.limits.admit([place(open, 1)])
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /took over 30 ms/)
  }
  assert.is((await b.limits.admit([place(open, 1)])).refused, 0)
  answer()
  for (let i = 0; i < 100; i++) {
    if ((await b.limits.admit([place(open, 1)])).refused < 0) return
    await new Promise((next) => setTimeout(next, 5))
  }
  assert.unreachable('the place was never free again')
})

test('zones that no configuration has are forgotten, but for what is under way', async () => {
  const books = new LimitBooks()
  const { limits } = worker(books)
  await limits.take([claim(rates, 0)], true)
  await limits.admit([place(open, 1)])
  books.adopt([])
  assert.equal(await limits.take([claim(rates, 0)], true), { refused: -1, excess: [0] })
  assert.is((await limits.admit([place(open, 1)])).refused, 0)
  limits.release(open, 'ann')
  assert.is((await limits.admit([place(open, 1)])).refused, -1)
})

test.run()
