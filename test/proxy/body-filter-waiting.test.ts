// Hooks on bodies that await something: order, back-pressure, and who leaves meanwhile.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import type { Exchange } from '../../runtime/proxy/exchange.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import {
  FAIL,
  filteredSite,
  type Hook,
  hookOf,
  inPieces,
  later,
  type Word,
  witness,
} from './body-filter-tools.ts'
import { askOnce, session } from './http2-client.ts'
import { descriptors, openClient, readToEnd, split, until } from './journey-tools.ts'

const site = await filteredSite(
  `
  default_type text/html;
  location /proxied { proxy_pass http://$UPSTREAM; }
  location /small { proxy_pass http://$UPSTREAM; proxy_buffers 8 4k; }
  location /large { proxy_pass http://$UPSTREAM; proxy_buffers 16 64k; }
  location /unbuffered { proxy_pass http://$UPSTREAM; proxy_buffering off; }
  location /ignoring { proxy_pass http://$UPSTREAM; proxy_ignore_client_abort on; }
  location /hasty { proxy_pass http://$UPSTREAM; proxy_read_timeout 100ms; }
  location /text { return 200 'hello'; }
  location /files/ { }
  `,
  { 'files/big.bin': Buffer.alloc(300_000, 'b') },
)
test.after(() => site.close())

const OK = 'HTTP/1.1 200 OK\r\n'
const MIB = 1024 * 1024

/** A hook that waits for the test at every piece. */
function held() {
  const waits: {
    readonly text: string
    readonly last: boolean
    readonly x: Exchange
    settle(word: Word): void
  }[] = []
  const hook: Hook = (text, last, x) => {
    const { promise, settle } = later<Word>()
    waits.push({ text, last, x, settle })
    return promise
  }
  return {
    waits,
    hook,
    at: (index: number) => until(`hook ${index}`, () => waits.length > index).then(() => waits[index]!),
  }
}

test('one at a time, in order; what came meanwhile comes in one piece', async () => {
  site.answer = (socket) => void inPieces(socket, `${OK}Content-Length: 6\r\n\r\na`, 'b', 'c', 'd', 'ef')
  const { hook, at, waits } = held()
  site.filter('/proxied', hook)
  const answer = rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const first = await at(0)
  assert.is(first.text, 'a')
  // The upstream has sent everything, and its connection is done with.
  await until('the whole of it', () => first.x.call!.connection === null)
  assert.is(waits.length, 1)
  assert.is(first.x.headSent, false)
  first.settle('1')
  const second = await at(1)
  assert.equal([second.text, second.last, second.x.headSent], ['bcdef', true, true])
  second.settle(null)
  assert.is(split(await answer).body, '1\r\n1\r\n5\r\nbcdef\r\n0\r\n\r\n')
})

test('the last piece is told apart though the end comes while a hook waits', async () => {
  site.answer = (socket) => void inPieces(socket, `${OK}\r\nab`, 'cd').then(() => socket.end())
  const { hook, at } = held()
  site.filter('/proxied', hook)
  const answer = rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const first = await at(0)
  await until('the end', () => first.x.call!.connection === null)
  first.settle(null)
  const second = await at(1)
  assert.equal([second.text, second.last], ['cd', true])
  second.settle('')
  assert.is(split(await answer).body, '2\r\nab\r\n0\r\n\r\n')
})

test('a piece that waits is not overwritten by the next read', async () => {
  const big = Buffer.alloc(3 * MIB)
  for (let i = 0; i < big.length; i++) big[i] = (i * 7 + (i >> 8)) & 255
  for (const path of ['/proxied', '/large', '/unbuffered']) {
    site.answer = (socket) => {
      socket.write(`${OK}Content-Length: ${big.length}\r\n\r\n`)
      socket.write(big)
    }
    site.filter(path, async () => {
      await new Promise((next) => setImmediate(next))
      return null
    })
    const client = new HttpClient(site.port)
    const { body } = await client.get(path)
    client.close()
    assert.ok(Buffer.from(body, 'latin1').equals(big), path)
  }
})

test('while a hook waits the upstream has to wait too', async () => {
  let written = 0
  site.answer = (socket) => {
    const block = Buffer.alloc(MIB, 'x')
    const more = () => {
      while (written < 64) {
        written++
        if (!socket.write(block)) {
          socket.once('drain', more)
          return
        }
      }
      socket.end()
    }
    socket.write(`${OK}Content-Length: ${64 * MIB}\r\n\r\n`)
    more()
  }
  const { hook, at, waits } = held()
  let rest: Hook = hook
  site.filter('/small', (text, last, x) => rest(text, last, x))
  const client = await openClient(site.port, 'GET /small HTTP/1.0\r\n\r\n')
  const { x } = await at(0)
  // Reading stops once the buffers are full, and what is held is what was read.
  await until('a pause', () => x.onDrained !== null)
  const { pendingBytes } = x.output
  // The read that came with the head, and the one that went beyond the buffers.
  assert.ok(pendingBytes > 8 * 4096 && pendingBytes <= 2 * 65536, `${pendingBytes}`)
  assert.is(pendingBytes, x.call!.record!.responseLength)
  assert.ok(written < 64, 'the upstream is still writing')
  rest = () => null
  waits[0]!.settle(null)
  const answer = await readToEnd(client, 20_000)
  assert.is(split(answer!.toString('latin1')).body.length, 64 * MIB)
})

