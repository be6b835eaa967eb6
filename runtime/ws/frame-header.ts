/** Where a frame header ends and how much payload it announces: RFC 6455 section 5.2. */

export const LONGEST_HEADER = 14

/** Bytes of the header that begins at `at`, or 0 when not all of them are there. */
export function headerSize(bytes: Uint8Array, at: number, available: number): number {
  if (available < 2) return 0
  const second = bytes[at + 1]
  const short = second & 0x7f
  const size = 2 + (short < 126 ? 0 : short === 126 ? 2 : 8) + (second >= 0x80 ? 4 : 0)
  return available < size ? 0 : size
}

/** Bytes of payload behind a header that is there as a whole. */
export function payloadLength(bytes: Buffer, at: number): number {
  const short = bytes[at + 1] & 0x7f
  if (short < 126) return short
  if (short === 126) return bytes.readUInt16BE(at + 2)
  return bytes.readUInt32BE(at + 2) * 0x1_0000_0000 + bytes.readUInt32BE(at + 6)
}

/** Follows frames that pass as raw bytes, to know where one of our own may be put between them. */
export class FrameBoundary {
  readonly #header = Buffer.allocUnsafe(LONGEST_HEADER)
  #headerLength = 0
  #left = 0

  /** No frame is under way. */
  get clean(): boolean {
    return this.#left === 0 && this.#headerLength === 0
  }

  push(chunk: Buffer): void {
    const { length } = chunk
    let at = 0
    while (at < length) {
      if (this.#left > 0) {
        const passed = Math.min(this.#left, length - at)
        this.#left -= passed
        at += passed
        continue
      }
      const size = this.#headerLength === 0 ? headerSize(chunk, at, length - at) : 0
      if (size > 0) {
        this.#left = payloadLength(chunk, at)
        at += size
      } else this.#collect(chunk[at++])
    }
  }

  /** A header that came in pieces. */
  #collect(byte: number): void {
    this.#header[this.#headerLength++] = byte
    if (headerSize(this.#header, 0, this.#headerLength) === 0) return
    this.#headerLength = 0
    this.#left = payloadLength(this.#header, 0)
  }
}
