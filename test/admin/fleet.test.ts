// Scripts over the admin API of a machine that has a fleet: what the fleet is asked, and what is made of its answer.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FleetError } from '../../runtime/fleet/fleet.ts'
import {
  answering,
  CANARY,
  CANARY_FILE,
  DIGEST,
  type FleetDouble,
  FleetSite,
  recorded,
  rollout,
} from './fleet-double.ts'
import { type Asked, ask } from './site.ts'

let own: FleetSite
let fleet: FleetDouble

test.before.each(async () => {
  own = await FleetSite.start()
  fleet = own.fleet
})

test.after.each(() => own.close())

const api = (method: string, path: string, asked?: Asked) => ask(own.port, method, `/api/v1/${path}`, asked)
const put = (query: string, text = answering('two'), headers: Record<string, string> = {}) =>
  api('PUT', `scripts/a.js${query}`, {
    headers: { 'Content-Type': 'text/javascript', ...headers },
    body: Buffer.from(text),
  })
const post = (path: string) => api('POST', path, { headers: { 'Content-Type': 'application/json' } })

test('a push is the fleet’s; the answer is of this machine, once it serves by it, and of all', async () => {
  fleet.steps = [
    rollout('recorded', ['web-1 ready', 'web-2 ready']),
    rollout('recorded', ['web-1 serving', 'web-2 ready']),
    rollout('done', ['web-1 serving', 'web-2 serving']),
  ]
  const { status, json } = await put('', `\ufeff${answering('two')}`, { 'X-Sluice-Author': 'ann@desk' })
  assert.is(status, 200)
  assert.equal(fleet.asked, [{ name: 'a.js', text: answering('two'), author: 'ann@desk', wait: 'verdict' }])
  assert.equal([json.generation, json.took], [7, 30])
  assert.is(json.file, own.site.path('scripts/a.js'))
  assert.match(json.digest, /^[0-9a-f]{16}$/)
  assert.equal(json.rollout, rollout('recorded', ['web-1 serving', 'web-2 ready']))
})

test('a script of other machines alone is pushed by its name', async () => {
  fleet.steps = [rollout('done', ['web-1 unused', 'web-2 serving'], { name: 'c.js' })]
  const { status, json } = await api('PUT', 'scripts/c.js', {
    headers: { 'Content-Type': 'text/javascript' },
    body: 'export {}',
  })
  assert.is(status, 200)
  assert.equal(fleet.asked, [{ name: 'c.js', text: 'export {}', author: 'unknown', wait: 'verdict' }])
  assert.equal([json.file, json.digest, json.generation], [null, null, 0])
})

test('a refusal tells what each machine has against it', async () => {
  const reason = '/srv/a.js:2:3: SyntaxError: no\n  r.return(200,, 1)\n               ^'
  fleet.steps = [
    rollout('refused', ['web-1 ready', `web-2 refused ${reason}`], { reason: 'web-2 refuses it' }),
  ]
  const { status, headers, json } = await put('')
  assert.is(status, 422)
  assert.is(headers['content-type'], 'application/problem+json')
  assert.equal([json.title, json.detail], ['the fleet refuses it', 'web-2 refuses it'])
  const place = { machine: 'web-2', file: '/srv/a.js', line: 2, column: 3 }
  const excerpt = '  r.return(200,, 1)\n               ^'
  assert.equal(json.problems, [{ ...place, severity: 'error', message: 'SyntaxError: no', excerpt }])
  assert.equal(json.rollout, fleet.steps[0])
})

test('what cannot be asked of the fleet has its status', async () => {
  const told = async (error: FleetError) => {
    fleet.fault = error
    const { status, json } = await put('')
    return [status, json.detail]
  }
  assert.equal(await told(new FleetError('conflict', 'bob pushed it')), [409, 'bob pushed it'])
  assert.equal(await told(new FleetError('unknown', 'no such script')), [404, 'no such script'])
  assert.equal(await told(new FleetError('refused', 'it has a canary')), [422, 'it has a canary'])
  assert.equal(await told(new FleetError('unavailable', 'Redis is away')), [
    503,
    'Redis is away; "?local=1" (--local) changes this machine alone',
  ])
})

test('without Redis nothing is guessed: neither a push nor a rollback is made here alone unasked', async () => {
  fleet.state = { ...fleet.state, connected: false }
  for (const answer of [
    await put(''),
    await post('scripts/a.js/rollback'),
    await api('DELETE', 'scripts/a.js'),
  ]) {
    assert.is(answer.status, 503)
    assert.match(answer.json.detail, '"?local=1" (--local) changes this machine alone')
  }
  assert.equal(fleet.asked, [])
  assert.is((await own.site.get()).body, 'one')
})

