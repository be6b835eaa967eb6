/**
 * A timeout that is armed and disarmed many times for each time it fires: arming writes a number, and one timer
 * re-arms itself for what remains. Costs no timer operation per request (`test/bench/micro-deadline.ts`).
 */
export class Deadline {
  /** ms on the monotonic clock; Infinity: disarmed. */
  #at = Infinity
  /** When `#timer` fires; Infinity: there is none. */
  #fires = Infinity
  #timer: NodeJS.Timeout | null = null
  readonly #expired: () => void

  constructor(expired: () => void) {
    this.#expired = expired
  }

  /** Fires `ms` milliseconds from now, unless armed again or disarmed before. */
  arm(ms: number): void {
    const now = performance.now()
    this.#at = now + ms
    if (this.#at < this.#fires) this.#schedule(ms, now)
  }

  disarm(): void {
    this.#at = Infinity
  }

  /** Disarms and lets go of the timer: nothing of the owner is kept alive. */
  dispose(): void {
    this.#at = Infinity
    this.#fires = Infinity
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #schedule(ms: number, now: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#fires = now + ms
    // A timer longer than 2^31-1 ms would fire at once.
    this.#timer = setTimeout(onTimer, Math.min(ms, 0x7fffffff), this)
  }

  /** Called by the timer only. */
  tick(): void {
    this.#timer = null
    this.#fires = Infinity
    if (this.#at === Infinity) return
    const now = performance.now()
    // Node may fire a fraction of a millisecond early.
    if (now + 1 < this.#at) this.#schedule(this.#at - now, now)
    else {
      this.#at = Infinity
      this.#expired()
    }
  }
}

function onTimer(deadline: Deadline): void {
  deadline.tick()
}
