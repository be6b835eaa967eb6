/**
 * The response head that goes to the client, before it is bytes: a few typed slots, the upstream's own fields (read
 * where they stand, minus those hidden), and fields that were added.
 */
import { Field, fieldId } from '../http1/fields.ts'
import type { HeaderAccess } from '../phases.ts'
import { checkField, FieldEdits, refuseFraming } from './field-edits.ts'

export class ResponseHeaders extends FieldEdits implements HeaderAccess {
  /** null: not sent. */
  contentType: string | null = null
  /** Bytes of the body; -1: not known, so chunked or until close. */
  contentLength = -1
  lastModified: string | null = null
  location: string | null = null
  /** null: Sluice's own (`server_tokens`); '': none. */
  server: string | null = null
  /** null: the current time; '': none. */
  date: string | null = null

  constructor() {
    super(null)
  }

  /** Back to an empty head, e.g. when an error page replaces a response. */
  clear(): void {
    this.contentType = null
    this.contentLength = -1
    this.lastModified = null
    this.location = null
    this.server = null
    this.date = null
    this.block = null
    this.hidden = null
    this.extra = null
  }

  /** An answer of another kind takes this one's place: drops what described its body, and all that an upstream sent. */
  clearBody(): void {
    if (this.block !== null) {
      this.clear()
      return
    }
    this.contentType = null
    this.contentLength = -1
    this.lastModified = null
    this.remove('etag')
    this.remove('accept-ranges')
  }

  get(name: string): string | undefined {
    const slot = this.#slot(fieldId(name))
    if (slot !== undefined) return slot === null ? undefined : slot
    return this.joined(name, ', ')
  }

  getAll(name: string): string[] {
    const slot = this.#slot(fieldId(name))
    if (slot !== undefined) return slot === null ? [] : [slot]
    return this.valuesOf(name)
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  set(name: string, value: string): void {
    checkField(name, value)
    if (this.#setSlot(refuseFraming(name), value)) return
    this.remove(name)
    this.add(name, value)
  }

  append(name: string, value: string): void {
    checkField(name, value)
    if (!this.#setSlot(refuseFraming(name), value)) this.add(name, value)
  }

  delete(name: string): void {
    const id = refuseFraming(name)
    const absent = id === Field.SERVER || id === Field.DATE ? '' : null
    if (!this.#setSlot(id, absent)) this.remove(name)
  }

  entries(): [string, string][] {
    const pairs: [string, string][] = []
    if (this.server) pairs.push(['Server', this.server])
    if (this.date) pairs.push(['Date', this.date])
    if (this.contentType !== null) pairs.push(['Content-Type', this.contentType])
    if (this.contentLength >= 0) pairs.push(['Content-Length', String(this.contentLength)])
    if (this.lastModified !== null) pairs.push(['Last-Modified', this.lastModified])
    if (this.location !== null) pairs.push(['Location', this.location])
    return pairs.concat(this.pairs())
  }

  /** The value of a field that has a slot (null: absent), or undefined for every other field. */
  #slot(id: number): string | null | undefined {
    switch (id) {
      case Field.CONTENT_TYPE:
        return this.contentType
      case Field.CONTENT_LENGTH:
        return this.contentLength < 0 ? null : String(this.contentLength)
      case Field.LAST_MODIFIED:
        return this.lastModified
      case Field.LOCATION:
        return this.location
      case Field.SERVER:
        return this.server || null
      case Field.DATE:
        return this.date || null
      default:
        return undefined
    }
  }

  #setSlot(id: number, value: string | null): boolean {
    switch (id) {
      case Field.CONTENT_TYPE:
        this.contentType = value
        return true
      case Field.LAST_MODIFIED:
        this.lastModified = value
        return true
      case Field.LOCATION:
        this.location = value
        return true
      case Field.SERVER:
        this.server = value
        return true
      case Field.DATE:
        this.date = value
        return true
      default:
        return false
    }
  }
}
