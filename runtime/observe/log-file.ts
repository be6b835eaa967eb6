/**
 * One file that lines are appended to: at the end of each turn of the event loop, or through a buffer that may be
 * compressed (`access_log … buffer= flush= gzip=`). One write at a time is under way and takes all that has piled up
 * meanwhile, so a slow disk delays lines, never requests; beyond a bound lines are dropped and counted.
 * Knows no log formats; names and sharing of files are `log-files.ts`'s.
 *
 *   append -> pending --end of turn | buffer full | flush timer--> in flight --> file
 *
 * That costs about as much CPU as synchronous writes would (`test/bench/micro-log.ts`), because the lines of
 * several turns leave in one write.
 */
import { closeSync, write, writeSync } from 'node:fs'
import { gzip, gzipSync } from 'node:zlib'
import { describeSystemError } from '../lib/system-error.ts'
import type { LogLevel } from '../phases.ts'
import { openLog, standardDescriptor } from './log-path.ts'

/** Bytes that may wait while a write is under way (which carries no more than that); lines beyond are dropped. */
const MAX_BACKLOG = 16 * 1024 * 1024
/** ms until a pipe that was full is tried again. */
const RETRY = 5
/** ms between two reports of a file that cannot be written, as nginx. */
const REPORT_INTERVAL = 60_000
/** ms that lines are dropped after the disk was found full, as nginx. */
const FULL_PAUSE = 1000

/** `buffer=` in bytes, `flush=` in ms (0: none), `gzip=` level (0: plain). */
export interface Buffering {
  readonly size: number
  readonly flush: number
  readonly gzip: number
}

/** Where trouble with a log file is told. */
export type LogReport = (level: LogLevel, message: string) => void

export class LogFile {
  readonly path: string
  readonly buffering: Buffering | null
  /** ms of the monotonic clock when a log last asked for this file (`LogFiles.changing`). */
  lastUsed = 0
  readonly #report: LogReport
  /** Descriptor of the process that is used as it is, or -1. */
  readonly #standard: number
  #fd: number
  #pending = ''
  /** What the one write (or compression) under way carries. */
  #flight: string | Uint8Array | null = null
  /** The flight is with zlib or waits for a full pipe: not yet given to the system. */
  #waiting = false
  /** Counts up with every flight, so that a call back of one that was taken over is known. */
  #flightNumber = 0
  /** A descriptor to close when the flight is over: the file was reopened or closed meanwhile. */
  #retired = -1
  #scheduled = false
  /** Pending lines are to leave as soon as the flight is over. */
  #due = false
  #timer: NodeJS.Timeout | null = null
  #dropped = 0
  #reportedAt = -Infinity
  #fullUntil = 0
  #closed = false

  /** Opens the file. @throws LogPathError when that is not possible. */
  constructor(path: string, report: LogReport, buffering: Buffering | null = null) {
    this.path = path
    this.buffering = buffering
    this.#report = report
    this.#standard = standardDescriptor(path)
    this.#fd = this.#standard === -1 ? openLog(path) : this.#standard
  }

