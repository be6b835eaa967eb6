/**
 * How scripts are called from outside: by as much of the end of their path as tells them apart (`balancer.js`,
 * `chat/balancer.js`). Whatever else is asked for is no script.
 */
import { realpath } from './script/module-files.ts'

/** The shortest name that no other of these files has; the path where there is none. */
export function nameOf(file: string, files: readonly string[]): string {
  const parts = file.split('/').filter((part) => part !== '')
  for (let count = 1; count < parts.length; count++) {
    const name = parts.slice(-count).join('/')
    if (filesCalled(name, files).length === 1) return name
  }
  return file
}

/** Those of the files that a name may mean: a path means one, and a file that is named through links is one. */
export function filesCalled(name: string, files: readonly string[]): readonly string[] {
  if (files.includes(name)) return [name]
  const found = files.filter((file) => file.endsWith(`/${name}`))
  if (found.length < 2) return found
  const byPlace = new Map(found.toReversed().map((file) => [realpath(file), file]))
  return [...byPlace.values()].reverse()
}
