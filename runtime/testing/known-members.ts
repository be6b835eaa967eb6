/** Members of what a test describes, told from those that there are not: a misspelt one would go unheard. */
import { DescriptionError } from './description.ts'

/** @param known all members there are @throws DescriptionError */
export function refuseUnknown(given: object, known: Readonly<Record<string, true>>, what: string): void {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(known, name))
  if (unknown === undefined) return
  const names = Object.keys(known).join(', ')
  throw new DescriptionError(`${what}: there is no ${JSON.stringify(unknown)}; there are ${names}`)
}
