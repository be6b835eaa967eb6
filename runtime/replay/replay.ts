/**
 * Runs a script over the entries of a journal in the real sandbox, and compares what it decides with what was decided
 * then. Opens no connection, changes nothing; time is that of the journal. Knows no command line.
 */
import type { HookRequest, Phase, ScriptFault, ScriptHost } from '../phases.ts'
import { loadScript, releaseRequest, type Script } from '../script/engine.ts'
import { absentRedis } from '../script-redis.ts'
import { DescribedFetch, type FetchedRequest } from '../testing/described-fetch.ts'
import { FakeClock, settle } from '../testing/fake-clock.ts'
import { readLimits, type TestLimits } from '../testing/options.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { Stopwatch } from '../testing/stopwatch.ts'
import { VERSION } from '../version.ts'
import { differences, type FacetDifference, type HookDecision } from './hook-decision.ts'
import { stateKeyOf } from './hook-input.ts'
import { isolatedHost } from './isolated-host.ts'
import type { JournalEntry } from './journal-entry.ts'
import { mayBeMasked } from './mask.ts'
import { ReplayState, replayMap } from './replay-map.ts'
import { ReplayRequest } from './replay-request.ts'
import { tapHost, untapped } from './tap-host.ts'
import { replayLimits } from './tapped-limits.ts'

export interface ReplayOptions {
  /** Absolute. */
  readonly script: string
  readonly params: Readonly<Record<string, string>>
  readonly limits?: TestLimits
}

/** What became of one entry. */
export interface Replayed {
  readonly entry: JournalEntry
  readonly decision: HookDecision
  /** None: the script decides as was decided then. */
  readonly differences: readonly FacetDifference[]
  /** What it asked and the journal does not know. */
  readonly unknown: readonly string[]
  /** What it read that was masked in the journal: a difference may come of that alone. */
  readonly masked: readonly string[]
  readonly fault: ScriptFault | null
  /** CPU time of the sandbox. */
  readonly micros: number
}

/** Requests whose `r.ctx` is kept between their hooks. */
const MAX_OPEN = 1000
/** Timers of one hook that time is moved for. */
const MAX_WAITS = 1000
/** What the sandbox's `Math.random` begins with. */
const SEED = 1

const NO_REDIS = absentRedis('a journal knows no answer of Redis')

/** Who answers for a request. */
type Owners = WeakMap<object, ReplayRequest>

interface Parts {
  readonly clock: FakeClock
  readonly stopwatch: Stopwatch
  readonly owners: Owners
}

export class Replay {
  readonly #script: Script
  readonly #clock: FakeClock
  readonly #stopwatch: Stopwatch
  readonly #options: ReplayOptions
  readonly #open = new Map<string, ReplayRequest>()
  readonly #owners: Owners

  private constructor(script: Script, parts: Parts, options: ReplayOptions) {
    this.#script = script
    this.#clock = parts.clock
    this.#stopwatch = parts.stopwatch
    this.#owners = parts.owners
    this.#options = options
  }

  /** @throws ScriptError as the proxy would */
  static async load(options: ReplayOptions): Promise<Replay> {
    const parts: Parts = {
      clock: new FakeClock(Date.now(), SEED),
      stopwatch: new Stopwatch(),
      owners: new WeakMap(),
    }
    const script = await loadScript({
      file: options.script,
      params: options.params,
      limits: readLimits(options.limits),
      onError: 'closed',
      host: replayHost(parts),
    })
    return new Replay(script, parts, options)
  }

  get stats(): Script['stats'] {
    return this.#script.stats
  }

