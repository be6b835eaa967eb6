/**
 * What `bodyFilter` is given, and what it and `wsMessage` return in the place of what came: nothing (it goes on as it
 * is), a text, bytes, or null. Knows values and phases, no waiting.
 */
import { Outcome, type Phase } from '../phases.ts'
import { bytesAt, type DoorContext, type HostFunctions, MAX_BODY, slotOf } from './door.ts'
import { GuestError, toBytes } from './guest-values.ts'
import type { Address } from './quickjs-module.ts'
import type { Sandbox } from './sandbox.ts'
import { HookFailure } from './script-error.ts'
import { Decision, type Slot } from './slots.ts'

const NOTHING = new Uint8Array(0)

export function passesContent(phase: Phase): boolean {
  return phase === 'wsMessage' || phase === 'bodyFilter'
}

/** Calls `bodyFilter(r, chunk, { last })`; the chunk is a copy, the guest's own. @throws Poisoned */
export function callBodyFilter(sandbox: Sandbox, slot: Slot, hook: Address): Address {
  const { instance, values } = sandbox
  const chunk = slot.request!.bodyChunk
  if (chunk === null) throw tooLate(slot)
  const buffer = values.arrayBuffer(chunk.data)
  const last = values.boolean(chunk.last)
  const cell = instance.call(sandbox.guest.filter, hook, slot.r, buffer, last)
  instance.free(buffer)
  instance.free(last)
  return cell
}

/**
 * The hook returned null: the message is dropped, or nothing goes on in the chunk's place.
 * @throws HookFailure when its `ws.state` cannot be kept, Poisoned
 */
export function concludeNothing(sandbox: Sandbox, slot: Slot): Outcome {
  saveState(sandbox, slot)
  if (slot.phase === 'wsMessage') return Outcome.DROPPED
  replace(slot, NOTHING, false)
  return Outcome.REPLACED
}

/**
 * The hook returned this text. The cell stays the caller's.
 * @throws GuestError when it is too long, RangeError when the view refuses it, HookFailure when its `ws.state` cannot be
 * kept, Poisoned
 */
export function concludeText(sandbox: Sandbox, slot: Slot, cell: Address): Outcome {
  const text = sandbox.values.text(cell, `what ${slot.phase} returned`, MAX_BODY)
  saveState(sandbox, slot)
  replace(slot, Buffer.from(text, 'latin1'), false)
  return Outcome.REPLACED
}

/** Called by the prelude with the bytes that the hook returned. */
export function contentDoor(door: DoorContext): HostFunctions {
  return {
    /** `(buffer, offset, length)` */
    replaceWith(self, argv) {
      const slot = slotOf(door, self)
      try {
        saveState(door, slot)
      } catch (error) {
        throw error instanceof HookFailure ? new GuestError('Error', toBytes(error.message)) : error
      }
      replace(slot, bytesAt(door, argv, 0, `what ${slot.phase} returned`, MAX_BODY), true)
      slot.decision = Decision.REPLACED
      return 0
    },
  }
}

/** Before anything is replaced: a `ws.state` that cannot be kept fails the hook. @throws HookFailure, Poisoned */
function saveState(door: DoorContext, slot: Slot): void {
  if (door.sockets.anyTouched) door.sockets.save(slot)
}

function replace(slot: Slot, data: Uint8Array, binary: boolean): void {
  const { bodyChunk, webSocket } = slot.request!
  if (slot.phase === 'bodyFilter' && bodyChunk !== null) bodyChunk.replace(data)
  else if (slot.phase === 'wsMessage' && webSocket !== null && webSocket.message !== null)
    webSocket.replace(data, binary)
  else throw tooLate(slot)
}

function tooLate(slot: Slot): GuestError {
  return new GuestError('Error', `the ${slot.phase} hook has ended too late`)
}
