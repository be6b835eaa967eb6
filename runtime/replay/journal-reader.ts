/** Reads a journal line by line; lines that are no entries are counted and remembered by their numbers. */
import { createReadStream } from 'node:fs'
import { EntryError, type JournalEntry, parseEntry } from './journal-entry.ts'

/** Bytes of one line. */
const MAX_LINE = 4 * 1024 * 1024
/** Of the lines that cannot be read. */
const MAX_FAULTS = 10

export interface LineFault {
  /** From 1. */
  readonly line: number
  readonly reason: string
}

export class JournalReader {
  readonly faults: LineFault[] = []
  /** Lines that are no entries, in all. */
  skipped = 0
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  /** @throws Error when the file cannot be read */
  async *entries(): AsyncGenerator<JournalEntry> {
    let line = 0
    for await (const text of this.#lines()) {
      line++
      if (text === '') continue
      const entry = this.#read(line, text)
      if (entry !== null) yield entry
    }
  }

  #read(line: number, text: string | null): JournalEntry | null {
    try {
      if (text === null) throw new EntryError(`it is longer than ${MAX_LINE} bytes`)
      return parseEntry(text)
    } catch (error) {
      if (!(error instanceof EntryError)) throw error
      this.skipped++
      if (this.faults.length < MAX_FAULTS) this.faults.push({ line, reason: error.message })
      return null
    }
  }

  /** null: a line that is too long. */
  async *#lines(): AsyncGenerator<string | null> {
    let rest = ''
    let isTooLong = false
    for await (const chunk of createReadStream(this.#file, 'utf8')) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()!
      for (const text of lines) {
        yield isTooLong ? null : text
        isTooLong = false
      }
      if (rest.length > MAX_LINE) {
        isTooLong = true
        rest = ''
      }
    }
    if (isTooLong) yield null
    else if (rest !== '') yield rest
  }
}
