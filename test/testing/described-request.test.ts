// A described request is a request: parsed, matched, balanced and answered by the proxy's own code.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome, type PhaseHandler } from '../../runtime/phases.ts'
import type { DescribedRequest } from '../../runtime/testing/described-request.ts'
import { DescribedSite, type SiteOptions } from '../../runtime/testing/described-site.ts'
import type { RequestDescription } from '../../runtime/testing/description.ts'

/** A request of its own site, which ends with the check. */
async function withRequest(
  description: RequestDescription,
  check: (request: DescribedRequest, site: DescribedSite) => void,
  options: SiteOptions = {},
): Promise<void> {
  const site = await DescribedSite.make(options)
  try {
    const request = site.request(description)
    check(request, site)
    request.end()
    assert.is(site.generation.pins, 0)
  } finally {
    site.dispose()
  }
}

const value = (site: DescribedSite, request: DescribedRequest, name: string) =>
  site.host.variable(name)?.get(request)

test('nothing described: GET / HTTP/1.1 from the loopback address', () =>
  withRequest({}, (request, site) => {
    assert.is(request.method, 'GET')
    assert.is(request.uri, '/')
    assert.is(request.rawArgs, '')
    assert.is(request.httpVersion, '1.1')
    assert.is(request.remoteAddress, '127.0.0.1')
    assert.equal(request.requestHeaders.entries(), [['Host', 'localhost']])
    assert.is(value(site, request, 'request'), 'GET / HTTP/1.1')
    assert.is(value(site, request, 'host'), 'localhost')
  }))

test('variables come from the request, unless they are described themselves', () =>
  withRequest(
    {
      method: 'POST',
      uri: '/a b',
      args: 'userId=7&x=%20',
      headers: { Cookie: 'sid=1; lang=de', 'X-Real': 'r', Host: 'Example.com:8080' },
      remoteAddress: '203.0.113.7',
      variables: { geo_country: 'de', Remote_Port: '99', http_x_real: 'other' },
    },
    (request, site) => {
      const expected = {
        arg_userid: '7',
        cookie_lang: 'de',
        http_x_real: 'other',
        host: 'example.com',
        request_uri: '/a%20b?userId=7&x=%20',
        uri: '/a b',
        remote_addr: '203.0.113.7',
        remote_port: '99',
        geo_country: 'de',
        mapped: 'seven',
        nowhere: undefined,
      }
      for (const [name, wanted] of Object.entries(expected)) {
        assert.is(value(site, request, name), wanted, name)
      }
      assert.is(site.host.template('$mapped-$http_x_real')(request), 'seven-other')
      assert.throws(() => site.host.template('$nowhere'), 'unknown variable "$nowhere"')
    },
    { http: 'map $arg_userId $mapped { 7 seven; default other; }' },
  ))

test('variables that can be set, and those that cannot', () =>
  withRequest(
    { variables: { described: 'a' } },
    (request, site) => {
      const set = (name: string, to: string) => site.host.variable(name)!.set!(request, to)
      set('user', 'ann')
      set('described', 'b')
      assert.is(value(site, request, 'user'), 'ann')
      assert.is(value(site, request, 'described'), 'b')
      assert.equal(
        [...request.variablesSet],
        [
          ['user', 'ann'],
          ['described', 'b'],
        ],
      )
      assert.throws(() => set('nowhere', 'x'), 'there is no variable $nowhere')
      assert.is(site.host.variable('remote_addr')!.set, null)
    },
    { variables: { user: '' } },
  ))

const IMPOSSIBLE: [what: string, description: RequestDescription, message: string][] = [
  ['a relative path', { uri: 'x' }, 'uri: "x" does not begin with "/"'],
  ['a space in the query', { args: 'a b' }, 'args: a query holds no space'],
  ['a method of two words', { method: 'GET /' }, 'the request would be refused with 400'],
  ['a header name with a space', { headers: { 'a b': '' } }, 'headers: "a b" is no header name'],
  ['a header value with a line break', { headers: { a: 'b\r\nc: d' } }, 'headers: the value of a cannot be'],
  [
    'a length of its own',
    { headers: { 'content-length': '3' } },
    'headers: content-length follows from the body',
  ],
  ['a host that is none', { headers: { host: 'a b' } }, 'invalid host header'],
  ['two hosts', { headers: { host: ['a', 'b'] } }, 'the request would be refused with 400'],
  ['a target that climbs', { target: '/../..' }, 'the request would be refused with 400'],
  ['target and uri', { target: '/', uri: '/a' }, 'target: describe either the target or uri and args'],
]

