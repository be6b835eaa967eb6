/**
 * A request between a script and what the script is given: passes every question and every change on, and notes what
 * the hook under way decides and, if somebody wants to know, what it asks. Changes nothing of it. One object for all
 * hooks of a request, as a sandbox knows a request by its object.
 */
import {
  type BalancerView,
  type BodyChunk,
  type BodyFailure,
  type FetchEvents,
  type FetchRequest,
  type HookRequest,
  type LogLevel,
  Outcome,
  type Phase,
  type WebSocketSide,
  type WebSocketView,
} from '../phases.ts'
import { digest, type HookDecision, outcomeName } from './hook-decision.ts'
import type { LimitListener } from './tapped-limits.ts'
import type { MapListener } from './tapped-map.ts'
import { type CallNotes, TappedBalancer, TappedChunk, TappedFields, TappedSocket } from './tapped-parts.ts'

/** What a hook asked its host; each question once. */
export interface HookQuestions {
  variable(name: string, value: string | undefined): void
  /** A choice of the balancer's: `hash("7", consistent)`. @param index -1: nobody is eligible */
  pick(what: string, index: number): void
  body(error: BodyFailure | null, body: Uint8Array): void
  /** @returns what is to hear of the answer */
  fetch(request: FetchRequest, events: FetchEvents): FetchEvents
  /** Absent: nobody wants to know of these. */
  readonly values?: ValueListener
}

/** What a hook finds that is nobody's answer. */
export interface ValueListener extends MapListener, LimitListener {
  /** It has looked at the clock. @param now ms since the epoch */
  time(now: number): void
  /** `Math.random` has given it this. */
  random(value: number): void
}

/** One call of a hook. */
export interface HookCall {
  readonly phase: Phase
  readonly questions: HookQuestions | null
  ended(decision: HookDecision): void
}

/** Messages of one hook that are told one by one. */
const MAX_SENT = 16

export class TappedRequest implements HookRequest, CallNotes {
  readonly inner: HookRequest
  readonly requestHeaders: TappedFields
  readonly responseHeaders: TappedFields
  #call: HookCall | null = null
  #before = { uri: '', args: '', status: 0 }
  /** What the hook did beside its outcome. */
  #facets: Record<string, string> = {}
  #answer: Record<string, string> | null = null
  #redirect = ''
  #peer = ''
  /** What it gave in the place of a chunk or message; null: the same bytes. */
  #content: string | null = null
  #sent = 0
  #failed = false
  #balancer: TappedBalancer | null = null
  #socket: TappedSocket | null = null

  constructor(inner: HookRequest) {
    this.inner = inner
    this.requestHeaders = new TappedFields(inner.requestHeaders, 'headersIn')
    this.responseHeaders = new TappedFields(inner.responseHeaders, 'headersOut')
  }

  // ---- calls ----

  /** A hook begins. The one before it has ended, or never will. */
  begin(call: HookCall): void {
    const { uri, rawArgs, status } = this.inner
    this.#call = call
    this.#before = { uri, args: rawArgs, status }
    this.#facets = {}
    this.#answer = null
    this.#content = null
    this.#sent = 0
    this.#failed = false
    this.requestHeaders.begin()
    this.responseHeaders.begin()
  }

