/** Rows of the access log and the error log. */
import {
  append,
  type Directive,
  HTTP,
  HTTP_IF,
  HTTP_LOCATION,
  invalidParameter,
  invalidValue,
} from './directive.ts'
import type { Word } from './lexer.ts'
import type { AccessLogModel, ErrorLogModel, LogFormatModel, Template, TemplatePart } from './model.ts'
import type { Call } from './scope.ts'
import { hasVariables, parseTemplate } from './template.ts'
import { parseCount, parseSize, parseTime } from './values.ts'

export const LOG_DIRECTIVES: readonly Directive[] = [
  { name: 'log_format', in: HTTP, args: '2+', parse: parseLogFormat },
  { name: 'access_log', in: [...HTTP_IF, 'limit_except'], args: '1+', parse: parseAccessLog },
  { name: 'open_log_file_cache', in: HTTP_LOCATION, args: '1-4', once: true, parse: parseLogFileCache },
  { name: 'error_log', in: ['main'], args: '1+', parse: parseMainErrorLog },
  { name: 'error_log', in: HTTP_LOCATION, args: '1+', parse: parseErrorLog },
]

const COMBINED =
  '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'

/** The format that needs no definition. */
export function combinedFormat(): LogFormatModel {
  const template = parseTemplate(COMBINED, { file: 'built-in', line: 1, column: 1 }) as Template
  return { name: 'combined', escape: 'default', template }
}

const ESCAPES = ['default', 'json', 'none'] as const

function parseLogFormat(call: Call): void {
  const { run, args } = call
  const [name, ...rest] = args as [Word, ...Word[]]
  const formats = run.http!.logFormats
  if (name.text === 'combined' || formats.some((format) => format.name === name.text)) {
    run.error(name.where, `duplicate log format "${name.text}"; choose another name`)
    return
  }
  let escaping: LogFormatModel['escape'] = 'default'
  if (rest[0]!.text.startsWith('escape=')) {
    const word = rest.shift()!
    const found = ESCAPES.find((choice) => word.text === `escape=${choice}`)
    if (!found) {
      invalidParameter(call, word, '"escape=default", "escape=json" or "escape=none"')
      return
    }
    escaping = found
  }
  formats.push({ name: name.text, escape: escaping, template: joinTemplates(call, rest) })
}

/** The words of a format follow each other without a blank. */
function joinTemplates({ run, where }: Call, words: readonly Word[]): Template {
  const templates = words.map((word) => run.template(word))
  const parts: TemplatePart[] = []
  for (const part of templates.flatMap((template) => template.parts)) {
    const last = parts.at(-1)
    if (typeof part === 'string' && typeof last === 'string') parts[parts.length - 1] = last + part
    else parts.push(part)
  }
  return { text: templates.map((template) => template.text).join(''), parts, where: words[0]?.where ?? where }
}

/** Whether the format exists is checked at the end (`validate.ts`). */
function parseAccessLog(call: Call): void {
  const { run, scope, where } = call
  const [destination, format, ...parameters] = call.args as [Word, Word?, ...Word[]]
  const { settings } = scope
  if (destination.text === 'off') {
    if (format) {
      invalidParameter(call, format, '"access_log off;"')
      return
    }
    settings.accessLogs = []
    return
  }
  // `off` on a level wins over the other lines of that level.
  const turnedOff = settings.accessLogs?.length === 0
  if (refuseRemote(call, destination)) return
  const options: LogOptions = { buffer: 0, flush: 0, gzip: 0, condition: null }
  for (const word of parameters) readLogOption(call, word, options)
  const path = run.template(destination, run.prefixed(destination.text))
  const log: AccessLogModel = { where, path, format: format?.text ?? 'combined', ...options }
  if (!fitsTogether(call, log, destination) || turnedOff) return
  append(settings, 'accessLogs', log)
}

interface LogOptions {
  buffer: number
  flush: number
  gzip: number
  condition: Template | null
}

const GZIP_BUFFER = 64 * 1024

