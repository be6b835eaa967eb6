// The commands that change scripts of a whole fleet, against the admin API of one of its machines.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FleetError } from '../../runtime/fleet/fleet.ts'
import {
  answering,
  CANARY,
  DIGEST,
  type FleetDouble,
  FleetSite,
  recorded,
  rollout,
} from '../admin/fleet-double.ts'
import { runSluice } from '../lib/proxy-process.ts'
import { writeFiles } from '../lib/temp.ts'

let own: FleetSite
let fleet: FleetDouble

test.before.each(async () => {
  own = await FleetSite.start()
  fleet = own.fleet
  writeFiles(own.site.folder, { 'new/a.js': answering('two') })
})

test.after.each(() => own.close())

const run = (...args: string[]) => runSluice([...args, '--admin', String(own.port)], own.site.folder)

test('push: what serves, and on how many machines', async () => {
  fleet.steps = [rollout('recorded', ['web-1 serving', 'web-2 ready'])]
  const { code, stdout, stderr } = await run('scripts', 'push', 'new/a.js', '--author', 'Jörg')
  assert.equal([code, stderr], [0, ''])
  assert.is(stdout, 'a.js is version d1d1d1d1d1d1d1d1 on 1 of 2 machines, 1 to follow\n')
  assert.equal(fleet.asked, [{ name: 'a.js', text: answering('two'), author: 'Jörg', wait: 'verdict' }])
})

test('push --wait: a line for each change, until all serve', async () => {
  fleet.steps = [
    rollout('asking', ['web-1 asked', 'web-2 asked']),
    rollout('asking', ['web-1 ready', 'web-2 asked']),
    rollout('recorded', ['web-1 serving', 'web-2 ready']),
    rollout('done', ['web-1 serving', 'web-2 serving']),
  ]
  const canary = ['--canary', '5%', '--key', '$arg_u']
  const { code, stdout, stderr } = await run('scripts', 'push', 'new/a.js', '--wait', ...canary)
  assert.equal([code, stderr], [0, ''])
  assert.equal(stdout.split('\n'), [
    'push a.js d1d1d1d1d1d1d1d1 by ann',
    '  web-1  ready',
    '  web-1  serving  generation 7 after 30 ms',
    '  web-2  ready',
    '  web-2  serving  generation 7 after 30 ms',
    'a.js is version d1d1d1d1d1d1d1d1 on 2 of 2 machines',
    '',
  ])
  const [{ author, ...asked }] = fleet.asked as { author: string }[]
  assert.match(author, /^.+@.+$/)
  assert.equal(asked, {
    name: 'a.js',
    text: answering('two'),
    canary: { percent: 500, key: '$arg_u' },
    wait: 'nothing',
  })
})

test('a refusal: why, by machine, and exit code 1; with --wait alike', async () => {
  const refused = rollout(
    'refused',
    [
      'web-1 ready',
      'web-2 refused /srv/a.js:2:3: SyntaxError: no',
      'web-3 refused /opt/a.js:2:3: SyntaxError: no',
    ],
    { reason: 'web-2: /srv/a.js:2:3: SyntaxError: no; web-3: /opt/a.js:2:3: SyntaxError: no' },
  )
  const told = `sluice: the push of a.js is refused, and nothing has changed
  web-2: /srv/a.js:2:3: SyntaxError: no
  web-3: /opt/a.js:2:3: SyntaxError: no
`
  fleet.steps = [refused]
  const short = await run('scripts', 'push', 'new/a.js')
  assert.equal([short.code, short.stdout, short.stderr], [1, '', told])
  const long = await run('scripts', 'push', 'new/a.js', '--wait')
  assert.equal([long.code, long.stderr], [1, told])
  assert.match(long.stdout, '  web-2  refused  /srv/a.js:2:3: SyntaxError: no\n')
})

test('a machine that failed or is away: exit code 1', async () => {
  fleet.steps = [rollout('done', ['web-1 serving', 'web-2 failed the disk is full', 'web-3 away'])]
  const { code, stderr } = await run('scripts', 'push', 'new/a.js')
  assert.equal(
    [code, stderr],
    [1, 'sluice: web-2 failed: the disk is full\nsluice: web-3 is away; it catches up when it is back\n'],
  )
})

