/** Loads a script into a fresh sandbox: compiles it, checks its exports, prepares what its text mentions, runs `init`. */

import { fromBytes, GuestError, Tag } from './guest-values.ts'
import { complaint, HOOKS } from './hook-exports.ts'
import { EvalFlag, Poisoned } from './instance.ts'
import type { Address } from './quickjs-module.ts'
import { findVariable, readVariable, writeVariable } from './request-door.ts'
import type { Sandbox } from './sandbox.ts'
import { type Fault, HookFailure, ownFrame, ScriptError } from './script-error.ts'

const WEB_GLOBALS = /\b(?:URL|URLSearchParams|TextEncoder|TextDecoder|atob|btoa|structuredClone)\b/
const VARIABLE = /\bvariables\s*(?:\?\.|\.)\s*([A-Za-z_]\w*)/g
const MAX_EXPORTS = 64 * 1024
/** ms; Node fires longer timers at once. */
const MAX_WAIT = 2 ** 31 - 1
const PENDING = 0
const REJECTED = 2

/**
 * @returns the names of the exports, and a promise when `init` waits for something
 * @throws ScriptError
 */
export function loadInto(sandbox: Sandbox): { exports: string[]; init: Promise<void> | null } {
  const { modules } = sandbox.options
  try {
    const namespace = evaluateMain(sandbox)
    const exports = takeHooks(sandbox, namespace)
    sandbox.instance.free(namespace)
    modules.seal()
    defineVariables(sandbox)
    if (modules.sources.some((source) => WEB_GLOBALS.test(source))) sandbox.loadWebGlobals()
    return { exports, init: runInit(sandbox) }
  } catch (error) {
    throw toScriptError(sandbox, error)
  }
}

/** @returns the cell of the module's namespace. @throws HookFailure, Poisoned */
function evaluateMain(sandbox: Sandbox): Address {
  const { instance, options } = sandbox
  const { main } = options.modules
  instance.enter()
  const result = instance.evaluate(options.modules.load(main), main, EvalFlag.MODULE)
  if (sandbox.values.tag(result) === Tag.EXCEPTION) throw sandbox.failureOf(instance.takeException(result))
  sandbox.drain()
  const namespace = settledValue(
    sandbox,
    result,
    'the top level awaits something that does not come while it loads',
  )
  for (const reason of instance.rejections.take()) throw sandbox.failureOf(reason)
  if (instance.killed) throw new HookFailure({ message: instance.cpuMessage, frames: [] }, true)
  return namespace
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
      throw new HookFailure({ message: problem, frames: exportFrame(sandbox, name) }, false)
  }
  const names = kinds.map(([name]) => name)
  if (names.length === 0) {
    const message = `the script exports no hook; the hooks are ${HOOKS.join(', ')}`
    throw new HookFailure({ message, frames: [] }, false)
  }
  for (const hook of HOOKS) if (names.includes(hook)) sandbox.hooks[hook] = instance.property(namespace, hook)
  return names
}

/** Where an export stands, as far as its text tells. */
function exportFrame(sandbox: Sandbox, name: string): Fault['frames'] {
  const { modules } = sandbox.options
  const source = modules.load(modules.main)
  const found = new RegExp(`\\bexport\\b[^;]*?\\b${name.replace(/\W/g, '\\$&')}\\b`).exec(source)
  if (found === null) return []
  const before = source.slice(0, found.index + found[0].length - name.length).split('\n')
  const column = before.at(-1)!.length + 1
  return [{ name: '', file: modules.main, line: before.length, column }]
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
    instance.newFunction(name, (self) => readVariable(sandbox, self, access)),
    instance.newFunction(name, (self, argv) => writeVariable(sandbox, self, argv, name, access)),
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
  if (instance.promiseState(result) === PENDING) return waitForInit(sandbox, result)
  instance.free(settledValue(sandbox, result, ''))
  for (const reason of instance.rejections.take()) throw sandbox.failureOf(reason)
  return null
}

function waitForInit(sandbox: Sandbox, promise: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const { wall } = sandbox.options.limits
    const fail = (error: unknown): void => reject(toScriptError(sandbox, error))
    const ticket = sandbox.watch(promise, ({ fault, cell }) => {
      clearTimeout(timer)
      if (fault !== null) fail(new HookFailure(fault, false))
      else {
        sandbox.instance.free(cell)
        resolve()
      }
    })
    const timer = setTimeout(
      () => {
        sandbox.settlements.drop(ticket)
        fail(new HookFailure({ message: `init has waited for more than ${wall} ms`, frames: [] }, true))
      },
      Math.min(wall, MAX_WAIT),
    )
    sandbox.instance.free(promise)
  })
}

// ---- errors ----

function toScriptError(sandbox: Sandbox, error: unknown): unknown {
  const { modules } = sandbox.options
  if (error instanceof HookFailure) return faultError(sandbox, error.fault)
  if (error instanceof Poisoned || error instanceof GuestError) {
    return new ScriptError(modules.absolute(modules.main), 0, 0, fromBytes(error.message))
  }
  return error
}

function faultError(sandbox: Sandbox, fault: Fault): ScriptError {
  const { modules } = sandbox.options
  const failedImport = modules.fault
  if (failedImport !== null && fault.message.includes(failedImport.message)) {
    const { file, line, column, message } = failedImport
    return new ScriptError(file, line, column, message)
  }
  const frame = ownFrame(fault)
  const file = modules.absolute(frame?.file ?? modules.main)
  return new ScriptError(file, frame?.line ?? 0, frame?.column ?? 0, fault.message, fault.frames)
}
