// limit_req and limit_conn on the way of a request: the answers and lines of nginx; waiting and leaving; reloads.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { once, openClient, socketUpstream, until } from './journey-tools.ts'
import { answersOf, LIMIT_CASES, LIMIT_CONFIG, limitLines } from './limit-cases.ts'

/** Requests that the upstream has read and not answered. */
const waiting: Socket[] = []
const upstream = await socketUpstream((socket) => once(socket, '\r\n\r\n', () => waiting.push(socket)))
const answer = (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')

const port = await freePort()
const slow = await freePort()
const config = (body: string, zones = '') => `
http {
  ${body.replaceAll('%PORT%', String(port))}
  limit_req_zone $arg_k zone=slow:1m rate=5r/s;
  limit_req_zone $arg_j zone=slower:1m rate=2r/s;
  limit_conn_zone $arg_k zone=kept:1m;
  limit_conn_zone $arg_j zone=kept2:1m;
  ${zones}
  server {
    listen 127.0.0.1:${slow};
    location /turn { limit_req zone=slow burst=3; try_files /none =204; }
    location /some { limit_req zone=slow burst=5 delay=2; try_files /none =204; }
    location /longest { limit_req zone=slow burst=3; limit_req zone=slower burst=3; try_files /none =204; }
    location /held { limit_conn kept 2; proxy_pass http://${upstream.address}; }
    location /pair { limit_conn kept2 9; limit_conn kept 1; proxy_pass http://${upstream.address}; }
    location /dry { limit_conn kept 1; limit_conn_dry_run on; proxy_pass http://${upstream.address}; }
    location /turnheld { limit_req zone=slow burst=9; limit_conn kept 1; proxy_pass http://${upstream.address}; }
  }
}
`
const sluice = await startSluice(config(LIMIT_CONFIG))
test.after(async () => {
  await sluice.stop()
  await upstream.close()
})

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
const statusOf = (text: string) => Number(text.slice(9, 12))
const ask = async (path: string) => statusOf(await rawRequest(slow, get(path)))

for (const limitCase of LIMIT_CASES) {
  test(limitCase.name, async () => {
    const from = sluice.errorLog().length
    assert.equal(await answersOf(limitCase, port), limitCase.requests)
    assert.equal(limitLines(sluice.errorLog().slice(from)), limitCase.log)
  })
}

/** ms that each request takes, sent at once. */
async function times(path: string, count: number): Promise<{ status: number; ms: number }[]> {
  const started = performance.now()
  const all = Array.from({ length: count }, async () => {
    const status = await ask(path)
    return { status, ms: performance.now() - started }
  })
  return (await Promise.all(all)).sort((a, b) => a.ms - b.ms)
}

test('what comes too fast waits its turn, and what is too much is refused', async () => {
  const done = await times('/turn?k=turn', 5)
  const served = done.filter(({ status }) => status === 204).map(({ ms }) => ms)
  assert.equal(done.map(({ status }) => status).sort(), [204, 204, 204, 204, 503])
  for (const [i, least] of [0, 195, 395, 595].entries())
    assert.ok(served[i] >= least && served[i] < least + 190, `${served}`)
})

test('delay=N lets N pass at once', async () => {
  const done = await times('/some?k=some', 5)
  for (const [i, least] of [0, 0, 0, 195, 395].entries())
    assert.ok(done[i].ms >= least && done[i].ms < least + 190, JSON.stringify(done))
})

test('of several limits the longest wait counts', async () => {
  const from = sluice.errorLog().length
  const done = await times('/longest?k=long&j=long', 2)
  assert.ok(done[1].ms >= 490 && done[1].ms < 800, JSON.stringify(done))
  assert.equal(limitLines(sluice.errorLog().slice(from)), [
    'warn delaying request, excess: 1.000, by zone "slower"',
  ])
})

for (const half of [false, true]) {
  test(`who leaves while waiting is let go of at once${half ? ', though only one side is closed' : ''}`, async () => {
    const key = half ? 'half' : 'gone'
    assert.is(await ask(`/turn?k=${key}`), 204)
    const from = sluice.errorLog().length
    const client = await openClient(slow, get(`/turn?k=${key}`))
    await sluice.waitForLog(/delaying request/, from)
    const left = performance.now()
    if (half) client.end()
    else client.destroy()
    await sluice.waitForLog(/client prematurely closed connection/, from)
    assert.ok(performance.now() - left < 150, 'it did not wait for its turn')
    client.destroy()
  })
}

test('an HTTP/1.1 connection goes on after a refusal', async () => {
  const client = new HttpClient(port)
  const statuses = []
  for (let i = 0; i < 3; i++) statuses.push((await client.get('/plain?k=alive')).status)
  assert.equal(statuses, [204, 503, 503])
  client.close()
})

/** Sends a request that the upstream holds. */
async function hold(path: string): Promise<Socket> {
  const before = waiting.length
  const client = await openClient(slow, get(path))
  await until('the request at the upstream', () => waiting.length > before)
  return client
}

test('connections are counted until they end', async () => {
  const from = sluice.errorLog().length
  await hold('/held?k=conn')
  const second = await hold('/held?k=conn')
  assert.is(await ask('/held?k=conn'), 503)
  assert.equal(limitLines(sluice.errorLog().slice(from)), ['error limiting connections by zone "kept"'])
  const other = await hold('/held?k=else')
  // One is answered, one leaves: there is room for two.
  answer(waiting.at(-3)!)
  second.destroy()
  await sluice.waitForLog(/client prematurely closed connection/, from)
  await hold('/held?k=conn')
  await hold('/held?k=conn')
  assert.is(await ask('/held?k=conn'), 503)
  for (const socket of waiting.splice(0)) answer(socket)
  other.destroy()
})

test('what one limit refuses is not held by the others', async () => {
  await hold('/held?k=pair')
  assert.is(await ask('/pair?k=pair&j=pair'), 503)
  for (let i = 0; i < 9; i++) await hold('/pair?j=pair')
  assert.is(await ask('/pair?j=pair'), 503)
  for (const socket of waiting.splice(0)) answer(socket)
})

test('a dry run of connections lets all pass, and counts none too many', async () => {
  const from = sluice.errorLog().length
  await hold('/dry?k=dry')
  await hold('/dry?k=dry')
  assert.equal(limitLines(sluice.errorLog().slice(from)), [
    'error limiting connections, dry run, by zone "kept"',
  ])
  for (const socket of waiting.splice(0)) answer(socket)
  await until('both to be over', () => limitLines(sluice.errorLog()).length > 0)
  const client = await hold('/held?k=dry')
  answer(waiting.pop()!)
  client.destroy()
})

test('what waits its turn is no connection under way yet', async () => {
  const first = await hold('/turnheld?k=th')
  const from = sluice.errorLog().length
  const second = ask('/turnheld?k=th')
  await sluice.waitForLog(/delaying request/, from)
  answer(waiting.pop()!)
  first.destroy()
  await until('the second at the upstream', () => waiting.length === 1)
  answer(waiting.pop()!)
  assert.is(await second, 200)
})

test('a reload keeps what is counted, and a zone of another size begins anew', async () => {
  const held = await hold('/held?k=reload')
  await hold('/held?k=reload')
  sluice.write({ 'sluice.conf': config(LIMIT_CONFIG, '# another text') })
  const from = sluice.errorLog().length
  await sluice.reload(/generation \d+ serves/)
  assert.is((await new HttpClient(port).get('/burst?k=c')).status, 503)
  assert.is(await ask('/held?k=reload'), 503)
  for (const socket of waiting.splice(0)) answer(socket)
  held.destroy()
  await sluice.waitForLog(/exited with code/, from)
  const larger = LIMIT_CONFIG.replace('zone=burst:1m', 'zone=burst:2m')
  sluice.write({ 'sluice.conf': config(larger) })
  await sluice.reload(/generation \d+ serves/)
  assert.is((await new HttpClient(port).get('/burst?k=c')).status, 204)
})

test.run()
