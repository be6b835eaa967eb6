/** Refusals of the admin API as RFC 9457 has them: `application/problem+json`, with where things are wrong. */
import { type Problem as ConfigProblem, formatProblem } from '../config/parse.ts'
import { decodeBytes } from '../config/problems.ts'
import { SwapRefused } from '../supervisor/protocol.ts'

/** One thing that is wrong with a configuration or a script. */
export interface LocatedProblem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly severity: 'error' | 'notice'
  readonly message: string
  /** Of a script: its line, and a caret below it. */
  readonly excerpt?: string
}

/** What a request is refused with. */
export class Refusal extends Error {
  readonly status: number
  readonly title: string
  readonly problems: readonly LocatedProblem[]
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    title: string,
    detail: string,
    more: { problems?: readonly LocatedProblem[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail)
    this.status = status
    this.title = title
    this.problems = more.problems ?? []
    this.headers = more.headers ?? {}
  }

  /** RFC 9457 section 3. */
  get body(): string {
    const { status, title, message: detail, problems } = this
    return JSON.stringify({
      type: 'about:blank',
      title,
      status,
      detail,
      ...(problems.length > 0 && { problems }),
    })
  }
}

const TITLES: Readonly<Record<string, readonly [status: number, title: string]>> = {
  ScriptError: [422, 'the script cannot be loaded'],
  ConfigError: [422, 'the configuration cannot be loaded'],
  LogPathError: [422, 'the configuration cannot be loaded'],
  ListenError: [422, 'the configuration cannot be loaded'],
  RollbackError: [409, 'there is nothing to go to'],
}

/** What was thrown, here or in a worker, as the client is told; null: a defect, of which it learns nothing. */
export function refusalOf(error: unknown): Refusal | null {
  if (error instanceof Refusal) return error
  if (!(error instanceof Error)) return null
  const kind = error instanceof SwapRefused ? error.name : error.constructor.name
  if (!Object.hasOwn(TITLES, kind)) return null
  const [status, title] = TITLES[kind]
  return new Refusal(status, title, error.message, { problems: placeIn(error) })
}

/** Errors begin with their place. */
function placeIn(error: Error & { readonly excerpt?: string }): LocatedProblem[] {
  const [, file, line, column, message] = /^(.+?):(\d+):(\d+): (.*)$/s.exec(error.message) ?? []
  if (file === undefined) return []
  const { excerpt = '' } = error
  const place = { file, line: Number(line), column: Number(column) }
  return [{ ...place, severity: 'error', message, ...(excerpt !== '' && { excerpt }) }]
}

/** A configuration that has errors. */
export function configRefusal(problems: readonly ConfigProblem[]): Refusal {
  const [first] = problems.filter(({ severity }) => severity === 'error')
  const detail = first === undefined ? 'it has errors' : formatProblem(first)
  return new Refusal(422, 'the configuration cannot be loaded', detail, { problems: problems.map(located) })
}

/** Texts of the configuration are byte strings. */
export function located({ where, message, severity }: ConfigProblem): LocatedProblem {
  const { file, line, column } = where
  return { file: decodeBytes(file), line, column, severity, message: decodeBytes(message) }
}
