/**
 * Promises of the guest that the host waits for. The guest reports by ticket while it runs; who waits is told when the
 * guest has been left.
 */
import type { Address } from './quickjs-module.ts'
import type { HookFailure } from './script-error.ts'

/** What a watched promise came to. */
export interface Settlement {
  /** null: it was fulfilled, and in time. */
  readonly failure: HookFailure | null
  /** The value's cell, to be freed; 0 if there is none. */
  readonly cell: Address
}

type Waiter = (settlement: Settlement) => void

export class Settlements {
  readonly #waiters = new Map<number, Waiter>()
  #ready: [Waiter, Settlement][] = []
  #last = 0

  /** @returns a ticket above 0 */
  add(waiter: Waiter): number {
    this.#last = this.#last === 0x7fffffff ? 1 : this.#last + 1
    this.#waiters.set(this.#last, waiter)
    return this.#last
  }

  /** Whatever becomes of it, nobody waits any more. */
  drop(ticket: number): void {
    this.#waiters.delete(ticket)
  }

  isAwaited(ticket: number): boolean {
    return this.#waiters.has(ticket)
  }

  settle(ticket: number, settlement: Settlement): void {
    const waiter = this.#waiters.get(ticket)
    if (waiter === undefined) return
    this.#waiters.delete(ticket)
    this.#ready.push([waiter, settlement])
  }

  get anyReady(): boolean {
    return this.#ready.length > 0
  }

  /** Tells all; also those that become ready meanwhile. @param limit ms after which the rest stays for the next time */
  deliver(limit: number): void {
    const end = performance.now() + limit
    while (this.#ready.length > 0) {
      const all = this.#ready
      this.#ready = []
      for (let i = 0; i < all.length; i++) {
        const [waiter, settlement] = all[i]
        waiter(settlement)
        if (i + 1 === all.length || performance.now() < end) continue
        this.#ready = [...all.slice(i + 1), ...this.#ready]
        return
      }
    }
  }

  clear(): void {
    this.#waiters.clear()
    this.#ready = []
  }
}
