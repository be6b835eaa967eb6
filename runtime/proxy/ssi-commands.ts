/**
 * The SSI commands (ngx_http_ssi_module): what each takes, what it does to the page, and which parts of the text are
 * shown. Makes text and asks for inclusions; knows neither how bytes are sent nor how inclusions are made.
 */
import { execWithin } from '../lib/timed-regex.ts'
import type { SsiPage } from './ssi-page.ts'
import type { SsiEvent, SsiParam } from './ssi-parser.ts'
import {
  encode,
  expand,
  isEncoding,
  type Lookup,
  parseCondition,
  parseInclusion,
  type SsiEncoding,
  SsiFault,
} from './ssi-text.ts'

/** What `include` asks for. */
export interface Inclusion {
  readonly path: string
  readonly args: string
  /** The page goes on when this one is complete. */
  readonly waits: boolean
  /** Variable that the response becomes the value of, instead of being shown. */
  readonly variable: string | null
  /** Text of a block, shown when the inclusion fails or is empty. */
  readonly stub: string | null
}

/** What the commands need of the filter around them. */
export interface SsiHost {
  readonly page: SsiPage
  /** Folder of the page, with a slash at its end: where inclusions are relative to. */
  readonly folder: string
  /** `ssi_silent_errors` */
  readonly silent: boolean
  /** A variable of the request. */
  variable(name: string): string | undefined
  /** @throws SsiFault when the pattern is none */
  pattern(text: string): RegExp
  put(text: string): void
  /** False: no more inclusions may be made. */
  include(inclusion: Inclusion): boolean
  log(message: string): void
}

/** ms that one regular expression may take. */
const REGEX_TIME = 50

type Params = ReadonlyMap<string, string>

interface CommandRow {
  /** Names; those with `!` are mandatory. */
  readonly params: readonly string[]
  /** The latest condition that it may follow: 1 `if`, 2 `else`; 0: it stands anywhere. */
  readonly follows: 0 | 1 | 2
  readonly run: (commands: SsiCommands, params: Params) => void
}

/** The time format where no page says otherwise. */
export const DEFAULT_TIME_FORMAT = '%A, %d-%b-%Y %H:%M:%S %Z'

export class SsiCommands {
  /** `config timefmt`, for `$date_local` and `$date_gmt`. */
  timeFormat = DEFAULT_TIME_FORMAT
  #errorMessage = '[an error occurred while processing the directive]'
  #encoding: SsiEncoding = 'entity'
  /** Text is shown. */
  #shown = true
  /** Text is kept for `stub`. */
  #inBlock = false
  /** 0: outside, 1: after `if` or `elif`, 2: after `else`. */
  #condition: 0 | 1 | 2 = 0
  /** A branch of this `if` has been taken. */
  #chosen = false
  readonly #host: SsiHost
  readonly #lookup: Lookup

  constructor(host: SsiHost) {
    this.#host = host
    this.#lookup = (name) => host.page.get(name) ?? host.variable(name)
  }

  handle(event: SsiEvent): void {
    switch (event.kind) {
      case 'text':
        this.text(event.text)
        return
      case 'error':
        this.#showError()
        return
      default:
        this.#command(event.name, event.params)
    }
  }

