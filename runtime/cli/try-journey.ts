/**
 * Drives one request through the real steps up to the point where a connection would be opened or a response would be
 * sent, and keeps what happened on the way; then the response that was given for the upstream's, on its way back. Sends,
 * logs and connects nothing.
 */
import type { Generation } from '../compile.ts'
import type { Where } from '../config/model.ts'
import { HttpFault } from '../http1/fault.ts'
import { RequestReader } from '../http1/request-reader.ts'
import type { LogLevel, Outcome } from '../phases.ts'
import { headLimits } from '../proxy/client-connection.ts'
import { Exchange } from '../proxy/exchange.ts'
import { readRequest } from '../proxy/journey.ts'
import type { LocationPlan, ServerPlan } from '../proxy/plan.ts'
import { removeFilters } from '../proxy/response-filter.ts'
import { Step } from '../proxy/step.ts'
import { STEPS } from '../proxy/steps.ts'
import { ArgumentError } from './arguments.ts'
import type { DryRequest, DryResponse } from './try-arguments.ts'
import { DryClient, type Entrance } from './try-client.ts'
import { describeEnd, describePeer, sentTo, type TraceEnd } from './try-end.ts'
import type { HookTrace, Recorder } from './try-recorder.ts'

export type TraceEvent =
  | { readonly kind: 'server'; readonly plan: ServerPlan }
  | { readonly kind: 'location'; readonly plan: LocationPlan }
  /** The URI changed in this step. */
  | {
      readonly kind: 'uri'
      readonly step: string
      readonly from: string
      readonly to: string
      readonly where: Where
    }
  | { readonly kind: 'redirect'; readonly to: string; readonly by: string }
  | { readonly kind: 'hook'; readonly hook: HookTrace }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly message: string }

export interface Trace {
  readonly events: readonly TraceEvent[]
  readonly end: TraceEnd
  /** What happens to the response that was given. */
  readonly after: readonly TraceEvent[]
}

/** What was found out before the response set out. */
interface Outward {
  readonly events: readonly TraceEvent[]
  readonly end: Extract<TraceEnd, { kind: 'peer' }>
}

/** Steps that a dry run does not take: they open a connection, or the request is over. */
const LAST: ReadonlySet<Step> = new Set([Step.CONNECT, Step.LOG, Step.DONE])

export class DryJourney {
  readonly x: Exchange
  readonly #recorder: Recorder
  readonly #client: DryClient
  readonly #response: DryResponse | null
  #events: TraceEvent[] = []
  /** Set once the response is on its way back. */
  #outward: { readonly events: TraceEvent[]; readonly end: TraceEnd & { readonly kind: 'peer' } } | null =
    null
  #seenHooks = 0
  /** The URI as of the last event. */
  #uri = ''
  /** The step that decided on an answer of our own. */
  #answeredIn = ''
  /** The step that asked for the last internal redirect. */
  #redirectedIn = ''
  #done: (trace: Trace) => void = () => undefined
  #failed: (error: unknown) => void = () => undefined

