// What all workers know alike: the memory store and its session maps.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Crew } from './crew.ts'

const PEER_OF_USER = `
import { map } from 'sluice:store'
const users = map('users')
export async function content(r) {
  r.return(200, await users.getOrSet(r.args.user, () => 'worker ' + sluice.worker + ' of ' + r.variables.pid))
}
`

test('a session map gives the same answer in every worker, and keeps it when a worker dies or all change', async () => {
  const crew = await Crew.start(
    3,
    'location /s { script s.js; }',
    { 's.js': PEER_OF_USER },
    'session_map users ttl=1h; store_timeout 10s;',
  )
  const answers = new Map<string, string>()
  for (let user = 0; user < 5; user++) {
    const seen = new Set(await crew.ofEach(`/s?user=${user}`, 3))
    assert.is(seen.size, 1, [...seen].join(', '))
    answers.set(String(user), [...seen][0])
  }
  const check = async () => {
    for (const [user, answer] of answers)
      for (const seen of await crew.ofEach(`/s?user=${user}`, 3)) assert.is(seen, answer)
  }
  const [victim] = await crew.pids(3)
  process.kill(victim, 'SIGKILL')
  await crew.sluice.waitForLog(/exited on signal 9/)
  await check()
  await crew.reload((config) => `${config}\n# again\n`)
  await check()
  await crew.tell('SIGUSR2', /new worker processes serve/)
  await check()
  assert.is(await crew.sluice.stop(), 0)
})

test('of workers that ask for a new key at the same time one is heard', async () => {
  const crew = await Crew.start(
    2,
    'location /s { script s.js; }',
    { 's.js': PEER_OF_USER },
    'session_map users; store_timeout 10s;',
  )
  for (let user = 0; user < 10; user++) {
    const answers = await Promise.all(Array.from({ length: 8 }, () => crew.get(`/s?user=${user}`)))
    assert.is(new Set(answers).size, 1, answers.join(', '))
  }
  assert.is(await crew.sluice.stop(), 0)
})

test('a memory store of another size is a new one in all workers, and the log says so', async () => {
  const crew = await Crew.start(
    2,
    'location /s { script s.js; }',
    { 's.js': PEER_OF_USER.replace("'worker ' +", "'generation ' + sluice.generation + ' worker ' +") },
    'store memory size=8m; session_map users; store_timeout 10s;',
  )
  const [before] = await crew.ofEach('/s?user=ann', 2)
  assert.match(before, /^generation 1 /)
  await crew.reload((config) => config.replace('size=8m', 'size=4m'))
  const after = new Set(await crew.ofEach('/s?user=ann', 2))
  assert.is(after.size, 1)
  assert.match([...after][0], /^generation 2 /)
  assert.match(crew.sluice.errorLog(), 'the memory store is made anew')
  assert.is(await crew.sluice.stop(), 0)
})

test.run()
