/** Values inside SSI commands: variables and backslashes expanded, encodings of `echo`, conditions of `if` taken apart. */
import { lowerAscii, percentEncode } from '../lib/ascii.ts'
import { MAX_VALUE } from './ssi-page.ts'

/** The value of a variable by its lower-case name; undefined: not found. */
export type Lookup = (name: string) => string | undefined

/** A value that cannot be expanded; the message says why. */
export class SsiFault extends Error {}

/** `$name`, `${name}`, a backslash with what follows, or a run of other characters. */
const PART = /\$(?:\{([A-Za-z0-9_]*)(\}?)|([A-Za-z0-9_]*))|\\([\s\S]?)|[^$\\]+/g

/**
 * Expands `$name` and `${name}`; a backslash protects `\`, quotes and `$`, before anything else it stays.
 * @throws SsiFault when a name is missing, or the result is too long
 */
export function expand(text: string, lookup: Lookup): string {
  if (!text.includes('$') && !text.includes('\\')) return text
  let result = ''
  for (const [whole, braced, brace, bare, escaped] of text.matchAll(PART)) {
    if (escaped !== undefined) result += /[\\'"$]/.test(escaped) ? escaped : escaped === '' ? '' : whole
    else if (!whole.startsWith('$')) result += whole
    else {
      const name = braced ?? bare
      if (braced !== undefined && brace === '' && braced !== '')
        throw new SsiFault(`the closing bracket in "${name}" variable is missing`)
      if (!name) throw new SsiFault(`invalid variable name in "${text}"`)
      result += lookup(name.toLowerCase()) ?? ''
    }
    if (result.length > MAX_VALUE) throw new SsiFault('the value is too long')
  }
  return result
}

const HTML_BYTES = /[&<>"]/g
const HTML_NAMES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const URL_BYTES = /[\x00-\x20"#%'<>\\^`{|}\x7f-\xff]/g

export type SsiEncoding = 'none' | 'url' | 'entity'

export function isEncoding(word: string): word is SsiEncoding {
  return word === 'none' || word === 'url' || word === 'entity'
}

export function encode(text: string, encoding: SsiEncoding): string {
  if (encoding === 'url') return percentEncode(text, URL_BYTES)
  if (encoding === 'entity') return text.replace(HTML_BYTES, (byte) => HTML_NAMES[byte])
  return text
}

/** The expression of `if`, unexpanded. */
export interface SsiCondition {
  readonly left: string
  /** null: true unless `left` is empty. */
  readonly operator: '=' | '!=' | null
  readonly right: string
  readonly isPattern: boolean
}

const CONDITION = /^([A-Za-z0-9${}_"']*) *(?:(=|!=) *([\s\S]*))?$/

/** null: no valid expression. */
export function parseCondition(expression: string): SsiCondition | null {
  const match = CONDITION.exec(expression)
  if (match === null) return null
  const left = lowerAscii(match[1])
  if (match[2] === undefined) return { left, operator: null, right: '', isPattern: false }
  const operator = match[2] as '=' | '!='
  const right = match[3]
  if (right.length > 1 && right.startsWith('/')) {
    return right.endsWith('/') ? { left, operator, right: right.slice(1, -1), isPattern: true } : null
  }
  return { left, operator, right: right.startsWith('\\/') ? right.slice(1) : right, isPattern: false }
}

/** Path and query of an inclusion; null: it climbs out of the site or holds a NUL. `path` is decoded. */
export function parseInclusion(uri: string): { path: string; args: string } | null {
  if (uri === '' || uri.startsWith('?')) return null
  const query = uri.indexOf('?')
  const raw = query < 0 ? uri : uri.slice(0, query)
  const args = query < 0 ? '' : uri.slice(query + 1)
  if (climbs(raw)) return null
  const path = raw.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  if (climbs(path)) return null
  return { path, args: percentEncode(args, LINE_BREAKERS) }
}

/** What must not get into a request line by way of a query. */
const LINE_BREAKERS = /[\x00-\x20\x7f]/g

function climbs(path: string): boolean {
  return path.includes('\0') || /(^|\/)\.\.(\/|$)/.test(path)
}
