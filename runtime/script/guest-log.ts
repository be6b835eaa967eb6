/**
 * Lines that a script writes to the error log: made harmless (one line, no control characters, bounded length) and
 * bounded in number. Knows no sandbox.
 */
import type { LogLevel } from '../phases.ts'

const LINES_PER_SECOND = 100
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
    if (this.#lines++ < LINES_PER_SECOND) sink(level, this.#prefix + harmless(text))
  }

  #turn(second: number): void {
    const dropped = this.#lines - LINES_PER_SECOND
    this.#second = second
    this.#lines = 0
    if (dropped > 0) {
      this.#overflow(
        'warn',
        `${this.#prefix}${dropped} log lines dropped, ${LINES_PER_SECOND} a second are written`,
      )
    }
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
