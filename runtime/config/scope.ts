/**
 * What the directives of one block write into, and what the whole run shares. The rows of the directive table see a
 * configuration only through these; they know neither the text nor each other.
 */
import { accessSync, existsSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute } from 'node:path'
import { systemPath } from '../lib/system-path.ts'
import type { Word } from './lexer.ts'
import type {
  HttpModel,
  ListenModel,
  LocationContent,
  LocationMatch,
  LocationModel,
  MainSettings,
  Pattern,
  RewriteRule,
  ServerModel,
  Settings,
  Template,
  UpstreamModel,
  Where,
} from './model.ts'
import { translatePattern } from './pattern.ts'
import { decodeBytes, nearest, type Problems } from './problems.ts'
import { ConfigReader, type Statement } from './reader.ts'
import { literalTemplate, parseTemplate } from './template.ts'
import {
  BUILTIN_VARIABLES,
  FOREIGN_VARIABLES,
  isBuiltinVariable,
  isReservedVariable,
} from './variables-list.ts'

/** Where a directive can stand; the words are those of the messages. */
export type Context =
  | 'main'
  | 'events'
  | 'http'
  | 'server'
  | 'location'
  | 'if in server'
  | 'if in location'
  | 'limit_except'
  | 'upstream'

/** A model while it is being written. */
export type Draft<T> = { -readonly [K in keyof T]: T[K] }

/** `listen`, with what the check for repeated options needs. */
export type ListenDraft = ListenModel & { readonly setsOptions: boolean }
export type ServerDraft = Draft<Omit<ServerModel, 'listens'>> & { listens: ListenDraft[] }
export type UpstreamDraft = Draft<UpstreamModel>
export type HttpDraft = Draft<Omit<HttpModel, 'variables' | 'servers'>> & { servers: ServerDraft[] }

/** One open block. Members that a block of this kind does not have are empty objects nobody reads. */
export interface Scope {
  readonly context: Context
  readonly run: Run
  /** Where each directive of this block first stood. */
  readonly seen: Map<string, Where>
  readonly settings: Settings
  readonly server: ServerDraft | null
  /** The location that this block is, or is in. */
  readonly match: LocationMatch | null
  readonly locations: LocationModel[]
  readonly rules: RewriteRule[]
  readonly content: LocationContent
  readonly upstream: UpstreamDraft | null
}

/** A block inside `outer`: what is not given is the block's own and empty. */
export function openScope(outer: Scope, inner: Pick<Scope, 'context'> & Partial<Scope>): Scope {
  return {
    run: outer.run,
    seen: new Map(),
    settings: {},
    server: outer.server,
    match: outer.match,
    locations: [],
    rules: [],
    content: {},
    upstream: null,
    ...inner,
  }
}

/** One directive about to be parsed. */
export interface Call {
  readonly scope: Scope
  readonly run: Run
  readonly name: string
  readonly where: Where
  readonly args: readonly Word[]
  /** The statements of a block directive. */
  readonly block: readonly Statement[]
}

export interface RunOptions {
  readonly problems: Problems
  /** Folder of relative paths (`-p`), and of the configuration file; byte strings that end in `/`. */
  readonly prefix: string
  readonly folder: string
  readonly readFile?: ((path: string) => string) | undefined
  readonly interpret: (statements: readonly Statement[], scope: Scope) => void
}

const MAX_SUGGESTIONS = 50

/** What one run of the parser shares: problems, variables, paths, and the model as far as it has come. */
export class Run {
  readonly problems: Problems
  readonly interpret: RunOptions['interpret']
  readonly main: Partial<MainSettings> = {}
  http: HttpDraft | null = null
  /** Accepted directives that do nothing here and that somebody could miss. */
  readonly withoutEffect: Word[] = []
  /** Directives that are known but not built, by name. */
  readonly missing = new Map<string, { where: Where; count: number; message: (count: number) => string }>()
  readonly variables = new Set<string>()
  /** Names of upstreams, lower-case. */
  readonly upstreamNames = new Set<string>()
  readonly #references: Word[] = []
  #suggestions = 0
  readonly #prefix: string
  readonly #folder: string
  readonly #readFile: RunOptions['readFile']

  constructor(options: RunOptions) {
    this.problems = options.problems
    this.interpret = options.interpret
    this.#prefix = options.prefix
    this.#folder = options.folder
    this.#readFile = options.readFile
  }

  error(where: Where, message: string): void {
    this.problems.error(where, message)
  }

  notice(where: Where, message: string): void {
    this.problems.notice(where, message)
  }