for (const [what, description, message] of IMPOSSIBLE) {
  test(`no request: ${what}`, async () => {
    const site = await DescribedSite.make()
    try {
      site.request(description)
      assert.unreachable()
    } catch (error) {
      assert.is((error as Error).name, 'DescriptionError')
      assert.ok((error as Error).message.includes(message), (error as Error).message)
    }
    assert.is(site.generation.pins, 0)
    site.dispose()
  })
}

test('directives that the proxy would refuse are refused with their place', async () => {
  try {
    await DescribedSite.make({ location: 'proxy_pas x;' })
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /described\.conf:\d+:\d+: unknown directive "proxy_pas"/)
  }
})

test('what a hook sets is checked by the rules of the proxy', () =>
  withRequest({}, (request) => {
    assert.throws(() => request.requestHeaders.set('Content-Length', '1'), 'is written by the proxy itself')
    assert.throws(() => request.requestHeaders.set('a', 'b\n'), 'holds a control character')
    assert.throws(() => {
      request.uri = '/../..'
    }, 'not a path that may be requested')
    assert.throws(() => {
      request.status = 99
    }, 'a whole number from 100 to 999')
    assert.throws(() => request.redirect('http://other/'), 'a redirect goes to a "/path"')
  }))

test('a response as the upstream sent it, minus what the proxy does not pass on', () =>
  withRequest(
    {
      status: 404,
      responseHeaders: [
        ['Server', 'x'],
        ['X-Accel-Expires', '1'],
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=2'],
        ['Content-Type', 'text/html'],
        ['Location', 'http://127.0.0.1:8001/x'],
      ],
    },
    (request, site) => {
      request.respond()
      assert.is(request.status, 404)
      assert.equal(request.responseHeaders.entries(), [
        ['Content-Type', 'text/html'],
        ['Location', 'http://127.0.0.1:8001/x'],
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=2'],
      ])
      assert.is(value(site, request, 'upstream_addr'), '127.0.0.1:8001')
      assert.is(value(site, request, 'upstream_status'), '404')
      assert.is(value(site, request, 'upstream_http_server'), 'x')
    },
  ))

test('the body arrives when it is asked for, and only if it is not too large', async () => {
  const bodies: (string | Error)[] = []
  const read = (request: DescribedRequest) =>
    request.readBody((error, body) => bodies.push(error ?? Buffer.from(body).toString('latin1')))
  await withRequest({ method: 'POST', body: 'a\xff' }, read)
  await withRequest({}, read)
  await withRequest({ method: 'POST', body: 'x'.repeat(2000) }, read, {
    location: 'client_body_buffer_size 1k;',
  })
  assert.is(bodies[0], 'a\xff')
  assert.is(bodies[1], '')
  assert.match((bodies[2] as Error).message, 'larger than client_body_buffer_size')
})

// ---- balancing ----

const upstream = { name: 'chat', method: 'hash $arg_userId consistent', servers: ['a:1', 'b:1', 'c:1'] }

/** Runs one balancer hook; the name of the peer that was taken. */
function balance(request: DescribedRequest, hook: PhaseHandler): string | null {
  request.run('balancer', hook, () => {})
  return request.peerName
}

const pass: PhaseHandler = () => Outcome.PASS

test('the configured method decides where the hook does not; its key may be described', async () => {
  await withRequest({ args: 'userId=7' }, (request) => assert.is(balance(request, pass), 'b:1'), { upstream })
  await withRequest(
    { variables: { arg_userid: '7' } },
    (request) => {
      assert.is(balance(request, pass), 'b:1')
      assert.is(request.call?.name, 'chat')
    },
    { upstream },
  )
})

test('peers as described: a hook sees them, and the methods obey', () =>
  withRequest(
    {
      peers: [
        { name: 'a:1', address: '10.0.0.1:1', connections: 5, weight: 2 },
        { name: 'b:1', fails: 1 },
        { name: 'c:1', down: true },
        { name: 'd:1', backup: true },
      ],
    },
    (request) => {
      const name = balance(request, (seen) => {
        const { balancer } = seen
        assert.equal(
          balancer?.peers.map(({ name, address, weight, connections, fails, down, backup }) =>
            [name, address, weight, connections, fails, down, backup].join(' '),
          ),
          [
            'a:1 10.0.0.1:1 2 5 0 false false',
            'b:1 b:1 1 0 1 false false',
            'c:1 c:1 1 0 0 true false',
            'd:1 d:1 1 0 0 false true',
          ],
        )
        // b rests after its failure, c is down.
        assert.is(balancer?.roundRobin(), 0)
        assert.is(balancer?.leastConn(), 0)
        balancer?.choose(3)
        return Outcome.PEER
      })
      assert.is(name, 'd:1')
    },
  ))

