/**
 * The door of the configuration language: nginx text to the model, with every problem of the text. Reads files, runs
 * nothing, and keeps nothing between two calls.
 */
import { dirname, isAbsolute, resolve } from 'node:path'
import { findDirective } from './directive-table.ts'
import { combinedFormat } from './directives-log.ts'
import { interpret } from './interpret.ts'
import type { AccessLogModel, HttpModel, MainSettings, Model, Settings, Where } from './model.ts'
import { encodeBytes, type Problem, Problems } from './problems.ts'
import { ConfigReader, type SourceFile, type Statement } from './reader.ts'
import { type HttpDraft, Run, type Scope } from './scope.ts'
import { literalTemplate } from './template.ts'
import { validate } from './validate.ts'

export { formatProblem, type Problem } from './problems.ts'

export interface ParseOptions {
  /** The configuration file (`-c`); relative paths start from the prefix. */
  readonly file: string
  /** Folder that logs, roots and the pid file are relative to (`-p`). */
  readonly prefix: string
  /** The file's contents as a byte string, instead of reading it. */
  readonly text?: string
  /** `-g`: directives of the top level, read before the file. */
  readonly directives?: string
  /** `-e`: the error log where the configuration names none; a path or `stderr`. */
  readonly errorLog?: string
  /** Reads included files and scripts instead of the file system: contents as a byte string, or throws. */
  readonly readFile?: (path: string) => string
}

export interface ParseResult {
  /** null when there is an error among the problems. */
  readonly model: Model | null
  /** Sorted by place. */
  readonly problems: Problem[]
  /** Every file read, in order: for `-T`, and to be watched. */
  readonly files: SourceFile[]
}

/** Parses a configuration file and what it includes. Never throws for what is in it. */
export function parseConfig(options: ParseOptions): ParseResult {
  const prefix = encodeBytes(`${resolve(options.prefix)}/`).replace(/\/+$/, '/')
  const file = encodeBytes(isAbsolute(options.file) ? options.file : resolve(options.prefix, options.file))
  const folder = `${dirname(file)}/`.replace(/\/+$/, '/')
  const problems = new Problems()
  const { readFile } = options
  const reader = new ConfigReader({ problems, folder, readFile })
  const run = new Run({ problems, prefix, folder, readFile, interpret })

  const extra = options.directives === undefined ? [] : reader.readDirectives(encodeBytes(options.directives))
  const statements = [...extra, ...reader.readMain(file, options.text)]
  interpretTop(run, statements)
  if (run.http) finishHttp(run, run.http)
  run.finish()
  const model = problems.failed ? null : finishModel(run, options.errorLog)
  const order = reader.files.map(({ path }) => encodeBytes(path))
  return { model, problems: problems.sorted(order), files: reader.files }
}

function interpretTop(run: Run, statements: readonly Statement[]): void {
  const scope = topScope(run)
  const bare = statements.find(belongsToHttp)
  if (!bare || statements.some(({ name }) => name.text === 'http')) {
    interpret(statements, scope)
    return
  }
  const { where } = bare.name
  const http: Statement = {
    name: { text: 'http', where },
    args: [],
    block: statements.filter((statement) => !belongsToMain(statement)),
    end: where,
  }
  interpret([...statements.filter(belongsToMain), http], scope)
}

/** One of them makes a file without `http { }` one that is read as if it stood inside. */
function belongsToHttp({ name }: Statement): boolean {
  const rows = findDirective(name.text)
  return rows?.some((row) => row.in.includes('http')) === true && !belongsToMain({ name })
}

function belongsToMain({ name }: Pick<Statement, 'name'>): boolean {
  const rows = findDirective(name.text)
  return !rows || rows.some((row) => row.in.includes('main'))
}

function topScope(run: Run): Scope {
  return {
    context: 'main',
    run,
    seen: new Map(),
    settings: {},
    server: null,
    match: null,
    locations: [],
    rules: [],
    content: {},
    upstream: null,
  }
}

function finishHttp(run: Run, http: HttpDraft): void {
  http.logFormats.unshift(combinedFormat())
  fillPaths(run, http.settings, http.where)
  validate(run, http)
}

/** Defaults that depend on the prefix. */
function fillPaths(run: Run, settings: Settings, where: Where): void {
  const path = (name: string) => literalTemplate(run.prefixed(name), where)
  const log: AccessLogModel = {
    where,
    path: path('logs/access.log'),
    format: 'combined',
    condition: null,
    buffer: 0,
    flush: 0,
    gzip: 0,
  }
  settings.root ??= path('html')
  settings.accessLogs ??= [log]
  settings.clientBodyTempPath ??= run.prefixed('client_body_temp')
}

function finishModel(run: Run, errorLog: string | undefined): Model {
  const { http } = run
  const fallback = errorLog ?? 'stderr'
  const path = fallback === 'stderr' ? fallback : run.prefixed(encodeBytes(fallback))
  const main: MainSettings = {
    workerProcesses: 1,
    daemon: true,
    masterProcess: true,
    pid: run.prefixed('logs/sluice.pid'),
    errorLog: [{ path, level: 'error' }],
    workerConnections: 512,
    workerShutdownTimeout: 0,
    env: [],
    ...run.main,
  }
  return { main, http: http && finishServers(http, run.variables) }
}

/** Takes off what only the checks needed. */
function finishServers(http: HttpDraft, variables: ReadonlySet<string>): HttpModel {
  const servers = http.servers.map((server) => ({
    ...server,
    listens: server.listens.map(({ setsOptions: _, ...listen }) => listen),
  }))
  return { ...http, servers, variables: [...variables] }
}
