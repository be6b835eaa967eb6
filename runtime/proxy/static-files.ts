/**
 * Answers from the file system as ngx_http_static_module does: a file, the redirect of a folder to its slash form,
 * or the status that says why not. Folders with a slash are `index-files.ts`'s.
 */
import { constants, fstat, open, type Stats } from 'node:fs'
import { formatHttpDate } from '../http1/date.ts'
import { Field } from '../http1/fields.ts'
import { describeSystemError } from '../lib/system-error.ts'
import { isUnsafePath, systemPath } from '../lib/system-path.ts'
import type { Exchange, OpenFile } from './exchange.ts'
import { serveIndex } from './index-files.ts'
import { directoryRedirect } from './location-redirect.ts'
import { mapPath } from './map-path.ts'
import { mediaType } from './media-type.ts'
import { openFile } from './open-file.ts'
import { Step } from './step.ts'

/** Files up to this size are read at once and leave in one write with the head. */
const SMALL = 64 * 1024

// O_NONBLOCK: a named pipe without a writer must not hold a thread.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK

/** Serves `x.path` from `root` or `alias`. */
export function serveStatic(x: Exchange): Step {
  if (x.method !== 'GET' && x.method !== 'HEAD' && x.method !== 'POST') return refuse(x, 405)
  const { alias, aliased } = x.location.files
  if (alias && aliased !== null && !x.locationValid) {
    x.log('alert', `"alias" cannot be used in location "${aliased}" where URI was rewritten`)
    return refuse(x, 500)
  }
  const path = mapPath(x)
  if (isUnsafePath(path)) {
    x.log('error', `"${path}" is forbidden: it holds ".." or a NUL`)
    return refuse(x, 403)
  }
  if (x.path.endsWith('/')) return serveIndex(x, path)
  open(systemPath(path), OPEN_FLAGS, (error, fd) => {
    if (error === null) onOpen(x, path, openFile(fd), fd)
    else if (!x.closed) resume(x, refuse(x, openFailure(x, path, error)))
  })
  return Step.SUSPENDED
}

/** nginx's status and log line for a file that does not open. */
function openFailure(x: Exchange, path: string, error: NodeJS.ErrnoException): number {
  const status = statusOf(error.code)
  if (status !== 404 || x.location.settings.logNotFound) {
    x.log(status === 500 ? 'crit' : 'error', `open() "${path}" failed (${describeSystemError(error)})`)
  }
  return status
}

function statusOf(code: string | undefined): number {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENAMETOOLONG':
      return 404
    case 'EACCES':
    case 'ELOOP':
    case 'EMLINK':
      return 403
    default:
      return 500
  }
}

function onOpen(x: Exchange, path: string, file: OpenFile, fd: number): void {
  fstat(fd, (error, stats) => {
    if (x.closed) file.close()
    else if (error !== null) {
      file.close()
      x.log('crit', `fstat() "${path}" failed (${describeSystemError(error)})`)
      resume(x, refuse(x, 500))
    } else onStats(x, path, file, stats)
  })
}

function onStats(x: Exchange, path: string, file: OpenFile, stats: Stats): void {
  if (stats.isFile() && x.method !== 'POST') {
    describe(x, stats)
    if (isReadAtOnce(x, stats.size)) readWhole(x, path, file, stats.size)
    else answer(x, file, stats.size)
    return
  }
  file.close()
  if (stats.isDirectory()) resume(x, directoryRedirect(x))
  else if (stats.isFile()) resume(x, refuse(x, 405))
  else {
    x.log('crit', `"${path}" is not a regular file`)
    resume(x, refuse(x, 404))
  }
}

/** Everything about the head but its length. */
function describe(x: Exchange, { mtimeMs, size }: Stats): void {
  const { headers } = x
  const seconds = Math.floor(mtimeMs / 1000)
  x.status = 200
  x.allowRanges = true
  headers.contentType = mediaType(x) || null
  headers.lastModified = formatHttpDate(seconds * 1000)
  if (x.location.settings.etag) headers.add('ETag', `"${seconds.toString(16)}-${size.toString(16)}"`)
}

/** Not when the answer may turn out to be 304. */
function isReadAtOnce(x: Exchange, size: number): boolean {
  if (size > SMALL || x.method !== 'GET') return false
  const { fields } = x.head
  return fields.find(Field.IF_MODIFIED_SINCE) < 0 && fields.find(Field.IF_NONE_MATCH) < 0
}

function readWhole(x: Exchange, path: string, file: OpenFile, size: number): void {
  const block = Buffer.allocUnsafe(size)
  file.read(block, 0, (error, count) => {
    file.close()
    if (x.closed) return
    if (error !== null) {
      x.log('crit', `read() "${path}" failed (${describeSystemError(error)})`)
      x.headers.clear()
      x.allowRanges = false
      resume(x, refuse(x, 500))
      return
    }
    x.parts = count === 0 ? [] : [block.subarray(0, count)]
    x.headers.contentLength = count
    resume(x, Step.HEADER_FILTER)
  })
}

function answer(x: Exchange, file: OpenFile, size: number): void {
  x.parts = [{ file, start: 0, end: size }]
  x.headers.contentLength = size
  resume(x, Step.HEADER_FILTER)
}

function refuse(x: Exchange, status: number): Step {
  x.status = status
  return Step.ERROR
}

function resume(x: Exchange, step: Step): void {
  x.generation.services.resume(x, step)
}
