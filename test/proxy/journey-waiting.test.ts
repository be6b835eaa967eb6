// Hooks that wait while bytes arrive: nothing is lost, mixed up or read as something else meanwhile.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { once, socketUpstream } from './journey-tools.ts'

/** Sends a head with a part of the body, and the rest 10 ms later; `/SIZE/FRAMING/LETTER`. */
const upstream = await socketUpstream((socket) => {
  const serve = (head: string) => {
    const [, , size, framing, letter] = head.split(' ')[1]!.split('/')
    const body = letter!.repeat(Number(size))
    const half = Math.floor(body.length / 2)
    const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
    if (framing === 'switch') {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nearly ',
      )
      socket.on('data', (data) => socket.end(`echo ${data}`))
      return
    }
    if (framing === 'length') {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${body.slice(0, half)}`)
      setTimeout(() => socket.write(body.slice(half)), 10)
    } else if (framing === 'chunked') {
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(body.slice(0, half))}`)
      setTimeout(() => socket.write(`${chunk(body.slice(half))}0\r\n\r\n`), 10)
    } else {
      socket.write(`HTTP/1.1 200 OK\r\n\r\n${body.slice(0, half)}`)
      setTimeout(() => socket.end(body.slice(half)), 10)
    }
    once(socket, '\r\n\r\n', serve)
  }
  once(socket, '\r\n\r\n', serve)
})

const WAITS = `const wait = (ms) => new Promise((done) => setTimeout(done, ms))
export async function headerFilter(r) {
  await wait(40)
  r.headersOut.set('X-Waited', 'yes')
}
export async function access(r) {
  await wait(10)
}
`
const port = await freePort()
const sluice = await startSluice(
  `
http {
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://${upstream.address}; script scripts/waits.js; }
    location /plain { proxy_pass http://${upstream.address}; }
  }
}
`,
  { 'scripts/waits.js': WAITS },
)
test.after(async () => {
  await upstream.close()
  await sluice.stop()
})

for (const framing of ['length', 'chunked', 'close']) {
  test(`a header filter that waits while the body arrives by ${framing}`, async () => {
    const all = Array.from({ length: 30 }, async (_, i) => {
      const client = new HttpClient(port)
      const letter = String.fromCharCode(97 + (i % 26))
      const size = [10, 1000, 40_000, 200_000][i % 4]!
      const path = i % 3 === 0 ? '/plain' : '/hooked'
      const response = await client.get(`${path}/${size}/${framing}/${letter}`)
      client.close()
      assert.is(response.status, 200)
      assert.is(response.header('x-waited'), i % 3 === 0 ? undefined : 'yes')
      assert.ok(
        response.body === letter.repeat(size),
        `${response.body.length} of ${size} bytes, ${response.body.slice(0, 20)}`,
      )
    })
    await Promise.all(all)
  })
}

test('requests that are pipelined behind one that waits are answered in order', async () => {
  const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`
  const bytes =
    get('/x/3/length/a') + get('/plain/3/length/b') + get('/x/3/chunked/c', 'Connection: close\r\n')
  const framed = '1\r\nc\r\n2\r\ncc\r\n0'
  assert.equal((await rawRequest(port, bytes)).match(/aaa|bbb|1\r\nc\r\n2\r\ncc\r\n0/g), [
    'aaa',
    'bbb',
    framed,
  ])
})

test('a switch of protocols that waits for a hook loses no byte', async () => {
  const bytes = 'GET /x/1/switch/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  const response = await rawRequest(port, [bytes, 'hello'])
  assert.match(response, /^HTTP\/1.1 101 [\s\S]*X-Waited: yes\r\n\r\nearly echo hello$/)
})

test('a body is complete however long a hook waits before it is asked for', async () => {
  const client = new HttpClient(port)
  for (let i = 0; i < 3; i++) {
    const head = `POST /x/5/length/p HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n`
    client.send(head + 'x'.repeat(50_000))
    await new Promise((next) => setTimeout(next, 20))
    client.send('x'.repeat(50_000))
    assert.is((await client.response('POST')).body, 'ppppp')
  }
  client.close()
})

test('nothing broke', () => {
  assert.not.match(sluice.errorLog(), /\[(alert|emerg|crit|error)\]/)
})

test.run()
