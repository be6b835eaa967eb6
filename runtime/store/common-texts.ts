/**
 * Values of session maps are few texts over and over, the names of peers: each is to be in memory once. Remembers some of
 * those that were there last, and forgets them all at once when they become too many. Pure.
 */

/** Longer ones are less likely to come again. */
const LONGEST = 64
const MOST = 4096

export class CommonTexts {
  readonly #known = new Map<string, string>()

  /** The same text, if possible the one that was there before. */
  one(text: string): string {
    if (text.length > LONGEST) return text
    const known = this.#known.get(text)
    if (known !== undefined) return known
    if (this.#known.size >= MOST) this.#known.clear()
    this.#known.set(text, text)
    return text
  }
}