test('a next try knows of the one before', () =>
  withRequest(
    { tried: [{ peer: 'b:1', failure: 'http_502' }] },
    (request) => {
      balance(request, ({ balancer }) => {
        assert.is(balancer?.tries, 1)
        assert.is(balancer?.lastFailure, 'http_502')
        assert.is.not(balancer?.peers[balancer.hash('7', true)]?.name, 'b:1')
        return Outcome.PASS
      })
      const second = request.peerName
      request.failTry('timeout')
      balance(request, ({ balancer }) => {
        assert.is(balancer?.tries, 2)
        assert.is(balancer?.lastFailure, 'timeout')
        return Outcome.PASS
      })
      assert.is.not(request.peerName, second)
    },
    { upstream: { servers: ['a:1', 'b:1', 'c:1'] } },
  ))

test('round robin goes on over the requests of a site; a request that ends gives its peer back', async () => {
  const site = await DescribedSite.make({ upstream: { servers: ['a:1', { name: 'b:1', weight: 2 }] } })
  const names: (string | null)[] = []
  for (let i = 0; i < 6; i++) {
    const request = site.request()
    names.push(balance(request, pass))
    assert.is(
      request.call?.peers.reduce((sum, peer) => sum + peer.connections, 0),
      1,
    )
    request.end()
    assert.is(
      request.call?.peers.reduce((sum, peer) => sum + peer.connections, 0),
      0,
    )
  }
  assert.equal(names, ['b:1', 'a:1', 'b:1', 'b:1', 'a:1', 'b:1'])
  site.dispose()
})

const GROUPS: [what: string, upstream: NonNullable<SiteOptions['upstream']>, message: string][] = [
  ['no server', { servers: [] }, 'upstream: no servers in upstream "app"'],
  ['an unknown method', { method: 'fastest', servers: ['a:1'] }, 'upstream: there is no method "fastest"'],
  ['a weight of nothing', { servers: [{ name: 'a:1', weight: 0 }] }, 'must be a whole number from 1 on'],
  ['a tried peer that is not there', { servers: ['a:1'] }, 'tried: there is no peer "z:1"'],
  ['a failure that is none', { servers: ['z:1'] }, 'no try fails with "tired"'],
]

for (const [what, upstream, message] of GROUPS) {
  test(`no upstream group: ${what}`, async () => {
    let shown = ''
    try {
      await withRequest({ tried: [{ peer: 'z:1', failure: 'tired' }] }, (request) => balance(request, pass), {
        upstream,
      })
    } catch (error) {
      shown = (error as Error).message
    }
    assert.ok(shown.includes(message), shown)
  })
}

test('only one hook runs at a time, and none once the request is over', () =>
  withRequest({}, (request) => {
    let settled = 0
    request.run(
      'access',
      () => Outcome.SUSPENDED,
      () => settled++,
    )
    assert.throws(() => request.run('access', pass, () => {}), 'a hook of this request still runs')
    request.hookSettled(Outcome.PASS)
    request.hookSettled(Outcome.PASS)
    assert.is(settled, 1)
    request.end()
    assert.throws(() => request.run('access', pass, () => {}), 'the request is over')
  }))

test('a WebSocket refuses what the proxy would refuse', () =>
  withRequest(
    { webSocket: { protocol: 'chat', reconnects: 1 } },
    ({ socket }) => {
      const bytes = (count: number) => new Uint8Array(count)
      assert.equal([socket.protocol, socket.reconnects], ['chat', 1])
      assert.throws(() => socket.send('client', bytes(101), true), 'at most 100 bytes (ws_max_message_size)')
      assert.throws(() => socket.replace(bytes(101), true), 'at most 100 bytes (ws_max_message_size)')
      socket.send('client', bytes(100), true)
      socket.send('upstream', bytes(100), false)
      assert.throws(
        () => socket.send('client', bytes(51), true),
        'wait for the client already (ws_send_queue)',
      )
      assert.throws(() => socket.close(1005, ''), '1005 is not a close code that may be sent')
      assert.throws(() => socket.close(1000, 'x'.repeat(124)), 'at most 123 bytes')
      socket.close(4000, 'done')
      assert.throws(() => socket.send('client', bytes(1), true), 'the WebSocket is closed')
      assert.equal(socket.closed, { code: 4000, reason: 'done' })
      assert.equal(
        socket.sent.map(({ to, data, binary }) => [to, data.length, binary]),
        [
          ['client', 100, true],
          ['upstream', 100, false],
        ],
      )
    },
    { location: 'ws_max_message_size 100; ws_send_queue 150;' },
  ))

test.run()
