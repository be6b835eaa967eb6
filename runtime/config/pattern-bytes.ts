/**
 * The parts of a PCRE pattern that stand for one byte or a set of them: escapes, character classes, properties.
 */
import { ByteSet, POSIX_SETS, shorthandSet } from './byte-set.ts'
import { type Cursor, PatternError } from './pattern-cursor.ts'

const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13, f: 12, e: 27, a: 7 }

/** `\x41`, `\x{41}`, `\o{101}`, `\012`, `\cA`, `\t`, `\.`: the byte that an escape stands for; `char` is behind the `\`. */
export function readEscapedByte(cursor: Cursor, char: string): number {
  return checkByte(readCode(cursor, char))
}

/** Subjects are byte strings: nothing above 255 occurs in them. */
export function checkByte(code: number): number {
  if (code <= 255) return code
  throw new PatternError('a character above \\xff cannot occur; write the bytes of its UTF-8 form')
}

function readCode(cursor: Cursor, char: string): number {
  if (char === 'x') {
    const braced = cursor.match(/\{([0-9a-fA-F]+)\}/y)
    return Number.parseInt(braced?.[1] ?? (cursor.match(/[0-9a-fA-F]{0,2}/y)![0] || '0'), 16)
  }
  if (char === 'o') {
    const braced = cursor.match(/\{([0-7]+)\}/y)
    if (!braced) throw new PatternError('"\\o" needs octal digits in braces, as in "\\o{101}"')
    return Number.parseInt(braced[1]!, 8)
  }
  if (char === '0') return Number.parseInt(`0${cursor.match(/[0-7]{0,2}/y)![0]}`, 8)
  if (char === 'c') {
    const letter = cursor.match(/[!-~]/y)?.[0].toUpperCase()
    if (!letter) throw new PatternError('"\\c" needs a letter behind it')
    return letter.charCodeAt(0) ^ 0x40
  }
  if (Object.hasOwn(CONTROLS, char)) return CONTROLS[char]!
  if (/[A-Za-z0-9]/.test(char)) throw new PatternError(`"\\${char}" is not supported`)
  return char.charCodeAt(0)
}

/** `\d`, `\W`, `\p{Lu}` and the like, inside and outside of classes; null for other escapes. */
export function readEscapedSet(cursor: Cursor, char: string): ByteSet | null {
  if (char !== 'p' && char !== 'P') return shorthandSet(char)
  const [whole, single, negation, name] = cursor.match(/([A-Z])|\{(\^?)([A-Za-z_]+)\}/y) ?? []
  const set = propertySet(single ?? name ?? '')
  if (!set)
    throw new PatternError(
      `"\\${char}${whole ?? ''}" is no property; write one such as "\\p{L}" or "\\p{Nd}"`,
    )
  return (char === 'P') === (negation !== '^') ? set.negated() : set
}

/** The bytes of a Unicode property: byte n is the character U+00nn, as for PCRE in byte mode. */
function propertySet(name: string): ByteSet | null {
  for (const form of [`\\p{${name}}`, `\\p{Script=${name}}`]) {
    try {
      const property = new RegExp(form, 'u')
      const set = new ByteSet()
      for (let byte = 0; byte < 256; byte++) {
        if (property.test(String.fromCharCode(byte))) set.addRange(byte, byte)
      }
      return set
    } catch {
      // Not a property under this form; the caller reports it.
    }
  }
  return null
}

/** The rest of a class behind its `[`, the closing `]` included. */
export function readClass(cursor: Cursor, caseless: boolean): ByteSet {
  const negated = cursor.take('^')
  const set = new ByteSet()
  for (let first = true; first || cursor.peek() !== ']'; first = false) readMember(cursor, set)
  cursor.next()
  if (caseless) set.foldCase()
  return negated ? set.negated() : set
}

function readMember(cursor: Cursor, set: ByteSet): void {
  const posix = cursor.match(/\[:(\^?)([a-z]+):\]/y)
  if (posix) {
    const named = Object.hasOwn(POSIX_SETS, posix[2]!) ? POSIX_SETS[posix[2]!]! : null
    if (!named) throw new PatternError(`unknown class "${posix[0]}"`)
    set.add(posix[1] ? named.negated() : named)
    return
  }
  const from = readMemberStart(cursor)
  if (typeof from !== 'number') {
    set.add(from)
    return
  }
  set.addRange(from, from)
  if (!cursor.match(/-(?=[^\]])/y)) return
  const to = readMemberStart(cursor)
  if (typeof to !== 'number') {
    // A hyphen in front of \d and the like is a hyphen.
    set.addRange(0x2d, 0x2d)
    set.add(to)
    return
  }
  if (to < from) throw new PatternError('a range in a class is out of order')
  set.addRange(from, to)
}

function readMemberStart(cursor: Cursor): number | ByteSet {
  const char = cursor.next()
  const escaped = char === '\\' ? cursor.next() : char
  if (char === undefined || escaped === undefined) {
    throw new PatternError('missing "]" behind "["; write "\\[" for the character')
  }
  if (char !== '\\') return checkByte(char.charCodeAt(0))
  if (escaped === 'b') return 8
  if (/[1-7]/.test(escaped)) return checkByte(Number.parseInt(escaped + cursor.match(/[0-7]{0,2}/y)![0], 8))
  return readEscapedSet(cursor, escaped) ?? readEscapedByte(cursor, escaped)
}
