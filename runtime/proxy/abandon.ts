/** Ends an exchange that nobody waits for any more: its client has left, or the response that it was a part of is over. */
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'

/** Lets go of upstream, file and hook, then goes on to the log. */
export function abandon(x: Exchange): void {
  x.closed = true
  x.keepAlive = false
  if (!x.headSent) x.status = 499
  x.call?.abandon()
  if (x.delay !== null) clearTimeout(x.delay)
  x.delay = null
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

/**
 * The exchange waits for something that need not go on when the client has left: its turn (`limit_req`), a hook, or an
 * upstream that is at work for it or for a subrequest of it.
 */
export function waitsInVain(x: Exchange): boolean {
  const { call, authorization } = x
  if (x.delay !== null) return true
  if (x.hookWaits && !x.location.settings.proxyIgnoreClientAbort) return true
  if (call !== null && call.connection !== null && !call.plan.settings.proxyIgnoreClientAbort) return true
  if (authorization !== null && !authorization.done && waitsInVain(authorization.exchange)) return true
  for (let filter = x.lastFilter; filter !== null; filter = filter.previous) {
    for (const inner of filter.inner) if (waitsInVain(inner)) return true
  }
  return false
}
