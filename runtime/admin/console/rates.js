/** Requests in a second, from the differences between two looks. Knows no elements. */

/** Looks that are kept for the curve. */
const KEPT = 90
/** ms between two looks above which there is no telling what was between them. */
const GAP = 10_000

export class Rates {
  /** Requests by process, as of the last look. */
  #before = new Map()
  #at = 0
  /** In a second, by process: null where it is not known. */
  #now = new Map()
  /** In a second, of all; null: not known. The oldest first. */
  curve = []

  /** @param at ms, of a clock that only goes forward */
  look(workers, at) {
    const took = at - this.#at
    const before = this.#before
    const isKnown = before.size > 0 && took > 0 && took < GAP
    this.#now = new Map(
      workers.map(({ pid, requests }) => {
        const last = before.get(pid)
        return [
          pid,
          isKnown && last !== undefined && requests >= last ? (1000 * (requests - last)) / took : null,
        ]
      }),
    )
    this.#before = new Map(workers.map(({ pid, requests }) => [pid, requests]))
    this.#at = at
    const known = [...this.#now.values()].filter((one) => one !== null)
    this.curve = [...this.curve, known.length === 0 ? null : sum(known)].slice(-KEPT)
  }

  of(pid) {
    return this.#now.get(pid) ?? null
  }

  get all() {
    return this.curve.at(-1) ?? null
  }
}

function sum(numbers) {
  return numbers.reduce((all, one) => all + one, 0)
}
