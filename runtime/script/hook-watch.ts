/**
 * What is known of one hook of one script: its statistics, its overruns in a row, and whether it is left out because of
 * them. Knows neither sandbox nor request. Times in ms since the epoch.
 *
 *     in service --too many overruns in a row--> left out --its time is up--> one call tries --went well--> in service
 *                                                   ^                             |
 *                                                   '--- overran: twice as long --'
 */

export interface HookStats {
  calls: number
  /** Overruns included. */
  errors: number
  overruns: number
  /**
   * µs that its calls took, and what follows their awaits: long ones (about a millisecond and more) as they are, of the
   * short ones every sixteenth, sixteen times.
   */
  cpuMicros: number
  /** µs of the longest that was timed. */
  slowest: number
}

/** Of so many short calls one is timed: a power of two. */
const SAMPLE = 16

/** ms for which a hook is left out, the first time and at most. */
const FIRST = 1000
const LONGEST = 60_000

export class HookWatch {
  readonly stats: HookStats = { calls: 0, errors: 0, overruns: 0, cpuMicros: 0, slowest: 0 }
  /** The last call overran, or the hook is left out: {@link wentWell} is to be told of a good one. */
  unwell = false
  /** It is left out, but for a call that tries. */
  leftOut = false
  #row = 0
  #duration = FIRST
  /** No call before that. */
  #until = 0
  #isTrying = false
  #backAt = 0

  /** The call that has just been counted is to be timed. */
  get isSampled(): boolean {
    return (this.stats.calls & (SAMPLE - 1)) === 0
  }

  /** @param ms of a call that stands for all those that were not timed, or (`isLong`) for itself */
  took(ms: number, isLong: boolean): void {
    const { stats } = this
    const micros = Math.round(ms * 1000)
    stats.cpuMicros += isLong ? micros : micros * SAMPLE
    if (micros > stats.slowest) stats.slowest = micros
  }

  /** A call may try whether the hook has got better. */
  isDue(now: number): boolean {
    return now >= this.#until
  }

  /** A call tries; the next one may after `patience`, should nothing be heard of this one. */
  tries(now: number, patience: number): void {
    this.#until = now + patience
    this.#isTrying = true
  }

  /** @returns whether it had been left out. What began before says nothing then. */
  wentWell(now: number): boolean {
    const wasOut = this.leftOut
    if (wasOut && !this.#isTrying) return false
    this.#row = 0
    this.unwell = this.leftOut = false
    if (wasOut) this.#backAt = now
    return wasOut
  }

  /** @returns overruns in a row, this one included; 0 when it is left out, after a try that failed for longer now */
  overran(now: number): number {
    this.unwell = true
    if (this.leftOut) {
      if (this.#isTrying) this.#leaveOut(now, Math.min(2 * this.#duration, LONGEST))
      return 0
    }
    return ++this.#row
  }

  /** From now on it is left out. @returns for how long, in ms */
  leaveOut(now: number): number {
    const isRelapse = this.#backAt > 0 && now - this.#backAt < LONGEST
    this.#leaveOut(now, isRelapse ? Math.min(2 * this.#duration, LONGEST) : FIRST)
    return this.#duration
  }

  #leaveOut(now: number, duration: number): void {
    this.#row = 0
    this.#isTrying = false
    this.#duration = duration
    this.#until = now + duration
    this.unwell = this.leftOut = true
  }
}
