/**
 * Files to a tree of statements: reads the main file, follows `include` (inside any block), collects every problem
 * of the text itself. Does not know which directives exist, but for `include` and blocks of Lua.
 */
import { readFileSync } from 'node:fs'
import { systemPath } from '../lib/system-path.ts'
import { expandGlob, hasGlob } from './glob.ts'
import { LexError, Lexer, type Word } from './lexer.ts'
import type { Where } from './model.ts'
import { decodeBytes, encodeBytes, type Problems } from './problems.ts'

/** One directive as written: `name args… ;` or `name args… { block }`. */
export interface Statement {
  readonly name: Word
  readonly args: readonly Word[]
  readonly block: readonly Statement[] | null
  /** The `;` or `{`. */
  readonly end: Where
}

export interface SourceFile {
  /** Path as `node:fs` and people read it. */
  readonly path: string
  /** Contents as a byte string. */
  readonly text: string
}

/** Blocks inside blocks. */
export const MAX_BLOCK_DEPTH = 100
/** Files that include files. */
export const MAX_INCLUDE_DEPTH = 32
/** Files read in one run, each time an `include` names them. */
export const MAX_INCLUDES = 10_000
/** Bytes of all files read in one run. */
export const MAX_CONFIG_BYTES = 64 * 1024 * 1024

export interface ReaderOptions {
  readonly problems: Problems
  /** Folder that relative includes start from: that of the main file. Byte string with a final `/`. */
  readonly folder: string
  /** Instead of the file system; contents as byte string. Throws like `readFileSync`. */
  readonly readFile?: ((path: string) => string) | undefined
}

/** Reads one configuration; not to be used twice. */
export class ConfigReader {
  /** Every file read, once, in order. */
  readonly files: SourceFile[] = []
  readonly #problems: Problems
  readonly #folder: string
  readonly #readFile: (path: string) => string
  readonly #open: string[] = []
  #includes = 0
  #bytes = 0

  constructor(options: ReaderOptions) {
    this.#problems = options.problems
    this.#folder = options.folder
    const { readFile } = options
    this.#readFile = readFile
      ? (path) => readFile(decodeBytes(path))
      : (path) => readFileSync(systemPath(path), 'latin1')
  }

  /** Reads the main file (or the text that stands for it). */
  readMain(path: string, text?: string): Statement[] {
    return this.#readFileAt(path, { file: path, line: 1, column: 1 }, 0, text)
  }

