/** A file that is replaced as a whole or not at all: whoever reads it sees the old bytes or the new ones. */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Keeps the mode of the file that is there; follows links. @throws Error of the system, and nothing has changed */
export function replaceFile(path: string, bytes: Uint8Array): void {
  const file = realpathSync(path)
  put(file, bytes, statSync(file).mode)
}

/** As {@link replaceFile}; makes the file where there is none, for its owner to write and all to read. */
export function writeWhole(path: string, bytes: Uint8Array): void {
  if (existsSync(path)) replaceFile(path, bytes)
  else put(path, bytes, 0o644)
}

function put(file: string, bytes: Uint8Array, mode: number): void {
  const draft = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}.tmp`)
  const fd = openSync(draft, 'wx', 0o600)
  try {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
      fchmodSync(fd, mode & 0o7777)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(draft, file)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}
