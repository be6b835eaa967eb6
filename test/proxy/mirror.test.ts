// mirror: copies of a request that nobody waits for, and what becomes of them when clients leave.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { until } from './journey-tools.ts'

/** Answers to copies wait until the test lets them go. */
let release: () => void = () => {}
let held = Promise.resolve()
const hold = () => {
  held = new Promise((done) => {
    release = done
  })
}
const port = await freePort()
const upstream = await recordingUpstream((_, { method, target, body }) => ok(`${method} ${target} ${body}`))
const copies = await recordingUpstream(async () => {
  await held
  return 'HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nunseen'
})
const sluice = await startSluice(`
http {
  client_body_buffer_size 16;
  server {
    listen 127.0.0.1:${port};
    location / { mirror /copy; mirror /second; proxy_pass http://${upstream.address}; }
    location /bodyless { mirror /copy; mirror_request_body off; proxy_pass http://${upstream.address}; }
    location /streamed { mirror /copy; proxy_request_buffering off; proxy_pass http://${upstream.address}; }
    location /off { mirror off; proxy_pass http://${upstream.address}; }
    location = /copy { internal; proxy_pass http://${copies.address}; }
    location = /second { internal; proxy_pass http://${copies.address}/2; }
  }
}
`)
test.after(async () => {
  release()
  await sluice.stop()
  await Promise.all([upstream.close(), copies.close()])
})

const seen = (from: number) =>
  copies.requests
    .slice(from)
    .map(({ method, target, body }) => `${method} ${target} ${body}`)
    .sort()

test('each copy has method, query and body of the request; its answer is of no interest', async () => {
  const from = copies.requests.length
  const client = new HttpClient(port)
  const text = 'a body that does not fit into memory'
  const response = await client.request(
    `PUT /x?a=1 HTTP/1.1\r\nHost: a\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
  )
  assert.is(response.body, `PUT /x?a=1 ${text}`)
  await copies.waitForRequests(from + 2)
  assert.equal(seen(from), [`PUT /2?a=1 ${text}`, `PUT /copy?a=1 ${text}`])
  assert.is((await client.get('/off')).body, 'GET /off ')
  assert.is(copies.requests.length, from + 2)
  client.close()
})

test('mirror_request_body off: the copy has no body; the upstream gets it all the same', async () => {
  const from = copies.requests.length
  const client = new HttpClient(port)
  const response = await client.request('POST /bodyless HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  assert.is(response.body, 'POST /bodyless abc')
  await copies.waitForRequests(from + 1)
  assert.equal(seen(from), ['POST /copy '])
  client.close()
})

test('a body that is not to be buffered is buffered for the copy', async () => {
  const from = copies.requests.length
  const client = new HttpClient(port)
  client.send('POST /streamed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
  client.send('0\r\n\r\n')
  assert.is((await client.response()).body, 'POST /streamed abc')
  await copies.waitForRequests(from + 1)
  assert.equal(seen(from), ['POST /copy abc'])
  client.close()
})

test('the response does not wait for the copy; the next request on the connection does', async () => {
  hold()
  const client = new HttpClient(port)
  assert.is((await client.get('/bodyless')).status, 200)
  client.send('GET /off HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.is((await rawRequest(port, 'GET /off HTTP/1.0\r\n\r\n')).slice(0, 15), 'HTTP/1.1 200 OK')
  assert.is(client.rest, '')
  release()
  assert.is((await client.response()).body, 'GET /off ')
  client.close()
})

test('a client that leaves after the response leaves the copy alone', async () => {
  hold()
  const from = copies.requests.length
  const client = new HttpClient(port)
  await client.request('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz')
  client.close()
  await copies.waitForRequests(from + 2)
  const log = sluice.errorLog().length
  release()
  await until('both answers', () => copies.requests.length === from + 2)
  assert.is((await rawRequest(port, 'GET /off HTTP/1.0\r\n\r\n')).slice(0, 15), 'HTTP/1.1 200 OK')
  assert.not.match(sluice.errorLog().slice(log), 'prematurely')
})

test.run()
