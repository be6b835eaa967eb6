/**
 * What `fetch` is made of beside itself: Headers, AbortController and AbortSignal. GUEST code, compiled together with
 * `prelude-fetch.ts`.
 */

export type Pair = [name: string, value: string]

/** Header fields as scripts know them from the web. */
export interface GuestHeaders extends Iterable<Pair> {
  has(name: unknown): boolean
  set(name: unknown, value: unknown): void
}

export interface HeaderParts {
  readonly Headers: new (init?: unknown) => GuestHeaders
  /** Every field, for the host. */
  list(headers: GuestHeaders): Pair[]
}

export interface GuestSignal {
  readonly aborted: boolean
  readonly reason: unknown
}

export interface AbortParts {
  readonly AbortController: unknown
  readonly AbortSignal: unknown
  /** Throws for what is no signal. */
  isAborted(signal: GuestSignal): boolean
  /** @returns how not to be told after all */
  whenAborted(signal: GuestSignal, action: () => void): () => void
  /** An error of that name. */
  named(name: string, message: string): Error
}

export function headersPrelude(): HeaderParts {
  const { stringify } = JSON
  const { isArray } = Array
  const { keys } = Object
  const Mistake = TypeError
  const iterator: typeof Symbol.iterator = Symbol.iterator
  const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

  class Headers {
    /** Lower-case names. */
    #pairs: Pair[] = []

    constructor(init?: unknown) {
      if (init === undefined || init === null) return
      if (typeof init !== 'object') throw new Mistake('Headers are made of an object or of pairs')
      if (iterator in init) {
        for (const pair of init as Iterable<Iterable<unknown>>) {
          const both = [...pair]
          if (both.length !== 2) throw new Mistake('each pair of Headers has a name and a value')
          this.append(both[0], both[1])
        }
        return
      }
      for (const name of keys(init)) {
        const value = (init as Record<string, unknown>)[name]
        if (!isArray(value)) this.append(name, value)
        else for (const each of value) this.append(name, each)
      }
    }

    /** Every field, for the host. */
    static list(headers: Headers): Pair[] {
      return headers.#pairs
    }

    append(name: unknown, value: unknown): void {
      this.#pairs.push([checkedName(name), checkedValue(value)])
    }

    set(name: unknown, value: unknown): void {
      const field = checkedName(name)
      const text = checkedValue(value)
      const first = this.#pairs.findIndex((pair) => pair[0] === field)
      if (first < 0) this.#pairs.push([field, text])
      else {
        this.#pairs = this.#pairs.filter((pair, index) => index <= first || pair[0] !== field)
        this.#pairs[first] = [field, text]
      }
    }

    delete(name: unknown): void {
      const field = checkedName(name)
      this.#pairs = this.#pairs.filter((pair) => pair[0] !== field)
    }

    get(name: unknown): string | null {
      const values = this.#all(checkedName(name))
      return values.length === 0 ? null : values.join(', ')
    }

    getSetCookie(): string[] {
      return this.#all('set-cookie')
    }

    has(name: unknown): boolean {
      return this.#all(checkedName(name)).length > 0
    }

    #all(field: string): string[] {
      return this.#pairs.filter((pair) => pair[0] === field).map((pair) => pair[1])
    }

    forEach(visit: (value: string, name: string, headers: Headers) => void): void {
      for (const [name, value] of this) visit(value, name, this)
    }

    /** By name, repeated ones joined, but for cookies (Fetch standard, "sort and combine"). */
    *entries(): Generator<Pair> {
      const names = [...new Set(this.#pairs.map((pair) => pair[0]))].sort()
      for (const name of names) {
        if (name !== 'set-cookie') yield [name, this.get(name)!]
        else for (const value of this.#all(name)) yield [name, value]
      }
    }

    *keys(): Generator<string> {
      for (const [name] of this.entries()) yield name
    }

    *values(): Generator<string> {
      for (const [, value] of this.entries()) yield value
    }

    [Symbol.iterator](): Generator<Pair> {
      return this.entries()
    }
  }
  const { list } = Headers
  delete (Headers as { list?: unknown }).list

  function checkedName(name: unknown): string {
    const text = `${name}`
    if (!TOKEN.test(text)) throw new Mistake(`${stringify(text)} is no header name`)
    return text.toLowerCase()
  }

  function checkedValue(value: unknown): string {
    const text = `${value}`.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '')
    if (/[\0\r\n]/.test(text)) throw new Mistake('a header value holds a control character')
    return text
  }

  return { Headers, list }
}

export function abortPrelude(setTimer: (callback: () => void, ms: number) => unknown): AbortParts {
  const { defineProperty } = Object
  const Failure = Error
  const Mistake = TypeError
  const named = (name: string, message: string): Error =>
    defineProperty(new Failure(message), 'name', { value: name, writable: true, configurable: true })
  type Listener = (event: { type: string; target: AbortSignal }) => void
  const HIDDEN = {}

  class AbortSignal {
    #aborted = false
    #reason: unknown
    #listeners: Listener[] = []
    onabort: Listener | null = null

    constructor(from: unknown) {
      if (from !== HIDDEN) throw new Mistake('an AbortSignal comes from an AbortController')
    }

    static abort(reason?: unknown): AbortSignal {
      const signal = new AbortSignal(HIDDEN)
      abortSignal(signal, reason)
      return signal
    }

    static timeout(ms: unknown): AbortSignal {
      const signal = new AbortSignal(HIDDEN)
      setTimer(
        () => abortSignal(signal, named('TimeoutError', `the time of ${ms} ms is over`)),
        +(ms as number),
      )
      return signal
    }

    static any(signals: Iterable<AbortSignal>): AbortSignal {
      const all = [...signals]
      const signal = new AbortSignal(HIDDEN)
      const done = all.find((each) => isAborted(each))
      if (done !== undefined) abortSignal(signal, done.reason)
      else for (const each of all) whenAborted(each, () => abortSignal(signal, each.reason))
      return signal
    }

    /** Whether it is aborted; throws for what is no signal. */
    static isAborted(signal: AbortSignal): boolean {
      return signal.#aborted
    }

    static trip(signal: AbortSignal, reason: unknown): void {
      if (signal.#aborted) return
      signal.#aborted = true
      signal.#reason = reason === undefined ? named('AbortError', 'the operation was aborted') : reason
      const listeners = signal.#listeners
      signal.#listeners = []
      const event = { type: 'abort', target: signal }
      if (typeof signal.onabort === 'function') signal.onabort(event)
      for (const listener of listeners) listener(event)
    }

    get aborted(): boolean {
      return this.#aborted
    }

    get reason(): unknown {
      return this.#reason
    }

    throwIfAborted(): void {
      if (this.#aborted) throw this.#reason
    }

    addEventListener(type: string, listener: Listener): void {
      if (type !== 'abort' || typeof listener !== 'function' || this.#aborted) return
      if (!this.#listeners.includes(listener)) this.#listeners.push(listener)
    }

    removeEventListener(type: string, listener: Listener): void {
      if (type !== 'abort') return
      this.#listeners = this.#listeners.filter((each) => each !== listener)
    }
  }
  const { isAborted, trip: abortSignal } = AbortSignal
  const { addEventListener, removeEventListener } = AbortSignal.prototype
  delete (AbortSignal as { isAborted?: unknown }).isAborted
  delete (AbortSignal as { trip?: unknown }).trip

  /** @returns how not to be told after all */
  function whenAborted(signal: AbortSignal, action: () => void): () => void {
    addEventListener.call(signal, 'abort', action)
    return () => removeEventListener.call(signal, 'abort', action)
  }

  class AbortController {
    #signal = new AbortSignal(HIDDEN)

    get signal(): AbortSignal {
      return this.#signal
    }

    abort(reason?: unknown): void {
      abortSignal(this.#signal, reason)
    }
  }

  return { AbortController, AbortSignal, isAborted, whenAborted, named }
}
