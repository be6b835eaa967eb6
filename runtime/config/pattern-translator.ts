/**
 * The grammar of PCRE patterns, read once from front to back and written as JavaScript on the way. What one byte or
 * a set of bytes looks like is in `pattern-bytes.ts`.
 */
import { ByteSet } from './byte-set.ts'
import { checkByte, readClass, readEscapedByte, readEscapedSet } from './pattern-bytes.ts'
import { Cursor, PatternError } from './pattern-cursor.ts'

/** Thrown when the flag `i` would not do: case is then written out, `[aA]`. */
export class WriteOutCase extends Error {}

export interface Translated {
  readonly js: string
  readonly names: readonly string[]
  readonly flags: string
}

/** Options that hold up to the end of the group they stand in: `(?imsxU)`. */
interface Scope {
  i: boolean
  m: boolean
  s: boolean
  x: boolean
  U: boolean
}

/** A piece of a pattern; `unit` is set where it matches exactly one byte. */
interface Atom {
  readonly js: string
  readonly unit: boolean
  readonly assertion: boolean
  /** JavaScript groups opened in it. */
  readonly captures?: boolean
}

interface Body {
  readonly js: string
  /** The body is one byte, repeated: what an atomic group can say without a capture of its own. */
  readonly repeat: Repeat | null
}

interface Repeat {
  readonly unit: string
  readonly min: number
  readonly max: number
}

const MAX_GROUP_DEPTH = 100
const NO_BYTE = '(?![^])'
const META = /[\\^$.*+?()[\]{}|/]/

/** Translates one pattern, once. */
export class Translator {
  readonly #cursor: Cursor
  /** The flag `i` is set for the whole; otherwise caseless parts are written out. */
  readonly #flagged: boolean
  readonly #caseless: boolean
  readonly #names: string[] = []
  #depth = 0
  #literal = false // between \Q and \E
  #groups = 0
  /** Captures that an atomic group needed; none of the pattern's own may follow, their numbers would shift. */
  #extraGroups = 0

  constructor(source: string, caseless: boolean, flagged: boolean) {
    this.#cursor = new Cursor(source)
    this.#caseless = caseless
    this.#flagged = flagged
  }

  run(): Translated {
    const { js } = this.#body({ i: this.#caseless, m: false, s: false, x: false, U: false })
    if (!this.#cursor.done) throw new PatternError('unmatched ")"; write "\\)" for the character')
    return { js, names: this.#names, flags: this.#flagged ? 'i' : '' }
  }

  /** Alternatives up to `)` or the end; `scope` is the group's own. */
  #body(scope: Scope): Body {
    let js = ''
    let items = 0
    let repeat: Repeat | null = null
    while (!this.#cursor.done && (this.#literal || this.#cursor.peek() !== ')')) {
      if (!this.#literal && this.#cursor.take('|')) {
        js += '|'
        items = 2
        continue
      }
      const before = this.#groups + this.#extraGroups
      const atom = this.#atom(scope)
      if (!atom) continue
      const item = this.#quantified({ ...atom, captures: this.#groups + this.#extraGroups > before }, scope)
      js += item.js
      items++
      repeat = item.repeat
    }
    return { js, repeat: items === 1 ? repeat : null }
  }

  /** null: something that matches nothing by itself, such as a comment or an option. */
  #atom(scope: Scope): Atom | null {
    if (this.#literal || this.#cursor.take('\\Q')) return this.#quoted(scope)
    const char = this.#cursor.next()!
    if (scope.x && /[\t-\r ]/.test(char)) return null
    if (scope.x && char === '#') return this.#skipComment('\n')
    switch (char) {
      case '\\':
        return this.#escape(scope)
      case '[':
        return this.#set(readClass(this.#cursor, scope.i), { ...scope, i: false })
      case '(':
        return this.#group(scope)
      case '.':
        return scope.s ? unit('[^]') : unit('[^\\n]')
      case '^':
        // With (?m): behind a line feed too, but not at the very end of the subject.
        return assertion(scope.m ? '(?:(?<![^])|(?<=\\n)(?=[^]))' : '^')
      case '$':
        return assertion(scope.m ? '(?![^\\n])' : '(?=\\n?$)')
      case '*':
      case '+':
      case '?':
        throw new PatternError(`nothing to repeat before "${char}"; write "\\${char}" for the character`)
      default:
        if (char === '{' && this.#cursor.see(/\d+(,\d*)?\}/y)) {
          throw new PatternError('nothing to repeat before "{"; write "\\{" for the character')
        }
        return this.#byte(char.charCodeAt(0), scope)
    }
  }

  /** Between `\Q` and `\E` every character stands for itself. */
  #quoted(scope: Scope): Atom | null {
    if (this.#cursor.take('\\E') || this.#cursor.done) {
      this.#literal = false
      return null
    }
    const byte = this.#cursor.next()!.charCodeAt(0)
    this.#literal = !this.#cursor.take('\\E')
    return this.#byte(byte, scope)
  }

