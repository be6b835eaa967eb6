// Servers that are changed while several workers serve: workers that come later have them too, until the next reload.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ask } from '../admin/site.ts'
import { freePort } from '../lib/ports.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { Crew, Load, until } from './crew.ts'

const names = ['one', 'two', 'three']

async function start(count: number, more = '') {
  const upstreams = await Promise.all(names.map((name) => recordingUpstream(() => ok(name))))
  const [one, two, three] = upstreams.map(({ address }) => address) as [string, string, string]
  const admin = await freePort()
  const crew = await Crew.start(
    count,
    'location /app { proxy_pass http://app; }',
    {},
    `admin 127.0.0.1:${admin}; upstream app { ${more} hash $arg_k; server ${one}; server ${two}; }`,
  )
  const change = async (method: string, server: string, body?: object) => {
    const path = `/api/v1/upstreams/app/servers${method === 'POST' ? '' : `/${encodeURIComponent(server)}`}`
    if (body === undefined) return ask(admin, method, path)
    return ask(admin, method, path, {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
  }
  /** Who answers for each key, in every worker. */
  const places = async () => {
    const of = new Set<string>()
    for (let k = 0; k < 6; k++) {
      const answers = new Set(await crew.ofEach(`/app?k=${k}`, count))
      assert.is(answers.size, 1, `key ${k} goes to ${[...answers].join(' and ')}`)
      of.add([...answers][0]!)
    }
    return [...of].sort().join(' ')
  }
  const close = async () => {
    assert.is(await crew.sluice.stop(), 0)
    for (const upstream of upstreams) await upstream.close()
  }
  return { crew, admin, one, two, three, change, places, close }
}

test('a worker that takes the place of another one has the servers as they were changed', async () => {
  const { crew, one, two, three, change, places, close } = await start(2, 'zone app 64k;')
  assert.is(await places(), 'one two')
  assert.is((await change('POST', '', { server: three })).status, 201)
  assert.is((await change('PATCH', two, { down: true })).status, 200)
  assert.is((await change('DELETE', one)).status, 204)
  assert.is(await places(), 'three')
  const log = crew.sluice.errorLog()
  for (const line of [`"${three}" added`, `"${two}" changed: down=true`, `"${one}" removed`])
    assert.is(
      log.split(`[notice] ${crew.sluice.pid}#0: admin API: upstream "app": server ${line}`).length,
      2,
      log,
    )
  const [victim] = await crew.pids(2)
  process.kill(victim!, 'SIGKILL')
  await crew.sluice.waitForLog(/exited on signal 9/)
  assert.is(await places(), 'three')
  await crew.tell('SIGUSR2', /new worker processes serve/)
  assert.is(await places(), 'three')
  await crew.reload((config) => `${config}\n# again\n`)
  assert.is(await places(), 'one two')
  await close()
})

test('changes and swaps at the same time are one act after the other in all workers, and lose no request', async () => {
  const { crew, three, change, places, close } = await start(2)
  const load = new Load(crew.port, 4, '/app?k=1')
  await until('load', () => load.requests > 20)
  const changes: Promise<{ status: number }>[] = []
  for (let i = 0; i < 10; i++) {
    changes.push(change('POST', '', { server: three }), change('DELETE', three))
    if (i === 5) await crew.reload((config) => `${config}\n# ${i}\n`)
  }
  const statuses = (await Promise.all(changes)).map(({ status }) => status)
  assert.ok(
    statuses.every((status) => [201, 204, 404, 409].includes(status)),
    statuses.join(),
  )
  assert.ok(statuses.includes(201))
  await change('DELETE', three)
  assert.is(await places(), 'one two')
  await load.stop()
  assert.equal(load.failures, [])
  await close()
})

test.run()