  /** Reads the text of `-g`, which is no file and may hold no blocks. */
  readDirectives(text: string): Statement[] {
    const statements = this.#readText(text, '-g', 0)
    for (const statement of statements) {
      if (statement.block) {
        this.#problems.error(
          statement.end,
          'blocks are not supported in the -g option; write them in the file',
        )
      }
    }
    return statements.filter((statement) => !statement.block)
  }

  #readFileAt(path: string, where: Where, depth: number, given?: string): Statement[] {
    if (this.#open.includes(path)) {
      const cycle = [...this.#open.slice(this.#open.indexOf(path)), path].join(' -> ')
      this.#problems.error(where, `"${path}" includes itself (${cycle}); remove this include`)
      return []
    }
    const text = given ?? this.#load(path, where)
    if (text === null) return []
    const shown = decodeBytes(path)
    if (!this.files.some((file) => file.path === shown)) this.files.push({ path: shown, text })
    this.#open.push(path)
    const statements = this.#readText(text, path, depth)
    this.#open.pop()
    return statements
  }

  #load(path: string, where: Where): string | null {
    if (this.#open.length > MAX_INCLUDE_DEPTH || ++this.#includes > MAX_INCLUDES) {
      this.#problems.error(
        where,
        `too many files included (limits: ${MAX_INCLUDES} files, ${MAX_INCLUDE_DEPTH} deep)`,
      )
      return null
    }
    let text: string
    try {
      text = this.#readFile(path)
    } catch (error) {
      this.#problems.error(
        where,
        `cannot read "${path}" (${fileError(error)}); correct the path or make the file`,
      )
      return null
    }
    this.#bytes += text.length
    if (this.#bytes <= MAX_CONFIG_BYTES) return text
    this.#problems.error(where, `the configuration is larger than ${MAX_CONFIG_BYTES} bytes`)
    return null
  }

  #readText(text: string, file: string, depth: number): Statement[] {
    const lexer = new Lexer(text, file)
    const statements: Statement[] = []
    for (;;) {
      const ended = this.#readBlock(lexer, statements, depth)
      if (ended.by !== 'close') return statements
      this.#problems.error(ended.where, 'unexpected "}"; no block is open here')
    }
  }

  /** Reads statements up to the end of this block or file. */
  #readBlock(lexer: Lexer, into: Statement[], depth: number): { by: 'close' | 'end'; where: Where } {
    for (;;) {
      let by: ReturnType<Lexer['next']>
      try {
        by = lexer.next()
      } catch (error) {
        if (!(error instanceof LexError)) throw error
        this.#problems.error(error.where, error.message)
        if (error.atEnd) return { by: 'end', where: error.where }
        if (lexer.recover() === 'open' && !this.#skipBlock(lexer))
          return { by: 'end', where: lexer.terminator }
        continue
      }
      if (by === 'close' || by === 'end') return { by, where: lexer.terminator }
      if (!this.#addStatement(lexer, by === 'open', into, depth))
        return { by: 'end', where: lexer.terminator }
    }
  }

  /** false: the file ended inside the statement's block. */
  #addStatement(lexer: Lexer, opens: boolean, into: Statement[], depth: number): boolean {
    const [name, ...args] = lexer.words as [Word, ...Word[]]
    const end = lexer.terminator
    const nul = lexer.words.find((word) => word.text.includes('\0'))
    if (nul) this.#problems.error(nul.where, 'a NUL byte cannot stand in a configuration; remove it')
    if (!opens) {
      if (name.text === 'include' && args.length === 1) into.push(...this.#include(args[0]!, depth))
      else if (!nul) into.push({ name, args, block: null, end })
      return true
    }
    if (name.text.endsWith('_by_lua_block')) {
      lexer.skipRawBlock()
      into.push({ name, args, block: [], end })
      return true
    }
    if (depth >= MAX_BLOCK_DEPTH) {
      this.#problems.error(end, `blocks are nested deeper than ${MAX_BLOCK_DEPTH} levels`)
      return this.#skipBlock(lexer)
    }
    const block: Statement[] = []
    const ended = this.#readBlock(lexer, block, depth + 1)
    if (!nul) into.push({ name, args, block, end })
    if (ended.by === 'close') return true
    this.#problems.error(end, `"${name.text}" is never closed; write "}" where this block ends`)
    return false
  }

  /** Passes over a block that is not read; false: the file ended in it. */
  #skipBlock(lexer: Lexer): boolean {
    for (let depth = 1; depth > 0; ) {
      let by: ReturnType<Lexer['next']>
      try {
        by = lexer.next()
      } catch (error) {
        if (!(error instanceof LexError)) throw error
        by = error.atEnd ? 'end' : lexer.recover()
        if (by === 'close') by = 'semicolon' // not consumed yet: `next` finds it
      }
      if (by === 'end') return false
      if (by === 'open') depth++
      if (by === 'close') depth--
    }
    return true
  }

  #include(word: Word, depth: number): Statement[] {
    const path = word.text.startsWith('/') ? word.text : this.#folder + word.text
    if (!hasGlob(word.text)) return this.#readFileAt(path, word.where, depth)
    return expandGlob(path).flatMap((found) => this.#readFileAt(found, word.where, depth))
  }
}

function fileError(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a folder',
  }
  return known[code ?? ''] ?? encodeBytes(code ?? message)
}
