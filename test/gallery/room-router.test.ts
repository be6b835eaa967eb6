// WebSocket room router: one server for each room, which is told who comes.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { testScript } from '../../runtime/testing/index.ts'
import { gallery } from './gallery.ts'

const upstream = ['10.0.0.1:8001', '10.0.0.2:8001', '10.0.0.3:8001']

test('everybody in a room reaches the same server; rooms are spread', async () => {
  const script = await testScript(gallery('room-router.js'), { upstream })
  const used = new Set<string | null>()
  for (let room = 0; room < 30; room++) {
    const { peer } = await script.balancer({ uri: `/rooms/${room}`, args: 'user=ann' })
    const other = await script.balancer({ uri: `/rooms/${room}`, args: 'user=bob' })
    assert.is(other.peer, peer)
    used.add(peer)
  }
  assert.is(used.size, 3)
  script.dispose()
})

test('what is no room gets 404', async () => {
  const script = await testScript(gallery('room-router.js'))
  assert.is((await script.access({ uri: '/rooms/lobby' })).outcome, 'pass')
  for (const uri of ['/rooms/', '/rooms/a b', '/rooms/a/b', `/rooms/${'x'.repeat(65)}`, '/other']) {
    assert.is((await script.access({ uri })).answer?.status, 404, uri)
  }
  script.dispose()
})

test('the server is told who has come, and again when it is another server', async () => {
  const script = await testScript(gallery('room-router.js'))
  const opened = await script.wsOpen({ uri: '/rooms/lobby', args: { user: 'ann' } })
  assert.equal(opened.sent, [
    {
      to: 'upstream',
      data: '{"type":"join","room":"lobby","user":"ann","again":false}',
      binary: false,
    },
  ])
  const again = await script.wsOpen({ uri: '/rooms/lobby', webSocket: { reconnects: 1 } })
  assert.is(again.sent[0]?.data, '{"type":"join","room":"lobby","user":"guest","again":true}')
  script.dispose()
})

test.run()
