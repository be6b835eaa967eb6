/** A regular expression whose captures become variables of the request: `$1`…`$9`, and the named ones. */
import type { Exchange } from './exchange.ts'

const NO_CAPTURES: readonly undefined[] = []

export class Matcher {
  readonly #regex: RegExp
  readonly #captures: boolean
  readonly #names: readonly string[]
  /** Index into `x.values` of each name. */
  readonly #slots: readonly number[]

  /** @param regex without the flags `g` and `y`: matching must not depend on the match before */
  constructor(regex: RegExp, names: readonly string[], slots: readonly number[]) {
    this.#regex = regex
    this.#captures = new RegExp(`${regex.source}|`, regex.flags).exec('')!.length > 1
    this.#names = names
    this.#slots = slots
  }

  /** Matches; a match replaces the request's captures, its absence leaves them. */
  exec(x: Exchange, subject: string): boolean {
    if (!this.#captures) {
      if (!this.#regex.test(subject)) return false
      x.captures = NO_CAPTURES
      return true
    }
    const match = this.#regex.exec(subject)
    if (match === null) return false
    x.captures = match
    for (let i = 0; i < this.#names.length; i++)
      x.values[this.#slots[i]] = match.groups![this.#names[i]] ?? ''
    return true
  }
}