  text(text: string): void {
    if (this.#shown) this.#host.put(text)
    else if (this.#inBlock) this.#keep(text)
  }

  #command(name: string, given: readonly SsiParam[]): void {
    const row = COMMANDS.get(name)
    if (row === undefined) {
      if (!this.#shown) return
      this.#host.log(`invalid SSI command: "${name}"`)
      this.#showError()
      return
    }
    if (!this.#shown && name !== 'endblock') {
      if (this.#inBlock) {
        this.#keep(`<!--#${name}${given.map((param) => ` ${param.name}="${param.value}"`).join('')} -->`)
        return
      }
      if (row.follows === 0) return
    }
    try {
      if (row.follows > 0 && (this.#condition === 0 || this.#condition > row.follows))
        throw new SsiFault(`invalid context of SSI command: "${name}"`)
      row.run(this, readParams(name, row, given))
    } catch (error) {
      if (!(error instanceof SsiFault)) throw error
      this.#host.log(error.message)
      this.#showError()
    }
  }

  #keep(text: string): void {
    if (!this.#host.page.addToBlock(text)) this.#host.log('SSI blocks are too long')
  }

  #showError(): void {
    if (!this.#host.silent) this.#host.put(this.#errorMessage)
  }

  // ---- the commands ----

  include(params: Params): void {
    const virtual = params.get('virtual')
    const uri = virtual ?? params.get('file')
    if (uri === undefined) throw new SsiFault('no parameter in "include" SSI command')
    if (virtual !== undefined && params.has('file'))
      throw new SsiFault(`inclusion may be either virtual="${virtual}" or file="${params.get('file')}"`)
    const variable = params.get('set')?.toLowerCase() ?? null
    const stub = params.get('stub')
    if (variable !== null && stub !== undefined)
      throw new SsiFault('"set" and "stub" cannot be used together in "include" SSI command')
    const waits = this.#readWait(params.get('wait'), virtual !== undefined)
    const whole = this.#relative(expand(uri, this.#lookup))
    const target = parseInclusion(whole)
    if (target === null) throw new SsiFault(`unsafe URI "${whole}" was detected`)
    const inclusion = { ...target, waits, variable, stub: stub === undefined ? null : this.#block(stub) }
    if (!this.#host.include(inclusion)) throw new SsiFault(`"${whole}" is not included`)
  }

  /** `file` always waits. */
  #readWait(wait: string | undefined, virtual: boolean): boolean {
    if (wait === undefined) return !virtual
    if (!virtual) throw new SsiFault('"wait" cannot be used with "file"')
    const word = wait.toLowerCase()
    if (word !== 'yes' && word !== 'no') throw new SsiFault(`invalid value "${wait}" in the "wait" parameter`)
    return word === 'yes'
  }

  #relative(uri: string): string {
    return uri === '' || uri.startsWith('/') ? uri : this.#host.folder + uri
  }

  #block(name: string): string {
    const text = this.#host.page.block(name)
    if (text === undefined) throw new SsiFault(`"stub"="${name}" for "include" not found`)
    return text
  }

  echo(params: Params): void {
    const value = this.#lookup(params.get('var')!.toLowerCase()) ?? params.get('default') ?? '(none)'
    if (value === '') return
    const encoding = params.get('encoding')
    if (encoding !== undefined) {
      // It holds for what follows, too.
      if (isEncoding(encoding)) this.#encoding = encoding
      else this.#host.log(`unknown encoding "${encoding}" in the "echo" command`)
    }
    this.#host.put(encode(value, this.#encoding))
  }

  config(params: Params): void {
    this.timeFormat = params.get('timefmt') ?? this.timeFormat
    this.#errorMessage = params.get('errmsg') ?? this.#errorMessage
  }

  set(params: Params): void {
    const name = params.get('var')!.toLowerCase()
    if (!this.#host.page.set(name, expand(params.get('value')!, this.#lookup)))
      throw new SsiFault(`too many variables, or "${name}" is too long`)
  }

  if(params: Params): void {
    if (this.#condition !== 0) throw new SsiFault('the "if" command inside the "if" command')
    this.elif(params)
  }

  elif(params: Params): void {
    if (this.#chosen) this.#shown = false
    else {
      this.#chosen = this.#shown = this.#holds(params.get('expr')!)
      this.#condition = 1
    }
  }

  else(): void {
    this.#shown = !this.#chosen
    this.#condition = 2
  }

  endif(): void {
    this.#shown = true
    this.#chosen = false
    this.#condition = 0
  }

  block(params: Params): void {
    if (!this.#host.page.beginBlock(params.get('name')!)) throw new SsiFault('too many SSI blocks')
    this.#shown = false
    this.#inBlock = true
  }

  endblock(): void {
    this.#shown = true
    this.#inBlock = false
  }

  #holds(expression: string): boolean {
    const condition = parseCondition(expression)
    if (condition === null) throw new SsiFault(`invalid expression in "${expression}"`)
    const left = expand(condition.left, this.#lookup)
    if (condition.operator === null) return left !== ''
    const right = expand(condition.right, this.#lookup)
    const same = condition.isPattern ? this.#matches(right, left) : left === right
    return same === (condition.operator === '=')
  }

  #matches(pattern: string, subject: string): boolean {
    const { page } = this.#host
    const match = this.#exec(this.#host.pattern(pattern), subject)
    if (match === null) return false
    page.captures = match
    for (const [name, value] of Object.entries(match.groups ?? {})) page.set(name.toLowerCase(), value ?? '')
    return true
  }

  #exec(regex: RegExp, subject: string): RegExpExecArray | null {
    const { page } = this.#host
    const started = performance.now()
    try {
      // A timer has whole milliseconds.
      if (page.regexTime >= 1)
        return execWithin(regex, subject, Math.min(REGEX_TIME, Math.floor(page.regexTime)))
    } catch {
      // Said below.
    } finally {
      page.regexTime -= performance.now() - started
    }
    throw new SsiFault(`the regular expression "${regex.source}" takes too long`)
  }
}

const COMMANDS: ReadonlyMap<string, CommandRow> = new Map<string, CommandRow>([
  [
    'include',
    {
      params: ['virtual', 'file', 'wait', 'set', 'stub'],
      follows: 0,
      run: (commands, params) => commands.include(params),
    },
  ],
  [
    'echo',
    { params: ['var!', 'default', 'encoding'], follows: 0, run: (commands, params) => commands.echo(params) },
  ],
  [
    'config',
    { params: ['errmsg', 'timefmt'], follows: 0, run: (commands, params) => commands.config(params) },
  ],
  ['set', { params: ['var!', 'value!'], follows: 0, run: (commands, params) => commands.set(params) }],
  ['if', { params: ['expr!'], follows: 0, run: (commands, params) => commands.if(params) }],
  ['elif', { params: ['expr!'], follows: 1, run: (commands, params) => commands.elif(params) }],
  ['else', { params: [], follows: 1, run: (commands) => commands.else() }],
  ['endif', { params: [], follows: 2, run: (commands) => commands.endif() }],
  ['block', { params: ['name!'], follows: 0, run: (commands, params) => commands.block(params) }],
  ['endblock', { params: [], follows: 0, run: (commands) => commands.endblock() }],
])

function readParams(command: string, row: CommandRow, given: readonly SsiParam[]): Params {
  const params = new Map<string, string>()
  for (const { name, value } of given) {
    if (!row.params.includes(name) && !row.params.includes(`${name}!`))
      throw new SsiFault(`invalid parameter name: "${name}" in "${command}" SSI command`)
    if (params.has(name)) throw new SsiFault(`duplicate "${name}" parameter in "${command}" SSI command`)
    params.set(name, value)
  }
  for (const wanted of row.params) {
    const name = wanted.slice(0, -1)
    if (wanted.endsWith('!') && !params.has(name))
      throw new SsiFault(`mandatory "${name}" parameter is absent in "${command}" SSI command`)
  }
  return params
}
