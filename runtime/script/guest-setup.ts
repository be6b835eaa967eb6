/**
 * Puts the prelude and its host functions into a fresh instance. Owns the order in which that happens: builtins are
 * taken, the standard library's module is compiled and its door closed, and only then may a script run.
 */
import { balancerDoor } from './balancer-door.ts'
import { contentDoor } from './content.ts'
import { argument, type DoorContext, type HostFunctions } from './door.ts'
import { fetchDoor } from './fetch-door.ts'
import { fieldsDoor } from './fields-door.ts'
import { globalsDoor } from './globals-door.ts'
import { Tag, toBytes } from './guest-values.ts'
import { inspectDoor } from './inspect-door.ts'
import { EvalFlag, type HostFunction, type Instance } from './instance.ts'
import { libraryDoor } from './library-door.ts'
import { limitDoor } from './limit-door.ts'
import { INTERNAL } from './module-files.ts'
import { PRELUDE_SOURCE, type PreludeSetup } from './prelude.ts'
import { FETCH_SOURCE } from './prelude-fetch.ts'
import { FORMATTER_SOURCE } from './prelude-text.ts'
import { socketPrelude } from './prelude-ws.ts'
import type { Address } from './quickjs-module.ts'
import { redisDoor } from './redis-door.ts'
import { requestDoor, variableDoor } from './request-door.ts'
import { PRELUDE_FILE } from './script-error.ts'
import { storeDoor } from './store-door.ts'
import { webPrelude } from './web-prelude.ts'
import type { SocketCells } from './web-sockets.ts'
import { webSocketDoor } from './ws-door.ts'

const EXPORTS = [
  'makeError',
  'describe',
  'decide',
  'watch',
  'makePeers',
  'makeSlot',
  'forget',
  'defineVariable',
  'exportsOf',
  'init',
  'fire',
  'drop',
  'settleBody',
  'addFormatter',
  'addWebGlobals',
  'addFetch',
  'addSockets',
  'filter',
  'repeat',
  'hashOptions',
  'parse',
  'bytesFrom',
] as const

/** Methods that the prelude itself calls on its objects. */
const EXPLICIT = [
  'answer',
  'answerField',
  'argRead',
  'bodyBytes',
  'bodyForm',
  'bodyText',
  'fieldDelete',
  'fieldEntries',
  'fieldGet',
  'fieldGetAll',
  'fieldHas',
  'fieldSet',
  'keep',
  'peerMade',
  'rawArgs',
  'readBody',
  'replaceWith',
  'requestLog',
  'respond',
  'setTimeouts',
  'setVariableByName',
  'stateTouched',
  'variableByName',
  'wsSend',
] as const

/** Arguments that a function reads, for those that are called most: what the guest leaves out need not be made up. */
const ARITIES: Readonly<Record<string, number>> = {
  method: 0,
  uri: 0,
  rawArgs: 0,
  remoteAddress: 0,
  status: 0,
  fieldGet: 1,
  fieldHas: 1,
  fieldDelete: 1,
  fieldSet: 2,
  fieldAppend: 2,
  hash: 2,
}

/** Cells of what the prelude exports. */
export type Guest = Readonly<Record<(typeof EXPORTS)[number], Address>>

const LIBRARY_MODULE = `
const library = globalThis['sluice:library']
export const { template, crc32, murmur3, fnv1a, now, timingSafeEqual, randomBytes, digest, hmac } = library
export const { verifySignature, makeSignature, toBase64url, fromBase64url } = library
export const { mapReady, mapOpen, mapPeek, mapPeekMade, mapCall, mapGetOrSet, mapMade, mapNotMade } = library
export const { limitReady, limitTake, limitAsk, limitAdmit } = library
export const { redisReady, redisBegin, redisCommand, redisWord, redisSend } = library
`

