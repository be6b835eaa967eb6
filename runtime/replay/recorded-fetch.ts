/** Keeps the answer to one fetch of a hook while it is passed on to the script. */
import type { FetchEvents, FetchFailure, FetchRequest, FetchResponse } from '../phases.ts'
import { digest } from './hook-decision.ts'
import { type RecordedFetch, textOf } from './journal-entry.ts'

export class FetchRecording implements FetchEvents {
  readonly #request: FetchRequest
  readonly #events: FetchEvents
  readonly #maxBytes: number
  #response: FetchResponse | null = null
  #chunks: string[] = []
  #bytes = 0
  #whole = false
  #failure: string | null = null

  /** @param maxBytes of the body: of a longer one nothing is kept */
  constructor(request: FetchRequest, events: FetchEvents, maxBytes: number) {
    this.#request = request
    this.#events = events
    this.#maxBytes = maxBytes
  }

  /** As far as it is known now. */
  get record(): RecordedFetch {
    const { method, url, body } = this.#request
    return {
      method,
      url,
      body: typeof body === 'string' || body === null ? '' : digest(body),
      answer: this.#answer,
    }
  }

  get #answer(): RecordedFetch['answer'] {
    const failure = this.#failure
    if (failure !== null) return { status: 0, headers: [], chunks: [], failure }
    if (this.#response === null || !this.#whole || this.#bytes > this.#maxBytes) return null
    const { status, headers } = this.#response
    return { status, headers, chunks: this.#chunks, failure: null }
  }

  response(response: FetchResponse): void {
    this.#response = response
    this.#whole = response.empty
    this.#events.response(response)
  }

  data(chunk: Uint8Array, last: boolean): void {
    this.#bytes += chunk.length
    if (this.#bytes <= this.#maxBytes) this.#chunks.push(textOf(chunk))
    else this.#chunks = []
    this.#whole = last
    this.#events.data(chunk, last)
  }

  drained(): void {
    this.#events.drained()
  }

  failed(failure: FetchFailure): void {
    this.#failure = failure.message
    this.#events.failed(failure)
  }
}
