/**
 * What is wrong with a configuration, and where: the shape of a problem, its one-line form, and the list that
 * collects them all in one run. Knows nothing of the language itself.
 */
import type { Where } from './model.ts'

export interface Problem {
  readonly where: Where
  /** What is wrong; what to write instead. */
  readonly message: string
  /** A notice does not keep the configuration from running. */
  readonly severity: 'error' | 'notice'
}

/** A file of nothing but mistakes must not fill the memory: what comes after so many problems is not kept. */
export const MAX_PROBLEMS = 1000
/** A message quotes what is wrong; of a quotation without end, the middle is left out. */
export const MAX_MESSAGE = 1000

/**
 * `FILE:LINE:COLUMN: message` in one line, decoded for people (inside, text is byte strings). A configuration that
 * is quoted in it cannot break the line or steer a terminal.
 */
export function formatProblem(problem: Problem): string {
  const { file, line, column } = problem.where
  return decodeBytes(`${file}:${line}:${column}: ${problem.message}`).replace(CONTROLS, writeControl)
}

const CONTROLS = /[\0-\x1f\x7f-\x9f]/g

function writeControl(char: string): string {
  if (char === '\n') return '\\n'
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
}

/** Byte string to text: UTF-8 where it is UTF-8. Text that is no byte string is left alone. */
export function decodeBytes(text: string): string {
  if (/^[\0-\x7f]*$/.test(text) || /[^\0-\xff]/.test(text)) return text
  return Buffer.from(text, 'latin1').toString('utf8')
}

/** Text to byte string: what a path from the command line looks like inside. */
export function encodeBytes(text: string): string {
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

/** The problems of one run, in the order found. */
export class Problems {
  readonly list: Problem[] = []
  readonly #known = new Set<string>()

  error(where: Where, message: string): void {
    this.#add({ where, message, severity: 'error' })
  }

  notice(where: Where, message: string): void {
    this.#add({ where, message, severity: 'notice' })
  }

  /** Forgets what was found since the list had this length, for one problem that explains it all. */
  replaceSince(length: number, where: Where, message: string): void {
    this.list.length = length
    this.error(where, message)
  }

  get failed(): boolean {
    return this.failedSince(0)
  }

  /** True when an error was found since the list had this length. */
  failedSince(length: number): boolean {
    return this.list.slice(length).some((problem) => problem.severity === 'error')
  }

  /** Sorted by place; files in the order in which they were read. */
  sorted(files: readonly string[]): Problem[] {
    const order = new Map(files.map((file, index) => [file, index]))
    const rank = (where: Where) => order.get(where.file) ?? -1
    return this.list
      .slice()
      .sort(
        (a, b) =>
          rank(a.where) - rank(b.where) || a.where.line - b.where.line || a.where.column - b.where.column,
      )
  }

  /** A file that is included twice has its mistakes once. */
  #add({ where, message: text, severity }: Problem): void {
    const message =
      text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE / 2)}...${text.slice(-MAX_MESSAGE / 2)}` : text
    const problem = { where, message, severity }
    const { file, line, column } = where
    const key = `${file}:${line}:${column}:${message}`
    if (this.list.length >= MAX_PROBLEMS || this.#known.has(key)) return
    this.#known.add(key)
    this.list.push(problem)
  }
}

/** Names in a sentence: `a`, `a or b`, `a, b or c`. */
export function orList(names: readonly string[]): string {
  if (names.length < 2) return names.join('')
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}

/** The candidate nearest to a misspelt name, if it is near enough to be meant. */
export function nearest(name: string, candidates: readonly Iterable<string>[]): string | null {
  if (name.length > 64) return null
  let best: string | null = null
  let bestDistance = Math.min(3, Math.floor(name.length / 3) + 1) + 1
  for (const names of candidates) {
    for (const candidate of names) {
      if (Math.abs(candidate.length - name.length) >= bestDistance) continue
      const distance = editDistance(name, candidate)
      if (distance < bestDistance) {
        best = candidate
        bestDistance = distance
      }
    }
  }
  return best
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, before[j - 2]! + 1)
      }
      row.push(least)
    }
    before = previous
    previous = row
  }
  return previous[b.length]!
}
