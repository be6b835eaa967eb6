/**
 * The log files of one generation by path: each opened once and shared by all logs that name it, reopened together
 * on USR1, written out and closed with their owner. Generations may hold the same path at the same time: every write
 * appends whole lines. Knows no log formats.
 */
import { mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { systemPath } from '../lib/system-path.ts'
import { type Buffering, LogFile, type LogReport } from './log-file.ts'
import { type LogCacheOptions, LogFileCache } from './log-file-cache.ts'
import { LogPathError } from './log-path.ts'

/** Files open at a time for paths with variables, and ms after which one that nobody writes to is closed. */
const MAX_CHANGING = 64
const IDLE = 10_000

export interface LogFilesOptions {
  /** Folder that relative paths are relative to. */
  readonly prefix: string
  /** Told of files that cannot be written or reopened. */
  readonly report: LogReport
  /** Files open at a time for paths with variables (64). */
  readonly maxChanging?: number
  /** ms until an unused one of them is closed (10,000). */
  readonly idle?: number
}

export class LogFiles {
  readonly #options: LogFilesOptions
  readonly #fixed = new Map<string, LogFile>()
  /** Paths with variables, the least recently used first. */
  readonly #changing = new Map<string, LogFile>()
  readonly #caches: LogFileCache[] = []
  #sweeper: NodeJS.Timeout | null = null

  constructor(options: LogFilesOptions) {
    this.#options = options
  }

  /**
   * The file of a path, opened at the first call. All logs of a file share one buffer, as in nginx: a call that asks
   * for none joins the file's own.
   * @throws LogPathError when it cannot be opened or is open with another buffer.
   */
  get(path: string, buffering: Buffering | null = null): LogFile {
    const name = this.#resolve(path)
    const known = this.#fixed.get(name)
    if (known === undefined) {
      makeFolder(name)
      const file = new LogFile(name, this.#options.report, buffering)
      this.#fixed.set(name, file)
      return file
    }
    if (buffering === null || sameBuffering(known.buffering, buffering)) return known
    throw new LogPathError(`access_log "${path}" is already defined with another buffer; give both the same`)
  }

  /**
   * The file of a path that variables made: opened when it is not yet, closed when it falls out of use.
   * @throws LogPathError when it cannot be opened.
   */
  changing(path: string): LogFile {
    const name = this.#resolve(path)
    const file = this.#fixed.get(name) ?? this.#takeOut(name) ?? new LogFile(name, this.#options.report)
    file.lastUsed = performance.now()
    if (this.#fixed.has(name)) return file
    this.#changing.set(name, file)
    this.#evict()
    this.#sweeper ??= setInterval(() => this.#sweep(), this.#idle).unref()
    return file
  }

  /** A cache of its own for the logs of one level (`open_log_file_cache`). */
  cache(options: LogCacheOptions): (path: string, line: string) => void {
    const cache = new LogFileCache(options, this.#options.report)
    this.#caches.push(cache)
    return (path, line) => cache.write(this.#resolve(path), line)
  }

  /** How many files are open. */
  get size(): number {
    return this.#fixed.size + this.#changing.size
  }

  /** USR1: each file goes on in a new one of its name. */
  reopenAll(): void {
    for (const file of this.#fixed.values()) file.reopen()
    for (const cache of this.#caches) cache.closeAll()
    this.#closeChanging()
  }

  /** Writes out what waits anywhere, synchronously. */
  flushAll(): void {
    for (const file of this.#fixed.values()) file.flush()
    for (const file of this.#changing.values()) file.flush()
    for (const cache of this.#caches) cache.flush()
  }

  /** Writes out and closes everything. */
  close(): void {
    for (const file of this.#fixed.values()) file.close()
    this.#fixed.clear()
    for (const cache of this.#caches) cache.closeAll()
    this.#closeChanging()
  }

  get #idle(): number {
    return this.#options.idle ?? IDLE
  }

  #resolve(path: string): string {
    return path === 'stderr' || path.startsWith('/') || path.startsWith('syslog:')
      ? path
      : resolve(this.#options.prefix, path)
  }

  #takeOut(name: string): LogFile | undefined {
    const file = this.#changing.get(name)
    if (file !== undefined) this.#changing.delete(name)
    return file
  }

  #evict(): void {
    if (this.#changing.size <= (this.#options.maxChanging ?? MAX_CHANGING)) return
    const [name, file] = this.#changing.entries().next().value!
    this.#changing.delete(name)
    file.close()
  }

  #sweep(): void {
    const before = performance.now() - this.#idle
    for (const [name, file] of this.#changing) {
      if (file.lastUsed > before) break
      this.#changing.delete(name)
      file.close()
    }
    if (this.#changing.size === 0) this.#stopSweeping()
  }

  #closeChanging(): void {
    for (const file of this.#changing.values()) file.close()
    this.#changing.clear()
    this.#stopSweeping()
  }

  #stopSweeping(): void {
    if (this.#sweeper !== null) clearInterval(this.#sweeper)
    this.#sweeper = null
  }
}

function sameBuffering(a: Buffering | null, b: Buffering): boolean {
  return a !== null && a.size === b.size && a.flush === b.flush && a.gzip === b.gzip
}

/** A log of the configuration (never one that a request names) may be the first in its folder: `logs/access.log`. */
function makeFolder(name: string): void {
  if (!name.startsWith('/')) return
  try {
    mkdirSync(systemPath(dirname(name)))
  } catch {
    // It is there, or opening the file tells what is wrong.
  }
}
