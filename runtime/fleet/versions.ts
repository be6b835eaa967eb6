/** From one record of a script to the next: what serves, its canary, and what can be gone back to. Pure. */
import { type CanaryShare, FleetError, type FleetVersion, type RolloutKind } from './fleet.ts'
import { type FleetRecord, MAX_EARLIER } from './record.ts'

/** What is asked for. */
export interface Wish {
  readonly id: string
  readonly kind: RolloutKind
  readonly name: string
  readonly author: string
  /** ms since the epoch */
  readonly at: number
  /** Why a canary is ended; else ''. */
  readonly reason: string
  /** Of a text that is pushed; else ''. */
  readonly digest: string
  readonly share: CanaryShare | null
}

/** A record that has no number yet. */
export type Draft = Omit<FleetRecord, 'serial'>

type Known = Pick<FleetRecord, 'live' | 'canary' | 'earlier'>

/**
 * @param base null: nothing is recorded yet
 * @param own what serves on the machine that asks, for when nothing is recorded; null: nothing does
 * @throws FleetError when it cannot be had
 */
export function draftOf(wish: Wish, base: FleetRecord | null, own: FleetVersion | null): Draft {
  const { id, kind, name, author, at, reason } = wish
  const known: Known | null = base ?? (own === null ? null : { live: own, canary: null, earlier: [] })
  return { name, id, kind, author, at, reason, ...CHANGES[kind](wish, known) }
}

const CHANGES = {
  push: (wish, known) => {
    if (known?.canary) throw busy(wish.name)
    return { ...inPlace(wish, wish.digest, known), canary: null }
  },
  canary: (wish, known) => {
    if (known === null)
      throw new FleetError('unknown', `no version of ${wish.name} is known; push one without a canary first`)
    const canary = { ...versionOf(wish, wish.digest), ...wish.share! }
    return { live: known.live, canary, earlier: known.earlier }
  },
  promote: (wish, known) => {
    const { digest } = canaryOf(wish, known)
    return { ...inPlace(wish, digest, known), canary: null }
  },
  remove: (wish, known) => {
    canaryOf(wish, known)
    const { live, earlier } = known!
    return { live, canary: null, earlier }
  },
  rollback: (wish, known) => {
    if (known?.canary) throw busy(wish.name)
    const [before, ...earlier] = known?.earlier ?? []
    if (before === undefined)
      throw new FleetError('unknown', `the fleet has recorded no earlier version of ${wish.name}`)
    return { live: versionOf(wish, before.digest), canary: null, earlier }
  },
} as const satisfies Record<RolloutKind, (wish: Wish, known: Known | null) => Known>

function inPlace(wish: Wish, digest: string, known: Known | null): Pick<Known, 'live' | 'earlier'> {
  const before = known === null ? [] : [known.live, ...known.earlier]
  const earlier = before.filter((version) => version.digest !== digest).slice(0, MAX_EARLIER)
  return { live: versionOf(wish, digest), earlier }
}

function versionOf({ author, at, kind }: Wish, digest: string): FleetVersion {
  return { digest, author, at, kind }
}

function canaryOf({ name }: Wish, known: Known | null): FleetVersion {
  if (known?.canary) return known.canary
  throw new FleetError('unknown', `the fleet has no canary of ${name}`)
}

function busy(name: string): FleetError {
  return new FleetError('conflict', `${name} has a canary; promote or remove it first`)
}
