/** `open_log_file_cache`: which files of log paths with variables stay open between two lines. */
import { LogFile, type LogReport } from './log-file.ts'

/** `open_log_file_cache max=N [inactive=TIME] [min_uses=N]` */
export interface LogCacheOptions {
  /** Paths remembered; the one not used for longest goes first. */
  readonly max: number
  /** ms without use after which a path is forgotten. */
  readonly inactive: number
  /** Uses within `inactive` from which on a file stays open. */
  readonly minUses: number
}

interface Entry {
  file: LogFile | null
  uses: number
  lastUsed: number
}

export class LogFileCache {
  readonly #options: LogCacheOptions
  readonly #report: LogReport
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>()

  constructor(options: LogCacheOptions, report: LogReport) {
    this.#options = options
    this.#report = report
  }

  /** Writes one line to an absolute path. @throws LogPathError when it cannot be opened; what is cached stays. */
  write(path: string, line: string): void {
    const now = performance.now()
    const known = this.#entries.get(path)
    const fresh = known !== undefined && now - known.lastUsed <= this.#options.inactive
    const entry = fresh ? known : { file: known?.file ?? null, uses: 0, lastUsed: now }
    entry.file ??= new LogFile(path, this.#report)
    entry.uses++
    entry.lastUsed = now
    this.#entries.delete(path)
    this.#entries.set(path, entry)
    entry.file.append(line)
    if (entry.uses < this.#options.minUses) {
      entry.file.close()
      entry.file = null
    }
    if (this.#entries.size > this.#options.max) this.#evict()
  }

  flush(): void {
    for (const { file } of this.#entries.values()) file?.flush()
  }

  closeAll(): void {
    for (const { file } of this.#entries.values()) file?.close()
    this.#entries.clear()
  }

  #evict(): void {
    const [path, entry] = this.#entries.entries().next().value!
    entry.file?.close()
    this.#entries.delete(path)
  }
}
