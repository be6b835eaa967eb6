// Hooks on bodies that fail: a clean 500 while the head is still here, else a response that the client can tell is cut.

import type { Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome, type PhaseHandler } from '../../runtime/phases.ts'
import type { Exchange } from '../../runtime/proxy/exchange.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { FAIL, filteredSite, type Hook, hookOf, inPieces } from './body-filter-tools.ts'
import { askOnce } from './http2-client.ts'
import { descriptors, split, until } from './journey-tools.ts'

const site = await filteredSite(
  `
  default_type text/html;
  location /proxied { proxy_pass http://$UPSTREAM; }
  location /kept { proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; error_page 500 /sorry; }
  location /gzip { gzip on; gzip_min_length 0; proxy_pass http://$UPSTREAM; }
  location /text { return 200 'hello'; }
  location = /sorry { return 200 'sorry'; }
  location /files/ { }
  location /page { ssi on; return 200 '[<!--#include virtual="/proxied" -->]'; }
  location /stub { ssi on; return 200 '[<!--#block name="one" -->instead<!--#endblock --><!--#include virtual="/proxied" stub="one" -->]'; }
  `,
  { 'files/big.bin': Buffer.alloc(300_000, 'b'), 'files/one.txt': 'one' },
)
test.after(() => site.close())

const OK = 'HTTP/1.1 200 OK\r\n'
const CLOSE = 'HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

/** Fails at the `nth` piece, at once or later, and counts them. */
function failing(nth: number, waits = false): { readonly hook: Hook; pieces: number; x: Exchange | null } {
  const state = {
    pieces: 0,
    x: null as Exchange | null,
    hook: ((_text, _last, x) => {
      state.x = x
      const word = ++state.pieces === nth ? FAIL : null
      return waits ? new Promise((done) => setImmediate(() => done(word))) : word
    }) as Hook,
  }
  return state
}

/** Sends the first piece of a body that is promised to be longer; remembers the connection. */
function beginning(...pieces: string[]): { socket: Socket | null } {
  const state = { socket: null as Socket | null }
  site.answer = (socket) => {
    state.socket = socket
    void inPieces(socket, `${OK}Content-Length: 100\r\n\r\nabc`, ...pieces)
  }
  return state
}

const gone = (socket: Socket | null) => until('the upstream to be left', () => socket!.destroyed)

