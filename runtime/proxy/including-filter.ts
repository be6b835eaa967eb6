/**
 * A filter whose output is its own bytes and whole subrequests, in order, while the subrequests run side by side:
 * what stands behind one that is not complete waits. Base of SSI and of `add_before_body`.
 *
 *   queue:  "text" | subrequest (open: its bytes pass as they come) | "text" | subrequest (holds what it has)
 */
import type { Exchange } from './exchange.ts'
import { ResponseFilter } from './response-filter.ts'
import { Step } from './step.ts'
import { maySubrequest, Subrequest, type SubrequestOptions, type SubrequestOwner } from './subrequest.ts'

/** Bytes of its own that may wait behind a subrequest. */
const MAX_QUEUED = 64 * 1024
/** Subrequests of one response that run side by side. */
const MAX_RUNNING = 64
/** Small pieces are joined up to this size. */
const JOINED = 16 * 1024

export abstract class IncludingFilter extends ResponseFilter implements SubrequestOwner {
  #queue: (Uint8Array | string | Subrequest)[] = []
  #queued = 0
  /** Text that is not in the queue yet. */
  #text = ''
  /** Subrequests to begin when the current input has been looked at, as nginx does. */
  #starting: Subrequest[] = []
  #running = new Set<Subrequest>()
  #headSent = false
  #room = true
  #moving = false
  #working = false
  #ended = false
  #disposed = false

  /** Looks at its input, as far as it may; called whenever it may do more. */
  abstract work(): void

  /** All input has been looked at. */
  abstract get idle(): boolean

  override get inner(): Iterable<Exchange> {
    return [...this.#running].map((subrequest) => subrequest.exchange)
  }

  get pendingBytes(): number {
    return this.#text.length + this.#queued + this.next.pendingBytes
  }

  /** More output may be made. */
  get hasRoom(): boolean {
    return this.#room && this.#queued < MAX_QUEUED && this.#running.size < MAX_RUNNING
  }

  sendEnd(_x: Exchange): Step {
    this.#ended = true
    this.advance()
    return this.#isComplete() ? this.#finish() : Step.SUSPENDED
  }

  drained(): void {
    this.#room = true
    const first = this.#queue[0]
    if (first instanceof Subrequest && !this.#moving) first.wake()
    this.#resume()
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#queue = []
    this.#starting = []
    const running = [...this.#running]
    this.#running.clear()
    for (const subrequest of running) subrequest.abandon()
  }

  // ---- output ----

  put(text: string): void {
    this.#text += text
    if (this.#text.length > JOINED) this.#enqueueText()
  }

  putBytes(bytes: Uint8Array | string): void {
    this.#enqueueText()
    if (bytes.length > 0) this.#enqueue(bytes)
  }

  /**
   * Puts a subrequest's response into the output (`stream`), or runs it for its owner alone. null: no more
   * subrequests may be made, which has been logged.
   */
  addSubrequest(options: SubrequestOptions): Subrequest | null {
    if (!maySubrequest(this.x, options.path)) return null
    this.#enqueueText()
    const subrequest = new Subrequest(this.x, this, options)
    this.#running.add(subrequest)
    this.#starting.push(subrequest)
    if (options.mode === 'stream') this.#queue.push(subrequest)
    return subrequest
  }

  subrequestData(_subrequest: Subrequest, chunk: Uint8Array | string): boolean {
    this.#room = this.#emit(chunk)
    return this.#room
  }

  subrequestEnded(subrequest: Subrequest): void {
    this.#running.delete(subrequest)
    if (!this.#disposed) this.#resume()
  }

  /** Works, begins what that has called for, and sends what may be sent. */
  advance(): void {
    if (this.#working) return
    this.#working = true
    do {
      this.work()
      this.#enqueueText()
      for (const subrequest of this.#starting.splice(0)) if (!this.#disposed) subrequest.begin()
      this.#move()
    } while (!this.#disposed && !this.idle && this.hasRoom && this.mayWork)
    this.#working = false
  }

  /** Nothing but room is needed for more work. */
  get mayWork(): boolean {
    return true
  }

  #resume(): void {
    this.advance()
    if (this.#disposed || this.#working) return
    const { x } = this
    if (this.#ended) {
      if (this.#isComplete()) x.generation.services.resume(x, this.#finish())
    } else if (this.idle && this.hasRoom) this.release()
  }

  #isComplete(): boolean {
    return !this.#disposed && this.idle && this.#queue.length === 0 && this.#running.size === 0
  }

  #finish(): Step {
    this.#disposed = true
    if (!this.#headSent) this.#sendHead(null)
    return this.next.sendEnd(this.x)
  }

  #enqueueText(): void {
    const text = this.#text
    this.#text = ''
    if (text !== '') this.#enqueue(text)
  }

  #enqueue(bytes: Uint8Array | string): void {
    this.#queue.push(bytes)
    this.#queued += bytes.length
    this.#move()
  }

  /** Sends what stands before the first subrequest that is not complete. */
  #move(): void {
    if (this.#moving) return
    this.#moving = true
    while (this.#queue.length > 0) {
      const first = this.#queue[0]
      if (first instanceof Subrequest) {
        first.open()
        if (!first.done || first.holds) break
      } else {
        if (!this.#room) break
        this.#queued -= first.length
        this.#room = this.#emit(first)
      }
      this.#queue.shift()
    }
    this.#moving = false
  }

  #emit(chunk: Uint8Array | string): boolean {
    return this.#headSent ? this.next.sendBody(this.x, chunk) : this.#sendHead(chunk)
  }

  #sendHead(first: Uint8Array | string | null): boolean {
    this.#headSent = true
    return this.next.sendHead(this.x, first)
  }
}
