// nginx's `sticky cookie`, `route` and `learn`, and `drain`, in a running proxy.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { type ClientResponse, HttpClient } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'

test('requests keep to the peer that their cookie, route or session names', async () => {
  const port = await freePort()
  const apps = await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      recordingUpstream((head) => ok(name, /\/login/.test(head) ? `Set-Cookie: sid=s-${name}\r\n` : '')),
    ),
  )
  const [a, b, c] = apps.map(({ address }) => address) as [string, string, string]
  const all = `server ${a}; server ${b}; server ${c};`
  const sluice = await startSluice(
    `upstream cookie { ${all} sticky cookie peer expires=1h domain=.example.com path=/ httponly secure samesite=lax; }
    upstream unsafe { ${all} sticky cookie peer domain=$arg_d samesite=$arg_s; }
    upstream route { server ${a} route=one; server ${b} route=two; server ${c} route=three backup; sticky route $cookie_r $arg_r; }
    upstream learn { ${all} sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=s:1m; }
    upstream drained { server ${a} route=one drain; server ${b}; sticky route $arg_r; }
    server {
      listen 127.0.0.1:${port};
      location /cookie { proxy_pass http://cookie; }
      location /unsafe { proxy_pass http://unsafe; }
      location /route { proxy_pass http://route; }
      location /learn { proxy_pass http://learn; }
      location /drained { proxy_pass http://drained; }
      location /named { set $to learn; proxy_pass http://$to/learn; }
    }`,
  )
  const client = new HttpClient(port)
  const ask = (path: string, cookie = ''): Promise<ClientResponse> =>
    client.get(path, cookie === '' ? {} : { Cookie: cookie })
  /** Which applications answer six times. */
  const answers = async (path: string, cookie = ''): Promise<string> => {
    const seen = new Set<string>()
    for (let i = 0; i < 6; i++) seen.add((await ask(path, cookie)).body)
    return [...seen].sort().join('')
  }
  const id = (address: string) => createHash('md5').update(address).digest('hex')

  // The cookie says who, and is set again with every answer.
  const first = await ask('/cookie')
  const set = first.header('set-cookie')!
  assert.match(
    set,
    /^peer=[0-9a-f]{32}; expires=\w{3}, \d\d-\w{3}-\d\d [\d:]{8} GMT; max-age=3600; domain=\.example\.com; httponly; secure; samesite=lax; path=\/$/,
  )
  assert.is(await answers('/cookie', set.split(';')[0]), first.body)
  assert.is(await answers('/cookie', `peer=${id(b)}`), 'b')
  assert.is(await answers('/cookie', 'peer=nobody'), 'abc')
  // What comes from clients cannot add to it.
  const unsafe = (await ask('/unsafe?d=x%3Bpath=/&s=evil;')).header('set-cookie')!
  assert.match(unsafe, /^peer=[0-9a-f]{32}(?:; domain=x%3Bpath=\/)?; samesite=strict$/)

  assert.is(await answers('/route?r=two'), 'b')
  assert.is(await answers('/route?r=two', 'r=one'), 'a')
  assert.is(await answers('/route'), 'ab')
  assert.is(await answers('/route?r=three'), 'ab')

  const login = await ask('/learn/login')
  assert.is(await answers('/learn', `sid=s-${login.body}`), login.body)
  assert.is(await answers('/named', `sid=s-${login.body}`), login.body)
  assert.is(await answers('/learn', 'sid=unknown'), 'abc')

  assert.is(await answers('/drained'), 'b')
  assert.is(await answers('/drained?r=one'), 'a')
  client.close()
  await sluice.stop()
  for (const app of apps) await app.close()
})

for (const header of ['', 'header'])
  test(`a session is learned ${header === '' ? 'once the response is over' : 'from the head of the response'}`, async () => {
    const port = await freePort()
    const apps = await Promise.all(['a', 'b'].map(endlessApp))
    const sluice = await startSluice(
      `upstream app { ${apps.map(({ address }) => `server ${address};`).join(' ')}
        sticky learn create=$cookie_sid lookup=$cookie_sid zone=s:1m ${header}; }
      server { listen 127.0.0.1:${port}; proxy_buffering off; location / { proxy_pass http://app; } }`,
    )
    const begun: IncomingMessage[] = []
    for (let i = 0; i < 4; i++) begun.push(await begin(port, 'sid=s'))
    assert.is(begun.map(({ headers }) => headers['x-name']).join(''), header === '' ? 'abab' : 'aaaa')
    for (const { end } of apps) end()
    for (const response of begun) await once(response.resume(), 'end')
    // Who was over last has it.
    const later = [await begin(port, 'sid=s'), await begin(port, 'sid=s')]
    assert.is(new Set(later.map(({ headers }) => headers['x-name'])).size, 1)
    for (const response of later) response.destroy()
    await sluice.stop()
    for (const { close } of apps) close()
  })

test('a peer that another one had to stand in for is not learned', async () => {
  const port = await freePort()
  const [bad, good] = await Promise.all([
    recordingUpstream(() => 'HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'),
    recordingUpstream(() => ok('good')),
  ])
  const sluice = await startSluice(
    `upstream app { server ${bad.address} max_fails=0; server ${good.address};
      sticky learn create=$cookie_sid lookup=$cookie_sid zone=s:1m; }
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://app; proxy_next_upstream http_503; } }`,
  )
  const client = new HttpClient(port)
  for (let i = 0; i < 4; i++) assert.is((await client.get('/', { Cookie: 'sid=s' })).body, 'good')
  assert.equal([bad.requests.length, good.requests.length], [1, 4])
  client.close()
  await sluice.stop()
  for (const app of [bad, good]) await app.close()
})

/** Its responses begin, and end when it is told. */
async function endlessApp(name: string) {
  const open = new Set<ServerResponse>()
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'X-Name': name })
    response.write('.')
    open.add(response)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    end: () => {
      for (const response of open) response.end()
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Resolves when the head is here. */
async function begin(port: number, Cookie: string): Promise<IncomingMessage> {
  const request = get({ host: '127.0.0.1', port, headers: { Cookie }, agent: false })
  const [response] = await once(request, 'response')
  return response.on('error', () => undefined)
}

test.run()