for (const waits of [false, true]) {
  const when = waits ? 'late' : 'at once'

  test(`at the first piece, ${when}: 500, and the upstream is left`, async () => {
    const upstream = beginning()
    const { hook } = failing(1, waits)
    site.filter('/proxied', hook)
    const answer = await rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.match(answer, /^HTTP\/1.1 500 Internal Server Error\r\n/)
    assert.match(answer, /\r\nConnection: close\r\n/)
    assert.not.match(answer, 'abc')
    await gone(upstream.socket)
  })

  test(`at a later piece, ${when}: the chunks do not end`, async () => {
    const upstream = beginning('def', 'ghi')
    const failure = failing(2, waits)
    site.filter('/proxied', failure.hook)
    const answer = await rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.is(split(answer).body, '3\r\nabc\r\n')
    assert.is(failure.pieces, 2)
    await gone(upstream.socket)
    assert.is(failure.x!.status, 200)
  })

  test(`at the last piece, ${when}: the chunks do not end`, async () => {
    site.answer = (socket) => void inPieces(socket, `${OK}\r\nabc`).then(() => socket.end())
    site.filter('/proxied', failing(2, waits).hook)
    const answer = await rawRequest(site.port, 'GET /proxied HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.is(split(answer).body, '3\r\nabc\r\n')
  })

  test(`a file, ${when}: it is closed`, async () => {
    const before = descriptors(process.pid)
    for (const path of ['/files/big.bin', '/files/one.txt', '/files/big.bin', '/files/big.bin']) {
      site.filter('/files/', failing(1, waits).hook)
      assert.match(await rawRequest(site.port, `GET ${path} ${CLOSE}`), /^HTTP\/1.1 500 /)
    }
    site.filter('/files/', failing(2, waits).hook)
    const cut = await rawRequest(site.port, `GET /files/big.bin ${CLOSE}`)
    assert.is(split(cut).body, `10000\r\n${'b'.repeat(65536)}\r\n`)
    await until('the files to be closed', () => descriptors(process.pid) <= before)
  })

  test(`a response of our own, ${when}`, async () => {
    site.filter('/text', failing(1, waits).hook)
    assert.match(await rawRequest(site.port, `GET /text ${CLOSE}`), /^HTTP\/1.1 500 /)
  })

  test(`HTTP/2, ${when}: the stream is reset`, async () => {
    beginning('def')
    site.filter('/proxied', failing(2, waits).hook)
    const cut = await askOnce(site.port, '/proxied')
    assert.equal([cut.status, cut.body, cut.code], [200, 'abc', 2])
    site.filter('/proxied', failing(1, waits).hook)
    const refused = await askOnce(site.port, '/proxied')
    assert.equal([refused.status, refused.code], [500, 0])
  })

  test(`HTTP/1.0, ${when}: the connection ends`, async () => {
    beginning('def')
    site.filter('/proxied', failing(2, waits).hook)
    const answer = await rawRequest(site.port, 'GET /proxied HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    assert.is(split(answer).body, 'abc')
  })
}

test('gzip holds the head back: the 500 is clean even later', async () => {
  site.answer = (socket) =>
    void inPieces(socket, `${OK}Content-Type: text/html\r\nContent-Length: 100\r\n\r\nabc`, 'def')
  site.filter('/gzip', failing(2).hook)
  const answer = await rawRequest(site.port, `GET /gzip HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n`)
  assert.match(answer, /^HTTP\/1.1 500 /)
  assert.not.match(answer, /Content-Encoding/)
})

test('the error page may be a location of its own, whose body goes without hooks', async () => {
  beginning()
  const page = failing(1)
  site.filter('/sorry', page.hook)
  site.filter('/kept', failing(1).hook)
  const answer = await rawRequest(site.port, 'GET /kept HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(answer, /^HTTP\/1.1 500 /)
  assert.is(split(answer).body, 'sorry')
  assert.is(page.pieces, 0)
})

test('header hook and body hook both fail, whenever they run: one answer', async () => {
  let calls = 0
  const headerFilter: PhaseHandler = (request) => {
    calls++
    request.fail('headerFilter', 'it fails too')
    return Outcome.FAILED
  }
  const body = failing(1)
  site.hook('/text', { headerFilter: [headerFilter], bodyFilter: [hookOf(body.hook)] })
  assert.match(await rawRequest(site.port, `GET /text ${CLOSE}`), /^HTTP\/1.1 500 /)
  assert.equal([calls, body.pieces], [2, 1])
})

test('the upstream was complete: its connection is kept, the next response is whole', async () => {
  let connections = 0
  site.answer = (socket) => {
    connections = site.upstream.sockets.length
    socket.write(`${OK}Content-Length: 3\r\n\r\nabc`)
  }
  site.filter('/kept', failing(1).hook)
  site.filter('/sorry')
  await rawRequest(site.port, `GET /kept ${CLOSE}`)
  const before = connections
  site.filter('/kept')
  const client = new HttpClient(site.port)
  assert.is((await client.get('/kept')).body, 'abc')
  assert.is(connections, before)
  client.close()
})

test('a subrequest that fails at once is an error page in the page, or its stub', async () => {
  beginning()
  site.filter('/proxied', failing(1).hook)
  assert.match(
    await rawRequest(site.port, `GET /page ${CLOSE}`),
    /500 Internal Server Error[\s\S]*\r\n0\r\n\r\n$/,
  )
  beginning()
  site.filter('/proxied', failing(1).hook)
  assert.match(await rawRequest(site.port, `GET /stub ${CLOSE}`), /instead/)
})

test('a subrequest that is cut takes the page with it', async () => {
  beginning('def')
  site.filter('/proxied', failing(2).hook)
  const answer = await rawRequest(site.port, 'GET /page HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(answer, /^HTTP\/1.1 200 OK\r\n/)
  assert.not.match(answer, /0\r\n\r\n$/)
  assert.not.match(answer, ']')
})

test('a hook that decides what it cannot decide is a hook that fails', async () => {
  for (const outcome of [Outcome.ANSWER, Outcome.REDIRECT, Outcome.PEER, Outcome.DROPPED]) {
    site.hook('/text', { bodyFilter: [() => outcome] })
    assert.match(await rawRequest(site.port, `GET /text ${CLOSE}`), /^HTTP\/1.1 500 /)
  }
})

test.run()
