/** When a script has lost its sandboxes, and when it may have the next one. Times in ms since the epoch. */

/** Losses that are remembered, and how long (ms). */
const LOSSES = 5
const WINDOW = 10_000
/** ms before a sandbox is made anew, by the number of losses before this one. */
const BACKOFF = [0, 0, 10, 100, 1000]
const LONGEST = BACKOFF[BACKOFF.length - 1]

export class Losses {
  /** No sandbox is made before that. */
  respawnAt = 0
  #times: number[] = []
  #strays = 0
  #strayAt = 0

  lost(now: number): void {
    this.#times = this.#times.filter((time) => now - time < WINDOW)
    this.respawnAt = now + BACKOFF[Math.min(this.#times.length, BACKOFF.length - 1)]
    this.#times.push(now)
    if (this.#times.length > LOSSES) this.#times.shift()
  }

  /** The next sandbox could not be made. */
  refused(now: number): void {
    this.respawnAt = now + LONGEST
  }

  /** Lost by what is no hook call, such as a timer. @returns how often, each soon after the one before */
  strayed(now: number): number {
    this.#strays = now - this.#strayAt < WINDOW ? this.#strays + 1 : 1
    this.#strayAt = now
    return this.#strays
  }
}
