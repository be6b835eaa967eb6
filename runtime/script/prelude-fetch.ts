/**
 * `fetch` and its response. {@link fetchPrelude} is GUEST code, compiled when a script names it or what comes with it; the
 * requests themselves are the host's, which checks all of it.
 */
import type { Door } from './prelude.ts'
import {
  type AbortParts,
  abortPrelude,
  type GuestHeaders,
  type GuestSignal,
  type HeaderParts,
  headersPrelude,
  type Pair,
} from './prelude-fetch-parts.ts'

/** What the host tells of a fetch, as the second argument of `settle`. */
export const Told = { RESPONSE: 0, MORE: 1, LAST: 2, DRAINED: 3, FAILED: 4, DROPPED: 5 } as const

/** How a body is read: a piece as it comes, much at once, much at once as text. */
export const ReadAs = { PIECE: 0, BYTES: 1, TEXT: 2 } as const

/** What the prelude lends. */
export interface FetchTools {
  bytesOf(value: unknown, what: string): [ArrayBuffer, number, number]
  setTimer(callback: () => void, ms: number): unknown
  isQuery(value: unknown): boolean
}

export interface GuestFetch {
  readonly globals: Record<string, unknown>
  /** The host's way in. */
  settle(id: number, told: number, value: unknown): void
}

type Piece = { value: unknown; last: boolean }
interface Waiter<T> {
  resolve: (value: T) => void
  reject: (error: unknown) => void
}

interface Makers {
  headers(): HeaderParts
  abort(setTimer: FetchTools['setTimer']): AbortParts
}

/** An expression for the sandbox: `(door, tools) => GuestFetch`. */
export const FETCH_SOURCE = `((door, tools) =>
  (${fetchPrelude})(door, tools, { headers: ${headersPrelude}, abort: ${abortPrelude} }))`

