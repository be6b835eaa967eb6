/**
 * `script_shadow`: a candidate runs beside a script on the same input, and nothing comes of what it does. Counts where
 * both decide differently and shows some of it. The candidate begins before the script itself does, and is never waited
 * for; it makes no requests of its own. Knows one line of the configuration, not where its hooks stand.
 */
import { DEFAULT_MASK } from './config/directives-follow.ts'
import {
  type HookRequest,
  type LogLevel,
  Outcome,
  type Phase,
  type PhaseHandler,
  type ScriptHost,
} from './phases.ts'
import type { Exchange } from './proxy/exchange.ts'
import { UpstreamChoice } from './proxy/upstream-choice.ts'
import { decisionText, differences, type HookDecision } from './replay/hook-decision.ts'
import { type HookInput, requestLine } from './replay/hook-input.ts'
import { isolatedHost, refuseFetch } from './replay/isolated-host.ts'
import { type Answers, IsolatedRequest, type Pick } from './replay/isolated-request.ts'
import { Mask } from './replay/mask.ts'
import { readOnlyMap } from './replay/read-only-map.ts'
import { tapHost } from './replay/tap-host.ts'
import { type HookQuestions, TappedRequest } from './replay/tapped-request.ts'
import { releaseRequest } from './script/engine.ts'
import { harmless } from './script/guest-log.ts'
import { toBytes } from './script/guest-values.ts'
import { linkSlot, Slot, unlinkSlot } from './script/slots.ts'
import type { CallFollower, Follower } from './script-tap.ts'
import { Selection } from './upstream/selection.ts'

/** How the two compare in one phase. */
export interface ShadowTally {
  /** Calls of the script that the candidate was to follow. */
  calls: number
  equal: number
  different: number
  /** Of the candidate, overruns included. */
  errors: number
  /** The candidate still waited for something from an earlier call. */
  skipped: number
}

export type ShadowStatistics = { readonly [P in Phase]?: Readonly<ShadowTally> }

/** ms between two differences that are shown. */
const SHOW_EVERY = 1000

/** What the comparison of two loaded versions has come to, over all generations that have both. */
export class ShadowResults {
  readonly statistics: { [P in Phase]?: ShadowTally } = {}
  #shownAt = -Infinity
  #unseen = 0

  of(phase: Phase): ShadowTally {
    this.statistics[phase] ??= { calls: 0, equal: 0, different: 0, errors: 0, skipped: 0 }
    return this.statistics[phase]
  }

  /** @returns how many were not shown since the last one; -1: this one is not to be either */
  turn(now: number): number {
    if (now - this.#shownAt < SHOW_EVERY) {
      this.#unseen++
      return -1
    }
    const unseen = this.#unseen
    this.#shownAt = now
    this.#unseen = 0
    return unseen
  }
}

export interface ShadowOptions {
  /** Hundredths of a percent of the requests. */
  readonly sample: number
  /** Of the candidate. */
  readonly file: string
  readonly hooks: { readonly [P in Phase]?: PhaseHandler }
  readonly results: ShadowResults
  readonly variable: ScriptHost['variable']
  readonly log: (level: LogLevel, message: string) => void
  /** Name of the candidate's `ws.state`. */
  readonly stateKey: string
  /** The candidate has not been taken out of service. */
  readonly isCurrent: () => boolean
}

/** What a candidate is loaded with. @param host of the script itself */
export function shadowHost(host: ScriptHost): ScriptHost {
  const { map } = host
  const kind = (name: string): 'settable' | 'readonly' | null => {
    const access = host.variable(name)
    return access === null ? null : access.set === null ? 'readonly' : 'settable'
  }
  return tapHost(
    isolatedHost({
      host: { ...host, log: (level, message) => host.log(level, `shadow: ${message}`) },
      variable: kind,
      fetch: (request, events) =>
        refuseFetch(events, `a script in the shadow makes no requests (script_shadow): ${request.url}`),
      failed: () => undefined,
      ...(map !== undefined && {
        map: (name) => {
          const found = map(name)
          return found === undefined ? undefined : readOnlyMap(found)
        },
      }),
    }),
  )
}

export class Shadow implements Follower {
  readonly options: ShadowOptions
  readonly #runs = new WeakMap<HookRequest, ShadowRun>()
  readonly #variables = new Map<string, ReturnType<ScriptHost['variable']>>()

  constructor(options: ShadowOptions) {
    this.options = options
  }

  get sample(): number {
    return this.options.sample
  }

  /** A hook of the script is about to run: runs the candidate's. null: nothing is compared. */
  begin(phase: Phase, x: HookRequest, input: HookInput): CallFollower | null {
    const { results, isCurrent } = this.options
    if (!isCurrent()) return null
    const tally = results.of(phase)
    tally.calls++
    const run = this.#runs.get(x) ?? this.#newRun(x, input)
    if (run.busy) {
      tally.skipped++
      return null
    }
    return run.begin(phase, input)
  }

  #newRun(x: HookRequest, input: HookInput): ShadowRun {
    const run = new ShadowRun(this, x, input, () => this.#runs.delete(x))
    this.#runs.set(x, run)
    return run
  }

  variable(name: string, x: HookRequest): string | undefined {
    let access = this.#variables.get(name)
    if (access === undefined) {
      access = this.options.variable(name)
      this.#variables.set(name, access)
    }
    return access?.get(x)
  }

