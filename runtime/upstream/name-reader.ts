/**
 * Reads a DNS message from front to back (RFC 1035 section 4.1): numbers, bytes, and names with their compression. Never
 * reads past its end, and never the same bytes of a name twice. Knows no records.
 */

/** It is not to the letter. */
export class MalformedMessage extends Error {}

/** Characters of a name. RFC 1035 section 3.1 has 253, with which it takes 255 bytes; nginx takes two more, so that both do. */
export const MAX_NAME = 255
const POINTER = 0xc0

export class NameReader {
  readonly #message: Buffer
  /** Where it reads next. */
  at: number

  constructor(message: Buffer, at: number) {
    this.#message = message
    this.at = at
  }

  uint16(): number {
    return this.bytes(2).readUInt16BE()
  }

  uint32(): number {
    return this.bytes(4).readUInt32BE()
  }

  bytes(count: number): Buffer {
    const from = this.at
    this.skipTo(from + count)
    return this.#message.subarray(from, this.at)
  }

  skipTo(end: number): void {
    if (end > this.#message.length || end < this.at) throw new MalformedMessage()
    this.at = end
  }

  /** Lower case, '' for the root. A dot within a label is written `\.`, so that no name looks like another. */
  name(): string {
    let text = ''
    // Set when a pointer was met: the name goes on elsewhere, the message behind the pointer.
    let after = -1
    // Pointers lead backwards only, each before where the part began that it ends: no loop.
    let start = this.at
    for (let length = this.#byte(); length !== 0; length = this.#byte()) {
      if (length >= POINTER) {
        const to = (length - POINTER) * 256 + this.#byte()
        if (to >= start) throw new MalformedMessage()
        if (after === -1) after = this.at
        this.at = start = to
        continue
      }
      if (length > 63) throw new MalformedMessage()
      const label = this.bytes(length).toString('latin1').replaceAll('.', '\\.')
      text = text === '' ? label : `${text}.${label}`
      if (text.length > MAX_NAME) throw new MalformedMessage()
    }
    if (after !== -1) this.at = after
    return text.toLowerCase()
  }

  #byte(): number {
    return this.bytes(1)[0]!
  }
}
