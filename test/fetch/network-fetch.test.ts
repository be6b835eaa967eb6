// Fetches over real connections: heads and bodies as sent, peers, redirects, time, broken answers.
import { createServer } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FetchAgents } from '../../runtime/fetch/agents.ts'
import { freePort } from '../lib/ports.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { socketUpstream } from '../proxy/journey-tools.ts'
import { Fetching, group, listening, network, outcome } from './fetching.ts'

test('a request as it is sent, and its answer', async () => {
  const upstream = await recordingUpstream(
    () => 'HTTP/1.1 201 Made\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nhi',
  )
  const fetch = network(`http://127.0.0.1:${upstream.port}`)
  const fetching = new Fetching(fetch, {
    url: `http://127.0.0.1:${upstream.port}/a%20b/../caf\xc3\xa9?q=1#hash`,
    method: 'put',
    headers: [
      ['X-Key', 'caf\xc3\xa9'],
      ['x-twice', 'a'],
      ['X-Twice', 'b'],
    ],
    body: Buffer.from('body'),
  })
  assert.is(await fetching.result(), '201 hi')
  const { url, status, statusText, headers, redirected, empty } = fetching.head!
  assert.equal(
    { url, status, statusText, headers, redirected, empty },
    {
      url: `http://127.0.0.1:${upstream.port}/caf%C3%A9?q=1`,
      status: 201,
      statusText: 'Made',
      headers: [
        ['X-A', '1'],
        ['x-a', '2'],
        ['Content-Length', '2'],
      ],
      redirected: false,
      empty: false,
    },
  )
  assert.is(
    upstream.connections[0],
    'PUT /caf%C3%A9?q=1 HTTP/1.1\r\n' +
      `host: 127.0.0.1:${upstream.port}\r\n` +
      'accept: */*\r\n' +
      'user-agent: sluice/test\r\n' +
      'x-key: caf\xc3\xa9\r\n' +
      'x-twice: a\r\n' +
      'x-twice: b\r\n' +
      'content-length: 4\r\n' +
      'Connection: keep-alive\r\n\r\nbody',
  )
  await upstream.close()
})

test('what frames a message, splits it or names another host is refused before anything is sent', async () => {
  const upstream = await recordingUpstream()
  const fetch = network(`http://127.0.0.1:${upstream.port}`)
  const url = `http://127.0.0.1:${upstream.port}/`
  const headers = (...pairs: [string, string][]) => ({ url, headers: pairs })
  const cases: [Parameters<typeof outcome>[1], string][] = [
    [{ url: '/path' }, '"/path" is not a URL'],
    [{ url: 'ftp://a/' }, '"ftp://a/" is neither http nor https'],
    [{ url: 'file:///etc/passwd' }, '"file:///etc/passwd" is neither http nor https'],
    [{ url: 'http://u:p@a/' }, 'a URL holds no user and password; send an Authorization field'],
    [{ url: `http://a/${'x'.repeat(8200)}` }, 'the URL is longer than 8192 bytes'],
    [{ url: `http://a/${'\xc3\xa9'.repeat(3000)}` }, 'the URL is longer than 8192 bytes'],
    [{ url, method: 'CONNECT' }, 'the method "CONNECT" cannot be sent'],
    [{ url, method: 'tRACE' }, 'the method "tRACE" cannot be sent'],
    [{ url, method: 'GET / HTTP/1.1\r\nX:' }, 'the method "GET / HTTP/1.1\\r\\nX:" cannot be sent'],
    [{ url, body: Buffer.from('x') }, 'a GET request has no body'],
    [headers(['Transfer-Encoding', 'chunked']), "the header transfer-encoding is the proxy's own"],
    [headers(['content-length', '0']), "the header content-length is the proxy's own"],
    [headers(['Connection', 'x']), "the header connection is the proxy's own"],
    [headers(['x', 'a\r\nb: c']), 'the value of x holds a control character'],
    [headers(['x', 'a\0']), 'the value of x holds a control character'],
    [headers(['x y', 'a']), '"x y" is no header name'],
    [headers(['', 'a']), '"" is no header name'],
    [headers(['host', 'a b']), 'the header host names one host'],
    [headers(['host', 'a'], ['Host', 'b']), 'the header host names one host'],
    [headers(['x', 'y'.repeat(33_000)]), 'the header fields take more than 32768 bytes'],
    [
      headers(...Array.from({ length: 101 }, (): [string, string] => ['a', 'b'])),
      'a request has at most 100 header fields',
    ],
  ]
  for (const [request, message] of cases) assert.is(await outcome(fetch, request), `TypeError: ${message}`)
  assert.is(await outcome(fetch, headers(['host', 'other.example:81'])), '200 ok')
  assert.is(upstream.requests.length, 1)
  assert.is(upstream.requests[0].header('host'), 'other.example:81')
  await upstream.close()
})

