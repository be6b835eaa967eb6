// Upstream groups over the admin API: how their servers do, and servers that come, change and go.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { AdminSite, type ApiAnswer } from './site.ts'

async function chat() {
  const [one, two] = [await recordingUpstream(() => ok('one')), await recordingUpstream(() => ok('two'))]
  const site = await AdminSite.start(
    (port, admin) => `admin ${admin};
    upstream chat { server ${one.address} weight=2; server ${two.address}; }
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://chat; } }`,
  )
  const path = (address: string) => `/api/v1/upstreams/chat/servers/${encodeURIComponent(address)}`
  const answers = async (count: number) => {
    const found = new Set<string>()
    for (let i = 0; i < count; i++) found.add((await site.get()).body)
    return [...found].sort()
  }
  const close = async () => {
    await site.close()
    await one.close()
    await two.close()
  }
  return { one, two, site, path, answers, close }
}

test('groups with their servers', async () => {
  const { one, two, site, close } = await chat()
  const { status, json } = await site.ask('GET', '/api/v1/upstreams')
  assert.is(status, 200)
  const peer = { backup: false, down: false, draining: false, resting: false, fails: 0, connections: 0 }
  assert.equal(json.upstreams, [
    {
      name: 'chat',
      method: 'round_robin',
      shared: false,
      peers: [
        { name: one.address, address: one.address, weight: 2, ...peer },
        { name: two.address, address: two.address, weight: 1, ...peer },
      ],
    },
  ])
  assert.is((await site.ask('GET', '/api/v1/upstreams/CHAT')).json.name, 'chat')
  const none = await site.ask('GET', '/api/v1/upstreams/other')
  assert.equal([none.status, none.json.detail], [404, 'there is no upstream "other"; there are: chat'])
  await close()
})

test('a server is taken out and put back', async () => {
  const { one, site, path, answers, close } = await chat()
  assert.equal(await answers(4), ['one', 'two'])
  const out = await site.patch(path(one.address), { down: true })
  assert.equal([out.status, out.json.peers[0].down], [200, true])
  assert.equal(await answers(4), ['two'])
  assert.is((await site.patch(path(one.address), { down: false })).status, 200)
  assert.equal(await answers(4), ['one', 'two'])
  await close()
})

test('a server that drains takes no new requests', async () => {
  const { two, site, path, answers, close } = await chat()
  const { json } = await site.patch(path(two.address), { drain: true })
  assert.is(json.peers[1].draining, true)
  assert.equal(await answers(4), ['one'])
  await close()
})

test('a server comes and goes', async () => {
  const { one, two, site, path, answers, close } = await chat()
  const three = await recordingUpstream(() => ok('three'))
  const server = { server: three.address, weight: 3, maxConns: 50, maxFails: 2, failTimeout: 5000 }
  const added = await site.post('/api/v1/upstreams/CHAT/servers', server)
  assert.is(added.status, 201)
  assert.equal(
    added.json.peers.map(({ address, weight }: { address: string; weight: number }) => [address, weight]),
    [
      [one.address, 2],
      [two.address, 1],
      [three.address, 3],
    ],
  )
  assert.equal(await answers(6), ['one', 'three', 'two'])
  assert.is((await site.patch(path(one.address), { weight: 1, backup: true })).status, 200)
  assert.equal(await answers(6), ['three', 'two'])
  const gone = await site.ask('DELETE', path(three.address))
  assert.equal([gone.status, gone.text], [204, ''])
  assert.equal(await answers(4), ['two'])
  assert.is((await site.ask('DELETE', path(three.address))).status, 404)
  await three.close()
  await close()
})

test('what is wrong with a server that comes or goes is said as a problem', async () => {
  const { one, two, site, path, answers, close } = await chat()
  const servers = '/api/v1/upstreams/chat/servers'
  const cases: [() => Promise<ApiAnswer>, number, RegExp][] = [
    [
      () => site.post('/api/v1/upstreams/none/servers', { server: 'a' }),
      404,
      /^there is no upstream "none"; there are: chat$/,
    ],
    [() => site.post(servers, { server: one.address }), 409, /^upstream "chat" has the server ".*" already$/],
    [() => site.post(servers, { server: '10.0.0.1:0' }), 422, /^invalid port in "10.0.0.1:0"$/],
    [
      () => site.post(servers, { server: 'nowhere.invalid' }),
      422,
      /^host not found in upstream "nowhere.invalid"$/,
    ],
    [() => site.post(servers, { server: '10.0.0.1', weight: 0 }), 422, /^"weight" is a whole number from 1/],
    [() => site.post(servers, {}), 422, /^"server" is the address of a server/],
    [() => site.post(servers, { server: 'caf\xe9' }), 422, /^"server" is the address of a server/],
    [() => site.post(servers, { server: '10.0.0.1', route: 'x' }), 422, /^there is no member "route"/],
    [() => site.ask('DELETE', path('10.0.0.1:1')), 404, /^upstream "chat" has no server "10.0.0.1:1"$/],
  ]
  for (const [send, status, detail] of cases) {
    const answer = await send()
    assert.equal([answer.status, answer.headers['content-type']], [status, 'application/problem+json'])
    assert.match(answer.json.detail, detail)
  }
  assert.equal(await answers(4), ['one', 'two'])
  assert.is((await site.ask('DELETE', path(two.address))).status, 204)
  const last = await site.ask('DELETE', path(one.address))
  assert.equal(
    [last.status, last.json.detail],
    [409, `"${one.address}" is the last server of upstream "chat"`],
  )
  await close()
})

