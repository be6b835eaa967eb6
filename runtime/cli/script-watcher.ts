/**
 * `script_watch`: a saved script file is swapped in by itself. Watches the folders, not the files, so that editors
 * which write a new file and rename it over the old one are seen too.
 */
import { createHash } from 'node:crypto'
import { type FSWatcher, readFileSync, statSync, watch } from 'node:fs'
import { dirname } from 'node:path'
import type { Gateway } from '../gateway.ts'

/** ms without a further change before a swap begins: an editor saves in several steps. */
const QUIET = 30

export class ScriptWatcher {
  readonly #gateway: Gateway
  readonly #watchers = new Map<string, FSWatcher>()
  #digest = ''
  #timer: NodeJS.Timeout | null = null
  #busy = false
  #again = false

  constructor(gateway: Gateway) {
    this.#gateway = gateway
  }

  /** Watches the files of the current generation; call again after each swap. */
  start(): void {
    const { generation } = this.#gateway
    const folders = new Set(
      generation.watchScripts ? generation.scriptFiles.map((file) => dirname(file)) : [],
    )
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    for (const folder of folders) if (!this.#watchers.has(folder)) this.#watch(folder)
    this.#digest = digest(generation.scriptFiles)
    // What was saved since the generation was begun may not be in it. Looked at last: a save may come at any moment.
    if (changedSince(generation.scriptFiles, generation.madeAt)) {
      this.#digest = ''
      this.#changed()
    }
  }

  stop(): void {
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #watch(folder: string): void {
    const watcher = watch(folder, { persistent: false }, () => this.#changed())
    watcher.on('error', (error) => this.#gateway.log('warn', `cannot watch ${folder}: ${error.message}`))
    this.#watchers.set(folder, watcher)
  }

  #changed(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#swap(), QUIET)
  }

  async #swap(): Promise<void> {
    this.#timer = null
    if (this.#busy) {
      this.#again = true
      return
    }
    const now = digest(this.#gateway.generation.scriptFiles)
    // Half of a rename: the file is about to appear.
    if (now === '' || now === this.#digest) return
    this.#digest = now
    this.#busy = true
    try {
      const { generation, took } = await this.#gateway.reloadScripts()
      this.#gateway.log(
        'notice',
        `scripts changed: generation ${generation} serves after ${took.toFixed(1)} ms`,
      )
      this.start()
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      // Whatever is saved next is worth another attempt.
      this.#digest = ''
      this.#gateway.log('error', `${text}; the scripts of generation ${this.#gateway.generation.id} stay`)
    }
    this.#busy = false
    if (this.#again) {
      this.#again = false
      this.#changed()
    }
  }
}

/** ms by which a file's time may lag behind the clock; less than QUIET, so that a save seen is not seen twice. */
const LAG = 20

function changedSince(files: readonly string[], time: number): boolean {
  return files.some((file) => (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) >= time - LAG)
}

/** One hash over all files; '' when one cannot be read. */
function digest(files: readonly string[]): string {
  const hash = createHash('sha1')
  try {
    for (const file of files) hash.update(file).update('\0').update(readFileSync(file))
  } catch {
    return ''
  }
  return hash.digest('hex')
}
