/** What `sluice try` prints. Knows what was found out, not how. */
import { relative } from 'node:path'
import type { Where } from '../config/model.ts'
import { decodeBytes } from '../config/problems.ts'
import { reasonPhrase } from '../http1/status.ts'
import { Outcome, type ScriptFault } from '../phases.ts'
import type { LocationPlan } from '../proxy/plan.ts'
import { caret } from './refusal.ts'
import type { Style } from './style.ts'
import type { DryRequest } from './try-arguments.ts'
import type { Entrance } from './try-client.ts'
import type { BodySummary, SentResponse, TraceEnd } from './try-end.ts'
import type { Trace, TraceEvent } from './try-journey.ts'
import { decisionOf, type HookTrace, type Touch } from './try-recorder.ts'
import type { Spread } from './try-spread.ts'

const LABEL = 12
const DETAIL = 34
const BAR = 40
/** Longest body that is shown, if it is one line. */
const MAX_BODY = 200

/** What is known of a hook's cost besides its first call: microseconds of a later one, by position; null: not measured. */
export type Warm = readonly number[] | null

/** What is told of a dry run, in this order. */
export interface TryOutput {
  request(request: DryRequest, entrance: Entrance): void
  /** What was logged while scripts were loaded. */
  log(lines: readonly string[]): void
  trace(trace: Trace, warm: Warm): void
  spread(spread: Spread, name: string): void
  toString(): string
}

export class TryReport implements TryOutput {
  readonly #style: Style
  readonly #cwd: string
  readonly #lines: string[] = []

  constructor(style: Style, cwd: string) {
    this.#style = style
    this.#cwd = cwd
  }

  toString(): string {
    return `${this.#lines.join('\n')}\n`
  }

  request({ method, target }: DryRequest, entrance: Entrance): void {
    this.#lines.push(this.#style.bold(printable(`${method} ${target}`)))
    this.#row('listen', entrance.listener.text)
  }

  trace({ events, end, after }: Trace, warm: Warm): void {
    let hook = 0
    const show = (event: TraceEvent): void => {
      if (event.kind === 'hook') this.#hook(event.hook, warm?.[hook++] ?? null)
      else this.#event(event)
    }
    events.forEach(show)
    this.#end(end)
    after.forEach(show)
    if (end.kind !== 'peer') return
    if (end.response !== null) this.#sent(end.response)
    this.#later(end.later)
  }

