/**
 * The part of the prelude that makes `ws` and `msg`. {@link socketPrelude} is GUEST code, compiled when a script exports
 * a `ws*` hook: the builtins that it relies on were taken before the script ran, and are handed to it.
 */
import type { Door } from './prelude.ts'
import type { Known } from './prelude-inspect.ts'

export interface SocketTools {
  bytesOf(value: unknown, what: string): [ArrayBuffer, number, number]
  readonly known: Known
  readonly reflect: Pick<typeof Reflect, 'apply'>
  readonly objects: Pick<ObjectConstructor, 'create' | 'defineProperties' | 'freeze' | 'preventExtensions'>
  readonly json: Pick<JSON, 'parse' | 'stringify'>
  readonly Bytes: Uint8ArrayConstructor
  readonly Mistake: TypeErrorConstructor
}

/** What the host keeps of it. */
export interface GuestSockets {
  makeSocket(): object
  makeMessage(): object
  /** What `wsClose` is told. */
  makeEnd(by: string, code: number, reason: string): object
  toBytes(buffer: ArrayBuffer): Uint8Array
  /** Gives the WebSocket its state back, changed by the script's `migrate` if one is given. */
  restore(ws: never, json: string, migrate?: (state: unknown) => unknown): void
  /** The state as JSON. */
  save(ws: never): string
  forget(ws: never): void
}

export function socketPrelude(door: Door, on: Door, tools: SocketTools): GuestSockets {
  const { bytesOf, known, Bytes, Mistake } = tools
  const { apply } = tools.reflect
  const { create, defineProperties, freeze, preventExtensions } = tools.objects
  const { parse, stringify } = tools.json
  const getter = (name: string): PropertyDescriptor => ({ get: door[name], enumerable: true })

  class WebSocket {
    /** undefined: none yet. */
    #state: unknown = undefined

    constructor() {
      preventExtensions(this)
    }

    static restore(ws: WebSocket, json: string, migrate?: (state: unknown) => unknown): void {
      const state = parse(json)
      ws.#state = migrate === undefined ? state : migrated(migrate(state))
    }

    static save(ws: WebSocket): string {
      const json = stringify(ws.#state === undefined ? {} : ws.#state)
      if (typeof json !== 'string') throw new Mistake('it has no JSON')
      return json
    }

    static forget(ws: WebSocket): void {
      ws.#state = undefined
    }

    get state(): unknown {
      const state = this.#state
      on.stateTouched(this)
      if (state === undefined) this.#state = {}
      return this.#state
    }

    set state(value: unknown) {
      void this.#state
      if (!isKeepable(value))
        throw new Mistake(`ws.state is a value that JSON can hold, not ${kindOf(value)}`)
      on.stateTouched(this)
      this.#state = value
    }

    send(to: unknown, data: unknown): void {
      if (typeof data === 'string') {
        on.wsSend(this, to, data)
        return
      }
      const [buffer, offset, length] = bytesOf(data, 'the message')
      on.wsSend(this, to, buffer, offset, length)
    }
  }
  const { restore, save, forget } = WebSocket
  const socketType = WebSocket.prototype as object
  delete (socketType as { constructor?: unknown }).constructor
  defineProperties(socketType, {
    protocol: getter('wsProtocol'),
    reconnects: getter('wsReconnects'),
    close: { value: door.wsClose },
  })
  freeze(socketType)

  const messageType = create(null)
  defineProperties(messageType, {
    from: getter('messageFrom'),
    data: getter('messageData'),
    binary: getter('messageBinary'),
  })
  freeze(messageType)

  const kindOf = (value: unknown): string => (value === undefined ? 'undefined' : `a ${typeof value}`)

  function isKeepable(value: unknown): boolean {
    const kind = typeof value
    return kind === 'object' || kind === 'string' || kind === 'number' || kind === 'boolean'
  }

  function migrated(state: unknown): unknown {
    if (!isKeepable(state)) throw new Mistake(`migrate returned ${kindOf(state)}; return the new ws.state`)
    if (
      typeof state === 'object' &&
      state !== null &&
      typeof (state as { then?: unknown }).then === 'function'
    )
      throw new Mistake('migrate returned a promise; return the new ws.state itself')
    return state
  }

  /** How they look in a log line. */
  const viewOf = (getters: Record<string, string>, names: string[]) => (of: object) => {
    const view: Record<string, unknown> = {}
    for (let i = 0; i < names.length; i++) view[names[i]] = apply(door[getters[names[i]]], of, [])
    return view
  }
  const socketView = viewOf({ protocol: 'wsProtocol', reconnects: 'wsReconnects' }, [
    'protocol',
    'reconnects',
  ])
  const messageView = viewOf({ from: 'messageFrom', binary: 'messageBinary', data: 'messageData' }, [
    'from',
    'binary',
    'data',
  ])
  known.types[known.types.length] = { prototype: socketType, name: 'WebSocket', view: socketView }
  known.types[known.types.length] = { prototype: messageType, name: 'Message', view: messageView }

  return {
    makeSocket: () => new WebSocket(),
    makeMessage: () => preventExtensions(create(messageType)),
    makeEnd: (by, code, reason) => ({ by, code, reason }),
    toBytes: (buffer) => new Bytes(buffer),
    restore,
    save,
    forget,
  }
}
