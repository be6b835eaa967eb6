// What a change of a group's servers comes to: the list afterwards, or why it cannot be.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ServerChange, ServerChoices } from '../../runtime/control.ts'
import { addressesFor, MAX_SERVERS, plannedServers, ServerChangeError } from '../../runtime/server-changes.ts'
import { LiveGroup } from '../../runtime/upstream/live-group.ts'
import { KEEPALIVE_DEFAULTS, type Method, type ServerOptions } from '../../runtime/upstream/options.ts'
import { stateText } from '../../runtime/upstream/state-file.ts'
import { server } from './groups.ts'

function live(lines: readonly string[], method: Method = 'round_robin', allowEmpty = false): LiveGroup {
  const servers = lines.map(server)
  return new LiveGroup({ name: 'app', method, servers, keepalive: KEEPALIVE_DEFAULTS, allowEmpty })
}

const add = (name: string, options: ServerChoices = {}): ServerChange => ({
  kind: 'add',
  group: 'app',
  server: name,
  options,
})
const patch = (name: string, options: ServerChoices): ServerChange => ({
  kind: 'patch',
  group: 'app',
  server: name,
  options,
})
const remove = (name: string): ServerChange => ({ kind: 'remove', group: 'app', server: name })

/** The change is planned and put into service. @returns its servers, one line each */
function change(
  app: LiveGroup,
  wanted: ServerChange,
  addresses: readonly string[] = [wanted.server],
): string {
  const found = wanted.kind === 'add' ? addresses.map((text) => ({ text })) : []
  app.replace(plannedServers(app, wanted, found))
  return stateText(app.servers)
}

/** `CODE: message`; the group stays as it is. */
function refusal(app: LiveGroup, wanted: ServerChange, addresses?: readonly string[]): string {
  const { group, servers } = app
  try {
    change(app, wanted, addresses)
  } catch (error) {
    assert.instance(error, ServerChangeError)
    assert.is(app.group, group)
    assert.is(app.servers, servers)
    return `${(error as ServerChangeError).code}: ${(error as Error).message}`
  }
  return 'it was done'
}

const states = ({ group }: LiveGroup) =>
  group.peers.map(
    ({ address, down, drain }) => `${address.text}${down ? ' down' : ''}${drain ? ' drain' : ''}`,
  )

test('servers come and go', () => {
  const app = live(['a', 'b weight=2'])
  assert.is(change(app, add('c')), 'server a;\nserver b weight=2;\nserver c;\n')
  assert.is(
    change(app, add('d', { weight: 3, backup: true, maxConns: 5, maxFails: 0, failTimeout: 2500 })),
    'server a;\nserver b weight=2;\nserver c;\nserver d weight=3 max_conns=5 max_fails=0 fail_timeout=3s backup;\n',
  )
  assert.is(
    change(app, remove('b')),
    'server a;\nserver c;\nserver d weight=3 max_conns=5 max_fails=0 fail_timeout=3s backup;\n',
  )
})

test('a change says only what changes', () => {
  const app = live(['a weight=5 max_fails=3', 'b'])
  assert.is(change(app, patch('a', { down: true })), 'server a weight=5 max_fails=3 down;\nserver b;\n')
  assert.is(
    change(app, patch('a', { weight: 2, maxConns: 10 })),
    'server a weight=2 max_conns=10 max_fails=3 down;\nserver b;\n',
  )
  assert.is(
    change(app, patch('a', { down: false, drain: true })),
    'server a weight=2 max_conns=10 max_fails=3 drain;\nserver b;\n',
  )
  assert.is(
    change(app, patch('b', { backup: true })),
    'server a weight=2 max_conns=10 max_fails=3 drain;\nserver b backup;\n',
  )
})

test('what is not there, is there already, or is the last', () => {
  const app = live(['a', 'b backup', 'host -> 10.0.0.1:80 10.0.0.2:80'])
  assert.is(refusal(app, patch('x', { down: true })), 'absent: upstream "app" has no server "x"')
  assert.is(refusal(app, remove('x')), 'absent: upstream "app" has no server "x"')
  assert.is(refusal(app, add('a')), 'conflict: upstream "app" has the server "a" already')
  assert.is(
    refusal(app, add('10.0.0.2:80')),
    'conflict: upstream "app" has the server "10.0.0.2:80" already, as "host"',
  )
  assert.is(
    refusal(app, add('other', {}), ['10.0.0.9:80', '10.0.0.1:80']),
    'conflict: upstream "app" has the server "other" already, as "host"',
  )
  change(app, remove('host'))
  assert.is(refusal(app, remove('a')), 'conflict: "a" is the last server of upstream "app"')
  assert.is(refusal(app, patch('a', { backup: true })), 'conflict: "a" is the last server of upstream "app"')
  assert.is(change(live(['a'], 'round_robin', true), remove('a')), '')
})

