/**
 * Stands before the hooks of one `script` line whose calls are followed (`script_shadow`, `script_record`): which
 * requests are, and who is told of a call. Requests that are not sampled pass by.
 */
import type { HookRequest, Outcome, Phase, PhaseHandler } from './phases.ts'
import type { Exchange } from './proxy/exchange.ts'
import type { HookDecision } from './replay/hook-decision.ts'
import { type HookInput, inputOf } from './replay/hook-input.ts'
import { type HookQuestions, TappedRequest } from './replay/tapped-request.ts'

/** Somebody who follows one call of a hook. */
export interface CallFollower {
  readonly questions: HookQuestions | null
  ended(decision: HookDecision): void
}

/** Somebody who follows calls. */
export interface Follower {
  /** Hundredths of a percent of the requests. */
  readonly sample: number
  /** A hook is about to run. null: this call is not followed */
  begin(phase: Phase, x: HookRequest, input: HookInput): CallFollower | null
}

const WHOLE = 10_000
/** Multiplying by it spreads the numbers of requests (Knuth, 6.4). */
const SPREAD = 0x9e3779b1

/** The same for all hooks of a request and its subrequests. */
function isSampled(x: HookRequest, sample: number): boolean {
  if (sample >= WHOLE) return true
  return (Math.imul((x as Exchange).main.serial, SPREAD) >>> 0) % WHOLE < sample
}

export class ScriptTap {
  readonly #followers: readonly Follower[]
  readonly #stateKey: string
  readonly #most: number
  readonly #tapped = new WeakMap<HookRequest, TappedRequest>()

  /** @param stateKey name of the script's own `ws.state` */
  constructor(followers: readonly Follower[], stateKey: string) {
    this.#followers = followers
    this.#stateKey = stateKey
    this.#most = Math.max(...followers.map(({ sample }) => sample))
  }

  handler(phase: Phase, hook: PhaseHandler): PhaseHandler {
    return (x) => (isSampled(x, this.#most) ? this.#run(phase, hook, x) : hook(x))
  }

  #run(phase: Phase, hook: PhaseHandler, x: HookRequest): Outcome {
    const calls = this.#begin(phase, x)
    const tapped = this.#tappedOf(x)
    tapped.begin({
      phase,
      questions: questionsOf(calls),
      ended: (decision) => {
        for (const call of calls) call.ended(decision)
      },
    })
    const outcome = hook(tapped)
    tapped.end(outcome)
    return outcome
  }

  #begin(phase: Phase, x: HookRequest): CallFollower[] {
    const input = inputOf(x, phase, this.#stateKey)
    return this.#followers.flatMap((follower) =>
      isSampled(x, follower.sample) ? (follower.begin(phase, x, input) ?? []) : [],
    )
  }

  #tappedOf(x: HookRequest): TappedRequest {
    let tapped = this.#tapped.get(x)
    if (tapped === undefined) {
      tapped = new TappedRequest(x)
      this.#tapped.set(x, tapped)
    }
    return tapped
  }
}

/** One who asks for all that want to know. */
function questionsOf(calls: readonly CallFollower[]): HookQuestions | null {
  const all = calls.flatMap(({ questions }) => questions ?? [])
  if (all.length <= 1) return all[0] ?? null
  return {
    variable: (name, value) => {
      for (const one of all) one.variable(name, value)
    },
    pick: (what, index) => {
      for (const one of all) one.pick(what, index)
    },
    body: (error, body) => {
      for (const one of all) one.body(error, body)
    },
    fetch: (request, events) => all.reduce((told, one) => one.fetch(request, told), events),
    values: all.find(({ values }) => values !== undefined)?.values,
  }
}
