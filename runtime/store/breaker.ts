/**
 * A circuit breaker: after some failures in a row nothing is sent for a while, then one call tries.
 *
 *   closed --failures in a row--> open --rest over--> half-open --success--> closed
 *                                  ^                      |
 *                                  +------- failure ------+    (the rest doubles, up to a bound)
 */

export type BreakerState = 'closed' | 'open' | 'half-open'

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failures: number
  /** ms of the first rest. */
  readonly rest: number
  /** ms of the longest rest. */
  readonly longestRest: number
  /** Told once per change. */
  readonly onChange: (state: BreakerState, reason: string) => void
  /** ms; for tests. */
  readonly now?: () => number
}

export class Breaker {
  readonly #options: BreakerOptions
  readonly #now: () => number
  #state: BreakerState = 'closed'
  #failures = 0
  #rest: number
  #until = 0

  constructor(options: BreakerOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    this.#rest = options.rest
  }

  get state(): BreakerState {
    return this.#state
  }

  /** Whether a call may go out; the one that tries after a rest reports by `succeeded` or `failed`. */
  allows(): boolean {
    if (this.#state === 'closed') return true
    if (this.#state === 'half-open' || this.#now() < this.#until) return false
    this.#change('half-open', 'trying again')
    return true
  }

  succeeded(): void {
    this.#failures = 0
    if (this.#state === 'closed') return
    this.#rest = this.#options.rest
    this.#change('closed', 'it answers again')
  }

  failed(reason: string): void {
    if (this.#state === 'open') return
    if (this.#state === 'half-open') this.#rest = Math.min(this.#rest * 2, this.#options.longestRest)
    else if (++this.#failures < this.#options.failures) return
    this.#until = this.#now() + this.#rest
    this.#change('open', reason)
  }

  #change(state: BreakerState, reason: string): void {
    this.#state = state
    this.#options.onChange(state, reason)
  }
}
