/** Regular expressions that pages hold, translated from PCRE; the last ones asked for are kept. */
import { translatePattern } from '../config/pattern.ts'
import { SsiFault } from './ssi-text.ts'

const KEPT = 100
const NOWHERE = { file: '', line: 0, column: 0 }

export class SsiPatterns {
  readonly #known = new Map<string, RegExp>()

  /** @throws SsiFault when the text is no pattern */
  get(text: string): RegExp {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    const pattern = translatePattern(text, false, NOWHERE)
    if ('severity' in pattern) throw new SsiFault(`invalid regular expression "${text}": ${pattern.message}`)
    if (this.#known.size >= KEPT) this.#known.delete(this.#known.keys().next().value!)
    const regex = new RegExp(pattern.source, pattern.flags)
    this.#known.set(text, regex)
    return regex
  }
}
