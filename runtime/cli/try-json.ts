/** What `sluice try --json` prints: the same as the report, for programs. Texts are decoded; times are microseconds. */
import { decodeBytes } from '../config/problems.ts'
import { Outcome } from '../phases.ts'
import type { DryRequest } from './try-arguments.ts'
import type { Entrance } from './try-client.ts'
import type { TraceEnd } from './try-end.ts'
import type { Trace, TraceEvent } from './try-journey.ts'
import { decisionOf, type HookTrace } from './try-recorder.ts'
import type { TryOutput, Warm } from './try-report.ts'
import type { Spread } from './try-spread.ts'

/** Names of outcomes, by number. */
const OUTCOMES = Object.keys(Outcome).map((name) => name.toLowerCase())

export class TryJson implements TryOutput {
  readonly #told: Record<string, unknown> = {}

  toString(): string {
    return `${JSON.stringify(this.#told, decodeText, 2)}\n`
  }

  request({ method, target }: DryRequest, entrance: Entrance): void {
    Object.assign(this.#told, { method, target, listen: entrance.listener.text })
  }

  log(lines: readonly string[]): void {
    this.#told.loadLog = lines
  }

  trace({ events, end, after }: Trace, warm: Warm): void {
    let hook = 0
    const told = (event: TraceEvent) =>
      event.kind === 'hook' ? hookOf(event.hook, warm?.[hook++] ?? null) : eventOf(event)
    Object.assign(this.#told, { events: events.map(told), end: endOf(end), after: after.map(told) })
  }

  spread({ places, ...rest }: Spread, name: string): void {
    this.#told.spread = { vary: name, places: Object.fromEntries(places), ...rest }
  }
}

function decodeText(_name: string, value: unknown): unknown {
  return typeof value === 'string' ? decodeBytes(value) : value
}

function hookOf(hook: HookTrace, warm: number | null) {
  const { phase, file, outcome, took, awaited, touches, asked, fault } = hook
  return {
    kind: 'hook',
    phase,
    file,
    outcome: OUTCOMES[outcome],
    decision: decisionOf(hook),
    micros: warm,
    firstMicros: took,
    awaited,
    touches: touches.map(({ what, value = null, change }) => ({ what, value, change })),
    asked,
    fault,
  }
}

function eventOf(event: Exclude<TraceEvent, { kind: 'hook' }>) {
  if (event.kind === 'server') {
    const { name, where } = event.plan
    return { kind: 'server', name, where }
  }
  if (event.kind === 'location') {
    const { kind, name, where } = event.plan
    return { kind: 'location', match: kind, name, where }
  }
  return event
}

function endOf(end: TraceEnd) {
  if (end.kind === 'closed') return end
  return { ...end, hook: end.hook === null ? null : { phase: end.hook.phase, file: end.hook.file } }
}
