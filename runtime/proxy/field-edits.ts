/**
 * A field block as it was received plus what was changed about it: fields hidden, fields added. An edit list: an
 * untouched block copies nothing until the head is written. Base of the request's and the response's headers.
 */
import type { FieldId } from '../http1/field-names.ts'
import { Field, type FieldBlock, fieldId } from '../http1/fields.ts'
import { hasAt } from '../lib/ascii.ts'

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const BAD_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/

/** Throws unless the pair may stand in a head. RFC 9110 sections 5.1 and 5.5. The message is safe for scripts. */
export function checkField(name: string, value: string): void {
  if (!TOKEN.test(name)) throw new RangeError(`${JSON.stringify(name)} is not a header name`)
  if (BAD_VALUE.test(value)) throw new RangeError(`the value of header "${name}" holds a control character`)
}

/** Fields that frame the message or the connection: only the proxy itself writes them. */
export function isFraming(id: number): boolean {
  return (
    id === Field.CONNECTION ||
    id === Field.TRANSFER_ENCODING ||
    id === Field.CONTENT_LENGTH ||
    id === Field.KEEP_ALIVE ||
    id === Field.UPGRADE ||
    id === Field.TRAILER ||
    id === Field.TE ||
    id === Field.PROXY_CONNECTION
  )
}

/** @returns the name's number, unless the field is one of those. @throws RangeError */
export function refuseFraming(name: string): FieldId {
  const id = fieldId(name)
  if (isFraming(id)) throw new RangeError(`header "${name}" is written by the proxy itself`)
  return id
}

export class FieldEdits {
  /** The fields as received, or null where there are none. */
  block: FieldBlock | null
  /** 1 where a field of `block` is not passed on; null: all are passed on. */
  hidden: Uint8Array | null = null
  /** Added fields: name, value, name, value, … */
  extra: string[] | null = null

  constructor(block: FieldBlock | null) {
    this.block = block
  }

  add(name: string, value: string): void {
    if (this.extra === null) this.extra = [name, value]
    else this.extra.push(name, value)
  }

  /** Keeps the field of `block` at this index from being passed on. */
  hide(index: number): void {
    if (this.hidden === null) this.hidden = new Uint8Array(this.block!.count)
    this.hidden[index] = 1
  }

  valuesOf(name: string): string[] {
    const lower = name.toLowerCase()
    const found: string[] = []
    const { block, hidden, extra } = this
    if (block !== null) {
      for (let i = block.findName(lower); i >= 0; i = block.findName(lower, i + 1)) {
        if (hidden === null || hidden[i] === 0) found.push(block.value(i))
      }
    }
    if (extra !== null) {
      for (let i = 0; i < extra.length; i += 2) if (isNamed(extra[i], lower)) found.push(extra[i + 1])
    }
    return found
  }

  /** The values of that name in one text; undefined: there are none. */
  joined(name: string, separator: string): string | undefined {
    const lower = name.toLowerCase()
    const { block, hidden, extra } = this
    let all: string | undefined
    if (block !== null) {
      for (let i = block.findName(lower); i >= 0; i = block.findName(lower, i + 1)) {
        if (hidden !== null && hidden[i] !== 0) continue
        all = all === undefined ? block.value(i) : all + separator + block.value(i)
      }
    }
    if (extra === null) return all
    for (let i = 0; i < extra.length; i += 2) {
      if (isNamed(extra[i], lower)) all = all === undefined ? extra[i + 1] : all + separator + extra[i + 1]
    }
    return all
  }

  remove(name: string): void {
    const lower = name.toLowerCase()
    const { block, extra } = this
    if (block !== null) {
      for (let i = block.findName(lower); i >= 0; i = block.findName(lower, i + 1)) this.hide(i)
    }
    if (extra !== null) {
      for (let i = extra.length - 2; i >= 0; i -= 2) if (isNamed(extra[i], lower)) extra.splice(i, 2)
    }
  }

  pairs(): [string, string][] {
    const pairs: [string, string][] = []
    const { block, hidden, extra } = this
    if (block !== null) {
      for (let i = 0; i < block.count; i++) {
        if (hidden === null || hidden[i] === 0) pairs.push([block.name(i), block.value(i)])
      }
    }
    if (extra !== null) for (let i = 0; i < extra.length; i += 2) pairs.push([extra[i], extra[i + 1]])
    return pairs
  }
}

function isNamed(name: string, lower: string): boolean {
  return name.length === lower.length && hasAt(name, 0, lower)
}
