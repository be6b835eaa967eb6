/**
 * The part of the prelude that turns errors and the values of a log line into text. What shows objects is compiled when
 * a script first needs it: most never do, and it would take a third of the time that a sandbox takes to start.
 * GUEST code: see `prelude.ts`.
 */
import type { Door } from './prelude.ts'
import { formatPrelude, type GuestFormatter } from './prelude-format.ts'
import { inspectPrelude, type Known } from './prelude-inspect.ts'
import { jsonPrelude } from './prelude-json.ts'

export interface GuestText {
  /** Status or nothing, U+0001, stack, U+0001, message: what `readFault` of the host reads. */
  describe(error: unknown): string
  /**
   * Notes that the client is to blame for this error, and with which status it is answered unless the script catches it.
   * A script can read it, and cannot make such an error itself.
   */
  blameClient<E extends Error>(error: E, status: number): E
  format(values: unknown[]): string
  inspect(value: unknown): string
  /** @param status above 0: the client is to blame */
  makeError(kind: string, message: string, status: number): Error
  /** How the host's own objects look. */
  readonly known: Known
  addFormatter(make: (door: Door, known: Known) => GuestFormatter): void
}

/** An expression for the sandbox: `(door, known) => formatter`. */
export const FORMATTER_SOURCE = `((door, known) =>
  (${formatPrelude})((${inspectPrelude})(door, known), (${jsonPrelude})(door)))`

export function textPrelude(door: Door): GuestText {
  const MAX_TEXT = 4096
  const MAX_PROTOTYPES = 16
  const { apply, defineProperty, getOwnPropertyDescriptor: describeProperty, getPrototypeOf } = Reflect
  const Failure = Error
  const Mistake = TypeError
  const Range = RangeError
  const slice = String.prototype.slice
  const indexOf = String.prototype.indexOf
  const kindOf = door.classOf as (value: unknown) => number
  const PROXY = kindOf(new Proxy({}, {}))
  const ERROR = kindOf(new Failure())
  const known: Known = { types: [], proxy: () => undefined }
  const blames = new WeakMap<object, number>()
  const { get: blameOf, set: noteBlame } = WeakMap.prototype
  let formatter: GuestFormatter | undefined

  const short = (line: string): string =>
    line.length > MAX_TEXT ? (apply(slice, line, [0, MAX_TEXT]) as string) : line

  // ---- errors: read without running anything of the script's ----

  /** A property, its own or inherited, that is a text. */
  function textOf(error: object, key: string): string | undefined {
    let at: object | null = error
    for (let i = 0; at !== null && i < MAX_PROTOTYPES && kindOf(at) !== PROXY; i++) {
      const property = describeProperty(at, key)
      if (property !== undefined) return typeof property.value === 'string' ? property.value : undefined
      at = getPrototypeOf(at)
    }
    return undefined
  }

  function describe(error: unknown): string {
    if (kindOf(error) !== ERROR) return `\u0001\u0001thrown: ${short(inspect(error))}`
    const name = textOf(error as object, 'name') ?? 'Error'
    const message = textOf(error as object, 'message') ?? ''
    const title = message === '' ? name : `${name}: ${message}`
    const status = apply(blameOf, blames, [error]) ?? ''
    return `${status}\u0001${short(textOf(error as object, 'stack') ?? '')}\u0001${short(title)}`
  }

  function makeError(kind: string, message: string, status: number): Error {
    const Kind = kind === 'TypeError' ? Mistake : kind === 'RangeError' ? Range : Failure
    const error = new Kind(message)
    return status > 0 ? blameClient(error, status) : error
  }

  function blameClient<E extends Error>(error: E, status: number): E {
    apply(noteBlame, blames, [error, status])
    defineProperty(error, 'status', { value: status, writable: true, configurable: true })
    return error
  }

  // ---- values ----

  function format(values: unknown[]): string {
    const first = values[0]
    if (typeof first === 'string' && (values.length === 1 || (apply(indexOf, first, ['%']) as number) < 0)) {
      let line = first
      let i = 1
      for (; i < values.length && isPlain(values[i]); i++) line += ` ${values[i]}`
      if (i === values.length) return short(line)
    }
    return short(tools().format(values))
  }

  /** Shown as it is converted, without anything being run. */
  const isPlain = (value: unknown): boolean =>
    typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && value !== 0)

  const inspect = (value: unknown): string => tools().inspect(value)

  function tools(): GuestFormatter {
    if (formatter === undefined) door.loadFormatter()
    return formatter!
  }

  return {
    describe,
    format,
    inspect,
    makeError,
    blameClient,
    known,
    addFormatter(make) {
      formatter = make(door, known)
    },
  }
}
