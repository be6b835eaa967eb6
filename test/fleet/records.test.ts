// What a fleet keeps, without a Redis: names, versions, canaries in a configuration, and what a roll-out comes to.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Model, ScriptModel } from '../../runtime/config/model.ts'
import { canaryFault, canaryFile, isCanaryFile, withCanaries } from '../../runtime/fleet/canary-overlay.ts'
import type { FleetError } from '../../runtime/fleet/fleet.ts'
import type { StoredRollout } from '../../runtime/fleet/fleet-redis.ts'
import { type FleetRecord, isScriptName, type Proposal } from '../../runtime/fleet/record.ts'
import { viewOf } from '../../runtime/fleet/rollout-view.ts'
import { draftOf, type Wish } from '../../runtime/fleet/versions.ts'
import { modelOf } from '../config/parsed.ts'

test('a name of a script is the end of a path, and leads nowhere else', () => {
  for (const name of ['a.js', 'chat/balancer.ts', '.a.js', 'ünder.js', '__proto__'])
    assert.ok(isScriptName(name), name)
  const none = [
    '',
    '/a.js',
    'a/',
    'a//b.js',
    '../a.js',
    'x/../a.js',
    './a.js',
    'a\0.js',
    'a\n.js',
    'a\\b',
    'x'.repeat(257),
  ]
  for (const name of none) assert.not(isScriptName(name), name)
})

// ---- versions ----

const digest = (letter: string) => letter.repeat(64)

const wish = (kind: Wish['kind'], more: Partial<Wish> = {}): Wish => ({
  ...{ id: '0123456789abcdef', kind, name: 'a.js', author: 'ann', at: 5, reason: '' },
  ...{ digest: '', share: null, ...more },
})

const version = (letter: string) => ({ digest: digest(letter), author: 'bob', at: 1, kind: 'push' }) as const

const record = (letters: string, canary: string | null = null): FleetRecord => {
  const [live, ...earlier] = [...letters].map(version)
  const share = { percent: 500, key: '' }
  return {
    ...{ name: 'a.js', serial: 3, id: 'f'.repeat(16), kind: 'push', author: 'bob', at: 1, reason: 'old' },
    ...{ live, earlier, canary: canary === null ? null : { ...version(canary), ...share } },
  }
}

/** `live|canary|earlier`, by the letter of each. */
function shown({ live, canary, earlier }: Pick<FleetRecord, 'live' | 'canary' | 'earlier'>): string {
  return [live.digest[0], canary?.digest[0] ?? '', earlier.map((one) => one.digest[0]).join('')].join('|')
}

test('each change makes the next record of the one before', () => {
  const share = { percent: 500, key: '$arg_k' }
  const rows: [Wish, FleetRecord | null, string][] = [
    [wish('push', { digest: digest('n') }), record('cba'), 'n||cba'],
    [wish('push', { digest: digest('b') }), record('cba'), 'b||ca'],
    [wish('push', { digest: digest('n') }), null, 'n||o'],
    [wish('canary', { digest: digest('n'), share }), record('cba'), 'c|n|ba'],
    [wish('canary', { digest: digest('n'), share }), record('cba', 'x'), 'c|n|ba'],
    [wish('canary', { digest: digest('n'), share }), null, 'o|n|'],
    [wish('promote'), record('cba', 'x'), 'x||cba'],
    [wish('remove', { reason: 'why' }), record('cba', 'x'), 'c||ba'],
    [wish('rollback'), record('cba'), 'b||a'],
  ]
  for (const [asked, base, expected] of rows) {
    const draft = draftOf(asked, base, base === null ? version('o') : null)
    assert.is(shown(draft), expected, asked.kind)
    const { id, kind, author, at, reason } = draft
    assert.equal([id, kind, author, at, reason], [asked.id, asked.kind, 'ann', 5, asked.reason])
  }
})

test('what cannot be had says why', () => {
  const rows: [Wish, FleetRecord | null, string, string][] = [
    [
      wish('push', { digest: digest('n') }),
      record('a', 'x'),
      'conflict',
      'a.js has a canary; promote or remove it first',
    ],
    [wish('rollback'), record('ab', 'x'), 'conflict', 'a.js has a canary; promote or remove it first'],
    [wish('rollback'), record('a'), 'unknown', 'the fleet has recorded no earlier version of a.js'],
    [wish('promote'), record('a'), 'unknown', 'the fleet has no canary of a.js'],
    [wish('remove'), null, 'unknown', 'the fleet has no canary of a.js'],
    [
      wish('canary', { digest: digest('n'), share: { percent: 1, key: '' } }),
      null,
      'unknown',
      'no version of a.js is known; push one without a canary first',
    ],
  ]
  for (const [asked, base, code, message] of rows) {
    try {
      draftOf(asked, base, null)
      assert.unreachable()
    } catch (error) {
      assert.equal([(error as FleetError).code, (error as FleetError).message], [code, message])
    }
  }
})

test('so many versions can be gone back to', () => {
  const letters = 'abcdefghijklmnopqrstu'
  const { earlier } = draftOf(wish('push', { digest: digest('z') }), record(letters), null)
  assert.is(earlier.map((one) => one.digest[0]).join(''), letters.slice(0, 20))
})

// ---- canaries in a configuration ----

