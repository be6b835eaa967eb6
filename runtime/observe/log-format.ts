/**
 * `log_format`: a template becomes a function from a request to its log line. Knows values and escaping, not where
 * they come from (`LogBinder`) nor where lines go.
 */
import type { LogFormatModel, Template } from '../config/model.ts'

/** Gives variables their meaning for requests of type X. The proxy's binder is one. */
export interface LogBinder<X> {
  bind(template: Template): (request: X) => string
  /** The text of a template without variables, else null. */
  constant(template: Template): string | null
  /** undefined values are nginx's "not found". null: no such variable. */
  getter(name: string): ((request: X) => string | undefined) | null
}

/** The line of a request, without a line feed at its end. */
export type LogFormat<X> = (request: X) => string

const NOWHERE = { file: '', line: 0, column: 0 }

/** `combined`, which every configuration has. */
export const COMBINED: LogFormatModel = {
  name: 'combined',
  escape: 'default',
  template: {
    text: '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"',
    parts: [
      { variable: 'remote_addr' },
      ' - ',
      { variable: 'remote_user' },
      ' [',
      { variable: 'time_local' },
      '] "',
      { variable: 'request' },
      '" ',
      { variable: 'status' },
      ' ',
      { variable: 'body_bytes_sent' },
      ' "',
      { variable: 'http_referer' },
      '" "',
      { variable: 'http_user_agent' },
      '"',
    ],
    where: NOWHERE,
  },
}

/** The formats of a configuration and `combined`, each compiled at first use. */
export class LogFormats<X> {
  readonly #models = new Map<string, LogFormatModel>([[COMBINED.name, COMBINED]])
  readonly #compiled = new Map<string, LogFormat<X>>()
  readonly #binder: LogBinder<X>

  constructor(models: readonly LogFormatModel[], binder: LogBinder<X>) {
    this.#binder = binder
    for (const model of models) this.#models.set(model.name.toLowerCase(), model)
  }

  /** Names are case-insensitive, as in nginx. @throws Error when there is no such format or variable. */
  get(name: string): LogFormat<X> {
    const key = name.toLowerCase()
    const known = this.#compiled.get(key)
    if (known !== undefined) return known
    const model = this.#models.get(key)
    if (model === undefined) throw new Error(`unknown log format "${name}"`)
    const format = compileLogFormat(model, this.#binder)
    this.#compiled.set(key, format)
    return format
  }
}

/** @throws Error when the template names a variable that does not exist. */
export function compileLogFormat<X>(model: LogFormatModel, binder: LogBinder<X>): LogFormat<X> {
  const parts = model.template.parts.map((part) =>
    typeof part === 'string' ? part : value(part.variable, model.escape, binder),
  )
  return (request) => {
    let line = ''
    for (const part of parts) line += typeof part === 'string' ? part : part(request)
    return line
  }
}

function value<X>(
  name: string,
  escaping: LogFormatModel['escape'],
  binder: LogBinder<X>,
): (request: X) => string {
  const get = binder.getter(name)
  if (get === null) throw new Error(`unknown "${name}" variable`)
  if (escaping === 'none') return (request) => get(request) ?? ''
  if (escaping === 'json') {
    return (request) => {
      const text = get(request)
      return text === undefined ? '' : escapeJson(text)
    }
  }
  return (request) => {
    const text = get(request)
    return text === undefined ? '-' : escapeDefault(text)
  }
}

const HEX = '0123456789ABCDEF'
const NOT_PLAIN = /[\x00-\x1f"\\\x7f-\xff]/

/** `escape=default`: `"`, `\`, control characters and bytes above 126 become `\xXX`. */
export function escapeDefault(text: string): string {
  if (!NOT_PLAIN.test(text)) return text
  let escaped = ''
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) {
      escaped += `\\x${HEX[(code >> 4) & 15]}${HEX[code & 15]}`
    } else escaped += text[i]
  }
  return escaped
}

const NOT_JSON = /[\x00-\x1f"\\]/
const JSON_SHORT: Readonly<Record<number, string>> = {
  8: '\\b',
  9: '\\t',
  10: '\\n',
  12: '\\f',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
}

/** `escape=json`: what JSON strings may not hold (RFC 8259 section 7); bytes above 127 stay as they are. */
export function escapeJson(text: string): string {
  if (!NOT_JSON.test(text)) return text
  let escaped = ''
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x1f && code !== 0x22 && code !== 0x5c) escaped += text[i]
    else escaped += JSON_SHORT[code] ?? `\\u00${HEX[code >> 4]}${HEX[code & 15]}`
  }
  return escaped
}
