/** Runs the hooks of one phase in order until one decides; continues where a suspended one left off. */
import { Outcome, type PhaseHandler } from '../phases.ts'
import type { Exchange } from './exchange.ts'

export function runHooks(x: Exchange, hooks: readonly PhaseHandler[]): Outcome {
  let outcome: Outcome
  if (x.settled === -1) outcome = hooks[x.hookIndex](x)
  else {
    outcome = x.settled
    x.settled = -1
  }
  while (outcome === Outcome.PASS && ++x.hookIndex < hooks.length) outcome = hooks[x.hookIndex](x)
  x.hookWaits = outcome === Outcome.SUSPENDED
  if (!x.hookWaits) x.hookIndex = 0
  return outcome
}
