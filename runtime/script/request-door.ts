/** The host functions behind `r`: what the request is, what the script decides about it, its log lines and its body. */
import type { LogLevel, ScriptHost, VariableAccess } from '../phases.ts'
import {
  Allowed,
  allow,
  argument,
  bytesAt,
  type DoorContext,
  type HostFunctions,
  isAbsent,
  MAX_BODY,
  MAX_NAME,
  MAX_VALUE,
  requestOf,
  slotOf,
} from './door.ts'
import { GuestError, Tag, toBytes } from './guest-values.ts'
import type { Address } from './quickjs-module.ts'
import { Decision, type Slot } from './slots.ts'

const REDIRECTS = [301, 302, 303, 307, 308]
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/

export function requestDoor(door: DoorContext): HostFunctions {
  const { values } = door
  return {
    method: (self) => values.string(requestOf(door, self).method),
    httpVersion: (self) => values.string(requestOf(door, self).httpVersion),
    remoteAddress: (self) => values.string(requestOf(door, self).remoteAddress),
    uri: (self) => values.string(requestOf(door, self).uri),
    rawArgs: (self) => values.string(requestOf(door, self).rawArgs),
    status: (self) => values.int(requestOf(door, self).status),
    setUri(self, argv) {
      const slot = slotOf(door, self)
      allow(slot, Allowed.URI, 'setting r.uri')
      slot.request!.uri = values.text(argv, 'r.uri', MAX_VALUE)
      return 0
    },
    setRawArgs(self, argv) {
      const slot = slotOf(door, self)
      allow(slot, Allowed.URI, 'setting r.rawArgs')
      slot.request!.rawArgs = values.text(argv, 'r.rawArgs', MAX_VALUE)
      return 0
    },
    setStatus(self, argv) {
      const slot = slotOf(door, self)
      allow(slot, Allowed.STATUS, 'setting r.status')
      slot.request!.status = integer(door, argv, 'r.status')
      return 0
    },
    argRead(self, argv) {
      const value = argument(argv, 1)
      const text = isAbsent(door, value) ? undefined : values.text(value, 'an argument', MAX_VALUE)
      door.host.argRead?.(requestOf(door, self), values.text(argv, 'an argument', MAX_VALUE), text)
      return 0
    },
    keep(self) {
      door.slots.keep(slotOf(door, self))
      return 0
    },
    requestLog(self, argv) {
      const request = requestOf(door, self)
      const level = values.text(argv, 'level', MAX_NAME) as LogLevel
      door.log.write(
        (...line) => request.log(...line),
        level,
        values.text(argument(argv, 1), 'text', MAX_BODY),
      )
      return 0
    },
    ...decisions(door),
    ...bodies(door),
  }
}

// ---- decisions ----

function decisions(door: DoorContext): HostFunctions {
  const { values } = door
  const deciding = (self: Address, what: string): Slot => {
    const slot = slotOf(door, self)
    allow(slot, Allowed.ANSWER, what)
    if (slot.decision !== Decision.NONE) {
      throw new GuestError(
        'TypeError',
        `${what}: this hook has decided already; return after r.return() and its like`,
      )
    }
    return slot
  }
  return {
    answer(self, argv) {
      const slot = deciding(self, 'r.return()')
      const status = statusAt(door, argv)
      const hasBody = !isAbsent(door, argument(argv, 1))
      slot.body = null
      if (hasBody && REDIRECTS.includes(status)) {
        slot.fields = [checkedField('Location', values.text(argument(argv, 1), 'the URL', MAX_VALUE))]
      } else if (hasBody) slot.body = bodyAt(door, argv)
      slot.status = status
      slot.decision = Decision.ANSWER
      return 0
    },
    answerField(self, argv) {
      const slot = deciding(self, 'an answer')
      const name = values.text(argv, 'a header name', MAX_NAME)
      const field = checkedField(name, values.text(argument(argv, 1), `the value of ${name}`, MAX_VALUE))
      slot.quota.take(...field)
      slot.fields ??= []
      slot.fields.push(field)
      return 0
    },
    respond(self, argv) {
      const slot = deciding(self, 'an answer')
      slot.status = statusAt(door, argv)
      slot.body = !isAbsent(door, argument(argv, 1)) ? bodyAt(door, argv) : null
      slot.decision = Decision.ANSWER
      return 0
    },
    internalRedirect(self, argv) {
      const slot = deciding(self, 'r.internalRedirect()')
      slot.request!.redirect(values.text(argv, 'the uri', MAX_VALUE))
      slot.decision = Decision.REDIRECT
      return 0
    },
    decline(self) {
      deciding(self, 'r.decline()').decision = Decision.DECLINE
      return 0
    },
  }
}