test('Redis is away: exit code 1 and what to do; --local does it', async () => {
  fleet.fault = new FleetError('unavailable', 'Redis cannot be reached')
  const { code, stderr } = await run('scripts', 'push', 'new/a.js')
  assert.equal(
    [code, stderr],
    [1, 'sluice: Redis cannot be reached; "?local=1" (--local) changes this machine alone\n'],
  )
  assert.is((await run('scripts', 'push', 'new/a.js', '--local')).code, 0)
  assert.is((await own.site.get()).body, 'two')
  assert.is((await run('scripts', 'rollback', 'a.js', '--local')).code, 0)
  assert.is((await own.site.get()).body, 'one')
})

test('rollback, promote and remove of all machines', async () => {
  fleet.state = { ...fleet.state, scripts: [recorded('a.js', CANARY)] }
  fleet.steps = [
    rollout('recorded', ['web-1 serving', 'web-2 ready']),
    rollout('done', ['web-1 serving', 'web-2 serving']),
  ]
  const back = await run('scripts', 'rollback', 'a.js', '--wait', '--author', 'bob')
  assert.equal([back.code, back.stderr], [0, ''])
  assert.match(back.stdout, / on 2 of 2 machines\n$/)
  assert.is((await run('scripts', 'promote', 'a.js', '--author', 'bob')).code, 0)
  assert.is((await run('scripts', 'remove', 'a.js', '--author', 'bob')).code, 0)
  assert.equal(fleet.asked, [
    { rollback: 'a.js', author: 'bob' },
    { promote: 'a.js', author: 'bob' },
    { remove: 'a.js', author: 'bob', reason: 'removed by bob' },
  ])
})

test('--json: the answer, and the exit code all the same', async () => {
  fleet.steps = [rollout('asking', ['web-1 asked']), rollout('done', ['web-1 serving', 'web-2 away'])]
  const { code, stdout, stderr } = await run('scripts', 'push', 'new/a.js', '--wait', '--json')
  assert.equal([code, stderr], [1, 'sluice: web-2 is away; it catches up when it is back\n'])
  assert.equal(JSON.parse(stdout), { rollout: fleet.steps[0] })
})

test('the fleet: machines, what each serves, and the versions', async () => {
  const there = { pid: 12, version: '0.1.0', seen: Date.now() - 1500, away: false, signs: true, drift: {} }
  fleet.state = {
    machine: 'web-1',
    connected: true,
    signed: true,
    machines: [
      { ...there, machine: 'web-1', scripts: { 'a.js': DIGEST, 'b.js': DIGEST } },
      {
        ...there,
        machine: 'web-2',
        away: true,
        signs: false,
        scripts: { 'a.js': '0e'.repeat(32) },
        drift: { 'a.js': 'saved here' },
      },
    ],
    scripts: [recorded('a.js', CANARY)],
  }
  const { code, stdout } = await run('scripts', 'fleet')
  assert.is(code, 0)
  assert.equal(stdout.replace(/\d s ago/g, '1 s ago').split('\n'), [
    'fleet: web-1 is one of 2 machines, 1 away, 1 with another version than recorded, versions are signed, 1 without script_sign_key',
    '',
    'machine  process  program  state     seen     signatures         script  version',
    'web-1         12    0.1.0  this one  1 s ago  checked            a.js    d1d1d1d1d1d1d1d1',
    '                                                                 b.js    d1d1d1d1d1d1d1d1',
    'web-2         12    0.1.0  away      1 s ago  taken as they are  a.js    0e0e0e0e0e0e0e0e  saved here',
    '',
    'script  version           state                 by      at                   author',
    'a.js    d1d1d1d1d1d1d1d1  live                  push    2030-01-02 03:04:05  ann',
    '        cacacacacacacaca  canary 5 % by $arg_u  canary  2030-01-02 03:04:05  cay',
    '        0a0a0a0a0a0a0a0a  earlier               push    2030-01-02 03:03:05  bob',
    '',
  ])
  const status = await run('status')
  assert.match(status.stdout, /\nfleet: web-1 is one of 2 machines, 1 away, .*\n\nworker /)
  assert.equal(JSON.parse((await run('status', '--json')).stdout).fleet.machines.length, 2)
  fleet.state = { ...fleet.state, connected: false }
  assert.match((await run('status')).stdout, '\nfleet: Redis cannot be reached; web-1 serves what it has\n')
  fleet.on = false
  assert.not.match((await run('status')).stdout, 'fleet')
  assert.match((await run('scripts', 'fleet')).stdout, 'no fleet: "store redis://…" makes one')
})

