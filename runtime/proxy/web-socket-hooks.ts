/**
 * Runs the `ws*` hooks of one WebSocket, one at a time: a chain of handlers for one thing that happened, which may be
 * suspended in between. Knows nothing of frames or sockets.
 */
import { Outcome, type PhaseHandler } from '../phases.ts'
import type { Exchange, HookOwner } from './exchange.ts'

export type WebSocketTask = 'open' | 'message' | 'close'

/**
 * Called when a chain is through, at once or later: PASS, DROPPED or FAILED.
 * @param later it was suspended in between
 */
export type TaskDone = (task: WebSocketTask, outcome: Outcome, later: boolean) => void

export class WebSocketHooks implements HookOwner {
  /** A hook runs or waits. */
  busy = false
  readonly #x: Exchange
  readonly #done: TaskDone
  #task: WebSocketTask = 'open'
  #chain: readonly PhaseHandler[] = []
  #index = 0

  constructor(x: Exchange, done: TaskDone) {
    this.#x = x
    this.#done = done
  }

  run(task: WebSocketTask, chain: readonly PhaseHandler[] | null): void {
    if (chain === null) {
      this.#done(task, Outcome.PASS, false)
      return
    }
    this.busy = true
    this.#task = task
    this.#chain = chain
    this.#index = 0
    this.#advance(chain[0](this.#x), false)
  }

  /** A suspended hook has settled. */
  hookSettled(outcome: Outcome): void {
    this.#x.hookOwner = null
    this.#advance(outcome, true)
  }

  /** Nobody waits for it any more: what is suspended never settles. */
  abandon(): void {
    if (this.#x.hookOwner === this) {
      this.#x.hookOwner = null
      this.#x.generation.abandonHook(this.#x)
    }
    this.busy = false
  }

  /** Each handler sees what the one before it made of the message; a dropped message and a failure end the chain. */
  #advance(first: Outcome, later: boolean): void {
    let outcome = first
    while (outcome !== Outcome.SUSPENDED) {
      const goesOn = outcome === Outcome.PASS || outcome === Outcome.REPLACED || this.#task === 'close'
      if (!goesOn) break
      if (++this.#index === this.#chain.length) {
        outcome = Outcome.PASS
        break
      }
      outcome = this.#chain[this.#index](this.#x)
    }
    if (outcome === Outcome.SUSPENDED) {
      this.#x.hookOwner = this
      return
    }
    this.busy = false
    this.#done(this.#task, outcome, later)
  }
}
