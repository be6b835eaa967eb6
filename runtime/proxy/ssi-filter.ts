/**
 * Server side includes in a response (ngx_http_ssi_module): feeds the body to the parser, its events to the commands,
 * and makes the subrequests that they ask for.
 */
import { strftime } from '../lib/strftime.ts'
import type { Exchange, ResponseOutput } from './exchange.ts'
import { IncludingFilter } from './including-filter.ts'
import type { Binder, Effective, VariableGetter } from './plan.ts'
import { forgetBody, isOfType, textOf, weakenEtag } from './response-filter.ts'
import { DEFAULT_TIME_FORMAT, type Inclusion, SsiCommands, type SsiHost } from './ssi-commands.ts'
import { SsiPage } from './ssi-page.ts'
import { SsiParser } from './ssi-parser.ts'
import { SsiPatterns } from './ssi-patterns.ts'
import type { Step } from './step.ts'
import type { Subrequest } from './subrequest.ts'

/** The `ssi_*` directives of one location. */
export interface SsiPlan {
  readonly types: ReadonlySet<string>
  readonly silent: boolean
  readonly valueLength: number
  readonly lastModified: boolean
  /** Variables by name, as pages ask for them. */
  readonly variable: (name: string) => VariableGetter | null
  readonly patterns: SsiPatterns
}

/** null: `ssi off`. */
export function compileSsi(settings: Effective, binder: Binder): SsiPlan | null {
  if (!settings.ssi) return null
  return {
    types: new Set(settings.ssiTypes),
    silent: settings.ssiSilentErrors,
    valueLength: settings.ssiValueLength,
    lastModified: settings.ssiLastModified,
    variable: (name) => binder.getter(name),
    patterns: new SsiPatterns(),
  }
}

/** Whether this response is a page; if so, its head says no more what does not hold for the processed one. */
export function beginSsi(x: Exchange, plan: SsiPlan): boolean {
  if (x.headers.contentLength === 0 || !isOfType(x, plan.types)) return false
  if (x.parent !== null) return true
  forgetBody(x)
  if (plan.lastModified) weakenEtag(x)
  else {
    x.headers.lastModified = null
    x.headers.remove('etag')
  }
  return true
}

export class SsiFilter extends IncludingFilter implements SsiHost {
  readonly page: SsiPage
  readonly folder: string
  readonly silent: boolean
  readonly #plan: SsiPlan
  readonly #commands: SsiCommands
  readonly #parser: SsiParser
  /** The page goes on when this one is complete. */
  #waiting: Subrequest | null = null
  #variable: string | null = null
  #idle = true
  #inputEnded = false

  constructor(x: Exchange, next: ResponseOutput, plan: SsiPlan) {
    super(x, next)
    this.page = x.main.ssi ??= new SsiPage()
    this.folder = x.path.slice(0, x.path.lastIndexOf('/') + 1)
    this.silent = plan.silent
    this.#plan = plan
    this.#commands = new SsiCommands(this)
    this.#parser = new SsiParser(plan.valueLength, (reason) => this.log(reason))
  }

  get timeFormat(): string {
    return this.#commands.timeFormat
  }

  // ---- the body ----

  override get pendingBytes(): number {
    return this.#parser.pending + super.pendingBytes
  }

  get idle(): boolean {
    return this.#idle
  }

  override get mayWork(): boolean {
    return this.#waiting === null
  }

  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    return first === null ? true : this.sendBody(x, first)
  }

  sendBody(_x: Exchange, chunk: Uint8Array | string): boolean {
    this.#parser.push(textOf(chunk))
    this.#idle = false
    this.advance()
    return this.#idle && this.hasRoom
  }

  override sendEnd(x: Exchange): Step {
    this.#inputEnded = true
    this.#idle = false
    return super.sendEnd(x)
  }

  work(): void {
    while (this.#waiting === null && this.hasRoom) {
      const event = this.#parser.next()
      if (event !== null) {
        this.#commands.handle(event)
        continue
      }
      this.#idle = true
      if (this.#inputEnded) this.#commands.text(this.#parser.end())
      return
    }
  }

  override subrequestEnded(subrequest: Subrequest): void {
    if (this.#waiting === subrequest) {
      this.#waiting = null
      if (this.#variable !== null) this.#keepResponse(this.#variable, subrequest)
    }
    super.subrequestEnded(subrequest)
  }

  #keepResponse(name: string, subrequest: Subrequest): void {
    const value =
      subrequest.status < 300 && subrequest.complete ? subrequest.text : (this.page.get(name) ?? '')
    if (!this.page.set(name, value)) this.log(`too many variables, or "${name}" is too long`)
  }

  // ---- what the commands need ----

  variable(name: string): string | undefined {
    return /^\d$/.test(name) ? undefined : this.#plan.variable(name)?.(this.x)
  }

  pattern(text: string): RegExp {
    return this.#plan.patterns.get(text)
  }

  include({ path, args, stub, variable, waits }: Inclusion): boolean {
    const mode = variable === null ? 'stream' : 'memory'
    const subrequest = this.addSubrequest({ path, args, mode, stub })
    if (subrequest === null) return false
    if (waits || variable !== null) {
      this.#waiting = subrequest
      this.#variable = variable
    }
    return true
  }

  log(message: string): void {
    this.x.log('error', message)
  }
}

/** `$date_local` and `$date_gmt`: the current time as the page that is being processed wants it. */
export function ssiDate(x: Exchange, utc: boolean): string | undefined {
  let format = DEFAULT_TIME_FORMAT
  for (let filter = x.lastFilter; filter !== null; filter = filter.previous) {
    if (filter instanceof SsiFilter) format = filter.timeFormat
  }
  const text = strftime(format, Date.now(), utc)
  return text === '' || text.length > MAX_DATE ? undefined : text
}

/** As nginx's NGX_HTTP_SSI_DATE_LEN. */
const MAX_DATE = 2048
