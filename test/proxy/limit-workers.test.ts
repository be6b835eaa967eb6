// limit_req and limit_conn over two worker processes: what all of them count together is what nginx's zones would.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { rawRequest } from '../lib/raw-http.ts'
import { once, openClient, socketUpstream, until } from './journey-tools.ts'
import { answersOf, LIMIT_CASES, LIMIT_CONFIG, limitLines } from './limit-cases.ts'

/** Requests that the upstream has read and not answered, and who passed them on. */
const waiting: { readonly socket: Socket; readonly worker: number }[] = []
const upstream = await socketUpstream((socket) =>
  once(socket, '\r\n\r\n', (text) => {
    waiting.push({ socket, worker: Number(/X-Worker: (\d+)/.exec(text)![1]) })
  }),
)

const port = await freePort()
const spread = await freePort()
const sluice = await startSluice(`
worker_processes 2;
http {
  ${LIMIT_CONFIG.replaceAll('%PORT%', String(port))}
  limit_req_zone $arg_k zone=all:1m rate=1r/m;
  limit_req_zone $arg_k zone=turns:1m rate=5r/s;
  limit_conn_zone $arg_k zone=under:1m;
  server {
    listen 127.0.0.1:${spread};
    add_header X-Worker $pid always;
    location /burst { limit_req zone=all burst=19 nodelay; try_files /none =204; }
    location /turn { limit_req zone=turns burst=3; try_files /none =204; }
    location /held { limit_conn under 5; proxy_set_header X-Worker $pid; proxy_pass http://${upstream.address}; }
  }
}
`)
test.after(async () => {
  await sluice.stop()
  await upstream.close()
})

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`

async function ask(path: string): Promise<{ status: number; worker: string }> {
  const text = await rawRequest(spread, get(path))
  return { status: Number(text.slice(9, 12)), worker: /X-Worker: (\d+)/.exec(text)?.[1] ?? '' }
}

for (const limitCase of LIMIT_CASES) {
  test(limitCase.name, async () => {
    const from = sluice.errorLog().length
    assert.equal(await answersOf(limitCase, port), limitCase.requests)
    assert.equal(limitLines(sluice.errorLog().slice(from)), limitCase.log)
  })
}

test('all workers refuse together what one would', async () => {
  const answers = await Promise.all(Array.from({ length: 60 }, () => ask('/burst?k=a')))
  assert.is(new Set(answers.map(({ worker }) => worker)).size, 2)
  assert.is(answers.filter(({ status }) => status === 204).length, 20)
})

test('who waits has one turn among all workers', async () => {
  const started = performance.now()
  const times = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const { status } = await ask('/turn?k=a')
      return { status, ms: performance.now() - started }
    }),
  )
  const served = times.filter(({ status }) => status === 204).map(({ ms }) => ms)
  served.sort((a, b) => a - b)
  assert.is(served.length, 4)
  for (const [i, least] of [0, 190, 390, 590].entries())
    assert.ok(served[i] >= least && served[i] < least + 250, `${served}`)
})

test('all workers admit together, and what ends makes room, a worker that is killed too', async () => {
  const clients = await Promise.all(Array.from({ length: 20 }, () => openClient(spread, get('/held?k=a'))))
  let answered = 0
  for (const client of clients) client.once('data', () => answered++)
  await until('fifteen refusals', () => answered === 15 && waiting.length === 5)
  for (const { socket } of waiting.splice(0)) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  await until('twenty answers', () => answered === 20)

  const held: Socket[] = []
  const more = (count: number) =>
    until('the upstream to be asked', () => {
      void openClient(spread, get('/held?k=a')).then((client) => held.push(client))
      return waiting.length >= count
    })
  await more(5)
  assert.is((await ask('/held?k=a')).status, 503)
  const [{ worker }] = waiting
  const lost = waiting.filter((request) => request.worker === worker).length
  process.kill(worker, 'SIGKILL')
  await more(5 + lost)
  assert.is((await ask('/held?k=a')).status, 503)
  assert.is(waiting.length, 5 + lost)
  for (const client of held) client.destroy()
})

test.run()
