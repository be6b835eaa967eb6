// The same user always reaches the same server; another one only while that server is down.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { testScript } from '../../runtime/testing/index.ts'
import { gallery } from './gallery.ts'

const SERVERS = ['10.0.0.1:8001', '10.0.0.2:8001', '10.0.0.3:8001']

test('the same user, the same server', async () => {
  const script = await testScript(gallery('balancer.js'), { upstream: SERVERS })
  const first = await script.balancer({ args: 'userId=7' })
  const again = await script.balancer({ args: 'x=1&userId=7' })
  assert.is(first.peer, '10.0.0.2:8001')
  assert.is(again.peer, first.peer)
  script.dispose()
})

test('a user whose server is down reaches another one, and comes back', async () => {
  const script = await testScript(gallery('balancer.js'), { upstream: SERVERS })
  const peers = SERVERS.map((name) => ({ name, down: name === '10.0.0.2:8001' }))
  const away = await script.balancer({ args: 'userId=7', peers })
  assert.is(away.outcome, 'peer')
  assert.is.not(away.peer, '10.0.0.2:8001')
  assert.is((await script.balancer({ args: 'userId=7' })).peer, '10.0.0.2:8001')
  script.dispose()
})

test('a server more moves about a quarter of the users, all of them to it', async () => {
  const script = await testScript(gallery('balancer.js'), { upstream: SERVERS })
  const before: (string | null)[] = []
  for (let user = 0; user < 200; user++) before.push((await script.balancer({ args: `userId=${user}` })).peer)
  script.setServers([...SERVERS, '10.0.0.4:8001'])
  let moved = 0
  for (let user = 0; user < 200; user++) {
    const { peer } = await script.balancer({ args: `userId=${user}` })
    if (peer === before[user]) continue
    moved++
    assert.is(peer, '10.0.0.4:8001')
  }
  assert.ok(moved > 25 && moved < 80, `${moved} of 200 moved`)
  script.dispose()
})

test.run()