  /** @throws ArgumentError when the request is none that a proxy reads. */
  constructor(generation: Generation, request: DryRequest, entrance: Entrance, recorder: Recorder) {
    const { defaultServer } = entrance.listener
    const reader = new RequestReader(headLimits(defaultServer.settings))
    reader.push(Buffer.from(headText(request), 'latin1'))
    const head = reader.next()
    if (head === null || head instanceof HttpFault) {
      const why = head === null ? 'is not complete' : `is refused with ${head.status}: ${head.reason}`
      throw new ArgumentError(`try: the request ${why}`)
    }
    this.#recorder = recorder
    this.#response = request.response
    this.#client = new DryClient(request, entrance)
    this.x = new Exchange(this.#client, generation, head, defaultServer)
    this.#client.serves(this.x)
  }

  /** Resolves with what happened; hooks that wait are waited for. */
  run(): Promise<Trace> {
    return new Promise((done, failed) => {
      this.#done = done
      this.#failed = failed
      const fault = readRequest(this.x)
      this.#uri = uriOf(this.x)
      this.#events.push({ kind: 'server', plan: this.x.server })
      if (fault !== null) {
        this.x.status = fault.status
        this.log('info', fault.reason)
      }
      this.#drive(fault === null ? Step.SERVER_REWRITE : Step.ERROR)
    })
  }

  /** A hook or a look-up that was waited for is done. */
  resume(step: Step): void {
    this.#recorder.settled(this.x.settled as Outcome)
    this.#decided(this.x.step as Step, step)
    this.#drive(step)
  }

  log(level: LogLevel, message: string): void {
    this.#takeHooks()
    this.#events.push({ kind: 'log', level, message })
  }

  #drive(from: Step): void {
    let step = from
    try {
      while (step !== Step.SUSPENDED && !this.#isLast(step)) step = this.#take(step)
      if (step !== Step.SUSPENDED) this.#finish(step)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Only hooks on the body make it worth while to send it, even to nobody. */
  #isLast(step: Step): boolean {
    const sends = this.#outward !== null || this.x.location.hooks.bodyFilter !== null
    return LAST.has(step) || (step === Step.RELAY && !sends)
  }

  #finish(step: Step): void {
    const { x } = this
    this.#takeHooks()
    if (this.#outward !== null) this.#overOutward(this.#outward)
    else if (step !== Step.CONNECT) {
      this.#over(this.#events, describeEnd(x, step, this.#answeredIn, this.#recorder.hooks), [])
    } else if (this.#response === null) this.#over(this.#events, describePeer(x, this.#recorder.hooks), [])
    else this.#turn(this.#response)
  }

  #overOutward({ events, end }: Outward): void {
    const ran = new Set<string>(this.#events.map((event) => (event.kind === 'hook' ? event.hook.phase : '')))
    const later = end.later.filter((phase) => !ran.has(phase))
    this.#over(events, { ...end, later, response: sentTo(this.#client) }, this.#events)
  }

  /** As if the upstream had answered this. */
  #turn({ status, fields, body }: DryResponse): void {
    const { x } = this
    this.#outward = { events: this.#events, end: describePeer(x, this.#recorder.hooks) }
    this.#events = []
    x.headers.clear()
    x.status = status
    for (const [name, value] of fields) x.headers.append(name, value)
    x.parts = [body]
    this.#drive(Step.HEADER_FILTER)
  }

  #over(events: readonly TraceEvent[], end: TraceEnd, after: readonly TraceEvent[]): void {
    const { x } = this
    if (x.lastFilter !== null) removeFilters(x)
    x.body?.dispose()
    x.generation.release()
    this.#done({ events, end, after })
  }

  #take(step: Step): Step {
    const { x } = this
    const { location } = x
    const goal = x.redirectTarget
    x.step = step
    const next = STEPS[step].run(x)
    this.#takeHooks()
    if (step === Step.REDIRECT)
      this.#events.push({ kind: 'redirect', to: goal ?? '', by: this.#redirectedIn })
    else if (uriOf(x) !== this.#uri) this.#changed(step, x.location.where)
    this.#uri = uriOf(x)
    if (step === Step.LOCATE || (x.location !== location && x.location.kind !== 'root')) {
      this.#events.push({ kind: 'location', plan: x.location })
    }
    this.#decided(step, next)
    return next
  }

  /** Keeps the step after which there is an answer, and the one that asked for a redirect. */
  #decided(step: Step, next: Step): void {
    const answers = next === Step.ERROR || next === Step.HEADER_FILTER || next === Step.LOG
    if (answers && step < Step.HEADER_FILTER) this.#answeredIn = STEPS[step].name
    if (next === Step.REDIRECT) this.#redirectedIn = step === Step.ERROR ? 'error_page' : STEPS[step].name
  }

  #changed(step: Step, where: Where): void {
    this.#events.push({ kind: 'uri', step: STEPS[step].name, from: this.#uri, to: uriOf(this.x), where })
  }

  /** Hooks that ran since the last event, in their place among the events. */
  #takeHooks(): void {
    const { hooks } = this.#recorder
    for (; this.#seenHooks < hooks.length; this.#seenHooks++) {
      this.#events.push({ kind: 'hook', hook: hooks[this.#seenHooks] })
    }
  }
}

function uriOf(x: Exchange): string {
  return x.hasArgs ? `${x.path}?${x.args}` : x.path
}

function headText({ method, target, version, fields, body }: DryRequest): string {
  const has = (wanted: string) => fields.some(([name]) => name.toLowerCase() === wanted)
  const added: [string, string][] = has('host') ? [] : [['Host', 'localhost']]
  if (body !== null) {
    added.push(['Content-Length', String(body.length)])
    if (!has('content-type')) added.push(['Content-Type', 'application/x-www-form-urlencoded'])
  }
  const lines = [...added, ...fields].map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${target} HTTP/${version}\r\n${lines.join('')}\r\n`
}
