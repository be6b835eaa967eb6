/**
 * File name patterns of `include`, as glob(3) has them: `*`, `?`, `[a-z]`, `[!a]` within one part of a path, hidden
 * files only where the pattern's part starts with a dot, results in byte order. Paths are byte strings.
 */
import { readdirSync, statSync } from 'node:fs'
import { systemPath } from '../lib/system-path.ts'

export function hasGlob(path: string): boolean {
  return /[*?[]/.test(path)
}

/** The existing paths that an absolute pattern names; none is no error. */
export function expandGlob(pattern: string): string[] {
  const parts = pattern.split('/').filter((part) => part !== '')
  let paths = ['']
  for (const part of parts) {
    if (!hasGlob(part)) {
      paths = paths.map((path) => `${path}/${part}`)
      continue
    }
    const matches = compilePart(part)
    paths = paths.flatMap((folder) =>
      namesIn(folder)
        .filter(matches)
        .map((name) => `${folder}/${name}`),
    )
  }
  return paths.filter(exists).sort(byBytes)
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(systemPath(`${folder}/`), { encoding: 'latin1' })
  } catch {
    return []
  }
}

function exists(path: string): boolean {
  return statSync(systemPath(path), { throwIfNoEntry: false }) !== undefined
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function compilePart(part: string): (name: string) => boolean {
  let source = part.startsWith('.') ? '' : '(?!\\.)'
  for (let i = 0; i < part.length; i++) {
    const char = part[i]!
    const close = char === '[' ? part.indexOf(']', i + (/^[!^]/.test(part.slice(i + 1)) ? 3 : 2)) : -1
    if (char === '*') source += '[^]*'
    else if (char === '?') source += '[^]'
    else if (close > 0) {
      source += translateBracket(part.slice(i + 1, close))
      i = close
    } else source += escapePattern(char)
  }
  try {
    const pattern = new RegExp(`^${source}$`)
    return (name) => pattern.test(name)
  } catch {
    return () => false // a range such as [z-a] matches nothing
  }
}

function translateBracket(inner: string): string {
  const negated = /^[!^]/.test(inner)
  const members = (negated ? inner.slice(1) : inner).replace(/[\\\]^[]/g, '\\$&')
  return `[${negated ? '^' : ''}${members}]`
}

function escapePattern(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}