function readLogOption(call: Call, word: Word, options: LogOptions): void {
  const [, key, value = ''] = /^(buffer|flush|if|gzip)(?:=(.*))?$/s.exec(word.text) ?? []
  if (key === 'buffer') {
    const size = parseSize(value)
    if (size) options.buffer = size
    else invalidParameter(call, word, 'a size, such as "buffer=32k"')
  } else if (key === 'flush') {
    const time = parseTime(value)
    if (time) options.flush = time
    else invalidParameter(call, word, 'a time, such as "flush=5s"')
  } else if (key === 'gzip') {
    const level = word.text === 'gzip' ? 1 : parseCount(value)
    if (!level || level > 9) {
      invalidParameter(call, word, 'a level from 1 to 9, such as "gzip=5"')
      return
    }
    options.gzip = level
    options.buffer ||= GZIP_BUFFER
  } else if (key === 'if' && word.text.startsWith('if=')) {
    options.condition = call.run.template(word, value)
  } else {
    invalidParameter(call, word, '"buffer=SIZE", "flush=TIME", "gzip=LEVEL" or "if=CONDITION"')
  }
}

function fitsTogether({ run, where }: Call, log: AccessLogModel, destination: Word): boolean {
  if (log.flush > 0 && log.buffer === 0) {
    run.error(
      where,
      `no buffer is defined for access_log "${destination.text}"; write "buffer=SIZE" beside "flush"`,
    )
    return false
  }
  if (log.buffer > 0 && hasVariables(log.path)) {
    run.error(
      destination.where,
      'a buffered log cannot have variables in its name; remove "buffer" and "gzip"',
    )
    return false
  }
  return true
}

function refuseRemote(call: Call, destination: Word): boolean {
  const scheme = /^(syslog|memory):/.exec(destination.text)?.[1]
  if (scheme)
    call.run.error(destination.where, `logging to ${scheme} is not built yet; write the path of a file`)
  return scheme !== undefined
}

const LEVELS = ['debug', 'info', 'notice', 'warn', 'error', 'crit', 'alert', 'emerg'] as const
const DEBUG_LEVELS: readonly string[] = 'core alloc mutex event http mail stream'
  .split(' ')
  .map((part) => `debug_${part}`)

function readErrorLog(call: Call): ErrorLogModel | null {
  const [destination, ...words] = call.args as [Word, ...Word[]]
  if (refuseRemote(call, destination)) return null
  let level: ErrorLogModel['level'] | null = null
  for (const word of words) {
    const found = DEBUG_LEVELS.includes(word.text) ? 'debug' : LEVELS.find((choice) => choice === word.text)
    if (!found) {
      invalidValue(call, word, `one of ${LEVELS.join(', ')}`)
      return null
    }
    if (level !== null && !DEBUG_LEVELS.includes(word.text)) {
      call.run.error(word.where, `duplicate log level "${word.text}"; write one`)
      return null
    }
    level = found
  }
  const path = destination.text === 'stderr' ? 'stderr' : call.run.prefixed(destination.text)
  return { path, level: level ?? 'error' }
}

function parseMainErrorLog(call: Call): void {
  const log = readErrorLog(call)
  if (log) call.run.main.errorLog = [...(call.run.main.errorLog ?? []), log]
}

function parseErrorLog(call: Call): void {
  const log = readErrorLog(call)
  if (log) append(call.scope.settings, 'errorLogs', log)
}

/** `off`, or `max=N [inactive=TIME] [min_uses=N] [valid=TIME]`; what is cached is not looked up again before it leaves. */
function parseLogFileCache(call: Call): void {
  const { settings } = call.scope
  if (call.args[0]!.text === 'off') {
    settings.openLogFileCache = null
    return
  }
  const cache = { max: 0, inactive: 10_000, minUses: 1 }
  for (const word of call.args) {
    const [name, text = ''] = word.text.split('=', 2)
    const value = name === 'inactive' || name === 'valid' ? parseTime(text, 'ms') : parseCount(text)
    if (value === null) {
      invalidParameter(call, word, '"max=N", "inactive=TIME", "min_uses=N", "valid=TIME" or "off"')
      return
    }
    if (name === 'max') cache.max = value
    else if (name === 'inactive') cache.inactive = value
    else if (name === 'min_uses') cache.minUses = value
    else if (name !== 'valid')
      invalidParameter(call, word, '"max=N", "inactive=TIME", "min_uses=N" or "valid=TIME"')
  }
  if (cache.max === 0)
    call.run.error(call.where, '"open_log_file_cache" needs "max"; write how many files, e.g. max=100')
  else settings.openLogFileCache = cache
}
