/**
 * `fetch` with described answers: requests are checked as the proxy checks them, redirects followed, bodies passed on as
 * they are asked for, delays waited for on the given clock. Nothing goes to the network.
 */
import { isRedirect, type Outgoing, quoted, Refusal, readOutgoing, redirected } from '../fetch/outgoing.ts'
import type { FetchCall, FetchEvents, FetchRequest, ScriptClock } from '../phases.ts'

/** What was asked for; texts are byte strings. */
export interface FetchedRequest {
  readonly url: string
  readonly method: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Uint8Array
}

/** An answer; texts are byte strings. */
export interface FetchedResponse {
  readonly status: number
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly chunks: readonly Uint8Array[]
  /** ms until it comes. */
  readonly delay: number
  /** Why there is none: the connection failed. */
  readonly failure: string | null
}

/** Finds the answer to a request; null: nobody described one. May take its time. */
export type Answerer = (request: FetchedRequest) => FetchedResponse | null | Promise<FetchedResponse | null>

const MAX_REDIRECTS = 5

export class DescribedFetch implements FetchCall {
  readonly #request: FetchRequest
  readonly #events: FetchEvents
  readonly #answer: Answerer
  readonly #clock: ScriptClock
  readonly #timers: unknown[] = []
  #over = false
  #redirects = 0
  #streamed: Uint8Array[] = []
  #chunks: readonly Uint8Array[] = []
  #next = 0

  constructor(request: FetchRequest, events: FetchEvents, answer: Answerer, clock: ScriptClock) {
    this.#request = request
    this.#events = events
    this.#answer = answer
    this.#clock = clock
    this.#after(request.timeout, () =>
      this.#fail('TimeoutError', `no answer within ${request.timeout} ms from ${quoted(request.url)}`),
    )
    if (request.body !== 'stream') this.#later(() => this.#send(readOutgoing(request)))
  }

  // ---- FetchCall ----

  read(whole: boolean): void {
    this.#later(() => {
      const end = whole ? this.#chunks.length : this.#next + 1
      const chunk = Buffer.concat(this.#chunks.slice(this.#next, end))
      this.#next = end
      const last = end >= this.#chunks.length
      if (last) this.#stop()
      this.#events.data(chunk, last)
    })
  }

  write(chunk: Uint8Array): boolean {
    this.#streamed.push(Uint8Array.from(chunk))
    return true
  }

  finish(): void {
    this.#later(() => this.#send(readOutgoing(this.#request)))
  }

  abort(): void {
    this.#stop()
  }

  // ---- the answer ----

  async #send(out: Outgoing): Promise<void> {
    const body = out.body === 'stream' ? Buffer.concat(this.#streamed) : (out.body ?? new Uint8Array(0))
    const asked = { url: out.url.href, method: out.method, headers: out.fields, body }
    const found = await this.#answer(asked)
    if (this.#over) return
    if (found === null) {
      throw new Refusal(`the test does not describe an answer to ${out.method} ${out.url.href}`)
    }
    if (found.delay > 0) this.#after(found.delay, () => this.#later(() => this.#respond(out, found)))
    else await this.#respond(out, found)
  }

  #respond(out: Outgoing, { status, headers, chunks, failure }: FetchedResponse): Promise<void> | void {
    if (failure !== null) throw new Refusal(failure)
    const location = headers.find(([name]) => name.toLowerCase() === 'location')?.[1]
    if (isRedirect(status) && location !== undefined && this.#request.redirect !== 'manual') {
      if (this.#request.redirect === 'error') throw new Refusal(`${quoted(out.url.href)} redirects`)
      if (++this.#redirects > MAX_REDIRECTS) throw new Refusal(`more than ${MAX_REDIRECTS} redirects`)
      return this.#send(redirected(out, status, location))
    }
    this.#chunks = chunks
    const empty = chunks.length === 0
    if (empty) this.#stop()
    const redirects = this.#redirects > 0
    this.#events.response({
      url: out.url.href,
      redirected: redirects,
      status,
      statusText: '',
      headers,
      empty,
    })
  }

  #fail(kind: 'TypeError' | 'TimeoutError', message: string): void {
    if (this.#over) return
    this.#stop()
    this.#events.failed({ kind, message })
  }

  /** Never from within a call of the sandbox's. */
  #later(action: () => void | Promise<void>): void {
    setImmediate(async () => {
      if (this.#over) return
      try {
        await action()
      } catch (error) {
        this.#fail('TypeError', (error as Error).message)
      }
    })
  }

  #after(ms: number, action: () => void): void {
    this.#timers.push(this.#clock.setTimeout(() => this.#over || action(), ms))
  }

  #stop(): void {
    this.#over = true
    for (const timer of this.#timers) this.#clock.clearTimeout(timer)
  }
}
