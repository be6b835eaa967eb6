/**
 * Says whether the guest has used up its CPU time for this entry. Asked at intervals (QuickJS's interrupt ticks, the
 * metered loops), it starts its clock at the first question, so that the many short entries never read a clock.
 * Knows no sandbox.
 */
export class CpuClock {
  /** ms per entry. */
  limit: number
  #started = -1
  #cpu: NodeJS.CpuUsage | undefined

  constructor(limit: number) {
    this.limit = limit
  }

  /** The guest is entered anew. */
  reset(): void {
    this.#started = -1
  }

  /** The entry does not go on, whatever time is left. */
  expire(): void {
    this.#started = Number.NEGATIVE_INFINITY
  }

  /**
   * Both the wall clock and the process's CPU time must be over the limit: the first alone would blame the guest for
   * what other processes take, the second for what other threads do.
   */
  isOver(): boolean {
    if (this.#started === Number.NEGATIVE_INFINITY) return true
    const now = performance.now()
    if (this.#started < 0) {
      this.#started = now
      this.#cpu = process.cpuUsage()
      return false
    }
    if (now - this.#started < this.limit) return false
    const { user, system } = process.cpuUsage(this.#cpu)
    return (user + system) / 1000 >= this.limit
  }
}