  compared(phase: Phase, input: HookInput, live: HookDecision, candidate: HookDecision): void {
    const { results, file, log } = this.options
    const tally = results.of(phase)
    if (differences(live, candidate).length === 0) {
      tally.equal++
      return
    }
    tally.different++
    const unseen = results.turn(performance.now())
    if (unseen < 0) return
    const mask = new Mask(DEFAULT_MASK)
    mask.pairs(input.headersIn)
    const line = mask.target(requestLine(input))
    const both = `live: ${decisionText(mask.decision(live))}, the candidate: ${decisionText(mask.decision(candidate))}`
    const more = unseen === 0 ? '' : ` (${unseen} more were not shown)`
    log(
      'notice',
      harmless(mask.text(`shadow ${toBytes(file)}: ${phase} differs on "${line}": ${both}${more}`)),
    )
  }
}

/** One request as the candidate has it, from its first hook to its last one's end. */
class ShadowRun implements Answers {
  /** The candidate waits for something. */
  busy = false
  readonly #shadow: Shadow
  readonly #x: HookRequest
  readonly #request: IsolatedRequest
  readonly #tapped: TappedRequest
  readonly #onOver: () => void
  /** The request itself is over. */
  #over = false
  /** Readers that wait for the script itself to read the body. */
  #readers: ((error: Error | null, body: Uint8Array) => void)[] = []
  #selection: Selection | null = null

  constructor(shadow: Shadow, x: HookRequest, input: HookInput, onOver: () => void) {
    this.#shadow = shadow
    this.#x = x
    this.#onOver = onOver
    this.#request = new IsolatedRequest(input, this, shadow.options.stateKey)
    this.#tapped = new TappedRequest(this.#request)
    this.#awaitRelease()
  }

  /** The request tells every sandbox when it is over, and us among them. */
  #awaitRelease(): void {
    const slot = new Slot(this, 0, 0, [])
    slot.request = this.#x
    linkSlot(slot)
  }

  /** As a sandbox's: the request is over. */
  release(request: HookRequest): void {
    unlinkSlot(request, this)
    this.#over = true
    this.#onOver()
    this.refuseReaders()
    if (!this.busy) releaseRequest(this.#request)
  }

  begin(phase: Phase, input: HookInput): CallFollower {
    const { options } = this.#shadow
    const pair = new Pair(this, (live, candidate) => this.#shadow.compared(phase, input, live, candidate))
    const hook = options.hooks[phase]
    if (hook === undefined) {
      pair.candidate({ outcome: 'pass' })
      return pair
    }
    this.#selection = null
    this.#request.begin(input, this)
    this.#tapped.begin({ phase, questions: null, ended: (decision) => this.#ended(phase, decision, pair) })
    const outcome = hook(this.#tapped)
    this.busy = outcome === Outcome.SUSPENDED
    if (!this.busy) this.#tapped.end(outcome)
    return pair
  }

  #ended(phase: Phase, decision: HookDecision, pair: Pair): void {
    if (decision.outcome === 'failed') this.#shadow.options.results.of(phase).errors++
    pair.candidate(decision)
  }

  /** The script itself has read the body. */
  bodyRead(error: Error | null, body: Uint8Array): void {
    const readers = this.#readers
    this.#readers = []
    for (const reader of readers) reader(error, body)
  }

  /** The script itself has ended its hook. */
  refuseReaders(): void {
    if (this.#readers.length > 0)
      this.bodyRead(
        new Error('a script in the shadow reads no body that the script itself does not'),
        NO_BYTES,
      )
  }

  // ---- what the candidate asks ----

  variable(name: string): string | undefined {
    return this.#shadow.variable(name, this.#x)
  }

  /** As the group would choose now; its turns do not move. */
  pick({ method, key }: Pick): number {
    const view = this.#x.balancer
    if (!(view instanceof UpstreamChoice)) return -1
    const { group } = view
    if (this.#selection === null || this.#selection.group !== group) {
      this.#selection = new Selection(group, '')
      for (const { index } of group.peers)
        if (view.selection.hasTried(index)) this.#selection.markTried(index)
    }
    const weights = group.peers.map(({ currentWeight, effectiveWeight }) => ({
      currentWeight,
      effectiveWeight,
    }))
    try {
      return this.#selection.peek(method, method === 'ip_hash' ? this.#x.remoteAddress : key)
    } finally {
      for (const [index, peer] of group.peers.entries()) Object.assign(peer, weights[index])
    }
  }

  /** What is not there yet comes when the script itself reads it: a shadow moves nothing. */
  readBody(done: (error: Error | null, body: Uint8Array) => void): void {
    const { body } = this.#x as Exchange
    if (body === null || body.done) this.#x.readBody(done)
    else if (this.#over) done(new Error('the request is over'), NO_BYTES)
    else this.#readers.push(done)
  }

  log(level: LogLevel, message: string): void {
    this.#x.log(level, `shadow: ${message}`)
  }

  settled(): void {
    this.busy = false
    if (this.#over) releaseRequest(this.#request)
  }
}

const NO_BYTES = new Uint8Array(0)

/** What both decided on one call, as far as they have. */
class Pair implements CallFollower {
  /** What the script reads of the request's body, its candidate may have too. */
  readonly questions: HookQuestions
  readonly #run: ShadowRun
  readonly #done: (live: HookDecision, candidate: HookDecision) => void
  #live: HookDecision | null = null
  #candidate: HookDecision | null = null

  constructor(run: ShadowRun, done: (live: HookDecision, candidate: HookDecision) => void) {
    this.#run = run
    this.#done = done
    this.questions = {
      variable: () => undefined,
      pick: () => undefined,
      body: (error, body) => run.bodyRead(error, body),
      fetch: (_request, events) => events,
    }
  }

  ended(decision: HookDecision): void {
    this.#live = decision
    this.#run.refuseReaders()
    this.#compare()
  }

  candidate(decision: HookDecision): void {
    this.#candidate = decision
    this.#compare()
  }

  #compare(): void {
    const [live, candidate] = [this.#live, this.#candidate]
    if (live === null || candidate === null) return
    this.#live = null
    this.#done(live, candidate)
  }
}
