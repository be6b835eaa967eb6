/**
 * Sets of bytes, as a character class of a pattern means them, and how JavaScript writes them. Subjects are byte
 * strings, so 256 members are all there are.
 */
export class ByteSet {
  readonly #has = new Uint8Array(256)

  /** A set from ranges written one behind the other: `'az09'` is a-z and 0-9. */
  static ranges(pairs: string): ByteSet {
    const set = new ByteSet()
    for (let i = 0; i < pairs.length; i += 2) set.addRange(pairs.charCodeAt(i), pairs.charCodeAt(i + 1))
    return set
  }

  addRange(from: number, to: number): void {
    this.#has.fill(1, from, to + 1)
  }

  add(other: ByteSet): void {
    for (let byte = 0; byte < 256; byte++) if (other.has(byte)) this.#has[byte] = 1
  }

  has(byte: number): boolean {
    return this.#has[byte] === 1
  }

  negated(): ByteSet {
    const set = new ByteSet()
    for (let byte = 0; byte < 256; byte++) if (!this.has(byte)) set.addRange(byte, byte)
    return set
  }

  /** Adds the other case of every letter; only ASCII has cases, as in PCRE's C locale. */
  foldCase(): void {
    for (let upper = 0x41; upper <= 0x5a; upper++) {
      if (this.has(upper) || this.has(upper + 32)) this.#has[upper] = this.#has[upper + 32] = 1
    }
  }

  /** JavaScript's flag `i` also folds Latin-1 letters; such a set means the same with and without it. */
  get survivesLatinFolding(): boolean {
    for (let upper = 0xc0; upper <= 0xde; upper++) {
      if (upper !== 0xd7 && this.has(upper) !== this.has(upper + 32)) return false
    }
    return true
  }

  /** As a JavaScript character class, the shorter of `[…]` and `[^…]`. */
  toClass(): string {
    const inside = this.#runs(1)
    const outside = this.#runs(0)
    return outside.length < inside.length ? `[^${outside.join('')}]` : `[${inside.join('')}]`
  }

  #runs(value: number): string[] {
    const runs: string[] = []
    for (let from = 0; from < 256; from++) {
      if (this.#has[from] !== value) continue
      let to = from
      while (to < 255 && this.#has[to + 1] === value) to++
      runs.push(writeRun(from, to))
      from = to
    }
    return runs
  }
}

function writeRun(from: number, to: number): string {
  if (from === to) return writeMember(from)
  return `${writeMember(from)}${to > from + 1 ? '-' : ''}${writeMember(to)}`
}

function writeMember(byte: number): string {
  const char = String.fromCharCode(byte)
  if (/[A-Za-z0-9_ !"#$%&'()*+,./:;<=>?@`{|}~]/.test(char)) return char
  return `\\x${byte.toString(16).padStart(2, '0')}`
}

const UPPER = 'AZ'
const LOWER = 'az'
const DIGIT = '09'

/** POSIX names, as in `[[:alpha:]]`, in the C locale. */
export const POSIX_SETS: Readonly<Record<string, ByteSet>> = {
  alnum: ByteSet.ranges(UPPER + LOWER + DIGIT),
  alpha: ByteSet.ranges(UPPER + LOWER),
  ascii: ByteSet.ranges('\0\x7f'),
  blank: ByteSet.ranges('\t\t  '),
  cntrl: ByteSet.ranges('\0\x1f\x7f\x7f'),
  digit: ByteSet.ranges(DIGIT),
  graph: ByteSet.ranges('!~'),
  lower: ByteSet.ranges(LOWER),
  print: ByteSet.ranges(' ~'),
  punct: ByteSet.ranges('!/:@[`{~'),
  space: ByteSet.ranges('\t\r  '),
  upper: ByteSet.ranges(UPPER),
  word: ByteSet.ranges(`${UPPER + LOWER + DIGIT}__`),
  xdigit: ByteSet.ranges(`AFaf${DIGIT}`),
}

const SHORTHANDS: Readonly<Record<string, ByteSet>> = {
  d: POSIX_SETS.digit!,
  w: POSIX_SETS.word!,
  s: POSIX_SETS.space!,
  h: ByteSet.ranges('\t\t  \xa0\xa0'),
  v: ByteSet.ranges('\n\r\x85\x85'),
}

/** The set of `\d`, `\W`, `\h`…; null for letters that are no such shorthand. */
export function shorthandSet(letter: string): ByteSet | null {
  const set = Object.hasOwn(SHORTHANDS, letter.toLowerCase()) ? SHORTHANDS[letter.toLowerCase()]! : null
  return set && letter !== letter.toLowerCase() ? set.negated() : set
}