/** Gives the instance everything but the script. */
export function setUpGuest(door: DoorContext, instance: Instance, setup: PreludeSetup): Guest {
  const functions: HostFunctions = {
    ...requestDoor(door),
    ...variableDoor(door),
    ...fieldsDoor(door),
    ...balancerDoor(door),
    ...libraryDoor(door),
    ...globalsDoor(door),
    ...fetchDoor(door),
    ...inspectDoor(door),
    ...contentDoor(door),
    ...webSocketDoor(door),
    ...storeDoor(door),
    ...limitDoor(door),
    ...redisDoor(door),
  }
  const doorObject = makeDoor(instance, functions, ARITIES)
  const onObject = makeDoor(
    instance,
    Object.fromEntries(EXPLICIT.map((name) => [name, explicit(functions[name])])),
    {},
  )
  const make = evaluate(instance, PRELUDE_SOURCE)
  const json = instance.values.string(toBytes(JSON.stringify(setup)))
  const exports = checked(instance, instance.call(make, doorObject, onObject, json))
  const guest: Record<string, Address> = {}
  for (const name of EXPORTS) guest[name] = checked(instance, instance.property(exports, name))
  instance.setErrorTools(guest.makeError, guest.describe)
  addLibrary(instance, exports)
  for (const cell of [make, json, exports, doorObject, onObject]) instance.free(cell)
  return guest as Guest
}

/** Compiles URL and its like; they take half as long as all the rest. */
export function addWebGlobals(instance: Instance, guest: Guest): void {
  const make = evaluate(instance, `(${webPrelude})`)
  instance.free(checked(instance, instance.call1(guest.addWebGlobals, make)))
  instance.free(make)
}

/** Compiles what shows objects in log lines. */
export function addFormatter(instance: Instance, guest: Guest): void {
  const make = evaluate(instance, FORMATTER_SOURCE)
  instance.free(checked(instance, instance.call1(guest.addFormatter, make)))
  instance.free(make)
}

/** Compiles fetch and what comes with it. @returns the cell of how the host settles what the guest waits for */
export function addFetch(instance: Instance, guest: Guest): Address {
  const make = evaluate(instance, FETCH_SOURCE)
  const settle = checked(instance, instance.call1(guest.addFetch, make))
  instance.free(make)
  return settle
}

const SOCKET_PARTS = [
  'makeSocket',
  'makeMessage',
  'makeEnd',
  'toBytes',
  'restore',
  'save',
  'forget',
] as const satisfies (keyof SocketCells)[]

/** Compiles what stands for WebSockets. */
export function addWebSockets(instance: Instance, guest: Guest): SocketCells {
  const make = evaluate(instance, `(${socketPrelude})`)
  const parts = checked(instance, instance.call1(guest.addSockets, make))
  const cells: Partial<Record<keyof SocketCells, Address>> = {}
  for (const name of SOCKET_PARTS) cells[name] = checked(instance, instance.property(parts, name))
  instance.free(parts)
  instance.free(make)
  return cells as SocketCells
}

/** The method as a function of its object. */
function explicit(method: HostFunction): HostFunction {
  return (_self, argv) => method(argv, argument(argv, 1))
}

function makeDoor(
  instance: Instance,
  functions: HostFunctions,
  arities: Readonly<Record<string, number>>,
): Address {
  const door = evaluate(instance, '({ __proto__: null })')
  for (const [name, fn] of Object.entries(functions)) {
    const cell = instance.newFunction(name, fn, arities[name])
    instance.setProperty(door, name, cell)
    instance.free(cell)
  }
  return door
}

/** `sluice:internal` is found by name from then on; what it took its parts from is gone. */
function addLibrary(instance: Instance, exports: Address): void {
  const open = instance.property(exports, 'openLibrary')
  const close = instance.property(exports, 'closeLibrary')
  instance.free(checked(instance, instance.call(open)))
  instance.free(checked(instance, instance.evaluate(LIBRARY_MODULE, INTERNAL, EvalFlag.MODULE)))
  instance.free(checked(instance, instance.call(close)))
  instance.free(open)
  instance.free(close)
}

function evaluate(instance: Instance, source: string): Address {
  return checked(instance, instance.evaluate(source, PRELUDE_FILE, EvalFlag.GLOBAL))
}

/** Our own code fails for one reason only: there is too little memory for it. */
function checked(instance: Instance, cell: Address): Address {
  if (instance.values.tag(cell) === Tag.EXCEPTION)
    throw instance.doom('the sandbox does not start: too little memory')
  return cell
}
