/** How long to wait before a worker that died is replaced: not at all, unless workers die young one after the other. */

/** ms that a worker must have lived for its death to count as an accident. */
const GROWN_UP = 5000
const FIRST = 100
const LONGEST = 10_000

export class Backoff {
  #young = 0

  /** @param age ms that it lived @returns ms */
  after(age: number): number {
    if (age >= GROWN_UP) this.#young = 0
    else this.#young++
    return this.#young <= 1 ? 0 : Math.min(LONGEST, FIRST * 2 ** (this.#young - 2))
  }
}
