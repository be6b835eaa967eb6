/**
 * One described request on its way through the hooks of a tested script: phases run one after the other, as the proxy
 * would run them; a phase that comes to an answer keeps those behind it from running.
 */
import {
  type HookRequest,
  Outcome,
  type Phase,
  type PhaseHandler,
  type WebSocketEnd,
  type WebSocketMessage,
  type WebSocketSide,
} from '../phases.ts'
import { toBytes } from '../script/guest-values.ts'
import { type Decision, decisionOf } from './decision.ts'
import type { DescribedChunk, DescribedRequest } from './described-request.ts'
import type { FakeClock } from './fake-clock.ts'
import type { Stopwatch } from './stopwatch.ts'

/** A response's body, whole or in chunks. */
export type Body = string | Uint8Array | readonly (string | Uint8Array)[]

/** A WebSocket message: its content, or who sent what. */
export type Message =
  | string
  | Uint8Array
  | { readonly from?: WebSocketSide; readonly data: string | Uint8Array }

/** How a WebSocket ended. Default: the client closed it with 1000. */
export type Closing = Partial<WebSocketEnd>

export interface Surroundings {
  readonly clock: FakeClock
  readonly stopwatch: Stopwatch
  /** Real ms. */
  readonly patience: number
  /** @throws Error when there is no such hook */
  hook(phase: Phase): PhaseHandler
  abandon(request: HookRequest): void
}

interface Step {
  readonly phase: Phase
  readonly hook: PhaseHandler
  /** What the hook runs for, one after the other: chunks of a body; else once. */
  readonly inputs: readonly (() => DescribedChunk | null)[]
}

/** Phases that do not run once the request is answered or sent elsewhere. */
const EARLY: readonly Phase[] = ['rewrite', 'access', 'content', 'balancer']
const ENDS: readonly string[] = ['answer', 'failed']

/** Awaiting it gives the decision of the last hook that ran. */
export class TestedRequest implements PromiseLike<Decision> {
  /** Of every hook that has run, in order. */
  readonly decisions: Decision[] = []
  readonly #request: DescribedRequest
  readonly #around: Surroundings
  readonly #queue: Step[] = []
  #running = false
  #left = false
  #error: unknown = null
  #waiting: { resolve: (decision: Decision) => void; reject: (error: unknown) => void }[] = []
  #guard: NodeJS.Timeout | null = null

  constructor(request: DescribedRequest, around: Surroundings) {
    this.#request = request
    this.#around = around
  }

  rewrite(): this {
    return this.#add('rewrite')
  }

  access(): this {
    return this.#add('access')
  }

  content(): this {
    return this.#add('content')
  }

