/**
 * A clock that stands still until a test moves it. Sandboxes go by it: `Date`, timers, and the wall-clock limits.
 * Owns the timers that wait; knows nothing of scripts.
 */
import { parseTime } from '../config/values.ts'
import type { ScriptClock } from '../phases.ts'

/** `'1.5s'` is no nginx time; `'10s'`, `'1h30m'`, `'500ms'` are. A number is milliseconds. */
export type Duration = number | string

interface Timer {
  readonly at: number
  readonly callback: () => void
}

/** Timers that may fire in one `advance`: more is a loop. */
const MAX_FIRED = 100_000

export class FakeClock implements ScriptClock {
  readonly seed: number
  #now: number
  /** In the order they were set. */
  readonly #timers = new Set<Timer>()

  /** @param now ms since the epoch */
  constructor(now: number, seed: number) {
    this.#now = now
    this.seed = seed
  }

  now(): number {
    return this.#now
  }

  setTimeout(callback: () => void, ms: number): Timer {
    const timer = { at: this.#now + ms, callback }
    this.#timers.add(timer)
    return timer
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as Timer)
  }

  /** Milliseconds until the next timer is due; null: none waits. */
  get next(): number | null {
    const timer = this.#earliest()
    return timer === null ? null : timer.at - this.#now
  }

  /**
   * Lets time pass: fires what falls due in its order, each at its time, and lets what follows from it happen.
   * @throws RangeError for what is no duration
   */
  async advance(duration: Duration): Promise<void> {
    const end = this.#now + milliseconds(duration)
    await settle()
    for (let fired = 0; ; fired++) {
      const timer = this.#earliest()
      if (timer === null || timer.at > end) break
      if (fired === MAX_FIRED) throw new Error(`more than ${MAX_FIRED} timers fell due`)
      this.#timers.delete(timer)
      this.#now = Math.max(this.#now, timer.at)
      timer.callback()
      await settle()
    }
    this.#now = end
  }

  /** Sets the time without firing anything; timers keep what is left of them. */
  set(now: number): void {
    const shift = now - this.#now
    const timers = [...this.#timers]
    this.#now = now
    for (const timer of timers) Object.assign(timer, { at: timer.at + shift })
  }

  /** No timer waits any more. */
  clear(): void {
    this.#timers.clear()
  }

  #earliest(): Timer | null {
    let earliest: Timer | null = null
    for (const timer of this.#timers) if (earliest === null || timer.at < earliest.at) earliest = timer
    return earliest
  }
}

export function milliseconds(duration: Duration): number {
  const ms = typeof duration === 'number' ? duration : parseTime(duration)
  if (ms === null || !(ms >= 0) || !Number.isFinite(ms)) {
    throw new RangeError(`${JSON.stringify(duration)} is no duration; write 500 (ms), "10s" or "1h30m"`)
  }
  return ms
}

/** A described fetch takes four turns of the event loop, what a hook does with it some more. */
const TURNS = 10

/** What waits for nothing but promises and turns of the event loop has happened. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((done) => setImmediate(done))
}
