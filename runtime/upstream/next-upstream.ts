/**
 * `proxy_next_upstream`: what may go wrong with a try, whether another peer may be tried after it, what it means for
 * the peer, and the status when nothing else is left. Pure.
 */
import type { Verdict } from './selection.ts'

/** `no_live`: no peer was eligible; the others are words of `proxy_next_upstream`. */
export type TryEvent =
  | 'error'
  | 'timeout'
  | 'invalid_header'
  | 'http_500'
  | 'http_502'
  | 'http_503'
  | 'http_504'
  | 'http_403'
  | 'http_404'
  | 'http_429'
  | 'no_live'

const STATUSES: Readonly<Record<TryEvent, number>> = {
  error: 502,
  timeout: 504,
  invalid_header: 502,
  http_500: 500,
  http_502: 502,
  http_503: 503,
  http_504: 504,
  http_403: 403,
  http_404: 404,
  http_429: 429,
  no_live: 502,
}

/** Methods that a peer may have acted upon: sent once, they need `non_idempotent`. */
const NON_IDEMPOTENT: ReadonlySet<string> = new Set(['POST', 'LOCK', 'PATCH'])

export interface RetryQuestion {
  readonly event: TryEvent
  /** Words of `proxy_next_upstream`; empty is `off`. */
  readonly configured: ReadonlySet<string>
  readonly method: string
  /** Any byte of the request has been sent to the peer. */
  readonly requestSent: boolean
  /** The whole body can be sent again (`proxy_request_buffering on`, or no body). */
  readonly replayable: boolean
  /** Tries after this one: `Selection.tries` once it is released, one less before. */
  readonly triesLeft: number
  /** ms on any clock when the first try began. */
  readonly startedAt: number
  readonly now: number
  /** `proxy_next_upstream_timeout` in ms; 0: none. */
  readonly timeout: number
}

/**
 * Whether another peer may be tried. For a status (`http_…`) ask before the peer is released: if not, the answer is
 * passed on and the try counts as a success.
 */
export function mayRetry(question: RetryQuestion): boolean {
  const { event, configured, requestSent, startedAt, now, timeout } = question
  if (event === 'no_live' || question.triesLeft <= 0 || !configured.has(event)) return false
  if (timeout > 0 && now - startedAt >= timeout) return false
  if (!requestSent) return true
  return question.replayable && (!NON_IDEMPOTENT.has(question.method) || configured.has('non_idempotent'))
}

/** The event that an answer's status may be, or null for every other status. */
export function eventOfStatus(status: number): TryEvent | null {
  switch (status) {
    case 403:
      return 'http_403'
    case 404:
      return 'http_404'
    case 429:
      return 'http_429'
    case 500:
      return 'http_500'
    case 502:
      return 'http_502'
    case 503:
      return 'http_503'
    case 504:
      return 'http_504'
    default:
      return null
  }
}

/** What a try that ended so means for its peer: 403 and 404 are no failure of the server. */
export function verdictOf(event: TryEvent): Verdict {
  return event === 'http_403' || event === 'http_404' ? 'next' : 'failed'
}

/** The response status when no further try follows. */
export function finalStatus(event: TryEvent): number {
  return STATUSES[event]
}
