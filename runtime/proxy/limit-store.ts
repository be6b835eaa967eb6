/**
 * A rate that is counted elsewhere: in the store, together with all who share it, or by the supervisor, together with
 * all workers. Who does not answer refuses nobody: the zone of this process decides meanwhile, which is counted, and
 * logged when it begins and when it is over.
 */
import { createHash } from 'node:crypto'
import type { MachineLimits } from '../store/machine-limits.ts'
import type { RateZone } from '../store/rate-zone.ts'
import type { Store } from '../store/store.ts'
import type { Exchange } from './exchange.ts'
import type { Claim, Standing } from './limit-req.ts'

/** Longer keys are stored as their hash: the store bounds them. */
const LONG = 256

/** null: the store has not answered. */
export async function takeFromStore(x: Exchange, { limit, key }: Claim): Promise<Standing | null> {
  const { zone, rate, burst } = limit
  const store = limit.store as Store
  let wait: number
  try {
    const name = key.length > LONG ? createHash('sha256').update(key, 'latin1').digest('hex') : key
    // The first request is none too many: a burst of none still lets one through.
    wait = await store.take(`limit_req ${zone.name}`, name, rate / 1000, burst / 1000 + 1, 1)
  } catch (error) {
    alone(x, zone, error)
    return null
  }
  together(x, zone)
  const above = Math.floor((Math.abs(wait) * rate) / 1000)
  if (wait > 0) return { limit, excess: burst + above, refused: true }
  return { limit, excess: Math.max(0, above - 1000), refused: false }
}

/**
 * Of claims that the machine's zones count; from the last to the first, or the one that refuses. null: the supervisor
 * has not answered.
 * @param counts false: the claims are looked at, and only a refusal is a standing
 */
export async function takeFromMachine(
  x: Exchange,
  machine: MachineLimits,
  claims: readonly Claim[],
  counts: boolean,
): Promise<Standing[] | null> {
  const asked = claims.map(({ limit, key }) => {
    const { identity: zone, rate, burst } = limit
    return { zone, key, rate, burst }
  })
  try {
    const { refused, excess } = await machine.take(asked, counts)
    for (const { limit } of claims) together(x, limit.zone)
    if (refused >= 0) return [{ limit: claims[refused].limit, excess: excess[0], refused: true }]
    return excess.map((each, i) => ({ limit: claims[i].limit, excess: each, refused: false })).reverse()
  } catch (error) {
    for (const { limit } of claims) alone(x, limit.zone, error)
    return null
  }
}

function alone(x: Exchange, zone: RateZone, error: unknown): void {
  zone.missed++
  if (zone.alone) return
  zone.alone = true
  x.log('warn', `limit_req zone "${zone.name}" counts in this process alone: ${(error as Error).message}`)
}

function together(x: Exchange, zone: RateZone): void {
  if (!zone.alone) return
  x.log('warn', `limit_req zone "${zone.name}" counts with the others again, after ${zone.missed} requests`)
  zone.alone = false
  zone.missed = 0
}
