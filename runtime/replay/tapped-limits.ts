/** What `sluice:limit` says, between a script and what counts: every question is passed on, and the answer told. */
import type { HookRequest, RateRequest, ScriptRates } from '../phases.ts'

/** Who wants to know. */
export interface LimitListener {
  /** @param answer as `ScriptRates` has it; of `admit`: 1 or 0 */
  limit(question: string, answer: number): void
}

/** As it is written down; so below. */
export function rateQuestion({ name, key, rate, burst, cost }: RateRequest): string {
  return `take ${cost} of ${JSON.stringify(name)} for ${JSON.stringify(key)}, ${rate}/s, burst ${burst}`
}

export function admitQuestion(name: string, key: string, max: number): string {
  return `admit to ${JSON.stringify(name)} for ${JSON.stringify(key)}, at most ${max}`
}

/** @param plain the request that a script's object stands for */
export function tapLimits(
  limits: ScriptRates,
  listener: () => LimitListener | null,
  plain: (request: HookRequest) => HookRequest,
): ScriptRates {
  return {
    take(request) {
      const wait = limits.take(request)
      listener()?.limit(rateQuestion(request), wait)
      return wait
    },
    async takeShared(request) {
      const to = listener()
      const wait = await limits.takeShared(request)
      to?.limit(rateQuestion(request), wait)
      return wait
    },
    admit(request, name, key, max) {
      const isAdmitted = limits.admit(plain(request), name, key, max)
      listener()?.limit(admitQuestion(name, key, max), isAdmitted ? 1 : 0)
      return isAdmitted
    },
  }
}

/** Says what was said. @param answer undefined: nobody knows, and nothing is refused */
export function replayLimits(answer: (question: string) => number | undefined): ScriptRates {
  return {
    take: (request) => answer(rateQuestion(request)) ?? 0,
    takeShared: async (request) => answer(rateQuestion(request)) ?? 0,
    admit: (_request, name, key, max) => answer(admitQuestion(name, key, max)) !== 0,
  }
}
