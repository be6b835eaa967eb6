// The text of a list of servers in a store: what it may hold, and what is refused.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MAX_STORED, readStoredList, StoredListError, writeStoredList } from '../../runtime/stored-list.ts'

const PLAIN = {
  weight: 1,
  maxConns: 0,
  maxFails: 1,
  failTimeout: 10_000,
  backup: false,
  down: false,
  drain: false,
  route: '',
  resolve: true,
  service: '',
}

function problem(value: unknown): string {
  try {
    readStoredList(typeof value === 'string' ? value : JSON.stringify(value))
    return 'none'
  } catch (error) {
    assert.instance(error, StoredListError)
    return (error as Error).message
  }
}

test('a list has the members of "server", and their defaults', () => {
  const all = {
    server: '[::1]:81',
    weight: 5,
    max_conns: 10,
    max_fails: 0,
    fail_timeout: '1m',
    backup: true,
    down: true,
    drain: true,
    route: 'a',
  }
  assert.equal(
    readStoredList(JSON.stringify([{ server: '10.0.0.1' }, { server: 'app.test:81', fail_timeout: 3 }, all])),
    [
      { ...PLAIN, name: '10.0.0.1', addresses: [{ text: '10.0.0.1:80', host: '10.0.0.1', port: 80 }] },
      { ...PLAIN, name: 'app.test:81', addresses: [], failTimeout: 3_000 },
      {
        ...PLAIN,
        name: '[::1]:81',
        addresses: [{ text: '[::1]:81', host: '::1', port: 81 }],
        weight: 5,
        maxConns: 10,
        maxFails: 0,
        failTimeout: 60_000,
        backup: true,
        down: true,
        drain: true,
        route: 'a',
      },
    ],
  )
  assert.equal(readStoredList('[]'), [])
})

test('what is written is read as it was, and is short', () => {
  const text = '[{"server":"10.0.0.1:80"},{"server":"a.test","weight":2,"fail_timeout":"60s","drain":true}]'
  assert.is(writeStoredList(readStoredList(text)), text)
})

test('one mistake and none of it counts', () => {
  const one = (members: object) => problem([{ server: '10.0.0.1' }, { server: 'b', ...members }])
  assert.is(problem('[{'), 'it is no JSON')
  assert.is(problem({ server: 'a' }), 'it is no list')
  assert.is(problem([['a']]), 'number 1 is no server')
  assert.is(problem([null]), 'number 1 is no server')
  assert.is(problem([{ weight: 1 }]), 'number 1 has no "server"')
  assert.is(one({ wieght: 1 }), '"b" has an unknown member "wieght"')
  assert.is(one({ weight: 0 }), '"weight" of "b" is not a whole number from 1 to 1000000000')
  assert.is(one({ weight: '2' }), '"weight" of "b" is not a whole number from 1 to 1000000000')
  assert.is(one({ max_conns: -1 }), '"max_conns" of "b" is not a whole number from 0 to 1000000000')
  assert.is(one({ max_fails: 1.5 }), '"max_fails" of "b" is not a whole number from 0 to 1000000000')
  for (const time of ['10ms', 'soon', '', -1, 1.5, true, null])
    assert.is(
      one({ fail_timeout: time }),
      '"fail_timeout" of "b" is not a time in whole seconds, such as "10s"',
    )
  assert.is(one({ down: 'yes' }), '"down" of "b" is not true or false')
  assert.is(one({ route: 'a b' }), '"route" of "b" is not at most 32 characters of a cookie')
  assert.is(problem([{ server: 'a' }, { server: 'a' }]), '"a" is there twice')
  assert.match(problem([{ server: 'a b' }]), 'invalid host in "a b"')
  assert.match(problem([{ server: 'a:99999' }]), 'invalid port')
  assert.match(problem([{ server: '127.1' }]), 'invalid IPv4 address')
  assert.is(problem('['.repeat(20_000)), 'it is no JSON')
})

test('a list that machines share names no socket of one of them', () => {
  assert.is(
    problem([{ server: 'unix:/var/run/docker.sock' }]),
    'a unix socket cannot be in a list that machines share',
  )
})

test('whatever is there is a list or is refused', () => {
  const text =
    '[{"server":"10.0.0.1:80","weight":2,"fail_timeout":"30s","down":true},{"server":"a.test","route":"r"}]'
  let seed = 1
  const next = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed % below
  }
  let good = 0
  for (let i = 0; i < 20_000; i++) {
    const at = next(text.length)
    const with_ = ['', '"', '{', '[', ']', '-', '9', 'e', '\0', '\u2028', '\\', 'null', '"__proto__":1,'][
      next(13)
    ]!
    const broken = text.slice(0, at) + with_ + text.slice(at + next(3))
    if (problem(broken) === 'none') good++
  }
  assert.ok(good > 0 && good < 20_000)
})

test('a list is bounded', () => {
  const many = Array.from({ length: MAX_STORED + 1 }, (_, i) => ({ server: `10.0.${i >> 8}.${i & 255}` }))
  assert.is(problem(many.slice(1)), 'none')
  assert.is(problem(many), 'it has 1001 servers, more than 1000')
  assert.is(problem(`[${' '.repeat(2 ** 20)}]`), 'it is longer than 1048576 characters')
})

test.run()
