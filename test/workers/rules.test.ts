// The supervisor's rules, without processes: verdicts, back-off, one report out of many, what a joining worker is told.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ServerChange, UpstreamStatus } from '../../runtime/control.ts'
import { ChannelError } from '../../runtime/lib/channel.ts'
import type { ScriptStatus } from '../../runtime/script-registry.ts'
import { ServerChangeError } from '../../runtime/server-changes.ts'
import { Backoff } from '../../runtime/supervisor/backoff.ts'
import { judge } from '../../runtime/supervisor/judge.ts'
import { mergeScripts, mergeUpstreams } from '../../runtime/supervisor/merge.ts'
import { planServers, setServers } from '../../runtime/supervisor/server-act.ts'
import type { Outcome, WorkerHandle } from '../../runtime/supervisor/worker-handle.ts'
import { UpstreamGroup } from '../../runtime/upstream/group.ts'
import { KEEPALIVE_DEFAULTS, SERVER_DEFAULTS } from '../../runtime/upstream/options.ts'
import { hear, newsOf, PeerLedger, type PeerNews } from '../../runtime/upstream/peer-news.ts'

const ready = (digest: string): Outcome => ({ kind: 'ready', digests: { 'live /s.js': digest } })
const refused: Outcome = { kind: 'refused', refusal: { name: 'ScriptError', message: 'no', excerpt: '' } }

/** The verdict, and who has something to discard. */
function verdictOf(...outcomes: Outcome[]): [string, string] {
  const crew = outcomes.map((_, at) => String(at)) as unknown as WorkerHandle[]
  const verdict = judge(crew, outcomes)
  return [verdict.kind, 'ready' in verdict ? verdict.ready.join('') : '']
}

test('a swap needs all workers, ready with the same scripts', () => {
  assert.equal(verdictOf(ready('a'), ready('a')), ['ready', '01'])
  assert.equal(verdictOf(ready('a'), ready('b')), ['torn', '01'])
  assert.equal(verdictOf(ready('a'), { kind: 'same' }), ['torn', '0'])
  assert.equal(verdictOf({ kind: 'same' }, { kind: 'same' }), ['same', ''])
  assert.equal(verdictOf(ready('a'), { kind: 'gone' }), ['torn', '0'])
  assert.equal(verdictOf(ready('a'), refused, { kind: 'gone' }), ['refused', '0'])
})

test('a worker is replaced at once, and later the more of them die young', () => {
  const backoff = new Backoff()
  assert.equal(
    [1, 2, 3, 4].map(() => backoff.after(10)),
    [0, 100, 200, 400],
  )
  for (let n = 0; n < 20; n++) backoff.after(10)
  assert.is(backoff.after(10), 10_000)
  assert.is(backoff.after(60_000), 0)
  assert.is(backoff.after(10), 0)
})

const row = (more: Partial<ScriptStatus>): ScriptStatus => ({
  file: '/s.js',
  role: 'live',
  digest: 'd',
  generation: 2,
  state: 'live',
  reason: '',
  calls: 1,
  errors: 0,
  overruns: 0,
  memory: 10,
  ...more,
})

test('scripts of all workers are one row, with what is wrong in any of them', () => {
  const leftOut = row({ state: 'left out', reason: 'access overran too often', calls: 5, errors: 3 })
  assert.equal(mergeScripts([[row({})], [leftOut], [row({ generation: 3 })]]), [
    { ...leftOut, calls: 7, memory: 30 },
  ])
  assert.is(mergeScripts([[row({})], [row({ digest: 'other' })]]).length, 2)
})

test('peers of all workers are one row', () => {
  const peer = { name: 'a', address: '10.0.0.1:80', weight: 1, backup: false, down: false }
  const status = (fails: number, connections: number): UpstreamStatus => {
    const peers = [{ ...peer, draining: false, resting: fails > 0, fails, connections }]
    return { name: 'u', method: 'round_robin', shared: false, peers }
  }
  const [{ peers }] = mergeUpstreams([[status(0, 2)], [status(1, 3)]])
  assert.equal(
    peers.map(({ resting, fails, connections }) => [resting, fails, connections]),
    [[true, 1, 5]],
  )
})

test('peers are told apart by address, wherever they stand in each worker', () => {
  const of = (...addresses: string[]) => {
    const peers = addresses.map((address) => ({ address, fails: 0, resting: false, connections: 1 }))
    return [{ name: 'u', peers }] as unknown as UpstreamStatus[]
  }
  const [{ peers }] = mergeUpstreams([of('a', 'b', 'b'), of('b', 'c', 'b')]) as [UpstreamStatus]
  assert.equal(
    peers.map(({ address, connections }) => [address, connections]),
    [
      ['a', 1],
      ['b', 2],
      ['b', 2],
      ['c', 1],
    ],
  )
})

/** Workers with a group each, and the news between them in the order of the supervisor. */
class Zone {
  now = 1000
  readonly news: PeerNews[] = []
  readonly groups: UpstreamGroup[]

  constructor(count: number) {
    this.groups = Array.from({ length: count }, (_, worker) => this.join(worker))
  }

