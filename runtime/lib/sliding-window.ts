/**
 * Calls of the last seconds: how many there were, how many failed, how long they took. Time is given from outside, in
 * ms of any clock that never goes back. Adding costs no allocation.
 */

const SLICES = 6
/** Durations from a microsecond to half a minute, each class a fifth wider than the one before. */
const CLASSES = 100
const CLASSES_PER_OCTAVE = 4

/** What a window holds. */
export interface WindowTotals {
  /** Failed ones included. */
  readonly calls: number
  /** Overruns included. */
  readonly errors: number
  readonly overruns: number
}

class Slice {
  index = -1
  calls = 0
  errors = 0
  overruns = 0
  readonly durations = new Uint32Array(CLASSES)

  restart(index: number): void {
    this.index = index
    this.calls = this.errors = this.overruns = 0
    this.durations.fill(0)
  }
}

export class SlidingWindow {
  readonly #sliceLength: number
  readonly #slices = Array.from({ length: SLICES }, () => new Slice())

  /** @param length in ms; the window moves by a sixth of it */
  constructor(length: number) {
    this.#sliceLength = length / SLICES
  }

  /** @param duration in ms */
  succeeded(now: number, duration: number): void {
    const slice = this.#current(now)
    slice.calls++
    slice.durations[classOf(duration)]++
  }

  failed(now: number, overrun: boolean): void {
    const slice = this.#current(now)
    slice.calls++
    slice.errors++
    if (overrun) slice.overruns++
  }

  totals(now: number): WindowTotals {
    let calls = 0
    let errors = 0
    let overruns = 0
    for (const slice of this.#recent(now)) {
      calls += slice.calls
      errors += slice.errors
      overruns += slice.overruns
    }
    return { calls, errors, overruns }
  }

  /** ms that this share of the successful calls stayed within, up to a fifth too much; 0 without any call. */
  quantile(now: number, share: number): number {
    const recent = this.#recent(now)
    let count = 0
    for (const slice of recent) count += slice.calls - slice.errors
    let left = Math.ceil(count * share)
    if (left === 0) return 0
    for (let index = 0; index < CLASSES; index++) {
      for (const slice of recent) left -= slice.durations[index]
      if (left <= 0) return 2 ** (index / CLASSES_PER_OCTAVE) / 1000
    }
    return 2 ** (CLASSES / CLASSES_PER_OCTAVE) / 1000
  }

  #current(now: number): Slice {
    const index = Math.floor(now / this.#sliceLength)
    const slice = this.#slices[index % SLICES]
    if (slice.index !== index) slice.restart(index)
    return slice
  }

  #recent(now: number): Slice[] {
    const index = Math.floor(now / this.#sliceLength)
    return this.#slices.filter((slice) => slice.index > index - SLICES && slice.index <= index)
  }
}

/** The smallest class whose upper bound is not below the duration. */
function classOf(duration: number): number {
  const index = Math.ceil(Math.log2(duration * 1000) * CLASSES_PER_OCTAVE)
  return index > 0 ? Math.min(index, CLASSES - 1) : 0
}
