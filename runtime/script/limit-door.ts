/** The host functions behind `sluice:limit`: what `stdlib/limit.js` asks for, checked. */
import { createHash } from 'node:crypto'
import type { RateRequest } from '../phases.ts'
import { argument, type DoorContext, type HostFunctions, MAX_BODY, MAX_NAME, requestOf } from './door.ts'
import { fromBytes, GuestError } from './guest-values.ts'
import type { Address } from './quickjs-module.ts'

/** Longer keys are counted by their hash. */
const LONG = 256
/** What a host without limits says: taken, and nothing is missing. */
const NOTHING_TAKEN = 0

export function limitDoor(door: DoorContext): HostFunctions {
  const { values } = door
  return {
    /** How the host settles what the guest waits for. */
    limitReady(_self, argv) {
      door.maps.ready(door.instance.duplicate(argv))
      return 0
    },
    /** `(name, key, rate, burst, cost)`: as `Store.take`. */
    limitTake(_self, argv) {
      const asked = rateAt(door, argv)
      return values.double(door.host.limits?.take(asked) ?? NOTHING_TAKEN)
    },
    /** The same of the store: an id. */
    limitAsk(_self, argv) {
      const asked = rateAt(door, argv)
      const { limits } = door.host
      const ask = async () => {
        const wait = (await limits?.takeShared(asked)) ?? NOTHING_TAKEN
        return () => values.double(wait)
      }
      return values.int(door.maps.start(null, asked.key, { ask }))
    },
    /** `(r, name, key, max)`: whether the request is admitted; it counts until it ends. */
    limitAdmit(_self, argv) {
      const request = requestOf(door, argv)
      const name = values.text(argument(argv, 1), 'the name of a limit', MAX_NAME)
      const key = keyAt(door, argument(argv, 2))
      const max = numberAt(door, argument(argv, 3))
      return values.boolean(door.host.limits?.admit(request, name, key, max) ?? true)
    },
  }
}

function rateAt(door: DoorContext, argv: Address): RateRequest {
  return {
    name: fromBytes(door.values.text(argv, 'the name of a limit', MAX_NAME)),
    key: keyAt(door, argument(argv, 1)),
    rate: numberAt(door, argument(argv, 2)),
    burst: numberAt(door, argument(argv, 3)),
    cost: numberAt(door, argument(argv, 4)),
  }
}

function keyAt(door: DoorContext, cell: Address): string {
  const key = door.values.text(cell, 'the key', MAX_BODY)
  return key.length > LONG ? createHash('sha256').update(key, 'latin1').digest('hex') : fromBytes(key)
}

function numberAt({ values }: DoorContext, cell: Address): number {
  const number = values.isNumber(cell) ? values.number(cell) : Number.NaN
  if (!(number > 0) || number === Number.POSITIVE_INFINITY)
    throw new GuestError('TypeError', 'a limit is made of numbers above 0')
  return number
}