test('a machine that has just begun does not take what is recorded for its own', async () => {
  fleet.state = { ...fleet.state, machines: [] }
  const { status, json } = await post('scripts/a.js/rollback')
  assert.equal([status, json.detail], [503, 'this machine is about to join its fleet; try again in a moment'])
})

test('local=1 changes this machine alone', async () => {
  const { status, json } = await put('?local=1')
  assert.equal([status, json.generation, json.rollout], [200, 2, undefined])
  assert.is((await own.site.get()).body, 'two')
  assert.is((await post('scripts/a.js/rollback?local=1')).status, 200)
  assert.is((await own.site.get()).body, 'one')
  assert.equal(fleet.asked, [])
})

test('what the fleet is not asked for changes this machine as before', async () => {
  fleet.on = false
  assert.is((await put('?wait=0')).json.generation, 2)
  assert.is((await own.site.get()).body, 'two')
  assert.is((await post('scripts/a.js/rollback')).status, 200)
  const canary = await put('?canary=5%25')
  assert.equal([canary.status, canary.json.title], [409, 'no fleet'])
  assert.equal((await api('GET', 'fleet')).json, { on: false })
  assert.is((await api('GET', 'rollouts/r1')).status, 404)
  assert.equal(fleet.asked, [])
})

test('a canary has a share and a key', async () => {
  fleet.steps = [rollout('done', ['web-1 serving'])]
  assert.is((await put('?canary=12.5%25&key=%24arg_u')).status, 200)
  assert.is((await put('?canary=100')).status, 200)
  assert.equal(
    fleet.asked.map((asked) => (asked as { canary: unknown }).canary),
    [
      { percent: 1250, key: '$arg_u' },
      { percent: 10_000, key: '' },
    ],
  )
})

test('a parameter that is none makes no other change of it', async () => {
  const refused = async (query: string) => {
    const { status, json } = await put(query)
    assert.is(status, 422, query)
    return json.detail
  }
  assert.match(
    await refused('?canray=5%25'),
    'no parameter "canray"; those known are local, canary, key, wait',
  )
  assert.match(await refused('?canary=5&canary=6'), 'given twice')
  for (const share of ['', '0', '101', 'x', '-1', '5%25%25'])
    assert.match(await refused(`?canary=${share}`), 'is no share')
  assert.match(await refused('?key=$arg_u'), '"key" is for "canary"')
  assert.match(await refused(`?canary=5&key=${'k'.repeat(256)}`), 'at most 255')
  assert.match(await refused('?canary=5&key=a%1b%5b2J'), '"key" is a text')
  assert.match(await refused('?local=yes'), 'write "local=1"')
  assert.match(await refused('?wait=1'), 'write "wait=0"')
  assert.match(await refused('?local=1&canary=5'), 'without a fleet')
  assert.is((await post('scripts/a.js/rollback?canary=5')).status, 422)
  assert.equal(fleet.asked, [])
  assert.is((await own.site.get()).body, 'one')
})

test('an author is a bounded name that no terminal obeys', async () => {
  fleet.steps = [rollout('done', ['web-1 serving'])]
  const by = (author: string) =>
    put('', answering('two'), { 'X-Sluice-Author': Buffer.from(author, 'utf8').toString('latin1') })
  assert.is((await by('Jörg Ünal <j@x>')).status, 200)
  assert.is((await by('a'.repeat(100))).status, 200)
  assert.equal(
    fleet.asked.map((asked) => (asked as { author: string }).author),
    ['Jörg Ünal <j@x>', 'a'.repeat(100)],
  )
  for (const author of ['a'.repeat(101), 'red\u009b31m', 'right\u202eleft', 'tab\there'])
    assert.is((await by(author)).status, 422, JSON.stringify(author))
  const bytes = await put('', answering('two'), { 'X-Sluice-Author': '\xff\xfe' })
  assert.is(bytes.status, 422)
  assert.is(fleet.asked.length, 2)
})

test('what another version has replaced, or holds a NUL, is not pushed', async () => {
  assert.is((await put('', answering('two'), { 'If-Match': '"0123456789abcdef"' })).status, 412)
  assert.is((await put('', 'export {}\0')).status, 422)
  assert.equal(fleet.asked, [])
})

test('wait=0: the roll-out is told of at once, and followed by its address', async () => {
  fleet.steps = [rollout('asking', ['web-1 asked']), rollout('done', ['web-1 serving'])]
  const { status, headers, json } = await put('?wait=0')
  assert.equal([status, headers.location], [202, '/api/v1/rollouts/r1'])
  assert.equal(json, { rollout: rollout('asking', ['web-1 asked']) })
  assert.equal((await api('GET', 'rollouts/r1')).json, rollout('done', ['web-1 serving']))
  fleet.fault = new FleetError('unknown', 'there is no roll-out r1')
  assert.is((await api('GET', 'rollouts/r1')).status, 404)
  fleet.fault = new FleetError('unavailable', 'Redis is away')
  assert.is((await api('GET', 'rollouts/r1')).json.detail, 'Redis is away')
})

