/** The file that a name of the admin API means: no other file can be reached by a name. */
import { filesCalled, nameOf } from '../script-names.ts'
import { Refusal } from './problem.ts'
import { notFound } from './reply.ts'

/** @throws Refusal when there is no such file, or more than one */
export function fileOf(name: string, files: readonly string[]): string {
  const found = filesCalled(name, files)
  if (found.length === 1) return found[0]
  const names = files.map((file) => nameOf(file, files)).join(', ')
  if (found.length === 0)
    throw notFound(`no script that serves is called ${JSON.stringify(name)}; there are: ${names}`)
  const which = found.map((file) => nameOf(file, files)).join(', ')
  throw new Refusal(409, 'ambiguous name', `${JSON.stringify(name)} may be any of ${which}`)
}
