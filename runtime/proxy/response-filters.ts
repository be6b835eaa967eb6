/**
 * Which filters a location has, and putting them between a response and its client, in nginx's order:
 *
 *   body -> bodyFilter hooks -> sub_filter -> ssi -> addition -> gzip -> limit_rate -> client
 */
import { AdditionFilter, type AdditionPlan, beginAddition, compileAddition } from './addition-filter.ts'
import { BodyFilter, beginBodyFilter } from './body-filter.ts'
import type { Exchange } from './exchange.ts'
import { clientTakesGzip, compileGzip, type GzipPlan, isCompressible } from './gzip-choice.ts'
import { GzipFilter } from './gzip-filter.ts'
import type { Binder, Effective } from './plan.ts'
import { compileRate, limitRate, type RatePlan } from './rate-limit.ts'
import { forgetBody, removeFilters, weakenEtag } from './response-filter.ts'
import { beginSsi, compileSsi, SsiFilter, type SsiPlan } from './ssi-filter.ts'
import { beginSub, compileSub, SubFilter, type SubPlan } from './sub-filter.ts'

/** The filters of one location. */
export interface FilterPlans {
  readonly addition: AdditionPlan | null
  readonly sub: SubPlan | null
  readonly ssi: SsiPlan | null
  readonly gzip: GzipPlan | null
  readonly rate: RatePlan | null
}

/** null: the location has none. */
export function compileFilters(settings: Effective, binder: Binder): FilterPlans | null {
  const plans: FilterPlans = {
    addition: compileAddition(settings),
    sub: compileSub(settings, binder),
    ssi: compileSsi(settings, binder),
    gzip: compileGzip(settings, binder),
    rate: compileRate(settings, binder),
  }
  return Object.values(plans).every((plan) => plan === null) ? null : plans
}

/**
 * Makes the head what the filters of this response make it, and puts them before its client: first comes the head, in
 * the order of the filters, then the chain, from the client backwards.
 */
export function installFilters(x: Exchange): void {
  if (x.lastFilter !== null) removeFilters(x)
  if (x.status === 101) return
  const plans = x.location.filters
  const chain = x.location.hooks.bodyFilter
  const hooks = chain !== null && beginBodyFilter(x) ? chain : null
  const addition = plans?.addition && beginAddition(x, plans.addition) ? plans.addition : null
  const sub = plans?.sub && beginSub(x, plans.sub) ? plans.sub : null
  const ssi = plans?.ssi && beginSsi(x, plans.ssi) ? plans.ssi : null
  const gzip = plans?.gzip && x.parent === null && beginGzip(x, plans.gzip) ? plans.gzip : null
  if (x.headOnly || x.method === 'HEAD') return
  if (x.parent === null) limitRate(x, plans?.rate ?? null)
  if (gzip !== null) new GzipFilter(x, x.output, gzip.level)
  // What is added is not for the filters of the body that it is added to.
  if (addition !== null) new AdditionFilter(x, x.output, addition)
  if (ssi !== null) new SsiFilter(x, x.output, ssi)
  if (sub !== null) new SubFilter(x, x.output, sub)
  if (hooks !== null) new BodyFilter(x, x.output, hooks)
}

/** Whether this response is compressed; if so, its head says it. */
function beginGzip(x: Exchange, plan: GzipPlan): boolean {
  if (!isCompressible(x, plan)) return false
  if (plan.vary) x.headers.add('Vary', 'Accept-Encoding')
  if (!clientTakesGzip(x, plan)) return false
  x.headers.add('Content-Encoding', 'gzip')
  forgetBody(x)
  weakenEtag(x)
  return true
}
