/**
 * `try_files`: the first file or folder that exists becomes the request's path; none: the fallback.
 * ngx_http_try_files_module, its treatment of `alias` included.
 */
import { type Stats, stat } from 'node:fs'
import type { Settings, TemplatePart } from '../config/model.ts'
import { escapeUri } from '../http1/uri.ts'
import { describeSystemError } from '../lib/system-error.ts'
import { isUnsafePath, systemPath } from '../lib/system-path.ts'
import type { RequestBinder } from './binder.ts'
import type { Exchange } from './exchange.ts'
import { rootPath } from './map-path.ts'
import type { Getter, TryFilesPlan } from './plan.ts'
import { Step } from './step.ts'

type TryFilesModel = NonNullable<Settings['tryFiles']>

export function compileTryFiles(model: TryFilesModel, binder: RequestBinder): TryFilesPlan {
  const files = model.files.map(({ parts }) => {
    const last = parts[parts.length - 1]
    const directory = typeof last === 'string' && last.endsWith('/')
    return {
      get: bindName(directory ? [...parts.slice(0, -1), last.slice(0, -1)] : parts, binder),
      directory,
    }
  })
  if (model.fallback === null) return { files, fallback: { kind: 'status', status: model.status ?? 404 } }
  const kind = model.fallback.text.startsWith('@') ? 'named' : 'uri'
  return { files, fallback: { kind, get: bindName(model.fallback.parts, binder) } }
}

/** A name with variables loses the location's own name in front where `alias` has replaced it already. */
function bindName(parts: readonly TemplatePart[], binder: RequestBinder): Getter {
  const get = binder.bindParts(parts)
  if (parts.every((part) => typeof part === 'string')) return get
  return (x) => {
    const name = get(x)
    const { aliased } = x.location.files
    return aliased !== null && aliased !== '' && name.startsWith(aliased) ? name.slice(aliased.length) : name
  }
}

/** Goes on with the content when a file is there, else with the fallback. */
export function tryFiles(x: Exchange): Step {
  const { alias, aliased } = x.location.files
  if (alias && aliased !== null && !x.locationValid) {
    x.log('alert', `"alias" cannot be used in location "${aliased}" where URI was rewritten`)
    return fail(x, 500)
  }
  return tryFrom(x, x.location.tryFiles!, rootPath(x), 0)
}

function tryFrom(x: Exchange, plan: TryFilesPlan, root: string, from: number): Step {
  for (let i = from; i < plan.files.length; i++) {
    const { get, directory } = plan.files[i]
    const name = get(x)
    const path = root + name
    if (isUnsafePath(path)) continue
    stat(systemPath(path), (error, stats) => {
      if (x.closed) return
      const found = error === null ? isWanted(stats, directory) : missing(x, path, error)
      const next = found ? accept(x, name, directory) : tryFrom(x, plan, root, i + 1)
      if (next !== Step.SUSPENDED) x.generation.services.resume(x, next)
    })
    return Step.SUSPENDED
  }
  return fallBack(x, plan)
}

function isWanted(stats: Stats, directory: boolean): boolean {
  return stats.isDirectory() === directory
}

/** Not there, as it should be, or for another reason, which is logged. */
function missing(x: Exchange, path: string, error: NodeJS.ErrnoException): boolean {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR' && error.code !== 'ENAMETOOLONG') {
    x.log('crit', `stat() "${path}" failed (${describeSystemError(error)})`)
  }
  return false
}

/** The path names the file from here on; what an upstream is sent stays as the client sent it. */
function accept(x: Exchange, name: string, directory: boolean): Step {
  const { alias, aliased } = x.location.files
  if (!alias) x.path = name
  else if (aliased !== null) x.path = aliased + name
  else if (!directory) {
    x.path = name
    x.belowAlias = true
  }
  return Step.CONTENT
}

function fallBack(x: Exchange, { fallback }: TryFilesPlan): Step {
  if (fallback.kind === 'status') return fail(x, fallback.status)
  const target = fallback.get(x)
  x.redirectTarget = fallback.kind === 'named' ? target : encoded(target)
  return Step.REDIRECT
}

/** A redirect's target is read as a URI; the path here is decoded. */
function encoded(target: string): string {
  const query = target.indexOf('?')
  return query < 0 ? escapeUri(target, 'uri') : escapeUri(target.slice(0, query), 'uri') + target.slice(query)
}

function fail(x: Exchange, status: number): Step {
  x.status = status
  return Step.ERROR
}
