/**
 * Signals that come while workers start. A supervisor that they ended there and then would leave processes that are still
 * booting without a parent. Knows nothing of what signals mean, but for those that end a start.
 */

const STOPS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGQUIT']
const SIGNALS: readonly NodeJS.Signals[] = [...STOPS, 'SIGHUP', 'SIGUSR1', 'SIGUSR2']

export class EarlySignals {
  /** It was told to end. */
  stopped = false
  readonly #heard: NodeJS.Signals[] = []
  #abandon: (() => void) | null = null

  /** From here on signals end nothing by themselves. @param abandon makes the start under way fail */
  listen(abandon: () => void): void {
    this.#abandon = abandon
    for (const signal of SIGNALS) process.off(signal, this.#onSignal).on(signal, this.#onSignal)
  }

  /** There is no start to abandon any more: signals wait for {@link replay}. */
  keep(): void {
    this.#abandon = null
  }

  /** To be called when others listen: they hear what has come until now. */
  replay(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal)
    for (const signal of this.#heard.splice(0)) process.emit(signal, signal)
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.#heard.push(signal)
    if (!STOPS.includes(signal)) return
    this.stopped = true
    this.#abandon?.()
    this.#abandon = null
  }
}
