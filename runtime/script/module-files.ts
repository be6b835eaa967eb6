/**
 * The files behind `import`: reads them while a script loads, keeps their text for respawning, and refuses whatever
 * leaves the script's folder tree. Modules have ids: the path relative to the root, or `sluice:NAME` for the standard
 * library. Knows no sandbox.
 */
import { readFileSync, realpathSync } from 'node:fs'
import { dirname, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageRoot } from '../lib/package-root.ts'
import { fromBytes, GuestError, toBytes } from './guest-values.ts'

export interface ModuleFilesOptions {
  /** Absolute. */
  readonly file: string
  readonly root?: string
  /** The main file's text, instead of reading it. */
  readonly source?: string
}

const MAX_FILE = 1024 * 1024
const MAX_FILES = 256
const LIBRARY = 'sluice:'
/** Host builtins for the modules of the standard library; compiled by the sandbox itself. */
export const INTERNAL = 'sluice:internal'

const LIBRARY_FOLDER = fileURLToPath(new URL('stdlib/', packageRoot))

/** An `import` that failed, and where it stands. */
export interface ImportFault {
  readonly message: string
  readonly file: string
  readonly line: number
  readonly column: number
}

export class ModuleFiles {
  /** Id of the script itself. */
  readonly main: string
  /** The last import that failed. */
  fault: ImportFault | null = null
  readonly #file: string
  readonly #root: string
  readonly #sources = new Map<string, string>()
  readonly #paths = new Map<string, string>()
  /** Who imports what, for saying where a failing import stands. */
  readonly #importers = new Map<string, { base: string; name: string }>()
  #sealed = false

  /** @throws GuestError when the file cannot be read */
  constructor(options: ModuleFilesOptions) {
    this.#file = options.file
    this.#root = realpath(options.root ?? dirname(options.file))
    const real = options.source === undefined ? realpath(options.file) : options.file
    const id = toId(this.#root, real)
    this.main = id ?? 'script.js'
    this.#sources.set(this.main, options.source ?? readModule(options.file, this.main))
    this.#paths.set(this.main, options.file)
  }

  /** Every file read, absolute. */
  get files(): string[] {
    return [...this.#paths.values()]
  }

  /** Every text, the standard library's aside. */
  get ownSources(): string[] {
    return [...this.#sources].filter(([id]) => !id.startsWith(LIBRARY)).map(([, source]) => source)
  }

  /** Every text, the standard library's included. */
  get sources(): string[] {
    return [...this.#sources.values()]
  }

  /** The script has loaded: from now on, no other file is read. */
  seal(): void {
    this.#sealed = true
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
      throw this.#refuse(base, name, "a module is './FILE.js', '../FILE.js' or 'sluice:NAME'")
    }
    const path = resolve(dirname(this.#paths.get(base) ?? resolve(this.#root, base)), name)
    return this.#locate(base, name, path)
  }

  #locate(base: string, name: string, path: string): string {
    const within = toId(this.#root, path)
    if (within !== null && this.#sources.has(within)) return within
    let real: string
    try {
      real = realpathSync(path)
    } catch {
      throw this.#refuse(base, name, 'there is no such file')
    }
    const id = toId(this.#root, real)
    if (id === null) throw this.#refuse(base, name, 'it lies outside the folder of the script')
    this.#paths.set(id, real)
    return id
  }

  /** The text of a module. @throws GuestError */
  load(id: string): string {
    const known = this.#sources.get(id)
    if (known !== undefined) return known
    const importer = this.#importers.get(id)
    const { base, name } = importer ?? { base: this.main, name: id }
    if (this.#sealed) throw this.#refuse(base, name, 'it was not imported when the script was loaded')
    if (this.#sources.size >= MAX_FILES)
      throw this.#refuse(base, name, `a script has at most ${MAX_FILES} files`)
    const path = id.startsWith(LIBRARY)
      ? `${LIBRARY_FOLDER}${id.slice(LIBRARY.length)}.js`
      : this.#paths.get(id)
    try {
      const source = readModule(path ?? '', id)
      this.#sources.set(id, source)
      if (path !== undefined) this.#paths.set(id, path)
      return source
    } catch (error) {
      const unknown = id.startsWith(LIBRARY)
        ? 'the standard library has no such module'
        : fromBytes((error as Error).message)
      throw this.#refuse(base, name, unknown)
    }
  }

  #refuse(base: string, name: string, why: string): GuestError {
    const message = `cannot import '${name}': ${why}`
    const source = this.#sources.get(base) ?? ''
    const at = importPlace(source, name)
    const before = source.slice(0, at).split('\n')
    const column = (before.at(-1) ?? '').length + 1
    this.fault = { message, file: this.absolute(base), line: before.length, column }
    return new GuestError('Error', toBytes(message))
  }
}

/** Where the specifier stands in the importer's text; QuickJS does not say. */
function importPlace(source: string, name: string): number {
  const quoted = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const found = new RegExp(`(?:from|import)\\s*\\(?\\s*(['"])${quoted}\\1`).exec(source)
  return found === null ? 0 : found.index + found[0].length - name.length - 2
}

function realpath(path: string): string {
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
  return bytes.toString('utf8')
}