  /** The hook has ended. */
  end(outcome: Outcome): void {
    const call = this.#call
    if (call === null || outcome === Outcome.SUSPENDED) return
    this.#call = null
    call.ended(this.#decision(outcome))
  }

  /** The hook has failed, even if the request goes on as if it were absent (`script_on_error open`). */
  failing(): void {
    this.#failed = true
  }

  get questions(): HookQuestions | null {
    return this.#call === null ? null : this.#call.questions
  }

  /** Something that the hook did; the last word of that name counts. */
  note(facet: string, value: string): void {
    if (this.#call !== null) this.#facets[facet] = value
  }

  #decision(outcome: Outcome): HookDecision {
    if (this.#failed || outcome === Outcome.FAILED) return { outcome: outcomeName(Outcome.FAILED) }
    const changes = this.#answer === null ? this.#changes() : {}
    const common = { ...changes, ...this.#facets }
    switch (outcome) {
      case Outcome.ANSWER:
        return { outcome: outcomeName(outcome), ...this.#answer, ...common }
      case Outcome.REDIRECT:
        return { outcome: outcomeName(outcome), 'redirect to': this.#redirect, ...common }
      case Outcome.PEER:
        return { outcome: outcomeName(outcome), peer: this.#peer, ...common }
      case Outcome.REPLACED:
        if (this.#content === null) return { outcome: outcomeName(Outcome.PASS), ...common }
        return { outcome: outcomeName(outcome), content: this.#content, ...common }
      default:
        return { outcome: outcomeName(outcome), ...common }
    }
  }

  /** What the hook has changed about the request, as far as it is another one now. */
  #changes(): Record<string, string> {
    const { uri, rawArgs, status } = this.inner
    const before = this.#before
    return {
      ...(uri !== before.uri && { uri }),
      ...(rawArgs !== before.args && { args: rawArgs }),
      ...(status !== before.status && { status: String(status) }),
      ...this.requestHeaders.changes(),
      ...this.responseHeaders.changes(),
    }
  }

  // ---- HookRequest ----

  get scriptState(): unknown {
    return this.inner.scriptState
  }

  set scriptState(value: unknown) {
    this.inner.scriptState = value
  }

  get method(): string {
    return this.inner.method
  }

  get httpVersion(): string {
    return this.inner.httpVersion
  }

  get remoteAddress(): string {
    return this.inner.remoteAddress
  }

  get uri(): string {
    return this.inner.uri
  }

  set uri(value: string) {
    this.inner.uri = value
  }

  get rawArgs(): string {
    return this.inner.rawArgs
  }

  set rawArgs(value: string) {
    this.inner.rawArgs = value
  }

  get status(): number {
    return this.inner.status
  }

  set status(value: number) {
    this.inner.status = value
  }

  get closed(): boolean {
    return this.inner.closed
  }

  get balancer(): BalancerView | null {
    const view = this.inner.balancer
    if (view === null) return null
    if (this.#balancer?.view !== view) this.#balancer = new TappedBalancer(view, this)
    return this.#balancer
  }

  get bodyChunk(): BodyChunk | null {
    const chunk = this.inner.bodyChunk
    return chunk === null ? null : new TappedChunk(chunk, this)
  }

  get webSocket(): WebSocketView | null {
    const view = this.inner.webSocket
    if (view === null) return null
    if (this.#socket?.view !== view) this.#socket = new TappedSocket(view, this)
    return this.#socket
  }

  answer(
    status: number,
    headers: readonly (readonly [string, string])[],
    body: string | Uint8Array | null,
  ): void {
    // The answer's fields take the place of others: what was changed before has to be read now.
    const answer: Record<string, string> = { 'answer status': String(status), ...this.#changes() }
    for (const [name, value] of headers) addValue(answer, `answer ${name.toLowerCase()}`, value)
    if (body !== null) answer['answer body'] = digest(body)
    this.inner.answer(status, headers, body)
    this.#answer = answer
  }

  redirect(uri: string): void {
    this.inner.redirect(uri)
    this.#redirect = uri
  }

  fail(phase: Phase, message: string): void {
    this.inner.fail(phase, message)
  }

  hookSettled(outcome: Outcome): void {
    this.end(outcome)
    this.inner.hookSettled(outcome)
  }

  readBody(done: (error: BodyFailure | null, body: Uint8Array) => void): void {
    const questions = this.questions
    this.inner.readBody((error, body) => {
      questions?.body(error, body)
      done(error, body)
    })
  }

  log(level: LogLevel, message: string): void {
    this.inner.log(level, message)
  }

  // ---- what the parts note ----

  choosing(address: string): void {
    this.#peer = address
  }

  replacing(data: Uint8Array, old: Uint8Array | undefined, isSame: boolean): void {
    this.#content = isSame && old !== undefined && Buffer.from(old).equals(data) ? null : digest(data)
  }

  sending(to: WebSocketSide, data: Uint8Array): void {
    if (++this.#sent <= MAX_SENT) this.note(`sends ${this.#sent}`, `to the ${to}: ${digest(data)}`)
  }
}

function addValue(into: Record<string, string>, name: string, value: string): void {
  into[name] = name in into ? `${into[name]}, ${value}` : value
}
