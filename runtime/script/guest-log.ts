/**
 * Lines that a script writes to the error log: made harmless (one line, no control characters, bounded length) and
 * bounded in number and in bytes. Knows no sandbox.
 */
import type { LogLevel } from '../phases.ts'

export const LINES_PER_SECOND = 100
export const BYTES_PER_SECOND = 128 * 1024
const MAX_LINE = 4096

/** C0, DEL, and C1 as UTF-8: whatever could forge a line or drive a terminal. */
const CONTROL = /[\x00-\x1f\x7f]|\xc2[\x80-\x9f]/g

export type LogSink = (level: LogLevel, message: string) => void

export class GuestLog {
  readonly #prefix: string
  readonly #overflow: LogSink
  readonly #now: () => number
  #second = 0
  #lines = 0
  #bytes = 0
  #dropped = 0
  /** Tells of dropped lines if no further one comes. */
  #timer: NodeJS.Timeout | undefined

  /**
   * @param prefix begins each line, e.g. `balancer.js: `
   * @param overflow gets the notice of lines that were dropped
   */
  constructor(prefix: string, overflow: LogSink, now: () => number = Date.now) {
    this.#prefix = prefix
    this.#overflow = overflow
    this.#now = now
  }

  /** Passes the line (a byte string) to `sink`, unless this second's are used up. */
  write(sink: LogSink, level: LogLevel, text: string): void {
    const second = Math.floor(this.#now() / 1000)
    if (second !== this.#second) this.#turn(second)
    if (this.#lines >= LINES_PER_SECOND || this.#bytes >= BYTES_PER_SECOND) {
      this.#drop()
      return
    }
    const line = harmless(text)
    this.#lines++
    this.#bytes += line.length
    sink(level, this.#prefix + line)
  }

  #drop(): void {
    this.#dropped++
    this.#timer ??= setTimeout(() => this.#turn(Math.floor(this.#now() / 1000)), 1000).unref()
  }

  #turn(second: number): void {
    const dropped = this.#dropped
    this.#second = second
    this.#lines = this.#bytes = this.#dropped = 0
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (dropped === 0) return
    const most = `${LINES_PER_SECOND} a second, ${BYTES_PER_SECOND} bytes at most, are written`
    this.#overflow('warn', `${this.#prefix}${dropped} log lines dropped; ${most}`)
  }
}

/** One line of at most 4 KB. Byte strings in and out. */
export function harmless(text: string): string {
  const cut = text.length > MAX_LINE ? `${text.slice(0, MAX_LINE)}...` : text
  return cut.replace(CONTROL, escapeControl)
}

function escapeControl(found: string): string {
  if (found === '\n') return '\\n'
  if (found === '\t') return '\\t'
  const code = found.charCodeAt(found.length - 1)
  return `\\x${code.toString(16).padStart(2, '0')}`
}
