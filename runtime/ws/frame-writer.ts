/** One frame of RFC 6455 section 5.2 to bytes. */
import { applyMask, newMask } from './mask.ts'

export const Opcode = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const
export type Opcode = (typeof Opcode)[keyof typeof Opcode]

const FIN = 0x80
const RSV1 = 0x40
const MASKED = 0x80

export interface FrameOptions {
  readonly opcode: Opcode
  /** The payload is compressed (RFC 7692 section 6). */
  readonly compressed: boolean
  /** Towards a server: the payload is masked with a fresh key. */
  readonly masked: boolean
}

/** Bytes of the header of a frame with this much payload. */
function headerSize(length: number, masked: boolean): number {
  return (length < 126 ? 2 : length < 65536 ? 4 : 10) + (masked ? 4 : 0)
}

/** A whole message or control frame as one piece; the payload is copied. */
export function encodeFrame(payload: Uint8Array, { opcode, compressed, masked }: FrameOptions): Buffer {
  const { length } = payload
  const start = headerSize(length, masked)
  const frame = Buffer.allocUnsafe(start + length)
  writeHeader(frame, FIN | (compressed ? RSV1 : 0) | opcode, length, masked)
  frame.set(payload, start)
  if (masked) {
    const key = newMask()
    frame.writeInt32LE(key, start - 4)
    applyMask(frame, start, frame.length, key)
  }
  return frame
}

/** The header alone, for an unmasked payload that follows as it is. */
export function encodeHeader(length: number, opcode: Opcode, compressed: boolean): Buffer {
  const header = Buffer.allocUnsafe(headerSize(length, false))
  writeHeader(header, FIN | (compressed ? RSV1 : 0) | opcode, length, false)
  return header
}

function writeHeader(into: Buffer, first: number, length: number, masked: boolean): void {
  const bit = masked ? MASKED : 0
  into[0] = first
  if (length < 126) into[1] = bit | length
  else if (length < 65536) {
    into[1] = bit | 126
    into[2] = length >>> 8
    into[3] = length & 0xff
  } else {
    into[1] = bit | 127
    into.writeUInt32BE(Math.floor(length / 0x1_0000_0000), 2)
    into.writeUInt32BE(length >>> 0, 6)
  }
}
