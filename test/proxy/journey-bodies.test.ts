// Bodies arrive as they were sent, whatever frames them, whatever is buffered, whatever the pieces they come in. Client
// and upstream are node:http, so that framing is read by somebody else's parser.

import { createCipheriv, createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { until } from './journey-tools.ts'

type Framing = 'length' | 'chunked' | 'close'

/** `size` bytes that look random, always the same for one seed. */
function bytesOf(seed: number, size: number): Buffer {
  const key = Buffer.alloc(16, seed)
  return createCipheriv('aes-128-ctr', key, key).update(Buffer.alloc(size))
}

/** Cuts a body into pieces of random sizes, from one byte to more than any buffer. */
function* piecesOf(body: Buffer, seed: number): Generator<Buffer> {
  let state = seed + 1
  for (let at = 0; at < body.length; ) {
    state = (state * 1103515245 + 12345) % 2147483648
    const size = 1 + Math.floor(1.7 ** (state % 24))
    yield body.subarray(at, at + size)
    at += size
  }
}

const digest = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex')

async function readAll(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function writeAll(out: NodeJS.WritableStream, body: Buffer, seed: number): Promise<void> {
  for (const piece of piecesOf(body, seed)) {
    if (!out.write(piece)) await new Promise((next) => out.once('drain', next))
    else if (piece.length > 1000) await new Promise((next) => setImmediate(next))
  }
  out.end()
}

/** Answers with the digest of the body it got and a body of its own: `/SEED/SIZE/FRAMING`. */
async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, , , seed, size, framing] = message.url!.split('/')
  const got = await readAll(message)
  response.setHeader('X-Digest', digest(got))
  response.setHeader('X-Length', got.length)
  const body = bytesOf(Number(seed), Number(size))
  if (framing === 'length') response.setHeader('Content-Length', body.length)
  if (framing === 'close') {
    response.setHeader('Connection', 'close')
    response.removeHeader('Transfer-Encoding')
    response.useChunkedEncodingByDefault = false
  }
  await writeAll(response, body, Number(seed))
}

const server = createServer((message, response) => void serve(message, response))
server.on('clientError', (_, socket) => socket.destroy())
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
const port = await freePort()
const locations = ['on', 'off'].flatMap((request) =>
  ['on', 'off'].map(
    (response) =>
      `location /${request}/${response}/ { proxy_pass http://${address}; proxy_request_buffering ${request}; proxy_buffering ${response}; }`,
  ),
)
const sluice = await startSluice(`
http {
  client_max_body_size 0;
  client_body_temp_path temp;
  server { listen 127.0.0.1:${port}; ${locations.join('\n')} }
}
`)
const agent = new Agent({ keepAlive: true })
test.after(async () => {
  agent.destroy()
  server.closeAllConnections()
  await new Promise((done) => server.close(done))
  await sluice.stop()
})

interface Journey {
  readonly path: string
  readonly sent: number
  readonly sentFraming: Framing
  readonly returned: number
  readonly returnedFraming: Framing
}

async function travel({ path, sent, sentFraming, returned, returnedFraming }: Journey): Promise<void> {
  const seed = (sent + 7 * returned) % 251
  const body = bytesOf(seed, sent)
  const headers = sentFraming === 'length' ? { 'Content-Length': sent } : { 'Transfer-Encoding': 'chunked' }
  const target = `${path}/${seed}/${returned}/${returnedFraming}`
  const outgoing = request({ host: '127.0.0.1', port, agent, method: 'PUT', path: target, headers })
  const answered = new Promise<IncomingMessage>((done, fail) =>
    outgoing.once('response', done).once('error', fail),
  )
  const written = writeAll(outgoing, body, seed)
  const response = await answered
  const got = await readAll(response)
  await written
  assert.is(response.statusCode, 200)
  assert.equal([response.headers['x-length'], response.headers['x-digest']], [String(sent), digest(body)])
  assert.equal([got.length, digest(got)], [returned, digest(bytesOf(seed, returned))])
}

const PATHS = ['/on/on', '/on/off', '/off/on', '/off/off']
const SIZES = [0, 1, 100, 16383, 16384, 16385, 65535, 65536, 65537, 1_000_003]

for (const path of PATHS) {
  for (const sentFraming of ['length', 'chunked'] as const) {
    for (const returnedFraming of ['length', 'chunked', 'close'] as const) {
      test(`${path}: bodies sent by ${sentFraming}, returned by ${returnedFraming}, are byte for byte the same`, async () => {
        const all = SIZES.map((sent, i) => {
          const returned = SIZES[(i * 3 + 2) % SIZES.length]!
          return travel({ path, sent, sentFraming, returned, returnedFraming })
        })
        await Promise.all(all)
      })
    }
  }
}

for (const path of ['/on/on', '/off/off']) {
  test(`${path}: 20 MB both ways`, async () => {
    const sent = 20_000_000
    await travel({ path, sent, sentFraming: 'length', returned: sent, returnedFraming: 'chunked' })
    await travel({ path, sent, sentFraming: 'chunked', returned: sent, returnedFraming: 'length' })
  })
}

test('nothing of a body stays on disk, nothing went wrong', async () => {
  await until('the folder is empty', () => readdirSync(join(sluice.folder, 'temp')).length === 0)
  assert.not.match(sluice.errorLog(), /\[(error|alert|crit|warn)\]/)
})

test.run()