function fetchPrelude(door: Door, tools: FetchTools, makers: Makers): GuestFetch {
  const { parse, stringify } = JSON
  const { create } = Object
  const { apply } = Reflect
  const { bytesOf, setTimer, isQuery } = tools
  const { Headers, list } = makers.headers()
  const { AbortController, AbortSignal, isAborted, whenAborted, named } = makers.abort(setTimer)
  const Bytes = Uint8Array
  const Later = Promise
  const HIDDEN = {}
  const Mistake = TypeError
  const OutOfRange = RangeError
  const iterator: typeof Symbol.iterator = Symbol.iterator
  const asyncIterator: typeof Symbol.asyncIterator = Symbol.asyncIterator
  const slice = ArrayBuffer.prototype.slice
  const MAX_WHOLE = 16 * 1024 * 1024
  const MAX_PIECE = 64 * 1024
  // What `Told` and `ReadAs` say.
  const RESPONSE = 0
  const MORE = 1
  const LAST = 2
  const DRAINED = 3
  const FAILED = 4
  const PIECE = 0
  const BYTES = 1
  const TEXT = 2

  // ---- calls under way ----
  interface Call {
    response: Waiter<Response> | null
    piece: Waiter<Piece> | null
    drained: (() => void) | null
    /** Lets go of the signal. */
    unlisten: (() => void) | null
    /** Why it ended before its time. */
    error: unknown
    failed: boolean
  }
  const calls = create(null) as Record<number, Call | undefined>

  function settle(id: number, told: number, value: unknown): void {
    const call = calls[id]
    if (call === undefined) return
    if (told === RESPONSE) onResponse(id, call, parse(value as string))
    else if (told === MORE || told === LAST) onPiece(id, call, value, told === LAST)
    else if (told === DRAINED) call.drained?.()
    else if (told === FAILED) {
      const [kind, message] = parse(value as string) as [string, string]
      fail(id, call, kind === 'TypeError' ? new Mistake(message) : named(kind, message))
    } else forget(id, call)
  }

  function onPiece(id: number, call: Call, value: unknown, last: boolean): void {
    const { piece } = call
    call.piece = null
    if (last) forget(id, call)
    piece?.resolve({ value, last })
  }

  function forget(id: number, call: Call): void {
    delete calls[id]
    call.unlisten?.()
    call.unlisten = null
  }

  function fail(id: number, call: Call, error: unknown): void {
    forget(id, call)
    call.failed = true
    call.error = error
    call.response?.reject(error)
    call.piece?.reject(error)
    // Who uploads looks at the call again.
    call.drained?.()
  }

  /** From our side: the host is told. */
  function cancel(id: number, call: Call, error: unknown): void {
    if (calls[id] !== call) return
    door.fetchAbort(id)
    fail(id, call, error)
  }

  function onResponse(id: number, call: Call, head: ResponseHead): void {
    const waiter = call.response
    call.response = null
    if (head.empty) forget(id, call)
    waiter?.resolve(new Response(HIDDEN, id, call, head))
  }

  /** The next piece. */
  function readPiece(id: number, call: Call, as: number): Promise<Piece> {
    return new Later((resolve, reject) => {
      if (call.failed) {
        reject(call.error)
        return
      }
      if (calls[id] !== call) {
        reject(new Mistake('the response is over: its request has ended'))
        return
      }
      call.piece = { resolve, reject }
      door.fetchRead(id, as)
    })
  }

  // ---- Response ----
  interface ResponseHead {
    url: string
    redirected: boolean
    status: number
    statusText: string
    headers: Pair[]
    empty: boolean
  }

  class Response {
    #id: number
    #call: Call
    #head: ResponseHead
    #headers: GuestHeaders | undefined
    #body: Body | null | undefined
    #used = false

    constructor(from: unknown, id: number, call: Call, head: ResponseHead) {
      if (from !== HIDDEN) throw new Mistake('a Response comes from fetch()')
      this.#id = id
      this.#call = call
      this.#head = head
    }

    get status(): number {
      return this.#head.status
    }

    get statusText(): string {
      return this.#head.statusText
    }

    get ok(): boolean {
      return this.#head.status >= 200 && this.#head.status < 300
    }

    get url(): string {
      return this.#head.url
    }

    get redirected(): boolean {
      return this.#head.redirected
    }

    get headers(): GuestHeaders {
      this.#headers ??= new Headers(this.#head.headers)
      return this.#headers
    }

    get bodyUsed(): boolean {
      return this.#used
    }

    get body(): Body | null {
      if (this.#body === undefined) {
        this.#body = this.#head.empty ? null : new Body(HIDDEN, this.#id, this.#call, () => this.#use())
      }
      return this.#body
    }

    async text(): Promise<string> {
      this.#use()
      const parts: string[] = []
      await this.#readAll(TEXT, (part) => {
        parts.push(part as string)
        return (part as string).length
      })
      const text = parts.length === 1 ? parts[0] : parts.join('')
      return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
    }

    async json(): Promise<unknown> {
      return parse(await this.text())
    }

    async bytes(): Promise<Uint8Array> {
      this.#use()
      const parts: Uint8Array[] = []
      const size = await this.#readAll(BYTES, (part) => {
        parts.push(new Bytes(part as ArrayBuffer))
        return (part as ArrayBuffer).byteLength
      })
      if (parts.length === 1) return parts[0]
      const whole = new Bytes(size)
      let at = 0
      for (const part of parts) {
        whole.set(part, at)
        at += part.length
      }
      return whole
    }

    async arrayBuffer(): Promise<ArrayBuffer> {
      return (await this.bytes()).buffer as ArrayBuffer
    }

    async #readAll(as: number, add: (part: unknown) => number): Promise<number> {
      let size = 0
      if (this.#head.empty) return size
      for (;;) {
        const { value, last } = await readPiece(this.#id, this.#call, as)
        size += add(value)
        if (last) return size
        if (size > MAX_WHOLE) {
          const error = new OutOfRange(
            `the body is longer than ${MAX_WHOLE} bytes; read it piece by piece from body`,
          )
          cancel(this.#id, this.#call, error)
          throw error
        }
      }
    }

    #use(): void {
      if (this.#used) throw new Mistake('the body is read already, or being read')
      this.#used = true
    }
  }

  /** The body as pieces, once. */
  class Body {
    #id: number
    #call: Call
    #use: () => void

    constructor(from: unknown, id: number, call: Call, use: () => void) {
      if (from !== HIDDEN) throw new Mistake('a body comes from a Response')
      this.#id = id
      this.#call = call
      this.#use = use
    }

    async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
      this.#use()
      try {
        for (;;) {
          const { value, last } = await readPiece(this.#id, this.#call, PIECE)
          if ((value as ArrayBuffer).byteLength > 0) yield new Bytes(value as ArrayBuffer)
          if (last) return
        }
      } finally {
        this.#stop()
      }
    }

    /** Nothing of it is wanted any more. */
    async cancel(): Promise<void> {
      this.#stop()
    }

    #stop(): void {
      cancel(this.#id, this.#call, named('AbortError', 'the body was cancelled'))
    }
  }

  // ---- fetch ----
  interface Options {
    method?: unknown
    headers?: unknown
    body?: unknown
    signal?: GuestSignal | null
    timeout?: unknown
    redirect?: unknown
  }

  async function fetch(input: unknown, options: Options = {}): Promise<Response> {
    const given = requestLike(input)
    const pick = (name: keyof Options): unknown => options[name] ?? given[name]
    const headers = new Headers(pick('headers'))
    const body = pick('body') as unknown
    const signal = pick('signal') as GuestSignal | undefined
    if (signal !== undefined && isAborted(signal)) throw signal.reason
    const type = typeOf(body)
    if (type !== null && !headers.has('content-type')) headers.set('content-type', type)
    const stream = isStream(body)
    const described = stringify({
      url: given.url,
      method: `${pick('method') ?? 'GET'}`,
      headers: list(headers),
      redirect: `${pick('redirect') ?? 'follow'}`,
      timeout: pick('timeout') === undefined ? null : +(pick('timeout') as number),
    })
    const id = door.fetchStart(described, stream, ...dataOf(stream ? undefined : body)) as number
    const call: Call = {
      response: null,
      piece: null,
      drained: null,
      unlisten: null,
      error: null,
      failed: false,
    }
    calls[id] = call
    if (signal !== undefined) call.unlisten = whenAborted(signal, () => cancel(id, call, signal.reason))
    const response = new Later<Response>((resolve, reject) => {
      call.response = { resolve, reject }
    })
    if (stream) upload(id, call, body as AsyncIterable<unknown>)
    return response
  }

  /** A URL, or what has one: `{ url, method, headers, body }`. */
  function requestLike(input: unknown): Options & { url: string } {
    if (typeof input !== 'object' || input === null) return { url: `${input}` }
    const { url } = input as { url?: unknown }
    return typeof url === 'string' ? (input as Options & { url: string }) : { url: `${input}` }
  }

  function typeOf(body: unknown): string | null {
    if (typeof body === 'string') return 'text/plain;charset=UTF-8'
    return isQuery(body) ? 'application/x-www-form-urlencoded;charset=UTF-8' : null
  }

  function isStream(body: unknown): boolean {
    if (typeof body !== 'object' || body === null) return false
    if (body instanceof ArrayBuffer || ArrayBuffer.isView(body) || isQuery(body)) return false
    return asyncIterator in body || iterator in body
  }

  /** A body as the host takes it: text, or a buffer, where it begins and how long it is; undefined for none. */
  function dataOf(body: unknown): [unknown, number, number] {
    if (body === undefined || body === null) return [undefined, 0, 0]
    if (typeof body === 'string') return [body, 0, 0]
    if (isQuery(body)) return [`${body}`, 0, 0]
    return bytesOf(body, 'a body')
  }

  /** Sends what the stream gives, as fast as the peer takes it. */
  async function upload(id: number, call: Call, source: AsyncIterable<unknown>): Promise<void> {
    try {
      for await (const chunk of source) {
        const data = typeof chunk === 'string' ? (door.utf8Encode(chunk) as ArrayBuffer) : chunk
        const [buffer, offset, length] = bytesOf(data, 'a piece of the body')
        for (let at = 0; at < length; at += MAX_PIECE) {
          if (calls[id] !== call) return
          const end = at + MAX_PIECE < length ? at + MAX_PIECE : length
          const piece = apply(slice, buffer, [offset + at, offset + end])
          if (door.fetchWrite(id, piece)) continue
          await new Later<void>((resolve) => {
            call.drained = resolve
          })
        }
        if (calls[id] !== call) return
      }
      if (calls[id] === call) door.fetchFinish(id)
    } catch (error) {
      cancel(id, call, error)
    }
  }

  return { globals: { fetch, Headers, AbortController, AbortSignal }, settle }
}
