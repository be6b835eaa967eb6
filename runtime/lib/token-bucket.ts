/** Allows something so often: a burst at once, then a steady rate. Costs two numbers and no timer. */
export class TokenBucket {
  readonly #burst: number
  readonly #perMs: number
  readonly #now: () => number
  #tokens: number
  #filledAt: number

  /**
   * @param burst how many at once
   * @param rate how many a second in the long run
   * @param now ms on a clock that never goes back
   */
  constructor(burst: number, rate: number, now: () => number = () => performance.now()) {
    this.#now = now
    this.#filledAt = now()
    this.#burst = burst
    this.#perMs = rate / 1000
    this.#tokens = burst
  }

  /** Takes one; false when there is none left. */
  take(): boolean {
    if (this.#tokens < 1) this.#fill()
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  #fill(): void {
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#perMs)
    this.#filledAt = now
  }
}
