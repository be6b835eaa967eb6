/** What a replay has come to, as a report or as JSON. Groups entries that differ alike; keeps examples of each. */

import { shown } from '../replay/hook-decision.ts'
import { requestLine } from '../replay/hook-input.ts'
import type { JournalReader } from '../replay/journal-reader.ts'
import type { Replayed } from '../replay/replay.ts'
import { fromBytes } from '../script/guest-values.ts'
import type { Style } from './style.ts'

/** Of each group. */
const MAX_EXAMPLES = 3
const MAX_GROUPS = 1000

interface Example {
  readonly request: string
  readonly differences: readonly { facet: string; before: string | null; after: string | null }[]
}

interface Group {
  readonly phase: string
  /** What is another one: `outcome, answer status`. */
  readonly facets: string
  /** What the hooks read that was masked: they may differ for no other reason. */
  readonly masked: string
  count: number
  readonly examples: Example[]
}

interface Told {
  count: number
  readonly example: string
}

export class ReplayTally {
  equal = 0
  different = 0
  /** Decided otherwise, of values that the journal has masked. */
  ofMasked = 0
  /** Hooks that asked what the journal does not know. */
  unknowing = 0
  micros = 0
  readonly #groups = new Map<string, Group>()
  readonly #unknown = new Map<string, number>()
  readonly #errors = new Map<string, Told>()
  readonly #phases = new Map<string, { calls: number; micros: number }>()

  add(replayed: Replayed): void {
    const { entry, differences, unknown, fault, micros } = replayed
    this.micros += micros
    const phase = this.#phases.get(entry.phase) ?? { calls: 0, micros: 0 }
    phase.calls++
    phase.micros += micros
    this.#phases.set(entry.phase, phase)
    if (unknown.length > 0) this.unknowing++
    for (const what of unknown) this.#unknown.set(what, (this.#unknown.get(what) ?? 0) + 1)
    if (fault !== null) this.#addFault(replayed)
    if (differences.length === 0) this.equal++
    else this.#addDifference(replayed)
  }

  #addFault({ entry, fault }: Replayed): void {
    const { file, line, column, message, excerpt } = fault!
    const place = line > 0 ? `${textOf(file)}:${line}:${column}` : textOf(file)
    const text = `${place}: ${entry.phase}: ${textOf(message)}${excerpt === '' ? '' : `\n${excerpt.split('\n').map(textOf).join('\n')}`}`
    const told = this.#errors.get(text) ?? { count: 0, example: textOf(requestLine(entry.input)) }
    told.count++
    if (this.#errors.size < MAX_GROUPS) this.#errors.set(text, told)
  }

  #addDifference({ entry, differences, masked }: Replayed): void {
    if (masked.length > 0) this.ofMasked++
    else this.different++
    const facets = differences.map(({ facet }) => facet).join(', ')
    const read = [...masked].sort().join(', ')
    const key = `${entry.phase} ${facets} ${read}`
    const group = this.#groups.get(key) ?? {
      phase: entry.phase,
      facets,
      masked: read,
      count: 0,
      examples: [],
    }
    group.count++
    if (group.examples.length < MAX_EXAMPLES) {
      group.examples.push({
        request: textOf(requestLine(entry.input)),
        differences: differences.map(({ facet, before, after }) => ({
          facet: textOf(facet),
          before: before === undefined ? null : textOf(before),
          after: after === undefined ? null : textOf(after),
        })),
      })
    }
    if (this.#groups.size < MAX_GROUPS) this.#groups.set(key, group)
  }

  /** @param names of other scripts in the journal, with the number of their entries */
  json(reader: JournalReader): string {
    const { equal, different, ofMasked, unknowing, micros } = this
    return `${JSON.stringify(
      {
        equal,
        different,
        masked: ofMasked,
        unknown: { hooks: unknowing, questions: Object.fromEntries(this.#unknown) },
        groups: this.#sorted,
        errors: [...this.#errors].map(([error, { count, example }]) => ({ error, count, example })),
        cpu: { micros: Math.round(micros), phases: Object.fromEntries(this.#phases) },
        skipped: { lines: reader.skipped, first: reader.faults },
      },
      null,
      2,
    )}\n`
  }

  get #sorted(): Group[] {
    return [...this.#groups.values()].sort((a, b) => b.count - a.count)
  }

  text(style: Style, journal: string, reader: JournalReader): string {
    const lines = [
      `${style.green(`${this.equal} equal`)}, ${this.different > 0 ? style.red(`${this.different} different`) : '0 different'}${
        this.ofMasked > 0 ? `, ${style.yellow(`${this.ofMasked} made of masked values`)}` : ''
      }${this.unknowing > 0 ? `, ${style.yellow(`${this.unknowing} asked what was not recorded`)}` : ''}`,
      ...this.#sorted.flatMap((group) => groupLines(group, style)),
      ...[...this.#errors].flatMap(([error, { count, example }]) => [
        '',
        `${style.red('error')} ${times(count)}, e.g. on ${example}`,
        ...error.split('\n').map((line) => `  ${line}`),
      ]),
      ...(this.#unknown.size === 0 ? [] : ['']),
      ...[...this.#unknown].map(
        ([what, count]) => `${style.yellow('unknown')}: ${textOf(what)} (${times(count)})`,
      ),
      '',
      ...[...this.#phases].map(([phase, { calls, micros }]) => {
        return style.dim(`${phase}: ${calls} calls, ${(micros / calls).toFixed(1)} µs of CPU each`)
      }),
      ...reader.faults.map(({ line, reason }) => `${journal}:${line}: skipped: ${reason}`),
    ]
    const more = reader.skipped - reader.faults.length
    if (more > 0) lines.push(`${journal}: ${more} more lines were skipped`)
    return `${lines.join('\n')}\n`
  }
}

function groupLines({ phase, facets, masked, count, examples }: Group, style: Style): string[] {
  const why = masked === '' ? '' : style.yellow(` (${textOf(masked)} was masked: this may be why)`)
  return [
    '',
    `${style.bold(phase)} ${times(count)}: ${textOf(facets)}${why}`,
    ...examples.flatMap(({ request, differences }) => [
      `  ${request}`,
      ...differences.map(
        ({ facet, before, after }) =>
          `    ${facet}: ${shown(before ?? undefined)} → ${shown(after ?? undefined)}`,
      ),
    ]),
  ]
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}

/** Text of a byte string. What clients have sent does not drive a terminal. */
function textOf(bytes: string): string {
  return fromBytes(bytes).replace(/[\x00-\x1f\x7f-\x9f]/g, '\ufffd')
}
