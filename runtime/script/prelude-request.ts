/**
 * The part of the prelude that makes `r`, its variables, `upstream` and peers, and reads what hooks return.
 * GUEST code: see `prelude.ts`.
 */
import type { Door } from './prelude.ts'
import type { GuestFields } from './prelude-fields.ts'
import type { GuestText } from './prelude-text.ts'
import type { GuestViews } from './prelude-views.ts'

/** Promises that the host settles, by the id it gave. */
export type Waiting = Record<
  number,
  { resolve: (value?: unknown) => void; reject: (error: unknown) => void } | undefined
>

export interface GuestParts extends GuestFields, GuestText, GuestViews {
  bytesOf(value: unknown, what: string): [ArrayBuffer, number, number]
  readonly waiting: Waiting
}

export interface GuestRequests {
  /** A fresh request and its upstream group; the host learns the addresses of all parts by `slotMade`. */
  makeSlot(): object
  /** The request is over, and its objects are used for another one. */
  forget(r: never): void
  defineVariable(name: string, get: () => unknown, set: (value: unknown) => void): void
  makePeers(json: string): object
  decide(r: unknown, value: unknown, phase: string): unknown
  watch(promise: unknown, ticket: number): void
  resolved(value?: unknown): Promise<unknown>
}

export function requestPrelude(door: Door, on: Door, parts: GuestParts): GuestRequests {
  const { format, inspect, bytesOf, makeFields, waiting, describe, blameClient, shownAs, argsOf } = parts
  const { apply, getPrototypeOf } = Reflect
  const { create, defineProperty, defineProperties, freeze, keys, preventExtensions, setPrototypeOf } = Object
  const { parse } = JSON
  const { isArray } = Array
  const Bytes = Uint8Array
  const Buffers = ArrayBuffer
  const { isView } = ArrayBuffer
  const Mistake = TypeError
  const malformed = SyntaxError.prototype
  const decode = decodeURIComponent
  const Later = Promise
  const then = Later.prototype.then
  const split = String.prototype.split
  const indexOf = String.prototype.indexOf
  const slice = String.prototype.slice
  const replaceAll = String.prototype.replaceAll
  const iterator: typeof Symbol.iterator = Symbol.iterator

  const getter = (name: string): PropertyDescriptor => ({ get: door[name], enumerable: true })
  const method = (name: string): PropertyDescriptor => ({ value: door[name] })
  const accessor = (get: string, set: string): PropertyDescriptor => ({
    get: door[get],
    set: door[set],
    enumerable: true,
  })

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
        this.#args = argsOf(this, parseArgs(raw))
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
      return chain(this.#read(), () => parseBody(on.bodyText(this) as string))
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

  shownAs(body, 'Request', {
    method: 'method',
    uri: 'uri',
    rawArgs: 'rawArgs',
    remoteAddress: 'remoteAddress',
    status: 'status',
  })

  /** Running out of memory is not the client's fault alone. */
  function parseBody(text: string): unknown {
    try {
      return parse(text)
    } catch (error) {
      throw getPrototypeOf(error as Error) === malformed ? blameClient(error as Error, 400) : error
    }
  }

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
  shownAs(Upstream.prototype, 'Upstream', {
    name: 'upstreamName',
    tries: 'tries',
    lastFailure: 'lastFailure',
    peers: 'peers',
  })

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
  shownAs(peerType, 'Peer', {
    name: '',
    address: '',
    weight: 'peerWeight',
    connections: 'peerConnections',
    fails: 'peerFails',
    down: 'peerDown',
  })

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
      if (passesContent(phase)) return replace(r, value, phase)
      const { status, headers, body: text } = value as { status?: unknown; headers?: unknown; body?: unknown }
      if (typeof status === 'number') return respond(r, status, headers, text)
    }
    if (passesContent(phase)) throw noContent(phase, value)
    throw new Mistake(
      `${phase} returned ${inspect(value)}; return nothing, call r.return(status) or return { status, headers, body }`,
    )
  }

  const passesContent = (phase: string): boolean => phase === 'wsMessage' || phase === 'bodyFilter'

  /** Bytes go on in the place of what came; texts and null the host tells by itself. */
  function replace(r: unknown, value: object, phase: string): void {
    if (!isView(value) && !(value instanceof Buffers)) throw noContent(phase, value)
    const [buffer, offset, length] = bytesOf(value, `what ${phase} returned`)
    on.replaceWith(r, buffer, offset, length)
  }

  const noContent = (phase: string, value: unknown): Error =>
    new Mistake(
      `${phase} returned ${inspect(value)}; return nothing, a string or a Uint8Array to go on instead, or null`,
    )

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

  return {
    makeSlot(): object {
      const variables = preventExtensions(new Variables())
      const headersIn = makeFields()
      const headersOut = makeFields()
      const upstream = preventExtensions(new Upstream())
      const r = new Request(variables, headersIn.fields, headersOut.fields)
      const objects = [
        r,
        variables,
        headersIn.fields,
        headersIn.target,
        headersOut.fields,
        headersOut.target,
        upstream,
      ]
      apply(door.slotMade, undefined, objects)
      return { r, upstream }
    },
    forget: Request.forget,
    defineVariable(name, get, set) {
      defineProperty(Variables.prototype, name, { get, set, enumerable: true, configurable: true })
    },
    makePeers,
    decide,
    watch,
    resolved,
  }
}