  #byte(code: number, scope: Scope): Atom {
    const byte = checkByte(code)
    if (!scope.i) return unit(writeByte(byte))
    const set = new ByteSet()
    set.addRange(byte, byte)
    return this.#set(set, scope)
  }

  #set(set: ByteSet, scope: Scope): Atom {
    if (this.#flagged && !set.survivesLatinFolding) throw new WriteOutCase()
    if (scope.i && !this.#flagged) set.foldCase()
    const single = [...Array(256).keys()].filter((byte) => set.has(byte))
    return unit(single.length === 1 ? writeByte(single[0]!) : set.toClass())
  }

  #escape(scope: Scope): Atom | null {
    const char = this.#cursor.next()
    if (char === undefined) {
      throw new PatternError('it ends in a single backslash; write "\\\\" for the character')
    }
    const set = readEscapedSet(this.#cursor, char)
    if (set) return /[dw]/i.test(char) ? unit(`\\${char}`) : this.#set(set, scope)
    switch (char) {
      case 'b':
      case 'B':
        return assertion(`\\${char}`)
      case 'A':
        return assertion('(?<![^])')
      case 'z':
        return assertion(NO_BYTE)
      case 'Z':
        return assertion(`(?=\\n?${NO_BYTE})`)
      case 'N':
        return unit('[^\\n]')
      case 'R':
        return group('(?:\\r\\n|(?!\\r\\n)[\\n-\\r\\x85])')
      case 'E':
        return null
      case 'g':
      case 'k':
        return this.#namedReference(char, scope)
    }
    if (/[1-9]/.test(char)) return this.#numberedEscape(char, scope)
    return this.#byte(readEscapedByte(this.#cursor, char), scope)
  }

  /** `\1`…`\9` are back references; with more digits only if there are so many groups, else octal. */
  #numberedEscape(first: string, scope: Scope): Atom {
    const digits = first + this.#cursor.match(/[0-9]*/y)![0]
    const number = Number(digits)
    if (number < 10 || number <= this.#groups) return this.#reference(number, scope)
    this.#cursor.back(digits.length)
    const octal = this.#cursor.match(/[0-7]{1,3}/y)?.[0]
    if (!octal) throw new PatternError(`"\\${digits}" names a group that is not there`)
    return this.#byte(Number.parseInt(octal, 8), scope)
  }

  /** `\k<name>`, `\k'name'`, `\k{name}`, `\g{name}`, `\g{-1}`, `\g2`. */
  #namedReference(letter: string, scope: Scope): Atom {
    const match = this.#cursor.match(
      letter === 'k' ? /<(\w+)>|'(\w+)'|\{(\w+)\}/y : /\{([A-Za-z_]\w*)\}|\{([+-]?\d+)\}|([+-]?\d+)/y,
    )
    if (!match)
      throw new PatternError(`"\\${letter}" is supported for back references only, as in "\\${letter}{name}"`)
    const name = match[1] ?? match[2] ?? match[3]!
    if (!/^[+-]?\d+$/.test(name)) return this.#referenceTo(name, scope)
    const relative = name.startsWith('-') ? this.#groups + 1 : name.startsWith('+') ? this.#groups : 0
    return this.#reference(relative + Number(name), scope)
  }

  #referenceTo(name: string, scope: Scope): Atom {
    this.#checkReference(scope)
    if (!this.#names.includes(name.toLowerCase())) {
      throw new PatternError(`the group "${name}" is not there or comes later`)
    }
    return group(`(?:\\k<${name.toLowerCase()}>)`)
  }

  #reference(number: number, scope: Scope): Atom {
    this.#checkReference(scope)
    if (number < 1 || number > this.#groups)
      throw new PatternError(`group ${number} is not there or comes later`)
    return group(`(?:\\${number})`)
  }

  #checkReference(scope: Scope): void {
    if (scope.i && !this.#flagged)
      throw new PatternError('a case-insensitive back reference is not supported here')
  }

  #group(scope: Scope): Atom | null {
    if (this.#cursor.take('*')) throw new PatternError('verbs such as "(*UTF8)" are not supported; remove it')
    if (!this.#cursor.take('?')) return this.#capture('', scope)
    if (this.#cursor.take('#')) return this.#skipComment(')')
    const named = this.#cursor.match(/P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)'/y)
    if (named) return this.#capture(named[1] ?? named[2]!, scope)
    const reference = this.#cursor.match(/P=(\w+)\)/y)
    if (reference) return this.#referenceTo(reference[1]!, scope)
    const opening = this.#cursor.match(/:|=|!|<=|<!/y)?.[0]
    if (opening) {
      const inner = this.#inner(scope)
      return { js: `(?${opening}${inner.js})`, unit: false, assertion: opening !== ':' }
    }
    if (this.#cursor.take('>')) return this.#atomic(scope)
    return this.#options(scope)
  }

  #capture(name: string, scope: Scope): Atom {
    if (this.#extraGroups > 0) {
      throw new PatternError(
        'a capture cannot stand inside or behind "(?>…)" or a possessive group; put it in front',
      )
    }
    this.#groups++
    const lower = name.toLowerCase()
    if (this.#names.includes(lower))
      throw new PatternError(`two groups are named "${name}"; names are case-insensitive`)
    if (lower !== '') this.#names.push(lower)
    return group(`(${lower === '' ? '' : `?<${lower}>`}${this.#inner(scope).js})`)
  }

  #atomic(scope: Scope): Atom {
    const extra = ++this.#extraGroups
    const before = this.#groups
    const inner = this.#inner(scope)
    if (inner.repeat && this.#extraGroups === extra) {
      this.#extraGroups--
      return group(`(?:${possessive(inner.repeat)})`)
    }
    // What a lookahead has matched is never tried again, and the back reference consumes it.
    return group(`(?:(?=(${inner.js}))\\${before + extra})`)
  }

  /** `(?i)` up to the end of this group, or `(?i:…)`. */
  #options(scope: Scope): Atom | null {
    const match = this.#cursor.match(/([imsxU]*)(?:-([imsxU]*))?([:)])/y)
    if (!match) {
      const start = this.#cursor.around(2, 2)
      throw new PatternError(`"${start}" is not supported (recursion, conditions and branch resets are not)`)
    }
    const inner = match[3] === ')' ? scope : { ...scope }
    for (const letter of match[1]!) inner[letter as keyof Scope] = true
    for (const letter of match[2] ?? '') inner[letter as keyof Scope] = false
    if (this.#flagged && !inner.i) throw new WriteOutCase()
    if (match[3] === ')') return null
    return group(`(?:${this.#inner(inner).js})`)
  }

  /** The rest of a group, `)` included. */
  #inner(scope: Scope): Body {
    if (++this.#depth > MAX_GROUP_DEPTH)
      throw new PatternError(`groups are nested deeper than ${MAX_GROUP_DEPTH}`)
    const body = this.#body({ ...scope })
    if (!this.#cursor.take(')')) throw new PatternError('missing ")"; write "\\(" for the character')
    this.#depth--
    return body
  }

  #quantified(atom: Atom, scope: Scope): Body {
    if (scope.x) this.#cursor.match(/[\t-\r ]+/y)
    const match = this.#literal ? null : this.#cursor.match(/(?:([*+?])|\{(\d+)(,?)(\d*)\})([?+]?)/y)
    if (!match) return { js: atom.js, repeat: atom.unit ? { unit: atom.js, min: 1, max: 1 } : null }
    const body = this.#repeated(atom, match, scope)
    // `a{2}{3}` repeats what is repeated already.
    const again = this.#cursor.see(/\{\d+(,\d*)?\}/y)
    return again
      ? this.#quantified({ ...group(`(?:${body.js})`), captures: atom.captures ?? false }, scope)
      : body
  }

  #repeated(atom: Atom, match: RegExpExecArray, scope: Scope): Body {
    const [min, max] = this.#bounds(match)
    // JavaScript repeats neither lookbehinds nor anchors.
    const js = atom.assertion ? `(?:${atom.js})` : atom.js
    if (match[5] === '+') return this.#possessive({ ...atom, js }, { unit: js, min, max })
    const lazy = (match[5] === '?') !== scope.U
    return {
      js: `${js}${writeBounds(min, max)}${lazy && min !== max ? '?' : ''}`,
      repeat: atom.unit && !lazy ? { unit: js, min, max } : null,
    }
  }

  #bounds(match: RegExpExecArray): [min: number, max: number] {
    const [, sign, low, comma, high] = match
    if (sign) return [sign === '+' ? 1 : 0, sign === '?' ? 1 : Number.POSITIVE_INFINITY]
    const min = Number(low)
    const max = high ? Number(high) : comma ? Number.POSITIVE_INFINITY : min
    if (min > 65535 || (max > 65535 && max !== Number.POSITIVE_INFINITY))
      throw new PatternError('a repeat count is above 65535')
    if (max < min) throw new PatternError(`the numbers in "${match[0]}" are out of order`)
    return [min, max]
  }

  #possessive(atom: Atom, repeat: Repeat): Body {
    if (atom.unit) return { js: `(?:${possessive(repeat)})`, repeat: null }
    if (atom.captures) {
      throw new PatternError('a possessive quantifier on a group with captures is not supported; use "(?:…)"')
    }
    const number = this.#groups + ++this.#extraGroups
    return { js: `(?:(?=(${atom.js}${writeBounds(repeat.min, repeat.max)}))\\${number})`, repeat: null }
  }

  #skipComment(end: string): null {
    if (!this.#cursor.skipPast(end) && end === ')') throw new PatternError('missing ")" behind "(?#"')
    return null
  }
}

