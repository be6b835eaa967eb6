/** Who sits at this terminal, as the admin API is told: a name for people, no proof of anything. */
import { hostname, userInfo } from 'node:os'
import { ArgumentError } from './arguments.ts'

/** As the admin API takes it: visible characters, so many at most. */
const MAX = 100
const NAME = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u
const ODD = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu

/** @param given `--author` @returns UTF-8, one character for each byte, as a header field holds it @throws ArgumentError */
export function authorField(given: string | undefined): string {
  const author = given ?? `${userName()}@${hostname()}`.slice(0, MAX).replace(ODD, '?')
  if (author.length <= MAX && NAME.test(author)) return Buffer.from(author, 'utf8').toString('latin1')
  throw new ArgumentError(`"--author" is a name of at most ${MAX} visible characters`)
}

/** A user of a container may have a number alone. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `user ${process.getuid?.() ?? 'unknown'}`
  }
}