  /**
   * Asked again, it is because the try before has failed.
   * @param failure of that try: `error`, `timeout`, `http_502`, …
   */
  balancer(failure?: string): this {
    return this.#add('balancer', [
      () => {
        if (failure !== undefined) this.#request.failTry(failure)
        return null
      },
    ])
  }

  headerFilter(): this {
    return this.#add('headerFilter')
  }

  bodyFilter(body: Body): this {
    const pieces = typeof body === 'string' || body instanceof Uint8Array ? [body] : body
    const chunks = (pieces.length === 0 ? [''] : pieces).map((piece) => bytesOf(piece))
    const inputs = chunks.map((data, i) => () => this.#request.chunk(data, i === chunks.length - 1))
    return this.#add('bodyFilter', inputs)
  }

  log(): this {
    return this.#add('log')
  }

  wsOpen(): this {
    return this.#add('wsOpen', [() => this.#socket(null, null)])
  }

  wsMessage(message: Message): this {
    const { from = 'client', data } =
      typeof message === 'string' || message instanceof Uint8Array ? { data: message } : message
    const binary = typeof data !== 'string'
    return this.#add('wsMessage', [() => this.#socket({ from, data: bytesOf(data), binary }, null)])
  }

  wsClose({ by = 'client', code = 1000, reason = '' }: Closing = {}): this {
    return this.#add('wsClose', [() => this.#socket(null, { by, code, reason: toBytes(reason) })])
  }

  /** The client goes away: the hook that waits is dropped. Only `log` may run then. */
  leave(): void {
    this.#left = true
    this.#request.leave()
    this.#around.abandon(this.#request)
    this.#queue.length = 0
    this.#fail(new Error('the client has left; the hook was dropped'))
  }

  /** The request is over: peers and scripts get back what it holds. */
  end(): void {
    this.#request.end()
    if (this.#running) this.#fail(new Error('the request was ended while its hook waited'))
  }

  // biome-ignore lint/suspicious/noThenProperty: awaiting a chain of phases is what it is for
  then<A = Decision, B = never>(
    onDecision?: ((decision: Decision) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#idle().then(onDecision, onError)
  }

  #idle(): Promise<Decision> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      if (!this.#running) this.#tell()
    })
  }

  #tell(): void {
    const waiting = this.#waiting
    this.#waiting = []
    const last = this.decisions.at(-1)
    for (const { resolve, reject } of waiting) {
      if (this.#error !== null) reject(this.#error)
      else if (last === undefined) reject(new Error('no hook has run for this request; call one'))
      else resolve(last)
    }
  }

  #fail(error: unknown): void {
    this.#error = error
    this.#running = false
    this.#stopGuard()
    this.#tell()
  }

  #add(phase: Phase, inputs: Step['inputs'] = [() => null]): this {
    this.#queue.push({ phase, hook: this.#around.hook(phase), inputs })
    if (this.#left && phase === 'log') this.#error = null
    if (!this.#running) this.#next()
    return this
  }

  #next(): void {
    for (let step = this.#queue.shift(); step !== undefined; step = this.#queue.shift()) {
      if (this.#error !== null) break
      if (this.#skips(step.phase)) continue
      this.#running = true
      this.#start(step)
      return
    }
    this.#running = false
    this.#tell()
  }

  /** An early phase has decided: for all of them, or for another location. */
  #skips(phase: Phase): boolean {
    return this.decisions.some(({ phase: by, outcome }) => {
      if (outcome === 'redirect') return phase !== 'log'
      return EARLY.includes(phase) && EARLY.includes(by) && ENDS.includes(outcome)
    })
  }

  #start(step: Step): void {
    const request = this.#request
    const { stopwatch } = this.#around
    const spent = stopwatch.total
    const logsBefore = request.logs.length
    const sentBefore = request.webSocket === null ? 0 : request.socket.sent.length
    const chunks: DescribedChunk[] = []
    this.#watch(step.phase)
    this.#each(step, 0, Outcome.PASS, chunks, (outcome) => {
      this.#stopGuard()
      // The hook that ended just now may still be on the stack: its time is counted when it has returned.
      queueMicrotask(() => {
        const cpuMicros = (stopwatch.total - spent) * 1000
        const { phase } = step
        this.decisions.push(
          decisionOf({ request, phase, outcome, cpuMicros, logsBefore, sentBefore, chunks }),
        )
        request.bodyChunk = null
        this.#next()
      })
    })
  }

  /** Runs the hook for one input after the other. */
  #each(
    step: Step,
    index: number,
    sofar: Outcome,
    chunks: DescribedChunk[],
    done: (outcome: Outcome) => void,
  ): void {
    try {
      const chunk = step.inputs[index]()
      if (chunk !== null) chunks.push(chunk)
      this.#around.stopwatch.run(() =>
        this.#request.run(step.phase, step.hook, (outcome) => {
          if (outcome === Outcome.FAILED) chunks.pop()
          const whole = outcome === Outcome.PASS ? sofar : outcome
          if (outcome === Outcome.FAILED || index + 1 === step.inputs.length) done(whole)
          else queueMicrotask(() => this.#each(step, index + 1, whole, chunks, done))
        }),
      )
    } catch (error) {
      this.#fail(error)
    }
  }

  #socket(message: WebSocketMessage | null, end: WebSocketEnd | null): null {
    this.#request.socket.begin(message, end)
    return null
  }

  /** A test that has forgotten to move the clock shall not hang. */
  #watch(phase: Phase): void {
    const { patience, clock } = this.#around
    this.#guard = setTimeout(() => {
      const { next } = clock
      const why = next === null ? 'nothing will wake it' : `a timer is due in ${next} ms`
      this.#fail(
        new Error(
          `the ${phase} hook has waited for ${patience} ms and ${why}; move time with script.clock.advance()`,
        ),
      )
    }, patience)
  }

  #stopGuard(): void {
    if (this.#guard !== null) clearTimeout(this.#guard)
    this.#guard = null
  }
}

function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data) : data
}
