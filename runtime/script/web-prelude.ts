/**
 * URL, URLSearchParams, TextEncoder, TextDecoder, atob, btoa and structuredClone as scripts know them from the web and
 * from Node. {@link webPrelude} is GUEST code, compiled when a script names one of them; the WHATWG rules themselves
 * are the host's.
 */
import type { Door } from './prelude.ts'

type Pair = [name: string, value: string]
type Parts = string[]

export function webPrelude(
  door: Door,
  bytesOf: (value: unknown, what: string) => [ArrayBuffer, number, number],
): object {
  const { parse, stringify } = JSON
  const { isArray } = Array
  const Mistake = TypeError
  const Bytes = Uint8Array
  const HREF = 0
  const ORIGIN = 1
  const SEARCH = 9
  const NO_BYTES = new Bytes(0)

  class URLSearchParams {
    #pairs: Pair[] = []
    /** Told of every change: the URL that the query belongs to. */
    #changed: ((query: string) => void) | null = null

    constructor(init: unknown = '') {
      if (typeof init === 'object' && init !== null) this.#pairs = pairsFrom(init)
      else {
        const query = `${init}`
        this.#pairs = parse(door.parseQuery(query[0] === '?' ? query.slice(1) : query) as string)
      }
    }

    static attach(query: URLSearchParams, changed: (query: string) => void): void {
      query.#changed = changed
    }

    static reset(query: URLSearchParams, search: string): void {
      query.#pairs = parse(door.parseQuery(search) as string)
    }

    get size(): number {
      return this.#pairs.length
    }

    append(name: unknown, value: unknown): void {
      this.#pairs.push([`${name}`, `${value}`])
      this.#update()
    }

    delete(name: unknown, value?: unknown): void {
      this.#pairs = this.#pairs.filter((pair) => !matches(pair, name, value))
      this.#update()
    }

    get(name: unknown): string | null {
      return this.#pairs.find((pair) => pair[0] === `${name}`)?.[1] ?? null
    }

    getAll(name: unknown): string[] {
      return this.#pairs.filter((pair) => pair[0] === `${name}`).map((pair) => pair[1])
    }

    has(name: unknown, value?: unknown): boolean {
      return this.#pairs.some((pair) => matches(pair, name, value))
    }

    set(name: unknown, value: unknown): void {
      const first = this.#pairs.findIndex((pair) => pair[0] === `${name}`)
      if (first < 0) this.#pairs.push([`${name}`, `${value}`])
      else {
        this.#pairs = this.#pairs.filter((pair, index) => index <= first || pair[0] !== `${name}`)
        this.#pairs[first] = [`${name}`, `${value}`]
      }
      this.#update()
    }

    sort(): void {
      this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0))
      this.#update()
    }

    forEach(visit: (value: string, name: string, query: URLSearchParams) => void): void {
      for (const [name, value] of this.#pairs) visit(value, name, this)
    }

    *entries(): Generator<Pair> {
      for (const [name, value] of this.#pairs) yield [name, value]
    }

    *keys(): Generator<string> {
      for (const [name] of this.#pairs) yield name
    }

    *values(): Generator<string> {
      for (const [, value] of this.#pairs) yield value
    }

    [Symbol.iterator](): Generator<Pair> {
      return this.entries()
    }

    toString(): string {
      return door.formatQuery(stringify(this.#pairs)) as string
    }

    #update(): void {
      if (this.#changed !== null) this.#changed(this.toString())
    }
  }
  const { attach, reset } = URLSearchParams
  delete (URLSearchParams as { attach?: unknown }).attach
  delete (URLSearchParams as { reset?: unknown }).reset

  function matches(pair: Pair, name: unknown, value: unknown): boolean {
    return pair[0] === `${name}` && (value === undefined || pair[1] === `${value}`)
  }

  function pairsFrom(init: object): Pair[] {
    if (!(Symbol.iterator in init)) return Object.entries(init).map(([name, value]) => [name, `${value}`])
    return [...(init as Iterable<Iterable<unknown>>)].map((pair) => {
      const both = [...pair]
      if (both.length !== 2) throw new Mistake('each pair of a query has a name and a value')
      return [`${both[0]}`, `${both[1]}`]
    })
  }

  class URL {
    #parts: Parts
    #query: URLSearchParams | null = null

    constructor(url: unknown, base?: unknown) {
      this.#parts = parse(door.parseUrl(`${url}`, base === undefined ? '' : `${base}`) as string)
    }

    static canParse(url: unknown, base?: unknown): boolean {
      try {
        return new URL(url, base) !== null
      } catch {
        return false
      }
    }

    static part(url: URL, index: number): string {
      return url.#parts[index]
    }

    static change(url: URL, name: string, value: unknown): void {
      url.#parts = parse(door.changeUrl(url.#parts[HREF], name, `${value}`) as string)
      if (url.#query !== null && (name === 'href' || name === 'search')) {
        reset(url.#query, url.#parts[SEARCH].slice(1))
      }
    }

    get searchParams(): URLSearchParams {
      if (this.#query === null) {
        this.#query = new URLSearchParams(this.#parts[SEARCH])
        attach(this.#query, (query) => {
          this.#parts = parse(door.changeUrl(this.#parts[HREF], 'search', query) as string)
        })
      }
      return this.#query
    }

    toString(): string {
      return this.#parts[HREF]
    }

    toJSON(): string {
      return this.#parts[HREF]
    }
  }
  const { part, change } = URL
  delete (URL as { part?: unknown }).part
  delete (URL as { change?: unknown }).change
  const names = 'href origin protocol username password host hostname port pathname search hash'.split(' ')
  names.forEach((name, index) => {
    Object.defineProperty(URL.prototype, name, {
      get(this: URL) {
        return part(this, index)
      },
      set:
        index === ORIGIN
          ? undefined
          : function set(this: URL, value: unknown) {
              change(this, name, value)
            },
      enumerable: true,
      configurable: true,
    })
  })

  class TextEncoder {
    get encoding(): string {
      return 'utf-8'
    }

    encode(text: unknown = ''): Uint8Array {
      return new Bytes(door.utf8Encode(`${text}`) as ArrayBuffer)
    }
  }

  class TextDecoder {
    #label: string
    #fatal: boolean
    #ignoreBOM: boolean
    /** Of a text that comes in pieces: bytes of a character that is not complete yet. */
    #rest = NO_BYTES
    /** Its first character has been there. */
    #begun = false

    constructor(label: unknown = 'utf-8', options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
      this.#label = door.encodingName(`${label}`) as string
      this.#fatal = !!options.fatal
      this.#ignoreBOM = !!options.ignoreBOM
    }

    get encoding(): string {
      return this.#label
    }

    get fatal(): boolean {
      return this.#fatal
    }

    get ignoreBOM(): boolean {
      return this.#ignoreBOM
    }

    decode(data?: unknown, options?: { stream?: boolean }): string {
      const piece = data === undefined ? NO_BYTES : data
      const [buffer, offset, length] = bytesOf(
        this.#rest.length === 0 ? piece : this.#joined(piece),
        'the data',
      )
      const rest = options?.stream ? (door.textRest(this.#label, buffer, offset, length) as number) : 0
      const end = offset + length
      const ignoreBOM = this.#ignoreBOM || this.#begun
      this.#begun = !!options?.stream && (this.#begun || length > rest)
      this.#rest = rest === 0 ? NO_BYTES : new Bytes(buffer.slice(end - rest, end))
      if (length === rest) return ''
      return door.decodeText(this.#label, this.#fatal, ignoreBOM, buffer, offset, length - rest) as string
    }

    #joined(data: unknown): Uint8Array {
      const [buffer, offset, length] = bytesOf(data, 'the data')
      const whole = new Bytes(this.#rest.length + length)
      whole.set(this.#rest)
      whole.set(new Bytes(buffer, offset, length), this.#rest.length)
      return whole
    }
  }

  function structuredClone(value: unknown): unknown {
    return clone(value, new Map())
  }

  function clone(value: unknown, seen: Map<object, unknown>): unknown {
    if (typeof value === 'function' || typeof value === 'symbol') {
      throw new Mistake(`structuredClone: a ${typeof value} cannot be cloned`)
    }
    if (typeof value !== 'object' || value === null) return value
    const known = seen.get(value)
    if (known !== undefined) return known
    const copy = shell(value)
    seen.set(value, copy)
    if (value instanceof Map) {
      for (const [key, item] of value)
        (copy as Map<unknown, unknown>).set(clone(key, seen), clone(item, seen))
    } else if (value instanceof Set) {
      for (const item of value) (copy as Set<unknown>).add(clone(item, seen))
    } else if (isArray(value) || !isBuiltin(value)) {
      for (const key of Object.keys(value)) {
        ;(copy as Record<string, unknown>)[key] = clone((value as Record<string, unknown>)[key], seen)
      }
    }
    return copy
  }

  const isBuiltin = (value: object): boolean =>
    value instanceof Date ||
    value instanceof RegExp ||
    value instanceof Error ||
    value instanceof ArrayBuffer ||
    ArrayBuffer.isView(value) ||
    value instanceof Boolean ||
    value instanceof Number ||
    value instanceof String

  /** The copy without what is inside. */
  function shell(value: object): object {
    if (isArray(value)) return new Array(value.length)
    if (value instanceof Map) return new Map()
    if (value instanceof Set) return new Set()
    if (value instanceof Date) return new Date(value.getTime())
    if (value instanceof RegExp) return new RegExp(value.source, value.flags)
    if (value instanceof Error) return errorLike(value)
    if (value instanceof ArrayBuffer) return value.slice(0)
    if (value instanceof DataView) {
      const { byteOffset, byteLength } = value
      return new DataView(value.buffer.slice(byteOffset, byteOffset + byteLength))
    }
    if (ArrayBuffer.isView(value)) return (value as Uint8Array).slice()
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet) {
      throw new Mistake('structuredClone: a promise or weak collection cannot be cloned')
    }
    if (isBuiltin(value)) return Object(value.valueOf())
    return {}
  }

  function errorLike(error: Error): Error {
    const kinds: Record<string, ErrorConstructor> = {
      TypeError,
      RangeError,
      SyntaxError,
      ReferenceError,
      EvalError,
      URIError,
    }
    const copy = new (kinds[error.name] ?? Error)(error.message)
    Object.defineProperty(copy, 'stack', { value: error.stack, writable: true, configurable: true })
    return copy
  }

  return {
    URL,
    URLSearchParams,
    TextEncoder,
    TextDecoder,
    atob: (text: unknown) => door.atob(`${text}`),
    btoa: (text: unknown) => door.btoa(`${text}`),
    structuredClone,
  }
}
