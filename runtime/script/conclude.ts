/** Reads what a hook returned or decided, and carries it out on the request. Knows values and phases, no waiting. */
import { Outcome, type Phase } from '../phases.ts'
import { chosenPeer } from './balancer-door.ts'
import { concludeNothing, concludeText, passesContent } from './content.ts'
import { fromBytes, GuestError, Tag } from './guest-values.ts'
import type { Address } from './quickjs-module.ts'
import type { Sandbox } from './sandbox.ts'
import { HookFailure, positionOf } from './script-error.ts'
import { Decision, type Slot } from './slots.ts'

const PENDING = 0
const FULFILLED = 1
const REJECTED = 2

/** Phases whose result means nothing. */
const SILENT: readonly Phase[] = ['headerFilter', 'log', 'wsOpen', 'wsClose']

/** Fields of a message's framing are the proxy's. */
const FRAMING = /^(?:content-length|transfer-encoding|connection|keep-alive)$/i

/**
 * What the hook of this slot comes to. Frees the cell.
 * @throws HookFailure, Poisoned
 */
export function conclude(sandbox: Sandbox, slot: Slot, cell: Address): Outcome {
  const { instance, values } = sandbox
  const tag = values.tag(cell)
  if (tag === Tag.EXCEPTION) throw sandbox.failureOf(instance.takeException(cell))
  if (tag === Tag.OBJECT) return concludeObject(sandbox, slot, cell)
  if (instance.killed) throw overrun(sandbox)
  if (tag === Tag.UNDEFINED || tag === Tag.NULL) {
    values.recycle(cell)
    if (tag === Tag.NULL && passesContent(slot.phase)) return concludeContent(sandbox, slot, 0)
    return slot.decision === Decision.NONE ? Outcome.PASS : carryOut(slot)
  }
  return concludeValue(sandbox, slot, cell)
}

/** A promise, or a value like any other. */
function concludeObject(sandbox: Sandbox, slot: Slot, cell: Address): Outcome {
  const { instance } = sandbox
  const state = instance.promiseState(cell)
  if (state === REJECTED) {
    const reason = instance.promiseResult(cell)
    instance.free(cell)
    throw sandbox.failureOf(reason)
  }
  // An async function can catch the interruption; its time is up all the same.
  if (instance.killed) throw overrun(sandbox)
  if (state === FULFILLED) {
    const result = instance.promiseResult(cell)
    instance.free(cell)
    return conclude(sandbox, slot, result)
  }
  if (state !== PENDING) return concludeValue(sandbox, slot, cell)
  // The decision stands; what the script still does after it is of no interest.
  const outcome = slot.decision === Decision.NONE ? sandbox.suspend(slot, cell) : carryOut(slot)
  instance.free(cell)
  return outcome
}

function concludeValue(sandbox: Sandbox, slot: Slot, cell: Address): Outcome {
  const { instance, values } = sandbox
  if (slot.phase === 'balancer' && slot.decision === Decision.NONE) {
    const outcome = choose(sandbox, slot, cell)
    instance.free(cell)
    return outcome
  }
  if (slot.decision !== Decision.NONE || SILENT.includes(slot.phase)) {
    instance.free(cell)
    return slot.decision === Decision.NONE ? Outcome.PASS : carryOut(slot)
  }
  if (values.isString(cell) && passesContent(slot.phase)) {
    const outcome = concludeContent(sandbox, slot, cell)
    instance.free(cell)
    return outcome
  }
  return decide(sandbox, slot, cell)
}

/** The prelude looks at what cannot be told by its tag. Frees the cell. */
function decide(sandbox: Sandbox, slot: Slot, cell: Address): Outcome {
  const { instance, values } = sandbox
  const phase = values.string(slot.phase)
  const decided = instance.call(sandbox.guest.decide, slot.r, cell, phase)
  instance.free(phase)
  instance.free(cell)
  // Undefined: an answer; an object: the promise of a thenable, whose `then` is called in a job; an exception: neither.
  if (instance.hasJobs) sandbox.drain()
  return conclude(sandbox, slot, decided)
}

/** @param cell a text, which stays the caller's; 0: null */
function concludeContent(sandbox: Sandbox, slot: Slot, cell: Address): Outcome {
  try {
    return cell === 0 ? concludeNothing(sandbox, slot) : concludeText(sandbox, slot, cell)
  } catch (error) {
    throw refused(error)
  }
}

function choose(sandbox: Sandbox, slot: Slot, cell: Address): Outcome {
  const view = slot.request!.balancer
  if (view === null) throw ownFailure('the balancer hook has ended too late')
  try {
    view.choose(chosenPeer(sandbox, sandbox.groups.of(view.peers), cell))
    return Outcome.PEER
  } catch (error) {
    throw refused(error)
  }
}

function carryOut(slot: Slot): Outcome {
  const request = slot.request!
  if (slot.decision === Decision.REDIRECT) return Outcome.REDIRECT
  if (slot.decision === Decision.DECLINE) return Outcome.PASS
  if (slot.decision === Decision.REPLACED) return Outcome.REPLACED
  try {
    request.answer(slot.status, fieldsOf(slot), slot.body)
    return Outcome.ANSWER
  } catch (error) {
    throw refused(error)
  }
}

const NO_FIELDS: [string, string][] = []

/** Those of the answer, and those that the script has set on `r.headersOut` before. */
function fieldsOf(slot: Slot): readonly (readonly [string, string])[] {
  const set = slot.request!.responseHeaders.entries()
  const own = slot.fields ?? NO_FIELDS
  if (set.length === 0) return own
  const names = new Set(own.map(([name]) => name.toLowerCase()))
  const kept = set.filter(([name]) => !FRAMING.test(name) && !names.has(name.toLowerCase()))
  return [...kept, ...own]
}

/** The request did not accept it; such messages are for the script's author. */
function refused(error: unknown): unknown {
  if (error instanceof RangeError || error instanceof GuestError) return ownFailure(fromBytes(error.message))
  return error
}

function overrun(sandbox: Sandbox): HookFailure {
  const { cpuMessage } = sandbox.instance
  return new HookFailure({ message: cpuMessage, frames: positionOf(sandbox.instance) }, true)
}

function ownFailure(message: string): HookFailure {
  return new HookFailure({ message, frames: [] }, false)
}
