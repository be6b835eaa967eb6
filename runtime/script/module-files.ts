/**
 * The files behind `import`: reads them before and while a script loads, keeps their text for respawning, and refuses
 * whatever leaves the script's folder tree. Modules have ids: the path relative to the root, or `sluice:NAME` for the
 * standard library. TypeScript has its types taken out before the script loads. Knows no sandbox.
 */
import { createHash } from 'node:crypto'
import { readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageRoot } from '../lib/package-root.ts'
import { fromBytes, GuestError, toBytes } from './guest-values.ts'
import { isTypeScript, stripTypes, type TypeFault } from './strip-types.ts'

export interface ModuleFilesOptions {
  /** Absolute. */
  readonly file: string
  readonly root?: string
  /** The main file's text, instead of reading it. */
  readonly source?: string
  /** Texts by real path, instead of reading those files. */
  readonly texts?: ReadonlyMap<string, string>
}

const MAX_FILE = 1024 * 1024
const MAX_FILES = 256
/** Names that are looked up before the script loads. */
const MAX_LOOKS = 2048
const LIBRARY = 'sluice:'
/** Host builtins for the modules of the standard library; compiled by the sandbox itself. */
export const INTERNAL = 'sluice:internal'

const LIBRARY_FOLDER = fileURLToPath(new URL('stdlib/', packageRoot))

