/**
 * Regular expressions as nginx users write them (PCRE, byte mode, default options) to JavaScript's. What JavaScript
 * cannot say becomes a problem, never a different meaning. Subjects are byte strings.
 *
 * Known differences that stay: a group inside a repeated group is unset again in each round, and a back reference
 * to a group that has not matched matches the empty string (PCRE: keeps the last value; fails).
 */
import type { Pattern, Where } from './model.ts'
import { PatternError } from './pattern-cursor.ts'
import { type Translated, Translator, WriteOutCase } from './pattern-translator.ts'
import type { Problem } from './problems.ts'

/** Translates a pattern. `caseless` is `~*`. */
export function translatePattern(source: string, caseless: boolean, where: Where): Pattern | Problem {
  try {
    const { js, names, flags } = translate(source, caseless)
    new RegExp(js, flags)
    return { source: js, flags, names, text: source, where }
  } catch (error) {
    if (!(error instanceof PatternError || error instanceof SyntaxError)) throw error
    const message = `invalid regular expression "${source}": ${error.message}`
    return { where, message, severity: 'error' }
  }
}

function translate(source: string, caseless: boolean): Translated {
  const leading = /^\(\?([a-zA-Z]*)\)/.exec(source)?.[1] ?? ''
  if (caseless || leading.includes('i')) {
    try {
      return new Translator(source, caseless, true).run()
    } catch (error) {
      if (!(error instanceof WriteOutCase)) throw error
    }
  }
  return new Translator(source, caseless, false).run()
}