test('what no group could have', () => {
  assert.is(
    refusal(live(['a', 'b'], 'ip_hash'), patch('b', { backup: true })),
    'invalid: upstream "app": balancing method "ip_hash" does not allow backup servers',
  )
  assert.is(
    refusal(live(['a']), patch('a', { weight: 0 })),
    'invalid: the weight of "a" in upstream "app" must be a whole number from 1 on',
  )
  assert.is(
    refusal(live(['a', 'b'], 'hash consistent'), patch('a', { weight: 65_536 })),
    'invalid: a consistent hash needs weights that add up to 65536 at most, not 65537',
  )
})

test('a name with several addresses changes as one; an address of it only goes out and comes back', () => {
  const app = live(['host -> 10.0.0.1:80 10.0.0.2:80', 'b'])
  change(app, patch('10.0.0.2:80', { down: true }))
  change(app, patch('10.0.0.2:80', { drain: true }))
  assert.equal(states(app), ['10.0.0.1:80', '10.0.0.2:80 down drain', 'b'])
  assert.is(
    refusal(app, patch('10.0.0.2:80', { down: false, weight: 2 })),
    'conflict: "10.0.0.2:80" is one of the addresses of "host" in upstream "app"; change "weight" there; an address has "down" and "drain"',
  )
  assert.is(
    refusal(app, remove('10.0.0.1:80')),
    'conflict: "10.0.0.1:80" is one of the addresses of "host" in upstream "app"; remove that, or take this address out of it with "down"',
  )
  change(app, patch('host', { down: false, weight: 2 }))
  assert.equal(states(app), ['10.0.0.1:80', '10.0.0.2:80 drain', 'b'])
  change(app, patch('10.0.0.1:80', { down: true }))
  change(app, patch('10.0.0.1:80', { down: false }))
  change(app, patch('host', { drain: false }))
  assert.equal(states(app), ['10.0.0.1:80', '10.0.0.2:80', 'b'])
  change(app, remove('host'))
  assert.equal(states(app), ['b'])
})

test('the only address of a name is the name', () => {
  const app = live(['10.0.0.1 -> 10.0.0.1:80', 'b'])
  assert.is(change(app, patch('10.0.0.1:80', { weight: 3 })), 'server 10.0.0.1 weight=3;\nserver b;\n')
  assert.is(change(app, remove('10.0.0.1:80')), 'server b;\n')
})

test('a list that grows without end is refused', () => {
  const one: ServerOptions = server('a')
  const many = Array.from({ length: MAX_SERVERS }, (_, i) => ({
    ...one,
    name: `s${i}`,
    addresses: [{ text: `s${i}` }],
  }))
  const app = new LiveGroup({
    name: 'app',
    method: 'round_robin',
    servers: many,
    keepalive: KEEPALIVE_DEFAULTS,
  })
  assert.is(refusal(app, add('x')), `conflict: upstream "app" has ${MAX_SERVERS} servers already`)
})

test('the addresses of a server that comes', async () => {
  assert.equal(await addressesFor(add('127.0.0.1')), [{ text: '127.0.0.1:80', host: '127.0.0.1', port: 80 }])
  assert.equal(await addressesFor(remove('nowhere.invalid')), [])
  for (const [name, reason] of [
    ['nowhere.invalid', 'host not found in upstream "nowhere.invalid"'],
    ['10.0.0.1:0', 'invalid port in "10.0.0.1:0"'],
    ['a{b', 'invalid host in "a{b"'],
  ] as const) {
    const error = await addressesFor(add(name)).catch((thrown: ServerChangeError) => thrown)
    assert.instance(error, ServerChangeError)
    assert.equal([(error as ServerChangeError).code, (error as Error).message], ['invalid', reason])
  }
})

test.run()
