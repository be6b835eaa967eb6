// A new configuration takes over without a lost request; a bad one changes nothing; a graceful stop lets everything
// finish.

import { Agent, request } from 'node:http'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort, freePorts } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { once, openClient, plainHead, readToEnd, socketUpstream, until } from './journey-tools.ts'

const A = await recordingUpstream(() => ok('a'))
const B = await recordingUpstream(() => ok('b'))
/** Answers when the test says so. */
const waiting: Socket[] = []
const slow = await socketUpstream((socket) => once(socket, '\r\n\r\n', () => void waiting.push(socket)))
test.after(async () => {
  await Promise.all([A.close(), B.close(), slow.close()])
})

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
const DONE = ok('done')

function config(port: number, upstream: string, more = ''): string {
  return `events {}
http {
  upstream group { server ${upstream}; }
  server {
    listen 127.0.0.1:${port};
    keepalive_requests 1000000;
    location / { proxy_pass http://group; }
    location /slow { proxy_pass http://${slow.address}; }
    location /mark { return 200 "${upstream}"; }
    ${more}
  }
}
`
}

/** One keep-alive client that asks again and again; counts what is not a good answer. */
class Asking {
  readonly bodies = new Map<string, number>()
  readonly failures: string[] = []
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #port: number
  #stop = false
  readonly over: Promise<void>

  constructor(port: number) {
    this.#port = port
    this.over = this.#loop()
  }

  stop(): Promise<void> {
    this.#stop = true
    return this.over.finally(() => this.#agent.destroy())
  }

  async #loop(): Promise<void> {
    while (!this.#stop) {
      try {
        const body = await this.#ask()
        this.bodies.set(body, (this.bodies.get(body) ?? 0) + 1)
      } catch (error) {
        this.failures.push(String(error))
      }
    }
  }

  #ask(): Promise<string> {
    return new Promise((done, fail) => {
      const asked = request({ port: this.#port, host: '127.0.0.1', agent: this.#agent }, (response) => {
        let text = ''
        response.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
        response.on('end', () =>
          response.statusCode === 200 ? done(text) : fail(new Error(`${response.statusCode}`)),
        )
        response.on('error', fail)
      })
      asked.on('error', fail).end()
    })
  }
}

test('20 reloads under 32 keep-alive clients: no request fails, the new upstreams take over, old generations go', async () => {
  const port = await freePort()
  const sluice = await startSluice(config(port, A.address))
  const clients = Array.from({ length: 32 }, () => new Asking(port))
  await until('requests', () => A.requests.length > 100)
  for (let i = 1; i <= 20; i++) {
    sluice.write({ 'sluice.conf': config(port, i % 2 === 0 ? A.address : B.address) })
    const log = await sluice.reload(/generation \d+ has served its last request and exited with code 0/)
    assert.match(log, new RegExp(`generation ${i} has served its last request`))
    const upstream = i % 2 === 0 ? A : B
    const seen = upstream.requests.length
    await until('the new upstream is asked', () => upstream.requests.length > seen + 32)
  }
  await Promise.all(clients.map((client) => client.stop()))
  assert.equal(
    clients.flatMap((client) => client.failures),
    [],
  )
  for (const client of clients) assert.equal([...client.bodies.keys()].sort(), ['a', 'b'])
  const seen = B.requests.length
  assert.is(await rawRequest(port, get('/')).then((text) => text.slice(-1)), 'a')
  assert.is(B.requests.length, seen)
  await sluice.stop()
  assert.not.match(sluice.errorLog(), /\[(alert|emerg|crit|error)\]/)
})

test('a request under way finishes on the generation that it began with', async () => {
  const port = await freePort()
  const sluice = await startSluice(config(port, A.address))
  const answer = rawRequest(port, get('/slow'))
  await until('the request', () => waiting.length === 1)
  sluice.write({ 'sluice.conf': config(port, B.address).replace('location /slow', 'location /other') })
  await sluice.reload(/generation 2 serves after/)
  assert.match(await rawRequest(port, get('/mark')), new RegExp(`${B.address}$`))
  assert.not.match(sluice.errorLog(), /generation 1 has served its last request/)
  waiting.shift()!.end(DONE)
  assert.match(await answer, /done$/)
  await sluice.waitForLog(/generation 1 has served its last request and exited with code 0/)
  await sluice.stop()
})

test('a configuration that is wrong is refused and says why; the running one goes on, and a good one can follow', async () => {
  const port = await freePort()
  const sluice = await startSluice(config(port, A.address))
  const client = new HttpClient(port)
  assert.is((await client.get('/')).body, 'a')
  const taken = new URL(`http://${B.address}`).port
  const wrong: readonly [string, RegExp][] = [
    ['http { server {', /\[emerg\].*sluice\.conf:1/],
    [config(port, A.address, 'no_such_directive on;'), /\[emerg\].*sluice\.conf:\d+.*no_such_directive/],
    [
      config(port, 'no.such.host.invalid:80'),
      /\[emerg\].*host not found in upstream "no\.such\.host\.invalid/,
    ],
    [
      config(port, B.address, `listen 127.0.0.1:${taken};`),
      new RegExp(`\\[emerg\\].*bind\\(\\) to 127\\.0\\.0\\.1:${taken} failed`),
    ],
  ]
  for (const [text, reason] of wrong) {
    sluice.write({ 'sluice.conf': text })
    assert.match(await sluice.reload(/\[emerg\].*\n/), reason)
    assert.is((await client.get('/')).body, 'a')
    assert.match(await rawRequest(port, get('/')), /a$/)
  }
  sluice.write({ 'sluice.conf': config(port, B.address) })
  await sluice.reload(/generation \d+ serves after/)
  assert.is((await client.get('/')).body, 'b')
  client.close()
  await sluice.stop()
})

