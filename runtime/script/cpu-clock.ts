/**
 * Says whether the guest has used up its CPU time for this entry. Asked at intervals (QuickJS's interrupt ticks, the
 * metered loops, host calls), it starts its clock at the first question, so that the many short entries never read a
 * clock. Knows no sandbox.
 */
import { processTime, threadTime } from './thread-time.ts'

/** ms of an entry for what is not on the script's account: describing its errors. */
const GRACE = 25
/** The clock has not been asked yet. */
const STOPPED = -1

export class CpuClock {
  /** ms per entry. */
  limit: number
  #started = STOPPED
  /** CPU time of the process and of the thread when the clock was started. */
  #process = 0
  #thread = STOPPED
  #isExpired = false
  #graceLeft = GRACE
  #inGrace = false
  /** The entry's own clock, while it stands still. */
  #kept = STOPPED
  #keptThread = 0
  #wasExpired = false

  constructor(limit: number) {
    this.limit = limit
  }

  /** The guest is entered anew. */
  reset(): void {
    this.#started = STOPPED
    this.#isExpired = false
    this.#graceLeft = GRACE
  }

  /** The entry does not go on, whatever time is left. */
  expire(): void {
    this.#isExpired = true
  }

  /** ms that the entry has run since the clock was first looked at; 0 if it never was. */
  get spent(): number {
    return this.#used()
  }

  /**
   * Both the wall clock and the thread's CPU time must be over the limit: the first alone would blame the guest for
   * what other processes take. The second is dear to ask for, and done only for entries that are long: since the start
   * the thread has run neither longer than the clock nor than the process.
   */
  isOver(): boolean {
    if (this.#isExpired) return true
    const now = performance.now()
    if (this.#started < 0) {
      this.#begin(now)
      return false
    }
    if (this.#thread === STOPPED) this.#thread = threadTime() - this.#used()
    const limit = this.#inGrace ? this.#graceLeft : this.limit
    return now - this.#started >= limit && this.#used() >= limit
  }

  #begin(now: number): void {
    this.#started = now
    this.#process = processTime()
    this.#thread = STOPPED
  }

  /** The entry's clock stands still until {@link endGrace}; what an entry may take meanwhile is a little of its own. */
  beginGrace(): void {
    this.#kept = this.#started
    this.#keptThread = this.#used()
    this.#begin(performance.now())
    this.#wasExpired = this.#isExpired
    this.#isExpired = false
    this.#inGrace = true
  }

  endGrace(): void {
    const took = performance.now() - this.#started
    this.#inGrace = false
    this.#isExpired = this.#wasExpired
    this.#graceLeft = Math.max(0, this.#graceLeft - took)
    this.#started = this.#kept < 0 ? this.#kept : this.#kept + took
    this.#thread = threadTime() - this.#keptThread
  }

  /** ms of the thread since the clock was started. */
  #used(): number {
    if (this.#started < 0) return 0
    if (this.#thread !== STOPPED) return threadTime() - this.#thread
    return Math.min(performance.now() - this.#started, processTime() - this.#process)
  }
}
