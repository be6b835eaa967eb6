/**
 * Where a name stands that cannot be linked: an import of what a module does not export, an export of what a module has
 * not. QuickJS tells the names but not the place. Knows texts, no sandbox.
 */
import { placeAt } from './module-files.ts'
import type { Frame } from './script-error.ts'

const NO_IMPORT = /^SyntaxError: Could not find export '([^']+)' in module '([^']+)'$/
const NO_EXPORT = /^SyntaxError: exported variable '([^']+)' does not exist$/
/** The names of one import or re-export, and the module that they are of. */
const LINK = /\b(?:im|ex)port\s([^;'"]*?)\bfrom\s*(['"])([^'"\n]+)\2/g
const EXPORT = /\bexport\s*\{([^}'"]*)\}/g

export interface Modules {
  /** By id. */
  readonly texts: ReadonlyMap<string, string>
  /** @throws for a name that is no module */
  resolve(base: string, name: string): string
}

/** @param message as QuickJS says it; null for any other message */
export function linkPlace(message: string, modules: Modules): Omit<Frame, 'name'> | null {
  const [, wanted, module] = NO_IMPORT.exec(message) ?? []
  if (wanted !== undefined) return find(modules, LINK, wanted, (id, name) => isOf(modules, id, name, module))
  const [, missing] = NO_EXPORT.exec(message) ?? []
  return missing === undefined ? null : find(modules, EXPORT, missing, () => true)
}

function isOf(modules: Modules, base: string, name: string, id: string): boolean {
  try {
    return modules.resolve(base, name) === id
  } catch {
    return false
  }
}

/** The first place of the word in the list of names that the pattern's first group is. */
function find(
  { texts }: Modules,
  pattern: RegExp,
  word: string,
  fits: (id: string, specifier: string) => boolean,
): Omit<Frame, 'name'> | null {
  const whole = new RegExp(`(?<![\\w$])${word.replace(/\W/g, '\\$&')}(?![\\w$])`)
  for (const [id, text] of texts) {
    for (const match of text.matchAll(pattern)) {
      const at = whole.exec(match[1])?.index
      if (at === undefined || !fits(id, match[3])) continue
      const offset = match.index + match[0].indexOf(match[1]) + at
      return { file: id, ...placeAt(text, offset) }
    }
  }
  return null
}