test('a group is asked by name: its peers in turn, a dead one passed over and counted', async () => {
  const dead = await freePort()
  const upstream = await recordingUpstream()
  const chat = group('chat', [dead, upstream.port])
  const fetch = network('upstreams', { groups: [chat] })
  for (let i = 0; i < 4; i++) assert.is(await outcome(fetch, { url: 'http://chat/x' }), '200 ok')
  assert.is(upstream.requests.length, 4)
  assert.is(upstream.requests[0].header('host'), 'chat')
  assert.is(chat.peers[0].fails, 1)
  assert.equal(
    chat.peers.map((peer) => peer.connections),
    [0, 0],
  )
  await upstream.close()
})

test('a group without a live peer, and one that is not there', async () => {
  const fetch = network('upstreams', { groups: [group('chat', [await freePort()])] })
  assert.match(
    await outcome(fetch, { url: 'http://chat/' }),
    /^TypeError: http:\/\/chat\/: connection refused$/,
  )
  assert.is(
    await outcome(fetch, { url: 'http://other/' }),
    'TypeError: http://other is not allowed; "script_allow_fetch http://other;" would allow it',
  )
  const down = group('down', [await freePort()])
  down.peers[0].down = true
  assert.is(
    await outcome(network('upstreams', { groups: [down] }), { url: 'http://down/' }),
    'TypeError: no live upstreams in down',
  )
})

test('connections are kept, and one that was closed meanwhile is made anew', async () => {
  const sockets: Socket[] = []
  const server = createServer((request, response) => {
    sockets.push(request.socket)
    response.end('x')
  })
  const port = await listening(server)
  const fetch = network(`http://127.0.0.1:${port}`)
  const url = `http://127.0.0.1:${port}/`
  assert.is(await outcome(fetch, { url }), '200 x')
  assert.is(await outcome(fetch, { url }), '200 x')
  assert.is(sockets[0], sockets[1])
  // The peer closes just when the next request is on its way.
  const next = new Fetching(fetch, { url })
  sockets[0].destroy()
  assert.is(await next.result(), '200 x')
  assert.is.not(sockets[2], sockets[0])
  server.close()
  server.closeAllConnections()
})

test('an answer without a body leaves the call at once and the connection to the next', async () => {
  const upstream = await recordingUpstream((head) =>
    head.startsWith('HEAD')
      ? 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
      : 'HTTP/1.1 204 No Content\r\n\r\n',
  )
  const fetch = network(`http://127.0.0.1:${upstream.port}`)
  for (const method of ['HEAD', 'GET', 'DELETE']) {
    const fetching = new Fetching(fetch, { url: `http://127.0.0.1:${upstream.port}/`, method })
    await fetching.result()
    assert.ok(fetching.head!.empty)
  }
  assert.is(upstream.connections.length, 1)
  await upstream.close()
})

test('redirects: followed, handed over, or an error', async () => {
  const upstream = await recordingUpstream((head) => {
    const to = /^[A-Z]+ \/(30\d)/.exec(head)
    if (to === null) return ok(head.split(' ', 2).join(' '))
    return `HTTP/1.1 ${to[1]} Moved\r\nLocation: /there?x\r\nContent-Length: 4\r\n\r\ngone`
  })
  const base = `http://127.0.0.1:${upstream.port}`
  const fetch = network(base)
  const cases: [method: string, status: number, then: string][] = [
    ['GET', 301, 'GET /there?x'],
    ['POST', 301, 'GET /there?x'],
    ['POST', 302, 'GET /there?x'],
    ['PUT', 302, 'PUT /there?x'],
    ['PUT', 303, 'GET /there?x'],
    ['POST', 307, 'POST /there?x'],
    ['POST', 308, 'POST /there?x'],
  ]
  for (const [method, status, then] of cases) {
    const body = method === 'GET' ? null : Buffer.from('payload')
    const headers: [string, string][] = [['Content-Type', 'text/plain']]
    const fetching = new Fetching(fetch, { url: `${base}/${status}`, method, body, headers })
    assert.is(await fetching.result(), `200 ${then}`)
    assert.ok(fetching.head!.redirected)
    const last = upstream.requests.at(-1)!
    assert.is(
      last.header('content-type'),
      then.startsWith('GET') && method !== 'GET' ? undefined : 'text/plain',
    )
  }
  assert.is(await outcome(fetch, { url: `${base}/302`, redirect: 'manual' }), '302 gone')
  assert.is(
    await outcome(fetch, { url: `${base}/302`, redirect: 'error' }),
    `TypeError: ${base}/302: redirected to "/there?x"`,
  )
  await upstream.close()
})

