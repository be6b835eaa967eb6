/**
 * nginx's tokens (`ngx_conf_read_token`): text to statements of words that end in `;`, `{` or `}`, with a place on
 * every word. Knows quoting, escapes and comments; not what a word means, nor files and includes.
 */
import type { Where } from './model.ts'

export interface Word {
  readonly text: string
  readonly where: Where
}

/** What ended a statement. `close` and `end` come without words. */
export type Terminator = 'semicolon' | 'open' | 'close' | 'end'

/** Thrown by {@link Lexer.next}; the reader decides how to go on (see {@link Lexer.recover}). */
export class LexError extends Error {
  readonly where: Where
  /** The file ended inside a statement: there is nothing to recover. */
  readonly atEnd: boolean

  constructor(message: string, where: Where, atEnd: boolean) {
    super(message)
    this.where = where
    this.atEnd = atEnd
  }
}

const BYTE_ORDER_MARK = '\xef\xbb\xbf'
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '\\': '\\',
  t: '\t',
  r: '\r',
  n: '\n',
}

/** Reads one text from front to back. */
export class Lexer {
  /** The words of the statement that {@link next} has just read. */
  words: Word[] = []
  /** Where the terminator of that statement stood. */
  terminator: Where
  readonly #text: string
  readonly #file: string
  #at = 0
  #line = 1
  #lineStart = 0

  constructor(text: string, file: string) {
    this.#text = text
    this.#file = file
    if (text.startsWith(BYTE_ORDER_MARK)) this.#at = this.#lineStart = BYTE_ORDER_MARK.length
    this.terminator = this.#where(this.#at)
  }

  /** @throws LexError */
  next(): Terminator {
    this.words = []
    for (;;) {
      this.#skipBlank()
      this.terminator = this.#where(this.#at)
      if (this.#at >= this.#text.length) return this.#end()
      const char = this.#text[this.#at]!
      if (char === ';' || char === '{') {
        if (this.words.length === 0) throw this.#unexpected(char)
        this.#at++
        return char === ';' ? 'semicolon' : 'open'
      }
      if (char === '}') {
        if (this.words.length > 0) throw this.#unexpected(char)
        this.#at++
        return 'close'
      }
      this.#readWord(char)
    }
  }

  /**
   * After a LexError: goes on behind the next `;`, or behind the `{` of a block, or before the next `}`.
   * Says which it was; a block's contents are the reader's to skip.
   */
  recover(): Terminator {
    for (;;) {
      const char = this.#text[this.#at]
      if (char === undefined) return 'end'
      if (char === '}') return 'close'
      this.#step()
      if (char === ';') return 'semicolon'
      if (char === '{') return 'open'
    }
  }

  /** Passes over the raw text of a block that is not nginx's language (Lua), up to its closing brace. */
  skipRawBlock(): void {
    for (let depth = 1; this.#at < this.#text.length; ) {
      const char = this.#step()
      if (char === '{') depth++
      else if (char === '}' && --depth === 0) return
      else if (char === '"' || char === "'") this.#skipRawString(char)
      else if (char === '-' && this.#text[this.#at] === '-') this.#skipLine()
    }
  }

  #skipRawString(quote: string): void {
    while (this.#at < this.#text.length && this.#text[this.#at] !== '\n') {
      const char = this.#step()
      if (char === '\\') this.#step()
      else if (char === quote) return
    }
  }

  #skipBlank(): void {
    for (;;) {
      const char = this.#text[this.#at]
      if (char === '#') this.#skipLine()
      else if (char === ' ' || char === '\t' || char === '\r' || char === '\n') this.#step()
      else return
    }
  }

  #skipLine(): void {
    const end = this.#text.indexOf('\n', this.#at)
    this.#at = end < 0 ? this.#text.length : end
  }

  #readWord(first: string): void {
    const where = this.#where(this.#at)
    if (first === '"' || first === "'") {
      this.#at++
      this.#readQuoted(first, where)
      this.#afterQuote()
    } else {
      this.#readBare(where)
    }
  }

  #readQuoted(quote: string, where: Where): void {
    const start = this.#at
    for (;;) {
      const char = this.#text[this.#at]
      if (char === undefined) {
        throw new LexError(
          `unexpected end of file, this ${quote} is never closed; write the second ${quote}`,
          where,
          true,
        )
      }
      this.#step()
      if (char === '\\') this.#step()
      else if (char === quote) break
    }
    this.words.push({ text: resolveEscapes(this.#text.slice(start, this.#at - 1)), where })
  }

  /** A quoted word must be followed by a blank, a terminator or, for `if ( … )`, by `)`. */
  #afterQuote(): void {
    const char = this.#text[this.#at]
    if (char === undefined || ' \t\r\n;{)'.includes(char)) return
    throw this.#unexpected(char, '; write a blank after the closing quote')
  }

  /** `{` ends the word, unless it follows `$`, as in `${name}`. */
  #readBare(where: Where): void {
    const start = this.#at
    let variable = false
    for (;;) {
      const char = this.#text[this.#at]
      if (char === undefined) break
      if (char === '{' && variable) {
        this.#at++
        continue
      }
      if (' \t\r\n;{'.includes(char)) break
      variable = char === '$'
      this.#step()
      if (char === '\\') this.#step()
    }
    this.words.push({ text: resolveEscapes(this.#text.slice(start, this.#at)), where })
  }

  #end(): Terminator {
    if (this.words.length === 0) return 'end'
    const { where } = this.words[0]!
    throw new LexError('unexpected end of file; write ";" or "{" at the end of this directive', where, true)
  }

  #unexpected(char: string, hint = ''): LexError {
    const shown =
      char >= ' ' && char !== '\x7f' ? char : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
    return new LexError(`unexpected "${shown}"${hint}`, this.#where(this.#at), false)
  }

  #step(): string {
    const char = this.#text[this.#at]!
    if (this.#at < this.#text.length) this.#at++
    if (char === '\n') {
      this.#line++
      this.#lineStart = this.#at
    }
    return char
  }

  #where(at: number): Where {
    return { file: this.#file, line: this.#line, column: at - this.#lineStart + 1 }
  }
}

/** `\"`, `\'`, `\\`, `\t`, `\r`, `\n`; any other backslash stands for itself (so that patterns survive). */
function resolveEscapes(raw: string): string {
  if (!raw.includes('\\')) return raw
  let text = ''
  for (let i = 0; i < raw.length; i++) {
    const escaped = raw[i] === '\\' ? ESCAPES[raw[i + 1] ?? ''] : undefined
    text += escaped ?? raw[i]
    if (escaped !== undefined) i++
  }
  return text
}