test('the fleet: what is there is compared with what is recorded, and nobody is well who is away', async () => {
  const there = { pid: 12, version: '0.1.0', seen: Date.now(), signs: false, drift: {}, scripts: {} }
  const line = async () => (await run('scripts', 'fleet')).stdout.split('\n')[0]
  fleet.state = { ...fleet.state, machines: [{ ...there, machine: 'web-1', away: false }] }
  assert.is(await line(), 'fleet: web-1 is one of 1 machine, all serve what is recorded')
  fleet.state = { ...fleet.state, machines: [{ ...there, machine: 'web-1', away: true }] }
  assert.is(await line(), 'fleet: web-1 is one of 1 machine, 1 away')
  const live = { digest: DIGEST, author: '', at: 0, kind: 'before' } as const
  const script = { ...recorded('a.js'), supersededBy: 'chat/a.js', live, earlier: [] }
  fleet.state = { ...fleet.state, scripts: [script] }
  assert.match(
    (await run('scripts', 'fleet')).stdout,
    /\na\.js +d1d1d1d1d1d1d1d1 {2}superseded by chat\/a\.js {2}before {2}1970-01-01 00:00:00 *\n/,
  )
})

test('push of what is recorded and serves everywhere: no roll-out, and exit code 0; with --wait alike', async () => {
  fleet.steps = [rollout('done', [], { id: '' })]
  for (const more of [[], ['--wait']]) {
    const { code, stdout, stderr } = await run('scripts', 'push', 'new/a.js', ...more)
    assert.equal([code, stdout, stderr], [0, 'a.js is version d1d1d1d1d1d1d1d1 already\n', ''])
  }
})

test('a machine on which the name is ambiguous is told of', async () => {
  fleet.steps = [rollout('done', ['web-1 serving', 'web-2 unused "a.js" may be any of x/a.js, y/a.js here'])]
  const { code, stdout, stderr } = await run('scripts', 'push', 'new/a.js')
  assert.is(stdout, 'a.js is version d1d1d1d1d1d1d1d1 on 1 of 1 machines\n')
  assert.equal([code, stderr], [1, 'sluice: web-2: "a.js" may be any of x/a.js, y/a.js here\n'])
})

test('adopt: what serves then, and where what was here is kept', async () => {
  const file = own.site.path('scripts/a.js')
  fleet.adoption = { file, generation: 3, took: 2, kept: ['/srv/.a.before-fleet-0123456789ab.js'] }
  const { code, stdout } = await run('scripts', 'adopt', 'a.js')
  assert.is(code, 0)
  assert.match(
    stdout,
    /^generation 3 serves after 2\.0 ms: .*\nwhat was here is kept in \/srv\/\.a\.before-fleet-0123456789ab\.js\n$/,
  )
  assert.equal(fleet.asked, [{ adopt: 'a.js' }])
  fleet.fault = new FleetError('unknown', 'the fleet has recorded no version of a.js')
  const none = await run('scripts', 'adopt', 'a.js')
  assert.equal([none.code, none.stderr], [1, 'sluice: the fleet has recorded no version of a.js\n'])
})

test('options that a command does not take', async () => {
  const wrong = async (...args: string[]) => {
    const { code, stderr } = await run('scripts', ...args)
    return [code, stderr]
  }
  assert.equal(await wrong('list', '--wait'), [
    1,
    'sluice: scripts: "list" takes no "--wait"; see scripts -h\n',
  ])
  assert.is((await wrong('rollback', 'a.js', '--canary', '5%'))[0], 1)
  assert.equal(await wrong('push', 'new/a.js', '--author', 'x'.repeat(101)), [
    1,
    'sluice: "--author" is a name of at most 100 visible characters\n',
  ])
  assert.equal(await wrong('push', 'new/a.js', '--key', '$arg_u'), [
    1,
    'sluice: scripts: "--key" says whom a canary serves; give its share as well: --canary 5%\n',
  ])
  assert.equal(fleet.asked, [])
})

test.run()
