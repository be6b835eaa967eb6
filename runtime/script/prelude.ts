/**
 * What every sandbox runs before its script. The functions of the `prelude*.ts` files are GUEST code: their text is
 * compiled inside the sandbox, so they may use nothing but their parameters and the language; and they take every
 * builtin that they rely on at once, before a script can replace it.
 *
 * Most members of `r` are host functions used as methods and getters: the host knows a request by the address of the
 * object that it is called on, so no guest frame stands between a script and the proxy.
 */

import type { FetchTools, GuestFetch } from './prelude-fetch.ts'
import { fieldsPrelude, type GuestFields } from './prelude-fields.ts'
import type { Known } from './prelude-inspect.ts'
import { type GuestParts, type GuestRequests, requestPrelude, type Waiting } from './prelude-request.ts'
import { type GuestText, textPrelude } from './prelude-text.ts'
import { type GuestViews, viewsPrelude } from './prelude-views.ts'
import type { GuestSockets, SocketTools } from './prelude-ws.ts'

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
  /** The host wants to know which arguments are read. */
  readonly watchArgs: boolean
  /** `Math.random` is the host's. */
  readonly hostRandom: boolean
}

/** The other parts, as functions that have not run yet. */
interface Makers {
  text(door: Door): GuestText
  fields(door: Door, on: Door): GuestFields
  views(door: Door, on: Door, known: Known, watchArgs: boolean): GuestViews
  requests(door: Door, on: Door, parts: GuestParts): GuestRequests
}

/** An expression for the sandbox: `(door, on, setupJson) => exports`. */
export const PRELUDE_SOURCE = `((door, on, setup) =>
  (${prelude})(door, on, setup, { text: ${textPrelude}, fields: ${fieldsPrelude}, views: ${viewsPrelude}, requests: ${requestPrelude} }))`

