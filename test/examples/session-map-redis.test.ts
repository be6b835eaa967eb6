// Two machines, one Redis: users stay put while one machine, one application, then Redis itself is stopped.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RedisServer } from '../lib/redis.ts'
import { Application, type Example, http, startExample } from './example.ts'

const users = Array.from({ length: 60 }, (_, i) => `user-${i}`)
const applications: Application[] = []
let redis: RedisServer
let one: Example
let two: Example

test.before(async () => {
  redis = await RedisServer.start()
  for (const name of ['a', 'b', 'c'])
    applications.push(await Application.start((_, response) => response.end(name)))
  const ports = Object.fromEntries(applications.map(({ port }, i) => [9101 + i, port]))
  one = await startExample('session-map-redis', { ...ports, 6379: redis.port })
  two = await startExample('session-map-redis', { ...ports, 6379: redis.port })
  for (const machine of [one, two]) await reaching(machine)
})

test.after(async () => {
  await Promise.all([one.sluice.stop(), two.sluice.stop()])
  for (const application of applications) await application.stop()
  await redis.stop()
})

/** A machine serves before it has reached Redis. */
async function reaching(machine: Example): Promise<void> {
  for (let tries = 0; (await http(machine.port(8090), '/users')).status !== 200; tries++) {
    assert.ok(tries < 500, 'the machine does not reach Redis')
    await new Promise((next) => setTimeout(next, 20))
  }
}

/** Which application each user reaches. */
async function visit(machine: Example, path: string, who = users): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const user of who) {
    const { status, body } = await http(machine.port(8090), `${path}?userId=${user}`)
    assert.is(status, 200, `${user}: ${body}`)
    found[user] = body
  }
  return found
}

let home: Record<string, string>

test('a user reaches the same application by both machines, by script and without', async () => {
  home = await visit(one, '/')
  assert.equal([...new Set(Object.values(home))].sort(), ['a', 'b', 'c'])
  for (const path of ['/', '/sticky/', '/']) {
    assert.equal(await visit(two, path), home)
    assert.equal(await visit(one, path), home)
  }
  const { body } = await http(two.port(8090), '/users')
  assert.is(body.trim().split('\n').length, users.length)
})

test('one machine stops: its users reach the same applications by the other, and by it when it is back', async () => {
  await one.sluice.stop()
  assert.equal(await visit(two, '/'), home)
  const ports = Object.fromEntries(applications.map(({ port }, i) => [9101 + i, port]))
  one = await startExample('session-map-redis', { ...ports, 6379: redis.port })
  await reaching(one)
  assert.equal(await visit(one, '/sticky/'), home)
})

test('one application stops: its users move, the same way on both machines, and nobody else does', async () => {
  await applications[0]!.stop()
  const after = await visit(one, '/')
  for (const user of users) {
    if (home[user] === 'a') assert.is.not(after[user], 'a', user)
    else assert.is(after[user], home[user], user)
  }
  assert.equal(await visit(two, '/'), after)
  assert.equal(await visit(two, '/sticky/'), after)
  await applications[0]!.start()
  // Who has moved stays.
  for (const path of ['/', '/sticky/'])
    for (const machine of [one, two]) assert.equal(await visit(machine, path), after)
  home = after
})

test('Redis stops: everybody stays, new users are taken in; and it is told of them when it is back', async () => {
  await redis.stop()
  for (const path of ['/', '/sticky/'])
    for (const machine of [one, two]) assert.equal(await visit(machine, path), home)
  const fresh = ['new-1', 'new-2', 'new-3']
  const taken = await visit(one, '/', fresh)
  assert.equal(await visit(one, '/sticky/', fresh), taken)

  await redis.start()
  for (const machine of [one, two]) await reaching(machine)
  for (let tries = 0; !redis.command('keys', '*').includes('new-3'); tries++) {
    assert.ok(tries < 500, 'nothing was written down')
    await new Promise((next) => setTimeout(next, 20))
  }
  assert.equal(await visit(two, '/', fresh), taken)
})

test.run()
