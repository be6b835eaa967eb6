/** Values of session maps, JSON texts or bytes, as the guest's own. */
import type { MapValue } from '../phases.ts'
import { type GuestValues, Tag, toBytes } from './guest-values.ts'
import type { Instance } from './instance.ts'
import type { MapGuest } from './map-calls.ts'
import type { Address } from './quickjs-module.ts'

const QUOTE = 0x22

/**
 * The guest's own value of a stored one.
 * @returns null when it is no JSON: somebody else has written it. @throws Poisoned
 */
export function guestValue(
  { instance, values, guest }: Pick<MapGuest, 'instance' | 'values' | 'guest'>,
  value: MapValue,
): Address | null {
  if (typeof value !== 'string') return taken(instance, values, guest.bytesFrom, values.arrayBuffer(value))
  const last = value.length - 1
  // Fast path: texts that say what they are, such as the names of peers (`test/bench/micro-script.ts`).
  if (last > 0 && value.charCodeAt(0) === QUOTE && value.charCodeAt(last) === QUOTE && !value.includes('\\'))
    return values.string(toBytes(value.slice(1, last)))
  return taken(instance, values, guest.parse, values.string(toBytes(value)))
}

function taken(instance: Instance, values: GuestValues, make: Address, from: Address): Address | null {
  const cell = instance.call1(make, from)
  instance.free(from)
  if (values.tag(cell) !== Tag.EXCEPTION) return cell
  instance.free(instance.takeException(cell))
  return null
}
