/** Rejected promises that nobody has handled yet, as QuickJS's tracker tells of them. Knows addresses and cells alone. */
import type { GuestValues } from './guest-values.ts'
import type { Address, QuickJs } from './quickjs-module.ts'

/** Offset of the tracker in `JSRuntime`, its argument behind it; `self-test.ts` proves it. */
const TRACKER = 160

/** More at a time are not told one by one. */
const MAX_REJECTIONS = 16
const NONE: Address[] = []

export class Rejections {
  readonly #values: GuestValues
  readonly #quickJs: QuickJs
  readonly #context: Address
  /** Cells of the reasons, by the promises' addresses. */
  readonly #reasons = new Map<number, Address>()
  /** There are some. */
  any = false

  constructor(values: GuestValues, quickJs: QuickJs, context: Address) {
    this.#values = values
    this.#quickJs = quickJs
    this.#context = context
  }

  /** Has QuickJS call the function at this index of its table, with a cell for the promise and one for the reason. */
  track(runtime: Address, trackerIndex: number): void {
    const cells = this.#values.allocate(16)
    this.#values.words[(runtime + TRACKER) >>> 2] = trackerIndex
    this.#values.words[(runtime + TRACKER + 4) >>> 2] = cells
  }

  /** A promise was rejected without a handler, or got one after all. */
  onChange(handled: boolean, cells: Address): void {
    const promise = this.#values.low(cells)
    this.forget(promise)
    if (handled || this.#reasons.size >= MAX_REJECTIONS) return
    const reason = this.#quickJs.duplicate(this.#context, cells + 8)
    if (reason === 0) return
    this.#reasons.set(promise, reason)
    this.any = true
  }

  /** Somebody has looked at this promise. */
  forget(promise: number): void {
    const reason = this.#reasons.get(promise)
    if (reason === undefined) return
    this.#reasons.delete(promise)
    this.any = this.#reasons.size > 0
    this.#quickJs.freeValue(this.#context, reason)
  }

  /** Cells of the reasons, to be freed; each is told once. */
  take(): Address[] {
    if (this.#reasons.size === 0) return NONE
    const reasons = [...this.#reasons.values()]
    this.#reasons.clear()
    this.any = false
    return reasons
  }
}
