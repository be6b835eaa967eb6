// nginx's `sticky cookie`, `route` and `learn`, and `drain`, in a running proxy.
import { createHash } from 'node:crypto'
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

test.run()