test('back, promoted, removed: where the fleet has recorded it; else here', async () => {
  fleet.state = { ...fleet.state, scripts: [recorded('a.js', CANARY)] }
  fleet.steps = [rollout('done', ['web-1 serving'])]
  assert.is((await post('scripts/scripts%2Fa.js/rollback')).json.rollout.id, 'r1')
  assert.is((await post('scripts/a.js/promote')).json.rollout.id, 'r1')
  assert.is((await api('DELETE', 'scripts/a.js')).json.rollout.id, 'r1')
  assert.equal(fleet.asked, [
    { rollback: 'a.js', author: 'unknown' },
    { promote: 'a.js', author: 'unknown' },
    { remove: 'a.js', author: 'unknown', reason: 'removed by unknown' },
  ])
  fleet.state = { ...fleet.state, scripts: [recorded('other.js')] }
  const back = await post('scripts/a.js/rollback')
  assert.equal([back.status, back.json.title], [409, 'there is nothing to go to'])
  assert.is((await api('DELETE', 'scripts/a.js')).json.title, 'in use')
  assert.is(fleet.asked.length, 3)
})

test('a canary of the fleet is called by its script', async () => {
  const { status, json } = await api('DELETE', `scripts/${CANARY_FILE}`)
  assert.equal([status, json.title], [409, 'a canary of the fleet'])
  assert.equal(fleet.asked, [])
})

test('a machine that failed is told of; the record stands', async () => {
  fleet.steps = [rollout('done', ['web-1 failed the disk is full', 'web-2 serving'])]
  const { status, json } = await put('')
  assert.equal([status, json.generation, json.rollout.machines[0].reason], [200, 0, 'the disk is full'])
})

test('the fleet’s status', async () => {
  fleet.state = { ...fleet.state, signed: true, scripts: [recorded('a.js')] }
  const { status, json } = await api('GET', 'fleet')
  assert.is(status, 200)
  assert.equal(json, { on: true, ...fleet.state })
  assert.is(json.scripts[0].live.digest, DIGEST)
})

test('adopt: this machine takes over what is recorded', async () => {
  const file = own.site.path('scripts/a.js')
  fleet.adoption = { file, generation: 3, took: 2, kept: [] }
  const { status, json } = await post('scripts/a.js/adopt')
  assert.is(status, 200)
  assert.equal([json.file, json.generation, json.kept], [file, 3, []])
  assert.match(json.digest, /^[0-9a-f]{16}$/)
  assert.equal(fleet.asked, [{ adopt: 'a.js' }])
  assert.is((await post('scripts/a.js/adopt?local=1')).status, 422)
  fleet.fault = new FleetError('unavailable', 'Redis cannot be reached')
  assert.is((await post('scripts/a.js/adopt')).status, 503)
  fleet.on = false
  assert.is((await post('scripts/a.js/adopt')).status, 404)
  assert.is(fleet.asked.length, 1)
})

test('a rollback is the fleet’s where it calls the script otherwise', async () => {
  fleet.names = { 'a.js': 'chat/a.js' }
  fleet.state = { ...fleet.state, scripts: [recorded('chat/a.js')] }
  fleet.steps = [rollout('done', ['web-1 serving'], { name: 'chat/a.js' })]
  assert.is((await post('scripts/a.js/rollback')).json.rollout.name, 'chat/a.js')
  assert.equal(fleet.asked, [{ rollback: 'a.js', author: 'unknown' }])
})

test('a push that changes nothing has no roll-out to look at', async () => {
  fleet.steps = [rollout('done', [], { id: '' })]
  const { status, json, headers } = await put('?wait=0')
  assert.equal([status, json.rollout.id, headers.location], [200, '', undefined])
})

test('the fleet in the metrics of the machine', async () => {
  const about = { pid: 1, version: '0.1.0', seen: 0, signs: false, scripts: {}, drift: {} }
  fleet.state = {
    ...fleet.state,
    machines: [
      { ...about, machine: 'web-1', away: false, drift: { 'a.js': 'saved here' } },
      { ...about, machine: 'web-2', away: true, drift: { 'a.js': 'failed' } },
    ],
  }
  const lines = async () => (await ask(own.port, 'GET', '/metrics')).text.match(/^sluice_fleet_.*$/gm)
  assert.equal(await lines(), [
    'sluice_fleet_connected 1',
    'sluice_fleet_machines{state="there"} 1',
    'sluice_fleet_machines{state="away"} 1',
    'sluice_fleet_drift 1',
  ])
  fleet.state = { ...fleet.state, connected: false }
  assert.equal(await lines(), ['sluice_fleet_connected 0'])
  fleet.on = false
  assert.equal(await lines(), null)
})

test.run()