const CONFIG = `http {
  script a.js;
  map $arg_k $kind { default x; }
  upstream u { server 127.0.0.1:1; script a.js; }
  server { listen 80; script b.js;
    location / { script a.js; script b.js; location /in { script a.js; } }
    location /own { script c.js; script_canary d.js percent=1; }
  }
}`
const FILES = Object.fromEntries(['a.js', 'b.js', 'c.js', 'd.js'].map((name) => [`/etc/sluice/${name}`, '']))

/** File and canary of every line. */
function linesOf({ http }: Model): string[] {
  const { settings, upstreams, servers } = http!
  const [{ settings: server, locations }] = servers
  const all: (readonly ScriptModel[])[] = [settings.scripts ?? [], upstreams[0].scripts, server.scripts ?? []]
  for (const { settings: own, locations: inner } of locations)
    all.push(own.scripts ?? [], ...inner.map((one) => one.settings.scripts ?? []))
  return all.flat().map(({ file, canary }) => `${file.slice(12)} ${canary?.file.slice(12) ?? '-'}`)
}

test('a canary stands on every line of its script; those of the configuration stay', () => {
  const model = modelOf(CONFIG, FILES)
  const file = canaryFile('/etc/sluice/a.js', '0123456789abcdef')
  assert.is(file, '/etc/sluice/.a.fleet-canary-0123456789abcdef.js')
  assert.ok(isCanaryFile(file))
  const overlays = new Map([['/etc/sluice/a.js', { file, share: { percent: 500, key: '$arg_userId' } }]])
  const dressed = withCanaries(model, overlays)
  const name = '.a.fleet-canary-0123456789abcdef.js'
  const lines = [
    `a.js ${name}`,
    `a.js ${name}`,
    'b.js -',
    `a.js ${name}`,
    'b.js -',
    `a.js ${name}`,
    'c.js d.js',
  ]
  assert.equal(linesOf(dressed), lines)
  const { percent, key, maxErrors, minCalls } = dressed.http!.settings.scripts![0].canary!
  assert.equal([percent, key!.parts, maxErrors, minCalls], [500, [{ variable: 'arg_userid' }], 100, 50])
  assert.equal(linesOf(withCanaries(dressed, overlays)), lines)
  assert.equal(linesOf(withCanaries(dressed, new Map())), linesOf(model))
})

test('why a script can have no canary', () => {
  const model = modelOf(CONFIG, FILES)
  const fault = (file: string, key = '') => canaryFault(model, `/etc/sluice/${file}`, { percent: 1, key })
  assert.is(fault('a.js', '$arg_userId-$kind'), null)
  assert.is(
    fault('lib.js'),
    '/etc/sluice/lib.js: no "script" line names it, and only those can have a canary',
  )
  assert.is(
    fault('c.js'),
    '/etc/sluice/sluice.conf:7:34: the configuration has a canary of it already; remove this "script_canary" first',
  )
  assert.is(
    fault('a.js', '$none'),
    'the key of the canary: this machine\'s configuration has no variable "$none"',
  )
  assert.match(fault('a.js', '${open') ?? '', /^the key of the canary: the closing brace/)
})

// ---- roll-outs ----

const PROPOSAL: Proposal = {
  ...{ id: '0123456789abcdef', kind: 'push', name: 'a.js', digest: digest('n'), beside: '' },
  ...{ author: 'ann', at: 1, canary: null },
}

function seen(stored: Partial<StoredRollout>, answers: Readonly<Record<string, string>>): string {
  const some = { now: 1000, at: 0, recorded: 0, proposal: '', state: 'asking', reason: '', ...stored }
  const { state, machines } = viewOf({ ...some, answers: new Map(Object.entries(answers)) }, PROPOSAL)
  return `${state}: ${machines.map((one) => `${one.machine} ${one.state}`).join(', ')}`
}

function answer(state: string, more: object = {}): string {
  return JSON.stringify({ state, reason: '', generation: 0, took: 0, serial: 0, ...more })
}

test('what a roll-out has come to', () => {
  const answers = { b: answer('ready'), a: '', c: answer('unused') }
  assert.is(seen({}, answers), 'asking: a asked, b ready, c unused')
  assert.is(seen({ now: 15_001 }, answers), 'refused: a away, b ready, c unused')
  assert.is(seen({ state: 'refused' }, answers), 'refused: a away, b ready, c unused')
  const recorded = { state: 'recorded', recorded: 500 }
  assert.is(seen(recorded, answers), 'recorded: a away, b ready, c unused')
  assert.is(seen({ ...recorded, now: 10_501 }, answers), 'done: a away, b away, c unused')
  assert.is(seen(recorded, { a: answer('serving'), b: answer('failed') }), 'done: a serving, b failed')
})

test('what is no answer has not been given', () => {
  const wrong = [
    '{',
    '[]',
    answer('perhaps'),
    answer('ready', { serial: -1 }),
    answer('ready', { reason: 1 }),
    `"${'x'.repeat(20_000)}"`,
  ]
  for (const text of wrong) assert.is(seen({}, { a: text }), 'asking: a asked', text.slice(0, 40))
  assert.is(seen({ state: 'sideways' }, {}), 'refused: ')
  assert.is(seen({}, { 'a\u001b[2J': answer('refused') }), 'asking: a [2J refused')
})

test.run()