test('redirects end: after five, at a place that is not allowed, and for bodies that are gone', async () => {
  const upstream = await recordingUpstream((head) => {
    const [, to] = /^[A-Z]+ \/\?to=(\S*) /.exec(head) ?? []
    return `HTTP/1.1 307 Moved\r\nLocation: ${to ?? '/'}\r\nContent-Length: 0\r\n\r\n`
  })
  const base = `http://127.0.0.1:${upstream.port}`
  const fetch = network(`${base} upstreams any`, { groups: [group('chat', [upstream.port])] })
  const cases: [to: string, message: string][] = [
    ['/', `${base}/: more than 5 redirects`],
    [
      'http://127.0.0.1:1/',
      '127.0.0.1 has the address 127.0.0.1, which is not allowed; "script_allow_fetch 127.0.0.1;" would allow it',
    ],
    [
      'http://169.254.169.254/latest',
      '169.254.169.254 has the address 169.254.169.254, which is not allowed; "script_allow_fetch 169.254.169.254;" would allow it',
    ],
    ['file:///etc/passwd', '"file:///etc/passwd" is neither http nor https'],
    ['http://chat/admin', 'a redirect to the upstream group chat is not followed'],
  ]
  for (const [to, message] of cases) {
    assert.is(await outcome(fetch, { url: `${base}/?to=${to}` }), `TypeError: ${message}`)
  }
  const streaming = new Fetching(fetch, { url: `${base}/?to=/`, method: 'POST', body: 'stream' })
  streaming.call.finish()
  assert.is(await streaming.result(), 'TypeError: a streamed body cannot be sent again after a redirect')
  await upstream.close()
})

test('credentials do not cross to another origin', async () => {
  const there = await recordingUpstream()
  const here = await recordingUpstream(
    () => `HTTP/1.1 302 Moved\r\nLocation: http://127.0.0.1:${there.port}/\r\nContent-Length: 0\r\n\r\n`,
  )
  const fetch = network(`http://127.0.0.1:${here.port} http://127.0.0.1:${there.port}`)
  const headers: [string, string][] = [
    ['Authorization', 'Bearer secret'],
    ['Cookie', 'a=b'],
    ['Host', 'here.example'],
    ['X-Other', 'kept'],
  ]
  assert.is(await outcome(fetch, { url: `http://127.0.0.1:${here.port}/`, headers }), '200 ok')
  assert.is(here.requests[0].header('authorization'), 'Bearer secret')
  const [last] = there.requests
  assert.equal(
    ['authorization', 'cookie', 'host', 'x-other'].map((name) => last.header(name)),
    [undefined, undefined, `127.0.0.1:${there.port}`, 'kept'],
  )
  await here.close()
  await there.close()
})