/** @returns what the host keeps of the prelude, fetched once by name */
function prelude(door: Door, on: Door, setupJson: string, makers: Makers): Readonly<Record<string, unknown>> {
  const { apply } = Reflect
  const { defineProperty, defineProperties, freeze, create, setPrototypeOf, preventExtensions } = Object
  const { getPrototypeOf, getOwnPropertyDescriptor, keys } = Object
  const { parse, stringify } = JSON
  const { isView } = ArrayBuffer
  const Bytes = Uint8Array
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
  const text = makers.text(door)
  const { describe, format, makeError } = text
  const fields = makers.fields(door, on)
  text.known.proxy = fields.fieldsView
  const views = makers.views(door, on, text.known, setup.watchArgs)
  const parts = { ...text, ...fields, ...views, bytesOf, waiting }
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
  const repeats = create(null) as Record<number, (() => unknown) | undefined>
  /** Has the function called again and again while the script is in service. */
  function every(interval: unknown, callback: () => unknown): object {
    if (typeof callback !== 'function') throw new Mistake('sluice.every takes an interval and a function')
    const id = door.every(interval) as number
    repeats[id] = callback
    const stop = (): void => {
      delete repeats[id]
      door.stopRepeat(id)
    }
    return freeze({ stop })
  }
  const info = defineProperties({} as object, {
    params: fixed(freeze(setPrototypeOf(setup.params, null))),
    worker: fixed(setup.worker),
    version: fixed(setup.version),
    generation: fixed(setup.generation),
    phase: { get: door.phase, enumerable: true },
    every: { value: every },
  })
  defineProperty(world, 'sluice', { value: freeze(info) })

  type Callback = (...args: unknown[]) => unknown
  const callbacks = create(null) as Record<number, { callback: Callback; args: unknown[] } | undefined>

  function setTimer(callback: Callback, ms: number, args: unknown[] = []): number {
    const id = door.startTimer(ms) as number
    callbacks[id] = { callback, args }
    return id
  }
  global('setTimeout', function setTimeout(callback: Callback, ms?: unknown, ...args: unknown[]) {
    if (typeof callback !== 'function') throw new Mistake('setTimeout takes a function')
    return setTimer(callback, +(ms as number), args)
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

  /** Globals that are compiled when a script names the first of them. */
  function lazily(names: readonly string[], load: () => void): void {
    for (const name of names) {
      defineProperty(world, name, {
        configurable: true,
        get() {
          load()
          return world[name]
        },
        set(value: unknown) {
          global(name, value)
        },
      })
    }
  }
  const webNames = ['URL', 'URLSearchParams', 'TextEncoder', 'TextDecoder', 'atob', 'btoa', 'structuredClone']
  lazily(webNames, () => void door.loadWebGlobals())
  lazily(['fetch', 'Headers', 'AbortController', 'AbortSignal'], () => void door.loadFetch())
  let Query: (abstract new () => unknown) | undefined

  const socketTools: SocketTools = {
    bytesOf,
    known: text.known,
    reflect: { apply },
    objects: { create, defineProperties, freeze, preventExtensions },
    json: { parse, stringify },
    Bytes,
    Mistake,
  }

  if (setup.hostRandom)
    defineProperty(Math, 'random', { value: door.hostRandom, writable: true, configurable: true })

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
    verifySignature(
      algorithm: unknown,
      kind: unknown,
      key: unknown,
      data: unknown,
      signature: unknown,
    ): unknown {
      return door.verifySignature(algorithm, kind, ...dataOf(key, 'the key'), data, signature)
    },
    makeSignature(algorithm: unknown, kind: unknown, key: unknown, data: unknown): unknown {
      return door.makeSignature(algorithm, kind, ...dataOf(key, 'the key'), data)
    },
    toBase64url: door.toBase64url,
    fromBase64url: door.fromBase64url,
    mapReady: door.mapReady,
    mapOpen: door.mapOpen,
    mapPeek: door.mapPeek,
    mapPeekMade: door.mapPeekMade,
    mapCall: door.mapCall,
    mapGetOrSet: door.mapGetOrSet,
    mapMade: door.mapMade,
    mapNotMade: door.mapNotMade,
    limitReady: door.limitReady,
    limitTake: door.limitTake,
    limitAsk: door.limitAsk,
    limitAdmit: door.limitAdmit,
    redisReady: door.redisReady,
    redisBegin: door.redisBegin,
    redisCommand: door.redisCommand,
    redisWord: door.redisWord,
    redisSend: door.redisSend,
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
    bytesFrom: (buffer: ArrayBuffer): Uint8Array => new Bytes(buffer),
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
    settleBody(id: number, message: string | undefined, status: number): void {
      const waiter = waiting[id]
      if (waiter === undefined) return
      delete waiting[id]
      if (message === undefined) waiter.resolve()
      else waiter.reject(makeError('Error', message, status))
    },
    /** For the module `sluice:internal` alone, which takes it before any script runs. */
    openLibrary(): void {
      world[LIBRARY] = library
    },
    closeLibrary(): void {
      delete world[LIBRARY]
    },
    addFormatter: text.addFormatter,
    /** Puts the web's globals in place. */
    addWebGlobals(make: (door: Door, bytes: typeof bytesOf) => Record<string, unknown>): void {
      const found = make(door, bytesOf)
      Query = found.URLSearchParams as typeof Query
      const names = keys(found)
      for (let i = 0; i < names.length; i++) global(names[i], found[names[i]])
    },
    /** Puts `fetch` and its like in place. @returns how the host settles what they wait for */
    addFetch(make: (door: Door, tools: FetchTools) => GuestFetch): unknown {
      const isQuery = (value: unknown) => Query !== undefined && value instanceof Query
      const { globals, settle } = make(door, { bytesOf, setTimer, isQuery })
      const names = keys(globals)
      for (let i = 0; i < names.length; i++) global(names[i], globals[names[i]])
      return settle
    },
    filter(hook: Callback, r: unknown, buffer: ArrayBuffer, last: boolean): unknown {
      return hook(r, new Bytes(buffer), { last })
    },
    /** Compiled for scripts with `ws*` hooks. */
    addSockets(make: (door: Door, on: Door, tools: SocketTools) => GuestSockets): GuestSockets {
      return make(door, on, socketTools)
    },
    /** Calls a function of `sluice.every`. */
    repeat(id: number): unknown {
      const callback = repeats[id]
      const value = callback === undefined ? undefined : callback()
      return typeof value === 'object' && value !== null ? resolved(value) : undefined
    },
  }
}
