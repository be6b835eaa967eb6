/** A histogram of times in whole milliseconds: fixed buckets, a number each. Costs an addition per observation. */

/** Upper bounds, ms; the last bucket has none. */
export const BOUNDS: readonly number[] = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000,
]

export class TimeHistogram {
  /** Observations by bucket, each counted in one of them. */
  readonly counts: number[] = new Array(BOUNDS.length + 1).fill(0)
  /** ms of all observations. */
  sum = 0

  observe(ms: number): void {
    // A clock that was set back.
    if (ms < 0) ms = 0
    this.sum += ms
    let bucket = 0
    while (bucket < BOUNDS.length && ms > BOUNDS[bucket]) bucket++
    this.counts[bucket]++
  }
}