test('a slow client makes hooks wait: what they give is bounded, however much it is', async () => {
  site.answer = (socket) =>
    void inPieces(socket, `${OK}Transfer-Encoding: chunked\r\n\r\n`, '1\r\na\r\n'.repeat(1000), '0\r\n\r\n')
  let calls = 0
  let x: Exchange | null = null
  const block = Buffer.alloc(8 * MIB, 'x')
  site.filter('/proxied', (text, _last, of) => {
    x = of
    calls++
    return text === '' ? null : block
  })
  const client = await openClient(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\n\r\n')
  client.pause()
  await until('a pause', () => x !== null && x.onDrained !== null)
  assert.is(calls, 1)
  client.destroy()
  await until('the log', () => x!.completed)
})

test('pieces that waited for a hook wait for a slow client too', async () => {
  const chunk = `3c00\r\n${'c'.repeat(0x3c00)}\r\n`
  site.answer = (socket) =>
    void inPieces(
      socket,
      `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n`,
      ...Array<string>(20).fill(chunk),
    )
  const { hook, at, waits } = held()
  let calls = 0
  const block = Buffer.alloc(8 * MIB, 'x')
  site.filter('/large', (text, last, x) => (text === 'a' ? hook(text, last, x) : calls++ >= 0 ? block : null))
  const client = await openClient(site.port, 'GET /large HTTP/1.1\r\nHost: a\r\n\r\n')
  client.pause()
  const { x } = await at(0)
  await until('all of it', () => x.output.pendingBytes === 1 + 20 * 0x3c00)
  waits[0]!.settle(null)
  await until('a piece', () => calls > 0)
  for (let turns = 0; turns < 10; turns++) await new Promise((next) => setImmediate(next))
  assert.is(calls, 1)
  client.resetAndDestroy()
  await until('the log', () => x.completed)
})

test('a hook may use the bytes it gave again', async () => {
  site.answer = (socket) => void inPieces(socket, `${OK}Content-Length: 3\r\n\r\na`, 'b', 'c')
  const bytes = Buffer.alloc(100_000)
  site.filter(
    '/proxied',
    (text) => bytes.fill(text),
    async () => {
      bytes.fill('?')
      return null
    },
  )
  const client = new HttpClient(site.port)
  const { body } = await client.get('/proxied')
  assert.ok(body.length > 100_000)
  assert.is(body.replace(/[abc]/g, ''), '')
  client.close()
})

test('a file is read no further while a hook waits', async () => {
  const { hook, at, waits } = held()
  site.filter('/files/', hook)
  const client = new HttpClient(site.port)
  const answer = client.get('/files/big.bin')
  for (let i = 0; ; i++) {
    const { text, last, x, settle } = await at(i)
    assert.is(x.output.pendingBytes, text.length)
    settle(null)
    if (last) break
    await new Promise((next) => setImmediate(next))
    assert.ok(waits.length <= i + 2)
  }
  assert.is((await answer).body, 'b'.repeat(300_000))
  client.close()
})

test('both hooks of a chain may wait', async () => {
  site.answer = (socket) => void inPieces(socket, `${OK}Content-Length: 2\r\n\r\na`, 'b')
  const { seen, hook } = witness()
  const soon =
    (word: (text: string) => Word): Hook =>
    async (text) =>
      word(text)
  site.filter(
    '/proxied',
    soon((text) => text + text),
    hook,
    soon((text) => (text === 'aa' ? '' : null)),
    soon((text) => `${text}.`),
  )
  const answer = await askOnce(site.port, '/proxied')
  assert.is(answer.body, 'bb.')
  assert.equal(seen, ['aa', 'bb!'])
})

test('the client leaves while a hook waits: upstream and hook are let go of', async () => {
  let upstream: Socket | null = null
  site.answer = (socket) => {
    upstream = socket
    socket.write(`${OK}Content-Length: 100\r\n\r\nabc`)
  }
  const { hook, at } = held()
  site.filter('/proxied', hook)
  const client = await openClient(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\n\r\n')
  const { x, settle } = await at(0)
  client.destroy()
  await until('the log', () => x.completed)
  assert.ok(site.abandoned.includes(x))
  await until('the upstream to be closed', () => upstream!.destroyed || upstream!.readableEnded)
  assert.is(x.bodyChunk, null)
  assert.is(x.hookOwner, null)
  // A hook that settles too late changes nothing, even if it says so.
  x.hookSettled(Outcome.PASS)
  settle('late')
  assert.is(x.output, x.client)
  site.filter('/text', async (text) => text.toUpperCase())
  assert.match(await rawRequest(site.port, 'GET /text HTTP/1.0\r\n\r\n'), /HELLO$/)
})

test('the client leaves while a hook waits: a file is closed', async () => {
  const before = descriptors(process.pid)
  const { hook, at } = held()
  site.filter('/files/', hook)
  const client = await openClient(site.port, 'GET /files/big.bin HTTP/1.1\r\nHost: a\r\n\r\n')
  const { x, settle } = await at(0)
  assert.ok(descriptors(process.pid) > before)
  client.resetAndDestroy()
  await until('the log', () => x.completed)
  settle(null)
  await until('all to be closed', () => descriptors(process.pid) <= before)
})

test('an HTTP/2 client resets its stream while a hook waits', async () => {
  site.answer = (socket) => void socket.write(`${OK}Content-Length: 100\r\n\r\nabc`)
  const { hook, at } = held()
  site.filter('/proxied', hook)
  const client = session(site.port)
  const stream = client.request({ ':path': '/proxied' })
  stream.on('error', () => {})
  const { x, settle } = await at(0)
  stream.close(8)
  await until('the log', () => x.completed)
  settle(null)
  assert.is(x.call!.connection, null)
  client.destroy()
})

test('proxy_ignore_client_abort: the upstream may end, and the hook too', async () => {
  let upstream: Socket | null = null
  site.answer = (socket) => {
    upstream = socket
    socket.write(`${OK}Content-Length: 6\r\n\r\nabc`)
  }
  const { hook, at } = held()
  site.filter('/ignoring', hook)
  const client = await openClient(site.port, 'GET /ignoring HTTP/1.1\r\nHost: a\r\n\r\n')
  const { x, settle } = await at(0)
  client.destroy()
  await new Promise((next) => setTimeout(next, 20))
  assert.is(x.completed, false)
  upstream!.write('def')
  settle(null)
  const second = await at(1)
  assert.equal([second.text, second.last], ['def', true])
  second.settle(null)
  await until('the log', () => x.completed)
})

test('log hooks run when those of the body have been let go of', async () => {
  let upstream: Socket | null = null
  site.answer = (socket) => {
    upstream = socket
    socket.write(`${OK}Content-Length: 100\r\n\r\n`)
  }
  const logged: unknown[] = []
  const { hook, at } = held()
  site.hook('/proxied', {
    bodyFilter: [hookOf(hook)],
    log: [
      (request) => {
        logged.push(request.bodyChunk, site.abandoned.includes(request as Exchange))
        return Outcome.PASS
      },
    ],
  })
  const answer = rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await until('the upstream', () => upstream !== null)
  await inPieces(upstream!, 'abc')
  await at(0)
  upstream!.destroy()
  assert.is(split(await answer).body, '')
  assert.equal(logged, [null, true])
})

test('the upstream dies while a hook waits: 502 before the head, a cut after it', async () => {
  const { hook, at, waits } = held()
  site.filter('/proxied', hook)
  let upstream: Socket | null = null
  site.answer = (socket) => {
    upstream = socket
    socket.write(`${OK}Content-Length: 100\r\n\r\nabc`)
  }
  const early = rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const first = await at(0)
  upstream!.destroy()
  const second = await at(1)
  assert.match(second.text, '502 Bad Gateway')
  // The hook of the response that is no more.
  assert.ok(site.abandoned.includes(first.x))
  first.settle('late')
  second.settle(null)
  assert.match(await early, /^HTTP\/1.1 502 Bad Gateway\r\n[\s\S]*<h1>502 Bad Gateway<\/h1>/)

  waits.length = 0
  const late = rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const third = await at(0)
  third.settle(null)
  await until('the head', () => third.x.headSent)
  upstream!.write('def')
  const fourth = await at(1)
  upstream!.destroy()
  await until('the log', () => fourth.x.completed)
  assert.ok(site.abandoned.includes(fourth.x))
  fourth.settle(null)
  assert.is(split(await late).body, '3\r\nabc\r\n')
})

test('proxy_read_timeout counts the upstream, not the hook', async () => {
  site.answer = (socket) => {
    socket.write(`${OK}Content-Length: 1000000\r\n\r\n`)
    socket.write(Buffer.alloc(1_000_000, 'x'))
  }
  let waited = false
  site.filter('/hasty', async () => {
    if (!waited) await new Promise((next) => setTimeout(next, 250))
    waited = true
    return null
  })
  const client = new HttpClient(site.port)
  assert.is((await client.get('/hasty')).body.length, 1_000_000)
  client.close()
})

test('a hook that fails in the end fails the response', async () => {
  const { hook, at } = held()
  site.filter('/text', hook)
  const answer = rawRequest(site.port, 'GET /text HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const { x, settle } = await at(0)
  settle(FAIL)
  assert.match(await answer, /^HTTP\/1.1 500 Internal Server Error\r\n/)
  assert.is(x.hookOwner, null)
})

test.run()