  /** Entries are to come in their order. */
  async run(entry: JournalEntry): Promise<Replayed> {
    const replayed = this.#request(entry)
    replayed.begin(entry)
    this.#clock.set(entry.at)
    const before = this.#stopwatch.total
    const decision = await this.#decide(entry.phase, replayed)
    return {
      entry,
      decision,
      differences: differences(entry.decision, decision).filter(
        ({ before, after }) => !mayBeMasked(before, after),
      ),
      unknown: [...replayed.unknown],
      masked: [...replayed.masked],
      fault: replayed.fault,
      micros: (this.#stopwatch.total - before) * 1000,
    }
  }

  dispose(): void {
    for (const { request } of this.#open.values()) releaseRequest(request)
    this.#open.clear()
    this.#clock.clear()
    this.#script.dispose()
  }

  #request(entry: JournalEntry): ReplayRequest {
    const known = this.#open.get(entry.request)
    if (known !== undefined) return known
    if (this.#open.size >= MAX_OPEN) {
      const [id, oldest] = this.#open.entries().next().value!
      this.#open.delete(id)
      releaseRequest(oldest.request)
    }
    const request = new ReplayRequest(entry, stateKeyOf(this.#options.script, this.#options.params))
    this.#open.set(entry.request, request)
    this.#owners.set(request.request, request)
    return request
  }

  #decide(phase: Phase, replayed: ReplayRequest): Promise<HookDecision> | HookDecision {
    const hook = this.#script.hooks[phase]
    if (hook === undefined) return { outcome: 'pass' }
    let decided: HookDecision | null = null
    const { tapped } = replayed
    const questions = null
    tapped.begin({ phase, questions, ended: (decision) => (decided = decision) })
    tapped.end(this.#stopwatch.run(() => hook(tapped)))
    return decided ?? this.#wait(replayed, () => decided)
  }

  /** Time goes by itself, from one timer of the script to the next. */
  async #wait(replayed: ReplayRequest, decided: () => HookDecision | null): Promise<HookDecision> {
    for (let waits = 0; waits < MAX_WAITS; waits++) {
      await settle()
      const decision = decided()
      if (decision !== null) return decision
      const { next } = this.#clock
      if (next === null) break
      await this.#clock.advance(next)
    }
    // The next hook of this request shall not find it waiting.
    this.#open.delete(replayed.entry.request)
    releaseRequest(replayed.request)
    return { outcome: 'never ended' }
  }
}

function replayHost({ clock, stopwatch, owners }: Parts): ScriptHost {
  const running: { request: HookRequest | null } = { request: null }
  const ownerOf = (request: HookRequest | null) =>
    request === null ? undefined : owners.get(untapped(request))
  const random = seededRandom(SEED)
  /** Of what runs outside of any request. */
  const own = new ReplayState(
    [],
    () => undefined,
    () => undefined,
  )
  const timed = {
    now: () => ownerOf(running.request)?.time(clock.now()) ?? clock.now(),
    setTimeout: (callback: () => void, ms: number) => clock.setTimeout(() => stopwatch.run(callback), ms),
    clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
    seed: clock.seed,
  }
  return tapHost(
    isolatedHost({
      host: { log: () => undefined, generation: 1, worker: 0, version: VERSION },
      variable: () => 'settable',
      fetch(request, events) {
        const owner = request.request === null ? undefined : owners.get(request.request)
        const answer = (asked: FetchedRequest) => owner?.answerTo(asked) ?? null
        return new DescribedFetch(request, stopwatch.events(events), answer, timed)
      },
      failed(fault, request) {
        const owner = request === null ? undefined : owners.get(request)
        if (owner !== undefined && fault.phase !== null) owner.fault = fault
      },
      clock: timed,
      running,
      random: () => ownerOf(running.request)?.random() ?? random(),
      limits: replayLimits((question) => ownerOf(running.request)?.limit(question)),
      map: (name) => replayMap(name, () => ownerOf(running.request)?.state ?? own),
      redis: {
        ...NO_REDIS,
        send(commands, atomic) {
          const names = [...new Set(commands.map(([name]) => name))].join(', ')
          ownerOf(running.request)?.unknown.add(`what Redis answers to ${names} was not recorded`)
          return NO_REDIS.send(commands, atomic)
        },
      },
      argRead: (request, name, value) => ownerOf(request)?.read(`r.args.${name}`, value ?? ''),
    }),
  )
}
