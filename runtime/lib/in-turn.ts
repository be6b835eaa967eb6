/** Pieces of asynchronous work that must not overlap. Knows nothing of what they do. */

/** Each begins when those before it have ended, however they ended. */
export class InTurn {
  #last: Promise<unknown> = Promise.resolve()

  /** @returns what `work` comes to; its failure is the caller's alone */
  run<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#last.then(work)
    this.#last = next.catch(() => undefined)
    return next
  }
}