/** Every name that an import may have, and texts that look alike. */
const IMPORTS = /(?:from|import)\s*\(?\s*(['"])([^'"\n]+)\1/g

/** A script's texts as plain data, for another process: without the standard library, which each has of its own. */
export interface ModuleSnapshot {
  readonly file: string
  readonly root: string
  readonly main: string
  readonly sources: ReadonlyMap<string, string>
  readonly written: ReadonlyMap<string, string>
  readonly paths: ReadonlyMap<string, string>
  readonly importers: ReadonlyMap<string, { readonly base: string; readonly name: string }>
}

/** An `import` that failed, or a text whose types cannot be taken out, and where. */
export interface ModuleFault {
  readonly message: string
  /** Id of the module that it stands in. */
  readonly file: string
  /** 0: not known. */
  readonly line: number
  readonly column: number
}

export class ModuleFiles {
  /** Id of the script itself. */
  readonly main: string
  /** The last module that could not be loaded. */
  fault: ModuleFault | null = null
  readonly #file: string
  readonly #root: string
  readonly #sources: Map<string, string>
  /** Texts as they were written, where that is not what runs. */
  readonly #written: Map<string, string>
  /** What {@link prepare} has read, for when the script imports it. */
  readonly #ahead = new Map<string, string | TypeFault>()
  readonly #paths: Map<string, string>
  /** Who imports what, for saying where a failing import stands. */
  readonly #importers: Map<string, { readonly base: string; readonly name: string }>
  readonly #texts: ReadonlyMap<string, string> | null
  #sealed = false

  /** @throws GuestError when the file cannot be read */
  constructor(options: ModuleFilesOptions | ModuleSnapshot) {
    this.#file = options.file
    this.#texts = 'main' in options ? null : (options.texts ?? null)
    if ('main' in options) {
      this.#root = options.root
      this.main = options.main
      this.#sources = new Map(options.sources)
      this.#written = new Map(options.written)
      this.#paths = new Map(options.paths)
      this.#importers = new Map(options.importers)
      return
    }
    this.#sources = new Map()
    this.#written = new Map()
    this.#paths = new Map()
    this.#importers = new Map()
    this.#root = realpath(options.root ?? dirname(options.file))
    const real = options.source === undefined ? realpath(options.file) : options.file
    const id = toId(this.#root, real)
    this.main = id ?? (isTypeScript(options.file) ? 'script.ts' : 'script.js')
    const text = options.source ?? this.#readFile(options.file, this.main)
    if (isTypeScript(this.main)) this.#written.set(this.main, text)
    else this.#sources.set(this.main, text)
    this.#paths.set(this.main, options.file)
  }

  /**
   * Reads ahead, as far as the texts name what they import, and takes the types out. To be awaited once, before the
   * script is loaded. What cannot be read is told when it is imported.
   */
  async prepare(): Promise<void> {
    const found = [this.main]
    const seen = new Set(found)
    let looks = 0
    for (let id = found.pop(); id !== undefined && seen.size <= MAX_FILES; id = found.pop()) {
      const text = await this.#readAhead(id)
      for (const [, , name] of text?.matchAll(IMPORTS) ?? []) {
        const next = looks++ < MAX_LOOKS ? this.#reachable(id, name) : null
        if (next === null || seen.has(next)) continue
        seen.add(next)
        found.push(next)
      }
    }
    this.fault = null
  }

  /** What will run; null: the module cannot be read. */
  async #readAhead(id: string): Promise<string | null> {
    const known = this.#sources.get(id)
    if (known !== undefined) return known
    try {
      const written = this.#written.get(id) ?? this.#readFile(this.#paths.get(id) ?? '', id)
      const text = isTypeScript(id) ? await stripTypes(written) : written
      if (isTypeScript(id)) this.#written.set(id, written)
      this.#ahead.set(id, text)
      return typeof text === 'string' ? text : null
    } catch (error) {
      if (error instanceof GuestError) return null
      throw error
    }
  }

  #reachable(base: string, name: string): string | null {
    try {
      const id = this.#resolve(base, name)
      return id.startsWith(LIBRARY) ? null : id
    } catch {
      return null
    }
  }

  /** Of a script that has been loaded: what another process needs to load the same one, whatever is on the disk then. */
  snapshot(): ModuleSnapshot {
    const own = <T>(map: ReadonlyMap<string, T>) =>
      new Map([...map].filter(([id]) => !id.startsWith(LIBRARY)))
    return {
      file: this.#file,
      root: this.#root,
      main: this.main,
      sources: own(this.#sources),
      written: own(this.#written),
      paths: own(this.#paths),
      importers: own(this.#importers),
    }
  }

  /** Every file that was written for the script, absolute; those of the standard library are nobody's to change. */
  get files(): string[] {
    const own = [...this.#sources.keys()].filter((id) => !id.startsWith(LIBRARY))
    return own.map((id) => this.#paths.get(id)!)
  }

  /** A module's text as it was written; undefined if there is none of that id. */
  written(id: string): string | undefined {
    return this.#written.get(id) ?? this.#sources.get(id)
  }

  /** Id and text of every module that the script consists of. */
  get texts(): ReadonlyMap<string, string> {
    return this.#sources
  }

  /** Every text, the standard library's included. */
  get sources(): string[] {
    return [...this.#sources.values()]
  }

  /** The script has loaded: from now on, no other file is read. */
  seal(): void {
    this.#sealed = true
  }

  /** The script is loaded once more, with other parameters: what it imports then may be read. */
  unseal(): void {
    this.#sealed = false
  }

  /** Hash of all that was written for the script, 16 hexadecimal digits; the standard library is not in it. */
  get digest(): string {
    const hash = createHash('sha256')
    for (const id of this.#ownIds()) {
      const text = this.written(id)!
      hash.update(`${id}\0${Buffer.byteLength(text)}\0`).update(text)
    }
    return hash.digest('hex').slice(0, 16)
  }

  /** Whether the files hold now what was read, and the imports lead to the same ones. */
  get isOnDisk(): boolean {
    try {
      return this.#ownIds().every(
        (id) => this.#leadsTo(id) && readModule(this.#paths.get(id)!, id) === this.written(id),
      )
    } catch {
      return false
    }
  }

  /** Differs after each save, even of the same text. */
  get stamp(): string {
    return this.#ownIds()
      .map((id) => fileStamp(this.#paths.get(id)!))
      .join()
  }

  #ownIds(): string[] {
    return [...this.#sources.keys()].filter((id) => !id.startsWith(LIBRARY)).sort()
  }

  #leadsTo(id: string): boolean {
    const importer = this.#importers.get(id)
    if (importer === undefined || id === this.main) return true
    const path = resolve(dirname(this.#paths.get(importer.base)!), importer.name)
    return existing(candidatesOf(path)) === this.#paths.get(id)
  }

  /** The file of an id as the user knows it. */
  absolute(id: string): string {
    return this.#paths.get(id) ?? (id.startsWith(LIBRARY) ? id : this.#file)
  }

  /** The id of the module that `base` imports as `name`. @throws GuestError */
  resolve(base: string, name: string): string {
    const id = this.#resolve(base, name)
    this.#importers.set(id, { base, name })
    return id
  }

  #resolve(base: string, name: string): string {
    if (name === INTERNAL) {
      if (base.startsWith(LIBRARY)) return name
      throw this.#refuse(base, name, 'it is for the standard library alone')
    }
    if (/^sluice:[a-z][a-z0-9-]*$/.test(name)) return name
    if (!/^\.\.?\//.test(name) || base.startsWith(LIBRARY) || name.includes('\0')) {
      throw this.#refuse(base, name, "a module is './FILE.js', './FILE.ts' or 'sluice:NAME'")
    }
    if (/\.d\.m?ts$/.test(name)) throw this.#refuse(base, name, 'it holds types alone; write `import type`')
    if (/\.(?:tsx|cts)$/.test(name)) throw this.#refuse(base, name, 'TypeScript modules are .ts or .mts')
    const path = resolve(dirname(this.#paths.get(base) ?? resolve(this.#root, base)), name)
    return this.#locate(base, name, path)
  }

  /** A file as it is named; or, as in TypeScript's own imports, the `.ts` of a `.js` that there is not. */
  #locate(base: string, name: string, path: string): string {
    const candidates = candidatesOf(path)
    for (const candidate of candidates) {
      const within = toId(this.#root, candidate)
      if (within !== null && this.#sources.has(within)) return within
    }
    const real = existing(candidates)
    if (real === null) throw this.#refuse(base, name, 'there is no such file')
    const id = toId(this.#root, real)
    if (id === null) throw this.#refuse(base, name, 'it lies outside the folder of the script')
    this.#paths.set(id, real)
    return id
  }

  /** The text of a module, as JavaScript. @throws GuestError */
  load(id: string): string {
    const known = this.#sources.get(id)
    if (known !== undefined) return known
    const importer = this.#importers.get(id)
    const { base, name } = importer ?? { base: this.main, name: id }
    if (this.#sealed) throw this.#refuse(base, name, 'it was not imported when the script was loaded')
    if (this.#sources.size >= MAX_FILES)
      throw this.#refuse(base, name, `a script has at most ${MAX_FILES} files`)
    const text = this.#ahead.get(id) ?? this.#read(id, base, name)
    if (typeof text !== 'string') {
      this.fault = { ...text, file: id }
      throw new GuestError('Error', toBytes(text.message))
    }
    this.#sources.set(id, text)
    return text
  }

  #read(id: string, base: string, name: string): string {
    if (isTypeScript(id)) {
      throw this.#refuse(base, name, 'a TypeScript module is imported by a name that stands in the import')
    }
    const isLibrary = id.startsWith(LIBRARY)
    if (isLibrary) this.#paths.set(id, `${LIBRARY_FOLDER}${id.slice(LIBRARY.length)}.js`)
    try {
      return this.#readFile(this.#paths.get(id) ?? '', id)
    } catch (error) {
      const why = isLibrary ? 'the standard library has no such module' : fromBytes((error as Error).message)
      throw this.#refuse(base, name, why)
    }
  }

  #readFile(path: string, id: string): string {
    return this.#texts?.get(realpath(path)) ?? readModule(path, id)
  }

  #refuse(base: string, name: string, why: string): GuestError {
    const message = `cannot import '${name}': ${why}`
    const source = this.#sources.get(base) ?? ''
    this.fault = { message, file: base, ...placeAt(source, importPlace(source, name)) }
    return new GuestError('Error', toBytes(message))
  }
}

/** Where the specifier stands in the importer's text; QuickJS does not say. */
function importPlace(source: string, name: string): number {
  const quoted = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const found = new RegExp(`(?:from|import)\\s*\\(?\\s*(['"])${quoted}\\1`).exec(source)
  return found === null ? 0 : found.index + found[0].length - name.length - 2
}

/** Line and column, from 1 and in characters, of an offset. */
export function placeAt(source: string, offset: number): { line: number; column: number } {
  const lines = source.slice(0, offset).split('\n')
  return { line: lines.length, column: [...lines.at(-1)!].length + 1 }
}

function candidatesOf(path: string): string[] {
  return [path, path.replace(/\.(m?)js$/, '.$1ts')]
}

function fileStamp(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? '' : `${stat.ino}:${stat.size}:${stat.mtimeNs}`
}

function existing(paths: readonly string[]): string | null {
  for (const path of paths) {
    try {
      return realpathSync(path)
    } catch {}
  }
  return null
}

/** Without links; the path itself where there is no such file. */
export function realpath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}

/** Path relative to the root with slashes, or null outside of it. */
function toId(root: string, path: string): string | null {
  const id = relative(root, path)
  if (id === '' || id === '..' || id.startsWith(`..${sep}`) || id.includes(':')) return null
  return sep === '/' ? id : id.replaceAll(sep, '/')
}

function readModule(path: string, id: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw new GuestError('Error', code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`)
  }
  if (bytes.length > MAX_FILE)
    throw new GuestError('Error', toBytes(`${id} is larger than ${MAX_FILE} bytes`))
  if (bytes.includes(0)) throw new GuestError('Error', toBytes(`${id} holds a NUL`))
  return bytes.toString('utf8').replace(/^\ufeff/, '')
}
