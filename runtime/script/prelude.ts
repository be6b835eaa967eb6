/**
 * What every sandbox runs before its script. The functions of the `prelude*.ts` files are GUEST code: their text is
 * compiled inside the sandbox, so they may use nothing but their parameters and the language; and they take every
 * builtin that they rely on at once, before a script can replace it.
 *
 * Most members of `r` are host functions used as methods and getters: the host knows a request by the address of the
 * object that it is called on, so no guest frame stands between a script and the proxy.
 */
import { fieldsPrelude, type GuestFields } from './prelude-fields.ts'
import { type GuestParts, type GuestRequests, requestPrelude, type Waiting } from './prelude-request.ts'
import { type GuestText, textPrelude } from './prelude-text.ts'

/**
 * Host functions. Those of `door` are methods and getters, to be put on the guest's objects, or take values alone;
 * those of `on` are such methods, to be called with their object as the first argument.
 */
export type Door = Readonly<Record<string, (this: unknown, ...args: unknown[]) => unknown>>

export interface PreludeSetup {
  readonly params: Readonly<Record<string, string>>
  readonly worker: number
  readonly version: string
  readonly generation: number
}

/** The other parts, as functions that have not run yet. */
interface Makers {
  text(): GuestText
  fields(door: Door, on: Door): GuestFields
  requests(door: Door, on: Door, parts: GuestParts): GuestRequests
}

/** An expression for the sandbox: `(door, on, setupJson) => exports`. */
export const PRELUDE_SOURCE = `((door, on, setup) =>
  (${prelude})(door, on, setup, { text: ${textPrelude}, fields: ${fieldsPrelude}, requests: ${requestPrelude} }))`

