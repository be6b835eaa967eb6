/** The host functions behind `r.headersIn` and `r.headersOut`. */
import type { HeaderAccess } from '../phases.ts'
import {
  Allowed,
  allow,
  argument,
  type DoorContext,
  type HostFunctions,
  MAX_NAME,
  MAX_VALUE,
  objectAt,
} from './door.ts'
import { GuestError } from './guest-values.ts'
import type { Address } from './quickjs-module.ts'
import type { Slot } from './slots.ts'

/** Places in `Slot.addresses`: each side's fields are a proxy and its target. */
const IN = 2
const OUT = 4

export function fieldsDoor(door: DoorContext): HostFunctions {
  const { values } = door
  const reading = (self: Address): HeaderAccess => {
    const address = objectAt(door, self)
    const slot = door.slots.of(address)
    return isIn(slot, address) ? slot.request!.requestHeaders : slot.request!.responseHeaders
  }
  const writing = (slot: Slot, address: number): HeaderAccess => {
    if (isIn(slot, address)) {
      allow(slot, Allowed.HEADERS_IN, 'changing r.headersIn')
      return slot.request!.requestHeaders
    }
    allow(slot, Allowed.HEADERS_OUT, 'changing r.headersOut')
    return slot.request!.responseHeaders
  }
  const name = (argv: Address): string => values.text(argv, 'a header name', MAX_NAME)
  const value = (argv: Address): string => values.text(argument(argv, 1), 'a header value', MAX_VALUE)
  return {
    fieldGet(self, argv) {
      const found = reading(self).get(name(argv))
      return found === undefined ? 0 : values.string(found)
    },
    fieldGetAll: (self, argv) => json(door, reading(self).getAll(name(argv))),
    fieldHas: (self, argv) => values.boolean(reading(self).has(name(argv))),
    fieldEntries: (self) => json(door, reading(self).entries()),
    fieldSet(self, argv) {
      const address = objectAt(door, self)
      const slot = door.slots.of(address)
      const fields = writing(slot, address)
      const field = name(argv)
      const text = value(argv)
      slot.quota.take(field, text)
      fields.set(field, text)
      return 0
    },
    fieldAppend(self, argv) {
      const address = objectAt(door, self)
      const slot = door.slots.of(address)
      const fields = writing(slot, address)
      const field = name(argv)
      const text = value(argv)
      slot.quota.take(field, text)
      fields.append(field, text)
      return 0
    },
    fieldDelete(self, argv) {
      const address = objectAt(door, self)
      writing(door.slots.of(address), address).delete(name(argv))
      return 0
    },
  }
}

function isIn(slot: Slot, address: number): boolean {
  const { addresses } = slot
  if (address === addresses[IN] || address === addresses[IN + 1]) return true
  if (address === addresses[OUT] || address === addresses[OUT + 1]) return false
  throw new GuestError('TypeError', 'a method of header fields was called on something else')
}

/** Byte strings inside become UTF-8 in the guest as they are: JSON escapes nothing above ASCII. */
function json(door: DoorContext, value: unknown): Address {
  return door.values.string(JSON.stringify(value))
}
