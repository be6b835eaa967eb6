/** What a hook call that did not end well is told as, whatever was thrown out of it. */
import { GuestError, OutOfMemory } from './guest-values.ts'
import { Poisoned } from './instance.ts'
import { type Frame, HookFailure, positionOf } from './script-error.ts'

export const STARTING = new HookFailure({ message: 'the sandbox is starting again', frames: [] }, false)
export const LEFT_OUT = new HookFailure(
  { message: 'it is left out for a while: it overran its limits', frames: [] },
  false,
)

/** The guest's own error when memory has run out, if the sandbox can still say so. */
const OUT_OF_MEMORY = /^InternalError: out of memory$/

/** @param place where the hook stands, for failures that do not say where they happened */
export function toFailure(error: unknown, place: readonly Frame[] = []): HookFailure {
  if (error instanceof HookFailure) {
    const { message, frames } = error.fault
    const overrun = error.overrun || OUT_OF_MEMORY.test(message)
    if (overrun === error.overrun && frames.length > 0) return error
    return new HookFailure({ ...error.fault, frames: frames.length > 0 ? frames : place }, overrun)
  }
  const message = error instanceof Error ? error.message : String(error)
  const frames = error instanceof Poisoned ? positionOf(error) : []
  const overrun = error instanceof Poisoned || error instanceof OutOfMemory
  return new HookFailure({ message, frames: frames.length > 0 ? frames : place }, overrun)
}

/** Whatever is no error of the script's leaves the sandbox in a state that nobody knows. */
export function isLoss(error: unknown): boolean {
  return !(error instanceof HookFailure || error instanceof GuestError)
}
