/**
 * What every sandbox runs before its script: the request classes, timers, console, and the doors that lead to the
 * host. {@link prelude} is GUEST code: its text is compiled inside the sandbox, so it may use nothing but its
 * parameters and the language, and it takes every builtin that it relies on before a script can replace it.
 *
 * Most members of `r` are host functions used as methods and getters: the host knows a request by the address of the
 * object that it is called on, so no guest frame stands between a script and the proxy.
 */

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

/** What the host keeps of the prelude: guest functions, fetched once by name. */
export type PreludeExports = Readonly<Record<string, unknown>>

export function prelude(door: Door, on: Door, setupJson: string): PreludeExports {
  // ---- builtins as they are before any script ----
  const { apply, ownKeys } = Reflect
  const { defineProperty, defineProperties, freeze, preventExtensions, create, setPrototypeOf } = Object
  const { getPrototypeOf, getOwnPropertyDescriptor, keys } = Object
  const { parse } = JSON
  const { isArray } = Array
  const { isView } = ArrayBuffer
  const Bytes = Uint8Array
  const Failure = Error
  const Mistake = TypeError
  const Range = RangeError
  const decode = decodeURIComponent
  const Later = Promise
  const then = Later.prototype.then
  const split = String.prototype.split
  const indexOf = String.prototype.indexOf
  const slice = String.prototype.slice
  const replaceAll = String.prototype.replaceAll
  const iterator: typeof Symbol.iterator = Symbol.iterator
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
  const makers = [() => {}, async () => {}, function* () {}, async function* () {}]
  for (let i = 0; i < makers.length; i++) {
    const type = getPrototypeOf(makers[i])
    defineProperty(type, 'constructor', { value: refuse, writable: false, configurable: false })
  }
  defineProperty(refuse, 'prototype', { value: getPrototypeOf(makers[0]) })
  world.Function = refuse
  delete world.eval

  const getter = (name: string): PropertyDescriptor => ({ get: door[name], enumerable: true })
  const method = (name: string): PropertyDescriptor => ({ value: door[name] })
  const accessor = (get: string, set: string): PropertyDescriptor => ({
    get: door[get],
    set: door[set],
    enumerable: true,
  })

  // ---- bytes ----
  /** The parts of bytes that the host asks for: the buffer, where they begin in it, how many there are. */
  function bytesOf(value: unknown, what: string): [ArrayBuffer, number, number] {
    if (isView(value)) {
      if (value instanceof Bytes) {
        return [apply(bufferOf, value, []), apply(offsetOf, value, []), apply(lengthOf, value, [])]
      }
      throw new Mistake(`${what} is a string or a Uint8Array`)
    }
    if (value instanceof ArrayBuffer) return [value, 0, value.byteLength]
    throw new Mistake(`${what} is a string or a Uint8Array`)
  }

  // ---- header fields ----
  const fieldMethods = create(null) as Record<PropertyKey, unknown>
  fieldMethods.get = door.fieldGet
  fieldMethods.getAll = function getAll(this: unknown, name: unknown) {
    return parse(on.fieldGetAll(this, name) as string)
  }
  fieldMethods.has = door.fieldHas
  fieldMethods.set = door.fieldSet
  fieldMethods.append = door.fieldAppend
  fieldMethods.delete = door.fieldDelete
  const pairsOf = (fields: unknown): [string, string][] => parse(on.fieldEntries(fields) as string)
  fieldMethods.entries = function* entries(this: unknown) {
    const pairs = pairsOf(this)
    for (let i = 0; i < pairs.length; i++) yield pairs[i]
  }
  fieldMethods.keys = function* keys(this: unknown) {
    const pairs = pairsOf(this)
    for (let i = 0; i < pairs.length; i++) yield pairs[i][0]
  }
  fieldMethods.values = function* values(this: unknown) {
    const pairs = pairsOf(this)
    for (let i = 0; i < pairs.length; i++) yield pairs[i][1]
  }
  fieldMethods.forEach = function forEach(this: unknown, visit: (value: string, name: string) => void) {
    const pairs = pairsOf(this)
    for (let i = 0; i < pairs.length; i++) visit(pairs[i][1], pairs[i][0])
  }
  fieldMethods[iterator] = fieldMethods.entries
  for (const name of ownKeys(fieldMethods)) {
    freeze(fieldMethods[name])
    defineProperty(fieldMethods, name, { enumerable: false })
  }

  /**
   * Indexing by name, at the end of the prototype chain, so that a method is found without a trap:
   *
   *     fields (a proxy for delete, in, keys) -> target -> the methods -> this
   */
  const indexed = new Proxy(
    create(null),
    freeze({
      __proto__: null,
      get: (_target: object, name: PropertyKey, self: unknown) =>
        typeof name === 'string' ? on.fieldGet(self, name) : undefined,
      set(_target: object, name: PropertyKey, value: unknown, self: unknown) {
        if (typeof name !== 'string') return false
        if (value === undefined || value === null) on.fieldDelete(self, name)
        else on.fieldSet(self, name, value)
        return true
      },
    }) as ProxyHandler<object>,
  )
  setPrototypeOf(fieldMethods, indexed)
  freeze(fieldMethods)

  /** The target stands for the fields towards the host, as the proxy itself does. */
  const fieldTraps = freeze({
    __proto__: null,
    has: (target: object, name: PropertyKey) =>
      typeof name === 'string' && (on.fieldHas(target, name) as boolean),
    deleteProperty(target: object, name: PropertyKey) {
      if (typeof name === 'string') on.fieldDelete(target, name)
      return true
    },
    ownKeys(target: object) {
      const seen = create(null) as Record<string, true>
      const pairs = pairsOf(target)
      for (let i = 0; i < pairs.length; i++) seen[pairs[i][0]] = true
      return keys(seen)
    },
    getOwnPropertyDescriptor(target: object, name: PropertyKey) {
      const value = typeof name === 'string' ? on.fieldGet(target, name) : undefined
      if (value === undefined) return undefined
      return { value, writable: true, enumerable: true, configurable: true }
    },
    defineProperty: () => false,
    preventExtensions: () => false,
    setPrototypeOf: () => false,
  }) as ProxyHandler<object>

  function makeFields(): { fields: object; target: object } {
    const target = create(fieldMethods as object)
    return { fields: new Proxy(target, fieldTraps), target }
  }

  // ---- variables ----
  class Variables {}
  /** Names that the sources do not mention by themselves come here, at the end of the prototype chain. */
  const otherVariables = new Proxy(create(null), {
    get: (_target, name, self) => (typeof name === 'string' ? on.variableByName(self, name) : undefined),
    set(_target, name, value, self) {
      if (typeof name !== 'string') return false
      on.setVariableByName(self, name, value)
      return true
    },
    has: (_target, name) => typeof name === 'string' && (door.hasVariable(name) as boolean),
    setPrototypeOf: () => false,
    defineProperty: () => false,
  })
  delete (Variables.prototype as { constructor?: unknown }).constructor
  setPrototypeOf(Variables.prototype, otherVariables)

  // ---- the request ----
  const resolved = (value?: unknown): Promise<unknown> => apply(Later.resolve, Later, [value])
  const chain = (promise: unknown, onValue: unknown, onError?: unknown): unknown =>
    apply(then, promise, [onValue, onError])

  class Request {
    #ctx: object | undefined
    #args: object | undefined
    #argsOf = ''
    #body: Promise<unknown> | undefined

    constructor(variables: object, headersIn: object, headersOut: object) {
      const fixed = (value: object): PropertyDescriptor => ({ value, enumerable: true })
      defineProperties(this, {
        variables: fixed(variables),
        headersIn: fixed(headersIn),
        headersOut: fixed(headersOut),
      })
      preventExtensions(this)
    }

    /** The request is over, and the object is used for another one. */
    static forget(r: Request): void {
      r.#ctx = undefined
      r.#args = undefined
      r.#argsOf = ''
      r.#body = undefined
    }

    get ctx(): object {
      let ctx = this.#ctx
      if (ctx === undefined) {
        on.keep(this)
        ctx = this.#ctx = {}
      }
      return ctx
    }

    set ctx(value: object) {
      if (typeof value !== 'object' || value === null) throw new Mistake('r.ctx is an object')
      on.keep(this)
      this.#ctx = value
    }

    get args(): object {
      const raw = on.rawArgs(this) as string
      if (this.#args === undefined || this.#argsOf !== raw) {
        on.keep(this)
        this.#args = freeze(parseArgs(raw))
        this.#argsOf = raw
      }
      return this.#args
    }

    return(status: unknown, body?: unknown): void {
      if (typeof body === 'object' && body !== null) {
        const [buffer, offset, length] = bytesOf(body, 'the body')
        on.answer(this, status, buffer, offset, length)
      } else on.answer(this, status, body)
    }

    log(...values: unknown[]): void {
      on.requestLog(this, 'info', format(values))
    }

    warn(...values: unknown[]): void {
      on.requestLog(this, 'warn', format(values))
    }

    error(...values: unknown[]): void {
      on.requestLog(this, 'error', format(values))
    }

    readText(): unknown {
      return chain(this.#read(), () => on.bodyText(this))
    }

    readJSON(): unknown {
      return chain(this.#read(), () => parse(on.bodyText(this) as string))
    }

    readForm(): unknown {
      return chain(this.#read(), () => {
        const form = create(null) as Record<string, unknown>
        const pairs = parse(on.bodyForm(this) as string) as [string, string][]
        for (let i = 0; i < pairs.length; i++) add(form, pairs[i][0], pairs[i][1])
        return form
      })
    }

    readBytes(): unknown {
      return chain(this.#read(), () => new Bytes(on.bodyBytes(this) as ArrayBuffer))
    }

    #read(): Promise<unknown> {
      if (this.#body === undefined) {
        const id = on.readBody(this) as number
        this.#body = new Later((resolve, reject) => {
          waiting[id] = { resolve, reject }
        })
      }
      return this.#body
    }
  }
  const body = Request.prototype as unknown as object
  delete (body as { constructor?: unknown }).constructor
  defineProperties(body, {
    method: getter('method'),
    httpVersion: getter('httpVersion'),
    remoteAddress: getter('remoteAddress'),
    uri: accessor('uri', 'setUri'),
    rawArgs: accessor('rawArgs', 'setRawArgs'),
    status: accessor('status', 'setStatus'),
    internalRedirect: method('internalRedirect'),
    decline: method('decline'),
  })
  freeze(body)

  /** njs's `r.args`: decoded, repeated names as lists. */
  function parseArgs(raw: string): object {
    const args = create(null) as Record<string, unknown>
    const parts = apply(split, raw, ['&']) as string[]
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]
      if (part === '') continue
      const at = apply(indexOf, part, ['=']) as number
      const name = at < 0 ? part : (apply(slice, part, [0, at]) as string)
      add(args, decodeArg(name), at < 0 ? '' : decodeArg(apply(slice, part, [at + 1]) as string))
    }
    return args
  }

  function decodeArg(text: string): string {
    const spaced = apply(replaceAll, text, ['+', ' ']) as string
    try {
      return decode(spaced)
    } catch {
      return spaced
    }
  }

  function add(into: Record<string, unknown>, name: string, value: string): void {
    const old = into[name]
    if (old === undefined) into[name] = value
    else if (isArray(old))
      defineProperty(old, old.length, { value, enumerable: true, writable: true, configurable: true })
    else into[name] = [old, value]
  }

  // ---- the upstream group ----
  class Upstream {}
  delete (Upstream.prototype as { constructor?: unknown }).constructor
  defineProperties(Upstream.prototype, {
    name: getter('upstreamName'),
    peers: getter('peers'),
    tries: getter('tries'),
    lastFailure: getter('lastFailure'),
    hash: method('hash'),
    roundRobin: method('roundRobin'),
    leastConn: method('leastConn'),
    random: method('random'),
    ipHash: method('ipHash'),
    setTimeouts: {
      value: function setTimeouts(
        this: unknown,
        timeouts: { connect?: number; send?: number; read?: number },
      ) {
        if (typeof timeouts !== 'object' || timeouts === null)
          throw new Mistake('setTimeouts takes { connect, send, read }')
        const { connect, send, read } = timeouts
        on.setTimeouts(this, connect, send, read)
      },
    },
    setMoreTries: method('setMoreTries'),
  })
  freeze(Upstream.prototype)

  function nameOf(this: { name: string }): string {
    return this.name
  }
  const peerType = create(null)
  defineProperties(peerType, {
    weight: getter('peerWeight'),
    connections: getter('peerConnections'),
    fails: getter('peerFails'),
    down: getter('peerDown'),
    toString: { value: nameOf },
  })
  freeze(peerType)

  /** The peers of one group, made once. The host learns their addresses by `peerMade`. */
  function makePeers(json: string): object {
    const facts = parse(json) as { name: string; address: string; backup: boolean }[]
    const peers: object[] = []
    for (let i = 0; i < facts.length; i++) {
      const peer = create(peerType, {
        name: { value: facts[i].name, enumerable: true },
        address: { value: facts[i].address, enumerable: true },
        backup: { value: facts[i].backup, enumerable: true },
      })
      peers[i] = freeze(peer)
      on.peerMade(peer)
    }
    return freeze(peers)
  }

  // ---- what a hook returned ----
  /** A thenable becomes a promise, for the host to wait for; a `{ status, headers, body }` is an answer. */
  function decide(r: unknown, value: unknown, phase: string): unknown {
    if (typeof value === 'object' && value !== null) {
      const thenable = value as { then?: unknown }
      if (typeof thenable.then === 'function') return resolved(value)
      const { status, headers, body: text } = value as { status?: unknown; headers?: unknown; body?: unknown }
      if (typeof status === 'number') return respond(r, status, headers, text)
    }
    throw new Mistake(
      `${phase} returned ${inspect(value, 0, [])}; return nothing, call r.return(status) or return { status, headers, body }`,
    )
  }

  function respond(r: unknown, status: number, headers: unknown, text: unknown): void {
    if (headers !== undefined && headers !== null)
      eachField(headers as object, (name, value) => {
        on.answerField(r, name, value)
      })
    if (typeof text === 'object' && text !== null) {
      const [buffer, offset, length] = bytesOf(text, 'the body')
      on.respond(r, status, buffer, offset, length)
    } else on.respond(r, status, text)
  }

  function eachField(headers: object, visit: (name: string, value: string) => void): void {
    if (iterator in headers) {
      for (const [name, value] of headers as Iterable<[string, string]>) visit(name, value)
      return
    }
    const names = keys(headers)
    for (let i = 0; i < names.length; i++) {
      const value = (headers as Record<string, unknown>)[names[i]]
      if (!isArray(value)) visit(names[i], value as string)
      else for (let j = 0; j < value.length; j++) visit(names[i], value[j])
    }
  }

  /** Tells the host when a promise that a hook returned settles. */
  function watch(promise: unknown, ticket: number): void {
    chain(
      promise,
      (value: unknown) => door.settled(ticket, false, value),
      (error: unknown) => door.settled(ticket, true, describe(error)),
    )
  }

  // ---- errors and text ----
  /** Stack, U+0001, message: what `readFault` of the host reads. */
  function describe(error: unknown): string {
    try {
      if (!(error instanceof Failure)) return `\u0001thrown: ${short(inspect(error, 0, []))}`
      const { stack } = error
      return `${typeof stack === 'string' ? short(stack) : ''}\u0001${short(titleOf(error))}`
    } catch {
      return '\u0001an error that cannot be described'
    }
  }

  function titleOf({ name, message }: Error): string {
    return message === '' ? text(name) : `${text(name)}: ${text(message)}`
  }

  const short = (line: string): string =>
    line.length > MAX_TEXT ? (apply(slice, line, [0, MAX_TEXT]) as string) : line
  const text = (value: unknown): string => (typeof value === 'string' ? value : inspect(value, 0, []))

  function makeError(kind: string, message: string): Error {
    if (kind === 'TypeError') return new Mistake(message)
    return kind === 'RangeError' ? new Range(message) : new Failure(message)
  }

  const MAX_TEXT = 4096
  const MAX_ITEMS = 100

  function format(values: unknown[]): string {
    let line = ''
    for (let i = 0; i < values.length && line.length < MAX_TEXT; i++) {
      const value = values[i]
      line += (i > 0 ? ' ' : '') + (typeof value === 'string' ? value : inspect(value, 2, []))
    }
    return short(line)
  }

  function inspect(value: unknown, depth: number, above: unknown[]): string {
    if (typeof value === 'string') return quote(value)
    if (typeof value === 'bigint') return `${value}n`
    if (typeof value === 'symbol') return 'a symbol'
    if (typeof value === 'function') return `[function ${typeof value.name === 'string' ? value.name : ''}]`
    if (typeof value !== 'object' || value === null) return `${value}`
    for (let i = 0; i < above.length; i++) if (above[i] === value) return '[circular]'
    if (value instanceof Failure) return `${titleOf(value)}\n${value.stack}`
    if (depth < 0) return isArray(value) ? '[…]' : '{…}'
    return inspectObject(value, depth, [value, above])
  }

  function inspectObject(value: object, depth: number, chainAbove: [unknown, unknown[]]): string {
    const above: unknown[] = []
    for (let i = 0; i < chainAbove[1].length; i++) above[i] = chainAbove[1][i]
    above[above.length] = chainAbove[0]
    const show = (item: unknown): string => inspect(item, depth - 1, above)
    if (value instanceof Date || value instanceof RegExp) return `${value}`
    if (value instanceof Map)
      return `Map(${value.size}) ${list(entriesOf(value), ([k, v]) => `${show(k)} => ${show(v)}`)}`
    if (value instanceof Set) return `Set(${value.size}) ${list(entriesOf(value), ([k]) => show(k))}`
    if (value instanceof Promise) return 'Promise {}'
    if (isArray(value)) return `[${items(value.length, (i) => show(value[i]))}]`
    if (isView(value) && 'length' in value) {
      const bytes = value as unknown as number[]
      return `[${items(bytes.length, (i) => `${bytes[i]}`)}]`
    }
    const names = keys(value)
    if (names.length === 0) return '{}'
    return `{ ${items(names.length, (i) => `${plain(names[i])}: ${show((value as Record<string, unknown>)[names[i]])}`)} }`
  }

  function entriesOf(collection: Map<unknown, unknown> | Set<unknown>): [unknown, unknown][] {
    const all: [unknown, unknown][] = []
    for (const [key, value] of collection.entries()) all[all.length] = [key, value]
    return all
  }

  const list = (all: [unknown, unknown][], show: (entry: [unknown, unknown]) => string): string =>
    `{ ${items(all.length, (i) => show(all[i]))} }`

  function items(count: number, show: (index: number) => string): string {
    let line = ''
    for (let i = 0; i < count; i++) {
      if (i === MAX_ITEMS || line.length > MAX_TEXT) return `${line}, … ${count - i} more`
      line += (i > 0 ? ', ' : '') + show(i)
    }
    return line
  }

  const { stringify } = JSON
  const quote = (value: string): string => stringify(value)
  const identifier = /^[A-Za-z_$][\w$]*$/
  const test = RegExp.prototype.test
  const plain = (name: string): string => (apply(test, identifier, [name]) ? name : quote(name))

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
  const info = freeze(
    defineProperties(
      {},
      {
        params: { value: freeze(setPrototypeOf(setup.params, null)), enumerable: true },
        worker: { value: setup.worker, enumerable: true },
        version: { value: setup.version, enumerable: true },
        generation: { value: setup.generation, enumerable: true },
        phase: getter('phase'),
      },
    ),
  )
  defineProperty(world, 'sluice', { value: info })

  type Callback = (...args: unknown[]) => unknown
  const callbacks = create(null) as Record<number, { callback: Callback; args: unknown[] } | undefined>
  const waiting = create(null) as Record<
    number,
    { resolve: (value?: unknown) => void; reject: (error: unknown) => void } | undefined
  >

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
    chain(resolved(), () => {
      callback()
    })
  })
  for (const name of [
    'URL',
    'URLSearchParams',
    'TextEncoder',
    'TextDecoder',
    'atob',
    'btoa',
    'structuredClone',
  ]) {
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
  const library = {
    template: door.template,
    crc32: door.crc32,
    murmur3: door.murmur3,
    fnv1a: door.fnv1a,
    now: door.now,
    timingSafeEqual: door.timingSafeEqual,
    randomBytes: (count: unknown) => new Bytes(door.randomBytes(count) as ArrayBuffer),
    digest(algorithm: unknown, data: unknown, encoding: unknown = 'hex'): unknown {
      const result = door.digest(algorithm, encoding, ...dataOf(data, 'the data'))
      return encoding === 'bytes' ? new Bytes(result as ArrayBuffer) : result
    },
    hmac(algorithm: unknown, key: unknown, data: unknown, encoding: unknown = 'hex'): unknown {
      const inputs = [...dataOf(key, 'the key'), ...dataOf(data, 'the data')]
      const result = door.hmac(algorithm, encoding, ...inputs)
      return encoding === 'bytes' ? new Bytes(result as ArrayBuffer) : result
    },
  }
  const dataOf = (data: unknown, what: string): unknown[] =>
    typeof data === 'string' ? [data, 0, 0] : bytesOf(data, what)

  return {
    makeError,
    describe,
    decide,
    watch,
    makePeers,
    stringify,
    parse,
    /** A fresh request and its parts; the host learns the addresses by `slotMade`. */
    makeSlot(): object {
      const variables = preventExtensions(new Variables())
      const headersIn = makeFields()
      const headersOut = makeFields()
      const upstream = preventExtensions(new Upstream())
      const r = new Request(variables, headersIn.fields, headersOut.fields)
      const parts = [
        r,
        variables,
        headersIn.fields,
        headersIn.target,
        headersOut.fields,
        headersOut.target,
        upstream,
      ]
      apply(door.slotMade, undefined, parts)
      return { r, upstream }
    },
    forget: Request.forget,
    defineVariable(name: string, get: () => unknown, set: (value: unknown) => void): void {
      defineProperty(Variables.prototype, name, { get, set, enumerable: true, configurable: true })
    },
    /** Names of all exports, and the hooks among them that are no functions, as JSON. */
    exportsOf: (namespace: Record<string, unknown>): string => {
      const kinds: [string, string][] = []
      const names = keys(namespace)
      for (let i = 0; i < names.length; i++) kinds[i] = [names[i], typeof namespace[names[i]]]
      return stringify(kinds)
    },
    init: (hook: (value: unknown) => unknown): unknown => {
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
    /** Its shape is that of every `{ consistent: true }` that a script writes. */
    hashOptions: { consistent: true },
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
