/**
 * What the guest's inspector asks of the host: what a value really is, whatever it says of itself. Reads where QuickJS
 * keeps it and runs no guest code; `self-test.ts` proves the place.
 */

import { argument, type DoorContext, type HostFunctions } from './door.ts'
import { addFormatter } from './guest-setup.ts'
import { type GuestValues, Tag } from './guest-values.ts'
import type { Address } from './quickjs-module.ts'

/** Bits to shift the second word of a `JSObject` by: its class stands in the upper half. */
const CLASS_SHIFT = 16

/** The class of an object as a number that is the same for all of its kind, e.g. all proxies; -1: no object. */
export function classOf(values: GuestValues, cell: Address): number {
  if (values.tag(cell) !== Tag.OBJECT) return -1
  return values.words[(values.low(cell) >>> 2) + 1] >>> CLASS_SHIFT
}

export function inspectDoor(door: DoorContext): HostFunctions {
  const { values } = door
  return {
    loadFormatter() {
      addFormatter(door.instance, door.guest)
      return 0
    },
    classOf: (_self, argv) => values.int(classOf(values, argument(argv, 0))),
    /** 0 pending, 1 fulfilled, 2 rejected. */
    promiseState: (_self, argv) => values.int(door.instance.promiseState(argument(argv, 0))),
  }
}
