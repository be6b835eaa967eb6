/** Loads a script into a fresh sandbox: compiles it, checks its exports, prepares what its text mentions, runs `init`. */

import { fromBytes, GuestError, OutOfMemory, Tag } from './guest-values.ts'
import { complaint, HOOKS, MIGRATE, SOCKET_HOOKS } from './hook-exports.ts'
import { EvalFlag, Poisoned } from './instance.ts'
import { linkPlace } from './link-place.ts'
import { type ModuleFiles, placeAt } from './module-files.ts'
import type { Address } from './quickjs-module.ts'
import { findVariable, readVariable, writeVariable } from './request-door.ts'
import type { Sandbox } from './sandbox.ts'
import { type Fault, HookFailure, ownFrame, placeOf, positionOf, ScriptError } from './script-error.ts'

const WEB_GLOBALS = /\b(?:URL|URLSearchParams|TextEncoder|TextDecoder|atob|btoa|structuredClone)\b/
const FETCH_GLOBALS = /\b(?:fetch|Headers|AbortController|AbortSignal)\b/
const VARIABLE = /\bvariables\s*(?:\?\.|\.)\s*([A-Za-z_]\w*)/g
const MAX_EXPORTS = 64 * 1024
/** ms; Node fires longer timers at once. */
const MAX_WAIT = 2 ** 31 - 1
const PENDING = 0
const REJECTED = 2

/**
 * @returns the names of the exports, and a promise when the top level or `init` waits for something: the names are
 * complete when it is fulfilled
 * @throws ScriptError
 */
export function loadInto(sandbox: Sandbox): { exports: string[]; init: Promise<void> | null } {
  try {
    const exports: string[] = []
    const evaluated = evaluateMain(sandbox)
    if (sandbox.instance.promiseState(evaluated) !== PENDING || !sandbox.fetches.any) {
      return { exports, init: takeModule(sandbox, namespaceOf(sandbox, evaluated), exports) }
    }
    const taken = waitFor(sandbox, evaluated, 'the top level').then((namespace) =>
      takeModule(sandbox, namespace, exports),
    )
    return { exports, init: taken.then(undefined, (error) => Promise.reject(toScriptError(sandbox, error))) }
  } catch (error) {
    throw toScriptError(sandbox, error)
  }
}

/** @returns a cell of the module's namespace, or of a promise of it. @throws HookFailure, Poisoned */
function evaluateMain(sandbox: Sandbox): Address {
  const { instance, options } = sandbox
  const { main } = options.modules
  instance.enter()
  const result = instance.evaluate(options.modules.load(main), main, EvalFlag.MODULE)
  if (sandbox.values.tag(result) === Tag.EXCEPTION) throw sandbox.failureOf(instance.takeException(result))
  sandbox.drain()
  return result
}

/** @throws HookFailure, Poisoned */
function namespaceOf(sandbox: Sandbox, evaluated: Address): Address {
  const { instance } = sandbox
  const otherwise = 'the top level awaits something that does not come while it loads'
  const namespace = settledValue(sandbox, evaluated, otherwise)
  for (const reason of instance.rejections.take()) throw sandbox.failureOf(reason)
  if (instance.killed) throw new HookFailure({ message: instance.cpuMessage, frames: [] }, true)
  return namespace
}

/** The script has run: its hooks are taken, and `init` begins. Frees the namespace. @throws HookFailure, Poisoned */
function takeModule(sandbox: Sandbox, namespace: Address, exports: string[]): Promise<void> | null {
  const { modules } = sandbox.options
  exports.push(...takeHooks(sandbox, namespace))
  sandbox.instance.free(namespace)
  modules.seal()
  defineVariables(sandbox)
  if (modules.sources.some((source) => WEB_GLOBALS.test(source))) sandbox.loadWebGlobals()
  if (modules.sources.some((source) => FETCH_GLOBALS.test(source))) sandbox.loadFetch()
  return runInit(sandbox)
}

/** The value itself, or what the promise has come to. */
function settledValue(sandbox: Sandbox, cell: Address, otherwise: string): Address {
  const { instance } = sandbox
  const state = instance.promiseState(cell)
  if (state < 0) return cell
  if (state === PENDING) throw new HookFailure({ message: otherwise, frames: [] }, false)
  const value = instance.promiseResult(cell)
  instance.free(cell)
  if (state === REJECTED) throw sandbox.failureOf(value)
  return value
}