function integer(door: DoorContext, cell: Address, what: string): number {
  const value = door.values.isNumber(cell) ? door.values.number(cell) : Number.NaN
  if (!Number.isInteger(value)) throw new GuestError('TypeError', `${what} is a whole number`)
  return value
}

/** Interim statuses are the proxy's own business. */
function statusAt(door: DoorContext, argv: Address): number {
  const status = integer(door, argv, 'the status')
  if (status < 200 || status > 999)
    throw new GuestError('RangeError', 'the status is a number from 200 to 999')
  return status
}

function bodyAt(door: DoorContext, argv: Address): string | Uint8Array {
  const cell = argument(argv, 1)
  if (door.values.tag(cell) === Tag.OBJECT) return bytesAt(door, argv, 1, 'the body', MAX_BODY)
  return door.values.text(cell, 'the body', MAX_BODY)
}

function checkedField(name: string, value: string): [string, string] {
  if (!TOKEN.test(name)) throw new GuestError('RangeError', `${JSON.stringify(name)} is no header name`)
  if (CONTROL.test(value))
    throw new GuestError('RangeError', `the value of ${name} holds a control character`)
  return [name, value]
}

// ---- bodies ----

function bodies(door: DoorContext): HostFunctions {
  const { values } = door
  const read = (self: Address): Uint8Array => {
    const { requestBody } = slotOf(door, self)
    if (requestBody === null) throw new GuestError('Error', 'the body has not been read')
    return requestBody
  }
  const text = (self: Address): string => {
    const body = read(self)
    return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1')
  }
  return {
    readBody(self) {
      const slot = slotOf(door, self)
      allow(slot, Allowed.BODY, 'reading the body')
      return values.int(door.readBody(slot))
    },
    bodyText: (self) => values.string(text(self)),
    bodyBytes: (self) => values.arrayBuffer(read(self)),
    bodyForm(self) {
      const type = requestOf(door, self).requestHeaders.get('content-type') ?? ''
      if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) {
        const shown = type === '' ? 'of no declared type' : `of type ${type.slice(0, 100)}`
        throw new GuestError('TypeError', `the body is ${shown}, not application/x-www-form-urlencoded`, 415)
      }
      const pairs = [...new URLSearchParams(Buffer.from(read(self)).toString('utf8'))]
      return values.string(toBytes(JSON.stringify(pairs)))
    },
  }
}

// ---- variables ----

/** `$NAME` under its name: a getter and a setter for the guest's class of variables. */
export function variableDoor(door: DoorContext): HostFunctions {
  const accesses = new VariableNames(door.host)
  const { values } = door
  return {
    variableByName: (self, argv) =>
      readVariable(door, self, accesses.of(values.text(argv, 'a name', MAX_NAME))),
    setVariableByName(self, argv) {
      const name = values.text(argv, 'a name', MAX_NAME)
      return writeVariable(door, self, argument(argv, 1), name, accesses.of(name))
    },
    hasVariable: (_self, argv) => values.boolean(accesses.of(values.text(argv, 'a name', MAX_NAME)) !== null),
  }
}

export function readVariable(door: DoorContext, self: Address, access: VariableAccess | null): Address {
  const slot = slotOf(door, self)
  if (access === null) return 0
  const value = access.get(slot.request!)
  return value === undefined ? 0 : door.values.string(value)
}

export function writeVariable(
  door: DoorContext,
  self: Address,
  cell: Address,
  name: string,
  access: VariableAccess | null,
): Address {
  const request = requestOf(door, self)
  if (access === null)
    throw new GuestError('TypeError', `there is no variable $${name}; declare it with set, map or geo`)
  if (access.set === null) throw new GuestError('TypeError', `the variable $${name} cannot be set`)
  access.set(request, isAbsent(door, cell) ? '' : door.values.text(cell, `the value of $${name}`, MAX_VALUE))
  return 0
}

/** Computed names come from requests at worst: only so many are remembered. */
class VariableNames {
  static readonly #MAX = 1024
  readonly #host: ScriptHost
  readonly #known = new Map<string, VariableAccess | null>()

  constructor(host: ScriptHost) {
    this.#host = host
  }

  of(name: string): VariableAccess | null {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const access = findVariable(this.#host, name)
    if (this.#known.size < VariableNames.#MAX) this.#known.set(name, access)
    return access
  }
}

/** null too for what is no name of a variable. */
export function findVariable(host: ScriptHost, name: string): VariableAccess | null {
  return /^\w+$/.test(name) ? host.variable(name) : null
}
