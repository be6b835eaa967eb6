/** `limit_conn` (ngx_http_limit_conn_module): so many requests of a key at a time. */
import type { LogLevel } from '../phases.ts'
import type { ConnectionZone } from '../store/connection-zone.ts'
import type { LimitZones } from '../store/limit-zones.ts'
import { identityOf, type MachineLimits, type ZoneIdentity } from '../store/machine-limits.ts'
import type { Exchange } from './exchange.ts'
import { LimitState } from './limit-state.ts'
import type { Binder, Effective, Getter } from './plan.ts'
import { Step } from './step.ts'

interface ConnectionLimit {
  readonly zone: ConnectionZone
  /** The zone, as other processes know it. */
  readonly identity: ZoneIdentity
  readonly max: number
  readonly key: Getter
  /** As written. */
  readonly keyText: string
}

/** The `limit_conn` lines in force at one location. */
export interface LimitConnPlan {
  readonly limits: readonly ConnectionLimit[]
  readonly status: number
  readonly level: LogLevel
  readonly dryRun: boolean
  /** Where all workers count together; null: this process is the only one. */
  readonly machine: MachineLimits | null
}

/** A limit that applies to a request: it has a key. */
interface Claim {
  readonly limit: ConnectionLimit
  readonly key: string
}

/** The limit that refuses a request, and whether for want of room. */
interface Refusal {
  readonly limit: ConnectionLimit
  readonly full: boolean
}

const MAX_KEY = 255

/** null: nothing is limited. */
export function compileLimitConn(
  settings: Effective,
  zones: LimitZones,
  binder: Binder,
): LimitConnPlan | null {
  if (settings.limitConns.length === 0) return null
  return {
    limits: settings.limitConns.map(({ zone: name, max }) => {
      const { zone, model } = zones.connections(name)
      const { key } = model
      return { zone, identity: identityOf(model), max, key: binder.bind(key), keyText: key.text }
    }),
    status: settings.limitConnStatus,
    level: settings.limitConnLogLevel,
    dryRun: settings.limitConnDryRun,
    machine: zones.machine,
  }
}

/**
 * 0: the request may go on; else the status that refuses it; null: not known yet, LIMIT or ERROR is resumed. Counts it
 * until it ends; a request is judged once.
 */
export function limitConnections(x: Exchange, plan: LimitConnPlan): number | null {
  const state = (x.main.limits ??= new LimitState())
  if (state.connections !== null) return 0
  const claims = claimsOf(x, plan.limits)
  if (claims.length === 0) return 0
  if (plan.machine === null) return judge(x, plan, admitHere(state, claims))
  void askMachine(x, plan, plan.machine, claims)
  return null
}

function claimsOf(x: Exchange, limits: readonly ConnectionLimit[]): Claim[] {
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

/** null: all have admitted it. */
function admitHere(state: LimitState, claims: readonly Claim[]): Refusal | null {
  for (const [i, { limit, key }] of claims.entries()) {
    const admission = limit.zone.admit(key, limit.max)
    if (admission === 'admitted') continue
    for (const before of claims.slice(0, i)) before.limit.zone.release(before.key)
    return { limit, full: admission === 'no room' }
  }
  for (const { limit, key } of claims) state.hold(limit.zone, key)
  return null
}

/** One round trip to the supervisor. Who does not answer refuses nobody: the zones of this process decide. */
async function askMachine(
  x: Exchange,
  plan: LimitConnPlan,
  machine: MachineLimits,
  claims: readonly Claim[],
): Promise<void> {
  const state = x.main.limits!
  let refusal: Refusal | null
  try {
    refusal = await admitByMachine(state, machine, claims)
  } catch {
    refusal = x.main.completed ? null : admitHere(state, claims)
  }
  // The request has ended meanwhile: nobody else will release it.
  if (x.main.completed) state.releaseAll()
  if (x.closed || x.completed) return
  const status = judge(x, plan, refusal)
  if (status !== 0) x.status = status
  x.generation.services.resume(x, status === 0 ? Step.LIMIT : Step.ERROR)
}

async function admitByMachine(
  state: LimitState,
  machine: MachineLimits,
  claims: readonly Claim[],
): Promise<Refusal | null> {
  const asked = claims.map(({ limit, key }) => ({ zone: limit.identity, key, max: limit.max }))
  const { refused, full } = await machine.admit(asked)
  if (refused >= 0) return { limit: claims[refused].limit, full }
  for (const { limit, key } of claims)
    state.hold({ release: (held) => machine.release(limit.identity, held) }, key)
  return null
}

/** 0, or the status that refuses the request. */
function judge(x: Exchange, { status, level, dryRun }: LimitConnPlan, refusal: Refusal | null): number {
  const state = x.main.limits!
  if (refusal === null) {
    state.connections = 'PASSED'
    return 0
  }
  const { name } = refusal.limit.zone
  if (refusal.full) x.log('crit', `no memory in limit_conn_zone "${name}"`)
  else x.log(level, `limiting connections${dryRun ? ', dry run,' : ''} by zone "${name}"`)
  state.connections = dryRun ? 'REJECTED_DRY_RUN' : 'REJECTED'
  return dryRun ? 0 : status
}