function unit(js: string): Atom {
  return { js, unit: true, assertion: false }
}

function group(js: string): Atom {
  return { js, unit: false, assertion: false }
}

function assertion(js: string): Atom {
  return { js, unit: false, assertion: true }
}

function writeByte(byte: number): string {
  const char = String.fromCharCode(byte)
  if (char === '/') return char
  if (META.test(char)) return `\\${char}`
  return byte < 0x20 || byte > 0x7e ? `\\x${byte.toString(16).padStart(2, '0')}` : char
}

function writeBounds(min: number, max: number): string {
  if (max === Number.POSITIVE_INFINITY) return min === 0 ? '*' : min === 1 ? '+' : `{${min},}`
  if (min === 0 && max === 1) return '?'
  return min === max ? `{${min}}` : `{${min},${max}}`
}

/** As many of one byte's kind as there are, none given back: behind them is another byte, or the most is reached. */
function possessive({ unit: one, min, max }: Repeat): string {
  if (min === max) return `${one}{${min}}`
  if (max === Number.POSITIVE_INFINITY) return `${one}${writeBounds(min, max)}(?!${one})`
  const fewer = max === 1 ? '' : `${one}${writeBounds(min, max - 1)}`
  return `${one}{${max}}|${fewer}(?!${one})`
}