/** @returns the names of all exports. @throws HookFailure for one that is no hook */
function takeHooks(sandbox: Sandbox, namespace: Address): string[] {
  const { instance, values, guest } = sandbox
  const json = instance.call1(guest.exportsOf, namespace)
  const kinds = JSON.parse(fromBytes(values.text(json, 'the exports', MAX_EXPORTS))) as [string, string][]
  instance.free(json)
  for (const [name, kind] of kinds) {
    const problem = complaint(name, kind)
    if (problem !== null)
      throw new HookFailure({ message: problem, frames: exportFrame(sandbox.options.modules, name) }, false)
  }
  const names = kinds.map(([name]) => name)
  if (names.every((name) => name === MIGRATE)) {
    const message = `the script exports no hook; the hooks are ${HOOKS.join(', ')}`
    throw new HookFailure({ message, frames: [] }, false)
  }
  for (const hook of HOOKS) if (names.includes(hook)) sandbox.hooks[hook] = instance.property(namespace, hook)
  if (SOCKET_HOOKS.some((hook) => names.includes(hook))) sandbox.loadWebSockets()
  if (names.includes(MIGRATE)) sandbox.sockets.migrate = instance.property(namespace, MIGRATE)
  return names
}

/** Where an export stands, as far as its text tells. */
export function exportFrame(modules: ModuleFiles, name: string): Fault['frames'] {
  const source = modules.load(modules.main)
  const found = new RegExp(`\\bexport\\b[^;]*?\\b${name.replace(/\W/g, '\\$&')}\\b`).exec(source)
  if (found === null) return []
  const offset = found.index + found[0].length - name.length
  return [{ name: '', file: modules.main, ...placeAt(source, offset) }]
}

/** Getters for the variables that the text names; any other is found by the slower way of its name. */
function defineVariables(sandbox: Sandbox): void {
  const names = new Set<string>()
  for (const source of sandbox.options.modules.sources) {
    for (const [, name] of source.matchAll(VARIABLE)) names.add(name)
  }
  for (const name of names) defineVariable(sandbox, name)
}

function defineVariable(sandbox: Sandbox, name: string): void {
  const { instance, values, guest } = sandbox
  const access = findVariable(sandbox.host, name)
  const cells = [
    values.string(name),
    instance.newFunction(name, (self) => readVariable(sandbox, self, access), 0),
    instance.newFunction(name, (self, argv) => writeVariable(sandbox, self, argv, name, access), 1),
  ]
  instance.free(instance.call(guest.defineVariable, ...cells))
  for (const cell of cells) instance.free(cell)
}

// ---- init ----

/** Runs the script's `init`, within the CPU time of a load and the wall time of a hook. */
function runInit(sandbox: Sandbox): Promise<void> | null {
  const { instance, hooks } = sandbox
  if (hooks.init === undefined) return null
  instance.enter()
  const result = instance.call1(sandbox.guest.init, hooks.init)
  if (sandbox.values.tag(result) === Tag.EXCEPTION) throw sandbox.failureOf(instance.takeException(result))
  sandbox.drain()
  if (instance.promiseState(result) === PENDING) {
    return waitFor(sandbox, result, 'init').then(
      (value) => instance.free(value),
      (error) => Promise.reject(toScriptError(sandbox, error)),
    )
  }
  instance.free(settledValue(sandbox, result, ''))
  for (const reason of instance.rejections.take()) throw sandbox.failureOf(reason)
  return null
}

/** What a promise, whose cell is freed, comes to within the wall time of a hook. Rejects with HookFailure or Poisoned. */
function waitFor(sandbox: Sandbox, promise: Address, what: string): Promise<Address> {
  return new Promise((resolve, reject) => {
    const { wall } = sandbox.options.limits
    const stop = (): void => {
      sandbox.clock.clearTimeout(timer)
      sandbox.settlements.drop(ticket)
      sandbox.onLost = null
    }
    const fail = (error: Error): void => {
      stop()
      reject(error)
    }
    const ticket = sandbox.watch(promise, ({ failure, cell }) => {
      stop()
      if (failure !== null) reject(failure)
      else resolve(cell)
    })
    const message = `${what} has waited for more than ${wall} ms`
    const timer = sandbox.clock.setTimeout(
      () => fail(new HookFailure({ message, frames: [] }, true)),
      Math.min(wall, MAX_WAIT),
    )
    sandbox.onLost = fail
    sandbox.instance.free(promise)
  })
}

// ---- errors ----

function toScriptError(sandbox: Sandbox, error: unknown): unknown {
  const { modules } = sandbox.options
  if (error instanceof HookFailure) return faultError(modules, error.fault)
  if (error instanceof Poisoned || error instanceof GuestError || error instanceof OutOfMemory) {
    const frames = error instanceof Poisoned ? positionOf(error) : []
    return faultError(modules, { message: fromBytes(error.message), frames })
  }
  return error
}

function faultError(modules: ModuleFiles, { message, frames }: Fault): ScriptError {
  const { fault } = modules
  if (fault !== null && message.includes(fault.message)) {
    return new ScriptError(placeOf(modules, fault), fault.message)
  }
  const frame = ownFrame({ message, frames }) ?? linkPlace(message, modules)
  return new ScriptError(placeOf(modules, frame), message, frames)
}
