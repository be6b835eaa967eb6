/**
 * Sends a response no faster than so many bytes per second (nginx `limit_rate`, `limit_rate_after`): nginx's formula,
 * which counts whole seconds since the request began, head and framing included. The last output before the client.
 */
import { parseSize } from '../config/values.ts'
import type { Exchange, ResponseOutput } from './exchange.ts'
import type { Binder, Effective, Getter } from './plan.ts'
import { ResponseFilter } from './response-filter.ts'
import { Step } from './step.ts'

/** `limit_rate` and `limit_rate_after` of one location. */
export interface RatePlan {
  readonly rate: Getter
  readonly after: Getter
}

/** null: the location gives no rate; a request may have one all the same (`$limit_rate`, X-Accel-Limit-Rate). */
export function compileRate(settings: Effective, binder: Binder): RatePlan | null {
  const { limitRate, limitRateAfter } = settings
  if (limitRate === undefined && limitRateAfter === undefined) return null
  return {
    rate: limitRate === undefined ? none : binder.bind(limitRate),
    after: limitRateAfter === undefined ? none : binder.bind(limitRateAfter),
  }
}

function none(): string {
  return ''
}

/** Puts the limit in front of the client when this request has one. */
export function limitRate(x: Exchange, plan: RatePlan | null): void {
  const rate = x.limitRate >= 0 ? x.limitRate : plan === null ? 0 : sizeOf(x, plan.rate)
  if (rate > 0) new RateLimit(x, x.output, rate, plan === null ? 0 : sizeOf(x, plan.after))
}

/** What is no size is no limit, as in nginx. */
function sizeOf(x: Exchange, getter: Getter): number {
  const text = getter(x)
  if (text === '') return 0
  const size = parseSize(text)
  if (size === null) x.log('error', `invalid size "${text}"`)
  return size ?? 0
}

class RateLimit extends ResponseFilter {
  readonly #rate: number
  readonly #after: number
  readonly #startedAt: number
  #queue: (Uint8Array | string)[] = []
  #queued = 0
  #timer: NodeJS.Timeout | null = null
  /** The client takes nothing at the moment. */
  #full = false
  #ended = false

  constructor(x: Exchange, next: ResponseOutput, rate: number, after: number) {
    super(x, next)
    this.#rate = rate
    this.#after = after
    this.#startedAt = Math.floor(x.startedAt / 1000)
  }

  get pendingBytes(): number {
    return this.#queued + this.next.pendingBytes
  }

  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    if (first === null) return this.next.sendHead(x, null)
    const allowed = this.#allowance()
    if (first.length > allowed) {
      this.#full = !this.next.sendHead(x, null)
      return this.sendBody(x, first)
    }
    const before = x.bytesSent
    this.#full = !this.next.sendHead(x, first)
    this.#pause(before)
    return !this.#full
  }

  sendBody(_x: Exchange, chunk: Uint8Array | string): boolean {
    if (chunk.length === 0) return true
    this.#queue.push(chunk)
    this.#queued += chunk.length
    if (this.#timer === null && !this.#full) this.#pump()
    return this.#queued === 0 && !this.#full
  }

  sendEnd(x: Exchange): Step {
    if (this.#queued === 0) return this.next.sendEnd(x)
    this.#ended = true
    return Step.SUSPENDED
  }

  drained(): void {
    this.#full = false
    if (this.#timer === null) this.#go()
  }

  dispose(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#queue = []
    this.#queued = 0
  }

  /** Sends one portion, and lets the next wait as long as this one should take. */
  #pump(): void {
    const allowed = this.#allowance()
    if (allowed <= 0) {
      this.#wait((-allowed * 1000) / this.#rate + 1)
      return
    }
    const before = this.x.bytesSent
    let left = allowed
    let room = true
    while (this.#queue.length > 0 && left > 0 && room) {
      const piece = this.#take(left)
      left -= piece.length
      room = this.next.sendBody(this.x, piece)
    }
    this.#full = !room
    this.#pause(before)
  }

  /** Bytes that may leave now; not above 0: none, and how many too many have left already. */
  #allowance(): number {
    const seconds = Math.floor(Date.now() / 1000) - this.#startedAt
    return this.#rate * (seconds + 1) - (this.x.bytesSent - this.#after)
  }

  #pause(before: number): void {
    const sent = Math.max(0, this.x.bytesSent - this.#after) - Math.max(0, before - this.#after)
    const ms = (sent * 1000) / this.#rate
    if (ms >= 1) this.#wait(ms)
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        if (!this.#full) this.#go()
      },
      Math.min(ms, 0x7fffffff),
    )
  }

  #go(): void {
    while (this.#queued > 0 && this.#timer === null && !this.#full) this.#pump()
    if (this.#queued > 0 || this.#full) return
    const { x } = this
    if (this.#ended) {
      this.#ended = false
      x.generation.services.resume(x, this.next.sendEnd(x))
    } else this.release()
  }

  #take(most: number): Uint8Array | string {
    const piece = this.#queue[0]
    if (piece.length <= most) {
      this.#queue.shift()
      this.#queued -= piece.length
      return piece
    }
    const cut = typeof piece === 'string' ? piece.slice(0, most) : piece.subarray(0, most)
    this.#queue[0] = typeof piece === 'string' ? piece.slice(most) : piece.subarray(most)
    this.#queued -= most
    return cut
  }
}
