/** Answers of a map that were given without its store, until they are written down there. Bounded: the oldest go first. */
import { bytesOf } from './limits.ts'
import type { StoreValue } from './store.ts'

export const MAX_DEBTS = 10_000
/** Of keys and values. */
export const MAX_DEBT_BYTES = 8 * 1024 * 1024

export class Debts {
  readonly #values = new Map<string, StoreValue>()
  #bytes = 0

  get size(): number {
    return this.#values.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: string): StoreValue | undefined {
    return this.#values.get(key)
  }

  /** @returns how many had to go for it */
  add(key: string, value: StoreValue): number {
    this.delete(key)
    this.#values.set(key, value)
    this.#bytes += sizeOf(key, value)
    let gone = 0
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= MAX_DEBTS && this.#bytes <= MAX_DEBT_BYTES) break
      this.delete(oldest)
      gone++
    }
    return gone
  }

  delete(key: string): void {
    const value = this.#values.get(key)
    if (value === undefined) return
    this.#values.delete(key)
    this.#bytes -= sizeOf(key, value)
  }

  /** @returns whether it was this value that was owed */
  settle(key: string, value: StoreValue): boolean {
    if (this.#values.get(key) !== value) return false
    this.delete(key)
    return true
  }

  [Symbol.iterator](): IterableIterator<[key: string, value: StoreValue]> {
    return this.#values.entries()
  }
}

function sizeOf(key: string, value: StoreValue): number {
  return bytesOf(key) + bytesOf(value)
}
