// Which peers are tried, when another one is, and what the log says of it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort, freePorts } from '../lib/ports.ts'
import { type SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { ok, type RecordingUpstream, recordingUpstream } from '../lib/recording-upstream.ts'
import { socketUpstream, until } from './journey-tools.ts'

const A = await recordingUpstream((_, { target, method }) => answer('a', target, method))
const B = await recordingUpstream((_, { target, method }) => answer('b', target, method))
const hanging = await socketUpstream(() => {})
const closing = await socketUpstream((socket) => socket.once('data', () => socket.destroy()))
const closed = `127.0.0.1:${await freePort()}`

/** `/fail-a/502`: what the path says when `a` is asked, `b` always answers. */
function answer(name: string, target: string, method: string): string {
  const [, where, status] = target.split('/')
  if (where === `fail-${name}` || where === 'fail-both') {
    return `HTTP/1.1 ${status} X\r\nContent-Length: ${name.length}\r\n\r\n${name}`
  }
  return ok(`${name} ${method}`)
}

const port = await freePort()
const [other] = await freePorts(1)
const sluice = await startSluice(`
http {
  log_format tries '$request_uri $status [$upstream_addr] [$upstream_status]';
  access_log access.log tries;

  upstream pair { server ${A.address}; server ${B.address}; }
  upstream a_first { server ${A.address} weight=1000 max_fails=0; server ${B.address} max_fails=0; }
  upstream refused_first { server ${closed} weight=100 max_fails=0; server ${B.address}; }
  upstream closing_first { server ${closing.address} weight=100 max_fails=0; server ${B.address}; }
  upstream hanging_first { server ${hanging.address} weight=100 max_fails=0; server ${B.address}; }
  upstream with_backup { server ${closed} max_fails=0; server ${A.address} down; server ${B.address} backup; }
  upstream ejected { server ${closed} weight=100 max_fails=1 fail_timeout=1s; server ${B.address}; }
  upstream all_refused { server ${closed} max_fails=0; server ${closed} max_fails=0; server ${closed} max_fails=0; }
  upstream all_down { server ${A.address} down; server ${B.address} down; }
  upstream narrow { server ${hanging.address} max_conns=1 max_fails=0; server ${hanging.address} max_conns=1 max_fails=0; }

  server {
    listen 127.0.0.1:${port};
    location /pair/ { proxy_pass http://pair/; }
    location /refused/ { proxy_pass http://refused_first/; }
    location /closing/ { proxy_pass http://closing_first/; }
    location /closing-unsafe/ { proxy_pass http://closing_first/; proxy_next_upstream error non_idempotent; }
    location /hanging/ { proxy_pass http://hanging_first/; proxy_read_timeout 200ms; }
    location /hanging-off/ { proxy_pass http://hanging_first/; proxy_read_timeout 200ms; proxy_next_upstream off; }
    location /statuses/ { proxy_pass http://a_first/; proxy_next_upstream error http_502 http_404 http_503; }
    location /default/ { proxy_pass http://a_first/; }
    location /backup/ { proxy_pass http://with_backup/; }
    location /ejected/ { proxy_pass http://ejected/; }
    location /all-refused/ { proxy_pass http://all_refused/; }
    location /two-tries/ { proxy_pass http://all_refused/; proxy_next_upstream_tries 2; }
    location /down/ { proxy_pass http://all_down/; }
    location /narrow/ { proxy_pass http://narrow/; proxy_read_timeout 500ms; proxy_next_upstream off; }
    location /timeout/ {
      proxy_pass http://hanging_first/;
      proxy_read_timeout 200ms;
      proxy_next_upstream_timeout 100ms;
    }
    location /unbuffered/ { proxy_pass http://closing_first/; proxy_request_buffering off; }
    location /unbuffered-refused/ { proxy_pass http://refused_first/; proxy_request_buffering off; }
  }
  server { listen 127.0.0.1:${other}; location / { return 200 other; } }
}
`)
test.after(async () => {
  await Promise.all([A.close(), B.close(), hanging.close(), closing.close()])
  await sluice.stop()
})

const request = (method: string, path: string, body = '') =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${body === '' ? '' : `Content-Length: ${body.length}\r\n`}\r\n${body}`

async function ask(path: string, method = 'GET', body = ''): Promise<[status: string, body: string]> {
  const response = await rawRequest(port, request(method, path, body))
  return [response.slice(9, 12), response.slice(response.indexOf('\r\n\r\n') + 4).replace(/<[\s\S]*/, '')]
}

/** The access log's line for this path, without the path. */
async function logged(process: SluiceProcess, path: string): Promise<string> {
  const lines = () =>
    readFileSync(join(process.folder, 'access.log'), 'latin1')
      .split('\n')
      .filter((line) => line.startsWith(`${path} `))
  await until(`a line for ${path}`, () => lines().length > 0)
  return lines()
    .at(-1)!
    .slice(path.length + 1)
}

const count = (upstream: RecordingUpstream) => upstream.requests.length

test('peers take turns', async () => {
  const bodies: string[] = []
  for (let i = 0; i < 4; i++) bodies.push((await ask('/pair/'))[1])
  assert.equal(bodies, ['a GET', 'b GET', 'a GET', 'b GET'])
})

test('a refused connection is tried elsewhere, and both tries are logged', async () => {
  assert.equal(await ask('/refused/1'), ['200', 'b GET'])
  assert.is(await logged(sluice, '/refused/1'), `200 [${closed}, ${B.address}] [502, 200]`)
})

test('nothing was sent to a peer that refused: a POST is tried elsewhere as well', async () => {
  assert.equal(await ask('/refused/', 'POST', 'body'), ['200', 'b POST'])
  assert.is(B.requests.at(-1)!.body, 'body')
  assert.equal(await ask('/unbuffered-refused/', 'POST', 'body'), ['200', 'b POST'])
  assert.is(B.requests.at(-1)!.body, 'body')
})

test('a connection that closes without an answer is tried elsewhere for GET, not for POST', async () => {
  assert.equal(await ask('/closing/'), ['200', 'b GET'])
  assert.equal(await ask('/closing/', 'PUT', 'body'), ['200', 'b PUT'])
  const seen = count(B)
  assert.equal(await ask('/closing/', 'POST', 'body'), ['502', ''])
  assert.equal(await ask('/closing/', 'PATCH', 'body'), ['502', ''])
  assert.is(count(B), seen)
  assert.equal(await ask('/closing-unsafe/', 'POST', 'body'), ['200', 'b POST'])
})

test('a body that was streamed away cannot be tried elsewhere', async () => {
  const client = new HttpClient(port)
  client.send('PUT /unbuffered/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n')
  client.send('x'.repeat(50_000))
  assert.is((await client.response('PUT')).status, 502)
  client.close()
})

test('no answer in time is tried elsewhere; with proxy_next_upstream off it is 504', async () => {
  assert.equal(await ask('/hanging/1'), ['200', 'b GET'])
  assert.is(await logged(sluice, '/hanging/1'), `200 [${hanging.address}, ${B.address}] [504, 200]`)
  assert.equal(await ask('/hanging-off/'), ['504', ''])
  assert.equal(await ask('/hanging/', 'POST', 'x'), ['504', ''])
  await sluice.waitForLog(
    /upstream timed out \(110: Connection timed out\) while reading response header from upstream/,
  )
})

test('statuses of proxy_next_upstream are tried elsewhere, others are passed on', async () => {
  assert.equal(await ask('/statuses/fail-a/502'), ['200', 'b GET'])
  assert.is(await logged(sluice, '/statuses/fail-a/502'), `200 [${A.address}, ${B.address}] [502, 200]`)
})

test('a status that every peer answers is passed on from the last one', async () => {
  assert.equal(await ask('/statuses/fail-both/404'), ['404', 'b'])
  assert.is(await logged(sluice, '/statuses/fail-both/404'), `404 [${A.address}, ${B.address}] [404, 404]`)
  assert.equal(await ask('/statuses/fail-both/500'), ['500', 'a'])
  assert.equal(await ask('/default/fail-both/502'), ['502', 'a'])
})

test('a status is not tried elsewhere for a POST', async () => {
  assert.equal(await ask('/statuses/fail-both/503', 'POST', 'x'), ['503', 'a'])
})

test('the tries end when every peer was tried, or as many as proxy_next_upstream_tries says', async () => {
  assert.equal(await ask('/all-refused/'), ['502', ''])
  assert.is(await logged(sluice, '/all-refused/'), `502 [${closed}, ${closed}, ${closed}] [502, 502, 502]`)
  assert.equal(await ask('/two-tries/'), ['502', ''])
  assert.is(await logged(sluice, '/two-tries/'), `502 [${closed}, ${closed}] [502, 502]`)
})

test('proxy_next_upstream_timeout ends the tries', async () => {
  assert.equal(await ask('/timeout/'), ['504', ''])
  assert.is(await logged(sluice, '/timeout/'), `504 [${hanging.address}] [504]`)
})

test('backups answer when nobody else does; a peer that is down is never asked', async () => {
  const seen = count(A)
  assert.equal(await ask('/backup/1'), ['200', 'b GET'])
  assert.is(await logged(sluice, '/backup/1'), `200 [${closed}, ${B.address}] [502, 200]`)
  assert.is(count(A), seen)
})

test('max_fails takes a peer out for fail_timeout, then it is tried again', async () => {
  assert.equal(await ask('/ejected/1'), ['200', 'b GET'])
  assert.is(await logged(sluice, '/ejected/1'), `200 [${closed}, ${B.address}] [502, 200]`)
  assert.equal(await ask('/ejected/2'), ['200', 'b GET'])
  assert.is(await logged(sluice, '/ejected/2'), `200 [${B.address}] [200]`)
  let tried = ''
  for (let i = 3; i < 40 && !tried.includes(closed); i++) {
    await new Promise((next) => setTimeout(next, 100))
    await ask(`/ejected/${i}`)
    tried = await logged(sluice, `/ejected/${i}`)
  }
  assert.is(tried, `200 [${closed}, ${B.address}] [502, 200]`)
})

test('no live upstreams: 502, and the group stands for the address', async () => {
  assert.equal(await ask('/down/'), ['502', ''])
  assert.is(await logged(sluice, '/down/'), '502 [all_down] [502]')
  await sluice.waitForLog(/no live upstreams while connecting to upstream/)
})

test('max_conns: who finds every peer full gets 502 at once, and room comes back', async () => {
  const began = Date.now()
  const both = [ask('/narrow/1'), ask('/narrow/2')]
  await until('both are under way', () => hanging.sockets.filter((socket) => !socket.destroyed).length >= 2)
  assert.equal(await ask('/narrow/3'), ['502', ''])
  assert.ok(Date.now() - began < 450)
  assert.equal(await Promise.all(both), [
    ['504', ''],
    ['504', ''],
  ])
  const again = ask('/narrow/4')
  assert.equal(await again, ['504', ''])
})

test('failures of peers leave other servers alone', async () => {
  assert.match(await rawRequest(other!, request('GET', '/')), /other$/)
  assert.not.match(sluice.errorLog(), /\[(alert|emerg)\]/)
})

test.run()
