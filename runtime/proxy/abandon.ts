/** Ends an exchange that nobody waits for any more: its client has left, or the response that it was a part of is over. */
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'

/** Lets go of upstream, file and hook, then goes on to the log. */
export function abandon(x: Exchange): void {
  x.closed = true
  x.keepAlive = false
  if (!x.headSent) x.status = 499
  x.call?.abandon()
  const wake = x.onDrained
  if (wake !== null) {
    // A file being sent: it sees that nobody waits and closes.
    x.onDrained = null
    wake(x)
  }
  const { services } = x.generation
  services.abandonHook(x)
  services.resume(x, Step.LOG)
}

/** An upstream is at work for the exchange, or for a subrequest of it, that need not go on when the client has left. */
export function waitsForUpstream(x: Exchange): boolean {
  const { call, authorization } = x
  if (call !== null && call.connection !== null && !call.plan.settings.proxyIgnoreClientAbort) return true
  if (authorization !== null && !authorization.done && waitsForUpstream(authorization.exchange)) return true
  for (let filter = x.lastFilter; filter !== null; filter = filter.previous) {
    for (const inner of filter.inner) if (waitsForUpstream(inner)) return true
  }
  return false
}
