/**
 * `script_watch`: a saved script file is swapped in by itself. Watches the folders, not the files, so that editors
 * which write a new file and rename it over the old one are seen too. What changed, and whether it may serve, is the
 * gateway's to find out.
 */
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Control } from '../control.ts'
import { showExcerpt } from './refusal.ts'
import { makeStyle } from './style.ts'

/** ms from the first sign of a change to the first look: most programs write a file in one go. */
const SOON = 3
/** ms without a further change after which a file that cannot be loaded is not half written but wrong. */
const QUIET = 30
/** What a script can be, or import. */
const MODULE = /\.m?[jt]s$/

/** What serves the scripts: a gateway, or whatever looks after several. */
export type Watched = Pick<Control, 'generation' | 'scriptFiles' | 'reloadScripts' | 'log'>

export class ScriptWatcher {
  readonly #gateway: Watched
  readonly #watchers = new Map<string, FSWatcher>()
  #names = new Set<string>()
  #timer: NodeJS.Timeout | null = null
  #busy = false
  #stopped = false
  /** ms of the process's clock. */
  #lastChange = 0
  /** What the log says already. */
  #told = ''

  constructor(gateway: Watched) {
    this.#gateway = gateway
  }

  /** Watches the files of the current generation; call again after each reload. */
  start(): void {
    this.#follow()
    // What was saved before the folders were watched. Looked at last: a save may come at any moment.
    if (this.#watchers.size > 0) this.#changed()
  }

  stop(): void {
    this.#stopped = true
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  /** Watches where the files are now. */
  #follow(): void {
    const files = this.#gateway.generation.watchScripts ? this.#gateway.scriptFiles : []
    const folders = new Set(files.map((file) => dirname(file)))
    this.#names = new Set(files.map((file) => basename(file)))
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    for (const folder of folders) if (!this.#watchers.has(folder)) this.#watch(folder)
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (name === null || this.#names.has(name) || MODULE.test(name)) this.#changed()
      })
      watcher.on('error', (error) => this.#cannotWatch(folder, error))
      this.#watchers.set(folder, watcher)
    } catch (error) {
      this.#cannotWatch(folder, error as Error)
    }
  }

  #cannotWatch(folder: string, error: Error): void {
    this.#gateway.log('warn', `cannot watch ${folder}: ${error.message}`)
  }

  #changed(): void {
    this.#lastChange = performance.now()
    if (this.#timer === null && !this.#busy) this.#plan(SOON)
  }

  #plan(delay: number): void {
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#look(), delay)
  }

  async #look(): Promise<void> {
    this.#timer = null
    this.#busy = true
    const begun = performance.now()
    const error = await this.#swap()
    // Signs of changes that came meanwhile are told in the turn after this one.
    await new Promise((next) => setImmediate(next))
    this.#busy = false
    if (this.#stopped) return
    const quiet = begun - this.#lastChange
    if (quiet < 0) this.#plan(SOON)
    else if (error !== null && quiet < QUIET) this.#plan(Math.ceil(QUIET - quiet))
    else if (error !== null) this.#refuse(error)
  }

  /** @returns why the files cannot be loaded; null: what they hold serves */
  async #swap(): Promise<unknown> {
    try {
      const result = await this.#gateway.reloadScripts()
      this.#told = ''
      if (result === null) return null
      const { generation, took } = result
      this.#gateway.log(
        'notice',
        `scripts changed: generation ${generation} serves after ${took.toFixed(1)} ms`,
      )
      this.#follow()
      return null
    } catch (error) {
      return error ?? new Error('unknown')
    }
  }

  #refuse(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error)
    if (text === this.#told) return
    this.#told = text
    this.#gateway.log('error', `${text}; the scripts of generation ${this.#gateway.generation.id} stay`)
    showExcerpt(error, process.stderr, makeStyle(process.stderr.isTTY))
  }
}
