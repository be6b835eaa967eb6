/**
 * `script_canary`: which requests are served by the second version of a script, and whether it may go on. A request keeps
 * to one version through all its phases. The version is judged by how its hooks do beside those of the script itself.
 */
import type { CanaryModel } from './config/model.ts'
import { murmur2 } from './lib/murmur2.ts'
import { SlidingWindow } from './lib/sliding-window.ts'
import { type HookRequest, Outcome, type PhaseHandler } from './phases.ts'
import type { Exchange } from './proxy/exchange.ts'
import type { Getter } from './proxy/plan.ts'
import type { HookObserver } from './script/engine.ts'

/** What a request has been given at one gate; kept at `Exchange.scriptChoices`. */
class Choice {
  readonly gate: CanaryGate
  readonly canary: boolean
  readonly next: Choice | null

  constructor(gate: CanaryGate, canary: boolean, next: Choice | null) {
    this.gate = gate
    this.canary = canary
    this.next = next
  }
}

/** Shares are counted in hundredths of a percent. */
const WHOLE = 10_000
/**
 * Sets the cohorts apart from those of `split_clients`. It is the same for every script and version: keys that are among
 * 5 % are among 10 % too, and a user who has one canary has those of other scripts as well.
 */
const SEED = 'sluice canary '

/** Chooses between a script and its canary; stays the same over all versions of both. */
export class CanaryGate {
  readonly #percent: number
  readonly #key: Getter | null
  readonly #toLive: Choice
  readonly #toCanary: Choice

  /** @param key null, or empty for a request: the client's address */
  constructor(percent: number, key: Getter | null) {
    this.#percent = percent
    this.#key = key
    this.#toLive = new Choice(this, false, null)
    this.#toCanary = new Choice(this, true, null)
  }

  /** The handler of one phase for both. @param hook, canary undefined: that version has no such hook */
  handler(trial: CanaryTrial, hook?: PhaseHandler, canary?: PhaseHandler): PhaseHandler {
    const live = hook ?? pass
    const other = canary ?? pass
    return (request) => (this.#isCanary(request as Exchange, trial) ? other : live)(request)
  }

  #isCanary(x: Exchange, trial: CanaryTrial): boolean {
    const { main } = x
    const choices = main.scriptChoices as Choice | null
    for (let choice = choices; choice !== null; choice = choice.next) {
      if (choice.gate === this) return choice.canary
    }
    const canary = trial.isRunning && this.takes(x)
    if (choices !== null) main.scriptChoices = new Choice(this, canary, choices)
    else main.scriptChoices = canary ? this.#toCanary : this.#toLive
    return canary
  }

  /** Whether the request's key is among those of the canary. */
  takes(x: Exchange): boolean {
    const key = this.#key === null ? '' : this.#key(x)
    return murmur2(SEED + (key === '' ? x.remoteAddress : key)) % WHOLE < this.#percent
  }
}

function pass(_request: HookRequest): Outcome {
  return Outcome.PASS
}

/** ms */
const WINDOW = 30_000
/** Of successful calls, between two looks at how long they take: a look costs microseconds. */
const LOOK_EVERY = 16
/** Overruns that are enough, however few calls there were. */
const MAX_OVERRUNS = 3
/** Without `max_latency` the slowest hundredth may take that many times as long as the script's, and this many ms longer. */
const LATENCY_FACTOR = 3
const LATENCY_MARGIN = 5
const SLOWEST = 0.99
/** So many may be slow, however few calls there were: a hiccup of the machine says nothing. */
const MAY_BE_SLOW = 3

/** What a canary is held to. */
export type CanaryLimits = Pick<CanaryModel, 'maxErrors' | 'maxLatency' | 'minCalls'>

/** One version of a canary beside one version of its script. */
export class CanaryTrial {
  readonly live: Side
  readonly canary: Side
  readonly #limits: CanaryLimits
  readonly #onBreach: (reason: string) => void
  readonly #isCurrent: () => boolean
  #sinceLook = 0

  /** @param isCurrent whether this version of the canary is to be served @param onBreach is told why it should not be */
  constructor(limits: CanaryLimits, isCurrent: () => boolean, onBreach: (reason: string) => void) {
    this.#limits = limits
    this.#isCurrent = isCurrent
    this.#onBreach = onBreach
    this.live = new Side(null)
    this.canary = new Side((failed) => this.#check(failed))
  }

  /** Requests may be given to the canary. */
  get isRunning(): boolean {
    return this.#isCurrent()
  }

  #check(failed: boolean): void {
    if (!failed && ++this.#sinceLook < LOOK_EVERY) return
    this.#sinceLook = 0
    if (!this.isRunning) return
    const now = performance.now()
    const reason = (failed ? this.#tooManyErrors(now) : null) ?? this.#tooSlow(now)
    if (reason !== null) this.#onBreach(reason)
  }

  #tooManyErrors(now: number): string | null {
    const { maxErrors, minCalls } = this.#limits
    const [canary, live] = [this.canary.window.totals(now), this.live.window.totals(now)]
    const share = (count: number, calls: number) => (calls === 0 ? 0 : (count * WHOLE) / calls)
    const told = (count: number, calls: number) => `${count} of ${calls}`
    const most = `the guard allows ${maxErrors / 100} % more`
    const overran = share(canary.overruns, canary.calls) > share(live.overruns, live.calls) + maxErrors
    if (canary.overruns >= MAX_OVERRUNS && overran) {
      const beside = `${told(live.overruns, live.calls)} of the script itself`
      return `${told(canary.overruns, canary.calls)} hook calls overran their limits, ${beside}; ${most}`
    }
    if (canary.calls < minCalls) return null
    if (share(canary.errors, canary.calls) <= share(live.errors, live.calls) + maxErrors) return null
    const beside = `${told(live.errors, live.calls)} of the script itself`
    return `${told(canary.errors, canary.calls)} hook calls failed, ${beside}; ${most}`
  }

  #tooSlow(now: number): string | null {
    const { maxLatency, minCalls } = this.#limits
    const [canary, live] = [this.canary.window, this.live.window]
    const [{ calls }, { calls: beside }] = [canary.totals(now), live.totals(now)]
    if (calls < Math.max(minCalls, MAY_BE_SLOW) || (maxLatency === null && beside < minCalls)) return null
    const took = canary.quantile(now, Math.min(SLOWEST, 1 - MAY_BE_SLOW / calls))
    const usual = live.quantile(now, SLOWEST)
    const most = maxLatency ?? Math.max(usual * LATENCY_FACTOR, usual + LATENCY_MARGIN)
    if (took <= most) return null
    const compared = `of ${calls} hook calls the slowest hundredth took ${took.toFixed(1)} ms or longer, ${usual.toFixed(1)} ms`
    return `${compared} in the script itself; the guard allows ${most.toFixed(1)} ms`
  }
}

/** How one of the two does. */
class Side implements HookObserver {
  readonly window = new SlidingWindow(WINDOW)
  readonly #onCall: ((failed: boolean) => void) | null

  constructor(onCall: ((failed: boolean) => void) | null) {
    this.#onCall = onCall
  }

  succeeded(took: number): void {
    this.window.succeeded(performance.now(), took)
    this.#onCall?.(false)
  }

  failed(overrun: boolean): void {
    this.window.failed(performance.now(), overrun)
    this.#onCall?.(true)
  }
}
