/**
 * Shares the event loop with timers and deliveries that are due at the same time: once they have taken their time in one
 * turn of the loop, the others wait for the next, in order. Knows no sandbox.
 */

export class Turns {
  /** ms per turn. */
  readonly #limit: number
  #used = 0
  #waiting: (() => void)[] = []
  #isPlanned = false
  readonly #next = (): void => this.#onTurn()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** This turn has no time left. */
  get isOver(): boolean {
    return this.#used >= this.#limit
  }

  /** Runs the action now or in one of the next turns. It must not throw. */
  run(action: () => void): void {
    if (this.isOver || this.#waiting.length > 0) this.#waiting.push(action)
    else this.#timed(action)
    if (this.#isPlanned) return
    this.#isPlanned = true
    setImmediate(this.#next)
  }

  /** What waits is dropped. */
  clear(): void {
    this.#waiting = []
  }

  #timed(action: () => void): void {
    const started = performance.now()
    action()
    this.#used += performance.now() - started
  }

  #onTurn(): void {
    this.#isPlanned = false
    this.#used = 0
    const waiting = this.#waiting
    this.#waiting = []
    let done = 0
    while (done < waiting.length && !this.isOver) this.#timed(waiting[done++])
    if (done < waiting.length) this.#waiting = [...waiting.slice(done), ...this.#waiting]
    if (this.#waiting.length === 0) return
    this.#isPlanned = true
    setImmediate(this.#next)
  }
}
