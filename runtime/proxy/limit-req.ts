/**
 * `limit_req` (ngx_http_limit_req_module): requests of a key that come faster than the rate wait their turn, or are
 * refused. Several limits count together: all are asked, and only when none refuses does the request count.
 *
 *   keys -> in the zones of this machine, and where `store` stands, in the store -> PASSED | DELAYED | REJECTED
 */
import type { LogLevel } from '../phases.ts'
import type { LimitZones } from '../store/limit-zones.ts'
import { identityOf, type MachineLimits, type ZoneIdentity } from '../store/machine-limits.ts'
import { NO_ROOM, type RateZone } from '../store/rate-zone.ts'
import type { Store } from '../store/store.ts'
import type { Exchange } from './exchange.ts'
import { LimitState } from './limit-state.ts'
import { takeFromMachine, takeFromStore } from './limit-store.ts'
import type { Binder, Effective, Getter } from './plan.ts'
import { Step } from './step.ts'

/** One `limit_req` line. Requests are counted in thousandths. */
export interface RateLimit {
  readonly zone: RateZone
  /** The zone, as other processes know it. */
  readonly identity: ZoneIdentity
  readonly key: Getter
  /** As written. */
  readonly keyText: string
  /** Per second. */
  readonly rate: number
  readonly burst: number
  readonly delay: number
  /** Where it is counted; null: in the zone. */
  readonly store: Store | null
}

/** The `limit_req` lines in force at one location. */
export interface LimitReqPlan {
  readonly limits: readonly RateLimit[]
  readonly status: number
  readonly level: LogLevel
  /** One less severe than `level`. */
  readonly delayLevel: LogLevel
  readonly dryRun: boolean
  /** Where all workers count together; null: this process is the only one. */
  readonly machine: MachineLimits | null
}

/** A limit that applies to a request: it has a key. */
export interface Claim {
  readonly limit: RateLimit
  readonly key: string
}

/** How far a claim stands above the rate. */
export interface Standing {
  readonly limit: RateLimit
  /** Thousandths; NO_ROOM: it cannot be counted. */
  readonly excess: number
  readonly refused: boolean
}

const MAX_KEY = 65_535

const LESS_SEVERE = { error: 'warn', warn: 'notice', notice: 'info', info: 'info' } as const

/** null: nothing is limited. */
export function compileLimitReq(
  settings: Effective,
  zones: LimitZones,
  binder: Binder,
  store: Store,
): LimitReqPlan | null {
  if (settings.limitReqs.length === 0) return null
  const { machine } = zones
  return {
    limits: settings.limitReqs.map(({ zone: name, burst, delay, store: shared }) => {
      const { zone, model } = zones.rate(name)
      return {
        zone,
        identity: identityOf(model),
        key: binder.bind(model.key),
        keyText: model.key.text,
        rate: model.rate,
        burst: burst * 1000,
        delay: delay * 1000,
        store: shared || model.sync ? store : null,
      }
    }),
    status: settings.limitReqStatus,
    level: settings.limitReqLogLevel,
    delayLevel: LESS_SEVERE[settings.limitReqLogLevel],
    dryRun: settings.limitReqDryRun,
    machine,
  }
}

/** 0: the request may go on; else the status that refuses it; null: it waits, LIMIT or ERROR is resumed. It is judged once. */
export function limitRequest(x: Exchange, plan: LimitReqPlan): number | null {
  const state = (x.main.limits ??= new LimitState())
  if (state.rate !== null) return 0
  const claims = claimsOf(x, plan.limits)
  if (claims.length === 0) return 0
  if (plan.machine === null && claims.every(({ limit }) => limit.store === null))
    return judge(x, plan, takeHere(claims))
  void askElsewhere(x, plan, claims)
  return null
}

function claimsOf(x: Exchange, limits: readonly RateLimit[]): Claim[] {
  const claims: Claim[] = []
  for (const limit of limits) {
    const key = limit.key(x)
    if (key === '') continue
    if (key.length > MAX_KEY)
      x.log('error', `the value of the "${limit.keyText}" key is more than ${MAX_KEY} bytes: "${key}"`)
    else claims.push({ limit, key })
  }
  return claims
}

/** By the zones here: the first that refuses, or null; nothing is counted. */
function lookHere(claims: readonly Claim[]): Standing | null {
  for (const { limit, key } of claims) {
    const excess = limit.zone.look(key, limit.rate)
    if (excess > limit.burst) return { limit, excess, refused: true }
  }
  return null
}

