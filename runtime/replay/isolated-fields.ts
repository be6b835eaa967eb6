/** Header fields of a request that nobody sends: given as pairs, changed within the proxy's own rules. */
import { Field, fieldId } from '../http1/fields.ts'
import type { HeaderAccess } from '../phases.ts'
import { RequestHeaders } from '../proxy/request-headers.ts'
import { ResponseHeaders } from '../proxy/response-headers.ts'
import type { Pairs } from './hook-input.ts'

/** Whose fields are made when somebody first asks for them, of what {@link begin} was given last. */
abstract class IsolatedFields implements HeaderAccess {
  #pairs: Pairs = []
  #fields: HeaderAccess | null = null
  /** A hook has changed them. */
  changed = false
  readonly #onRead: ((name: string, value: string) => void) | null

  /** @param onRead hears of values that are asked for by their name */
  constructor(onRead: ((name: string, value: string) => void) | null = null) {
    this.#onRead = onRead
  }

  /** Another hook begins: nothing of what the one before it has changed stays. */
  begin(pairs: Pairs): void {
    this.#pairs = pairs
    this.#fields = null
    this.changed = false
  }

  protected abstract make(pairs: Pairs): HeaderAccess

  get #now(): HeaderAccess {
    this.#fields ??= this.make(this.#pairs)
    return this.#fields
  }

  get(name: string): string | undefined {
    const value = this.#now.get(name)
    if (value !== undefined && this.#onRead !== null) this.#onRead(name, value)
    return value
  }

  getAll(name: string): string[] {
    return this.#now.getAll(name)
  }

  has(name: string): boolean {
    return this.#now.has(name)
  }

  entries(): [string, string][] {
    return this.#now.entries()
  }

  set(name: string, value: string): void {
    this.#now.set(name, value)
    this.changed = true
  }

  append(name: string, value: string): void {
    this.#now.append(name, value)
    this.changed = true
  }

  delete(name: string): void {
    this.#now.delete(name)
    this.changed = true
  }
}

export class IsolatedRequestFields extends IsolatedFields {
  protected override make(pairs: Pairs): HeaderAccess {
    const fields = new RequestHeaders(null)
    fields.extra = pairs.flat()
    return fields
  }
}

export class IsolatedResponseFields extends IsolatedFields {
  protected override make(pairs: Pairs): HeaderAccess {
    const fields = new ResponseHeaders()
    for (const [name, value] of pairs) {
      if (fieldId(name) === Field.CONTENT_LENGTH) fields.contentLength = Number(value)
      else if (/^(?:server|date|content-type|last-modified|location)$/i.test(name)) fields.append(name, value)
      else fields.add(name, value)
    }
    return fields
  }
}
