/** What the answers of all workers to one preparation come to. Pure. */
import type { Digests, Refusal } from './protocol.ts'
import type { Outcome, WorkerHandle } from './worker-handle.ts'

/** `ready` of the last two: those that have made something, and are to give it up. */
export type Verdict =
  | { readonly kind: 'ready'; readonly ready: readonly WorkerHandle[]; readonly digests: Digests }
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly ready: readonly WorkerHandle[]; readonly refusal: Refusal }
  /** Worth another try. */
  | { readonly kind: 'torn'; readonly ready: readonly WorkerHandle[]; readonly reason: string }

export function judge(crew: readonly WorkerHandle[], outcomes: readonly Outcome[]): Verdict {
  const ready = crew.filter((_, at) => outcomes[at].kind === 'ready')
  const refused = outcomes.find((outcome) => outcome.kind === 'refused')
  if (refused !== undefined) return { kind: 'refused', ready, refusal: refused.refusal }
  if (outcomes.some(({ kind }) => kind === 'gone'))
    return { kind: 'torn', ready, reason: 'a worker process ended while it was made ready' }
  if (ready.length === 0) return { kind: 'same' }
  const digests = outcomes.map((outcome) => (outcome.kind === 'ready' ? outcome.digests : null))
  const [first] = digests
  if (first === null || !digests.every((other) => sameDigests(first, other)))
    return {
      kind: 'torn',
      ready,
      reason: 'the workers do not agree on the scripts: they change all the time',
    }
  return { kind: 'ready', ready, digests: first }
}

function sameDigests(a: Digests, b: Digests | null): boolean {
  const text = (digests: Digests) => JSON.stringify(Object.entries(digests).sort())
  return b !== null && text(a) === text(b)
}
