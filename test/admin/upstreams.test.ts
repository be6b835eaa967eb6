// Upstream groups over the admin API: how their servers do, and servers that are taken out and put back.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { AdminSite } from './site.ts'

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
