/** The conditions of `if`. Values and paths are compiled by the caller, who knows how captures are escaped. */
import { type Stats, statSync } from 'node:fs'
import type { Condition, Template } from '../config/model.ts'
import { describeSystemError } from '../lib/system-error.ts'
import { systemPath } from '../lib/system-path.ts'
import type { RequestBinder } from './binder.ts'
import type { Exchange } from './exchange.ts'
import type { Getter } from './plan.ts'

/** @param bind gives a template inside the rewrite module its meaning */
export function compileCondition(
  condition: Condition,
  binder: RequestBinder,
  bind: (template: Template) => Getter,
): (x: Exchange) => boolean {
  switch (condition.kind) {
    case 'true': {
      const get = binder.required(condition.variable)
      return (x) => isTrue(get(x))
    }
    case 'equal': {
      const get = binder.required(condition.variable)
      const value = bind(condition.value)
      return (x) => ((get(x) ?? '') === value(x)) !== condition.negate
    }
    case 'match': {
      const get = binder.required(condition.variable)
      const matcher = binder.matcher(condition.pattern)
      return (x) => {
        const matched = matcher.exec(x, get(x) ?? '')
        if (!matched) x.captures = null
        return matched !== condition.negate
      }
    }
    case 'file': {
      const path = bind(condition.path)
      const test = FILE_TESTS[condition.test]
      return (x) => testFile(x, path(x), test) !== condition.negate
    }
  }
}

/** nginx: a variable is true unless it has no value, or is empty or "0". */
function isTrue(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0'
}

const OWNER_EXECUTES = 0o100

const FILE_TESTS = {
  file: (stats: Stats) => stats.isFile(),
  directory: (stats: Stats) => stats.isDirectory(),
  exists: (stats: Stats) => stats.isFile() || stats.isDirectory(),
  executable: (stats: Stats) => (stats.mode & OWNER_EXECUTES) !== 0,
} as const

/**
 * One `stat` in the midst of the rules, which run synchronously: a few microseconds on a local disk. Whoever tests
 * files on a slow one uses `try_files`, which waits without holding up others.
 */
function testFile(x: Exchange, path: string, test: (stats: Stats) => boolean): boolean {
  if (path.includes('\0')) return false
  try {
    const stats = statSync(systemPath(path), { throwIfNoEntry: false })
    return stats !== undefined && test(stats)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTDIR' && code !== 'ENAMETOOLONG') {
      x.log('crit', `stat() "${path}" failed (${describeSystemError(error as NodeJS.ErrnoException)})`)
    }
    return false
  }
}