  join(worker: number): UpstreamGroup {
    const servers = ['a', 'b'].map((text) => {
      return { name: text, addresses: [{ text }], ...SERVER_DEFAULTS }
    })
    const options = {
      name: 'u',
      method: 'round_robin',
      servers,
      keepalive: KEEPALIVE_DEFAULTS,
      shared: true,
    } as const
    const group = new UpstreamGroup(options, () => this.now)
    group.tell((from, peer, event) => this.news.push(newsOf(from, peer, event, worker)))
    return group
  }

  deliver(): void {
    for (const news of this.news.splice(0))
      for (const [worker, group] of this.groups.entries()) hear(group, news, worker)
  }

  fail(worker: number): void {
    const [peer] = this.groups[worker].peers
    peer.begin(() => this.now)
    peer.endFailed(() => this.now)
  }

  /** Who would take the failed peer now. */
  get tries(): number[] {
    return this.groups.flatMap(({ peers, now }, worker) => (peers[0].resting(now) ? [] : worker))
  }
}

test('a peer that failed in one worker rests in all, and the one that saw it last tries it', () => {
  const zone = new Zone(3)
  zone.fail(0)
  zone.fail(2)
  zone.deliver()
  assert.equal(
    zone.groups.map(({ peers }) => peers[0].fails),
    [2, 2, 2],
  )
  assert.equal(zone.tries, [])
  zone.now += 11
  assert.equal(zone.tries, [2])
  zone.groups[2].peers[0].begin(() => zone.now)
  zone.deliver()
  zone.now += 5
  assert.equal(zone.tries, [])
  zone.groups[2].peers[0].endWell()
  zone.deliver()
  assert.equal(zone.tries, [0, 1, 2])
  assert.equal(
    zone.groups.map(({ peers }) => peers[0].fails),
    [0, 0, 0],
  )
})

test('when that one has no request for it, the others try it a little later, one by one', () => {
  const zone = new Zone(3)
  zone.fail(0)
  zone.deliver()
  const seen: number[][] = []
  for (let second = 10; second <= 14; second++) {
    zone.now = 1000 + second
    seen.push(zone.tries)
  }
  assert.equal(seen, [[], [0], [0], [0, 1], [0, 1, 2]])
})

test('who joins is told what has failed and is not forgotten', () => {
  const zone = new Zone(2)
  const ledger = new PeerLedger()
  zone.fail(1)
  for (const news of zone.news) ledger.note(news)
  const joined = zone.join(1)
  for (const news of ledger.all) hear(joined, news, 1, true)
  assert.is(joined.peers[0].fails, 1)
  assert.ok(joined.peers[0].resting(joined.now))
  ledger.keepOnly(new Set(['u']))
  assert.is(ledger.all.length, 1)
  ledger.keepAddresses('u', new Set(['b']))
  assert.is(ledger.all.length, 0)
  for (const news of zone.news) ledger.note(news)
  ledger.keepAddresses('v', new Set())
  ledger.keepAddresses('u', new Set(['a', 'b']))
  assert.is(ledger.all.length, 1)
  ledger.keepOnly(new Set())
  assert.is(ledger.all.length, 0)
})

/** A supervisor's end of a channel to a worker that gives these answers; what it was asked. */
function handleOf(answers: Readonly<Record<string, () => unknown>>) {
  const asked: string[] = []
  const ask = async (topic: string) => {
    asked.push(topic)
    return answers[topic]!()
  }
  const handle = { channel: { ask }, expel: () => void asked.push('expel') } as unknown as WorkerHandle
  return { handle, asked }
}

const refusing = (code: string) => () => {
  throw new ChannelError(code, 'no')
}
const removal: ServerChange = { kind: 'remove', group: 'u', server: 'a' }

test('the first worker that lives says what a change of servers comes to', async () => {
  const gone = handleOf({ 'plan servers': refusing('closed') })
  const here = handleOf({ 'plan servers': () => ['the list'] })
  const late = handleOf({})
  assert.equal(await planServers([gone.handle, here.handle, late.handle], removal, []), ['the list'])
  assert.equal(late.asked, [])
  for (const [crew, error, message] of [
    [[], Error, 'no worker serves'],
    [[gone.handle], Error, 'no worker serves'],
    [[handleOf({ 'plan servers': refusing('conflict') }).handle], ServerChangeError, 'no'],
    [[handleOf({ 'plan servers': refusing('failed') }).handle], ChannelError, 'no'],
  ] as const) {
    const thrown = await planServers(crew, removal, []).catch((reason: Error) => reason)
    assert.instance(thrown, error)
    assert.is((thrown as Error).message, message)
  }
})

test('a worker that cannot have the servers is killed, to be replaced by one that begins with them', async () => {
  const good = handleOf({ 'set servers': () => undefined })
  const bad = handleOf({ 'set servers': refusing('failed') })
  await setServers([bad.handle, good.handle], 'u', [])
  assert.equal([bad.asked, good.asked], [['set servers', 'expel'], ['set servers']])
})

test.run()
