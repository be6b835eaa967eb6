/**
 * A block of header fields: one text with offsets, looked up lazily. Values become strings only when asked for.
 * Knows what a field is called and where it stands, not what it means.
 */
import { octetAt } from '../lib/octet-at.ts'
import { Field, type FieldId, fieldId } from './field-names.ts'
import { LOWER_CASE } from './octets.ts'

export { Field, fieldId }

/** Numbers stored per field, in this order: id and canonical bit, name start, name end, value start, value end. */
export const STRIDE = 5

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/

export class FieldBlock {
  /** The whole head as a byte string; the fields are somewhere in it. */
  readonly text: string
  readonly count: number
  readonly #slots: readonly number[]
  /** One bit for each known field that occurs: ids 0-31, ids 32-63. */
  readonly #low: number
  readonly #high: number

  /** For parsers. `slots` holds {@link STRIDE} numbers a field: `id << 1 | canonical`, then offsets into `text`. */
  constructor(text: string, count: number, slots: readonly number[], low: number, high: number) {
    this.text = text
    this.count = count
    this.#slots = slots
    this.#low = low
    this.#high = high
  }

  /** {@link Field} number of field `i`. */
  id(i: number): FieldId {
    return (this.#slots[i * STRIDE] >> 1) as FieldId
  }

  /** The name as received. */
  name(i: number): string {
    const at = i * STRIDE
    return this.text.slice(this.#slots[at + 1], this.#slots[at + 2])
  }

  /** The value without white space around it. */
  value(i: number): string {
    const at = i * STRIDE
    return this.text.slice(this.#slots[at + 3], this.#slots[at + 4])
  }

  /** Compares the name of field `i` with a lower-case name, ignoring case. */
  nameEquals(i: number, lowerName: string): boolean {
    const at = i * STRIDE
    const start = this.#slots[at + 1]
    const length = lowerName.length
    if (this.#slots[at + 2] - start !== length) return false
    const text = this.text
    for (let k = 0; k < length; k++) {
      if (LOWER_CASE[octetAt(text, start + k)] !== octetAt(lowerName, k)) return false
    }
    return true
  }

  /** True if a field with this id (not OTHER) occurs. */
  has(id: FieldId): boolean {
    return ((id < 32 ? this.#low >>> id : this.#high >>> (id - 32)) & 1) === 1
  }

  /** Index of the first field with this id (not OTHER) at or after `from`; -1 if there is none. */
  find(id: FieldId, from = 0): number {
    if (!this.has(id)) return -1
    const end = this.count * STRIDE
    for (let at = from * STRIDE; at < end; at += STRIDE) if (this.#slots[at] >> 1 === id) return at / STRIDE
    return -1
  }

  /** As {@link find}, for any name in lower case. */
  findName(lowerName: string, from = 0): number {
    const id = fieldId(lowerName)
    if (id !== Field.OTHER) return this.find(id, from)
    for (let i = from; i < this.count; i++) if (this.nameEquals(i, lowerName)) return i
    return -1
  }

  /** All values of that name in order, joined with `, ` (`; ` for cookie); undefined if there is none. */
  joined(lowerName: string): string | undefined {
    let i = this.findName(lowerName)
    if (i === -1) return undefined
    let all = this.value(i)
    const separator = lowerName === 'cookie' ? '; ' : ', '
    while ((i = this.findName(lowerName, i + 1)) !== -1) all += separator + this.value(i)
    return all
  }

  /**
   * nginx's `$http_NAME`: as {@link joined}, for a name in lower case with `_` wherever the field has `-` or `_`.
   */
  joinedUnderscored(name: string): string | undefined {
    let all: string | undefined
    const separator = name === 'cookie' ? '; ' : ', '
    for (let i = 0; i < this.count; i++) {
      if (this.#nameMatches(i, name))
        all = all === undefined ? this.value(i) : all + separator + this.value(i)
    }
    return all
  }

  /** True if the field stands in `text` as `Name: value\r\n`, exactly. */
  isCanonical(i: number): boolean {
    return (this.#slots[i * STRIDE] & 1) === 1
  }

  /** The field as `Name: value\r\n`. */
  line(i: number): string {
    const at = i * STRIDE
    if ((this.#slots[at] & 1) === 1) return this.text.slice(this.#slots[at + 1], this.#slots[at + 4] + 2)
    return `${this.name(i)}: ${this.value(i)}\r\n`
  }

  /** What stands between the name and the end of the value: the colon, white space, the value. */
  rawValue(i: number): string {
    const at = i * STRIDE
    const end = this.text.indexOf('\n', this.#slots[at + 4])
    return this.text.slice(this.#slots[at + 2] + 1, end)
  }

  #nameMatches(i: number, underscored: string): boolean {
    const at = i * STRIDE
    const start = this.#slots[at + 1]
    const length = underscored.length
    if (this.#slots[at + 2] - start !== length) return false
    for (let k = 0; k < length; k++) {
      const octet = LOWER_CASE[octetAt(this.text, start + k)]
      if ((octet === 0x2d ? 0x5f : octet) !== octetAt(underscored, k)) return false
    }
    return true
  }

  /**
   * A block of fields that did not come from HTTP/1.
   * @throws RangeError for a pair that must not stand in a head: a line break in it would be another field
   */
  static from(pairs: readonly (readonly [string, string])[]): FieldBlock {
    let text = ''
    let low = 0
    let high = 0
    const slots: number[] = new Array(pairs.length * STRIDE)
    let slot = 0
    for (const [name, untrimmed] of pairs) {
      if (!NAME.test(name)) throw new RangeError(`${JSON.stringify(name)} is not a header name`)
      if (BAD_VALUE.test(untrimmed)) throw new RangeError(`bad character in the value of header "${name}"`)
      const value = untrimmed.replace(/^[\t ]+|[\t ]+$/g, '')
      const id = fieldId(name)
      if (id < 32) low |= 1 << id
      else high |= 1 << (id - 32)
      const start = text.length
      const valueStart = start + name.length + 2
      slots[slot++] = (id << 1) | 1
      slots[slot++] = start
      slots[slot++] = start + name.length
      slots[slot++] = valueStart
      slots[slot++] = valueStart + value.length
      text += `${name}: ${value}\r\n`
    }
    return new FieldBlock(text, pairs.length, slots, low, high)
  }
}

/** The block of a message without fields. */
export const NO_FIELDS = new FieldBlock('', 0, [], 0, 0)
