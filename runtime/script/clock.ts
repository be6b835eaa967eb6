/** The process's own time, which sandboxes go by unless their host gives them another. */
import type { ScriptClock } from '../phases.ts'

export const SYSTEM_CLOCK: ScriptClock = {
  now: () => Date.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
  seed: null,
}
