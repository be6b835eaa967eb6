/**
 * Where a text that comes in pieces can be cut: how many bytes at the end of a piece belong to a character that is not
 * complete (WHATWG Encoding). Pure: what is held back is decoded again together with the next piece, so no decoder is
 * kept in between.
 */

/** Bytes of the longest character in any encoding, but for its last. */
const LONGEST_REST = 3

/** Encodings whose meaning of a byte depends on more than the character before it. */
const STATEFUL = ['iso-2022-jp']

/** @param encoding a name as `TextDecoder.encoding` has it */
export function decodesInPieces(encoding: string): boolean {
  return !STATEFUL.includes(encoding)
}

export function restOf(encoding: string, data: Uint8Array): number {
  if (encoding === 'utf-8') return utf8Rest(data)
  if (encoding === 'utf-16le') return utf16Rest(data, 1)
  if (encoding === 'utf-16be') return utf16Rest(data, 0)
  return decodedRest(encoding, data)
}

function utf8Rest(data: Uint8Array): number {
  const longest = Math.min(LONGEST_REST, data.length)
  for (let back = 1; back <= longest; back++) {
    const byte = data[data.length - back]
    if ((byte & 0xc0) !== 0x80) return back < utf8Length(byte) ? back : 0
  }
  return 0
}

/** Of the character that this byte begins. */
function utf8Length(byte: number): number {
  if (byte < 0xc2 || byte > 0xf4) return 1
  return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
}

/** Half a unit, and the first of two that make one character. */
function utf16Rest(data: Uint8Array, high: 0 | 1): number {
  const half = data.length % 2
  const unit = data.length - half - 2
  return unit >= 0 && (data[unit + high] & 0xfc) === 0xd8 ? half + 2 : half
}

/** Slow path, for the encodings of old: what a decoder still says at its end was not complete. */
function decodedRest(encoding: string, data: Uint8Array): number {
  for (let rest = 0; rest <= Math.min(LONGEST_REST, data.length); rest++) {
    const decoder = new TextDecoder(encoding)
    decoder.decode(data.subarray(0, data.length - rest), { stream: true })
    if (decoder.decode() === '') return rest
  }
  return 0
}