  #sent({ head, body, cut }: SentResponse): void {
    this.#head('response', head)
    this.#body(body)
    if (cut) this.#row('', this.#style.red('(cut before its end)'))
  }

  #later(phases: readonly string[]): void {
    const ofSocket = phases.filter((phase) => phase.startsWith('ws'))
    const rest = phases.filter((phase) => !phase.startsWith('ws'))
    if (ofSocket.length > 0) this.#row('later', ofSocket.join(', '), 'on the WebSocket')
    if (rest.length > 0) this.#row('later', rest.join(', '), 'with the response')
  }

  spread(spread: Spread, name: string): void {
    const { bold, yellow } = this.#style
    this.#lines.push('', bold(`${spread.count} requests, ${name}=1 to ${spread.count}`))
    this.#places(spread)
    if (!spread.settled) {
      const sentence = `The same ${name} does not always reach the same server: nothing to move.`
      this.#lines.push('', `  ${yellow(sentence)}`)
    }
    if (spread.moves.length > 0) this.#moves(spread)
  }

  #places({ count, places }: Spread): void {
    const widest = Math.max(...places.values())
    const width = Math.max(...[...places.keys()].map((place) => place.length))
    for (const [place, times] of places) {
      const bar = this.#style.cyan('█'.repeat(Math.round((times / widest) * BAR)))
      const share = `${String(times).padStart(7)}  ${percent(times, count)}`
      this.#lines.push(`  ${place.padEnd(width)}  ${share}  ${bar}`.trimEnd())
    }
  }

  #moves({ count, moves }: Spread): void {
    this.#lines.push('', this.#style.bold('requests that would go elsewhere'))
    const whats = moves.map(({ change, group }) => (change === 'added' ? `added to ${group}` : 'lost'))
    const left = Math.max(...moves.map(({ address }) => address.length))
    const right = Math.max(...whats.map((what) => what.length))
    for (const [i, { address, moved }] of moves.entries()) {
      const what = `${address.padEnd(left)}  ${whats[i].padEnd(right)}`
      this.#lines.push(`  ${what}  ${percent(moved, count)}  ${this.#style.dim(`${moved} of ${count}`)}`)
    }
  }

  /** What was logged while scripts were loaded. */
  log(lines: readonly string[]): void {
    for (const line of lines) this.#row('log', this.#style.yellow(printable(line)))
  }

  #event(event: Exclude<TraceEvent, { kind: 'hook' }>): void {
    switch (event.kind) {
      case 'server':
        this.#row('server', printable(event.plan.name) || '(no server_name)', this.#place(event.plan.where))
        return
      case 'location':
        this.#row('location', describeLocation(event.plan), this.#place(event.plan.where))
        return
      case 'uri':
        this.#row(
          event.step === 'server rewrite' ? 'rewrite' : event.step,
          printable(`${event.from} -> ${event.to}`),
          this.#place(event.where),
        )
        return
      case 'redirect':
        this.#row('redirect', printable(event.to), `by ${event.by}`)
        return
      default:
        this.#row('log', this.#style.yellow(printable(`[${event.level}] ${event.message}`)))
    }
  }

  #hook(hook: HookTrace, warm: number | null): void {
    const { dim } = this.#style
    const cost = warm === null ? micros(hook.took) : `${micros(warm)}, first call ${micros(hook.took)}`
    this.#row(
      hook.phase,
      this.#relative(hook.file),
      `${this.#decision(hook)}  ${dim(`${hook.awaited ? 'waited, ' : ''}${cost}`)}`,
    )
    for (const touch of hook.touches) this.#row('', `  ${this.#touch(touch)}`)
    for (const { what, address } of hook.asked)
      this.#row('', `  ${printable(what)} -> ${address ?? 'no peer'}`)
    if (hook.fault !== null) this.#fault(hook.fault)
  }

  #touch({ what, value, change }: Touch): string {
    if (change === 'remove') return `remove ${printable(what)}`
    const shown = value === undefined ? this.#style.dim('(no value)') : quoted(value)
    return `${change === 'read' ? '' : `${change} `}${printable(what)} = ${shown}`
  }

  /** The script's line with a caret, and who called. */
  #fault({ message, excerpt, stack }: ScriptFault): void {
    this.#row('', `  ${this.#style.red(printable(message))}`)
    for (const line of caret(decodeBytes(excerpt), this.#style).split('\n')) {
      if (line !== '') this.#row('', line)
    }
    for (const frame of stack.slice(1)) this.#row('', this.#style.dim(`      called at ${printable(frame)}`))
  }

  #decision(hook: HookTrace): string {
    const { green, red, yellow } = this.#style
    const words = printable(decisionOf(hook))
    if (hook.outcome === Outcome.FAILED) return red(words)
    return hook.outcome === Outcome.PASS || hook.outcome === Outcome.PEER ? green(words) : yellow(words)
  }

  #end(end: TraceEnd): void {
    const { bold, green, yellow } = this.#style
    if (end.kind === 'closed') {
      this.#row('closed', yellow('the connection is closed without an answer'), `in ${end.step}`)
      return
    }
    if (end.kind === 'peer') {
      this.#row('peer', bold(green(end.address)), `of ${end.group}, ${this.#reason(end)}`)
      this.#head('request', end.head)
      return
    }
    const reason =
      end.hook === null ? `by ${end.step}` : `by ${end.hook.phase} of ${this.#relative(end.hook.file)}`
    this.#row('answer', bold(yellow(`${end.status} ${reasonPhrase(end.status)}`.trim())), reason)
    this.#sent({ cut: false, ...end })
  }

  #reason({ hook, asked, method, key }: Extract<TraceEnd, { kind: 'peer' }>): string {
    if (hook !== null)
      return `by ${this.#relative(hook.file)}${asked === null ? ' itself' : `: ${printable(asked)}`}`
    return key === null ? `by ${method}` : `by ${method}, key ${quoted(key)}`
  }

  #head(label: string, head: string): void {
    const lines = head.split('\r\n').filter((line) => line !== '')
    for (const [i, line] of lines.entries()) this.#row(i === 0 ? label : '', this.#style.dim(printable(line)))
  }

  #body(parts: readonly BodySummary[]): void {
    for (const part of parts) {
      const text = 'bytes' in part ? `(${part.bytes} bytes of a file)` : shortBody(part.text)
      this.#row('', this.#style.dim(text))
    }
  }

  #row(label: string, detail: string, more = ''): void {
    const pad = ' '.repeat(Math.max(0, DETAIL - visibleLength(detail)))
    const left = label === '' ? ' '.repeat(LABEL) : this.#style.dim(label.padEnd(LABEL))
    this.#lines.push(`  ${left} ${more === '' ? detail : `${detail}${pad}  ${more}`}`.trimEnd())
  }

  #place({ file, line }: Where): string {
    return this.#style.dim(`${this.#relative(decodeBytes(file))}:${line}`)
  }

  /** As short as it may be: below the working folder, relative to it. */
  #relative(file: string): string {
    const path = relative(this.#cwd, file)
    return path === '' || path.startsWith('..') ? file : path
  }
}

const MATCH_SIGNS = {
  exact: '= ',
  priority: '^~ ',
  pattern: '~ ',
  prefix: '',
  named: '',
  if: 'if in ',
  root: '',
} as const

function describeLocation({ kind, name }: LocationPlan): string {
  return kind === 'root' ? '(none: the server itself)' : `${MATCH_SIGNS[kind]}${printable(name)}`
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1).padStart(5)} %`
}

function micros(took: number): string {
  if (took >= 10_000) return `${Math.round(took / 1000)} ms`
  return took < 9.95 ? `${took.toFixed(1)} µs` : `${Math.round(took)} µs`
}

/** A byte string for a terminal: control characters shown, not obeyed. */
function printable(text: string): string {
  return decodeBytes(text).replace(
    /[\x00-\x1f\x7f-\x9f]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}

function quoted(text: string): string {
  return `"${printable(text).replace(/"/g, '\\"')}"`
}

function shortBody(text: string): string {
  const line = text.replace(/\r?\n$/, '')
  return line.length > MAX_BODY || line.includes('\n') ? `(${text.length} bytes)` : quoted(line)
}

function visibleLength(text: string): number {
  return text.replace(/\x1b\[[0-9;]*m/g, '').length
}