test('answers that are none', async () => {
  const answers: [bytes: string, reason: string][] = [
    ['nonsense\r\n\r\n', 'the answer is not HTTP/1.1'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc', 'the answer is not HTTP/1.1'],
    [
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'the answer is not HTTP/1.1',
    ],
    [`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`, 'the head of the answer is too large'],
    ['HTTP/1.1 200 OK\r\nContent-Le', 'the connection was closed before a complete answer'],
    ['', 'the connection was closed before a complete answer'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', 'the answer was cut off'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 'the answer is not HTTP/1.1'],
    [
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      'the answer switches protocols unasked',
    ],
  ]
  for (const [bytes, reason] of answers) {
    const upstream = await socketUpstream((socket) => {
      socket.once('data', () => socket.end(bytes, 'latin1'))
    })
    const chat = group('chat', [upstream.port, upstream.port])
    assert.match(
      await outcome(network('upstreams', { groups: [chat] }), { url: 'http://chat/' }),
      new RegExp(`^TypeError: http://chat/: ${reason}$`),
      bytes.slice(0, 60),
    )
    assert.equal(
      chat.peers.map(({ fails, connections }) => [fails, connections]),
      [
        [1, 0],
        [0, 0],
      ],
      bytes.slice(0, 60),
    )
    await upstream.close()
  }
})

test('a fetch ends when its time is over, wherever it is, and no peer is blamed for it', async () => {
  const stages: [send: string, until: (fetching: Fetching) => boolean][] = [
    ['', () => true],
    ['HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', (fetching) => fetching.head !== null],
  ]
  for (const [bytes, reached] of stages) {
    let closed: () => void = () => {}
    const gone = new Promise<void>((done) => {
      closed = done
    })
    const upstream = await socketUpstream((socket) => {
      socket.once('data', () => socket.write(bytes, 'latin1'))
      socket.on('end', closed)
      socket.on('error', closed)
    })
    const chat = group('chat', [upstream.port, upstream.port])
    const fetching = new Fetching(network('upstreams', { groups: [chat] }), {
      url: 'http://chat/',
      timeout: 200,
    })
    await fetching.until(() => reached(fetching))
    assert.is(await fetching.result(), 'TimeoutError: "http://chat/": no complete answer within 200 ms')
    await gone
    assert.equal(
      chat.peers.map(({ fails, connections }) => [fails, connections]),
      [
        [0, 0],
        [0, 0],
      ],
    )
    await upstream.close()
  }
})

test('an aborted fetch says nothing more, and its connection is closed', async () => {
  let closed: () => void = () => {}
  const gone = new Promise<void>((done) => {
    closed = done
  })
  const upstream = await socketUpstream((socket) => {
    socket.once('data', () => fetching.call.abort())
    socket.on('end', closed)
    socket.on('error', closed)
  })
  const chat = group('chat', [upstream.port])
  const fetching = new Fetching(network('upstreams', { groups: [chat] }), { url: 'http://chat/' })
  await gone
  await new Promise((next) => setImmediate(next))
  assert.equal([fetching.head, fetching.failures, chat.peers[0].connections], [null, [], 0])
  await upstream.close()
})

test('a slow reader holds the peer back', async () => {
  const TOTAL = 64 * 1024 * 1024
  let sent = 0
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`)
      const more = () => {
        while (sent < TOTAL) {
          sent += 65536
          if (!socket.write(Buffer.alloc(65536))) {
            socket.once('drain', more)
            return
          }
        }
      }
      more()
    })
  })
  const port = await listening(server)
  const fetching = new Fetching(network(`http://127.0.0.1:${port}`), { url: `http://127.0.0.1:${port}/` })
  await fetching.until(() => fetching.head !== null)
  // What the kernel's buffers on both sides take is sent; then it stops.
  let before = -1
  while (before !== sent) {
    before = sent
    await new Promise((next) => setTimeout(next, 100))
  }
  assert.ok(sent < TOTAL / 2, `${sent} bytes were sent to nobody`)
  const rss = process.memoryUsage().arrayBuffers
  assert.ok(rss < 16 * 1024 * 1024, `${rss} bytes are held`)
  let read = 0
  fetching.data = (chunk, last) => {
    assert.ok(chunk.length <= 64 * 1024)
    read += chunk.length
    if (last) finished()
    else fetching.call.read(false)
  }
  let finished: () => void = () => {}
  const end = new Promise<void>((done) => {
    finished = done
  })
  fetching.call.read(false)
  await end
  assert.is(read, TOTAL)
  server.close()
})

test('a streamed body waits for the connection and for the peer', async () => {
  const paused: Socket[] = []
  const upstream = await socketUpstream((socket) => {
    paused.push(socket)
    socket.pause()
  })
  const dead = await freePort()
  const chat = group('chat', [dead, upstream.port])
  const fetching = new Fetching(network('upstreams', { groups: [chat] }), {
    url: 'http://chat/',
    method: 'DELETE',
    body: 'stream',
  })
  const chunk = Buffer.alloc(65536, 'x')
  assert.is(fetching.call.write(chunk), false, 'there is no connection yet')
  await fetching.until(() => fetching.drains === 1)
  let written = 1
  while (fetching.call.write(chunk)) written++
  written++
  assert.ok(written < 200, 'the peer reads nothing: it must stop')
  paused[0].resume()
  let text = ''
  paused[0].on('data', (data) => {
    text += data.toString('latin1')
    if (text.endsWith('0\r\n\r\n')) paused[0].write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  await fetching.until(() => fetching.drains === 2)
  fetching.call.finish()
  assert.is(await fetching.result(), '200 ok')
  assert.match(text, /^DELETE \/ HTTP\/1\.1\r\n.*\r\ntransfer-encoding: chunked\r\n/s)
  assert.is(text.split('x').length - 1, written * 65536)
  await upstream.close()
})

test('an answer that comes before the request has gone out ends both', async () => {
  const upstream = await socketUpstream((socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n'))
  })
  const fetching = new Fetching(network(`http://127.0.0.1:${upstream.port}`), {
    url: `http://127.0.0.1:${upstream.port}/`,
    method: 'POST',
    body: 'stream',
  })
  fetching.call.write(Buffer.from('first'))
  assert.is(await fetching.result(), '413 ')
  assert.is(fetching.call.write(Buffer.from('second')), true)
  await upstream.close()
})

test('closing the agents ends what is under way', async () => {
  const upstream = await socketUpstream(() => {})
  const agents = new FetchAgents()
  const url = `http://127.0.0.1:${upstream.port}/`
  const fetching = new Fetching(network(`http://127.0.0.1:${upstream.port}`, { agents }), { url })
  while (upstream.sockets.length === 0) await new Promise((next) => setTimeout(next, 5))
  agents.close()
  assert.match(await fetching.result(), /^TypeError: .*closed before a complete answer$/)
  await upstream.close()
})

test.run()