/** @returns what the host keeps of the prelude, fetched once by name */
function prelude(door: Door, on: Door, setupJson: string, makers: Makers): Readonly<Record<string, unknown>> {
  const { apply } = Reflect
  const { defineProperty, defineProperties, freeze, create, setPrototypeOf } = Object
  const { getPrototypeOf, getOwnPropertyDescriptor, keys } = Object
  const { parse, stringify } = JSON
  const { isView } = ArrayBuffer
  const Bytes = Uint8Array
  const Failure = Error
  const Mistake = TypeError
  const then = Promise.prototype.then
  const bufferType = getPrototypeOf(Bytes.prototype)
  const bufferOf = getOwnPropertyDescriptor(bufferType, 'buffer')!.get!
  const offsetOf = getOwnPropertyDescriptor(bufferType, 'byteOffset')!.get!
  const lengthOf = getOwnPropertyDescriptor(bufferType, 'byteLength')!.get!
  const setup = parse(setupJson) as PreludeSetup
  const world = globalThis as unknown as Record<string, unknown>
  const LIBRARY = 'sluice:library'

  // ---- no code from strings ----
  const refuse = (): never => {
    throw new Mistake('code cannot be made from strings here')
  }
  const kinds = [() => {}, async () => {}, function* () {}, async function* () {}]
  for (let i = 0; i < kinds.length; i++) {
    const type = getPrototypeOf(kinds[i])
    defineProperty(type, 'constructor', { value: refuse, writable: false, configurable: false })
  }
  defineProperty(refuse, 'prototype', { value: getPrototypeOf(kinds[0]) })
  world.Function = refuse
  delete world.eval

  // ---- the parts ----
  /** The parts of bytes that the host asks for: the buffer, where they begin in it, how many there are. */
  function bytesOf(value: unknown, what: string): [ArrayBuffer, number, number] {
    if (value instanceof ArrayBuffer) return [value, 0, value.byteLength]
    if (isView(value) && value instanceof Bytes) {
      return [apply(bufferOf, value, []), apply(offsetOf, value, []), apply(lengthOf, value, [])]
    }
    throw new Mistake(`${what} is a string or a Uint8Array`)
  }

  const waiting = create(null) as Waiting
  const text = makers.text()
  const { describe, format, makeError } = text
  const { makeFields } = makers.fields(door, on)
  const parts = { ...text, makeFields, bytesOf, waiting }
  const { makeSlot, forget, defineVariable, makePeers, decide, watch, resolved } = makers.requests(
    door,
    on,
    parts,
  )

  // ---- globals ----
  const writer = (level: string) =>
    function write(...values: unknown[]) {
      door.log(level, format(values))
    }
  const global = (name: string, value: unknown) =>
    defineProperty(world, name, { value, writable: true, configurable: true })
  global('console', {
    log: writer('info'),
    info: writer('info'),
    debug: writer('debug'),
    warn: writer('warn'),
    error: writer('error'),
  })
  const fixed = (value: unknown): PropertyDescriptor => ({ value, enumerable: true })
  const info = defineProperties({} as object, {
    params: fixed(freeze(setPrototypeOf(setup.params, null))),
    worker: fixed(setup.worker),
    version: fixed(setup.version),
    generation: fixed(setup.generation),
    phase: { get: door.phase, enumerable: true },
  })
  defineProperty(world, 'sluice', { value: freeze(info) })

  type Callback = (...args: unknown[]) => unknown
  const callbacks = create(null) as Record<number, { callback: Callback; args: unknown[] } | undefined>

  global('setTimeout', function setTimeout(callback: Callback, ms?: unknown, ...args: unknown[]) {
    if (typeof callback !== 'function') throw new Mistake('setTimeout takes a function')
    const id = door.startTimer(+(ms as number)) as number
    callbacks[id] = { callback, args }
    return id
  })
  global('clearTimeout', function clearTimeout(id: unknown) {
    if (typeof id !== 'number' || callbacks[id] === undefined) return
    delete callbacks[id]
    door.stopTimer(id)
  })
  global('queueMicrotask', function queueMicrotask(callback: Callback) {
    if (typeof callback !== 'function') throw new Mistake('queueMicrotask takes a function')
    apply(then, resolved(), [() => void callback()])
  })

  const webNames = ['URL', 'URLSearchParams', 'TextEncoder', 'TextDecoder', 'atob', 'btoa', 'structuredClone']
  for (const name of webNames) {
    defineProperty(world, name, {
      configurable: true,
      get() {
        door.loadWebGlobals()
        return world[name]
      },
      set(value: unknown) {
        global(name, value)
      },
    })
  }

  // ---- what the standard library is made of ----
  const dataOf = (data: unknown, what: string): unknown[] =>
    typeof data === 'string' ? [data, 0, 0] : bytesOf(data, what)
  const encoded = (result: unknown, encoding: unknown): unknown =>
    encoding === 'bytes' ? new Bytes(result as ArrayBuffer) : result
  const library = {
    template: door.template,
    crc32: door.crc32,
    murmur3: door.murmur3,
    fnv1a: door.fnv1a,
    now: door.now,
    timingSafeEqual: door.timingSafeEqual,
    randomBytes: (count: unknown) => new Bytes(door.randomBytes(count) as ArrayBuffer),
    digest(algorithm: unknown, data: unknown, encoding: unknown = 'hex'): unknown {
      return encoded(door.digest(algorithm, encoding, ...dataOf(data, 'the data')), encoding)
    },
    hmac(algorithm: unknown, key: unknown, data: unknown, encoding: unknown = 'hex'): unknown {
      const inputs = [...dataOf(key, 'the key'), ...dataOf(data, 'the data')]
      return encoded(door.hmac(algorithm, encoding, ...inputs), encoding)
    },
  }

  return {
    makeError,
    describe,
    stringify,
    parse,
    makeSlot,
    forget,
    defineVariable,
    makePeers,
    decide,
    watch,
    /** Its shape is that of every `{ consistent: true }` that a script writes. */
    hashOptions: { consistent: true },
    /** The name and the type of every export, as JSON. */
    exportsOf(namespace: Record<string, unknown>): string {
      const exports: [string, string][] = []
      const names = keys(namespace)
      for (let i = 0; i < names.length; i++) exports[i] = [names[i], typeof namespace[names[i]]]
      return stringify(exports)
    },
    init(hook: (value: unknown) => unknown): unknown {
      const value = hook(info)
      return typeof value === 'object' && value !== null ? resolved(value) : undefined
    },
    fire(id: number): void {
      const timer = callbacks[id]
      if (timer === undefined) return
      delete callbacks[id]
      apply(timer.callback, undefined, timer.args)
    },
    drop(id: number): void {
      delete callbacks[id]
      delete waiting[id]
    },
    settleBody(id: number, message: string | undefined): void {
      const waiter = waiting[id]
      if (waiter === undefined) return
      delete waiting[id]
      if (message === undefined) waiter.resolve()
      else waiter.reject(new Failure(message))
    },
    /** For the module `sluice:internal` alone, which takes it before any script runs. */
    openLibrary(): void {
      world[LIBRARY] = library
    },
    closeLibrary(): void {
      delete world[LIBRARY]
    },
    /** Puts the web's globals in place. */
    addWebGlobals(make: (door: Door, bytes: typeof bytesOf) => Record<string, unknown>): void {
      const found = make(door, bytesOf)
      const names = keys(found)
      for (let i = 0; i < names.length; i++) global(names[i], found[names[i]])
    },
  }
}