test('a state that cannot be written keeps a change from being made', async () => {
  const one = await recordingUpstream(() => ok('one'))
  const site = await AdminSite.start(
    (port, admin) => `admin ${admin}; upstream kept { state kept/here; }
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://kept; } }`,
    { 'kept/other': '' },
  )
  rmSync(site.path('kept'), { recursive: true })
  const add = () => site.post('/api/v1/upstreams/kept/servers', { server: one.address })
  const refused = await add()
  assert.is(refused.status, 507)
  assert.match(refused.json.detail, /^the state of upstream "kept" cannot be written: ENOENT/)
  assert.is((await site.get()).status, 502)
  mkdirSync(site.path('kept'))
  assert.is((await add()).status, 201)
  assert.is(readFileSync(site.path('kept/here'), 'utf8'), `server ${one.address};\n`)
  assert.is((await site.get()).status, 200)
  await site.close()
  await one.close()
})

test('a state file that was edited by hand keeps a change from being made until a reload has read it', async () => {
  const one = await recordingUpstream(() => ok('one'))
  const site = await AdminSite.start(
    (port, admin) => `admin ${admin}; upstream kept { state kept; }
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://kept; } }`,
    { kept: 'server 127.0.0.1:1;\n' },
  )
  const add = () => site.post('/api/v1/upstreams/kept/servers', { server: one.address })
  const remove = () => site.ask('DELETE', `/api/v1/upstreams/kept/servers/${one.address}`)
  assert.is((await add()).status, 201)
  assert.is((await remove()).status, 204)
  const edited = '# mine\nserver 127.0.0.1:2;\n'
  writeFileSync(site.path('kept'), edited)
  const refused = await add()
  assert.equal(
    [refused.status, refused.json.detail],
    [409, 'the state file of upstream "kept" was changed by hand or removed; reload first'],
  )
  assert.is(readFileSync(site.path('kept'), 'utf8'), edited)
  await site.control.reload()
  assert.is((await add()).status, 201)
  assert.is(readFileSync(site.path('kept'), 'utf8'), `server 127.0.0.1:2;\nserver ${one.address};\n`)
  await site.close()
  await one.close()
})

test('every change that is made is a line of the error log, and none that is refused', async () => {
  const { one, site, path, close } = await chat()
  const own = () => site.log.filter((line) => line.includes('admin API'))
  assert.is((await site.patch(path(one.address), { weight: 7, drain: true })).status, 200)
  assert.is((await site.post('/api/v1/upstreams/chat/servers', { server: '127.0.0.1:1' })).status, 201)
  assert.is((await site.patch(path('127.0.0.1:7'), { down: true })).status, 404)
  assert.is((await site.ask('DELETE', path('127.0.0.1:1'))).status, 204)
  assert.equal(own(), [
    `[notice] admin API: upstream "chat": server "${one.address}" changed: drain=true weight=7`,
    '[notice] admin API: upstream "chat": server "127.0.0.1:1" added',
    '[notice] admin API: upstream "chat": server "127.0.0.1:1" removed',
  ])
  await close()
})

test('addresses of a kept name are not changed one by one', async () => {
  const site = await AdminSite.start(
    (port, admin) => `admin ${admin}; upstream kept { state kept; }
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://kept; } }`,
    { kept: 'server localhost:1;\n' },
  )
  const { live } = site.gateway.generation.upstreams.named('kept')!
  live.replace([{ ...live.servers[0]!, addresses: [{ text: '127.0.0.1:1' }, { text: '[::1]:1' }] }])
  const path = `/api/v1/upstreams/kept/servers/${encodeURIComponent('[::1]:1')}`
  const refused = await site.patch(path, { down: true })
  assert.equal(
    [refused.status, refused.json.detail],
    [409, 'upstream "kept" keeps its servers by name; change "localhost:1", which is all its addresses'],
  )
  assert.is((await site.patch('/api/v1/upstreams/kept/servers/localhost:1', { down: true })).status, 200)
  assert.is(readFileSync(site.path('kept'), 'utf8'), 'server localhost:1 down;\n')
  await site.close()
})

test('what is wrong with a change is said, and nothing changes', async () => {
  const { one, site, path, answers, close } = await chat()
  const cases: [unknown, number, RegExp][] = [
    [{}, 422, /^there is nothing to change/],
    [{ down: 1 }, 422, /^"down" is true or false$/],
    [{ weight: 0 }, 422, /^"weight" is a whole number from 1/],
    [{ weight: 1.5 }, 422, /^"weight" is a whole number/],
    [{ color: 'red' }, 422, /^there is no member "color"/],
    [[], 422, /^a JSON object is wanted$/],
  ]
  for (const [body, status, detail] of cases) {
    const answer = await site.patch(path(one.address), body)
    assert.is(answer.status, status)
    assert.match(answer.json.detail, detail)
  }
  const gone = await site.patch(path('127.0.0.1:9'), { down: true })
  assert.equal([gone.status, gone.json.detail], [404, 'upstream "chat" has no server "127.0.0.1:9"'])
  const server = await site.post('/api/v1/upstreams/chat/servers', { server: 'a b' })
  assert.is(server.status, 422)
  assert.equal(await answers(4), ['one', 'two'])
  await close()
})

test.run()
