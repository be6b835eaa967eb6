/**
 * `access_log`: which requests are logged, in which format, to which file. Knows requests only through the binder.
 */
import type { AccessLogModel } from '../config/model.ts'
import { isUnsafePath } from '../lib/system-path.ts'
import type { Buffering, LogFile, LogReport } from './log-file.ts'
import type { LogCacheOptions } from './log-file-cache.ts'
import type { LogFiles } from './log-files.ts'
import type { LogBinder, LogFormat, LogFormats } from './log-format.ts'

/** ms between two reports of paths that cannot be opened, for each `access_log` with variables in its path. */
const REPORT_INTERVAL = 60_000

/** One `access_log`: writes the line of a request that has ended, unless `if=` says no. */
export interface AccessLog<X> {
  write(request: X): void
}

/** What `compileAccessLogs` puts together. */
export interface AccessLogParts<X> {
  readonly formats: LogFormats<X>
  readonly binder: LogBinder<X>
  readonly files: LogFiles
  /** `open_log_file_cache` for paths with variables; null: off. */
  readonly cache?: LogCacheOptions | null
  /** Told of paths with variables that cannot be opened. */
  readonly report: LogReport
}

/**
 * The `access_log`s of one level, in order; files without variables in their path are opened.
 * @throws LogPathError when that is not possible, Error when a format or variable does not exist.
 */
export function compileAccessLogs<X>(
  models: readonly AccessLogModel[],
  parts: AccessLogParts<X>,
): readonly AccessLog<X>[] {
  return models.map((model) => {
    const format = parts.formats.get(model.format)
    const condition = model.condition === null ? null : parts.binder.bind(model.condition)
    const path = parts.binder.constant(model.path)
    if (path !== null) return new FixedLog(format, condition, parts.files.get(path, bufferingOf(model)))
    return new ChangingLog(format, condition, parts.binder.bind(model.path), parts)
  })
}

function bufferingOf(model: AccessLogModel): Buffering | null {
  return model.buffer === 0 ? null : { size: model.buffer, flush: model.flush, gzip: model.gzip }
}

type Condition<X> = ((request: X) => string) | null

/** nginx: an `if=` that is empty or `0` says no. */
function isWanted<X>(condition: Condition<X>, request: X): boolean {
  if (condition === null) return true
  const value = condition(request)
  return value !== '' && value !== '0'
}

class FixedLog<X> implements AccessLog<X> {
  readonly #format: LogFormat<X>
  readonly #condition: Condition<X>
  readonly #file: LogFile

  constructor(format: LogFormat<X>, condition: Condition<X>, file: LogFile) {
    this.#format = format
    this.#condition = condition
    this.#file = file
  }

  write(request: X): void {
    if (isWanted(this.#condition, request)) this.#file.append(this.#format(request))
  }
}

/**
 * A log whose path has variables. Folders are never made, and a path in which a variable brought `..` is refused: a
 * request writes only where the configuration meant it to.
 */
class ChangingLog<X> implements AccessLog<X> {
  readonly #format: LogFormat<X>
  readonly #condition: Condition<X>
  readonly #path: (request: X) => string
  readonly #append: (path: string, line: string) => void
  readonly #report: LogReport
  #reportedAt = -Infinity

  constructor(
    format: LogFormat<X>,
    condition: Condition<X>,
    path: (request: X) => string,
    { files, cache, report }: AccessLogParts<X>,
  ) {
    this.#format = format
    this.#condition = condition
    this.#path = path
    this.#append = cache ? files.cache(cache) : (path, line) => files.changing(path).append(line)
    this.#report = report
  }

  write(request: X): void {
    if (!isWanted(this.#condition, request)) return
    const path = this.#path(request)
    if (isUnsafePath(path) || path.startsWith('syslog:')) {
      this.#refuse(`access_log path "${path}" is not one that a request may make`)
      return
    }
    try {
      this.#append(path, this.#format(request))
    } catch (error) {
      this.#refuse((error as Error).message)
    }
  }

  #refuse(message: string): void {
    const now = performance.now()
    if (now - this.#reportedAt < REPORT_INTERVAL) return
    this.#reportedAt = now
    this.#report('crit', message)
  }
}
