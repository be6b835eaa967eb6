/**
 * How scripts are called from outside: by as much of the end of their path as tells them apart (`balancer.js`,
 * `chat/balancer.js`). Whatever else is asked for is no script: no other file can be reached by a name.
 */

import { Refusal } from './problem.ts'
import { notFound } from './reply.ts'

/** The shortest name that no other of these files has. */
export function nameOf(file: string, files: readonly string[]): string {
  const parts = file.split('/').filter((part) => part !== '')
  for (let count = 1; count < parts.length; count++) {
    const name = parts.slice(-count).join('/')
    if (matching(name, files).length === 1) return name
  }
  return file
}

/** @throws Refusal when there is no such file, or more than one */
export function fileOf(name: string, files: readonly string[]): string {
  const found = files.includes(name) ? [name] : matching(name, files)
  if (found.length === 1) return found[0]
  const names = files.map((file) => nameOf(file, files)).join(', ')
  if (found.length === 0)
    throw notFound(`no script that serves is called ${JSON.stringify(name)}; there are: ${names}`)
  const which = found.map((file) => nameOf(file, files)).join(', ')
  throw new Refusal(409, 'ambiguous name', `${JSON.stringify(name)} may be any of ${which}`)
}

function matching(name: string, files: readonly string[]): string[] {
  return files.filter((file) => file.endsWith(`/${name}`))
}
