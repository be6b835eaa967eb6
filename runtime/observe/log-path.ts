/** What a log path names, and how it is opened. */
import { constants, openSync } from 'node:fs'
import { describeSystemError } from '../lib/system-error.ts'
import { systemPath } from '../lib/system-path.ts'

// O_NONBLOCK: a named pipe that nobody reads is an error at start or a full pipe later, never a process that hangs.
const OPEN_FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

/** A path that cannot be logged to; the message names it and says why. */
export class LogPathError extends Error {}

/** The descriptor of the process that a path stands for, or -1: those are used as they are, not opened or closed. */
export function standardDescriptor(path: string): number {
  if (path === 'stderr' || path === '/dev/stderr') return 2
  return path === '/dev/stdout' ? 1 : -1
}

/** Opens a file for appending, making it when it is not there. @throws LogPathError when that is not possible. */
export function openLog(path: string): number {
  if (path.startsWith('syslog:')) {
    throw new LogPathError('logging to syslog is not built yet; write to a file or to stderr')
  }
  try {
    return openSync(systemPath(path), OPEN_FLAGS, 0o644)
  } catch (error) {
    throw new LogPathError(`open() "${path}" failed (${describeSystemError(error as NodeJS.ErrnoException)})`)
  }
}