  /** Takes one line (without its line feed). */
  append(line: string): void {
    if (this.#refuses(line)) return
    const buffering = this.buffering
    if (buffering === null) {
      this.#pending += `${line}\n`
      if (this.#scheduled) return
      this.#scheduled = true
      setImmediate(onTurnEnd, this)
      return
    }
    if (this.#pending !== '' && this.#pending.length + line.length >= buffering.size) this.#hurry()
    this.#pending += `${line}\n`
    if (this.#pending.length >= buffering.size) this.#hurry()
    else if (buffering.flush > 0 && this.#timer === null) {
      this.#timer = setTimeout(onFlushTimer, buffering.flush, this).unref()
    }
  }

  /** Takes one line that must not be lost in a crash: it is in the file on return, unless the file cannot keep up. */
  appendNow(line: string): void {
    if (this.#refuses(line)) return
    this.#pending += `${line}\n`
    if (this.#flight === null) this.flush()
    else this.#due = true
  }

  /** Writes what waits, synchronously: before the process ends, or before the file is reopened. */
  flush(): void {
    this.#stopTimer()
    if (this.#waiting) this.#takeOver()
    if (this.#pending === '') return
    const text = this.#pending
    this.#pending = ''
    this.#writeSync(this.#compress(text))
  }

  /** Goes on in a new file of the same name (USR1). When it cannot be opened the old one stays. */
  reopen(): void {
    this.flush()
    if (this.#standard !== -1 || this.#closed) return
    let fd: number
    try {
      fd = openLog(this.path)
    } catch (error) {
      this.#report('emerg', (error as Error).message)
      return
    }
    this.#retire()
    this.#fd = fd
  }

  /** Writes what waits and closes; later lines are ignored. */
  close(): void {
    if (this.#closed) return
    this.flush()
    this.#closed = true
    if (this.#waiting) this.#flightNumber++ // a pipe that stays full: what it did not take is lost
    if (this.#standard === -1) this.#retire()
  }

  /** End of a turn of the event loop. Called by the file's own immediate only. */
  turnEnded(): void {
    this.#scheduled = false
    this.#hurry()
  }

  /** Called by the file's own timer only. */
  flushTimeout(): void {
    this.#timer = null
    this.#hurry()
  }

  #refuses(line: string): boolean {
    if (this.#closed) return true
    if (this.#fullUntil !== 0) {
      if (Date.now() < this.#fullUntil) return true
      this.#fullUntil = 0
    }
    if (this.#pending.length + line.length < MAX_BACKLOG) return false
    this.#dropped++
    return true
  }

  /** Sends what is pending on its way, now or when the flight is over. */
  #hurry(): void {
    this.#stopTimer()
    if (this.#flight !== null) {
      this.#due = true
      return
    }
    if (this.#pending === '') return
    const text = this.#pending
    this.#pending = ''
    this.#due = false
    if (this.buffering === null || this.buffering.gzip === 0) this.#write(text)
    else this.#compressAndWrite(text, this.buffering.gzip)
  }

  #compressAndWrite(text: string, level: number): void {
    const number = this.#depart(text)
    this.#waiting = true
    gzip(Buffer.from(text, 'latin1'), { level }, (error, member) => {
      if (number !== this.#flightNumber) return
      if (error !== null) this.#arrive(error)
      else this.#write(member)
    })
  }

  #write(data: string | Uint8Array): void {
    const number = this.#depart(data)
    const done = (error: NodeJS.ErrnoException | null, written: number): void => {
      if (number === this.#flightNumber) this.#onWritten(error, written)
    }
    if (typeof data === 'string') write(this.#fd, data, null, 'latin1', done)
    else write(this.#fd, data, 0, data.length, null, done)
  }

  #onWritten(error: NodeJS.ErrnoException | null, written: number): void {
    const data = this.#flight!
    this.#closeRetired()
    if (this.#closed) return
    if (error !== null) {
      if (error.code === 'EAGAIN') this.#retry(data)
      else this.#arrive(error)
    } else if (written < data.length) this.#write(rest(data, written))
    else this.#arrive(null)
  }

  /** The pipe is full. */
  #retry(data: string | Uint8Array): void {
    const number = this.#flightNumber
    this.#waiting = true
    setTimeout(() => {
      if (number === this.#flightNumber) this.#write(data)
    }, RETRY).unref()
  }

  #depart(data: string | Uint8Array): number {
    this.#flight = data
    this.#waiting = false
    return ++this.#flightNumber
  }

  /** The flight is over, well or not. */
  #arrive(error: NodeJS.ErrnoException | null): void {
    this.#flight = null
    this.#waiting = false
    if (error !== null) this.#failed(error)
    else if (this.#dropped > 0) this.#reportDropped()
    if (this.#due) this.#hurry()
  }

  /** Writes synchronously a flight that the system has not got yet. */
  #takeOver(): void {
    const data = this.#flight!
    this.#flightNumber++
    this.#flight = null
    this.#waiting = false
    this.#writeSync(typeof data === 'string' ? this.#compress(data) : data)
  }

  #compress(text: string): string | Uint8Array {
    const level = this.buffering === null ? 0 : this.buffering.gzip
    return level === 0 ? text : gzipSync(Buffer.from(text, 'latin1'), { level })
  }

  #writeSync(data: string | Uint8Array): void {
    let left = data
    try {
      while (left.length > 0) {
        const written =
          typeof left === 'string' ? writeSync(this.#fd, left, null, 'latin1') : writeSync(this.#fd, left)
        left = rest(left, written)
      }
    } catch (error) {
      const failure = error as NodeJS.ErrnoException
      if (failure.code === 'EAGAIN' && this.#flight === null) {
        this.#depart(left)
        this.#retry(left)
      } else this.#failed(failure)
    }
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (error.code === 'ENOSPC') this.#fullUntil = Date.now() + FULL_PAUSE
    const now = performance.now()
    if (now - this.#reportedAt < REPORT_INTERVAL) return
    this.#reportedAt = now
    this.#report('alert', `write() to "${this.path}" failed (${describeSystemError(error)})`)
  }

  #reportDropped(): void {
    const count = this.#dropped
    this.#dropped = 0
    this.#report('alert', `${count} lines for "${this.path}" were dropped: it takes them too slowly`)
  }

  /** Closes the descriptor as soon as no write uses it. A descriptor already retired is the one in use. */
  #retire(): void {
    if (this.#flight === null || this.#waiting || this.#retired !== -1) closeSync(this.#fd)
    else this.#retired = this.#fd
    this.#fd = -1
  }

  #closeRetired(): void {
    if (this.#retired === -1) return
    closeSync(this.#retired)
    this.#retired = -1
  }

  #stopTimer(): void {
    if (this.#timer === null) return
    clearTimeout(this.#timer)
    this.#timer = null
  }
}

function onTurnEnd(file: LogFile): void {
  file.turnEnded()
}

function onFlushTimer(file: LogFile): void {
  file.flushTimeout()
}

function rest(data: string | Uint8Array, written: number): string | Uint8Array {
  return typeof data === 'string' ? data.slice(written) : data.subarray(written)
}