/** By the zones here: the one that refuses; or, from the last to the first, all of them, counted. */
function takeHere(claims: readonly Claim[]): Standing[] {
  const last = claims.length - 1
  if (last > 0) {
    const refusal = lookHere(claims.slice(0, last))
    if (refusal !== null) return [refusal]
  }
  const standing = takeOne(claims[last])
  if (standing.refused || last === 0) return [standing]
  return [standing, ...claims.slice(0, last).reverse().map(takeOne)]
}

function takeOne({ limit, key }: Claim): Standing {
  const excess = limit.zone.take(key, limit.rate, limit.burst)
  return { limit, excess, refused: excess > limit.burst || excess === NO_ROOM }
}

/** Of several processes: one round trip to the supervisor for all of its zones, one to the store for each of its own. */
async function askElsewhere(x: Exchange, plan: LimitReqPlan, claims: readonly Claim[]): Promise<void> {
  const standings = await standingsOf(x, plan, claims)
  if (x.closed || x.completed) return
  const status = judge(x, plan, standings)
  if (status === null) return
  if (status !== 0) x.status = status
  x.generation.services.resume(x, status === 0 ? Step.LIMIT : Step.ERROR)
}

/** The zones of the machine are looked at first, so that what they refuse does not count in the store, and counted last. */
async function standingsOf(
  x: Exchange,
  { machine }: LimitReqPlan,
  claims: readonly Claim[],
): Promise<Standing[]> {
  const stored = claims.filter(({ limit }) => limit.store !== null)
  const own = claims.filter(({ limit }) => limit.store === null)
  const take = async (counts: boolean): Promise<Standing[]> => {
    const found = machine === null ? null : await takeFromMachine(x, machine, own, counts)
    if (found !== null) return found
    if (counts) return takeHere(own)
    const refusal = lookHere(own)
    return refusal === null ? [] : [refusal]
  }
  if (own.length > 0 && stored.length > 0) {
    const refusal = await take(false)
    if (refusal.length > 0) return refusal
  }
  const standings: Standing[] = []
  for (const claim of stored.reverse()) {
    const standing = (await takeFromStore(x, claim)) ?? takeOne(claim)
    if (standing.refused) return [standing]
    standings.push(standing)
  }
  return own.length === 0 ? standings : [...standings, ...(await take(true))]
}

/** What becomes of the request; as `limitRequest`. */
function judge(x: Exchange, plan: LimitReqPlan, standings: readonly Standing[]): number | null {
  const refusal = standings.find(({ refused }) => refused)
  if (refusal !== undefined) return refuse(x, plan, refusal)
  let longest = standings[0]
  let wait = waitOf(longest)
  for (const standing of standings) {
    const ms = waitOf(standing)
    if (ms > wait) {
      wait = ms
      longest = standing
    }
  }
  const state = x.main.limits!
  if (wait === 0) {
    state.rate = 'PASSED'
    return 0
  }
  const { dryRun } = plan
  x.log(plan.delayLevel, `delaying request${dryRun ? ', dry run' : ''}, ${describe(longest, ',')}`)
  state.rate = dryRun ? 'DELAYED_DRY_RUN' : 'DELAYED'
  if (dryRun) return 0
  delay(x, wait)
  return null
}

function refuse(x: Exchange, { level, dryRun, status }: LimitReqPlan, refusal: Standing): number {
  const { zone } = refusal.limit
  if (refusal.excess === NO_ROOM) x.log('alert', `could not allocate node in limit_req zone "${zone.name}"`)
  else x.log(level, `limiting requests${dryRun ? ', dry run' : ''}, ${describe(refusal, '')}`)
  x.main.limits!.rate = dryRun ? 'REJECTED_DRY_RUN' : 'REJECTED'
  return dryRun ? 0 : status
}

function describe({ excess, limit }: Standing, comma: string): string {
  return `excess: ${(excess / 1000).toFixed(3)}${comma} by zone "${limit.zone.name}"`
}

/** ms until what is above `delay` has drained. */
function waitOf({ excess, limit }: Standing): number {
  return excess <= limit.delay ? 0 : Math.floor(((excess - limit.delay) * 1000) / limit.rate)
}

/** Nothing but the exchange and a timer: it reads no body and holds no upstream; `abandon` ends it. */
function delay(x: Exchange, ms: number): void {
  x.delay = setTimeout(
    () => {
      x.delay = null
      x.generation.services.resume(x, Step.LIMIT)
    },
    Math.min(ms, 0x7fffffff),
  )
}
