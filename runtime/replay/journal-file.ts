/**
 * A file that whole lines are appended to while requests go on: one write at a time takes what has piled up meanwhile,
 * and lines that find too much of it are dropped and counted, never waited for. Bounded: a full file becomes `FILE.1`,
 * in the place of the one before, and a new one begins. Readable by its owner alone. Knows nothing of what it holds.
 */
import { closeSync, constants, fchmodSync, fstatSync, openSync, renameSync, write, writeSync } from 'node:fs'
import type { LogLevel } from '../phases.ts'

/** Bytes that may wait for the disk. */
const MAX_WAITING = 4 * 1024 * 1024
/** ms between two words about trouble. */
const REPORT_EVERY = 60_000
/** ms after which a file that could not be opened is tried again. */
const RETRY = 5_000
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW

export class JournalFile {
  readonly path: string
  /** Bytes. */
  max: number
  /** Lines that were not written. */
  dropped = 0
  readonly #report: (level: LogLevel, message: string) => void
  readonly #maxWaiting: number
  #fd = -1
  #size = 0
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** A write is under way. */
  #flying = false
  /** The file is to be let go of when that is done. */
  #leaving = false
  #onSent: (() => void)[] = []
  #reportedAt = -Infinity
  #openAfter = -Infinity

  /** @param maxWaiting bytes that may wait for the disk */
  constructor(
    path: string,
    max: number,
    report: (level: LogLevel, message: string) => void,
    maxWaiting = MAX_WAITING,
  ) {
    this.path = path
    this.max = max
    this.#report = report
    this.#maxWaiting = maxWaiting
  }

  /** @returns false when the line was dropped */
  append(line: string): boolean {
    const bytes = Buffer.from(`${line}\n`)
    const isTooMuch = this.#waitingBytes + bytes.length > this.#maxWaiting || bytes.length > this.max
    if (isTooMuch || !this.#isOpen()) {
      this.drop()
      return false
    }
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (!this.#flying && this.#waiting.length === 1) setImmediate(() => this.#send())
    return true
  }

  /** Counts a line that is not written. */
  drop(): void {
    this.dropped++
    this.#complain(
      'warn',
      `the journal ${this.path} cannot keep up: ${this.dropped} entries were dropped so far`,
    )
  }

  /** Goes on in a new file of the same name (USR1). */
  reopen(): void {
    this.#leave()
  }

  /** Writes out what waits and lets go of the file, which is opened again when another line comes. */
  close(): Promise<void> {
    this.#leave()
    return !this.#flying ? Promise.resolve() : new Promise((done) => this.#onSent.push(done))
  }

  /** As soon as no write is under way. */
  #leave(): void {
    if (this.#flying) {
      this.#leaving = true
      return
    }
    this.#leaving = false
    if (this.#fd < 0) return
    try {
      for (const bytes of this.#take()) {
        this.#makeRoom(bytes.length)
        writeAll(this.#fd, bytes)
        this.#size += bytes.length
      }
    } catch (error) {
      this.#failed(error)
    }
    this.#close()
  }

  #take(): Buffer[] {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    return waiting
  }

  #send(): void {
    if (this.#flying || this.#waiting.length === 0 || this.#fd < 0) return
    try {
      this.#makeRoom(this.#waiting[0].length)
    } catch (error) {
      this.#failed(error)
      return
    }
    const bytes = Buffer.concat(this.#fitting())
    this.#flying = true
    this.#size += bytes.length
    write(this.#fd, bytes, 0, bytes.length, null, (error, written) => this.#sent(bytes, error, written))
  }

  /** As many lines as still fit into this file: one at least. */
  #fitting(): Buffer[] {
    let [count, bytes] = [0, 0]
    for (const line of this.#waiting) {
      if (count > 0 && this.#size + bytes + line.length > this.max) break
      count++
      bytes += line.length
    }
    this.#waitingBytes -= bytes
    return this.#waiting.splice(0, count)
  }

  #sent(bytes: Buffer, error: Error | null, written: number): void {
    this.#flying = false
    try {
      if (error !== null) throw error
      writeAll(this.#fd, bytes.subarray(written))
    } catch (fault) {
      this.#failed(fault)
    }
    if (this.#leaving) this.#leave()
    for (const done of this.#onSent.splice(0)) done()
    this.#send()
  }

  // ---- the file ----

  #isOpen(): boolean {
    if (this.#fd >= 0) return true
    if (performance.now() < this.#openAfter) return false
    try {
      this.#open()
      return true
    } catch (error) {
      this.#openAfter = performance.now() + RETRY
      this.#failed(error)
      return false
    }
  }

  #open(): void {
    this.#fd = openSync(this.path, FLAGS, 0o600)
    fchmodSync(this.#fd, 0o600)
    this.#size = fstatSync(this.#fd).size
  }

  #makeRoom(bytes: number): void {
    if (this.#size === 0 || this.#size + bytes <= this.max) return
    this.#close()
    renameSync(this.path, `${this.path}.1`)
    this.#open()
  }

  #close(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }

  #failed(error: unknown): void {
    this.dropped += this.#take().length
    this.#complain('alert', `the journal ${this.path} cannot be written: ${(error as Error).message}`)
  }

  #complain(level: LogLevel, message: string): void {
    const now = performance.now()
    if (now - this.#reportedAt < REPORT_EVERY) return
    this.#reportedAt = now
    this.#report(level, message)
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
}
