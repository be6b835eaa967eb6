// Random bodies in random pieces through hooks that change nothing, whatever they wait for: not a byte differs, and the
// last piece is the last. Set SEED for another run.

import { randomInt } from 'node:crypto'
import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { filteredSite, type Hook } from './body-filter-tools.ts'
import { ask, session } from './http2-client.ts'
import { split } from './journey-tools.ts'

const SEED = Number(process.env.SEED ?? randomInt(1, 2 ** 31))
const ROUNDS = 120

const site = await filteredSite(`
  location /plain { proxy_pass http://$UPSTREAM; }
  location /kept { proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; }
  location /unbuffered { proxy_pass http://$UPSTREAM; proxy_buffering off; }
  location /small { proxy_pass http://$UPSTREAM; proxy_buffers 2 4k; }
`)
test.after(() => site.close())

let state = SEED >>> 0

/** A number below `limit` (Numerical Recipes' generator). */
function below(limit: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * limit)
}

function pick<T>(list: readonly T[]): T {
  return list[below(list.length)]!
}

function randomBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = below(256)
  return bytes
}

/** Cut into pieces of random sizes, none of them empty. */
function cut(bytes: Buffer): Buffer[] {
  const most = pick([1 + below(20), 1 + below(2000), 1 + below(100_000)])
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + below(Math.max(most, bytes.length / 200))
    pieces.push(bytes.subarray(at, end))
    at = end
  }
  return pieces
}

/** The whole message, framed in one of the three ways. */
function framed(body: Buffer): { readonly bytes: Buffer; readonly closes: boolean } {
  const head = 'HTTP/1.1 200 OK\r\n'
  switch (below(3)) {
    case 0:
      return {
        bytes: Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]),
        closes: false,
      }
    case 1:
      return { bytes: Buffer.concat([Buffer.from(`${head}\r\n`), body]), closes: true }
    default: {
      const chunks = cut(body).flatMap((chunk) => [
        Buffer.from(`${chunk.length.toString(16)}\r\n`),
        chunk,
        Buffer.from('\r\n'),
      ])
      const start = Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`)
      return { bytes: Buffer.concat([start, ...chunks, Buffer.from('0\r\n\r\n')]), closes: false }
    }
  }
}

async function send(socket: Socket, bytes: Buffer, closes: boolean): Promise<void> {
  for (const piece of cut(bytes)) {
    socket.write(piece)
    if (below(4) === 0) await new Promise((next) => setImmediate(next))
  }
  if (closes) socket.end()
}

/** Waits now and then; gives nothing, or what it was given. */
function transparent(seen: string[], lasts: boolean[]): Hook {
  return (text, last) => {
    seen.push(text)
    lasts.push(last)
    const word = below(2) === 0 ? null : text
    switch (below(4)) {
      case 0:
        return new Promise((done) => setImmediate(() => done(word)))
      case 1:
        return Promise.resolve(word)
      default:
        return word
    }
  }
}

async function fetched(path: string, round: number): Promise<string> {
  switch (round % 3) {
    case 0: {
      const client = new HttpClient(site.port)
      const { body } = await client.get(path)
      client.close()
      return body
    }
    case 1:
      return split(await rawRequest(site.port, `GET ${path} HTTP/1.0\r\n\r\n`)).body
    default: {
      const client = session(site.port)
      const { body } = await ask(client, path)
      client.destroy()
      return body
    }
  }
}

test(`hooks that change nothing change nothing (seed ${SEED})`, async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const body = randomBytes(pick([0, below(10), below(3000), below(200_000)]))
    const { bytes, closes } = framed(body)
    site.answer = (socket) => void send(socket, bytes, closes)
    const path = pick(['/plain', '/kept', '/unbuffered', '/small'])
    const seen: string[] = []
    const lasts: boolean[] = []
    const hooks =
      below(2) === 0 ? [transparent(seen, lasts)] : [transparent(seen, lasts), transparent([], [])]
    site.filter(path, ...hooks)
    const text = body.toString('latin1')
    assert.ok((await fetched(path, round)) === text, `round ${round}: ${path}, ${body.length} bytes`)
    assert.ok(seen.join('') === text, `round ${round}: what the hook saw`)
    assert.is(lasts.indexOf(true), lasts.length - 1, `round ${round}: the last piece`)
    assert.not(seen.slice(0, -1).includes(''), `round ${round}: empty pieces`)
  }
})

test.run()
