/** The host functions behind `fetch`: what the guest asks for, as `prelude-fetch.ts` puts it. */
import type { FetchRequest } from '../phases.ts'
import { argument, bytesAt, type DoorContext, type HostFunctions, isAbsent, MAX_BODY } from './door.ts'
import { GuestError } from './guest-values.ts'
import { ReadAs } from './prelude-fetch.ts'

/** Bytes of everything but the body, as JSON; what each part may have is the host's to say. */
const MAX_DESCRIBED = 128 * 1024
/** Bytes of a piece of a streamed body; the guest cuts what is longer. */
const MAX_PIECE = 64 * 1024
const REDIRECTS = ['follow', 'manual', 'error'] as const

export function fetchDoor(door: DoorContext): HostFunctions {
  const { values } = door
  return {
    loadFetch() {
      door.loadFetch()
      return 0
    },
    /** `(described, stream, body or undefined, offset, length)`, all given: an id. */
    fetchStart(_self, argv) {
      const described = readDescribed(values.text(argv, 'the request', MAX_DESCRIBED))
      const isStream = values.low(argument(argv, 1)) === 1
      const data = argument(argv, 2)
      const body = isStream
        ? 'stream'
        : isAbsent(door, data)
          ? null
          : bytesAt(door, argv, 2, 'the body', MAX_BODY)
      return values.int(door.fetches.start({ ...described, body }))
    },
    fetchRead(_self, argv) {
      const as = values.low(argument(argv, 1))
      door.fetches.read(values.low(argv), as === ReadAs.BYTES || as === ReadAs.TEXT ? as : ReadAs.PIECE)
      return 0
    },
    /** `(id, buffer)`: whether more may follow at once. */
    fetchWrite(_self, argv) {
      const piece = values.buffer(argument(argv, 1), 'a piece of the body', MAX_PIECE)
      return values.boolean(door.fetches.write(values.low(argv), piece))
    },
    fetchFinish(_self, argv) {
      door.fetches.finish(values.low(argv))
      return 0
    },
    fetchAbort(_self, argv) {
      door.fetches.abort(values.low(argv))
      return 0
    },
  }
}

/** @throws GuestError */
function readDescribed(json: string): Omit<FetchRequest, 'request' | 'body'> {
  const { url, method, headers, redirect, timeout } = JSON.parse(json) as Record<string, unknown>
  const mode = REDIRECTS.find((each) => each === redirect)
  if (mode === undefined) throw new GuestError('TypeError', 'redirect is "follow", "manual" or "error"')
  if (timeout !== null && !(typeof timeout === 'number' && timeout > 0)) {
    throw new GuestError('RangeError', 'timeout is a number of milliseconds above 0')
  }
  if (
    typeof url !== 'string' ||
    typeof method !== 'string' ||
    !Array.isArray(headers) ||
    !headers.every(isPair)
  ) {
    throw new GuestError('TypeError', 'fetch takes a URL and options')
  }
  return { url, method, headers, redirect: mode, timeout: timeout ?? Number.POSITIVE_INFINITY }
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string')
}
