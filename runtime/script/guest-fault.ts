/** What a guest error says, in the guest's own words. Reading it may run guest code, within the limits. */
import type { Guest } from './guest-setup.ts'
import { fromBytes, Tag } from './guest-values.ts'
import type { Instance } from './instance.ts'
import type { Address } from './quickjs-module.ts'
import { type Fault, readFault } from './script-error.ts'

export const MAX_DESCRIPTION = 64 * 1024

const NAMELESS: Fault = { message: 'an error that cannot be described', frames: [] }

/** Frees the error's cell. @throws Poisoned */
export function faultOf(instance: Instance, guest: Guest, error: Address): Fault {
  const { values } = instance
  // The entry may have used up its time; this is not for the script's account.
  const described = instance.inGrace(() => instance.call1(guest.describe, error))
  instance.free(error)
  if (values.tag(described) === Tag.EXCEPTION) {
    instance.free(instance.takeException(described))
    return NAMELESS
  }
  const text = values.text(described, 'an error', MAX_DESCRIPTION)
  instance.free(described)
  return ranOut(instance, readFault(fromBytes(text)))
}

/** QuickJS throws null where it has no memory left for an error. */
export function ranOut(instance: Instance, fault: Fault): Fault {
  if (!instance.ranOut || fault.message !== 'thrown: null') return fault
  return { ...fault, message: 'InternalError: out of memory' }
}
