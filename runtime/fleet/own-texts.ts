/**
 * Texts of this machine that the fleet does not know: they are in no Redis and on no other machine, so that none of them is
 * lost where the fleet's takes its place. Knows files and hashes, no records.
 */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { digestOf } from './record.ts'

/** Hex digits of a digest in a file name. */
const SHORT = 12
const BYTE_ORDER_MARK = /^\ufeff/

export interface OwnText {
  readonly digest: string
  readonly bytes: Buffer
}

/**
 * @param served what serves in the file's place; null: nothing does
 * @param known digests of what the fleet has, or has had
 */
export function ownTexts(file: string, served: string | null, known: ReadonlySet<string>): OwnText[] {
  const all = [bytesOf(file), served === null ? null : Buffer.from(served, 'utf8')]
  const own = new Map<string, OwnText>()
  for (const bytes of all) {
    if (bytes === null) continue
    const digest = digestOf(bytes.toString('utf8').replace(BYTE_ORDER_MARK, ''))
    if (!known.has(digest) && !own.has(digest)) own.set(digest, { digest, bytes })
  }
  return [...own.values()]
}

/** @returns null where there is no file */
function bytesOf(file: string): Buffer | null {
  try {
    return readFileSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** One for each text; no script's name begins so. */
export function besideFile(script: string, digest: string): string {
  const extension = extname(script)
  return join(
    dirname(script),
    `.${basename(script, extension)}.before-fleet-${digest.slice(0, SHORT)}${extension}`,
  )
}

/** For whoever could read the script. @returns where it is @throws Error of the system */
export function keepBeside(script: string, { digest, bytes }: OwnText): string {
  const file = besideFile(script, digest)
  try {
    const mode = statSync(script, { throwIfNoEntry: false })?.mode ?? 0o600
    writeFileSync(file, bytes, { flag: 'wx', mode: mode & 0o777 })
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST'
    if (!isThere) rmSync(file, { force: true })
    if (!isThere || !holds(file, digest)) throw error
  }
  return file
}

function holds(file: string, digest: string): boolean {
  return digestOf(readFileSync(file, 'utf8').replace(BYTE_ORDER_MARK, '')) === digest
}
