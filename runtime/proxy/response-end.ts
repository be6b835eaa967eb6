/** The end of a response body: trailers get their last values, then the framing is closed. */
import type { Exchange } from './exchange.ts'
import { fillTrailers } from './header-rules.ts'
import type { Step } from './step.ts'

/** LOG, or SUSPENDED when a filter still has bytes to make. */
export function endResponse(x: Exchange): Step {
  const rules = x.location.headerRules
  if (x.trailers !== null && rules !== null) fillTrailers(x, rules)
  return x.output.sendEnd(x)
}
