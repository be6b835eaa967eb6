/** A roll-out as those who ask for it see it, from what is kept of it: who has answered, and what it has come to. Pure. */
import type { MachineProgress, MachineState, Rollout } from './fleet.ts'
import type { StoredRollout } from './fleet-redis.ts'
import { type Answer, type Proposal, readAnswer } from './record.ts'
import { cleaned, Malformed, parseJson } from './strict.ts'

/** ms that machines have to say whether they could serve. */
export const ASKED = 5000
/** ms that they have to serve, before they are away. */
const SERVING = 10_000
/** ms after which nobody waits for the answers any more. */
const ABANDONED = ASKED + 10_000
const MAX_ANSWER = 16 * 1024

export function viewOf(stored: StoredRollout, proposal: Proposal): Rollout {
  const { id, kind, name, digest, author, at, canary } = proposal
  const isLate = stored.recorded > 0 && stored.now - stored.recorded > SERVING
  const isAbandoned = stored.state === 'asking' && stored.now - stored.at > ABANDONED
  const state = isAbandoned ? 'refused' : (STATES[stored.state] ?? 'refused')
  const machines = [...answersOf(stored)].map(([machine, answer]): MachineProgress => {
    const { reason, generation, took } = answer
    return { machine, state: shown(answer.state, state, isLate), reason, generation, took }
  })
  const isDone = state === 'recorded' && machines.every((one) => one.state !== 'ready')
  const reason = isAbandoned ? 'the machine that asked has gone' : cleaned(stored.reason)
  const what = { id, kind, name, digest, author, at, canary, reason, machines }
  return { ...what, state: isDone ? 'done' : state }
}

const STATES: Readonly<Record<string, 'asking' | 'refused' | 'recorded'>> = {
  asking: 'asking',
  refused: 'refused',
  recorded: 'recorded',
}

/** Once there is a verdict, nobody waits for those who have not answered. */
function shown(
  state: MachineState,
  verdict: 'asking' | 'refused' | 'recorded',
  isLate: boolean,
): MachineState {
  if (state === 'asked') return verdict === 'asking' ? state : 'away'
  return state === 'ready' && isLate ? 'away' : state
}

const NONE: Answer = { state: 'asked', reason: '', generation: 0, took: 0, serial: 0 }

/** By machine, in the order of their names; what is no answer has not been given. */
export function answersOf({ answers }: StoredRollout): Map<string, Answer> {
  const read = ([machine, text]: [string, string]): [string, Answer] => {
    try {
      return [cleaned(machine).slice(0, 64), text === '' ? NONE : readAnswer(parseJson(text, MAX_ANSWER))]
    } catch (error) {
      if (error instanceof Malformed) return [machine, NONE]
      throw error
    }
  }
  return new Map([...answers].sort(([a], [b]) => (a < b ? -1 : 1)).map(read))
}
