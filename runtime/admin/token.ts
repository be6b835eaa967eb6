/** The token of `token_file`: a secret that whoever talks to the admin API has to show. */
import { readFileSync } from 'node:fs'
import { ConfigError } from '../config/config-error.ts'
import type { AdminModel } from '../config/model.ts'

/** Characters of a secret that nobody guesses. */
const LEAST = 16

/** The first line of the file; null: there is none, and nobody needs a token. @throws ConfigError */
export function readToken({ tokenFile, where }: AdminModel): string | null {
  if (tokenFile === null) return null
  const [token] = readFile(tokenFile, where).split(/\r?\n/)
  if (/^[\x21-\x7e]+$/.test(token) && token.length >= LEAST) return token
  throw new ConfigError(
    where,
    `the first line of token_file "${tokenFile}" is no token; write at least ${LEAST} letters, digits or signs`,
  )
}

function readFile(file: string, where: AdminModel['where']): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(
      where,
      `token_file "${file}" of "admin" cannot be read: ${(error as Error).message}`,
    )
  }
}
