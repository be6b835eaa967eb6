/**
 * What the host functions share: where they act, which phases allow what, and how they read their arguments.
 * Host functions are methods and getters of guest objects; they get the cells of `this` and of the arguments.
 */
import type { HookRequest, Phase, ScriptClock, ScriptHost } from '../phases.ts'
import type { Fetches } from './fetches.ts'
import type { GuestLog } from './guest-log.ts'
import type { Guest } from './guest-setup.ts'
import { GuestError, type GuestValues, Tag } from './guest-values.ts'
import type { HostFunction, Instance } from './instance.ts'
import type { MapCalls } from './map-calls.ts'
import type { PeerGroups } from './peer-groups.ts'
import type { Address } from './quickjs-module.ts'
import type { Repeats } from './repeats.ts'
import type { Slot, Slots } from './slots.ts'
import type { WebSockets } from './web-sockets.ts'

export type HostFunctions = Record<string, HostFunction>

/** The sandbox as its host functions see it. */
export interface DoorContext {
  readonly instance: Instance
  readonly values: GuestValues
  readonly slots: Slots
  readonly groups: PeerGroups
  readonly guest: Guest
  readonly host: ScriptHost
  readonly clock: ScriptClock
  readonly log: GuestLog
  /** The slot whose hook, timer or continuation runs; null while the script loads, and for its own timers. */
  readonly current: Slot | null
  /** The script has loaded. */
  readonly ready: boolean
  /** Starts a timer for the current slot, or for the script itself. @returns its id. @throws GuestError over the quota */
  startTimer(ms: number): number
  stopTimer(id: number): void
  /** Reads the request's body and then settles the guest's promise of that id. @throws GuestError over the quota */
  readBody(slot: Slot): number
  /** A promise that the host watches has settled. */
  settled(ticket: number, failed: boolean, value: Address): void
  /** Compiles URL and its like. */
  loadWebGlobals(): void
  readonly fetches: Fetches
  readonly maps: MapCalls
  /** Compiles fetch and its like. */
  loadFetch(): void
  readonly repeats: Repeats
  readonly sockets: WebSockets
}

/** Bytes that a script may hand over at once. */
export const MAX_BODY = 16 * 1024 * 1024
export const MAX_VALUE = 64 * 1024
export const MAX_NAME = 1024

const ANSWERING: readonly Phase[] = ['rewrite', 'access', 'content']

/** Which phases allow what changes a request. */
export const Allowed = {
  ANSWER: ANSWERING,
  BODY: ANSWERING,
  URI: ['rewrite'],
  HEADERS_IN: ['rewrite', 'access', 'balancer'],
  HEADERS_OUT: ['rewrite', 'access', 'content', 'headerFilter'],
  STATUS: ['headerFilter'],
} as const satisfies Record<string, readonly Phase[]>

/** @throws GuestError when the slot's phase is none of these, or its hook has ended */
export function allow(slot: Slot, phases: readonly Phase[], what: string): void {
  if (!isOneOf(slot.phase, phases)) {
    throw new GuestError('TypeError', `${what} is possible in ${phases.join(', ')}, not in ${slot.phase}`)
  }
  if (!slot.active)
    throw new GuestError('TypeError', `${what} comes too late: the ${slot.phase} hook has ended`)
}

/** `includes` for few and equal texts: without a call. */
function isOneOf(phase: Phase, phases: readonly Phase[]): boolean {
  for (let i = 0; i < phases.length; i++) if (phases[i] === phase) return true
  return false
}

/** The slot of the object that a method or getter was called on. @throws GuestError */
export function slotOf(door: DoorContext, self: Address): Slot {
  return door.slots.of(objectAt(door, self))
}

/** The request of that object. @throws GuestError */
export function requestOf(door: DoorContext, self: Address): HookRequest {
  return slotOf(door, self).request!
}

/** The address of an object; 0, which is none, for everything else. */
export function objectAt(door: DoorContext, cell: Address): number {
  return door.values.tag(cell) === Tag.OBJECT ? door.values.low(cell) : 0
}

/** Cell of the n-th argument. */
export function argument(argv: Address, index: number): Address {
  return argv + 8 * index
}

export function isAbsent(door: DoorContext, cell: Address): boolean {
  const tag = door.values.tag(cell)
  return tag === Tag.UNDEFINED || tag === Tag.NULL
}

/** Bytes given as `(buffer, offset, length)`, or a string. */
export function bytesAt(
  door: DoorContext,
  argv: Address,
  index: number,
  what: string,
  limit: number,
): Uint8Array {
  const { values } = door
  const first = argument(argv, index)
  if (values.tag(first) !== Tag.OBJECT) return Buffer.from(values.text(first, what, limit), 'latin1')
  const start = values.number(argument(argv, index + 1))
  const length = values.number(argument(argv, index + 2))
  return values.buffer(first, what, limit, start, length)
}
