/** The time that is spent inside the sandbox: measured around everything that enters it. */
import type { FetchEvents } from '../phases.ts'

export class Stopwatch {
  /** ms so far. */
  total = 0
  #inside = false

  run<T>(action: () => T): T {
    if (this.#inside) return action()
    this.#inside = true
    const started = performance.now()
    try {
      return action()
    } finally {
      this.#inside = false
      this.total += performance.now() - started
    }
  }

  /** The same events, timed. */
  events(events: FetchEvents): FetchEvents {
    return {
      response: (response) => this.run(() => events.response(response)),
      data: (chunk, last) => this.run(() => events.data(chunk, last)),
      drained: () => this.run(() => events.drained()),
      failed: (failure) => this.run(() => events.failed(failure)),
    }
  }
}
