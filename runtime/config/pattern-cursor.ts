/** A place in a pattern's source, and the error that its readers throw. Knows nothing of regular expressions. */

/** What is wrong with a pattern; the message is for the user. */
export class PatternError extends Error {}

export class Cursor {
  readonly #source: string
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  get done(): boolean {
    return this.#at >= this.#source.length
  }

  /** The next character, or undefined at the end. */
  peek(): string | undefined {
    return this.#source[this.#at]
  }

  /** The next character, passed over. */
  next(): string | undefined {
    return this.#source[this.#at++]
  }

  /** Passes over `text` if it comes next. */
  take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }

  /** Passes over what a sticky expression matches here. */
  match(sticky: RegExp): RegExpExecArray | null {
    const found = this.see(sticky)
    if (found) this.#at += found[0].length
    return found
  }

  /** What a sticky expression would match here. */
  see(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#at
    return sticky.exec(this.#source)
  }

  back(count: number): void {
    this.#at -= count
  }

  /** Goes on behind the next `end`; false, and to the end, when there is none. */
  skipPast(end: string): boolean {
    const found = this.#source.indexOf(end, this.#at)
    this.#at = found < 0 ? this.#source.length : found + end.length
    return found >= 0
  }

  /** The characters around here, for a message. */
  around(before: number, after: number): string {
    return this.#source.slice(Math.max(0, this.#at - before), this.#at + after)
  }
}
