/** What the SSI commands of a response and of everything included in it share. It lives as long as the client's request. */

/** Longest value of a variable: `$a$a` set again and again would double without end. */
export const MAX_VALUE = 64 * 1024
/** Variables of one page. */
const MAX_VARIABLES = 1000
/** Bytes of all variables, and of all blocks, of one page. */
const MAX_BYTES = 1024 * 1024
/** ms that all regular expressions of one page may take. */
const REGEX_TIME = 200

export class SsiPage {
  /** Of the last regular expression that matched. */
  captures: readonly (string | undefined)[] | null = null
  /** ms that regular expressions may still take. */
  regexTime = REGEX_TIME
  readonly #variables = new Map<string, string>()
  readonly #blocks: { readonly name: string; text: string }[] = []
  #variableBytes = 0
  #blockBytes = 0

  /** @param name lower case */
  get(name: string): string | undefined {
    if (/^\d/.test(name) && this.captures !== null) {
      // nginx looks at the first digit of a one-digit name only.
      if (name.length === 1 && Number(name) < this.captures.length) return this.captures[Number(name)] ?? ''
    }
    return this.#variables.get(name)
  }

  /** False: the page has too many variables, or their values are too long. */
  set(name: string, value: string): boolean {
    const old = this.#variables.get(name)
    const bytes = this.#variableBytes + value.length - (old?.length ?? 0)
    if (value.length > MAX_VALUE || bytes > MAX_BYTES) return false
    if (old === undefined && this.#variables.size >= MAX_VARIABLES) return false
    this.#variables.set(name, value)
    this.#variableBytes = bytes
    return true
  }

  /** False: the page has too many blocks. */
  beginBlock(name: string): boolean {
    if (this.#blocks.length >= MAX_VARIABLES) return false
    this.#blocks.push({ name, text: '' })
    return true
  }

  /** Adds to the block begun last; false: the blocks are too long. */
  addToBlock(text: string): boolean {
    this.#blockBytes += text.length
    if (this.#blockBytes > MAX_BYTES) return false
    this.#blocks[this.#blocks.length - 1].text += text
    return true
  }

  /** The first block of that name. */
  block(name: string): string | undefined {
    return this.#blocks.find((block) => block.name === name)?.text
  }
}