test('a listen that is gone is closed: no new connections, requests on old ones finish, idle ones close', async () => {
  const [first, second] = (await freePorts(2)) as [number, number]
  const both = config(first, A.address, `listen 127.0.0.1:${second};`)
  const sluice = await startSluice(both)
  const idle = new HttpClient(second)
  assert.is((await idle.get('/')).body, 'a')
  const stays = new HttpClient(first)
  assert.is((await stays.get('/')).body, 'a')
  const busy = await openClient(second, 'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('the request', () => waiting.length === 1)
  sluice.write({ 'sluice.conf': config(first, B.address) })
  await sluice.reload(/generation 2 serves after/)
  const refused = await new Promise<string>((done) => {
    const socket = connect(second, '127.0.0.1')
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? ''))
    socket.once('connect', () => done('connected'))
  })
  assert.is(refused, 'ECONNREFUSED')
  await idle.waitForClose()
  assert.is((await stays.get('/')).body, 'b')
  stays.close()
  waiting.shift()!.end(DONE)
  const answer = String(await readToEnd(busy))
  assert.match(answer, /done$/)
  assert.match(plainHead(answer), /\r\nConnection: close\r\n/)
  await sluice.stop()
})

test('QUIT: requests under way finish, also those whose response has begun; idle connections close; then it ends', async () => {
  const port = await freePort()
  const sluice = await startSluice(config(port, A.address))
  const idle = new HttpClient(port)
  assert.is((await idle.get('/')).body, 'a')
  const untouched = await openClient(port)
  const begun = await openClient(port, 'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('the first request', () => waiting.length === 1)
  const first = waiting.shift()!
  first.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhal')
  await until('the response begins', () => begun.readableLength > 0)
  const notBegun = new HttpClient(port)
  const later = notBegun.get('/slow')
  await until('the second request', () => waiting.length === 1)

  sluice.child.kill('SIGQUIT')
  await sluice.waitForLog(/gracefully shutting down/)
  await idle.waitForClose()
  assert.is(String(await readToEnd(untouched)), '')
  assert.is(sluice.child.exitCode, null)
  assert.match(String(await rawRequest(port, get('/')).catch(String)), /ECONNREFUSED/)

  const asked = Date.now()
  first.end('ves')
  assert.match(String(await readToEnd(begun)), /halves$/)
  waiting.shift()!.end(DONE)
  const response = await later
  assert.is(response.body, 'done')
  assert.is(response.header('connection'), 'close')
  assert.is(await sluice.exited, 0)
  assert.ok(Date.now() - asked < 3000, 'it ends when the last request has ended')
})

test('QUIT: worker_shutdown_timeout ends what does not end by itself', async () => {
  const port = await freePort()
  const sluice = await startSluice(`worker_shutdown_timeout 300ms;\n${config(port, A.address)}`)
  const stuck = await openClient(port, get('/slow'))
  await until('the request', () => waiting.length === 1)
  const began = Date.now()
  sluice.child.kill('SIGQUIT')
  assert.is(await sluice.exited, 0)
  const took = Date.now() - began
  assert.ok(took >= 280 && took < 3000, `${took} ms`)
  waiting.shift()!.destroy()
  stuck.destroy()
})

test('TERM ends at once, whatever is under way', async () => {
  const port = await freePort()
  const sluice = await startSluice(config(port, A.address))
  const stuck = await openClient(port, get('/slow'))
  await until('the request', () => waiting.length === 1)
  assert.is(await sluice.stop(), 0)
  waiting.shift()!.destroy()
  stuck.destroy()
})

test('failures that a peer has had are not forgotten by a reload', async () => {
  const port = await freePort()
  const closed = `127.0.0.1:${await freePort()}`
  const text = (mark: string) =>
    config(
      port,
      `${closed} max_fails=1 fail_timeout=60s weight=100; server ${A.address}`,
      `location /${mark} { return 204; }`,
    )
  const sluice = await startSluice(text('one').replace(/return 200 "[^"]*"/, 'return 200 x'))
  assert.match(await rawRequest(port, get('/')), /a$/)
  const refused = () => sluice.errorLog().match(/connect\(\) failed/g)!.length
  assert.is(refused(), 1)
  sluice.write({ 'sluice.conf': text('two').replace(/return 200 "[^"]*"/, 'return 200 x') })
  await sluice.reload(/generation 2 serves after/)
  for (let i = 0; i < 5; i++) assert.match(await rawRequest(port, get('/')), /a$/)
  assert.is(refused(), 1)
  await sluice.stop()
})

test.run()
