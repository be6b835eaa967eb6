/**
 * What a hook decided, in a form in which two decisions can be compared, written down and shown: a flat list of facets,
 * each a text. Contents of bodies and messages stand as digests. Knows no request.
 */
import { createHash } from 'node:crypto'
import { Outcome } from '../phases.ts'

/** `outcome`, and what else there is to say: `answer status`, `headersIn x-user`, `$group`, `peer`, … Byte strings. */
export type HookDecision = Readonly<Record<string, string>>

const NAMES: Readonly<Record<number, string>> = {
  [Outcome.PASS]: 'pass',
  [Outcome.ANSWER]: 'answer',
  [Outcome.REDIRECT]: 'redirect',
  [Outcome.PEER]: 'peer',
  [Outcome.FAILED]: 'failed',
  [Outcome.REPLACED]: 'replaced',
  [Outcome.DROPPED]: 'dropped',
}

export function outcomeName(outcome: Outcome): string {
  return NAMES[outcome] ?? 'never ended'
}

/** The facet of something that is there no more. */
export const REMOVED = '(removed)'

export interface FacetDifference {
  readonly facet: string
  /** undefined: this decision does not have it. */
  readonly before: string | undefined
  readonly after: string | undefined
}

/** In the order of the first one's facets, then of those that the second one has alone. */
export function differences(before: HookDecision, after: HookDecision): FacetDifference[] {
  const facets = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...facets]
    .filter((facet) => before[facet] !== after[facet])
    .map((facet) => ({ facet, before: before[facet], after: after[facet] }))
}

/** Longest value that is shown whole. */
const MAX_SHOWN = 120

/** One line: `pass; headersIn x-user: 7`. */
export function decisionText(decision: HookDecision): string {
  const { outcome = 'pass', ...facets } = decision
  return [outcome, ...Object.entries(facets).map(([name, value]) => `${name}: ${shown(value)}`)].join('; ')
}

/** A value as a difference shows it. */
export function shown(value: string | undefined): string {
  if (value === undefined) return '(none)'
  return value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}...` : value
}

/** Of content that is too long, or too private, to be kept. */
export function digest(data: Uint8Array | string): string {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data
  const hash = createHash('sha256').update(bytes).digest('hex')
  return `${bytes.length} bytes, sha256 ${hash.slice(0, 16)}`
}