  /** A value with variables; `text` when the value is only a part of the word. */
  template(word: Word, text = word.text): Template {
    const parsed = parseTemplate(text, word.where)
    if (Array.isArray(parsed)) {
      for (const { where, message } of parsed) this.error(where, message)
      return literalTemplate(text, word.where)
    }
    const template = parsed as Template
    for (const part of template.parts) {
      if (typeof part !== 'string') this.useVariable({ text: part.variable, where: word.where })
    }
    return template
  }

  /** Whether the variable exists is checked at the end: it may be defined further down. */
  useVariable(name: Word): void {
    this.#references.push(name)
  }

  /** Takes the name behind `$` of `set`, `map` and the like into the configuration; null when it may not be. */
  defineVariable(word: Word): string | null {
    const name = word.text.slice(1).toLowerCase()
    if (!word.text.startsWith('$') || !/^[a-z0_][a-z0-9_]*$/.test(name)) {
      this.error(
        word.where,
        `invalid variable name "${word.text}"; write "$", a letter, then letters, digits or "_"`,
      )
      return null
    }
    return this.#define(name, word.where) ? name : null
  }

  /** A pattern whose named captures become variables; null, and a problem, when it cannot be translated. */
  pattern(word: Word, source: string, caseless: boolean): Pattern | null {
    const translated = translatePattern(source, caseless, word.where)
    if ('severity' in translated) {
      this.error(translated.where, translated.message)
      return null
    }
    for (const name of translated.names) this.#define(name, word.where)
    return translated
  }

  /** A path below `-p`, unless it is absolute or starts with a variable. */
  prefixed(path: string): string {
    return path.startsWith('/') || path.startsWith('$') ? path : this.#prefix + path
  }

  /** A path beside the configuration file. */
  besideConfig(path: string): string {
    return isAbsolute(path) ? path : this.#folder + path
  }

  /** A file that is not the operator's, and its statements; null: there is no such file. */
  ownFile(path: string): { readonly statements: readonly Statement[]; readonly text: string } | null {
    if (this.#isMissing(path)) return null
    const { problems } = this
    const reader = new ConfigReader({ problems, folder: this.#folder, readFile: this.#readFile })
    return { statements: reader.readMain(path), text: reader.files[0]?.text ?? '' }
  }

  /** The folder of this file is there; nothing is known where files are not those of the system. */
  folderExists(path: string): boolean {
    return this.#readFile !== undefined || existsSync(systemPath(dirname(path)))
  }

  /** Not the same as unreadable. */
  #isMissing(path: string): boolean {
    try {
      if (this.#readFile) this.#readFile(decodeBytes(path))
      else accessSync(systemPath(path))
      return false
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT'
    }
  }

  fileExists(path: string): boolean {
    try {
      if (this.#readFile) this.#readFile(decodeBytes(path))
      else readFileSync(systemPath(path))
      return true
    } catch {
      return false
    }
  }

  /** Notes a directive that is not built; many of one name (`uwsgi_param`) are one problem. */
  notBuilt(call: Pick<Call, 'name' | 'where'>, message: (count: number) => string): void {
    const known = this.missing.get(call.name)
    if (known) known.count++
    else this.missing.set(call.name, { where: call.where, count: 1, message })
  }

  /** The name that was probably meant; for the first few mistakes of a run only, the search is not free. */
  suggest(name: string, candidates: readonly Iterable<string>[]): string | null {
    if (++this.#suggestions > MAX_SUGGESTIONS) return null
    return nearest(name, candidates)
  }

  /** Reports what only the end of the configuration can tell. */
  finish(): void {
    for (const { where, count, message } of this.missing.values()) this.error(where, message(count))
    for (const { text, where } of this.#references) {
      if (!isBuiltinVariable(text) && !this.variables.has(text))
        this.error(where, this.#describeUnknown(text))
    }
    const [first] = this.withoutEffect
    if (!first) return
    const names = [...new Set(this.withoutEffect.map((word) => `"${word.text}"`))].join(', ')
    this.notice(first.where, `accepted, but without effect in Sluice: ${names}`)
  }

  #describeUnknown(name: string): string {
    if (FOREIGN_VARIABLES.has(name))
      return `"$${name}" is an nginx variable that Sluice does not have yet; remove it`
    const meant = this.suggest(name, [this.variables, BUILTIN_VARIABLES])
    return `unknown variable "$${name}"; ${meant ? `did you mean "$${meant}"?` : 'define it with "set" or "map"'}`
  }

  #define(name: string, where: Where): boolean {
    if (isReservedVariable(name)) {
      this.error(where, `"$${name}" is built in and cannot be defined anew; choose another name`)
      return false
    }
    if (!BUILTIN_VARIABLES.has(name)) this.variables.add(name)
    return true
  }
}
