/**
 * What a request for a folder gets, as ngx_http_index_module decides it: an internal redirect to the first index file
 * that exists, 404 when the folder does not, 403 when it has no index.
 */
import { stat } from 'node:fs'
import { escapeUri } from '../http1/uri.ts'
import { describeSystemError } from '../lib/system-error.ts'
import { isUnsafePath, systemPath } from '../lib/system-path.ts'
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'

/** @param folder path of the folder in the file system, checked */
export function serveIndex(x: Exchange, folder: string): Step {
  return tryIndex(x, folder, 0, false)
}

/** Tries the index files from this one on. `tested`: the folder is known to exist. */
function tryIndex(x: Exchange, folder: string, from: number, tested: boolean): Step {
  const { index } = x.location.files
  if (from === index.length) {
    x.log('error', `directory index of "${folder}" is forbidden`)
    return refuse(x, 403)
  }
  const name = index[from].get(x)
  if (name.startsWith('/')) return redirectTo(x, name)
  const path = folder + name
  if (isUnsafePath(path)) {
    x.log('error', `"${path}" is forbidden: it holds ".." or a NUL`)
    return refuse(x, 403)
  }
  stat(systemPath(path), (error) => {
    if (x.closed) return
    if (error === null) resume(x, redirectTo(x, x.path + name))
    else if (error.code === 'ENOENT') {
      if (tested) resume(x, tryIndex(x, folder, from + 1, true))
      else testFolder(x, folder, path, from)
    } else resume(x, indexFailure(x, path, error))
  })
  return Step.SUSPENDED
}

/** The first index file is not there: because the folder is not? */
function testFolder(x: Exchange, folder: string, path: string, from: number): void {
  const name = folder.length > 1 && folder.endsWith('/') ? folder.slice(0, -1) : folder
  stat(systemPath(name), (error, stats) => {
    if (x.closed) return
    if (error !== null && error.code !== 'EACCES') resume(x, indexFailure(x, path, error))
    else if (error !== null || stats.isDirectory()) resume(x, tryIndex(x, folder, from + 1, true))
    else {
      x.log('alert', `"${name}" is not a directory`)
      resume(x, refuse(x, 500))
    }
  })
}

function indexFailure(x: Exchange, path: string, error: NodeJS.ErrnoException): Step {
  const reason = describeSystemError(error)
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENAMETOOLONG':
      if (x.location.settings.logNotFound) x.log('error', `"${path}" is not found (${reason})`)
      return refuse(x, 404)
    case 'EACCES':
      x.log('error', `"${path}" is forbidden (${reason})`)
      return refuse(x, 403)
    case 'ELOOP':
    case 'EMLINK':
      return refuse(x, 403)
    default:
      x.log('crit', `stat() "${path}" failed (${reason})`)
      return refuse(x, 500)
  }
}

/** `path` is decoded; a redirect target is read as a URI. */
function redirectTo(x: Exchange, path: string): Step {
  const uri = escapeUri(path, 'uri')
  x.redirectTarget = x.hasArgs ? `${uri}?${x.args}` : uri
  return Step.REDIRECT
}

function refuse(x: Exchange, status: number): Step {
  x.status = status
  return Step.ERROR
}

/** Goes on with the journey, unless the next file is still being looked for. */
function resume(x: Exchange, step: Step): void {
  if (step !== Step.SUSPENDED) x.generation.services.resume(x, step)
}
