/** Somebody who waits for something to have happened, or for some time. */
export class Waiter {
  #isWoken = false
  #wake: () => void = () => undefined

  wake(): void {
    this.#isWoken = true
    this.#wake()
  }

  /** At once, where it was woken since it waited last. */
  async wait(ms: number): Promise<void> {
    if (!this.#isWoken) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((done) => {
        this.#wake = done
        timer = setTimeout(done, ms)
      })
      clearTimeout(timer)
    }
    this.#isWoken = false
  }
}
