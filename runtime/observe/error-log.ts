/**
 * `error_log`: one line per message in nginx's format, to every target whose level lets it through. What clients and
 * scripts put into a message cannot end a line, begin another or drive a terminal.
 */
import { threadId } from 'node:worker_threads'
import type { ErrorLogModel } from '../config/model.ts'
import type { LogLevel } from '../phases.ts'
import type { LogFile } from './log-file.ts'
import type { LogFiles } from './log-files.ts'

/** Longest line in bytes; what is longer is cut. */
const MAX_LINE = 4096

const SEVERITY: Readonly<Record<LogLevel, number>> = {
  emerg: 1,
  alert: 2,
  crit: 3,
  error: 4,
  warn: 5,
  notice: 6,
  info: 7,
  debug: 8,
}

/** What the error log tells of a request; an exchange is one. */
export interface LoggedRequest {
  readonly remoteAddress: string
  readonly client: { readonly connectionId: number }
  readonly server: { readonly name: string }
  readonly head: { readonly lineText: string }
  readonly requestHeaders: { get(name: string): string | undefined }
}

interface Target {
  readonly severity: number
  readonly file: LogFile
}

export class ErrorLog {
  readonly #targets: readonly Target[]
  /** The most talkative target: messages beyond it cost one comparison. */
  readonly #severity: number
  readonly #source = `${process.pid}#${threadId}`
  #second = 0
  #time = ''

  /**
   * Opens the files of all targets (`error_log` lines of one level).
   * @throws LogPathError when one cannot be opened.
   */
  constructor(targets: readonly ErrorLogModel[], files: LogFiles) {
    this.#targets = targets.map(({ path, level }) => ({ severity: SEVERITY[level], file: files.get(path) }))
    this.#severity = Math.max(0, ...this.#targets.map((target) => target.severity))
  }

  /** Whether a message of this level would be written anywhere. */
  enabled(level: LogLevel): boolean {
    return SEVERITY[level] <= this.#severity
  }

  /**
   * Writes one message.
   * @param context what follows it, from {@link requestContext}: `, client: …`
   * @param connection number of the client connection, 0: none
   */
  log(level: LogLevel, message: string, context = '', connection = 0): void {
    const severity = SEVERITY[level]
    if (severity > this.#severity) return
    const line = this.#line(level, message, context, connection)
    for (const target of this.#targets) if (severity <= target.severity) target.file.appendNow(line)
  }

  /**
   * Writes one message about a request.
   * @param upstream URL of the upstream request under way, or null
   */
  logFor(request: LoggedRequest, level: LogLevel, message: string, upstream: string | null = null): void {
    if (!this.enabled(level)) return
    this.log(level, message, requestContext(request, upstream), request.client.connectionId)
  }

  #line(level: LogLevel, message: string, context: string, connection: number): string {
    const number = connection === 0 ? '' : `*${connection} `
    const line = `${this.#now()} [${level}] ${this.#source}: ${number}${escapeControls(message)}${escapeControls(context)}`
    return line.length <= MAX_LINE ? line : `${line.slice(0, MAX_LINE - 3)}...`
  }

  /** Local time, made once per second. */
  #now(): string {
    const ms = Date.now()
    const second = Math.floor(ms / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#time = formatTime(new Date(ms))
    }
    return this.#time
  }
}

/**
 * nginx's tail of a message about a request: `, client: …, server: …, request: "…", upstream: "…", host: "…"`.
 * A `"` inside a value is written `\x22`, so that no value can pretend to be the next one.
 */
export function requestContext(request: LoggedRequest, upstream: string | null = null): string {
  const line = request.head.lineText
  const host = request.requestHeaders.get('host')
  const referrer = request.requestHeaders.get('referer')
  return (
    `, client: ${request.remoteAddress}, server: ${request.server.name}` +
    (line === '' ? '' : `, request: "${quoted(line)}"`) +
    (upstream === null ? '' : `, upstream: "${quoted(upstream)}"`) +
    (host === undefined ? '' : `, host: "${quoted(host)}"`) +
    (referrer === undefined ? '' : `, referrer: "${quoted(referrer)}"`)
  )
}

/** The tail for a connection without a request yet: `, client: …, server: …` with the listening address. */
export function connectionContext(remoteAddress: string, listener: string): string {
  return `, client: ${remoteAddress}, server: ${listener}`
}

function quoted(value: string): string {
  return value.includes('"') ? value.replaceAll('"', '\\x22') : value
}

const CONTROL = /[\x00-\x1f\x7f]/
const CONTROLS = /[\x00-\x1f\x7f]/g

function escapeControls(text: string): string {
  return CONTROL.test(text) ? text.replace(CONTROLS, hex) : text
}

function hex(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
}

function formatTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}/${two(date.getMonth() + 1)}/${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}
